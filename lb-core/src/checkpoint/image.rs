//! What all entries together say: the state that a snapshot holds, and that a node begins with after a cold start.

pub mod json;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    iter,
    sync::Arc,
};

use lb_common::{FlowKey, SLOT_CLEAN, ServiceKey, Slot};
use serde::{Deserialize, Serialize};

use super::{Entry, FlowEntry, RealEntry, RingEntry, ServiceEntry, SlotChange, codec::MAX_FLOWS};

/// Everything that a checkpoint has said so far. Half-open flows are no part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    services: BTreeMap<u16, ServiceEntry>,
    reals: BTreeMap<u16, RealEntry>,
    rings: BTreeMap<u16, Ring>,
    flows: HashMap<Key, Target>,
    /// Which instant it shows, in milliseconds since 1970.
    unix_ms: u64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Services.
    pub services: u64,
    /// Reals.
    pub reals: u64,
    /// Slots that remember or are marked, of all services.
    pub slots_not_clean: u64,
    /// Flows that are remembered.
    pub flows: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Ring {
    slots: Arc<[Slot]>,
    /// By index, for each slot that is not clean: since when, in milliseconds since 1970. It may have been before.
    since_ms: BTreeMap<u32, i64>,
}

/// A flow's key that is hashed by one write of all its bytes: there are millions of them at a cold start, and field by field takes three
/// times as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(FlowKey);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Target {
    service: u16,
    real: u16,
}

impl Image {
    /// Which instant it shows, in milliseconds since 1970; 0 where it was never told.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// What follows was so at this instant, in milliseconds since 1970: what there is has become older since. An instant that is not
    /// later than the one before changes nothing.
    pub fn at(&mut self, unix_ms: u64) {
        self.unix_ms = self.unix_ms.max(unix_ms);
    }

    /// Takes over what an entry says.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Service(service) => {
                self.services.insert(service.id, service.clone());
            }
            Entry::ServiceGone(id) => self.remove_service(*id),
            Entry::Real(real) => {
                self.reals.insert(real.id, real.clone());
            }
            Entry::RealGone(id) => {
                self.reals.remove(id);
            }
            Entry::Ring(ring) => self.set_ring(ring),
            Entry::Slots { service, changes } => self.change_slots(*service, changes),
            Entry::Remembered(flows) => {
                let targets =
                    flows.iter().map(|&FlowEntry { key, service, real }| (Key(key), Target { service, real }));
                self.flows.extend(targets);
            }
            Entry::Forgotten(keys) => keys.iter().for_each(|key| {
                self.flows.remove(&Key(*key));
            }),
            Entry::HalfOpen(_) => {}
        }
    }

    /// Entries that make this image of an empty one: services, reals, rings, then flows in pieces.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let services = self.services.values().cloned().map(Entry::Service);
        let reals = self.reals.values().cloned().map(Entry::Real);
        let rings = self.rings.iter().map(|(&service, ring)| Entry::Ring(ring.entry(service, self.unix_ms)));
        let mut flows = self.flows();
        let pieces = iter::from_fn(move || {
            let piece: Vec<FlowEntry> = flows.by_ref().take(MAX_FLOWS).collect();
            (!piece.is_empty()).then_some(Entry::Remembered(piece))
        });
        services.chain(reals).chain(rings).chain(pieces)
    }

    /// The flows, in no order.
    pub fn flows(&self) -> impl Iterator<Item = FlowEntry> + '_ {
        self.flows.iter().map(|(&Key(key), &Target { service, real })| FlowEntry { key, service, real })
    }

    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            services: self.services.len() as u64,
            reals: self.reals.len() as u64,
            slots_not_clean: self.rings.values().map(|ring| ring.since_ms.len() as u64).sum(),
            flows: self.flows.len() as u64,
        }
    }

    /// With a service go its ring and its flows.
    fn remove_service(&mut self, id: u16) {
        self.services.remove(&id);
        self.rings.remove(&id);
        self.flows.retain(|_, target| target.service != id);
    }

    fn set_ring(&mut self, ring: &RingEntry) {
        let now_ms = self.unix_ms;
        let since = ring.ages_ms.iter().map(|&(index, age_ms)| (index, since(now_ms, age_ms)));
        self.rings.insert(ring.service, Ring { slots: ring.slots.clone(), since_ms: since.collect() });
    }

    /// Slots of a ring that is not there, or beyond its end, are left out.
    fn change_slots(&mut self, service: u16, changes: &[SlotChange]) {
        let Some(ring) = self.rings.get_mut(&service) else { return };
        let slots = Arc::make_mut(&mut ring.slots);
        for &SlotChange { index, slot, age_ms } in changes {
            let Some(own) = slots.get_mut(index as usize) else { continue };
            *own = slot;
            if slot.state == SLOT_CLEAN {
                ring.since_ms.remove(&index);
            } else {
                ring.since_ms.insert(index, since(self.unix_ms, age_ms));
            }
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let FlowKey { client, service: ServiceKey { vip, port, protocol, family }, client_port, reserved } = self.0;
        let mut bytes = [0; size_of::<FlowKey>()];
        let (addresses, rest) = bytes.split_at_mut(client.len() + vip.len());
        addresses[..client.len()].copy_from_slice(&client);
        addresses[client.len()..].copy_from_slice(&vip);
        let words = u64::from(port) | u64::from(client_port) << 16 | u64::from(reserved) << 32;
        let words = words | u64::from(protocol) << 48 | u64::from(family) << 56;
        rest.copy_from_slice(&words.to_ne_bytes());
        state.write(&bytes);
    }
}

impl Ring {
    fn entry(&self, service: u16, now_ms: u64) -> RingEntry {
        let ages = self.since_ms.iter().map(|(&index, &since_ms)| (index, age(now_ms, since_ms)));
        RingEntry { service, slots: self.slots.clone(), ages_ms: ages.collect() }
    }
}

/// When it began what is so old by now.
fn since(now_ms: u64, age_ms: u64) -> i64 {
    signed(now_ms).saturating_sub(signed(age_ms))
}

/// The inverse of [`since`].
fn age(now_ms: u64, since_ms: i64) -> u64 {
    u64::try_from(signed(now_ms).saturating_sub(since_ms)).unwrap_or_default()
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
