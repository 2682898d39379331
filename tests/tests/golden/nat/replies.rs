//! Reals' packets to clients: which of them are replies, and what becomes of those.

use lb_common::{MODE_DSR, MODE_NAT, NO_REAL, ServiceKey};
use lb_tests::model::{State, WAY_IFINDEX};
use lb_tests::packet::{ACK, FIN, Packet, RST, SYN};

use super::to_reals::noted_as;
use super::*;
use crate::case::{Case, Expect, pass, pass_for_vip};

pub fn cases() -> Vec<Case> {
    let mut cases = whole_packets();
    cases.extend(shapes());
    cases.extend(udp_checksums());
    cases.extend(ranges());
    cases.extend(fragments());
    cases.extend(no_replies());
    cases.extend(broken());
    cases.extend(to_vips());
    cases
}

/// What a real answers.
pub fn answer(family: u8, protocol: u8, flags: u8) -> Packet {
    let packet = Packet::ip(real_address(near(family)), client(family));
    with_ports(packet, protocol, REAL_PORT, CLIENT_PORT, flags).payload(11)
}

/// As it goes to the client.
pub fn from_vip(packet: &Packet, family: u8) -> Packet {
    sourced(packet, vip(family), Some(NAT_PORT))
}

fn whole_packets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (words, answer) = (format!("reply {}", words(family, protocol)), answer(family, protocol, ACK));
        let out = from_vip(&answer, family);
        cases.push(one(&words, &answer, replied(&out)));
        let same = tx(&out.clone().macs(CLIENT_MAC, WAY_MAC)).event(Event::ReplyForwarded);
        cases.push(nat_case(format!("{words}, in and out by the link"), nothing).by(WAY_IFINDEX).send(&answer, same));
        // The row's service has no port of its own.
        let keeps = |state: &mut State| {
            state.service_options.entry(service(family, protocol)).or_default().vip_port = 0;
        };
        let kept = sourced(&answer, vip(family), None);
        cases.push(nat_case(format!("{words}, the port stays"), keeps).send(&answer, replied(&kept)));
        // Where it goes matters to nobody but the kernel, nor does the service's ring.
        let far = destined(&answer, of(family, FAR_CLIENT, FAR_CLIENT6), Some(5));
        let out = from_vip(&far, family).macs(GATEWAY_MAC, WAY_MAC);
        let bare = |state: &mut State| drop(state.rings.remove(&service(family, protocol)));
        cases.push(
            nat_case(format!("{words}, by a gateway"), bare)
                .send(&far, redirect(&out, WAY_IFINDEX).event(Event::ReplyForwarded)),
        );
    }
    for flags in [SYN | ACK, FIN | ACK, RST, SYN, 0] {
        let answer = answer(V4, TCP, flags);
        cases.push(one(format!("reply with flags 0x{flags:02x}"), &answer, replied(&from_vip(&answer, V4))));
    }
    cases
}

fn shapes() -> Vec<Case> {
    let four = || answer(V4, TCP, ACK);
    let six = || Packet::ip(real_address(NEAR_V6), client(V6));
    let options =
        |words: usize| Packet::ip(real_address(NEAR_V4), client(V4)).edit_v4(|ip| ip.options = vec![1; 4 * words]);
    let table = [
        ("one tag", V4, four().vlan(5)),
        ("two tags", V4, four().service_vlan(5).vlan(6)),
        ("two tags, v6", V6, answer(V6, UDP, 0).service_vlan(5).vlan(6)),
        ("padding", V4, four().pad_to(90)),
        ("padding, v6", V6, answer(V6, TCP, ACK).pad_to(90)),
        ("TTL 1", V4, four().edit_v4(|ip| ip.ttl = 1)),
        ("TTL 0", V4, four().edit_v4(|ip| ip.ttl = 0)),
        ("hop limit 1", V6, answer(V6, TCP, ACK).edit_v6(|ip| ip.hop_limit = 1)),
        ("a TOS", V4, four().edit_v4(|ip| (ip.tos, ip.dont_fragment) = (0xb9, false))),
        ("a traffic class", V6, answer(V6, TCP, ACK).edit_v6(|ip| ip.traffic_class = 0xb9)),
        ("options", V4, options(1).tcp(REAL_PORT, CLIENT_PORT, ACK)),
        ("the longest options", V4, options(10).udp(REAL_PORT, CLIENT_PORT).payload(3)),
        ("an extension header", V6, six().extension(60, 1).udp(REAL_PORT, CLIENT_PORT).payload(9)),
        (
            "extension headers",
            V6,
            six().extension(0, 3).extension(43, 1).extension(60, 2).tcp(REAL_PORT, CLIENT_PORT, ACK),
        ),
        ("an atomic fragment", V6, six().fragment6(9, 0, false).tcp(REAL_PORT, CLIENT_PORT, ACK)),
        ("no payload", V4, Packet::ip(real_address(NEAR_V4), client(V4)).udp(REAL_PORT, CLIENT_PORT)),
    ];
    table
        .into_iter()
        .map(|(name, family, packet)| one(format!("reply, {name}"), &packet, replied(&from_vip(&packet, family))))
        .collect()
}

