//! Clients' packets for services in `nat` mode.

use lb_common::{DropReason, Event, FALLBACK_RESET, FLOW_FIN, MODE_DSR, MODE_NAT, NatPortKey, OPTION_REAL_PORTS};
use lb_tests::model::{State, WAY_IFINDEX};
use lb_tests::packet::{ACK, BALANCER_MAC, FIN, Layer, Packet, ROUTER_MAC, RST, SYN};
use lb_tests::world::{clean, flow_key, real, remembers};

use super::*;
use crate::case::{Case, Expect, drop};
use crate::too_big::{needed, too_big};

pub fn cases() -> Vec<Case> {
    let mut cases = whole_packets();
    cases.extend(ports());
    cases.extend(shapes());
    cases.extend(udp_checksums());
    cases.extend(fragments());
    cases.extend(lengths());
    cases.extend(ends());
    cases
}

/// A client's packet to the service.
fn packet(family: u8, protocol: u8, flags: u8) -> Packet {
    with_ports(Packet::ip(client(family), vip(family)), protocol, CLIENT_PORT, NAT_PORT, flags).payload(11)
}

/// As it goes to a real, and is counted.
fn to(packet: &Packet, family: u8, protocol: u8, real: u16) -> Expect {
    let out = destined(packet, real_address(real), Some(REAL_PORT));
    sent(&out, real).counts(service(family, protocol), real, packet.ip_length() as u64)
}

fn whole_packets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (words, plain) = (words(family, protocol), packet(family, protocol, ACK));
        cases.push(one(&words, &plain, to(&plain, family, protocol, near(family))));
        let to_far = |state: &mut State| state.fill_ring(service(family, protocol), clean(far(family)));
        let another = nat_case(format!("{words}, another interface"), to_far);
        cases.push(another.send(&plain, to(&plain, family, protocol, far(family))));
        let out = dsr(&destined(&plain, real_address(far(family)), Some(REAL_PORT)), far(family));
        let counted = tx(&out).counts(service(family, protocol), far(family), plain.ip_length() as u64);
        cases.push(nat_case(format!("{words}, in and out by the link"), to_far).by(WAY_IFINDEX).send(&plain, counted));
    }
    for (name, flags) in [("SYN", SYN), ("FIN", FIN | ACK), ("RST", RST)] {
        let packet = packet(V4, TCP, flags);
        let sent = to(&packet, V4, TCP, NEAR_V4);
        let counted = match flags {
            SYN => sent.syn(),
            RST => sent.rst(),
            _ => sent.fin(),
        };
        cases.push(one(name, &packet, counted));
    }
    let key = flow_key((client(V6), CLIENT_PORT), (vip(V6), NAT_PORT), TCP);
    let moved = |state: &mut State| state.fill_ring(NAT_V6_TCP, remembers(NEAR_V6, OLD_V6));
    let (older, fin) = (packet(V6, TCP, ACK), packet(V6, TCP, FIN | ACK));
    cases.push(
        nat_case("a flow that is remembered", moved)
            .send(&older, to(&older, V6, TCP, OLD_V6).remembers(key, NAT_V6_TCP, OLD_V6))
            .send(&fin, to(&fin, V6, TCP, OLD_V6).fin().flow(key, NAT_V6_TCP, OLD_V6, FLOW_FIN)),
    );
    cases
}

/// The port that a packet goes to.
fn ports() -> Vec<Case> {
    let with_row = |flags, row: Option<u32>, real_port| {
        move |state: &mut State| {
            for service in [NAT_V4_TCP, NAT_V6_TCP] {
                let options = state.service_options.entry(service).or_default();
                (options.flags, options.real_port) = (flags, real_port);
                let real = u32::from(near(if service == NAT_V4_TCP { V4 } else { V6 }));
                // Rows of another real and of another service are not looked at.
                state.nat_ports.insert(NatPortKey { service, real: real + 1 }, 7);
                state.nat_ports.insert(NatPortKey { service: service + 1, real }, 8);
                if let Some(port) = row {
                    state.nat_ports.insert(NatPortKey { service, real }, port);
                }
            }
        }
    };
    let table = [
        ("the service's", 0, None, REAL_PORT, REAL_PORT),
        ("a row, and the service has none of them", 0, Some(9_999), REAL_PORT, REAL_PORT),
        ("the row's", OPTION_REAL_PORTS, Some(9_999), REAL_PORT, 9_999),
        ("the row's, and other flags", !0, Some(9_999), REAL_PORT, 9_999),
        ("the highest", OPTION_REAL_PORTS, Some(65_535), 0, 65_535),
        ("no row of the real's", OPTION_REAL_PORTS, None, REAL_PORT, REAL_PORT),
        ("its own", 0, None, 0, NAT_PORT),
        ("its own, without a row of the real's", OPTION_REAL_PORTS, None, 0, NAT_PORT),
        ("its own, by the row", OPTION_REAL_PORTS, Some(0), REAL_PORT, NAT_PORT),
    ];
    let mut cases = Vec::new();
    for family in FAMILIES {
        for (name, flags, row, real_port, port) in table {
            let packet = packet(family, TCP, ACK);
            let out = destined(&packet, real_address(near(family)), Some(port));
            let counted =
                sent(&out, near(family)).counts(service(family, TCP), near(family), packet.ip_length() as u64);
            cases.push(
                nat_case(format!("port v{family}: {name}"), with_row(flags, row, real_port)).send(&packet, counted),
            );
        }
        for port in [RANGE_FIRST, RANGE_LAST] {
            let packet = Packet::ip(client(family), wide_vip(family)).tcp(CLIENT_PORT, port, ACK);
            let out = destined(&packet, real_address(near(family)), None);
            let counted = sent(&out, near(family)).counts(range(family), near(family), packet.ip_length() as u64);
            cases.push(one(format!("port v{family}: {port} of a range"), &packet, counted));
        }
    }
    cases
}

