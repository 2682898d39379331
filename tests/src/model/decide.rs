//! Section 4: service, slot, and the decision which real a packet goes to.

use lb_common::{
    DropReason, Event, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, FlowValue, FragmentKey, HalfOpenValue, NO_REAL,
    PROTOCOL_TCP, REAL_RESOLVED, SLOT_CLEAN, SLOT_MARKED, ServiceKey, ServiceValue, Slot,
};

use super::guard::is_one_packet;
use super::parse::{Packet, be16};
use super::send::{Kind, Target};
use super::tell::Told;
use super::{Branch, End, Outcome, State, flow_hash, second_hash, slot_of};

pub(super) const TCP_FIN: u8 = 0x01;
pub(super) const TCP_SYN: u8 = 0x02;
pub(super) const TCP_RST: u8 = 0x04;
pub(super) const TCP_ACK: u8 = 0x10;

/// A packet's flow or its client, and where it stands in the service's ring.
pub(super) struct Place {
    pub key: FlowKey,
    /// Whose ring it is.
    pub service: ServiceValue,
    pub index: u32,
    pub slot: Slot,
    /// The key is a client's: section 13, "Affinity".
    pub is_client: bool,
}

impl Place {
    /// Whether there are TCP flags and half-open flows.
    pub fn is_tcp(&self) -> bool {
        !self.is_client && self.key.service.protocol == PROTOCOL_TCP
    }
}

impl State {
    /// A TCP, UDP or SCTP packet that is not a later fragment.
    pub(super) fn flow(
        &mut self,
        packet: &Packet,
        flags: u8,
        first_fragment: Option<FragmentKey>,
        ingress: u32,
        now: u64,
    ) -> Result<Outcome, End> {
        let ports = packet.transport_bytes();
        let service = ServiceKey {
            vip: packet.destination,
            port: be16(ports, 2),
            protocol: packet.protocol,
            family: packet.family,
        };
        let key = FlowKey { client: packet.source, service, client_port: be16(ports, 0), reserved: 0 };
        let service = self.service(&key.service).ok_or(End::PassForVip)?;
        let syn = packet.protocol == PROTOCOL_TCP && is_syn(flags);
        self.guard(&key, service, syn)?;
        let named = self.quic_real(packet, service);
        let Some(real) = named.or_else(|| self.real_of(key, service, flags, now)) else {
            self.saw(Branch::RingMissing);
            return Err(End::Drop(DropReason::NoRing));
        };
        let target = Target { service: service.id, mode: service.mode, real };
        self.send(packet, target, Kind::Flow { flags, first_fragment }, ingress)
    }

    /// The real of a packet; nothing where the service has no ring.
    fn real_of(&mut self, key: FlowKey, service: ServiceValue, flags: u8, now: u64) -> Option<u16> {
        if is_one_packet(service) {
            return self.one_packet(&key, service);
        }
        let place = self.place_of(key, service)?;
        let syn = key.service.protocol == PROTOCOL_TCP && is_syn(flags);
        if self.goes_unnoted(&place, service, syn) {
            return Some(self.decide_reading(&place));
        }
        Some(self.decide(&place, flags, now))
    }

    /// The slot of a flow; nothing where the service has no ring.
    pub(super) fn place(&mut self, key: FlowKey, service: ServiceValue) -> Option<Place> {
        let index = slot_of(flow_hash(&key));
        let slot = self.rings.get(&service.id)?[index as usize];
        self.last_place = Some((key, slot));
        Some(Place { key, service, index, slot, is_client: false })
    }

    /// The decision, step by step as on the page.
    fn decide(&mut self, place: &Place, flags: u8, now: u64) -> u16 {
        let tcp = place.is_tcp();
        let syn = tcp && is_syn(flags);
        let rst = tcp && flags & TCP_RST != 0;
        // 1
        if place.slot.state == SLOT_CLEAN {
            self.saw(Branch::SlotClean);
            return place.slot.real;
        }
        self.saw(if place.slot.state == SLOT_MARKED { Branch::SlotMarked } else { Branch::SlotRemembers });
        // 2
        if let Some(real) = self.decide_by_flow(place, flags, syn, now) {
            return real;
        }
        // 3
        if tcp && let Some(real) = self.decide_by_half_open(place, flags, syn, rst, now) {
            return real;
        }
        // 4
        if syn && let Some(real) = self.decide_by_second_slot(place, now) {
            return real;
        }
        // 5
        if place.slot.state == SLOT_MARKED {
            self.saw(Branch::MarkedMiss);
            return place.slot.real;
        }
        // 6
        if syn {
            return self.decide_syn(place, now);
        }
        // 7
        self.decide_older(place, flags, rst, now)
    }

    fn decide_by_flow(&mut self, place: &Place, flags: u8, syn: bool, now: u64) -> Option<u16> {
        let Some(entry) = self.effects.flows.get(&place.key).copied() else {
            self.saw(Branch::FlowMiss);
            return None;
        };
        if syn && (entry.state == FLOW_FIN || entry.state == FLOW_RST) {
            self.saw(Branch::FlowReused);
            self.effects.flows.remove(&place.key);
            self.tell(Told::Forgotten, place, NO_REAL);
            return None;
        }
        if u32::from(entry.service) != place.service.id {
            self.saw(Branch::FlowOfAnother);
            self.effects.flows.remove(&place.key);
            self.tell(Told::Forgotten, place, NO_REAL);
            return None;
        }
        if !self.alive(entry.real) {
            self.saw(Branch::FlowRealDead);
            self.effects.flows.remove(&place.key);
            self.tell(Told::Forgotten, place, NO_REAL);
            return None;
        }
        self.saw(Branch::FlowHit);
        let state = self.next_state(entry.state, place, flags);
        self.effects.flows.insert(place.key, FlowValue { last_seen_ns: now, state, ..entry });
        Some(entry.real)
    }

