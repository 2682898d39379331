//! A small forwarder, written from docs/reference/forwarding.md sections 4 and 5: the maps, and where a packet goes.

use std::collections::{HashMap, HashSet, VecDeque};

use lb_common::{
    FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, FlowValue, HalfOpenValue, NO_REAL, PROTOCOL_TCP, PortRangeKey, REAL_ALIVE,
    REAL_HOT, REAL_RESOLVED, RealValue, SLOT_CLEAN, SLOT_MARKED, ServiceValue, VIP_HAS_PORT_RANGES, VipKey, flow_hash,
    second_hash,
};

use super::{FIN_MS, IDLE_MS};
use crate::{
    checkpoint::FlowEntry,
    rows::{MapWrite, Rows},
    table::HANDSHAKE_TIMEOUT_MS,
    testing::apply,
};

/// What of a packet counts here. `Data` is a TCP packet without SYN, FIN and RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Syn,
    Data,
    Fin,
    Rst,
    Udp,
}

/// By which rule a packet found its real; the tests count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    Clean,
    Flow,
    HalfOpen,
    HotDiverted,
    Marked,
    RemembersSyn,
    RemembersPrevious,
    RemembersReal,
}

/// The maps that the program reads and writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maps {
    pub(crate) rows: Rows,
    pub(crate) flows: HashMap<FlowKey, FlowValue>,
    pub(crate) half_open: HashMap<FlowKey, HalfOpenValue>,
    pub(crate) events: Events,
}

/// What the program tells of exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Remembered(FlowEntry),
    HalfOpen(FlowEntry),
    Forgotten(FlowKey),
}

/// The ring buffer of what it tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    pub(crate) waiting: VecDeque<Told>,
    /// So many fit; 0: nobody wants to know.
    pub(crate) room: usize,
    /// Some did not fit.
    pub(crate) lost: bool,
}

impl Events {
    fn tell(&mut self, told: Told) {
        if self.waiting.len() < self.room {
            self.waiting.push_back(told);
        } else {
            self.lost = self.room > 0;
        }
    }

    /// What a SYN flood brings about has half of the buffer, and is not missed.
    fn tell_if_there_is_room(&mut self, told: Told) {
        if self.waiting.len() < self.room / 2 {
            self.waiting.push_back(told);
        }
    }
}

impl Maps {
    pub(crate) fn apply(&mut self, write: &MapWrite) {
        if let MapWrite::RemoveRing { service } = write {
            self.flows.retain(|_, flow| u32::from(flow.service) != *service);
            self.half_open.retain(|_, entry| u32::from(entry.service) != *service);
        }
        apply(&mut self.rows, write);
    }

    /// Whether a new row of the real leaves the server that it stands for alive.
    pub(crate) fn goes_on(&self, real: u16, row: Option<&RealValue>) -> bool {
        let was = self.rows.reals.get(&real);
        was.zip(row).is_some_and(|(was, is)| was.address == is.address && is.flags & REAL_ALIVE != 0)
    }

    pub(crate) fn slot_index(&self, key: &FlowKey, slots: usize) -> usize {
        index_of(flow_hash(key), slots)
    }

    fn is_alive(&self, real: u16) -> bool {
        self.has(real, REAL_ALIVE)
    }

    fn is_hot(&self, real: u16) -> bool {
        self.has(real, REAL_ALIVE | REAL_HOT)
    }

    fn has(&self, real: u16, flags: u32) -> bool {
        real != NO_REAL && self.rows.reals.get(&real).is_some_and(|row| row.flags & flags == flags)
    }

    /// The real that the packet is sent to, if it is alive, and why.
    pub(crate) fn forward(&mut self, key: &FlowKey, packet: Packet, now_ms: u64) -> Option<(u16, Rule)> {
        let service = service_of(&self.rows, key)?;
        let (real, rule) = self.decide(key, service.id, packet, now_ms)?;
        self.has(real, REAL_ALIVE | REAL_RESOLVED).then_some((real, rule))
    }

    fn decide(&mut self, key: &FlowKey, service: u32, packet: Packet, now_ms: u64) -> Option<(u16, Rule)> {
        let ring = self.rows.rings.get(&service)?;
        let index = self.slot_index(key, ring.len());
        let slot = ring[index];
        let place = Place { service: service as u16, slot: index as u32, now_ms };
        if slot.state == SLOT_CLEAN {
            return Some((slot.real, Rule::Clean));
        }
        if let Some(real) = self.remembered(key, packet, place) {
            return Some((real, Rule::Flow));
        }
        if key.service.protocol == PROTOCOL_TCP
            && let Some(real) = self.half_opened(key, packet, place)
        {
            return Some((real, Rule::HalfOpen));
        }
        if packet == Packet::Syn
            && self.is_hot(slot.real)
            && let Some(real) = self.second_choice(key, service)
        {
            self.half_open(key, real, place);
            return Some((real, Rule::HotDiverted));
        }
        if slot.state == SLOT_MARKED {
            return Some((slot.real, Rule::Marked));
        }
        if packet == Packet::Syn {
            if self.is_alive(slot.real) {
                self.half_open(key, slot.real, place);
            }
            return Some((slot.real, Rule::RemembersSyn));
        }
        let goes_back = self.is_alive(slot.previous);
        let real = if goes_back { slot.previous } else { slot.real };
        if self.is_alive(real) && packet != Packet::Rst {
            self.remember(key, packet, real, place);
        }
        Some((real, if goes_back { Rule::RemembersPrevious } else { Rule::RemembersReal }))
    }

