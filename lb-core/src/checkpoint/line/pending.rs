//! What the owner has to tell yet: the newest state of each service, real, ring and slot that has changed, and nothing of what was between.

use std::collections::BTreeMap;

use super::message::{HEAD_SIZE, MAX_MESSAGE_SIZE};
use crate::{
    checkpoint::{Entry, RealEntry, RingEntry, ServiceEntry, SlotChange, codec::encode_entries_as},
    pair::wire::table::Lane,
    table::Learned,
};

/// A message ends behind the entry with which it is longer than this: so that what is urgent need not wait long.
const MESSAGE_SIZE: usize = 512;
/// Slots of one entry.
const SLOTS_AT_ONCE: usize = 64;
/// Most slots, by themselves, that wait: where there are more all rings are told anew, which is shorter.
const MAX_SLOTS: usize = 16_384;
/// Most rings that wait. Rings of further services are not told.
const MAX_RINGS: usize = 64;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By id; none for one that is gone.
    services: BTreeMap<u16, Option<ServiceEntry>>,
    reals: BTreeMap<u16, Option<RealEntry>>,
    rings: BTreeMap<u16, RingEntry>,
    slots: BTreeMap<u16, BTreeMap<u32, SlotChange>>,
    /// The reals as they were put in last.
    told: BTreeMap<u16, RealEntry>,
    /// Rings and services that are too long for the line.
    pub(super) left_out: u64,
}

impl Pending {
    /// Takes in what has changed. What is about flows is left out, and so is a real of which nothing is new but its load.
    pub(super) fn put(&mut self, entry: &Entry) {
        match entry {
            Entry::Service(service) => {
                self.services.insert(service.id, Some(service.clone()));
            }
            Entry::ServiceGone(id) => {
                self.services.insert(*id, None);
                self.rings.remove(id);
                self.slots.remove(id);
            }
            Entry::Real(real) => self.put_real(real),
            Entry::RealGone(id) => {
                self.told.remove(id);
                self.reals.insert(*id, None);
            }
            Entry::Ring(ring) => self.put_ring(ring),
            Entry::Slots { service, changes } => {
                let slots = self.slots.entry(*service).or_default();
                slots.extend(changes.iter().map(|change| (change.index, *change)));
            }
            Entry::Remembered(_) | Entry::Forgotten(_) | Entry::HalfOpen(_) => {}
        }
    }

    fn put_real(&mut self, real: &RealEntry) {
        if self.told.get(&real.id).is_some_and(|told| is_only_load(told, real)) {
            return;
        }
        self.told.insert(real.id, real.clone());
        self.reals.insert(real.id, Some(real.clone()));
    }

    fn put_ring(&mut self, ring: &RingEntry) {
        self.slots.remove(&ring.service);
        if self.rings.len() < MAX_RINGS || self.rings.contains_key(&ring.service) {
            self.rings.insert(ring.service, ring.clone());
        } else {
            self.left_out += 1;
        }
    }

    /// More slots wait than are told one by one.
    pub(super) fn is_too_much(&self) -> bool {
        self.slots.values().map(BTreeMap::len).sum::<usize>() > MAX_SLOTS
    }

    /// Appends the next entries of a lane. Nothing where there are none.
    pub(super) fn take(&mut self, lane: Lane, version: u16, out: &mut Vec<u8>) {
        let begin = out.len();
        while out.len() - begin < MESSAGE_SIZE {
            let next = match lane {
                Lane::Names => self.next_name(),
                Lane::Rings => self.next_slots(),
            };
            let Some(entry) = next else { return };
            let before = out.len();
            encode_entries_as(version, &[entry], out);
            if out.len() - begin > MAX_MESSAGE_SIZE - HEAD_SIZE {
                out.truncate(before);
                self.left_out += 1;
            }
        }
    }

    /// Reals before services, whose plans name them.
    fn next_name(&mut self) -> Option<Entry> {
        if let Some((id, real)) = self.reals.pop_first() {
            return Some(real.map_or(Entry::RealGone(id), Entry::Real));
        }
        let (id, service) = self.services.pop_first()?;
        Some(service.map_or(Entry::ServiceGone(id), Entry::Service))
    }

    /// The ring of a service before slots that have changed since.
    fn next_slots(&mut self) -> Option<Entry> {
        if let Some((_, ring)) = self.rings.pop_first() {
            return Some(Entry::Ring(ring));
        }
        let mut first = self.slots.first_entry()?;
        let (service, slots) = (*first.key(), first.get_mut());
        let mut changes = Vec::with_capacity(SLOTS_AT_ONCE);
        while changes.len() < SLOTS_AT_ONCE
            && let Some((_, change)) = slots.pop_first()
        {
            changes.push(change);
        }
        if slots.is_empty() {
            first.remove();
        }
        Some(Entry::Slots { service, changes })
    }
}

/// Nothing is new but what each second brings: how loaded it is, and which report was the last.
fn is_only_load(told: &RealEntry, now: &RealEntry) -> bool {
    let learned = Learned { report: told.learned.report, ..now.learned.clone() };
    *told == RealEntry { load: told.load, learned, ..now.clone() }
}
