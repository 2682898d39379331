//! Echoes, ICMP errors, fragments, answers: all of them by the packet's own addresses.

use lb_common::{Event, FALLBACK_RESET, FLOW_OPEN, FragmentKey, ServiceOptions};
use lb_tests::packet::{BALANCER_MAC, FragmentHeader, Layer, ROUTER_MAC, RST, SYN};
use lb_tests::world::{address_of, remembers};

use super::*;
use crate::case::{pass, tx};
use crate::icmp::answered;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(echoes(family));
        cases.extend(errors(family));
        cases.extend(unclaimed(family));
        cases.extend(broken(family));
        cases.extend(fragments(family));
        cases.extend(answers(family));
    }
    cases
}

fn from(family: u8, host: u32) -> Packet {
    Packet::ip(address(family, host), client(family))
}

fn message(packet: Packet, family: u8, [four, six]: [u8; 2], code: u8, rest: [u8; 4]) -> Packet {
    if family == V4 { packet.icmp(four, code, rest) } else { packet.icmp6(six, code, rest) }
}

fn with_options(packet: Packet, family: u8) -> Packet {
    if family == V4 { packet.edit_v4(|ip| ip.options = vec![1; 4]) } else { packet.extension(60, 1) }
}

fn echoes(family: u8) -> Vec<Case> {
    let rest = [0x12, 0x34, 0, 7];
    let echo = |packet| message(packet, family, [8, 128], 0, rest);
    let mut case = prefix_case("echoes", family, nothing);
    for host in [0, ONE, 0x4abc, 0x7fff] {
        let reply = message(from(family, host), family, [0, 129], 0, rest);
        case = case.send(&echo(to(family, host)).payload(9), answered(&reply.payload(9)));
    }
    vec![
        case,
        prefix_case("an echo with options", family, nothing)
            .send(&echo(with_options(to(family, ONE), family)), no_service()),
        prefix_case("an echo with a code", family, nothing)
            .send(&message(to(family, ONE), family, [8, 128], 1, rest), no_service()),
        prefix_case("an echo beside the prefix", family, nothing).send(&echo(to(family, 0x8000)), pass()),
    ]
}

fn errors(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let service = id(WIDE_TCP, family);
    let about = |host, port| from(family, host).tcp(port, CLIENT_PORT, ACK);
    let error = |host, quoted: &Packet| {
        message(Packet::ip(router(family), address(family, host)), family, [3, 1], 3, [0; 4]).quote(quoted, 60)
    };
    let follows = |packet: &Packet, real| goes(packet, family, WIDE_TCP, real).event(Event::IcmpErrorForwarded);
    let ring = |state: &mut State| {
        state.fill_ring(service, clean(dead(family)));
        state.set_slot_of(service, &flow_to(family, ONE, TCP, DSR_PORT), clean(far));
        state.set_slot_of(service, &flow_to(family, TWO, TCP, DSR_PORT), remembers(near, old));
        state.put_flow(flow_to(family, TWO, TCP, DSR_PORT), service, near, FLOW_OPEN);
    };
    let [one, two] = [ONE, TWO].map(|host| error(host, &about(host, DSR_PORT)));
    let [narrow, ranged] = [error(0x4001, &about(0x4001, DSR_PORT)), error(ONE, &about(ONE, 8_003))];
    let of_another = error(ONE, &about(TWO, DSR_PORT));
    let of_none = error(ONE, &about(ONE, NO_PORT));
    let short = message(Packet::ip(router(family), address(family, ONE)), family, [3, 1], 3, [0; 4])
        .quote(&about(ONE, DSR_PORT), if family == V4 { 27 } else { 47 });
    vec![
        prefix_case("ICMP errors", family, ring).send(&one, follows(&one, far)).send(&two, follows(&two, near)),
        prefix_case("an ICMP error, narrow", family, nothing)
            .send(&narrow, goes(&narrow, family, NARROW_TCP, far).event(Event::IcmpErrorForwarded)),
        prefix_case("an ICMP error, a range", family, nothing)
            .send(&ranged, goes(&ranged, family, WIDE_RANGE, near).event(Event::IcmpErrorForwarded)),
        prefix_case("an ICMP error about another address", family, nothing).send(&of_another, no_service()),
        prefix_case("an ICMP error about no service", family, nothing).send(&of_none, no_service()),
        prefix_case("an ICMP error that quotes too little", family, nothing).send(&short, no_service()),
        prefix_case("an ICMP error, no ring", family, |state| {
            state.rings.remove(&service);
        })
        .send(&one, drop(DropReason::NoRing)),
    ]
}

