//! What the XDP program's maps shall hold, and the writes that lead from one such state to another.
//!
//! The writes come in an order that is safe for packets in between: nothing is pointed at before it is there, and
//! nothing goes away before it is pointed at no more.

mod diff;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use lb_common::{
    AccessKey, FAMILY_V4, FAMILY_V6, Guard, MAX_SOURCE_BITS, NAT_VIP_PREFIXES, NatPortKey, NatReplyValue, NatState,
    PortRangeKey, QuicKey, QuicServerKey, QuicValue, REAL_RESOLVED, RealValue, SERVICE_AFFINITY, SERVICE_GUARDED,
    SERVICE_ONE_PACKET, SERVICE_QUIC, ServiceKey, ServiceOptions, ServiceValue, Slot, VIP_HAS_PORT_RANGES, VipKey,
    VipPrefixKey, VipPrefixValue, VipValue,
};

pub use diff::diff;

use crate::{
    service::{Ports, Protocol, Service, Tunnel},
    table::NextHop,
};

/// The rows of the maps that configuration and scheduling decide. Maps that the program itself fills are not here.
///
/// Comparing is cheap where nothing has changed: rings that are the same allocation are not looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The map `vips`.
    pub vips: HashMap<VipKey, VipValue>,
    /// The map `vip_prefixes`: under how many leading bits of the address count, and the key's data.
    pub vip_prefixes: HashMap<(u32, VipPrefixKey), VipPrefixValue>,
    /// The map `services`.
    pub services: HashMap<ServiceKey, ServiceValue>,
    /// The map `port_ranges`: under the port's leading bits that the entry fixes (0 to 16), and the key's data.
    pub port_ranges: HashMap<(u32, PortRangeKey), ServiceValue>,
    /// The map `reals` by id, without the rows of ids that no real has.
    pub reals: BTreeMap<u16, RealValue>,
    /// The map `rings` by service id.
    pub rings: BTreeMap<u32, Arc<[Slot]>>,
    /// The map `service_options` by service id, without the rows that are all zero.
    pub service_options: BTreeMap<u32, ServiceOptions>,
    /// The map `guards` by service id, without the rows that are all zero.
    pub guards: BTreeMap<u32, Guard>,
    /// The map `access`: under how many bits of the key's data count, and the data.
    pub access: HashMap<(u32, AccessKey), u32>,
    /// The map `quic`.
    pub quic: HashMap<QuicKey, QuicValue>,
    /// The map `quic_servers`.
    pub quic_servers: HashMap<QuicServerKey, u32>,
    /// The row of the map `nat`.
    pub nat: NatState,
    /// The map `nat_ports`.
    pub nat_ports: HashMap<NatPortKey, u32>,
    /// The map `nat_replies`.
    pub nat_replies: HashMap<ServiceKey, NatReplyValue>,
}

