//! ICMP errors about flows in `nat` mode: from routers to a VIP, and from reals and routers before them to clients.

use lb_common::{DropReason, FLOW_OPEN, NatPortKey, OPTION_REAL_PORTS};
use lb_tests::model::{Only, State};
use lb_tests::packet::{ACK, Packet};
use lb_tests::world::{clean, flow_key, remembers};

use super::ways::asking;
use super::*;
use crate::case::{Case, Expect, drop, pass, pass_for_vip};

pub fn cases() -> Vec<Case> {
    let mut cases = to_vip();
    cases.extend(to_vip_ports());
    cases.extend(to_vip_ends());
    cases.extend(to_client());
    cases.extend(to_client_not());
    cases
}

/// An error that quotes the first bytes of a packet.
fn error(from: IpAddr, to: IpAddr, quoted: &Packet, length: usize) -> Packet {
    on(Packet::ip(from, to), quoted, length)
}

/// The same after these headers.
fn on(headers: Packet, quoted: &Packet, length: usize) -> Packet {
    let rest = [0, 0, 5, 0x78];
    let is_v4 = matches!(headers.layers[0], Layer::V4(_));
    let message = if is_v4 { headers.icmp(3, 4, rest) } else { headers.icmp6(2, 0, rest) };
    message.quote(quoted, length)
}

/// Bytes of an IP header without options or extension headers.
fn header(family: u8) -> usize {
    if family == V4 { 20 } else { 40 }
}

/// Lengths of quotes, in words: of the transport header, and of what follows.
const LENGTHS: [(&str, usize); 6] =
    [("8 bytes", 8), ("9 bytes", 9), ("16 bytes", 16), ("18 bytes", 18), ("the header", 20), ("all", 60)];

/// A packet that the VIP seems to have sent, or the real really.
fn from(source: IpAddr, port: u16, family: u8, protocol: u8) -> Packet {
    with_ports(Packet::ip(source, client(family)), protocol, port, CLIENT_PORT, ACK).payload(24)
}

/// A packet to the VIP as the client has sent it, or to the real as it got there.
fn to(destination: IpAddr, port: u16, family: u8, protocol: u8) -> Packet {
    with_ports(Packet::ip(client(family), destination), protocol, CLIENT_PORT, port, ACK).payload(24)
}

/// With a checksum that is not that of the packet.
fn with_tcp_checksum(mut packet: Packet) -> Packet {
    for layer in &mut packet.layers {
        if let Layer::Tcp(header) = layer {
            header.checksum = Some(0x1234);
        }
    }
    packet
}

/// It follows its flow to the real.
fn follows(out: &Packet, family: u8, protocol: u8, real: u16) -> Expect {
    sent(out, real).counts(service(family, protocol), real, out.ip_length() as u64).event(Event::IcmpErrorForwarded)
}

