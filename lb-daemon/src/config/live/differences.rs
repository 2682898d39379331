//! What live changes make of the file, item by item.

use lb_core::api::{ConfigChange, ConfigChangeKind};
use toml::Table;

use super::{Item, Layer, Origin, find};

impl Origin {
    /// Each service and real that is not as the file says.
    #[must_use]
    pub fn differences(&self) -> Vec<ConfigChange> {
        let (file, now) = (self.file_document(), self.document());
        let Layer(temporary) = &self.live.temporary;
        let Layer(persistent) = &self.live.persistent;
        let mut items: Vec<&Item> = persistent.keys().chain(temporary.keys()).collect();
        items.sort();
        items.dedup();
        let change = |item: &Item| {
            let (before, after) = (find(&file, item), find(&now, item));
            let change = match (before, after) {
                (None, Some(_)) => ConfigChangeKind::Added,
                (Some(_), None) => ConfigChangeKind::Removed,
                (before, after) if before != after => ConfigChangeKind::Replaced,
                _ => return None,
            };
            Some(ConfigChange {
                kind: item.kind,
                name: item.name.clone(),
                change,
                persistent: !temporary.contains_key(item),
                before: before.map(lines).unwrap_or_default(),
                after: after.map(lines).unwrap_or_default(),
            })
        };
        items.into_iter().filter_map(change).collect()
    }
}

/// The keys of a table, a line each, with the name first.
fn lines(table: &Table) -> Vec<String> {
    let line = |(key, value): (&String, &toml::Value)| format!("{key} = {value}");
    let (name, others): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| *key == "name");
    name.into_iter().chain(others).map(line).collect()
}