/// One change of the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapWrite {
    /// Sets the row of a real; `None` clears it.
    Real {
        /// The real's id.
        id: u16,
        /// The new row.
        value: Option<RealValue>,
    },
    /// Gives a service a ring, in place of the one that it may have. Services that are given the same allocation may share one.
    NewRing {
        /// The service's id.
        service: u32,
        /// All its slots.
        slots: Arc<[Slot]>,
        /// A service that has this ring already, and may share it.
        like: Option<u32>,
    },
    /// Takes a service's ring away, and with it what the flow tables remember of its flows.
    RemoveRing {
        /// The service's id.
        service: u32,
    },
    /// Changes some slots of a service's ring.
    Slots {
        /// The service's id.
        service: u32,
        /// Index and new value, by rising index. Services that shared a ring and go on doing so have the same allocation.
        changes: Arc<[(u32, Slot)]>,
    },
    /// Sets or removes a VIP.
    Vip {
        /// The VIP.
        key: VipKey,
        /// The new row.
        value: Option<VipValue>,
    },
    /// Sets or removes a VIP that is a whole prefix.
    VipPrefix {
        /// How many leading bits of the address count.
        bits: u32,
        /// The first address.
        key: VipPrefixKey,
        /// The new row.
        value: Option<VipPrefixValue>,
    },
    /// Sets or removes a service of a single port.
    Service {
        /// VIP, port and protocol.
        key: ServiceKey,
        /// The new row.
        value: Option<ServiceValue>,
    },
    /// Sets or removes a block of ports.
    PortRange {
        /// How many leading bits of the port are fixed, 0 to 16.
        bits: u32,
        /// VIP, protocol and first port.
        key: PortRangeKey,
        /// The new row.
        value: Option<ServiceValue>,
    },
    /// Sets a service's options; all zero when it has gone.
    ServiceOptions {
        /// The service's id.
        service: u32,
        /// The new row.
        value: ServiceOptions,
    },
    /// Sets what a service's packets have to pass; all zero when that is nothing, and then its sources are forgotten.
    Guard {
        /// The service's id.
        service: u32,
        /// The new row.
        value: Guard,
    },
    /// Sets or removes a prefix that a service allows or denies.
    Access {
        /// How many bits of the key count.
        bits: u32,
        /// Service and address.
        key: AccessKey,
        /// The new row.
        value: Option<u32>,
    },
    /// Sets or removes how connection ids of a service are read.
    Quic {
        /// Service and config.
        key: QuicKey,
        /// The new row.
        value: Option<QuicValue>,
    },
    /// Sets or removes the real that a server id of a service stands for.
    QuicServer {
        /// Service and server id.
        key: QuicServerKey,
        /// The new row.
        value: Option<u32>,
    },
    /// Says which replies there are.
    Nat {
        /// The new row.
        value: NatState,
    },
    /// Sets or removes the port of a service's real.
    NatPort {
        /// Service and real.
        key: NatPortKey,
        /// The new row.
        value: Option<u32>,
    },
    /// Sets or removes whose replies come from a real's port.
    NatReply {
        /// The real's address, port and protocol.
        key: ServiceKey,
        /// The new row.
        value: Option<NatReplyValue>,
    },
    /// Sets a service's counters to zero: its id has just been handed out.
    ResetServiceCounters {
        /// The service's id.
        service: u32,
    },
    /// Sets a real's counters to zero: its id has just been handed out.
    ResetRealCounters {
        /// The real's id.
        real: u16,
    },
}

impl Rows {
    /// Adds what leads a packet to the service: its VIP, and its port or ports.
    pub(crate) fn add_front(&mut self, service: &Service, id: u32) {
        let value = ServiceValue { id, mode: service.mode.number(), flags: flags(service), ..ServiceValue::default() };
        let vip = self.vip_of(service);
        if !matches!(service.ports, Ports::Single(_)) {
            vip.flags |= VIP_HAS_PORT_RANGES;
        }
        match Front::of(service.vip, service.protocol, service.ports) {
            Front::Single(key) => {
                self.services.insert(key, value);
            }
            Front::Blocks(keys) => self.port_ranges.extend(keys.into_iter().map(|key| (key, value))),
        }
    }

    /// The row of the service's VIP.
    fn vip_of(&mut self, service: &Service) -> &mut VipValue {
        let Some(length) = service.vip_prefix else { return self.vips.entry(vip_key(service.vip)).or_default() };
        self.nat.flags |= NAT_VIP_PREFIXES;
        let (vip, family) = address_bytes(service.vip);
        let key = VipPrefixKey { family, reserved: [0; 3], address: vip };
        let row = VipPrefixValue { vip, value: VipValue::default() };
        &mut self.vip_prefixes.entry((length.into(), key)).or_insert(row).value
    }

