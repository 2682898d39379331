//! Packets too big for the tunnel, and frames without room for a header.

use lb_common::{DropReason, Event, MODE_IPIP};
use lb_tests::model::State;
use lb_tests::packet::{ACK, BALANCER_MAC, Packet, ROUTER_MAC, SYN};
use lb_tests::world::{clean, real, remembers};

use crate::case::{Case, Expect, case, case_with, drop, tx};
use crate::world::*;

/// A real with an MTU of its own.
const NARROW_V4: u16 = 20;
const NARROW_V6: u16 = 21;

pub fn cases() -> Vec<Case> {
    let mut cases = fits_and_does_not();
    cases.extend(short_packets());
    cases.extend(what_is_quoted());
    cases.extend(no_headroom());
    cases
}

fn udp(length: usize) -> Packet {
    to_vip().udp(CLIENT_PORT, IPIP_PORT).payload(length - 28)
}

fn udp6(length: usize) -> Packet {
    to_vip6().udp(CLIENT_PORT, IPIP_PORT).payload(length - 48)
}

/// Fragmentation needed, from the VIP to the client.
pub fn needed(packet: &Packet, mtu: u16) -> Expect {
    let [high, low] = mtu.to_be_bytes();
    let mut answer = Packet::v4(VIP, CLIENT)
        .edit_v4(|ip| (ip.id, ip.ttl, ip.dont_fragment) = (0, 64, true))
        .icmp(3, 4, [0, 0, high, low])
        .quote(packet, 68)
        .macs(ROUTER_MAC, BALANCER_MAC);
    answer.tags = packet.tags.clone();
    assert_eq!(answer.ip_length(), 96);
    tx(&answer).event(Event::TooBigAnswered)
}

/// Packet too big, from the VIP to the client.
pub fn too_big(packet: &Packet, mtu: u32) -> Expect {
    let mut answer = Packet::v6(VIP6, CLIENT6)
        .edit_v6(|ip| (ip.flow_label, ip.hop_limit) = (0, 64))
        .icmp6(2, 0, mtu.to_be_bytes())
        .quote(packet, 232)
        .macs(ROUTER_MAC, BALANCER_MAC);
    answer.tags = packet.tags.clone();
    assert_eq!(answer.ip_length(), 40 + 240);
    tx(&answer).event(Event::TooBigAnswered)
}

fn sent(packet: &Packet, service: u32, real: u16) -> Expect {
    tx(&ipip(packet, real, 0)).counts(service, real, packet.ip_length() as u64)
}

fn narrow(service: u32, id: u16, address: u16, mtu: u32) -> impl FnOnce(&mut State) {
    move |world| {
        world.reals.insert(id, real(real_address(address), INGRESS, mtu));
        world.fill_ring(service, clean(id));
    }
}

