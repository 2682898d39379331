//! The world of the golden packets: one load balancer with its VIPs, services and reals, all with names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use lb_common::{
    FAMILY_V4, FAMILY_V6, FlowKey, FragmentKey, MODE_DSR, MODE_IPIP, PROTOCOL_TCP, PROTOCOL_UDP, REAL_ALIVE,
    REAL_RESOLVED,
};
use lb_tests::model::{Limits, State};
use lb_tests::packet::{Ipv4, Ipv6, Layer, Packet};
use lb_tests::world::{Ports, address_of, clean, flow_key, real, tunnel_source};

pub const TCP: u8 = PROTOCOL_TCP;
pub const UDP: u8 = PROTOCOL_UDP;
pub const V4: u8 = FAMILY_V4;
pub const V6: u8 = FAMILY_V6;

/// The interface that every frame comes in by.
pub const INGRESS: u32 = 1;
/// Another interface.
pub const OTHER: u32 = 77;

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7);
pub const CLIENT_PORT: u16 = 40_000;
/// A router on the way, which sends ICMP errors.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
pub const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);

/// The VIP with services of single ports.
pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);
/// The VIP with port ranges too.
pub const WIDE_VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
pub const WIDE_VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x20);
/// An address that is no VIP.
pub const NO_VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
pub const NO_VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x99);

/// Port of the services in `dsr` mode.
pub const DSR_PORT: u16 = 80;
/// Port of the services in `ipip` mode.
pub const IPIP_PORT: u16 = 81;
/// Port of a service that has no ring.
pub const BARE_PORT: u16 = 90;
/// A port of no service.
pub const NO_PORT: u16 = 9_999;

pub const DSR_V4_TCP: u32 = 1;
pub const DSR_V4_UDP: u32 = 2;
pub const DSR_V6_TCP: u32 = 3;
pub const DSR_V6_UDP: u32 = 4;
pub const IPIP_V4_TCP: u32 = 5;
pub const IPIP_V4_UDP: u32 = 6;
pub const IPIP_V6_TCP: u32 = 7;
pub const IPIP_V6_UDP: u32 = 8;
/// TCP ports 8000 to 8010 of [`WIDE_VIP`] and [`WIDE_VIP6`].
pub const RANGE_V4: u32 = 9;
pub const RANGE_V6: u32 = 10;
/// Any UDP port of [`WIDE_VIP`] and [`WIDE_VIP6`].
pub const ANY_V4: u32 = 11;
pub const ANY_V6: u32 = 12;
/// TCP port 8005 of [`WIDE_VIP`]: a single port within the range.
pub const WITHIN_RANGE: u32 = 13;
/// TCP port 90 of [`VIP`]: a service without a ring. The next id is that of [`VIP6`]'s.
pub const BARE_V4: u32 = 14;

// A real's id is the last part of its address and of its MACs.
/// Behind the interface that frames come in by.
pub const NEAR_V4: u16 = 1;
/// Behind another interface.
pub const FAR_V4: u16 = 2;
pub const NEAR_V6: u16 = 3;
pub const FAR_V6: u16 = 4;
/// Disabled: not alive.
pub const DISABLED_V4: u16 = 5;
pub const DISABLED_V6: u16 = 6;
/// Alive, and its next hop is not known.
pub const UNRESOLVED_V4: u16 = 7;
pub const UNRESOLVED_V6: u16 = 8;
/// Alive and near: the real that a slot pointed at before.
pub const OLD_V4: u16 = 9;
pub const OLD_V6: u16 = 10;
/// An id that no real has.
pub const UNUSED: u16 = 40;
/// An id past the end of `reals`.
pub const OUTSIDE: u16 = 64;

/// Sizes of the maps.
pub const LIMITS: Limits = Limits { max_reals: 64, max_flows: 4, flow_events_size: 4_096 };
/// MTU of every way to a real.
pub const MTU: u32 = 1_500;

/// Address of a real.
pub fn real_address(id: u16) -> IpAddr {
    match id {
        NEAR_V6 | FAR_V6 | DISABLED_V6 | UNRESOLVED_V6 | OLD_V6 => {
            Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, id).into()
        }
        _ => Ipv4Addr::new(198, 51, 100, id as u8).into(),
    }
}

/// The load balancer before a case: every slot is clean and points at the near real of the service's family.
pub fn world() -> State {
    static WORLD: LazyLock<State> = LazyLock::new(build);
    WORLD.clone()
}

