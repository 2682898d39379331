//! Fills a [`State`] the way a test thinks of it: VIPs, services, reals, slots, flows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use lb_common::{
    AccessKey, FAMILY_V4, FAMILY_V6, FlowKey, FlowValue, GUE_PORT, HalfOpenValue, MAX_QUIC_SERVER_ID, NAT_VIP_PREFIXES,
    NO_REAL, PortRangeKey, QuicKey, QuicServerKey, REAL_ALIVE, REAL_RESOLVED, RING_SLOTS, RealValue, SLOT_CLEAN,
    SLOT_MARKED, SLOT_REMEMBERS, ServiceKey, ServiceValue, Slot, SourceKey, SourceValue, VIP_HAS_PORT_RANGES, VipKey,
    VipPrefixKey, VipValue,
};

use crate::model::{QuicRow, State, flow_hash, second_hash, slot_of};

/// The ports of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// One port.
    Single(u16),
    /// From the first to the second, both within.
    Range(u16, u16),
    /// Any port.
    Any,
}

impl State {
    /// Adds a service, and its VIP where it is new. It has no ring yet.
    pub fn add_service(&mut self, id: u32, vip: IpAddr, protocol: u8, ports: Ports, mode: u8) {
        let (address, family) = address_of(vip);
        let flags = self.add_ports(id, vip, protocol, ports, mode);
        let vip_value = self.vips.entry(VipKey { address, family, reserved: [0; 3] }).or_insert(VipValue { flags: 0 });
        vip_value.flags |= flags;
    }

    /// Adds a service of a whole prefix, given by its first address and length, and the prefix where it is new. It has no ring yet.
    pub fn add_prefix_service(&mut self, id: u32, prefix: (IpAddr, u32), protocol: u8, ports: Ports, mode: u8) {
        let flags = self.add_ports(id, prefix.0, protocol, ports, mode);
        self.add_prefix(prefix, flags);
    }

    /// Adds a VIP that is a whole prefix, given by its first address and length, and these flags to those that it may have.
    pub fn add_prefix(&mut self, (first, bits): (IpAddr, u32), flags: u32) {
        let (address, family) = address_of(first);
        let row = self.vip_prefixes.entry((bits, VipPrefixKey { family, reserved: [0; 3], address })).or_default();
        row.vip = address;
        row.value.flags |= flags;
        self.nat.flags |= NAT_VIP_PREFIXES;
    }

    /// Adds a service to the ports of an address, and returns the flags that its VIP has for it.
    fn add_ports(&mut self, id: u32, vip: IpAddr, protocol: u8, ports: Ports, mode: u8) -> u32 {
        let (vip, family) = address_of(vip);
        let value = ServiceValue { id, mode, ..ServiceValue::default() };
        let blocks = match ports {
            Ports::Single(port) => {
                self.services.insert(ServiceKey { vip, port, protocol, family }, value);
                return 0;
            }
            Ports::Range(first, last) => port_blocks(first, last),
            Ports::Any => port_blocks(0, u16::MAX),
        };
        for (bits, port) in blocks {
            let key = PortRangeKey { vip, family, protocol, port: port.to_be_bytes() };
            self.port_ranges.insert((bits, key), value);
        }
        VIP_HAS_PORT_RANGES
    }

    /// Has a service's connection ids of a config read by this row.
    pub fn add_quic(&mut self, service: u32, config: u32, row: QuicRow) {
        self.quic.insert(QuicKey { service, config }, row);
        self.service_options.entry(service).or_default().quic |= 1 << config;
    }

    /// Gives a real a server id of a service.
    pub fn add_quic_server(&mut self, service: u32, id: &[u8], real: u32) {
        self.quic_servers.insert(quic_server_key(service, id), real);
    }

    /// Sets the flags of a service in all its rows.
    pub fn set_flags(&mut self, service: u32, flags: u8) {
        for row in self.services.values_mut().chain(self.port_ranges.values_mut()).filter(|row| row.id == service) {
            row.flags = flags;
        }
    }

    /// Allows or denies a service's packets from a prefix.
    pub fn add_access(&mut self, service: u32, prefix: (IpAddr, u32), verdict: u32) {
        let address = address_of(prefix.0).0;
        self.access.insert((prefix.1, AccessKey { service: service.to_be_bytes(), address }), verdict);
    }

    /// Gives a service a ring of which every slot is `slot`.
    pub fn fill_ring(&mut self, service: u32, slot: Slot) {
        self.rings.insert(service, vec![slot; RING_SLOTS as usize].into());
    }

    /// Changes the one slot of a service's ring that a flow falls into. The service must have a ring.
    pub fn set_slot_of(&mut self, service: u32, key: &FlowKey, slot: Slot) {
        self.set_slot(service, index_of(key), slot);
    }

    /// Changes a flow's second slot in a service's ring. The service must have a ring.
    pub fn set_second_slot_of(&mut self, service: u32, key: &FlowKey, slot: Slot) {
        self.set_slot(service, slot_of(second_hash(flow_hash(key))), slot);
    }

    fn set_slot(&mut self, service: u32, index: u32, slot: Slot) {
        if let Some(ring) = self.rings.get_mut(&service) {
            Arc::make_mut(ring)[index as usize] = slot;
        }
    }

    /// Puts a flow into `flows`.
    pub fn put_flow(&mut self, key: FlowKey, service: u32, real: u16, state: u16) {
        let value =
            FlowValue { last_seen_ns: 1, slot: index_of(&key), real, service: service as u16, state, reserved: [0; 3] };
        self.effects.flows.insert(key, value);
    }

