//! Packets for a service that has no real and resets. Every slot of its ring is empty.

use lb_common::{DropReason, Event, FALLBACK_DROP, FALLBACK_RESET, FLOW_OPEN, MODE_DSR, ServiceOptions};
use lb_tests::model::State;
use lb_tests::packet::{ACK, BALANCER_MAC, FIN, FragmentHeader, Layer, PSH, Packet, ROUTER_MAC, RST, SYN, Tcp};
use lb_tests::world::{clean, marked, remembers};

use crate::case::{Case, Expect, case_with, drop, tx, tx_bytes};
use crate::slots::{DEAD, OLD, flow, known, packet, to};
use crate::world::*;

const SEQUENCE: u32 = 0x0102_0304;
const ACKNOWLEDGEMENT: u32 = 0x0506_0708;
const SERVICES: [u32; 6] = [DSR_V4_TCP, DSR_V4_UDP, DSR_V6_TCP, DSR_V6_UDP, IPIP_V4_TCP, IPIP_V6_TCP];

pub fn cases() -> Vec<Case> {
    let mut cases = by_hand();
    cases.extend(what_is_acknowledged());
    cases.extend(headers());
    cases.extend(data_offsets());
    cases.extend(unanswered());
    cases.extend(slots());
    cases
}

fn no_reals(world: &mut State) {
    for service in SERVICES {
        world.fill_ring(service, clean(0));
        world.service_options.insert(service, ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() });
    }
}

/// One packet for a service without reals.
fn one(name: &str, packet: &Packet, expect: Expect) -> Case {
    case_with(format!("reset: {name}"), no_reals).send(packet, expect)
}

fn segment(flags: u8) -> Packet {
    to_vip().tcp(CLIENT_PORT, DSR_PORT, flags)
}

fn segment6(flags: u8) -> Packet {
    to_vip6().tcp(CLIENT_PORT, DSR_PORT, flags)
}

fn edit_tcp(packet: Packet, edit: impl FnOnce(&mut Tcp)) -> Packet {
    packet.edit_last(|layer| {
        if let Layer::Tcp(tcp) = layer {
            edit(tcp)
        }
    })
}

/// A RST of the VIP's port, with tags as the packet has them.
fn reset(ip: Packet, packet: &Packet, sequence: u32, acknowledgement: u32, flags: u8) -> Expect {
    let mut answer = edit_tcp(ip.tcp(DSR_PORT, CLIENT_PORT, flags), |tcp| {
        (tcp.sequence, tcp.acknowledgement, tcp.window) = (sequence, acknowledgement, 0);
    })
    .macs(ROUTER_MAC, BALANCER_MAC);
    answer.tags = packet.tags.clone();
    tx(&answer).event(Event::ResetAnswered)
}

fn reset4(packet: &Packet, sequence: u32, acknowledgement: u32, flags: u8) -> Expect {
    let ip = Packet::v4(VIP, CLIENT).edit_v4(|ip| (ip.id, ip.ttl, ip.dont_fragment) = (0, 64, true));
    reset(ip, packet, sequence, acknowledgement, flags)
}

fn reset6(packet: &Packet, sequence: u32, acknowledgement: u32, flags: u8) -> Expect {
    let ip = Packet::v6(VIP6, CLIENT6).edit_v6(|ip| (ip.flow_label, ip.hop_limit) = (0, 64));
    reset(ip, packet, sequence, acknowledgement, flags)
}

/// The answer to a packet without ACK that takes up as many sequence numbers.
fn refuses(packet: &Packet, taken: u32) -> Expect {
    reset4(packet, 0, SEQUENCE + taken, RST | ACK)
}

/// The answer to a packet with ACK.
fn ends(packet: &Packet) -> Expect {
    reset4(packet, ACKNOWLEDGEMENT, 0, RST)
}

fn no_real() -> Expect {
    drop(DropReason::NoReal)
}

/// Ethernet and IPv4 headers of the client's packets and of their answers; Ethernet and IPv6 likewise.
const IN_V4: &str = "020000000002 020000000001 0800 45000028 12344000 3906318a cb007107 c000020a";
const OUT_V4: &str = "020000000001 020000000002 0800 45000028 00004000 40063cbe c000020a cb007107";
const IN_V6: &str = "020000000002 020000000001 86dd 60054321 00140639 \
                     20010db8000c00000000000000000007 20010db8000a00000000000000000010";
