//! Forward mode `nat`: services in it beside the others, reals' replies, and the kernel's ways back to clients.
//!
//! What a frame is expected to become is built anew, with all its checksums computed in full.

pub mod errors;
pub mod nodes;
pub mod replies;
pub mod to_reals;
pub mod ways;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use lb_common::{
    Event, FragmentKey, MODE_NAT, NAT_REPLIES, NAT_REPLY_RANGES, NatReplyValue, NatState, ServiceKey, ServiceOptions,
};
use lb_tests::model::{Leads, Route, State, WAY_IFINDEX, WAY_MAC, Ways};
use lb_tests::packet::{Layer, Packet};
use lb_tests::world::{Ports, address_of, clean};

use crate::case::{Case, Expect, case, redirect, tx};
use crate::world::*;

/// Port of the services in `nat` mode.
pub const NAT_PORT: u16 = 82;
/// Port of their reals.
pub const REAL_PORT: u16 = 8_082;

pub const NAT_V4_TCP: u32 = 20;
pub const NAT_V4_UDP: u32 = 21;
pub const NAT_V6_TCP: u32 = 22;
pub const NAT_V6_UDP: u32 = 23;
/// TCP ports 9000 to 9010 of [`WIDE_VIP`] and [`WIDE_VIP6`], which stay as they are.
pub const NAT_RANGE_V4: u32 = 24;
pub const NAT_RANGE_V6: u32 = 25;
pub const RANGE_FIRST: u16 = 9_000;
pub const RANGE_LAST: u16 = 9_010;

/// The next hop to clients.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 4, 1];
/// A client that is reached by a gateway.
pub const FAR_CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
pub const FAR_CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 8);
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 4, 2];
/// Bytes of the longest packet to clients.
pub const CLIENT_MTU: u32 = 1_500;

/// An address of each family.
pub const FAMILIES: [u8; 2] = [V4, V6];

/// The world of the other golden packets, and `nat` in it.
pub fn nat_world() -> State {
    static WORLD: LazyLock<State> = LazyLock::new(build);
    WORLD.clone()
}

/// Starts a case in the world of `nat`, changed.
pub fn nat_case(name: impl Into<String>, change: impl FnOnce(&mut State)) -> Case {
    let mut state = nat_world();
    change(&mut state);
    case(format!("nat: {}", name.into()), state)
}

/// One frame in the world of `nat`.
pub fn one(name: impl Into<String>, packet: &Packet, expect: Expect) -> Case {
    nat_case(name, nothing).send(packet, expect)
}

pub fn nothing(_: &mut State) {}

fn build() -> State {
    let mut state = world();
    for family in FAMILIES {
        let near = [near(family), old(family)];
        for protocol in [TCP, UDP] {
            let id = service(family, protocol);
            let options = ServiceOptions {
                vip: bytes(vip(family)),
                vip_port: NAT_PORT,
                real_port: REAL_PORT,
                ..ServiceOptions::default()
            };
            state.add_service(id, vip(family), protocol, Ports::Single(NAT_PORT), MODE_NAT);
            state.service_options.insert(id, options);
            state.fill_ring(id, clean(near[0]));
            for real in near.into_iter().chain([far(family)]) {
                add_replies(&mut state, real, REAL_PORT, protocol, id, (REAL_PORT, REAL_PORT));
            }
        }
        let (id, wide) = (range(family), wide_vip(family));
        state.add_service(id, wide, TCP, Ports::Range(RANGE_FIRST, RANGE_LAST), MODE_NAT);
        state.service_options.insert(id, ServiceOptions { vip: bytes(wide), ..ServiceOptions::default() });
        state.fill_ring(id, clean(near[0]));
        add_replies(&mut state, near[0], 0, TCP, id, (RANGE_FIRST, RANGE_LAST));
    }
    state.nat = NatState { flags: NAT_REPLIES | NAT_REPLY_RANGES };
    state.ways = Ways { forwards_v4: true, forwards_v6: true, routes: routes() };
    state
}

fn routes() -> Vec<Route> {
    let near = Leads::Out { gateway: None, mac: Some(CLIENT_MAC), mtu: CLIENT_MTU };
    let far = |gateway| Leads::Out { gateway: Some(gateway), mac: Some(GATEWAY_MAC), mtu: CLIENT_MTU };
    vec![
        Route::to(CLIENT.into(), near),
        Route::to(CLIENT6.into(), near),
        Route::to(FAR_CLIENT.into(), far(ROUTER.into())),
        Route::to(FAR_CLIENT6.into(), far(ROUTER6.into())),
    ]
}

/// Replies from the port of a real (0: from its ports) are the service's, where they come from one of `ports`.
pub fn add_replies(state: &mut State, real: u16, port: u16, protocol: u8, service: u32, ports: (u16, u16)) {
    let (vip, family) = address_of(real_address(real));
    let (first_port, last_port) = ports;
    state
        .nat_replies
        .insert(ServiceKey { vip, port, protocol, family }, NatReplyValue { service, first_port, last_port });
}

pub fn service(family: u8, protocol: u8) -> u32 {
    match (family, protocol) {
        (V4, TCP) => NAT_V4_TCP,
        (V4, _) => NAT_V4_UDP,
        (_, TCP) => NAT_V6_TCP,
        _ => NAT_V6_UDP,
    }
}

pub fn range(family: u8) -> u32 {
    if family == V4 { NAT_RANGE_V4 } else { NAT_RANGE_V6 }
}

pub fn near(family: u8) -> u16 {
    if family == V4 { NEAR_V4 } else { NEAR_V6 }
}

pub fn far(family: u8) -> u16 {
    if family == V4 { FAR_V4 } else { FAR_V6 }
}

