//! The table's side of checkpoints: what there is to tell of it, all or since an earlier state, and taking over what the owner of the
//! VIPs tells.

mod follow;
mod translation;

use std::collections::BTreeMap;

use lb_common::{NO_REAL, Slot};

use super::{Learned, RealEntry, SchedulingTable, ServiceEntry};
use crate::{
    checkpoint::{self, Entry, Load, RingEntry, SlotChange},
    ring::{RealIds, Ring},
    service::{Real, Service},
};
pub use follow::Followed;
pub use translation::Translation;

/// When more than one in so many slots has changed, the whole ring is told: it takes less room.
const WHOLE_RING: usize = 8;

/// What is known of a real beside the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RealKnown {
    /// What was learned of it by watching. The table itself knows the newest factor.
    pub learned: Learned,
    /// Its smoothed load.
    pub load: Option<Load>,
}

impl SchedulingTable {
    /// All that there is to tell: services, reals with what is `known` of them by name, and rings. A table that is configured alike and
    /// [follows](Self::follow) this is like this one.
    #[must_use]
    pub fn checkpoint(&self, known: &BTreeMap<String, RealKnown>, now_ms: u64) -> Vec<Entry> {
        let nothing = Self::with_ring_slots(self.options, self.ring_slots);
        self.checkpoint_since(&nothing, known, &BTreeMap::new(), now_ms)
    }

    /// What there is to tell since an earlier state of the table and of what was known then. What is gone comes first, then reals, then
    /// services, and at last rings or slots. So flows can be told between the names and the slots: where a table has moved on by more than
    /// one batch, a slot must not be told before the flows that it no longer sends where they are.
    ///
    /// Rings that are the same allocation are not looked into.
    #[must_use]
    pub fn checkpoint_since(
        &self,
        before: &Self,
        known: &BTreeMap<String, RealKnown>,
        known_before: &BTreeMap<String, RealKnown>,
        now_ms: u64,
    ) -> Vec<Entry> {
        let mut entries = self.gone_since(before);
        for (real, entry) in self.configured_reals() {
            let is_known = known.get(&real.name);
            let was = before.configured_real(&real.name);
            if was.is_none_or(|was| !is_same_real(was, entry)) || known_before.get(&real.name) != is_known {
                entries.push(Entry::Real(told_real(real, entry, is_known)));
            }
        }
        let mut rings = Vec::new();
        let others = self.others_since(before);
        for (service, entry) in self.configured_services() {
            let was = before.configured_service(&service.name).filter(|(_, was)| was.id == entry.id);
            if was.is_none_or(|was| !is_same_service(was, (service, entry))) {
                entries.push(Entry::Service(told_service(service, entry)));
            }
            rings.extend(told_ring(entry, was.map(|(_, was)| &*was.ring), &others, now_ms));
        }
        entries.append(&mut rings);
        entries
    }

    fn configured_real(&self, name: &str) -> Option<&RealEntry> {
        self.reals.get(name).filter(|_| self.cluster.real(name).is_some())
    }

    fn configured_service(&self, name: &str) -> Option<(&Service, &ServiceEntry)> {
        self.cluster.service(name).zip(self.services.get(name))
    }

    /// Ids that nobody has any more, or another service.
    fn gone_since(&self, before: &Self) -> Vec<Entry> {
        let is_there = |(service, entry): &(&Service, &ServiceEntry)| {
            self.configured_service(&service.name).is_some_and(|(_, now)| now.id == entry.id)
        };
        let services = before.configured_services().filter(|was| !is_there(was));
        let services = services.map(|(_, entry)| Entry::ServiceGone(entry.id as u16));
        let ids: RealIds = self.configured_reals().map(|(_, entry)| entry.id).collect();
        let reals = before.configured_reals().filter(|(_, entry)| !ids.contains(entry.id));
        services.chain(reals.map(|(_, entry)| Entry::RealGone(entry.id))).collect()
    }

    /// Ids that stood for other servers before. A slot that holds one looks the same and is not.
    fn others_since(&self, before: &Self) -> RealIds {
        let was: BTreeMap<u16, (&str, &RealEntry)> =
            before.configured_reals().map(|(real, entry)| (entry.id, (real.name.as_str(), entry))).collect();
        let is_other = |real: &Real, entry: &RealEntry| {
            was.get(&entry.id).is_some_and(|&(name, was)| name != real.name || was.address != entry.address)
        };
        self.configured_reals().filter(|(real, entry)| is_other(real, entry)).map(|(_, entry)| entry.id).collect()
    }
}

fn told_real(real: &Real, entry: &RealEntry, known: Option<&RealKnown>) -> checkpoint::RealEntry {
    let RealKnown { learned, load } = known.cloned().unwrap_or_default();
    checkpoint::RealEntry {
        id: entry.id,
        name: real.name.clone(),
        address: entry.address,
        admin: entry.admin,
        weight: entry.weight,
        plan: entry.plan,
        learned: Learned { factor: entry.plan.factor, ..learned },
        load,
    }
}

fn told_service(service: &Service, entry: &ServiceEntry) -> checkpoint::ServiceEntry {
    checkpoint::ServiceEntry {
        // Service ids are below MAX_SERVICES, so they fit.
        id: entry.id as u16,
        name: service.name.clone(),
        vip: service.vip,
        protocol: service.protocol,
        ports: service.ports,
        plan: entry.plan.clone(),
    }
}

/// Whether the table has nothing new to tell of a real. The way to it is each node's own.
fn is_same_real(was: &RealEntry, is: &RealEntry) -> bool {
    let told = |entry: &RealEntry| (entry.id, entry.address, entry.admin, entry.weight, entry.plan);
    told(was) == told(is)
}

/// Whether there is nothing new to tell of a service but its ring.
fn is_same_service((was, entry_was): (&Service, &ServiceEntry), (is, entry): (&Service, &ServiceEntry)) -> bool {
    (was.vip, was.protocol, was.ports) == (is.vip, is.protocol, is.ports) && entry_was.plan == entry.plan
}

fn told_ring(entry: &ServiceEntry, before: Option<&Ring>, others: &RealIds, now_ms: u64) -> Option<Entry> {
    let (service, ring) = (entry.id as u16, &*entry.ring);
    let age_ms = |since_ms: u64| now_ms.saturating_sub(since_ms);
    let whole = || {
        let ages_ms = ring.exceptions().map(|(index, _, since_ms)| (index, age_ms(since_ms))).collect();
        Entry::Ring(RingEntry { service, slots: ring.slots().clone(), ages_ms })
    };
    let Some(before) = before.filter(|before| before.slots().len() == ring.slots().len()) else { return Some(whole()) };
    if std::ptr::eq(ring, before) && *others == RealIds::default() {
        return None;
    }
    let is_other = |slot: &Slot| [slot.real, slot.previous].iter().any(|&id| id != NO_REAL && others.contains(id));
    let change = |(index, slot, since_ms): (u32, Slot, Option<u64>)| {
        let age_ms = since_ms.map_or(0, age_ms);
        SlotChange { index, slot, age_ms }
    };
    let changes: Vec<SlotChange> = ring.changes_since(before, is_other).map(change).collect();
    match changes.len() {
        0 => None,
        many if many > ring.slots().len() / WHOLE_RING => Some(whole()),
        _ => Some(Entry::Slots { service, changes }),
    }
}
