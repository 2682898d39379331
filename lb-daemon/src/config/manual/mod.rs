//! What `lbd config` says of the configuration: a JSON Schema, a file with every default, an example, and what a key is for. It is
//! made of [`keys`](super::keys) and of docs/reference/config.md, which a test holds to the keys.

mod defaults;
mod page;
mod roff;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use lb_config::suggestion;

use super::keys::{self, Absent, Key};

pub use defaults::defaults;
pub use roff::roff;
pub use schema::schema;

/// A configuration to begin with.
pub const EXAMPLE: &str = include_str!("example.toml");

/// What a key or a table is for. `name` is as in `pair.path.baud`, `pair.path` or `[[pair.path]]`.
///
/// # Errors
/// There is no such key; the text says so, and which one may be meant.
pub fn explain(name: &str) -> Result<String, String> {
    let name = name.trim_matches(['[', ']']);
    let key = find(keys::FILE, name).ok_or_else(|| unknown(name))?;
    let mut text = format!("{name}\n\n");
    if let Some(section) = page::section(name) {
        text += &page::plain(section);
    }
    if !key.is_table() {
        text +=
            if key.restart { "\nA change waits for a restart of lbd.\n" } else { "\nA reload takes a change over.\n" };
    }
    for key in key.keys() {
        let _ = write!(text, "\n{name}.{}\n    {}\n", key.name, facts(key));
    }
    Ok(text)
}

fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let key = keys.iter().find(|key| key.name == first)?;
    match rest {
        Some(rest) => find(key.keys(), rest),
        None => Some(key),
    }
}

fn unknown(name: &str) -> String {
    let all = keys::all();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let same_end = |candidate: &&&str| candidate.rsplit('.').next() == Some(name);
    let ends: Vec<&str> = names.iter().filter(same_end).copied().collect();
    let help = match (suggestion(name, &names), ends.is_empty()) {
        (Some(suggestion), _) => suggestion,
        (None, false) => format!("there is {}", lb_config::list(&ends)),
        (None, true) => "`lbd config default` shows all keys".to_owned(),
    };
    format!("there is no key `{name}`: {help}")
}

/// What a key can be and what holds without it, in one line.
fn facts(key: &Key) -> String {
    let value = key.value.to_string();
    let absent = match key.absent {
        Absent::Required => "required".to_owned(),
        Absent::RequiredFor(kind) => format!("required for {kind}"),
        Absent::Default(literal) => format!("default: {literal}"),
        Absent::Derived(from) => format!("default: {}", from.replace('`', "")),
        Absent::None => "default: none".to_owned(),
    };
    let restart = if key.restart { "; restart" } else { "" };
    if key.is_table() { value } else { format!("{value}; {absent}{restart}") }
}