    /// The service id to which all rows of a service's front lead; `None` when one is missing or they differ.
    pub(crate) fn id_behind(&self, vip: IpAddr, protocol: Protocol, ports: Ports) -> Option<u32> {
        match Front::of(vip, protocol, ports) {
            Front::Single(key) => self.services.get(&key).map(|value| value.id),
            Front::Blocks(keys) => {
                let mut ids = keys.iter().map(|key| self.port_ranges.get(key).map(|value| value.id));
                let first = ids.next().flatten()?;
                ids.all(|id| id == Some(first)).then_some(first)
            }
        }
    }
}

/// In what a service's packets are treated otherwise than most.
fn flags(service: &Service) -> u8 {
    let flags = [
        (SERVICE_GUARDED, service.guards.is_any()),
        (SERVICE_AFFINITY, service.affinity.is_some()),
        (SERVICE_ONE_PACKET, service.one_packet),
        (SERVICE_QUIC, !service.quic.is_empty()),
    ];
    flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum()
}

/// The keys of the rows that lead to a service.
enum Front {
    Single(ServiceKey),
    Blocks(Vec<(u32, PortRangeKey)>),
}

impl Front {
    fn of(vip: IpAddr, protocol: Protocol, ports: Ports) -> Self {
        let (vip, family) = address_bytes(vip);
        let protocol = protocol.number();
        match ports {
            Ports::Single(port) => Self::Single(ServiceKey { vip, port, protocol, family }),
            ports => {
                let key = |(bits, first): (u32, u16)| {
                    (bits, PortRangeKey { vip, family, protocol, port: first.to_be_bytes() })
                };
                Self::Blocks(ports.prefixes().into_iter().map(key).collect())
            }
        }
    }
}

/// An address as the maps hold it, and its family.
#[must_use]
pub fn address_bytes(address: IpAddr) -> ([u8; 16], u8) {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, FAMILY_V4)
        }
        IpAddr::V6(v6) => (v6.octets(), FAMILY_V6),
    }
}

/// The inverse of [`address_bytes`]; `None` for an unknown family.
#[must_use]
pub fn address_of(bytes: &[u8; 16], family: u8) -> Option<IpAddr> {
    match family {
        FAMILY_V4 => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        FAMILY_V6 => Some(Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

/// The key of a VIP's row.
#[must_use]
pub fn vip_key(vip: IpAddr) -> VipKey {
    let (address, family) = address_bytes(vip);
    VipKey { address, family, reserved: [0; 3] }
}

/// The row of a real: `flags` besides [`REAL_RESOLVED`], which follows from `next_hop`.
pub(crate) fn real_row(real: IpAddr, flags: u32, next_hop: Option<&NextHop>, tunnel: &Tunnel) -> RealValue {
    let (address, family) = address_bytes(real);
    let row = RealValue { address, family, flags, ..RealValue::default() };
    let Some(hop) = next_hop else { return row };
    let prefix = tunnel.source_to(real);
    RealValue {
        tunnel_source: address_bytes(prefix.map_or(hop.tunnel_source, |prefix| prefix.address())).0,
        source_bits: prefix.map_or(0, |prefix| prefix.free_bits().min(MAX_SOURCE_BITS)),
        gue_port: tunnel.gue_port,
        next_hop_mac: hop.next_hop_mac,
        source_mac: hop.source_mac,
        ifindex: hop.ifindex,
        mtu: hop.mtu,
        flags: flags | REAL_RESOLVED,
        ..row
    }
}

/// The next hop that a real's row holds.
pub(crate) fn next_hop_of(row: &RealValue) -> Option<NextHop> {
    let is_resolved = row.flags & REAL_RESOLVED != 0;
    Some(NextHop {
        ifindex: row.ifindex,
        next_hop_mac: row.next_hop_mac,
        source_mac: row.source_mac,
        tunnel_source: address_of(&row.tunnel_source, row.family)?,
        mtu: row.mtu,
    })
    .filter(|_| is_resolved)
}

#[cfg(test)]
mod tests;
