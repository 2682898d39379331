//! Following: the owner of the VIPs says what the table is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{NO_REAL, SLOT_CLEAN, Slot};

use super::{SchedulingTable, Translation};
use crate::table::rings::Edits;
use crate::{
    checkpoint::{Dictionary, Entry, RealEntry, RingEntry, ServiceEntry, SlotChange},
    ring::{RealIds, Ring},
    service::MAX_WEIGHT,
};

/// What has become of what the owner told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Services and reals that it named, or whose slots it told, and that are not configured here; sorted. A service whose ring has
    /// another size is one.
    pub strangers: Vec<String>,
    /// Services (by this node's ids) that the owner serves no more: their flows are to be forgotten.
    pub without_flows: Vec<u16>,
    /// The table is another than before.
    pub changed: bool,
}

impl SchedulingTable {
    /// Takes over what the owner tells, in its order: administrative states, weights, plans, rings. Ids are the owner's, and are
    /// translated by the names that `dictionary` has learned, from these entries and from earlier ones. What exceptions have lasted counts
    /// by this node's clock from now on.
    ///
    /// What is configured stays this node's own business: a service that is not configured here is left out, and slots of a real that
    /// is not, or has another address, have no real. Flows say nothing to the table: see [`Dictionary::flow`].
    ///
    /// To be told the same once more changes nothing, but for the times of exceptions, which are as told.
    pub fn follow(&mut self, entries: &[Entry], dictionary: &mut Dictionary, now_ms: u64) -> Followed {
        let mut following = Following {
            table: self,
            dictionary,
            now_ms,
            names: None,
            newest: None,
            slots: None,
            known: Known::default(),
        };
        entries.iter().for_each(|entry| following.take(entry));
        let Known { strangers, without_flows, mut changed } = following.known;
        changed |= self.follow_leaders();
        self.generation += u64::from(changed);
        Followed { strangers: strangers.into_iter().collect(), without_flows, changed }
    }