/// Tags, padding, options, extension headers, and what stays as it is.
fn shapes() -> Vec<Case> {
    let four = || packet(V4, TCP, ACK);
    let options = |words: usize| {
        Packet::ip(client(V4), vip(V4))
            .edit_v4(|ip| ip.options = vec![1; 4 * words])
            .udp(CLIENT_PORT, NAT_PORT)
            .payload(9)
    };
    let six = || Packet::ip(client(V6), vip(V6));
    let [tcp4, tcp6, udp4, udp6] = [(V4, TCP), (V6, TCP), (V4, UDP), (V6, UDP)];
    let table = [
        ("one tag", tcp4, four().vlan(5)),
        ("two tags", tcp4, four().service_vlan(5).vlan(6)),
        ("two tags, v6", tcp6, packet(V6, TCP, ACK).service_vlan(5).vlan(6)),
        ("padding", tcp4, four().pad_to(90)),
        ("padding, v6", udp6, packet(V6, UDP, 0).pad_to(90)),
        ("TTL 1", tcp4, four().edit_v4(|ip| ip.ttl = 1)),
        ("hop limit 1", tcp6, packet(V6, TCP, ACK).edit_v6(|ip| ip.hop_limit = 1)),
        ("a TOS", tcp4, four().edit_v4(|ip| (ip.tos, ip.reserved, ip.dont_fragment) = (0xb9, true, false))),
        ("a traffic class", tcp6, packet(V6, TCP, ACK).edit_v6(|ip| ip.traffic_class = 0xb9)),
        ("options", udp4, options(1)),
        ("the longest options", udp4, options(10)),
        ("an extension header", udp6, six().extension(60, 1).udp(CLIENT_PORT, NAT_PORT).payload(9)),
        (
            "extension headers",
            tcp6,
            six().extension(0, 3).extension(43, 1).extension(60, 2).tcp(CLIENT_PORT, NAT_PORT, ACK),
        ),
        ("an atomic fragment", udp6, six().fragment6(9, 0, false).udp(CLIENT_PORT, NAT_PORT)),
        ("no payload", udp4, Packet::ip(client(V4), vip(V4)).udp(CLIENT_PORT, NAT_PORT)),
        ("an odd payload", udp6, six().udp(CLIENT_PORT, NAT_PORT).payload(1)),
    ];
    table
        .into_iter()
        .map(|(name, (family, protocol), packet)| one(name, &packet, to(&packet, family, protocol, near(family))))
        .collect()
}

fn udp_checksums() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let none = without_checksum(packet(family, UDP, 0));
        cases.push(one(format!("v{family}, no UDP checksum"), &none, to(&none, family, UDP, near(family))));
        let plain = Packet::ip(client(family), vip(family)).udp(CLIENT_PORT, NAT_PORT);
        let becomes =
            with_checksum_ffff(&plain, |packet| destined(packet, real_address(near(family)), Some(REAL_PORT)));
        cases.push(one(
            format!("v{family}, a UDP checksum that becomes 0xffff"),
            &becomes,
            to(&becomes, family, UDP, near(family)),
        ));
        let was = with_checksum_ffff(&plain, Packet::clone);
        cases.push(one(
            format!("v{family}, a UDP checksum that was 0xffff"),
            &was,
            to(&was, family, UDP, near(family)),
        ));
    }
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, protocol) in [(V4, TCP), (V4, UDP), (V6, TCP), (V6, UDP)] {
        let (from, vip, near) = (client(family), vip(family), near(family));
        let first = with_ports(first(from, vip), protocol, CLIENT_PORT, NAT_PORT, SYN).payload(36);
        let later = later(from, vip, protocol);
        let key = fragment_key(from, vip, ID.into(), protocol);
        let noted = to(&first, family, protocol, near).fragment(key, service(family, protocol), near, MODE_NAT);
        let follows = |real: u16| {
            sent(&destined(&later, real_address(real), None), real)
                .counts(service(family, protocol), real, later.ip_length() as u64)
                .event(Event::FragmentForwarded)
        };
        let words = words(family, protocol);
        cases.push(
            nat_case(format!("{words}, fragments"), nothing)
                .send(&first, if protocol == TCP { noted.syn() } else { noted })
                .send(&later, follows(near)),
        );
        let known = nat_case(format!("{words}, a later fragment of a known packet"), |state| {
            noted_as(state, key, service(family, protocol), far(family), MODE_NAT);
        });
        cases.push(known.send(&later, follows(far(family))));
        // The mode is that of the first fragment.
        let dsr_now = nat_case(format!("{words}, a later fragment whose first went by dsr"), |state| {
            noted_as(state, key, service(family, protocol), near, MODE_DSR);
        });
        let unchanged = tx(&dsr(&later, near))
            .counts(service(family, protocol), near, later.ip_length() as u64)
            .event(Event::FragmentForwarded);
        cases.push(dsr_now.send(&later, unchanged));
    }
    let first = without_checksum(first(client(V4), vip(V4)).udp(CLIENT_PORT, NAT_PORT).payload(24));
    let key = fragment_key(client(V4), vip(V4), ID.into(), UDP);
    cases.push(one(
        "a first fragment without a checksum",
        &first,
        to(&first, V4, UDP, NEAR_V4).fragment(key, NAT_V4_UDP, NEAR_V4, MODE_NAT),
    ));
    cases
}

