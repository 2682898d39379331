//! Names for what the program tells of packets by numbers.

use std::collections::HashMap;

use super::Engine;

/// What the numbers in a trace stand for.
#[derive(Clone, Debug, Default)]
pub struct TraceNames {
    /// Services by their ids.
    pub services: HashMap<u32, String>,
    /// Reals by their ids.
    pub reals: HashMap<u16, TraceReal>,
    /// Interfaces by their indices.
    pub interfaces: HashMap<u32, String>,
}

/// A real in a trace.
#[derive(Clone, Debug)]
pub struct TraceReal {
    /// Its name.
    pub name: String,
    /// The interface by which packets for it leave; none while that is not known.
    pub ifindex: Option<u32>,
}

impl Engine {
    /// The names as they are now.
    #[must_use]
    pub fn trace_names(&self) -> TraceNames {
        let reals: HashMap<u16, TraceReal> = self
            .table
            .reals()
            .map(|view| {
                let ifindex = view.next_hop.map(|hop| hop.ifindex);
                (view.id, TraceReal { name: view.real.name.clone(), ifindex })
            })
            .collect();
        let configured = self.settings.interfaces.iter().filter_map(|name| self.host.interface_index(name));
        let used: Vec<u32> = reals.values().filter_map(|real| real.ifindex).chain(configured).collect();
        let named = used.into_iter().filter_map(|index| Some((index, self.host.interface_name(index)?)));
        let interfaces = named.collect();
        let services = self.table.services().map(|view| (view.id, view.service.name.clone())).collect();
        TraceNames { services, reals, interfaces }
    }
}
