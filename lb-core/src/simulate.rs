//! What the XDP program would do with a packet (docs/reference/forwarding.md, sections 4, 5, 9, 13 and 15), without a packet and
//! without the changes that one makes to the flow table. Of whole TCP, UDP and SCTP packets that fit every tunnel.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use lb_common::{
    ACCESS_DENY, ACCESS_FIXED_BITS, AccessKey, DropReason, Event, FALLBACK_RESET, FLOW_OPEN, FlowKey, FlowValue,
    GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE, Guard, HalfOpenValue, MODE_GUE, MODE_IPIP,
    NAT_VIP_PREFIXES, NO_REAL, PROTOCOL_TCP, PortRangeKey, REAL_ALIVE, REAL_HOT, REAL_RESOLVED, RealValue,
    SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET, SLOT_CLEAN, SLOT_MARKED, ServiceKey, ServiceValue, Slot,
    SourceKey, SourceValue, VIP_HAS_PORT_RANGES, VipKey, VipPrefixKey, VipValue, flow_hash, hash::one_packet_hash,
    second_hash, slot_of,
};

use crate::{
    api::FoundBy,
    rows::{Rows, address_bytes, address_of},
    service::leading,
};

/// What the tables of flows have of a flow, and what counters and clock say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The entry of [`Keys::flow`] in the flow table.
    pub flow: Option<FlowValue>,
    /// Its entry among the half-open flows.
    pub half_open: Option<HalfOpenValue>,
    /// The entry of [`Keys::source`] among the sources.
    pub source: Option<SourceValue>,
    /// The clock of the sources, in nanoseconds.
    pub now_ns: u64,
    /// Packets that the service has been sent by the CPU that sees the packet.
    pub count: u64,
}

/// Under what the tables have what they know of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// In the flow tables: of its flow, or of its client where the service has affinity.
    pub flow: FlowKey,
    /// Among the sources whose new flows are limited.
    pub source: Option<SourceKey>,
    /// The service whose ring it goes by.
    pub ring: Option<u32>,
}

/// What becomes of a packet.
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
    /// Hash of the flow, of the client or of the packet: whatever has a slot.
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

/// Under what the tables have what they know of a packet of the flow `key`.
#[must_use]
pub fn keys(rows: &Rows, key: &FlowKey) -> Keys {
    let plain = Keys { flow: *key, source: None, ring: None };
    let service = lookup(rows, &key.service).and_then(|found| service_of(rows, &found));
    let Some(service) = service else { return plain };
    let guard = guard_of(rows, service).filter(|guard| guard.flags & GUARD_RATE != 0);
    let source = guard.map(|guard| SourceKey {
        service: service.id,
        address: leading_bytes(&key.client, key.service.family, guard.source_bits),
    });
    let plain = Keys { source, ring: Some(service.id), ..plain };
    if service.flags & SERVICE_AFFINITY == 0 {
        return plain;
    }
    let options = rows.service_options.get(&service.id).copied().unwrap_or_default();
    let family = key.service.family;
    let flow = FlowKey {
        client: leading_bytes(&key.client, family, options.affinity_bits),
        service: ServiceKey {
            vip: options.vip,
            port: options.affinity_port,
            protocol: options.affinity_protocol,
            family,
        },
        client_port: options.affinity_client_port,
        reserved: 0,
    };
    Keys { flow, ring: Some(options.affinity_service), ..plain }
}

fn leading_bytes(address: &[u8; 16], family: u8, bits: u8) -> [u8; 16] {
    address_of(address, family).map_or(*address, |address| address_bytes(leading(address, bits)).0)
}

fn guard_of(rows: &Rows, service: ServiceValue) -> Option<&Guard> {
    rows.guards.get(&service.id).filter(|_| service.flags & SERVICE_GUARDED != 0)
}

/// Decides for a packet of the flow `key`. `syn`: TCP with SYN and without ACK; else without SYN, FIN and RST. `known` is by [`keys`].
#[must_use]
pub fn decide(rows: &Rows, key: &FlowKey, syn: bool, known: &Known) -> Decision {
    let Keys { flow, ring, .. } = keys(rows, key);
    let start = Decision {
        service: None,
        hash: flow_hash(&flow),
        slot: None,
        found_by: None,
        real: NO_REAL,
        fate: Fate::NoService,
    };
    let Some(found) = lookup(rows, &key.service) else { return Decision { fate: Fate::NoVip, ..start } };
    let Some((service, ring)) = service_of(rows, &found).zip(ring) else {
        return Decision { fate: found.unclaimed, ..start };
    };
    let start = Decision { service: Some(service), ..start };
    if let Some(reason) = guard_of(rows, service).and_then(|guard| refused(rows, guard, service.id, key, syn, known)) {
        return Decision { fate: Fate::Drop(reason), ..start };
    }
    let start = Decision { fate: Fate::Drop(DropReason::NoRing), ..start };
    let Some(ring) = rows.rings.get(&ring) else { return start };
    let one_packet = service.flags & SERVICE_ONE_PACKET != 0;
    let hash = if one_packet { one_packet_hash(start.hash, known.count) } else { start.hash };
    let index = slot_of(hash);
    let Some(slot) = ring.get(index as usize).copied() else { return start };
    let second = ring.get(slot_of(second_hash(hash)) as usize);
    let packet = Packet { rows, key, service, syn, known, second };
    let (real, found_by) = if one_packet { (slot.real, FoundBy::OnePacket) } else { packet.real(slot) };
    let fate = packet.fate(real);
    Decision { hash, slot: Some((index, slot)), found_by: Some(found_by), real, fate, ..start }
}

