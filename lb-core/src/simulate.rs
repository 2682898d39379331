//! What the XDP program would do with a packet (docs/reference/forwarding.md, sections 4, 5 and 9), without a packet and
//! without the changes that one makes to the flow table. Of whole TCP and UDP packets that fit every tunnel.

#[cfg(test)]
mod tests;

use lb_common::{
    DropReason, Event, FALLBACK_RESET, FLOW_OPEN, FlowKey, FlowValue, HalfOpenValue, MODE_IPIP, NO_REAL, PROTOCOL_TCP,
    PortRangeKey, REAL_ALIVE, REAL_HOT, REAL_RESOLVED, RealValue, SLOT_CLEAN, SLOT_MARKED, ServiceKey, ServiceValue,
    Slot, VipKey, flow_hash, second_hash, slot_of,
};

use crate::{api::FoundBy, rows::Rows};

/// What the tables of flows have of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its entry in the flow table.
    pub flow: Option<FlowValue>,
    /// Its entry among the half-open flows.
    pub half_open: Option<HalfOpenValue>,
}

/// What would become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent to the real.
    Forward,
    /// The kernel gets it: its destination is no VIP.
    NoVip,
    /// The kernel gets it: no service has the VIP's port.
    NoService,
    /// It is answered, and this is counted.
    Answer(Event),
    /// It is dropped.
    Drop(DropReason),
}

/// The way that a packet would take, as far as it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The service.
    pub service: Option<ServiceValue>,
    /// Hash of the flow.
    pub hash: u32,
    /// Index of its slot, and the slot.
    pub slot: Option<(u32, Slot)>,
    /// How the real was found.
    pub found_by: Option<FoundBy>,
    /// The real's id; [`NO_REAL`] where there is none.
    pub real: u16,
    /// What becomes of it.
    pub fate: Fate,
}

/// Decides for a packet of the flow `key`. `syn`: TCP with SYN and without ACK; else without SYN, FIN and RST.
#[must_use]
pub fn decide(rows: &Rows, key: &FlowKey, syn: bool, known: &Known) -> Decision {
    let start = Decision {
        service: None,
        hash: flow_hash(key),
        slot: None,
        found_by: None,
        real: NO_REAL,
        fate: Fate::NoService,
    };
    let vip = VipKey { address: key.service.vip, family: key.service.family, reserved: [0; 3] };
    if !rows.vips.contains_key(&vip) {
        return Decision { fate: Fate::NoVip, ..start };
    }
    let Some(service) = service_of(rows, &key.service) else { return start };
    let start = Decision { service: Some(service), fate: Fate::Drop(DropReason::NoRing), ..start };
    let Some(ring) = rows.rings.get(&service.id) else { return start };
    let index = slot_of(start.hash);
    let Some(slot) = ring.get(index as usize).copied() else { return start };
    let packet = Packet { rows, key, service, syn, known, second: ring.get(slot_of(second_hash(start.hash)) as usize) };
    let (real, found_by) = packet.real(slot);
    let fate = packet.fate(real);
    Decision { slot: Some((index, slot)), found_by: Some(found_by), real, fate, ..start }
}

/// The service of a destination: that of its port, else the narrowest range.
fn service_of(rows: &Rows, key: &ServiceKey) -> Option<ServiceValue> {
    let range = |bits: u32| {
        let port = key.port & u16::MAX.checked_shl(16 - bits).unwrap_or(0);
        let block = PortRangeKey { vip: key.vip, family: key.family, protocol: key.protocol, port: port.to_be_bytes() };
        rows.port_ranges.get(&(bits, block))
    };
    rows.services.get(key).or_else(|| (0..=16).rev().find_map(range)).copied()
}

/// A packet whose service is found.
struct Packet<'a> {
    rows: &'a Rows,
    key: &'a FlowKey,
    service: ServiceValue,
    syn: bool,
    known: &'a Known,
    second: Option<&'a Slot>,
}

impl Packet<'_> {
    /// The decision of section 4.
    fn real(&self, slot: Slot) -> (u16, FoundBy) {
        if slot.state == SLOT_CLEAN {
            return (slot.real, FoundBy::Slot);
        }
        if let Some(found) = self.remembered() {
            return found;
        }
        if self.syn {
            return self.begun(slot);
        }
        if slot.state == SLOT_MARKED {
            return (slot.real, FoundBy::Marked);
        }
        if self.has(slot.previous, REAL_ALIVE) {
            (slot.previous, FoundBy::Previous)
        } else {
            (slot.real, FoundBy::Moved)
        }
    }

    fn remembered(&self) -> Option<(u16, FoundBy)> {
        let is_usable = |real: u16, service: u16| u32::from(service) == self.service.id && self.has(real, REAL_ALIVE);
        if let Some(flow) = &self.known.flow
            && !(self.syn && flow.state != FLOW_OPEN)
            && is_usable(flow.real, flow.service)
        {
            return Some((flow.real, FoundBy::FlowTable));
        }
        let half = self.known.half_open.as_ref().filter(|_| self.key.service.protocol == PROTOCOL_TCP)?;
        is_usable(half.real, half.service).then_some((half.real, FoundBy::HalfOpen))
    }

    fn begun(&self, slot: Slot) -> (u16, FoundBy) {
        let can_share = |second: u16| self.has(second, REAL_ALIVE | REAL_RESOLVED) && !self.has(second, REAL_HOT);
        match self.second {
            Some(second) if self.has(slot.real, REAL_ALIVE | REAL_HOT) && can_share(second.real) => {
                (second.real, FoundBy::SecondSlot)
            }
            _ if slot.state == SLOT_MARKED => (slot.real, FoundBy::Marked),
            _ => (slot.real, FoundBy::Moved),
        }
    }

    /// Sections 5 and 9.
    fn fate(&self, real: u16) -> Fate {
        if real == NO_REAL {
            let options = self.rows.service_options.get(&self.service.id);
            let resets = options.is_some_and(|options| options.fallback == FALLBACK_RESET);
            let is_tcp = self.key.service.protocol == PROTOCOL_TCP;
            return if resets && is_tcp { Fate::Answer(Event::ResetAnswered) } else { Fate::Drop(DropReason::NoReal) };
        }
        let Some(row) = self.row(real) else { return Fate::Drop(DropReason::RealDown) };
        if row.flags & REAL_ALIVE == 0 {
            return Fate::Drop(DropReason::RealDown);
        }
        let family = self.key.service.family;
        let tunnels = self.service.mode == MODE_IPIP && family == lb_common::FAMILY_V4;
        if row.family != family && !tunnels {
            return Fate::Drop(DropReason::FamilyMismatch);
        }
        if row.flags & REAL_RESOLVED == 0 { Fate::Drop(DropReason::NoNextHop) } else { Fate::Forward }
    }

    fn row(&self, real: u16) -> Option<&RealValue> {
        self.rows.reals.get(&real).filter(|_| real != NO_REAL)
    }

    fn has(&self, real: u16, flags: u32) -> bool {
        self.row(real).is_some_and(|row| row.flags & flags == flags)
    }
}