    /// Says when a source's next flow would be due. `address` is all of the key's.
    pub fn put_source(&mut self, service: u32, address: IpAddr, due_ns: u64) {
        self.effects.sources.insert(source_key(service, address), SourceValue { due_ns });
    }

    /// Puts a flow into `half_open`.
    pub fn put_half_open(&mut self, key: FlowKey, service: u32, real: u16) {
        let value = HalfOpenValue { began_ns: 1, slot: index_of(&key), real, service: service as u16 };
        self.effects.half_open.insert(key, value);
    }
}

/// A slot whose flows all go to `real`.
#[must_use]
pub const fn clean(real: u16) -> Slot {
    Slot { real, previous: NO_REAL, state: SLOT_CLEAN, reserved: 0 }
}

/// A slot that has been moved from `previous` to `real` and remembers.
#[must_use]
pub const fn remembers(real: u16, previous: u16) -> Slot {
    Slot { real, previous, state: SLOT_REMEMBERS, reserved: 0 }
}

/// A slot that is only marked.
#[must_use]
pub const fn marked(real: u16) -> Slot {
    Slot { real, previous: NO_REAL, state: SLOT_MARKED, reserved: 0 }
}

/// A real that is alive and whose next hop is known. Its MACs and its tunnel source follow from its address.
#[must_use]
pub fn real(address: IpAddr, ifindex: u32, mtu: u32) -> RealValue {
    let (bytes, family) = address_of(address);
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    RealValue {
        address: bytes,
        tunnel_source: address_of(tunnel_source(family)).0,
        next_hop_mac: [0x02, 0, 0, 0, 1, last],
        source_mac: [0x02, 0, 0, 0, 2, last],
        ifindex,
        mtu,
        flags: REAL_ALIVE | REAL_RESOLVED,
        family,
        source_bits: 0,
        gue_port: GUE_PORT,
        reserved: [0; 4],
    }
}

/// Where tunnels begin.
#[must_use]
pub fn tunnel_source(family: u8) -> IpAddr {
    match family {
        FAMILY_V4 => Ipv4Addr::new(198, 51, 100, 254).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0xfe).into(),
    }
}

/// The key of a flow. Panics on addresses of two families.
#[must_use]
pub fn flow_key(client: (IpAddr, u16), vip: (IpAddr, u16), protocol: u8) -> FlowKey {
    let (address, family) = address_of(vip.0);
    assert_eq!(address_of(client.0).1, family, "client and VIP are of one family");
    let service = ServiceKey { vip: address, port: vip.1, protocol, family };
    FlowKey { client: address_of(client.0).0, service, client_port: client.1, reserved: 0 }
}

/// The key of a source whose new flows are limited.
#[must_use]
pub fn source_key(service: u32, address: IpAddr) -> SourceKey {
    SourceKey { service, address: address_of(address).0 }
}

/// The key of a server id, which has 15 bytes at most.
#[must_use]
pub fn quic_server_key(service: u32, id: &[u8]) -> QuicServerKey {
    let mut bytes = [0; MAX_QUIC_SERVER_ID];
    bytes[..id.len()].copy_from_slice(id);
    QuicServerKey { service, length: id.len() as u8, id: bytes }
}

/// The slot that a flow falls into.
#[must_use]
pub fn index_of(key: &FlowKey) -> u32 {
    slot_of(flow_hash(key))
}

/// An address as the maps hold it, and its family.
#[must_use]
pub fn address_of(address: IpAddr) -> ([u8; 16], u8) {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            (bytes, FAMILY_V4)
        }
        IpAddr::V6(address) => (address.octets(), FAMILY_V6),
    }
}

/// The fewest aligned blocks that make up a range: (leading bits that count, first port).
fn port_blocks(first: u16, last: u16) -> Vec<(u32, u16)> {
    let mut blocks = Vec::new();
    let mut port = u32::from(first);
    while port <= u32::from(last) {
        let mut bits = 16;
        while bits > 0 && port % (1 << (17 - bits)) == 0 && port + (1 << (17 - bits)) - 1 <= u32::from(last) {
            bits -= 1;
        }
        blocks.push((bits, port as u16));
        port += 1 << (16 - bits);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_their_range_and_nothing_else() {
        assert_eq!(port_blocks(0, u16::MAX), [(0, 0)]);
        assert_eq!(port_blocks(80, 80), [(16, 80)]);
        assert_eq!(port_blocks(8000, 8010), [(13, 8000), (15, 8008), (16, 8010)]);
        for (first, last) in [(1, 65_535), (0, 1), (1_023, 1_025), (65_535, 65_535), (3, 40_000)] {
            let blocks = port_blocks(first, last);
            assert!(blocks.len() <= 30);
            for port in 0..=u16::MAX {
                let within = blocks.iter().filter(|(bits, start)| (port ^ start).leading_zeros() >= *bits).count();
                assert_eq!(within == 1, (first..=last).contains(&port), "{port} in {first}-{last}");
            }
        }
    }

    #[test]
    fn a_slot_is_set_where_its_flow_falls() {
        let key = flow_key(([203, 0, 113, 1].into(), 5), ([192, 0, 2, 1].into(), 80), 6);
        let mut state = State::new(crate::model::Limits { max_reals: 4, max_flows: 4, flow_events_size: 4_096 });
        state.fill_ring(3, clean(1));
        state.set_slot_of(3, &key, marked(2));
        let changed: Vec<_> = state.rings[&3].iter().enumerate().filter(|(_, slot)| **slot != clean(1)).collect();
        assert_eq!(changed, [(index_of(&key) as usize, &marked(2))]);
    }
}