/// Why the guards drop the packet, if they do.
fn refused(rows: &Rows, guard: &Guard, service: u32, key: &FlowKey, syn: bool, known: &Known) -> Option<DropReason> {
    if guard.flags & GUARD_ACCESS != 0 {
        let listed = access(rows, service, address_of(&key.client, key.service.family)?);
        let others = guard.flags & GUARD_LISTED_ONLY != 0;
        if listed.map_or(others, |verdict| verdict == ACCESS_DENY) {
            return Some(DropReason::AccessDenied);
        }
    }
    let is_limited = guard.flags & GUARD_RATE != 0 && syn;
    let due_ns = known.source.map_or(known.now_ns, |source| source.due_ns.max(known.now_ns));
    (is_limited && due_ns - known.now_ns > guard.burst_ns).then_some(DropReason::RateLimited)
}

/// What the longest prefix says that the address is in.
fn access(rows: &Rows, service: u32, source: IpAddr) -> Option<u32> {
    let bits = if source.is_ipv4() { 32 } else { 128 };
    (0..=bits).rev().find_map(|length: u8| {
        let (address, _) = address_bytes(leading(source, length));
        let key = AccessKey { service: service.to_be_bytes(), address };
        rows.access.get(&(ACCESS_FIXED_BITS + u32::from(length), key)).copied()
    })
}

/// How a destination that is a VIP finds its service.
struct Lookup {
    /// Under what its service is looked up.
    key: ServiceKey,
    has_port_ranges: bool,
    /// What becomes of a packet that none claims.
    unclaimed: Fate,
}

/// Section 15: services of a VIP that is a whole prefix are under its row's VIP.
fn lookup(rows: &Rows, key: &ServiceKey) -> Option<Lookup> {
    let vip = VipKey { address: key.vip, family: key.family, reserved: [0; 3] };
    let has_port_ranges = |vip: &VipValue| vip.flags & VIP_HAS_PORT_RANGES != 0;
    if let Some(vip) = rows.vips.get(&vip) {
        return Some(Lookup { key: *key, has_port_ranges: has_port_ranges(vip), unclaimed: Fate::NoService });
    }
    let address = address_of(&key.vip, key.family).filter(|_| rows.nat.flags & NAT_VIP_PREFIXES != 0)?;
    let row = |length: u8| {
        let (address, family) = address_bytes(leading(address, length));
        rows.vip_prefixes.get(&(length.into(), VipPrefixKey { family, reserved: [0; 3], address }))
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let row = (0..=bits).rev().find_map(row)?;
    Some(Lookup {
        key: ServiceKey { vip: row.vip, ..*key },
        has_port_ranges: has_port_ranges(&row.value),
        unclaimed: Fate::Drop(DropReason::NoService),
    })
}

/// The service of a destination: that of its port, else the narrowest range.
fn service_of(rows: &Rows, Lookup { key, has_port_ranges, .. }: &Lookup) -> Option<ServiceValue> {
    let range = |bits: u32| {
        let port = key.port & u16::MAX.checked_shl(16 - bits).unwrap_or(0);
        let block = PortRangeKey { vip: key.vip, family: key.family, protocol: key.protocol, port: port.to_be_bytes() };
        rows.port_ranges.get(&(bits, block))
    };
    let range = || if *has_port_ranges { (0..=16).rev().find_map(range) } else { None };
    rows.services.get(key).or_else(range).copied()
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
        if self.begins() {
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

    /// A packet that begins a flow: a SYN, but for clients that are remembered whole, and under a SYN flood, when none is noted.
    fn begins(&self) -> bool {
        let is_flooded = || guard_of(self.rows, self.service).is_some_and(|guard| guard.flags & GUARD_FLOOD != 0);
        self.syn && !self.has_affinity() && !is_flooded()
    }

    fn has_affinity(&self) -> bool {
        self.service.flags & SERVICE_AFFINITY != 0
    }

    /// The service in what the tables have.
    fn noted_service(&self) -> u32 {
        let options = self.rows.service_options.get(&self.service.id).filter(|_| self.has_affinity());
        options.map_or(self.service.id, |options| options.affinity_service)
    }

    fn remembered(&self) -> Option<(u16, FoundBy)> {
        let is_usable =
            |real: u16, service: u16| u32::from(service) == self.noted_service() && self.has(real, REAL_ALIVE);
        if let Some(flow) = &self.known.flow
            && !(self.begins() && flow.state != FLOW_OPEN)
            && is_usable(flow.real, flow.service)
        {
            return Some((flow.real, FoundBy::FlowTable));
        }
        let has_half_open = self.key.service.protocol == PROTOCOL_TCP && !self.has_affinity();
        let half = self.known.half_open.as_ref().filter(|_| has_half_open)?;
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
        let tunnels = matches!(self.service.mode, MODE_IPIP | MODE_GUE) && family == lb_common::FAMILY_V4;
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