    /// The real of the flow's second slot, if it is a better one than a hot real.
    fn second_choice(&self, key: &FlowKey, service: u32) -> Option<u16> {
        let ring = self.rows.rings.get(&service)?;
        let real = ring[index_of(second_hash(flow_hash(key)), ring.len())].real;
        (self.has(real, REAL_ALIVE | REAL_RESOLVED) && !self.is_hot(real)).then_some(real)
    }

    fn half_open(&mut self, key: &FlowKey, real: u16, place: Place) {
        let Place { service, slot, now_ms } = place;
        self.half_open.insert(*key, HalfOpenValue { began_ns: now_ms, slot, real, service });
        self.events.tell_if_there_is_room(Told::HalfOpen(FlowEntry { key: *key, service, real }));
    }

    fn remembered(&mut self, key: &FlowKey, packet: Packet, place: Place) -> Option<u16> {
        let entry = *self.flows.get(key)?;
        let is_used_anew = packet == Packet::Syn && entry.state != FLOW_OPEN;
        if is_used_anew || entry.service != place.service || !self.is_alive(entry.real) {
            self.flows.remove(key);
            self.events.tell(Told::Forgotten(*key));
            return None;
        }
        let entry = FlowValue { last_seen_ns: place.now_ms, state: next_state(entry.state, packet), ..entry };
        self.flows.insert(*key, entry);
        Some(entry.real)
    }

    fn half_opened(&mut self, key: &FlowKey, packet: Packet, place: Place) -> Option<u16> {
        let entry = *self.half_open.get(key)?;
        if entry.service != place.service || !self.is_alive(entry.real) {
            self.half_open.remove(key);
            self.events.tell_if_there_is_room(Told::Forgotten(*key));
            return None;
        }
        if packet == Packet::Syn {
            self.half_open.insert(*key, HalfOpenValue { began_ns: place.now_ms, ..entry });
        } else {
            self.half_open.remove(key);
            if packet != Packet::Rst {
                self.remember(key, packet, entry.real, place);
            } else {
                self.events.tell_if_there_is_room(Told::Forgotten(*key));
            }
        }
        Some(entry.real)
    }

    fn remember(&mut self, key: &FlowKey, packet: Packet, real: u16, place: Place) {
        let Place { service, slot, now_ms } = place;
        let state = next_state(FLOW_OPEN, packet);
        // The simulation's clock has milliseconds only.
        self.flows.insert(*key, FlowValue { last_seen_ns: now_ms, slot, real, service, state, reserved: [0; 3] });
        self.events.tell(Told::Remembered(FlowEntry { key: *key, service, real }));
    }

    /// What the daemon does with the flow tables now and then: what is too old goes. Gives service and slot of each of the rest, and the keys
    /// of what has gone.
    pub(crate) fn sweep(&mut self, now_ms: u64) -> (HashSet<(u16, u32)>, Vec<FlowKey>) {
        let mut gone = Vec::new();
        self.flows.retain(|key, flow| {
            let timeout_ms = match flow.state {
                FLOW_OPEN => IDLE_MS,
                FLOW_FIN => FIN_MS,
                _ => 1_000,
            };
            let stays = flow.last_seen_ns + timeout_ms > now_ms;
            gone.extend((!stays).then_some(*key));
            stays
        });
        self.half_open.retain(|key, entry| {
            let stays = entry.began_ns + HANDSHAKE_TIMEOUT_MS > now_ms;
            gone.extend((!stays).then_some(*key));
            stays
        });
        let remembered = self.flows.values().map(|flow| (flow.service, flow.slot));
        let in_use = remembered.chain(self.half_open.values().map(|entry| (entry.service, entry.slot))).collect();
        // As the kernel hands them out, whatever the hasher: a run follows from its seed.
        gone.sort_unstable_by_key(|key| (key.client, key.service.port, key.service.protocol));
        (in_use, gone)
    }
}

fn index_of(hash: u32, slots: usize) -> usize {
    ((u64::from(hash) * slots as u64) >> 32) as usize
}

/// The service of the packet's destination.
pub(crate) fn service_of(rows: &Rows, key: &FlowKey) -> Option<ServiceValue> {
    let service = key.service;
    if let Some(&found) = rows.services.get(&service) {
        return Some(found);
    }
    let vip = VipKey { address: service.vip, family: service.family, reserved: [0; 3] };
    let has_ranges = rows.vips.get(&vip)?.flags & VIP_HAS_PORT_RANGES != 0;
    let lookup = |bits: u32| {
        let block = ((u32::from(service.port) >> (16 - bits)) << (16 - bits)) as u16;
        let port = block.to_be_bytes();
        let key = PortRangeKey { vip: service.vip, family: service.family, protocol: service.protocol, port };
        rows.port_ranges.get(&(bits, key)).copied()
    };
    (0..=16).rev().filter(|_| has_ranges).find_map(lookup)
}

#[derive(Clone, Copy)]
struct Place {
    service: u16,
    slot: u32,
    now_ms: u64,
}

fn next_state(state: u16, packet: Packet) -> u16 {
    match packet {
        Packet::Rst => FLOW_RST,
        Packet::Fin => FLOW_FIN,
        _ if state == FLOW_RST => FLOW_OPEN,
        _ => state,
    }
}