pub fn old(family: u8) -> u16 {
    if family == V4 { OLD_V4 } else { OLD_V6 }
}

pub fn vip(family: u8) -> IpAddr {
    of(family, VIP, VIP6)
}

pub fn wide_vip(family: u8) -> IpAddr {
    of(family, WIDE_VIP, WIDE_VIP6)
}

pub fn client(family: u8) -> IpAddr {
    of(family, CLIENT, CLIENT6)
}

pub fn router(family: u8) -> IpAddr {
    of(family, ROUTER, ROUTER6)
}

/// The one of the family.
pub fn of(family: u8, v4: Ipv4Addr, v6: Ipv6Addr) -> IpAddr {
    if family == V4 { v4.into() } else { v6.into() }
}

pub fn bytes(address: IpAddr) -> [u8; 16] {
    address_of(address).0
}

/// "v4 tcp" and the like.
pub fn words(family: u8, protocol: u8) -> String {
    format!("v{family} {}", if protocol == TCP { "tcp" } else { "udp" })
}

/// Adds a TCP or UDP header.
pub fn with_ports(packet: Packet, protocol: u8, source: u16, destination: u16, flags: u8) -> Packet {
    if protocol == TCP { packet.tcp(source, destination, flags) } else { packet.udp(source, destination) }
}

/// The packet to another address, and to another port where there is one.
pub fn destined(packet: &Packet, address: IpAddr, port: Option<u16>) -> Packet {
    let mut packet = packet.clone();
    match (&mut packet.layers[0], address) {
        (Layer::V4(ip), IpAddr::V4(address)) => ip.destination = address,
        (Layer::V6(ip), IpAddr::V6(address)) => ip.destination = address,
        _ => panic!("{address} is of another family"),
    }
    edit_ports(&mut packet, |_, destination| *destination = port.unwrap_or(*destination));
    packet
}

/// The packet from another address, and from another port where there is one.
pub fn sourced(packet: &Packet, address: IpAddr, port: Option<u16>) -> Packet {
    let mut packet = packet.clone();
    match (&mut packet.layers[0], address) {
        (Layer::V4(ip), IpAddr::V4(address)) => ip.source = address,
        (Layer::V6(ip), IpAddr::V6(address)) => ip.source = address,
        _ => panic!("{address} is of another family"),
    }
    edit_ports(&mut packet, |source, _| *source = port.unwrap_or(*source));
    packet
}

fn edit_ports(packet: &mut Packet, edit: impl Fn(&mut u16, &mut u16)) {
    for layer in &mut packet.layers {
        match layer {
            Layer::Tcp(header) => edit(&mut header.source, &mut header.destination),
            Layer::Udp(header) => edit(&mut header.source, &mut header.destination),
            _ => {}
        }
    }
}

/// Without a UDP checksum.
pub fn without_checksum(mut packet: Packet) -> Packet {
    for layer in &mut packet.layers {
        if let Layer::Udp(header) = layer {
            header.checksum = Some(0);
        }
    }
    packet
}

/// A UDP datagram with such a payload that its checksum, which is 0, is written as 0xffff. `packet` has no payload yet; `edit` is
/// what becomes of it before the checksum counts.
pub fn with_checksum_ffff(packet: &Packet, edit: impl Fn(&Packet) -> Packet) -> Packet {
    let checksum_of = |packet: &Packet| {
        let bytes = packet.ip_bytes();
        bytes[bytes.len() - 4..][..2].to_vec()
    };
    let payload = checksum_of(&edit(&packet.clone().data(&[0, 0])));
    let packet = packet.clone().data(&payload);
    assert_eq!(checksum_of(&edit(&packet)), [0xff, 0xff]);
    packet
}

/// It leaves for a client of the near next hop.
pub fn replied(packet: &Packet) -> Expect {
    redirect(&packet.clone().macs(CLIENT_MAC, WAY_MAC), WAY_IFINDEX).event(Event::ReplyForwarded)
}

/// It leaves for a real, by the interface that the real is behind. Frames come in by [`INGRESS`].
pub fn sent(packet: &Packet, real: u16) -> Expect {
    let out = dsr(packet, real);
    if matches!(real, FAR_V4 | FAR_V6) { redirect(&out, OTHER) } else { tx(&out) }
}

/// The key of a packet in fragments.
pub fn fragment_key(source: IpAddr, destination: IpAddr, id: u32, protocol: u8) -> FragmentKey {
    let (source, family) = address_of(source);
    let protocol = if family == V4 { protocol } else { 0 };
    FragmentKey { source, destination: bytes(destination), id, protocol, family, reserved: 0 }
}

/// Identification of the packets in fragments.
pub const ID: u16 = 0x4242;

/// The IP header of a first fragment.
pub fn first(source: IpAddr, destination: IpAddr) -> Packet {
    let packet = Packet::ip(source, destination);
    if source.is_ipv4() {
        return packet.edit_v4(|ip| (ip.id, ip.more_fragments, ip.dont_fragment) = (ID, true, false));
    }
    packet.fragment6(ID.into(), 0, true)
}

/// A later fragment.
pub fn later(source: IpAddr, destination: IpAddr, protocol: u8) -> Packet {
    let packet = Packet::ip(source, destination);
    if source.is_ipv4() {
        return packet
            .edit_v4(|ip| (ip.id, ip.offset, ip.dont_fragment, ip.protocol) = (ID, 7, false, Some(protocol)))
            .payload(30);
    }
    let header = lb_tests::packet::FragmentHeader {
        next_header: Some(protocol),
        reserved: 0,
        offset: 7,
        more_fragments: false,
        id: ID.into(),
    };
    packet.layer(Layer::Fragment(header)).payload(30)
}