fn to_vip() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (vip, router) = (vip(family), router(family));
        let real = |id| real_address(id);
        let words = format!("error to the VIP, {}", words(family, protocol));
        let both = |edit: &dyn Fn(Packet) -> Packet, id: u16, length: usize| {
            let before = error(router, vip, &edit(from(vip, NAT_PORT, family, protocol)), header(family) + length);
            let after =
                error(router, real(id), &edit(from(real(id), REAL_PORT, family, protocol)), header(family) + length);
            (before, after)
        };
        let plain = |packet: Packet| packet;
        for (name, length) in LENGTHS {
            let (before, after) = both(&plain, near(family), length);
            cases.push(one(format!("{words}, {name}"), &before, follows(&after, family, protocol, near(family))));
        }
        // Half a checksum stays as it is.
        let (before, after) = both(&with_tcp_checksum, near(family), 17);
        cases.push(one(format!("{words}, 17 bytes"), &before, follows(&after, family, protocol, near(family))));
        let (before, after) = both(&plain, far(family), 8);
        let to_far = |state: &mut State| state.fill_ring(service(family, protocol), clean(far(family)));
        cases.push(
            nat_case(format!("{words}, far"), to_far).send(&before, follows(&after, family, protocol, far(family))),
        );
        let (before, after) = both(&plain, near(family), 18);
        let tagged = (before.service_vlan(3).vlan(4).pad_to(130), after.service_vlan(3).vlan(4).pad_to(130));
        cases.push(one(
            format!("{words}, tags and padding"),
            &tagged.0,
            follows(&tagged.1, family, protocol, near(family)),
        ));
        if protocol == UDP {
            let (before, after) = both(&without_checksum, near(family), 8);
            cases.push(one(format!("{words}, no checksum"), &before, follows(&after, family, UDP, near(family))));
        }
        // The decision is that of section 4, and only reads.
        let known = |state: &mut State| {
            state.fill_ring(service(family, protocol), remembers(near(family), old(family)));
            let key = flow_key((client(family), CLIENT_PORT), (vip, NAT_PORT), protocol);
            state.put_flow(key, service(family, protocol), far(family), FLOW_OPEN);
        };
        let (before, after) = both(&plain, far(family), 20);
        cases.push(
            nat_case(format!("{words}, a known flow"), known)
                .send(&before, follows(&after, family, protocol, far(family))),
        );
    }
    for family in FAMILIES {
        let seen = |packet: &Packet| sourced(packet, vip(family), Some(NAT_PORT));
        let real = real_address(near(family));
        let plain = Packet::ip(real, client(family)).udp(REAL_PORT, CLIENT_PORT);
        // What the VIP seemed to send has the checksum 0xffff, and what the real sends, the other way round.
        for (name, whole) in [
            ("was", sourced(&with_checksum_ffff(&plain, seen), real, Some(REAL_PORT))),
            ("becomes", with_checksum_ffff(&plain, Packet::clone)),
        ] {
            let before = error(router(family), vip(family), &seen(&whole), 80);
            let after = error(router(family), real, &whole, 80);
            cases.push(one(
                format!("error to the VIP, v{family}, a quoted checksum that {name} 0xffff"),
                &before,
                follows(&after, family, UDP, near(family)),
            ));
        }
    }
    let options = |packet: Packet, words: usize| packet.edit_v4(|ip| ip.options = vec![1; 4 * words]);
    let quoted = |source: IpAddr, port| options(Packet::ip(source, client(V4)), 10).tcp(port, CLIENT_PORT, ACK);
    for length in [68, 76, 78, 80] {
        let before = on(options(Packet::v4(ROUTER, VIP), 3), &quoted(VIP.into(), NAT_PORT), length);
        let real = real_address(NEAR_V4);
        let after = on(destined(&options(Packet::v4(ROUTER, VIP), 3), real, None), &quoted(real, REAL_PORT), length);
        cases.push(one(
            format!("error to the VIP, options in both headers, {length} bytes"),
            &before,
            follows(&after, V4, TCP, NEAR_V4),
        ));
    }
    let real = real_address(NEAR_V6);
    let outer = |to: IpAddr| Packet::ip(ROUTER6.into(), to).extension(0, 2).extension(60, 1);
    let before = on(outer(VIP6.into()), &from(VIP6.into(), NAT_PORT, V6, TCP), 58);
    let after = on(outer(real), &from(real, REAL_PORT, V6, TCP), 58);
    cases.push(one("error to the VIP, extension headers", &before, follows(&after, V6, TCP, NEAR_V6)));
    let first = |packet: Packet| packet.edit_v4(|ip| (ip.more_fragments, ip.dont_fragment) = (true, false));
    let before = error(ROUTER.into(), VIP.into(), &first(from(VIP.into(), NAT_PORT, V4, UDP)), 40);
    let after =
        error(ROUTER.into(), real_address(NEAR_V4), &first(from(real_address(NEAR_V4), REAL_PORT, V4, UDP)), 40);
    cases.push(one("error to the VIP, a quote of a first fragment", &before, follows(&after, V4, UDP, NEAR_V4)));
    cases
}

/// The port of the quote's source.
fn to_vip_ports() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (id, real) = (service(family, TCP), near(family));
        let case = |name: &str, port: u16, change: &dyn Fn(&mut State)| {
            let before = error(router(family), vip(family), &from(vip(family), NAT_PORT, family, TCP), 80);
            let after = error(router(family), real_address(real), &from(real_address(real), port, family, TCP), 80);
            nat_case(format!("error to the VIP, v{family}, {name}"), change)
                .send(&before, follows(&after, family, TCP, real))
        };
        cases.push(case("the port stays", NAT_PORT, &|state| {
            state.service_options.entry(id).or_default().real_port = 0;
        }));
        cases.push(case("the real's own port", 9_999, &|state| {
            state.service_options.entry(id).or_default().flags = OPTION_REAL_PORTS;
            state.nat_ports.insert(NatPortKey { service: id, real: real.into() }, 9_999);
        }));
        let quoted = |source| from(source, RANGE_LAST, family, TCP);
        let before = error(router(family), wide_vip(family), &quoted(wide_vip(family)), 80);
        let after = error(router(family), real_address(real), &quoted(real_address(real)), 80);
        let expect =
            sent(&after, real).counts(range(family), real, after.ip_length() as u64).event(Event::IcmpErrorForwarded);
        cases.push(one(format!("error to the VIP, v{family}, a range"), &before, expect));
    }
    cases
}