    fn decide_by_half_open(&mut self, place: &Place, flags: u8, syn: bool, rst: bool, now: u64) -> Option<u16> {
        let entry = self.effects.half_open.get(&place.key).copied()?;
        if u32::from(entry.service) != place.service.id {
            self.saw(Branch::HalfOpenOfAnother);
            self.effects.half_open.remove(&place.key);
            self.tell(Told::GivenUp, place, NO_REAL);
            return None;
        }
        if !self.alive(entry.real) {
            self.saw(Branch::HalfOpenRealDead);
            self.effects.half_open.remove(&place.key);
            self.tell(Told::GivenUp, place, NO_REAL);
            return None;
        }
        if syn {
            self.saw(Branch::HalfOpenSyn);
            self.effects.half_open.insert(place.key, HalfOpenValue { began_ns: now, ..entry });
            return Some(entry.real);
        }
        self.effects.half_open.remove(&place.key);
        if rst {
            self.saw(Branch::HalfOpenRst);
            self.tell(Told::GivenUp, place, NO_REAL);
        } else {
            self.saw(Branch::HalfOpenGoesOn);
            self.remember(place, entry.real, flags, now);
        }
        Some(entry.real)
    }

    fn decide_by_second_slot(&mut self, place: &Place, now: u64) -> Option<u16> {
        if !self.hot(place.slot.real) {
            return None;
        }
        let second = slot_of(second_hash(flow_hash(&place.key)));
        let real = self.rings[&place.service.id][second as usize].real;
        if !self.alive(real) {
            self.saw(Branch::SecondDead);
            return None;
        }
        if self.hot(real) {
            self.saw(Branch::SecondHot);
            return None;
        }
        if self.real(real).is_none_or(|row| row.flags & REAL_RESOLVED == 0) {
            self.saw(Branch::SecondUnresolved);
            return None;
        }
        let marked = place.slot.state == SLOT_MARKED;
        self.saw(if marked { Branch::DivertedMarked } else { Branch::DivertedRemembers });
        self.write_half_open(place, real, now);
        self.event(Event::HotDiverted);
        Some(real)
    }

    fn decide_syn(&mut self, place: &Place, now: u64) -> u16 {
        let real = place.slot.real;
        if self.alive(real) {
            self.saw(Branch::SynHalfOpen);
            self.write_half_open(place, real, now);
        } else {
            self.saw(Branch::SynRealDead);
        }
        real
    }

    fn write_half_open(&mut self, place: &Place, real: u16, now: u64) {
        let entry = HalfOpenValue { began_ns: now, slot: place.index, real, service: place.service.id as u16 };
        self.effects.half_open.insert(place.key, entry);
        self.tell(Told::HalfOpen, place, real);
    }

    fn decide_older(&mut self, place: &Place, flags: u8, rst: bool, now: u64) -> u16 {
        let real = if self.alive(place.slot.previous) {
            self.saw(Branch::PreviousAlive);
            place.slot.previous
        } else {
            self.saw(Branch::PreviousDead);
            place.slot.real
        };
        if !self.alive(real) {
            self.saw(Branch::PreviousBothDead);
        } else if rst {
            self.saw(Branch::RstNotRemembered);
        } else {
            if place.is_client {
                self.saw(Branch::ClientRemembered);
            } else if !place.is_tcp() {
                self.saw(Branch::UdpRemembered);
            }
            self.remember(place, real, flags, now);
        }
        real
    }

    /// "Remembered".
    fn remember(&mut self, place: &Place, real: u16, flags: u8, now: u64) {
        let state = self.next_state(FLOW_OPEN, place, flags);
        let known = self.effects.flows.contains_key(&place.key);
        if !known && self.effects.flows.len() >= self.limits.max_flows as usize {
            self.saw(Branch::NotRemembered);
            self.event(Event::FlowTableFull);
            return;
        }
        self.saw(Branch::Remembered);
        self.event(Event::FlowRemembered);
        let service = place.service.id as u16;
        let entry = FlowValue { last_seen_ns: now, slot: place.index, real, service, state, reserved: [0; 3] };
        self.effects.flows.insert(place.key, entry);
        self.tell(Told::Remembered, place, real);
    }

    /// "Next state".
    fn next_state(&mut self, state: u16, place: &Place, flags: u8) -> u16 {
        let tcp = place.is_tcp();
        let (branch, next) = match state {
            _ if tcp && flags & TCP_RST != 0 => (Branch::StateRst, FLOW_RST),
            _ if tcp && flags & TCP_FIN != 0 => (Branch::StateFin, FLOW_FIN),
            FLOW_RST => (Branch::StateReopened, FLOW_OPEN),
            _ => (Branch::StateKept, state),
        };
        self.saw(branch);
        next
    }
}

/// "SYN" of the page: SYN set and ACK clear.
pub(super) fn is_syn(flags: u8) -> bool {
    flags & TCP_SYN != 0 && flags & TCP_ACK == 0
}