/// What is passed of other VIPs' packets.
fn unclaimed(family: u8) -> Vec<Case> {
    let plain = |packet: Packet, protocol: u8| match family {
        V4 => packet.edit_v4(|ip| ip.protocol = Some(protocol)).payload(30),
        _ => packet.edit_v6(|ip| ip.next_header = Some(protocol)).payload(30),
    };
    let mut protocols = prefix_case("other protocols", family, nothing);
    for protocol in [2, 4, 41, 47, 50, 51, 59, 89, 255, if family == V4 { 58 } else { 1 }] {
        protocols = protocols.send(&plain(to(family, ONE), protocol), no_service());
    }
    let mut messages = prefix_case("other ICMP messages", family, nothing);
    for kind in [0, 5, 13, 30, 129, 133, 135, 136, 200] {
        messages = messages.send(&message(to(family, ONE), family, [kind; 2], 0, [0; 4]).payload(40), no_service());
    }
    let id = 0x31;
    let mut fragments = prefix_case("fragments of other things", family, nothing);
    let of_icmp = if family == V4 {
        let later = to(V4, ONE).edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (id, 4, Some(1))).payload(20);
        vec![later, to(V4, ONE).edit_v4(|ip| (ip.id, ip.more_fragments) = (id, true)).icmp(8, 0, [0; 4]).payload(16)]
    } else {
        let later = |next| {
            let header = FragmentHeader {
                next_header: Some(next),
                reserved: 0,
                offset: 4,
                more_fragments: false,
                id: id.into(),
            };
            to(V6, ONE).layer(Layer::Fragment(header)).payload(20)
        };
        let first = to(V6, ONE).fragment6(id.into(), 0, true).icmp6(128, 0, [0; 4]).payload(16);
        vec![later(58), later(59), first]
    };
    for packet in of_icmp {
        fragments = fragments.send(&packet, no_service());
    }
    vec![
        protocols,
        messages,
        fragments,
        prefix_case("nobody's packets beside the prefix", family, nothing)
            .send(&plain(to(family, 0x8000), 47), pass())
            .send(&message(to(family, 0x8000), family, [13, 200], 0, [0; 4]), pass()),
    ]
}

/// What is counted of broken packets for VIPs.
fn broken(family: u8) -> Vec<Case> {
    let packet = segment(family, ONE);
    let length = packet.bytes().len();
    let mut cases = vec![
        prefix_case("a packet that is cut off", family, nothing)
            .send(&packet.clone().cut_to(length - 1), drop(DropReason::Truncated)),
        prefix_case("a packet that is cut off, beside the prefix", family, nothing)
            .send(&segment(family, 0x8000).cut_to(length - 1), pass()),
    ];
    let short = |protocol: u8, bytes: usize| match family {
        V4 => to(V4, ONE).edit_v4(|ip| ip.protocol = Some(protocol)).payload(bytes),
        _ => to(V6, ONE).edit_v6(|ip| ip.next_header = Some(protocol)).payload(bytes),
    };
    let mut case = prefix_case("short transport headers", family, nothing);
    for (protocol, bytes) in [(TCP, 19), (UDP, 7), (SCTP, 11), (if family == V4 { 1 } else { 58 }, 7)] {
        case = case.send(&short(protocol, bytes), drop(DropReason::Malformed));
    }
    cases.push(case);
    if family == V4 {
        let ihl = to(V4, ONE).edit_v4(|ip| ip.ihl = Some(4)).udp(1, 2);
        cases.push(prefix_case("a bad IHL", V4, nothing).send(&ihl, drop(DropReason::Malformed)));
    } else {
        let seven = (0..7).fold(to(V6, ONE), |packet, _| packet.extension(60, 1)).udp(1, 53);
        cases.push(prefix_case("seven headers", V6, nothing).send(&seven, drop(DropReason::ExtensionHeaders)));
    }
    cases
}