fn udp_checksums() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let none = without_checksum(answer(family, UDP, 0));
        cases.push(one(format!("reply v{family}, no UDP checksum"), &none, replied(&from_vip(&none, family))));
        let plain = Packet::ip(real_address(near(family)), client(family)).udp(REAL_PORT, CLIENT_PORT);
        let becomes = with_checksum_ffff(&plain, |packet| from_vip(packet, family));
        cases.push(one(
            format!("reply v{family}, a UDP checksum that becomes 0xffff"),
            &becomes,
            replied(&from_vip(&becomes, family)),
        ));
    }
    cases
}

/// Rows with port 0, and ports that are not within their row.
fn ranges() -> Vec<Case> {
    let packet = |family, port| Packet::ip(real_address(near(family)), client(family)).tcp(port, CLIENT_PORT, ACK);
    let mut cases = Vec::new();
    for family in FAMILIES {
        let kept = |port| replied(&sourced(&packet(family, port), wide_vip(family), None));
        let table: [(u16, Expect); 5] = [
            (RANGE_FIRST - 1, pass()),
            (RANGE_FIRST, kept(RANGE_FIRST)),
            (RANGE_FIRST + 5, kept(RANGE_FIRST + 5)),
            (RANGE_LAST, kept(RANGE_LAST)),
            (RANGE_LAST + 1, pass()),
        ];
        for (port, expect) in table {
            cases.push(one(format!("reply v{family} from port {port} of a range"), &packet(family, port), expect));
        }
        let port = RANGE_FIRST + 1;
        let without = |state: &mut State| state.nat.flags = NAT_REPLIES;
        cases.push(nat_case(format!("reply v{family}, no ranges"), without).send(&packet(family, port), pass()));
        let replaced = |state: &mut State| state.service_options.entry(range(family)).or_default().vip_port = 7;
        let out = sourced(&packet(family, port), wide_vip(family), Some(7));
        cases.push(
            nat_case(format!("reply v{family} of a range to one port"), replaced)
                .send(&packet(family, port), replied(&out)),
        );
        // A row for the port goes before that of the range, also where the port is not within it.
        let exact =
            |ports| move |state: &mut State| add_replies(state, near(family), port, TCP, service(family, TCP), ports);
        let out = sourced(&packet(family, port), vip(family), Some(NAT_PORT));
        cases.push(
            nat_case(format!("reply v{family}, the port goes before the range"), exact((port, port)))
                .send(&packet(family, port), replied(&out)),
        );
        for ports in [(port + 1, 65_535), (0, port - 1), (port + 1, port - 1)] {
            cases.push(
                nat_case(format!("reply v{family}, a row for {ports:?} does not have {port}"), exact(ports))
                    .send(&packet(family, port), pass()),
            );
        }
    }
    let all = |state: &mut State| add_replies(state, NEAR_V4, 0, TCP, NAT_RANGE_V4, (0, 65_535));
    for port in [0, 1, 65_535] {
        let out = replied(&sourced(&packet(V4, port), wide_vip(V4), None));
        cases.push(nat_case(format!("reply from port {port} of any"), all).send(&packet(V4, port), out));
    }
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (real, client) = (real_address(near(family)), client(family));
        let first = with_ports(first(real, client), protocol, REAL_PORT, CLIENT_PORT, ACK).payload(36);
        let later = later(real, client, protocol);
        let key = fragment_key(real, client, ID.into(), protocol);
        let follows = || replied(&sourced(&later, vip(family), None));
        let words = format!("reply {}", words(family, protocol));
        let noted = replied(&from_vip(&first, family)).fragment(key, service(family, protocol), NO_REAL, MODE_NAT);
        cases.push(nat_case(format!("{words}, fragments"), nothing).send(&first, noted).send(&later, follows()));
        cases.push(one(format!("{words}, a later fragment of an unknown packet"), &later, pass()));
        let as_mode = |mode| move |state: &mut State| noted_as(state, key, service(family, protocol), NO_REAL, mode);
        cases.push(
            nat_case(format!("{words}, a later fragment of a known packet"), as_mode(MODE_NAT)).send(&later, follows()),
        );
        cases.push(
            nat_case(format!("{words}, a later fragment of another mode"), as_mode(MODE_DSR)).send(&later, pass()),
        );
        let off = |state: &mut State| {
            as_mode(MODE_NAT)(state);
            state.nat.flags = NAT_REPLY_RANGES;
        };
        cases.push(
            nat_case(format!("{words}, fragments, and replies are not looked at"), off)
                .send(&first, pass())
                .send(&later, pass()),
        );
        let other = destined(&later, of(family, FAR_CLIENT, FAR_CLIENT6), None);
        cases.push(nat_case(format!("{words}, a later fragment to another"), as_mode(MODE_NAT)).send(&other, pass()));
    }
    let key = fragment_key(real_address(NEAR_V6), CLIENT6.into(), ID.into(), 0);
    let known = |state: &mut State| noted_as(state, key, NAT_V6_UDP, NO_REAL, MODE_NAT);
    for (next, is_reply) in [(TCP, true), (0, true), (43, true), (44, true), (60, true), (58, false), (59, false)] {
        let later = later(real_address(NEAR_V6), CLIENT6.into(), next);
        let expect = if is_reply { replied(&sourced(&later, VIP6.into(), None)) } else { pass() };
        cases.push(nat_case(format!("reply, a later v6 fragment that names {next}"), known).send(&later, expect));
    }
    cases
}