fn to_vip_ends() -> Vec<Case> {
    let quoted = from(VIP.into(), NAT_PORT, V4, TCP);
    let plain = error(ROUTER.into(), VIP.into(), &quoted, 28);
    let with = |real| move |state: &mut State| state.fill_ring(NAT_V4_TCP, clean(real));
    let table = [
        ("no real", 0, DropReason::NoReal),
        ("a real that is disabled", DISABLED_V4, DropReason::RealDown),
        ("a real without a next hop", UNRESOLVED_V4, DropReason::NoNextHop),
        ("a real of the other family", NEAR_V6, DropReason::FamilyMismatch),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, real, reason)| {
            nat_case(format!("error to the VIP, {name}"), with(real)).send(&plain, drop(reason))
        })
        .collect();
    cases.push(one("error to the VIP, 7 bytes", &error(ROUTER.into(), VIP.into(), &quoted, 27), pass_for_vip()));
    let long = |length: usize| error(ROUTER.into(), VIP.into(), &quoted.clone().payload(1_500), length - 28);
    let real = real_address(NEAR_V4);
    let fits = error(ROUTER.into(), real, &from(real, REAL_PORT, V4, TCP).payload(1_500), 1_472);
    cases.push(one("error to the VIP, 1,500 bytes fit", &long(1_500), follows(&fits, V4, TCP, NEAR_V4)));
    cases.push(one("error to the VIP, 1,501 bytes do not", &long(1_501), drop(DropReason::TooBig)));
    cases
}

fn to_client() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (vip, client, real) = (vip(family), client(family), real_address(near(family)));
        let words = format!("error to the client, {}", words(family, protocol));
        let both = |edit: &dyn Fn(Packet) -> Packet, source: IpAddr, length: usize| {
            let before = error(source, client, &edit(to(real, REAL_PORT, family, protocol)), header(family) + length);
            let after = error(vip, client, &edit(to(vip, NAT_PORT, family, protocol)), header(family) + length);
            (before, after)
        };
        let plain = |packet: Packet| packet;
        for (name, length) in LENGTHS {
            let (before, after) = both(&plain, real, length);
            cases.push(one(format!("{words}, from the real, {name}"), &before, replied(&after)));
        }
        let (before, after) = both(&with_tcp_checksum, real, 17);
        cases.push(one(format!("{words}, from the real, 17 bytes"), &before, replied(&after)));
        let (before, after) = both(&plain, router(family), 8);
        cases.push(one(format!("{words}, from a router"), &before, replied(&after)));
        let (before, after) = both(&plain, router(family), 20);
        let tagged = (before.service_vlan(3).vlan(4).pad_to(130), after.service_vlan(3).vlan(4).pad_to(130));
        cases.push(one(format!("{words}, tags and padding"), &tagged.0, replied(&tagged.1)));
        if protocol == UDP {
            let (before, after) = both(&without_checksum, real, 8);
            cases.push(one(format!("{words}, no checksum"), &before, replied(&after)));
        }
        let (before, _) = both(&plain, real, 20);
        let kept = error(vip, client, &to(vip, REAL_PORT, family, protocol), header(family) + 20);
        cases.push(
            nat_case(format!("{words}, the port stays"), |state| {
                state.service_options.entry(service(family, protocol)).or_default().vip_port = 0;
            })
            .send(&before, replied(&kept)),
        );
    }
    for family in FAMILIES {
        let (vip, client, real) = (vip(family), client(family), real_address(near(family)));
        let seen = |packet: &Packet| destined(packet, vip, Some(NAT_PORT));
        let plain = Packet::ip(client, real).udp(CLIENT_PORT, REAL_PORT);
        for (name, whole) in
            [("becomes", with_checksum_ffff(&plain, seen)), ("was", with_checksum_ffff(&plain, Packet::clone))]
        {
            cases.push(one(
                format!("error to the client, v{family}, a quoted checksum that {name} 0xffff"),
                &error(real, client, &whole, 80),
                replied(&error(vip, client, &seen(&whole), 80)),
            ));
        }
        let range = |destination| to(destination, RANGE_FIRST, family, TCP);
        cases.push(one(
            format!("error to the client, v{family}, a range"),
            &error(real, client, &range(real), 80),
            replied(&error(wide_vip(family), client, &range(wide_vip(family)), 80)),
        ));
        // The kernel is asked for the protocol of the error, not of the quote.
        let icmp = if family == V4 { 1 } else { 58 };
        let only = Only { protocol: Some(icmp), ..Only::default() };
        cases.push(
            nat_case(format!("error to the client, v{family}, asked for protocol {icmp}"), |state| {
                asking(state, family, only);
            })
            .send(
                &error(real, client, &to(real, REAL_PORT, family, TCP), 60),
                replied(&error(vip, client, &to(vip, NAT_PORT, family, TCP), 60)),
            ),
        );
    }
    for (kind, code) in [(3, 0), (3, 13), (11, 0), (11, 1), (12, 2)] {
        let message =
            |from: IpAddr, quoted: &Packet| Packet::ip(from, CLIENT.into()).icmp(kind, code, [0; 4]).quote(quoted, 40);
        let real = real_address(NEAR_V4);
        let before = message(real, &to(real, REAL_PORT, V4, TCP));
        cases.push(one(
            format!("error to the client, ICMP {kind}/{code}"),
            &before,
            replied(&message(VIP.into(), &to(VIP.into(), NAT_PORT, V4, TCP))),
        ));
    }
    for (kind, code) in [(1, 0), (1, 4), (2, 0), (3, 0), (4, 1)] {
        let message = |from: IpAddr, quoted: &Packet| {
            Packet::ip(from, CLIENT6.into()).icmp6(kind, code, [0; 4]).quote(quoted, 60)
        };
        let real = real_address(NEAR_V6);
        let before = message(real, &to(real, REAL_PORT, V6, UDP));
        cases.push(one(
            format!("error to the client, ICMPv6 {kind}/{code}"),
            &before,
            replied(&message(VIP6.into(), &to(VIP6.into(), NAT_PORT, V6, UDP))),
        ));
    }
    cases
}