fn build() -> State {
    let mut state = State::new(LIMITS);
    let families: [(IpAddr, IpAddr, u32, u16); 2] =
        [(VIP.into(), WIDE_VIP.into(), 0, NEAR_V4), (VIP6.into(), WIDE_VIP6.into(), 1, NEAR_V6)];
    for (vip, wide_vip, six, near) in families {
        let single = 2 * six;
        state.add_service(DSR_V4_TCP + single, vip, TCP, Ports::Single(DSR_PORT), MODE_DSR);
        state.add_service(DSR_V4_UDP + single, vip, UDP, Ports::Single(DSR_PORT), MODE_DSR);
        state.add_service(IPIP_V4_TCP + single, vip, TCP, Ports::Single(IPIP_PORT), MODE_IPIP);
        state.add_service(IPIP_V4_UDP + single, vip, UDP, Ports::Single(IPIP_PORT), MODE_IPIP);
        state.add_service(BARE_V4 + six, vip, TCP, Ports::Single(BARE_PORT), MODE_DSR);
        state.add_service(RANGE_V4 + six, wide_vip, TCP, Ports::Range(8_000, 8_010), MODE_DSR);
        state.add_service(ANY_V4 + six, wide_vip, UDP, Ports::Any, MODE_DSR);
        let with_ring = [DSR_V4_TCP, DSR_V4_UDP, IPIP_V4_TCP, IPIP_V4_UDP].map(|id| id + single);
        for id in with_ring.into_iter().chain([RANGE_V4 + six, ANY_V4 + six]) {
            state.fill_ring(id, clean(near));
        }
    }
    state.add_service(WITHIN_RANGE, WIDE_VIP.into(), TCP, Ports::Single(8_005), MODE_DSR);
    state.fill_ring(WITHIN_RANGE, clean(FAR_V4));
    for id in NEAR_V4..=OLD_V6 {
        let ifindex = if matches!(id, FAR_V4 | FAR_V6) { OTHER } else { INGRESS };
        let mut row = real(real_address(id), ifindex, MTU);
        row.flags = match id {
            DISABLED_V4 | DISABLED_V6 => REAL_RESOLVED,
            UNRESOLVED_V4 | UNRESOLVED_V6 => REAL_ALIVE,
            _ => REAL_ALIVE | REAL_RESOLVED,
        };
        state.reals.insert(id, row);
    }
    state
}

/// A client's packet to [`VIP`], without a transport header.
pub fn to_vip() -> Packet {
    Packet::v4(CLIENT, VIP)
}

/// A client's packet to [`VIP6`], without a transport header.
pub fn to_vip6() -> Packet {
    Packet::v6(CLIENT6, VIP6)
}

/// The frame as it leaves for a real in `dsr` mode.
pub fn dsr(packet: &Packet, real: u16) -> Packet {
    packet.clone().macs([2, 0, 0, 0, 1, real as u8], [2, 0, 0, 0, 2, real as u8])
}

/// The frame as it leaves for a real in `ipip` mode; `class` is the TOS or traffic class of the outer header.
pub fn ipip(packet: &Packet, real: u16, class: u8) -> Packet {
    let outer = match (real_address(real), tunnel_source(V4), tunnel_source(V6)) {
        (IpAddr::V4(real), IpAddr::V4(source), _) => {
            Layer::V4(Ipv4 { tos: class, id: 0, dont_fragment: true, ttl: 64, ..Ipv4::new(source, real) })
        }
        (IpAddr::V6(real), _, IpAddr::V6(source)) => {
            Layer::V6(Ipv6 { traffic_class: class, flow_label: 0, hop_limit: 64, ..Ipv6::new(source, real) })
        }
        _ => unreachable!("tunnel sources are of their families"),
    };
    dsr(packet, real).wrap(outer)
}

/// The flow of a client at [`CLIENT`] to a port of [`VIP`].
pub fn flow_v4(protocol: u8, port: u16) -> FlowKey {
    flow_key((CLIENT.into(), CLIENT_PORT), (VIP.into(), port), protocol)
}

/// The flow of a client at [`CLIENT6`] to a port of [`VIP6`].
pub fn flow_v6(protocol: u8, port: u16) -> FlowKey {
    flow_key((CLIENT6.into(), CLIENT_PORT), (VIP6.into(), port), protocol)
}

/// The key of a fragmented packet from [`CLIENT`] to [`VIP`].
pub fn fragment_v4(id: u16, protocol: u8) -> FragmentKey {
    let (source, destination) = (address_of(CLIENT.into()).0, address_of(VIP.into()).0);
    FragmentKey { source, destination, id: u32::from(id), protocol, family: V4, reserved: 0 }
}

/// The key of a fragmented packet from [`CLIENT6`] to [`VIP6`].
pub fn fragment_v6(id: u32) -> FragmentKey {
    let (source, destination) = (address_of(CLIENT6.into()).0, address_of(VIP6.into()).0);
    FragmentKey { source, destination, id, protocol: 0, family: V6, reserved: 0 }
}