    /// Lets the generation be this one at least: who takes over goes on from the owner's.
    pub fn raise_generation(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// This node's own configuration and plan rule from now on. Where they are what the owner had, no slot moves. Slots of reals
    /// that are not configured here go to those that are.
    pub fn lead(&mut self, now_ms: u64) {
        self.edit_rings(|_| true, RealIds::default(), now_ms);
        self.generation += 1;
    }

    /// Lets exceptions that are still as a checkpoint has them have lasted as long as it says, where that is longer: maps that outlive a
    /// daemon do not tell. Nothing else of the table changes.
    pub fn recall_ages(&mut self, entries: &[Entry], now_ms: u64) {
        let mut dictionary = Dictionary::default();
        entries.iter().for_each(|entry| dictionary.learn(entry));
        let names = dictionary.translation(self);
        let rings = entries.iter().filter_map(|entry| if let Entry::Ring(ring) = entry { Some(ring) } else { None });
        let (mut edits, mut newest) = (Edits::default(), None);
        for told in rings {
            if newest.is_none_or(|newest| !is_same_ring(newest, told)) {
                edits = Edits::default();
            }
            newest = Some(told);
            let name = dictionary.services.get(&told.service).map(|service| service.name.as_str());
            let Some(entry) = name.and_then(|name| self.services.get_mut(name)) else { continue };
            edits.make(&mut entry.ring, (), |ring| {
                let exceptions =
                    slots_of(told, now_ms).map(|(index, slot, since_ms)| (index, names.slot(slot), since_ms));
                ring.recalled(exceptions.filter(|(_, slot, _)| slot.state != SLOT_CLEAN))
            });
        }
        self.follow_leaders();
    }
}

/// What is told, on its way into the table.
struct Following<'a> {
    table: &'a mut SchedulingTable,
    dictionary: &'a mut Dictionary,
    now_ms: u64,
    /// While the dictionary is as it was when this was made.
    names: Option<Arc<Translation>>,
    /// The newest whole ring, as told and as it is here. Services often have the same, and then share it.
    newest: Option<(&'a RingEntry, Arc<Ring>)>,
    /// The newest changes of slots, and what has become of the rings that got them.
    slots: Option<(&'a [SlotChange], Edits<(), ()>)>,
    known: Known,
}

#[derive(Default)]
struct Known {
    strangers: BTreeSet<String>,
    without_flows: Vec<u16>,
    changed: bool,
}

impl<'a> Following<'a> {
    fn take(&mut self, entry: &'a Entry) {
        match entry {
            Entry::Ring(told) => return self.take_ring(told),
            Entry::Slots { service, changes } => return self.take_slots(*service, changes),
            Entry::Remembered(_) | Entry::Forgotten(_) | Entry::HalfOpen(_) => return,
            Entry::ServiceGone(id) => self.forget_flows(*id),
            Entry::Service(service) => self.take_service(service),
            Entry::Real(real) => self.take_real(real),
            Entry::RealGone(_) => {}
        }
        self.dictionary.learn(entry);
        (self.names, self.newest, self.slots) = (None, None, None);
    }

    fn forget_flows(&mut self, id: u16) {
        let name = self.dictionary.services.get(&id).map(|service| &service.name);
        self.known.without_flows.extend(name.and_then(|name| self.table.service_told(name)));
    }

    fn take_service(&mut self, told: &ServiceEntry) {
        if self.table.service_told(&told.name).is_none() {
            self.known.strangers.insert(told.name.clone());
        } else if let Some(entry) = self.table.services.get_mut(&told.name)
            && entry.plan != told.plan
        {
            entry.plan = told.plan.clone();
            self.known.changed = true;
        }
    }

    fn take_real(&mut self, told: &RealEntry) {
        if self.table.real_told(told).is_none() {
            self.known.strangers.insert(told.name.clone());
        } else if let Some(entry) = self.table.reals.get_mut(&told.name) {
            let weight = told.weight.map(|weight| weight.min(MAX_WEIGHT));
            let is_same = (entry.admin, entry.weight, entry.plan) == (told.admin, weight, told.plan);
            (entry.admin, entry.weight, entry.plan) = (told.admin, weight, told.plan);
            self.known.changed |= !is_same;
        }
    }

    fn take_ring(&mut self, told: &'a RingEntry) {
        let Some(name) = self.leader_here(told.service) else { return };
        if told.slots.len() != self.table.ring_slots as usize {
            self.known.strangers.insert(name);
            return;
        }
        let shared = self.newest.as_ref().filter(|(newest, _)| is_same_ring(newest, told));
        let ring = match shared {
            Some((_, ring)) => Some(ring.clone()),
            None => self.put_slots(&name, slots_of(told, self.now_ms)),
        };
        let Some(entry) = self.table.services.get_mut(&name) else { return };
        if let Some(ring) = ring.filter(|ring| !Arc::ptr_eq(ring, &entry.ring)) {
            self.known.changed |= ring != entry.ring;
            entry.ring = ring;
        }
        self.newest = Some((told, entry.ring.clone()));
    }

    /// Services that share a ring are told the same changes one after the other, and go on sharing it.
    fn take_slots(&mut self, service: u16, changes: &'a [SlotChange]) {
        let Some(name) = self.leader_here(service) else { return };
        let now_ms = self.now_ms;
        let mut told = changes.iter().map(|change| (change.index, change.slot, now_ms.saturating_sub(change.age_ms)));
        let (newest, mut edits) = self.slots.take().unwrap_or_default();
        if newest != changes {
            edits = Edits::default();
        }
        let Some(mut ring) = self.table.services.get(&name).map(|entry| entry.ring.clone()) else { return };
        let edited = edits.make(&mut ring, (), |_| self.put_slots(&name, &mut told).map(Arc::unwrap_or_clone));
        if edited.is_some()
            && let Some(entry) = self.table.services.get_mut(&name)
        {
            entry.ring = ring;
            self.known.changed = true;
        }
        self.newest = None;
        self.slots = Some((changes, edits));
    }

    /// The ring of a service with these slots of the owner's; none where it is so already.
    fn put_slots(&mut self, service: &str, told: impl Iterator<Item = (u32, Slot, u64)>) -> Option<Arc<Ring>> {
        let names = self.names();
        let ring = self.table.services.get(service)?.ring.clone();
        let mut strangers = BTreeSet::new();
        let told = told.map(|(index, slot, since_ms)| {
            let missing =
                [slot.real, slot.previous].into_iter().filter(|&id| id != NO_REAL && names.real(id) == NO_REAL);
            strangers.extend(missing);
            (index, names.slot(slot), since_ms)
        });
        let next = ring.with_slots(told).map(Arc::new);
        self.known.strangers.extend(strangers.into_iter().map(|id| real_name(self.dictionary, id)));
        next
    }

    /// The name of a service of the owner's that is configured here. Another is a stranger.
    fn service_here(&mut self, id: u16) -> Option<String> {
        let name = self.dictionary.services.get(&id).map(|service| service.name.clone());
        let here = name.clone().filter(|name| self.table.service_told(name).is_some());
        if here.is_none() {
            self.known.strangers.insert(name.unwrap_or_else(|| format!("service id {id}")));
        }
        here
    }

    /// The name of the service here whose ring a service of the owner's goes by: services of an affinity group are told one ring, each of them.
    fn leader_here(&mut self, id: u16) -> Option<String> {
        let name = self.service_here(id)?;
        let leader = self.table.cluster.service(&name).map(|service| self.table.cluster.leader(service).name.clone());
        Some(leader.unwrap_or(name))
    }

    fn names(&mut self) -> Arc<Translation> {
        let (dictionary, table) = (&*self.dictionary, &*self.table);
        self.names.get_or_insert_with(|| Arc::new(dictionary.translation(table))).clone()
    }
}

fn real_name(dictionary: &Dictionary, id: u16) -> String {
    dictionary.reals.get(&id).map_or_else(|| format!("real id {id}"), |real| real.name.clone())
}

fn is_same_ring(one: &RingEntry, other: &RingEntry) -> bool {
    Arc::ptr_eq(&one.slots, &other.slots) && one.ages_ms == other.ages_ms
}

/// Index and slot, and when it became what it is. An exception whose age is not told begins now.
fn slots_of(told: &RingEntry, now_ms: u64) -> impl Iterator<Item = (u32, Slot, u64)> {
    let ages: BTreeMap<u32, u64> = told.ages_ms.iter().copied().collect();
    let since_ms = move |index: u32| now_ms.saturating_sub(ages.get(&index).copied().unwrap_or(0));
    (0..).zip(told.slots.iter()).map(move |(index, &slot)| (index, slot, since_ms(index)))
}
