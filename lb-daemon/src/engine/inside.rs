//! What the engine knows, for whoever looks for what is wrong.

use super::Engine;
use crate::config::Config;
use crate::doctor::Inside;

impl Engine {
    /// The configuration in use, the ways to the reals, and what became of packets and reports.
    ///
    /// # Errors
    /// Counters cannot be read.
    pub fn inside(&self) -> anyhow::Result<Inside> {
        let note = |real: &str| self.notes.get(real).map(|note| note.text.clone()).unwrap_or_default();
        let ways = self.table.reals().map(|view| {
            let interface = view.next_hop.and_then(|hop| self.host.interface_name(hop.ifindex));
            let name = view.real.name.clone();
            let way = (view.next_hop.copied(), interface, note(&name));
            (name, way)
        });
        Ok(Inside {
            config: Config {
                cluster: self.table.cluster().clone(),
                monitoring: self.balance.monitoring().clone(),
                settings: self.settings.clone(),
                origin: self.origin.clone(),
            },
            ways: ways.collect(),
            reports: self.reports(),
            drops: self.drops()?,
        })
    }
}
