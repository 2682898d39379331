//! VIPs that are whole prefixes: a wide one, and a narrow one within it.

pub mod addresses;
pub mod messages;
pub mod nodes;
pub mod services;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use lb_common::{DropReason, FlowKey, MODE_DSR, MODE_GUE, MODE_IPIP};
use lb_tests::model::State;
use lb_tests::packet::{ACK, Packet};
use lb_tests::world::{Ports, clean, flow_key};

use crate::case::{Case, Expect, case, drop};
use crate::services::*;
use crate::world::*;

/// TCP port 80 of the wide prefix, and of the narrow one.
pub const WIDE_TCP: u32 = 70;
pub const NARROW_TCP: u32 = 71;
/// TCP ports 8000 to 8010 of the wide prefix.
pub const WIDE_RANGE: u32 = 72;
/// Any UDP port of the wide prefix.
pub const WIDE_ANY: u32 = 73;
/// UDP port 81 of the wide prefix in `ipip` mode.
pub const WIDE_IPIP: u32 = 74;
/// UDP port 83 of the wide prefix in `gue` mode.
pub const WIDE_GUE: u32 = 75;
/// SCTP port 80 of the wide prefix.
pub const WIDE_SCTP: u32 = 76;
/// What is added to the ids of services for IPv6.
const SIX: u32 = 20;

pub fn id(service: u32, family: u8) -> u32 {
    if family == V4 { service } else { service + SIX }
}

/// An address by its last 20 bits.
pub fn address(family: u8, host: u32) -> IpAddr {
    if family == V4 {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 19, 0, 0)) | host).into()
    } else {
        let first = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0x5000, 0, 0, 0, 0, 0));
        Ipv6Addr::from(first | u128::from(host >> 12 & 15) << 76 | u128::from(host & 0xfff)).into()
    }
}

/// 198.19.0.0/17 and 2001:db8:5000::/49.
pub fn wide(family: u8) -> (IpAddr, u32) {
    (address(family, 0), if family == V4 { 17 } else { 49 })
}

/// 198.19.64.0/20 and 2001:db8:5000:4000::/52: the addresses whose host number begins with 4.
pub fn narrow(family: u8) -> (IpAddr, u32) {
    (address(family, 0x4000), if family == V4 { 20 } else { 52 })
}

/// Addresses of the wide prefix that the narrow one has not.
pub const IN_WIDE: [u32; 6] = [0, 1, 0x3fff, 0x5000, 0x5001, 0x7fff];
/// Addresses of the narrow one.
pub const IN_NARROW: [u32; 4] = [0x4000, 0x4001, 0x4abc, 0x4fff];
/// Two usual addresses.
pub const ONE: u32 = 0x123;
pub const TWO: u32 = 0x124;

/// The world of the other golden packets, and these prefixes in it. Services of the wide one lead to the near real, of the narrow one to
/// the far one.
pub fn prefix_world() -> State {
    static WORLD: LazyLock<State> = LazyLock::new(build);
    WORLD.clone()
}

fn build() -> State {
    let mut state = more_world();
    for family in FAMILIES {
        let services = [
            (WIDE_TCP, TCP, Ports::Single(DSR_PORT), MODE_DSR),
            (WIDE_RANGE, TCP, Ports::Range(8_000, 8_010), MODE_DSR),
            (WIDE_ANY, UDP, Ports::Any, MODE_DSR),
            (WIDE_IPIP, UDP, Ports::Single(IPIP_PORT), MODE_IPIP),
            (WIDE_GUE, UDP, Ports::Single(GUE_SERVICE_PORT), MODE_GUE),
            (WIDE_SCTP, SCTP, Ports::Single(DSR_PORT), MODE_DSR),
        ];
        for (service, protocol, ports, mode) in services {
            state.add_prefix_service(id(service, family), wide(family), protocol, ports, mode);
            state.fill_ring(id(service, family), clean(near(family)));
        }
        state.add_prefix_service(id(NARROW_TCP, family), narrow(family), TCP, Ports::Single(DSR_PORT), MODE_DSR);
        state.fill_ring(id(NARROW_TCP, family), clean(far(family)));
    }
    state
}

pub fn prefix_case(name: &str, family: u8, change: impl FnOnce(&mut State)) -> Case {
    let mut state = prefix_world();
    change(&mut state);
    case(format!("prefixes v{family}, {name}"), state)
}

pub fn nothing(_: &mut State) {}

/// From the client to an address, without a transport header.
pub fn to(family: u8, host: u32) -> Packet {
    Packet::ip(client(family), address(family, host))
}

/// A TCP packet without SYN to an address.
pub fn segment(family: u8, host: u32) -> Packet {
    to(family, host).tcp(CLIENT_PORT, DSR_PORT, ACK)
}

/// The flow of the client to an address.
pub fn flow_to(family: u8, host: u32, protocol: u8, port: u16) -> FlowKey {
    flow_key((client(family), CLIENT_PORT), (address(family, host), port), protocol)
}

/// It goes to the real by `dsr`.
pub fn goes(packet: &Packet, family: u8, service: u32, real: u16) -> Expect {
    sent(&dsr(packet, real), id(service, family), real, packet.ip_length() as u64)
}

/// For an address of a prefix, and no service claims it.
pub fn no_service() -> Expect {
    drop(DropReason::NoService)
}