/// Packets that are no replies: they pass, and nothing is counted.
fn no_replies() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (real, to) = (real_address(near(family)), client(family));
        let ip = || Packet::ip(real, to);
        let icmp = |kind4, kind6| {
            if family == V4 { ip().icmp(kind4, 0, [0; 4]) } else { ip().icmp6(kind6, 0, [0; 4]) }.payload(60)
        };
        let table = [
            ("another port", ip().tcp(REAL_PORT + 1, CLIENT_PORT, ACK)),
            ("the VIP's port", ip().tcp(NAT_PORT, CLIENT_PORT, ACK)),
            ("to the real's port", ip().tcp(CLIENT_PORT, REAL_PORT, ACK)),
            ("another source", Packet::ip(router(family), to).tcp(REAL_PORT, CLIENT_PORT, ACK)),
            ("from the VIP", Packet::ip(vip(family), to).tcp(NAT_PORT, CLIENT_PORT, ACK)),
            ("the other way", Packet::ip(to, real).tcp(CLIENT_PORT, REAL_PORT, ACK)),
            ("an echo", icmp(8, 128)),
            ("an echo reply", icmp(0, 129)),
            ("another protocol", ip().payload(40)),
        ];
        for (name, packet) in table {
            cases.push(one(format!("no reply v{family}: {name}"), &packet, pass()));
        }
        for (name, flags) in [("off", 0), ("off, and ranges are not", NAT_REPLY_RANGES), ("others", !NAT_REPLIES)] {
            let off = |state: &mut State| state.nat.flags = flags;
            cases.push(
                nat_case(format!("no reply v{family}: {name}"), off)
                    .send(&answer(family, TCP, ACK), pass())
                    .send(&ip().tcp(RANGE_FIRST, CLIENT_PORT, ACK), pass()),
            );
        }
        let of_udp_only = |state: &mut State| {
            let (vip, family) = address_of(real);
            state.nat_replies.remove(&ServiceKey { vip, port: REAL_PORT, protocol: TCP, family });
        };
        cases.push(
            nat_case(format!("no reply v{family}: a port of udp alone"), of_udp_only)
                .send(&answer(family, TCP, ACK), pass()),
        );
    }
    cases
}