pub fn noted_as(state: &mut State, key: FragmentKey, service: u32, real: u16, mode: u8) {
    state.effects.fragments.insert(key, lb_common::FragmentValue { service, real, mode, reserved: 0 });
}

/// Section 8 has no outer header to take away.
fn lengths() -> Vec<Case> {
    let udp = |family: u8, length: usize| {
        Packet::ip(client(family), vip(family))
            .udp(CLIENT_PORT, NAT_PORT)
            .payload(length - if family == V4 { 28 } else { 48 })
    };
    let narrow = |state: &mut State| {
        state.reals.insert(20, real(real_address(NEAR_V6), INGRESS, 1_000));
        state.fill_ring(NAT_V6_UDP, clean(20));
    };
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (fits, long) = (udp(family, 1_500), udp(family, 1_501));
        cases.push(one(format!("v{family}, 1,500 bytes fit"), &fits, to(&fits, family, UDP, near(family))));
        let answer = |packet: &Packet| if family == V4 { needed(packet, 1_500) } else { too_big(packet, 1_500) };
        cases.push(one(format!("v{family}, 1,501 bytes do not"), &long, answer(&long)));
        let tagged = long.vlan(9);
        cases.push(one(format!("v{family}, 1,501 bytes with a tag do not"), &tagged, answer(&tagged)));
        let key = fragment_key(client(family), vip(family), ID.into(), UDP);
        let later = later(client(family), vip(family), UDP).payload(1_500);
        let known = |state: &mut State| noted_as(state, key, service(family, UDP), near(family), MODE_NAT);
        cases.push(
            nat_case(format!("v{family}, a later fragment too long"), known).send(&later, drop(DropReason::TooBig)),
        );
        let first = first(client(family), vip(family)).udp(CLIENT_PORT, NAT_PORT).payload(1_500);
        cases.push(one(format!("v{family}, a first fragment too long leaves no note"), &first, answer(&first)));
    }
    let long = udp(V6, 1_200);
    cases.push(nat_case("no message names less than 1,280", narrow).send(&long, too_big(&long, 1_280)));
    cases
}

fn ends() -> Vec<Case> {
    let packet = packet(V4, TCP, SYN);
    let with = |real| move |state: &mut State| state.fill_ring(NAT_V4_TCP, clean(real));
    let table = [
        ("no real", 0, DropReason::NoReal),
        ("a real outside the table", OUTSIDE, DropReason::NoReal),
        ("a real that is disabled", DISABLED_V4, DropReason::RealDown),
        ("a real without a next hop", UNRESOLVED_V4, DropReason::NoNextHop),
        ("a real of the other family", NEAR_V6, DropReason::FamilyMismatch),
    ];
    let mut cases: Vec<Case> =
        table.into_iter().map(|(name, real, reason)| nat_case(name, with(real)).send(&packet, drop(reason))).collect();
    let packet6 = self::packet(V6, UDP, 0);
    cases.push(
        nat_case("a v4 real for v6", |state| state.fill_ring(NAT_V6_UDP, clean(NEAR_V4)))
            .send(&packet6, drop(DropReason::FamilyMismatch)),
    );
    let resets = |state: &mut State| {
        with(0)(state);
        state.service_options.entry(NAT_V4_TCP).or_default().fallback = FALLBACK_RESET;
    };
    let mut reset = Packet::v4(VIP, CLIENT)
        .edit_v4(|ip| (ip.id, ip.ttl) = (0, 64))
        .tcp(NAT_PORT, CLIENT_PORT, RST | ACK)
        .macs(ROUTER_MAC, BALANCER_MAC);
    if let Some(Layer::Tcp(tcp)) = reset.layers.last_mut() {
        // The packet has a SYN and 11 bytes.
        (tcp.sequence, tcp.acknowledgement, tcp.window) = (0, 0x0102_0304 + 12, 0);
    }
    cases.push(nat_case("no real, answered with a RST", resets).send(&packet, tx(&reset).event(Event::ResetAnswered)));
    cases
}