fn fits_and_does_not() -> Vec<Case> {
    let to_v6 = |world: &mut State| world.fill_ring(IPIP_V4_UDP, clean(NEAR_V6));
    let large = to_vip().udp(CLIENT_PORT, DSR_PORT).payload(2_000);
    let large6 = to_vip6().udp(CLIENT_PORT, DSR_PORT).payload(2_000);
    vec![
        case("v4 in v4, 1,480 bytes fit 1,500", world()).send(&udp(1_480), sent(&udp(1_480), IPIP_V4_UDP, NEAR_V4)),
        case("v4 in v4, 1,481 bytes do not", world()).send(&udp(1_481), needed(&udp(1_481), 1_480)),
        case_with("v4 in v6, 1,460 bytes fit 1,500", to_v6).send(&udp(1_460), sent(&udp(1_460), IPIP_V4_UDP, NEAR_V6)),
        case_with("v4 in v6, 1,461 bytes do not", to_v6).send(&udp(1_461), needed(&udp(1_461), 1_460)),
        case("v6 in v6, 1,460 bytes fit 1,500", world()).send(&udp6(1_460), sent(&udp6(1_460), IPIP_V6_UDP, NEAR_V6)),
        case("v6 in v6, 1,461 bytes do not", world()).send(&udp6(1_461), too_big(&udp6(1_461), 1_460)),
        case_with("v6 in v6, the MTU named is never below 1,280", narrow(IPIP_V6_UDP, NARROW_V6, NEAR_V6, 1_319))
            .send(&udp6(1_280), too_big(&udp6(1_280), 1_280)),
        case_with("v6 in v6, an MTU of just 1,280 + 40", narrow(IPIP_V6_UDP, NARROW_V6, NEAR_V6, 1_320))
            .send(&udp6(1_281), too_big(&udp6(1_281), 1_280)),
        case_with("v6 in v6, an MTU of one more", narrow(IPIP_V6_UDP, NARROW_V6, NEAR_V6, 1_321))
            .send(&udp6(1_282), too_big(&udp6(1_282), 1_281)),
        case_with("v4 in v4, a small MTU is named as it is", narrow(IPIP_V4_UDP, NARROW_V4, NEAR_V4, 596))
            .send(&udp(577), needed(&udp(577), 576)),
        case("dsr v4, any length", world()).send(&large, tx(&dsr(&large, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 2_028)),
        case("dsr v6, any length", world())
            .send(&large6, tx(&dsr(&large6, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 2_048)),
    ]
}

/// A message must quote 68 or 232 bytes.
fn short_packets() -> Vec<Case> {
    let v4 = |mtu| narrow(IPIP_V4_UDP, NARROW_V4, NEAR_V4, mtu);
    let v6 = |mtu| narrow(IPIP_V6_UDP, NARROW_V6, NEAR_V6, mtu);
    vec![
        case_with("v4, 67 bytes are too few to quote", v4(80)).send(&udp(67), drop(DropReason::TooBig)),
        case_with("v4, 67 bytes and padding are too few to quote", v4(80))
            .send(&udp(67).pad_to(200), drop(DropReason::TooBig)),
        case_with("v4, 68 bytes are enough", v4(80)).send(&udp(68), needed(&udp(68), 60)),
        case_with("v6, 231 bytes are too few to quote", v6(100)).send(&udp6(231), drop(DropReason::TooBig)),
        case_with("v6, 232 bytes are enough", v6(100)).send(&udp6(232), too_big(&udp6(232), 1_280)),
    ]
}

fn what_is_quoted() -> Vec<Case> {
    let tcp = to_vip().tcp(CLIENT_PORT, IPIP_PORT, SYN).payload(1_500);
    let tcp6 = to_vip6().tcp(CLIENT_PORT, IPIP_PORT, ACK).payload(1_500);
    let may_fragment = udp(1_490).edit_v4(|ip| (ip.dont_fragment, ip.tos, ip.ttl) = (false, 0xb8, 1));
    let options = to_vip().edit_v4(|ip| ip.options = vec![1; 40]).udp(CLIENT_PORT, IPIP_PORT).payload(1_450);
    let extended = to_vip6().extension(0, 2).udp(CLIENT_PORT, IPIP_PORT).payload(1_450);
    let classy = udp6(1_470).edit_v6(|ip| (ip.traffic_class, ip.hop_limit) = (0xb8, 1));
    let tagged = udp(1_490).service_vlan(3).vlan(0xe004);
    let tagged6 = udp6(1_490).vlan(0xe004);
    let first = udp(1_484).edit_v4(|ip| ip.more_fragments = true);
    let first6 = to_vip6().fragment6(5, 0, true).udp(CLIENT_PORT, IPIP_PORT).payload(1_480);
    let flow = flow_v4(TCP, IPIP_PORT);
    vec![
        case("too big: tcp v4", world()).send(&tcp, needed(&tcp, 1_480)),
        case("too big: tcp v6", world()).send(&tcp6, too_big(&tcp6, 1_460)),
        case("too big: DF clear, TOS and TTL stay in the quote", world())
            .send(&may_fragment, needed(&may_fragment, 1_480)),
        case("too big: options", world()).send(&options, needed(&options, 1_480)),
        case("too big: extension headers", world()).send(&extended, too_big(&extended, 1_460)),
        case("too big: traffic class and hop limit stay in the quote", world()).send(&classy, too_big(&classy, 1_460)),
        case("too big: two tags", world()).send(&tagged, needed(&tagged, 1_480)),
        case("too big: one tag, v6", world()).send(&tagged6, too_big(&tagged6, 1_460)),
        case("too big: padding is left out", world()).send(&udp(1_490).pad_to(1_600), needed(&udp(1_490), 1_480)),
        case("too big: a first v4 fragment is answered and leaves no note", world())
            .send(&first, needed(&first, 1_480)),
        case("too big: a first v6 fragment is answered and leaves no note", world())
            .send(&first6, too_big(&first6, 1_460)),
        case_with("too big: what is half-open stays", |world| world.fill_ring(IPIP_V4_TCP, remembers(NEAR_V4, OLD_V4)))
            .send(&tcp, needed(&tcp, 1_480).half_open(flow, IPIP_V4_TCP, NEAR_V4)),
        case_with("too big: what is remembered stays", |world| {
            world.fill_ring(IPIP_V4_UDP, remembers(NEAR_V4, OLD_V4));
        })
        .send(&udp(1_490), needed(&udp(1_490), 1_480).remembers(flow_v4(UDP, IPIP_PORT), IPIP_V4_UDP, OLD_V4)),
    ]
}

/// The frame begins where its buffer does.
fn no_headroom() -> Vec<Case> {
    let tight = |name: &str, slot: Option<(u32, u16)>| {
        case_with(name, |world| {
            world.headroom = 0;
            if let Some((service, real)) = slot {
                world.fill_ring(service, clean(real));
            }
        })
    };
    let no_room = || drop(DropReason::NoHeadroom);
    let plain = to_vip().udp(CLIENT_PORT, DSR_PORT);
    let first = udp(76).edit_v4(|ip| (ip.id, ip.more_fragments) = (5, true));
    vec![
        tight("no headroom: v4 in v4", None).send(&udp(100), no_room()),
        tight("no headroom: v4 in v6", Some((IPIP_V4_UDP, NEAR_V6))).send(&udp(100), no_room()),
        tight("no headroom: v6 in v6", None).send(&udp6(100), no_room()),
        tight("no headroom: fragmentation needed", None).send(&udp(1_490), no_room()),
        tight("no headroom: packet too big", None).send(&udp6(1_490), no_room()),
        tight("no headroom: a first fragment is noted all the same", None)
            .send(&first, no_room().fragment(fragment_v4(5, UDP), IPIP_V4_UDP, NEAR_V4, MODE_IPIP)),
        tight("no headroom: dsr needs none", None)
            .send(&plain, tx(&dsr(&plain, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 28)),
        tight("no headroom: an echo needs none", None).send(
            &to_vip().icmp(8, 0, [0, 1, 0, 1]),
            crate::icmp::answered(&Packet::v4(VIP, CLIENT).icmp(0, 0, [0, 1, 0, 1])),
        ),
    ]
}
