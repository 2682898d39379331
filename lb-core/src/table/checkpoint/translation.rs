//! From the owner's ids to this node's, by names.

use std::collections::BTreeMap;

use lb_common::{FLOW_OPEN, FlowKey, FlowValue, HalfOpenValue, NO_REAL, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, Slot};

use super::{RealKnown, SchedulingTable};
use crate::checkpoint::{Dictionary, FlowEntry, RealEntry};

/// What the ids of a [`Dictionary`] are in one table, at one instant. For many look-ups in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// By the owner's id; [`NO_REAL`] for a stranger.
    reals: Vec<u16>,
    /// Under which flows are remembered here, by the owner's id.
    services: Vec<Option<u16>>,
    ring_slots: u32,
}

impl Translation {
    /// This node's id of a real; [`NO_REAL`] for one that is not configured here.
    #[must_use]
    pub fn real(&self, id: u16) -> u16 {
        self.reals.get(usize::from(id)).copied().unwrap_or(NO_REAL)
    }

    /// This node's id of a service; none for one that is not configured here.
    #[must_use]
    pub fn service(&self, id: u16) -> Option<u16> {
        self.services.get(usize::from(id)).copied().flatten()
    }

    /// As [`Dictionary::flow`].
    #[must_use]
    pub fn flow(&self, flow: &FlowEntry) -> Option<(FlowKey, FlowValue)> {
        let (service, real) = self.place(flow)?;
        Some((flow.key, flow_value(service, real, slot_index(&flow.key, self.ring_slots))))
    }

    /// The row of a half-open flow in this node's ids. When it began is for the caller to say.
    #[must_use]
    pub fn half_open(&self, flow: &FlowEntry) -> Option<(FlowKey, HalfOpenValue)> {
        let (service, real) = self.place(flow)?;
        let slot = slot_index(&flow.key, self.ring_slots);
        Some((flow.key, HalfOpenValue { began_ns: 0, slot, real, service }))
    }

    fn place(&self, flow: &FlowEntry) -> Option<(u16, u16)> {
        let real = Some(self.real(flow.real)).filter(|&real| real != NO_REAL);
        self.service(flow.service).zip(real)
    }

    /// The slot in this node's ids. Where the real that it remembers is a stranger nothing is left to remember, and the
    /// flow table decides alone.
    pub(super) fn slot(&self, slot: Slot) -> Slot {
        let (real, previous) = (self.real(slot.real), self.real(slot.previous));
        match slot.state {
            SLOT_CLEAN => Slot { real, ..Slot::default() },
            SLOT_REMEMBERS if previous != NO_REAL => Slot { real, previous, state: SLOT_REMEMBERS, reserved: 0 },
            _ => Slot { real, state: SLOT_MARKED, ..Slot::default() },
        }
    }
}

impl Dictionary {
    /// What all ids are in this node's table, for many look-ups in a row. It holds until either of them changes.
    #[must_use]
    pub fn translation(&self, table: &SchedulingTable) -> Translation {
        let mut translation = Translation { ring_slots: table.ring_slots, ..Translation::default() };
        let count = |last: Option<&u16>| last.map_or(0, |&id| usize::from(id) + 1);
        translation.reals.resize(count(self.reals.keys().last()), NO_REAL);
        for (&id, real) in &self.reals {
            translation.reals[usize::from(id)] = table.real_told(real).unwrap_or(NO_REAL);
        }
        translation.services.resize(count(self.services.keys().last()), None);
        for (&id, service) in &self.services {
            translation.services[usize::from(id)] = table.flows_told(&service.name);
        }
        translation
    }

    /// The flow's row in this node's ids. When its last packet came is for the caller to say: it is 0 here.
    ///
    /// None where its service or its real is not configured here: then what may be remembered under the key is to be forgotten.
    #[must_use]
    pub fn flow(&self, flow: &FlowEntry, table: &SchedulingTable) -> Option<(FlowKey, FlowValue)> {
        let real = table.real_told(self.reals.get(&flow.real)?)?;
        let service = table.flows_told(&self.services.get(&flow.service)?.name)?;
        Some((flow.key, flow_value(service, real, slot_index(&flow.key, table.ring_slots))))
    }

    /// Names of services and reals that are not configured here, or with another address, sorted.
    #[must_use]
    pub fn strangers(&self, table: &SchedulingTable) -> Vec<String> {
        let services = self.services.values().map(|service| &service.name);
        let services = services.filter(|name| table.service_told(name).is_none());
        let reals = self.reals.values().filter(|real| table.real_told(real).is_none()).map(|real| &real.name);
        let mut names: Vec<String> = services.chain(reals).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the owner knows of the reals, by name.
    #[must_use]
    pub fn known(&self) -> BTreeMap<String, RealKnown> {
        let known = |real: &RealEntry| RealKnown { learned: real.learned.clone(), load: real.load };
        self.reals.values().map(|real| (real.name.clone(), known(real))).collect()
    }
}

impl SchedulingTable {
    /// The id here of a real that the owner tells of. One of that name with another address is another server.
    pub(super) fn real_told(&self, real: &RealEntry) -> Option<u16> {
        let entry = self.configured_real(&real.name)?;
        (entry.address == real.address).then_some(entry.id)
    }

    /// The id here of a service that the owner tells of.
    pub(super) fn service_told(&self, name: &str) -> Option<u16> {
        // Service ids are below MAX_SERVICES, so they fit.
        self.configured_service(name).map(|(_, entry)| entry.id as u16)
    }

    /// The id here of the service under which a flow is remembered that the owner tells of: another may lead the affinity group there.
    fn flows_told(&self, name: &str) -> Option<u16> {
        self.leader_id(self.cluster.service(name)?).map(|id| id as u16)
    }
}

fn flow_value(service: u16, real: u16, slot: u32) -> FlowValue {
    FlowValue { last_seen_ns: 0, slot, real, service, state: FLOW_OPEN, reserved: [0; 3] }
}

/// [`lb_common::slot_of`] the flow, in a ring of any size.
pub(in crate::table) fn slot_index(key: &FlowKey, ring_slots: u32) -> u32 {
    // Below the size of the ring, so it fits.
    ((u64::from(lb_common::flow_hash(key)) * u64::from(ring_slots)) >> 32) as u32
}