/// What sections 2 and 3 would drop passes.
fn broken() -> Vec<Case> {
    let four = || answer(V4, TCP, ACK);
    let six = || answer(V6, TCP, ACK);
    let ip6 = || Packet::ip(real_address(NEAR_V6), client(V6));
    let many =
        |count: usize| (0..count).fold(ip6(), |packet, _| packet.extension(60, 1)).tcp(REAL_PORT, CLIENT_PORT, ACK);
    let twice = ip6().fragment6(1, 0, false).fragment6(1, 0, false).tcp(REAL_PORT, CLIENT_PORT, ACK);
    let table = [
        ("IHL 4", four().edit_v4(|ip| ip.ihl = Some(4))),
        ("total length below the header's", four().edit_v4(|ip| ip.total_length = Some(19))),
        ("truncated", four().edit_v4(|ip| ip.total_length = Some(52))),
        ("truncated, v6", six().edit_v6(|ip| ip.payload_length = Some(32))),
        ("no room for TCP", four().edit_v4(|ip| ip.total_length = Some(39))),
        ("no room for TCP, v6", six().edit_v6(|ip| ip.payload_length = Some(19))),
        ("an extension header that is cut off", ip6().extension(60, 1).cut_to(60)),
        ("too many extension headers", many(7)),
        ("two fragment headers", twice),
        ("version 5", four().edit_v4(|ip| ip.version = 5)),
        ("version 5, v6", six().edit_v6(|ip| ip.version = 5)),
        ("three tags", four().vlan(1).vlan(2).vlan(3)),
    ];
    let mut cases: Vec<Case> =
        table.into_iter().map(|(name, packet)| one(format!("no reply: {name}"), &packet, pass())).collect();
    for (name, packet) in [("v4", four()), ("v6", six()), ("two tags", six().vlan(1).vlan(2))] {
        // A frame that ends early is truncated, whatever is missing.
        let cuts = (14..packet.bytes().len()).map(|length| packet.clone().cut_to(length));
        let case = nat_case(format!("no reply: {name}, every truncation point"), nothing);
        cases.push(cuts.fold(case, |case, cut| case.send(&cut, pass())));
    }
    let six_headers = many(6);
    cases.push(one(
        "reply, as many extension headers as there may be",
        &six_headers,
        replied(&from_vip(&six_headers, V6)),
    ));
    cases
}

/// A real is a client too: packets for VIPs are section 4's.
fn to_vips() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let ip = || Packet::ip(real_address(near(family)), vip(family));
        let dsr_service = if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP };
        let to_service = ip().tcp(REAL_PORT, DSR_PORT, ACK);
        let forwarded =
            tx(&dsr(&to_service, near(family))).counts(dsr_service, near(family), to_service.ip_length() as u64);
        cases.push(one(format!("a real's packet for a VIP, v{family}"), &to_service, forwarded));
        let to_no_service = ip().tcp(REAL_PORT, NO_PORT, ACK);
        cases.push(one(format!("a real's packet for a VIP and no service, v{family}"), &to_no_service, pass_for_vip()));
        let to_nat = ip().tcp(REAL_PORT, NAT_PORT, ACK);
        let out = destined(&to_nat, real_address(near(family)), Some(REAL_PORT));
        let counted = sent(&out, near(family)).counts(service(family, TCP), near(family), to_nat.ip_length() as u64);
        cases.push(one(format!("a real's packet for a VIP in nat mode, v{family}"), &to_nat, counted));
    }
    cases
}