fn fragments(family: u8) -> Vec<Case> {
    let number = 0x55;
    let parts = |host: u32| {
        if family == V4 {
            let first = to(V4, host).edit_v4(|ip| (ip.id, ip.more_fragments) = (number, true));
            let later = to(V4, host).edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (number, 4, Some(UDP)));
            (first.udp(CLIENT_PORT, 53).payload(24), later.payload(20))
        } else {
            let header = |offset, more| to(V6, host).fragment6(number.into(), offset, more);
            (header(0, true).udp(CLIENT_PORT, 53).payload(24), header(4, false).udp(1, 2).payload(20))
        }
    };
    let key = |host: u32| FragmentKey {
        source: address_of(client(family)).0,
        destination: address_of(address(family, host)).0,
        id: number.into(),
        protocol: if family == V4 { UDP } else { 0 },
        family,
        reserved: 0,
    };
    let service = id(WIDE_ANY, family);
    let ((first, later), (first2, later2)) = (parts(ONE), parts(TWO));
    let unknown = || drop(DropReason::FragmentUnknown);
    let real_of = |host| if host == ONE { far(family) } else { near(family) };
    let ring = |state: &mut State| {
        state.set_slot_of(service, &flow_to(family, ONE, UDP, 53), clean(far(family)));
    };
    let noted = |packet: &Packet, host| {
        goes(packet, family, WIDE_ANY, real_of(host)).fragment(key(host), service, real_of(host), MODE_DSR)
    };
    let follows = |packet: &Packet, host| goes(packet, family, WIDE_ANY, real_of(host)).event(Event::FragmentForwarded);
    vec![
        prefix_case("fragments", family, ring)
            .send(&first, noted(&first, ONE))
            .send(&later2, unknown())
            .send(&later, follows(&later, ONE))
            .send(&first2, noted(&first2, TWO))
            .send(&later2, follows(&later2, TWO))
            .send(&later, follows(&later, ONE)),
        prefix_case("a later fragment beside the prefix", family, nothing).send(&parts(0x8000).1, pass()),
    ]
}

/// Resets and answers to what is too big come from the packet's own destination.
fn answers(family: u8) -> Vec<Case> {
    let service = id(WIDE_TCP, family);
    let resets = |state: &mut State| {
        state.fill_ring(service, clean(0));
        let options = ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() };
        state.service_options.insert(service, options);
    };
    let plain = |packet: Packet| match family {
        V4 => packet.edit_v4(|ip| (ip.id, ip.ttl, ip.dont_fragment) = (0, 64, true)),
        _ => packet.edit_v6(|ip| (ip.flow_label, ip.hop_limit) = (0, 64)),
    };
    let back = |packet: Packet| packet.macs(ROUTER_MAC, BALANCER_MAC);
    let mut reset = prefix_case("resets", family, resets);
    for host in [ONE, TWO, 0] {
        let answer = plain(from(family, host)).tcp(DSR_PORT, CLIENT_PORT, RST | ACK).edit_last(|layer| {
            if let Layer::Tcp(tcp) = layer {
                (tcp.sequence, tcp.acknowledgement, tcp.window) = (0, 0x0102_0305, 0);
            }
        });
        let syn = to(family, host).tcp(CLIENT_PORT, DSR_PORT, SYN);
        reset = reset.send(&syn, tx(&back(answer)).event(Event::ResetAnswered));
    }
    let mut big = prefix_case("too big", family, nothing);
    for (port, outer) in [(IPIP_PORT, 0), (GUE_SERVICE_PORT, 8)] {
        let mtu = MTU - ip_header(family) as u32 - outer;
        let packet = to(family, ONE).udp(CLIENT_PORT, port).payload(1_480);
        let answer = plain(from(family, ONE));
        let answer = if family == V4 {
            answer.icmp(3, 4, [0, 0, (mtu >> 8) as u8, mtu as u8]).quote(&packet, 68)
        } else {
            answer.icmp6(2, 0, mtu.to_be_bytes()).quote(&packet, 232)
        };
        big = big.send(&packet, tx(&back(answer)).event(Event::TooBigAnswered));
    }
    vec![reset, big]
}
