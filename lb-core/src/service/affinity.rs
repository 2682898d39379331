//! Affinity: all flows of a client go to the same real, also those to other services of an affinity group.

use std::collections::BTreeMap;

use super::{Cluster, Service};

/// What makes a client, and how long it is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The leading bits of an address that make a client, 1 to 32 or 128.
    pub prefix: u8,
    /// A client that is silent for so long may be forgotten, in milliseconds; `None`: as long as a flow.
    pub timeout_ms: Option<u64>,
    /// The affinity group: a client has one real in all services of this group. Named as services are.
    pub group: Option<String>,
}

impl Service {
    /// The most bits that an address of its clients has.
    #[must_use]
    pub const fn address_bits(&self) -> u8 {
        if self.vip.is_ipv4() { 32 } else { 128 }
    }

    /// Its affinity group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.affinity.as_ref()?.group.as_deref()
    }
}

impl Cluster {
    /// The service whose ring serves all of its affinity group: the first of the group. A service of no group is its own.
    #[must_use]
    pub fn leader<'a>(&'a self, service: &'a Service) -> &'a Service {
        self.group_of(service).next().unwrap_or(service)
    }

    /// The services of a service's affinity group, itself too, in their order; none where it is of no group.
    pub fn group_of<'a>(&'a self, service: &Service) -> impl Iterator<Item = &'a Service> + use<'a> {
        let places = service.group().and_then(|group| self.groups.get(group));
        places.into_iter().flatten().filter_map(|&at| self.services.get(at))
    }

    /// The services of each affinity group, in their order. Each group has one at least.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Vec<&Service>)> {
        let services = |places: &Vec<usize>| places.iter().filter_map(|&at| self.services.get(at)).collect();
        self.groups.iter().map(move |(group, places)| (group.as_str(), services(places)))
    }
}

/// The places of the services of each affinity group.
pub(super) fn groups(services: &[Service]) -> BTreeMap<String, Vec<usize>> {
    let mut groups = BTreeMap::<String, Vec<usize>>::new();
    for (at, service) in services.iter().enumerate() {
        if let Some(group) = service.group() {
            groups.entry(group.to_owned()).or_default().push(at);
        }
    }
    groups
}