const OUT_V6: &str = "020000000001 020000000002 86dd 60000000 00140640 \
                      20010db8000a00000000000000000010 20010db8000c00000000000000000007";

fn bytes(parts: [&str; 2]) -> Vec<u8> {
    let digits: String = parts.concat().split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

/// Frames in and out, each byte and each checksum worked out by hand.
fn by_hand() -> Vec<Case> {
    let one = |name: &str, frame: [&str; 2], answer: [&str; 2]| {
        case_with(format!("reset by hand: {name}"), no_reals)
            .send_bytes(bytes(frame), tx_bytes(bytes(answer)).event(Event::ResetAnswered))
    };
    let (syn, refused) = ("9c400050 01020304 00000000 5002faf0", "00509c40 00000000 01020305 50140000");
    let (ack, ended) = ("9c400050 01020304 05060708 5010faf0", "00509c40 05060708 00000000 50040000");
    let with = |tcp: &str, sum: &str| format!("{tcp} {sum} 0000");
    vec![
        one("SYN", [IN_V4, &with(syn, "1649")], [OUT_V4, &with(refused, "1127")]),
        one("ACK", [IN_V4, &with(ack, "0a2d")], [OUT_V4, &with(ended, "0930")]),
        one("SYN, v6", [IN_V6, &with(syn, "b8bc")], [OUT_V6, &with(refused, "b39a")]),
        one("ACK, v6", [IN_V6, &with(ack, "aca0")], [OUT_V6, &with(ended, "aba3")]),
    ]
}

fn what_is_acknowledged() -> Vec<Case> {
    let numbered = |sequence, flags, data| edit_tcp(segment(flags), |tcp| tcp.sequence = sequence).payload(data);
    let acked = |packet: &Packet, number| reset4(packet, 0, number, RST | ACK);
    let (last, wrapping) = (numbered(u32::MAX, SYN, 0), numbered(u32::MAX - 1, SYN | FIN, 7));
    let mut cases = vec![
        one("the sequence number wraps", &last, acked(&last, 0)),
        one("data wraps", &wrapping, acked(&wrapping, 7)),
    ];
    for (name, flags, data, taken) in [
        ("SYN", SYN, 0, 1),
        ("SYN with data", SYN, 100, 101),
        ("SYN with a byte", SYN, 1, 2),
        ("SYN FIN", SYN | FIN, 0, 2),
        ("SYN FIN with data", SYN | FIN | PSH, 10, 12),
        ("FIN without ACK", FIN, 0, 1),
        ("FIN with data without ACK", FIN, 9, 10),
        ("no flags", 0, 0, 0),
        ("data without ACK", PSH, 1_460, 1_460),
    ] {
        let packet = segment(flags).payload(data);
        cases.push(one(name, &packet, refuses(&packet, taken)));
    }
    for (name, flags, data) in [
        ("ACK", ACK, 0),
        ("data", PSH | ACK, 1_460),
        ("FIN ACK", FIN | ACK, 0),
        ("SYN ACK", SYN | ACK, 0),
        ("every flag but RST", 0xfb, 3),
    ] {
        let packet = segment(flags).payload(data);
        cases.push(one(name, &packet, ends(&packet)));
    }
    cases
}

/// What the answer has of the packet's own headers, and what not.
fn headers() -> Vec<Case> {
    let (tagged, tagged6) = (segment(SYN).vlan(0xe004), segment6(ACK).service_vlan(3).vlan(0xe004));
    let two_tags = segment(ACK).service_vlan(3).vlan(5).payload(20);
    let classy = segment(SYN).edit_v4(|ip| (ip.tos, ip.ttl, ip.dont_fragment) = (0xb8, 1, false));
    let classy6 = segment6(SYN).edit_v6(|ip| (ip.traffic_class, ip.hop_limit) = (0xb8, 1));
    let options = to_vip().edit_v4(|ip| ip.options = vec![1; 40]).tcp(CLIENT_PORT, DSR_PORT, SYN).payload(5);
    let tagged_options = to_vip().edit_v4(|ip| ip.options = vec![1; 4]).tcp(CLIENT_PORT, DSR_PORT, ACK).vlan(9);
    let extended = to_vip6().extension(0, 2).extension(60, 1).tcp(CLIENT_PORT, DSR_PORT, SYN).payload(5);
    let wrong_sum = edit_tcp(segment(SYN), |tcp| tcp.checksum = Some(1));
    let first = segment(SYN).payload(36).edit_v4(|ip| (ip.id, ip.more_fragments, ip.dont_fragment) = (5, true, false));
    let first6 = to_vip6().fragment6(5, 0, true).tcp(CLIENT_PORT, DSR_PORT, SYN).payload(36);
    let tunnelled = to_vip().tcp(CLIENT_PORT, IPIP_PORT, SYN).payload(1_460);
    let padded = segment(SYN).pad_to(100);
    let cases = vec![
        one("one tag", &tagged, refuses(&tagged, 1)),
        one("two tags", &two_tags, ends(&two_tags)),
        one("two tags, v6", &tagged6, reset6(&tagged6, ACKNOWLEDGEMENT, 0, RST)),
        one("TOS, TTL and DF are its own", &classy, refuses(&classy, 1)),
        one("traffic class and hop limit are its own", &classy6, reset6(&classy6, 0, SEQUENCE + 1, RST | ACK)),
        one("options", &options, refuses(&options, 6)),
        one("options behind a tag", &tagged_options, ends(&tagged_options)),
        one("extension headers", &extended, reset6(&extended, 0, SEQUENCE + 6, RST | ACK)),
        one("padding counts for nothing and goes", &padded, refuses(&padded, 1)),
        one("a checksum is not verified", &wrong_sum, refuses(&wrong_sum, 1)),
        one("a first fragment by its own length, and leaves no note", &first, refuses(&first, 37)),
        one("a first v6 fragment", &first6, reset6(&first6, 0, SEQUENCE + 37, RST | ACK)),
        case_with("reset: without headroom", |world| {
            no_reals(world);
            world.headroom = 0;
        })
        .send(&segment(SYN), refuses(&segment(SYN), 1)),
    ];
    let answer = edit_tcp(Packet::v4(VIP, CLIENT).tcp(IPIP_PORT, CLIENT_PORT, RST | ACK), |tcp| {
        (tcp.sequence, tcp.acknowledgement, tcp.window) = (0, SEQUENCE + 1_461, 0);
    })
    .edit_v4(|ip| (ip.id, ip.ttl) = (0, 64))
    .macs(ROUTER_MAC, BALANCER_MAC);
    let tunnel = one("a tunnel's service", &tunnelled, tx(&answer).event(Event::ResetAnswered));
    cases.into_iter().chain([tunnel]).collect()
}

fn data_offsets() -> Vec<Case> {
    let offset = |words, data| edit_tcp(segment(SYN), |tcp| tcp.data_offset = Some(words)).payload(data);
    let offset6 = |words, data| edit_tcp(segment6(SYN), |tcp| tcp.data_offset = Some(words)).payload(data);
    let malformed = || drop(DropReason::Malformed);
    let options = edit_tcp(segment(SYN), |tcp| tcp.options = vec![1; 40]);
    let bad_ack = edit_tcp(segment(ACK), |tcp| tcp.data_offset = Some(4));
    let bad_reset = edit_tcp(segment(RST), |tcp| tcp.data_offset = Some(4));
    vec![
        one("TCP options are no data", &options, refuses(&options, 1)),
        one("a data offset of 15 that just fits", &offset(15, 40), refuses(&offset(15, 40), 1)),
        one("a data offset of 15 and a byte", &offset(15, 41), refuses(&offset(15, 41), 2)),
        one("a data offset past the end", &offset(15, 39), malformed()),
        one("a data offset in the padding", &offset(6, 0).pad_to(100), malformed()),
        one("a data offset of 4", &offset(4, 40), malformed()),
        one("a data offset of 0", &offset(0, 40), malformed()),
        one("a data offset past the end, v6", &offset6(6, 3), malformed()),
        one("a data offset that just fits, v6", &offset6(6, 4), reset6(&offset6(6, 4), 0, SEQUENCE + 1, RST | ACK)),
        one("an ACK with a data offset of 4", &bad_ack, malformed()),
        one("a RST with a data offset of 4", &bad_reset, no_real()),
    ]
}

fn unanswered() -> Vec<Case> {
    let udp = to_vip().udp(CLIENT_PORT, DSR_PORT).payload(30);
    let udp6 = to_vip6().udp(CLIENT_PORT, DSR_PORT).payload(30);
    let quoted = Packet::v4(VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let error = Packet::v4(ROUTER, VIP).icmp(3, 1, [0; 4]).quote(&quoted, 40);
    let quoted6 = Packet::v6(VIP6, CLIENT6).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let error6 = Packet::v6(ROUTER6, VIP6).icmp6(1, 0, [0; 4]).quote(&quoted6, 60);
    let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (5, 7, Some(TCP))).payload(40);
    let header = FragmentHeader { next_header: Some(TCP), reserved: 0, offset: 7, more_fragments: false, id: 5 };
    let later6 = to_vip6().layer(Layer::Fragment(header)).payload(40);
    let noted = |world: &mut State| {
        no_reals(world);
        let note = |service| lb_common::FragmentValue { service, real: 0, mode: MODE_DSR, reserved: 0 };
        world.effects.fragments.insert(fragment_v4(5, TCP), note(DSR_V4_TCP));
        world.effects.fragments.insert(fragment_v6(5), note(DSR_V6_TCP));
    };
    vec![
        one("none of a RST", &segment(RST), no_real()),
        one("none of a RST ACK", &segment(RST | ACK), no_real()),
        one("none of a SYN RST", &segment(SYN | RST), no_real()),
        one("none of a RST, v6", &segment6(RST), no_real()),
        one("none of udp", &udp, no_real()),
        one("none of udp, v6", &udp6, no_real()),
        one("none of an ICMP error", &error, no_real()),
        one("none of an ICMPv6 error", &error6, no_real()),
        one("none of a later fragment", &later, drop(DropReason::FragmentUnknown)),
        case_with("reset: none of a later fragment that is known", noted)
            .send(&later, no_real())
            .send(&later6, no_real()),
    ]
}

/// When a service has no real, and when it wants a reset.
fn slots() -> Vec<Case> {
    let service = DSR_V4_TCP;
    let with = |name: &str, fallback, slot| {
        case_with(format!("reset: {name}"), |world| {
            world.fill_ring(service, slot);
            world.service_options.insert(service, ServiceOptions { fallback, ..ServiceOptions::default() });
        })
    };
    let wants = |name: &str, slot| with(name, FALLBACK_RESET, slot);
    let (syn, ack) = (segment(SYN), segment(ACK));
    vec![
        wants("a marked slot, SYN", marked(0)).send(&syn, refuses(&syn, 1)),
        wants("a marked slot, ACK", marked(0)).send(&ack, ends(&ack)),
        wants("a slot that remembers, SYN", remembers(0, OLD)).send(&syn, refuses(&syn, 1)),
        wants("a slot that remembers, ACK", remembers(0, OLD)).send(&ack, to(OLD, ACK).remembers(flow(), service, OLD)),
        wants("a slot that remembers a dead real, ACK", remembers(0, DEAD)).send(&ack, ends(&ack)),
        case_with("reset: a flow that is known goes on", |world| {
            no_reals(world);
            world.fill_ring(service, marked(0));
            known(OLD, FLOW_OPEN)(world);
        })
        .send(&ack, to(OLD, ACK)),
        wants("none where the real is dead", clean(DEAD)).send(&syn, drop(DropReason::RealDown)),
        wants("none where the real is outside the table", clean(OUTSIDE)).send(&syn, no_real()),
        wants("none where the real has no next hop", clean(UNRESOLVED_V4)).send(&syn, drop(DropReason::NoNextHop)),
        wants("none where there is a real", clean(OLD)).send(&packet(SYN), to(OLD, SYN)),
        with("none where the service drops", FALLBACK_DROP, clean(0)).send(&syn, no_real()),
        with("none where the fallback is an unknown one", 7, clean(0)).send(&syn, no_real()),
        case_with("reset: none where another service wants it", |world| {
            no_reals(world);
            world.service_options.remove(&service);
        })
        .send(&syn, no_real()),
    ]
}