/// Errors to clients that are no replies.
fn to_client_not() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (client, real) = (client(family), real_address(near(family)));
        let quoted = || to(real, REAL_PORT, family, TCP);
        let about = |packet: &Packet| error(real, client, packet, 80);
        let version = |packet: Packet, version: u8| {
            if family == V4 {
                packet.edit_v4(|ip| ip.version = version)
            } else {
                packet.edit_v6(|ip| ip.version = version)
            }
        };
        let kind = |kind4, kind6| {
            let ip = Packet::ip(real, client);
            if family == V4 { ip.icmp(kind4, 0, [0; 4]) } else { ip.icmp6(kind6, 0, [0; 4]) }.quote(&quoted(), 80)
        };
        let table = [
            ("another port", about(&to(real, REAL_PORT + 1, family, TCP))),
            ("a port outside the range", about(&to(real, RANGE_LAST + 1, family, TCP))),
            ("another real", about(&to(router(family), REAL_PORT, family, TCP))),
            ("a packet of another client", about(&sourced(&quoted(), router(family), None))),
            ("a packet of the real's", about(&from(real, REAL_PORT, family, TCP))),
            ("a packet to the VIP", about(&to(vip(family), NAT_PORT, family, TCP))),
            ("a quote of another version", about(&version(quoted(), 5))),
            ("a quote of 7 bytes", error(real, client, &quoted(), header(family) + 7)),
            ("no quote", error(real, client, &quoted(), 0)),
            ("a redirect", kind(5, 137)),
            ("an echo", kind(8, 128)),
            ("a quote of another protocol", about(&Packet::ip(client, real).payload(40))),
        ];
        for (name, packet) in table {
            cases.push(one(format!("no error to the client, v{family}: {name}"), &packet, pass()));
        }
        let off = |state: &mut State| state.nat.flags = NAT_REPLY_RANGES;
        cases.push(
            nat_case(format!("no error to the client, v{family}: replies are not looked at"), off)
                .send(&about(&quoted()), pass()),
        );
    }
    let quoted = to(real_address(NEAR_V4), REAL_PORT, V4, TCP);
    let plain = || error(real_address(NEAR_V4), CLIENT.into(), &quoted, 60);
    let later_quote = quoted.clone().edit_v4(|ip| ip.offset = 1);
    let table = [
        ("a first fragment", plain().edit_v4(|ip| ip.more_fragments = true)),
        ("a later fragment", plain().edit_v4(|ip| ip.offset = 3)),
        ("a quote of a later fragment", error(real_address(NEAR_V4), CLIENT.into(), &later_quote, 60)),
        ("a quote that is padding", plain().edit_v4(|ip| ip.total_length = Some(50))),
    ];
    cases.extend(
        table.into_iter().map(|(name, packet)| one(format!("no error to the client: {name}"), &packet, pass())),
    );
    cases
}
