//! Echo requests to a VIP, ICMP errors about flows, and all other ICMP.

use lb_common::{DropReason, Event, FLOW_FIN, FLOW_OPEN, FlowKey};
use lb_tests::model::State;
use lb_tests::packet::{ACK, BALANCER_MAC, Icmp, Layer, Packet, ROUTER_MAC, RST, SYN};
use lb_tests::world::{clean, marked, remembers};

use crate::case::{Case, Expect, case, case_with, drop, pass_for_vip, redirect, tx};
use crate::world::*;

/// The echo is answered with this, back to where it came from.
pub fn answered(reply: &Packet) -> Expect {
    let reply = reply.clone().macs(ROUTER_MAC, BALANCER_MAC);
    let reply = match reply.layers[0] {
        Layer::V4(_) => reply.edit_v4(|ip| ip.ttl = 64),
        _ => reply.edit_v6(|ip| ip.hop_limit = 64),
    };
    tx(&reply).event(Event::EchoAnswered)
}

/// The ICMP error follows its flow, as this frame.
pub fn follows(out: &Packet, service: u32, real: u16, bytes: u64) -> Expect {
    let sent = if matches!(real, FAR_V4 | FAR_V6) { redirect(out, OTHER) } else { tx(out) };
    sent.counts(service, real, bytes).event(Event::IcmpErrorForwarded)
}

pub fn cases() -> Vec<Case> {
    let mut cases = echoes();
    cases.extend(other_messages());
    cases.extend(errors());
    cases.extend(quotes());
    cases.extend(error_decisions());
    cases.extend(error_ends());
    cases
}

fn one(name: &str, packet: Packet, expect: Expect) -> Case {
    case(name, world()).send(&packet, expect)
}

fn echoes() -> Vec<Case> {
    let rest = [0x12, 0x34, 0, 7];
    let echo = |length| to_vip().icmp(8, 0, rest).payload(length);
    let reply = |length| Packet::v4(VIP, CLIENT).icmp(0, 0, rest).payload(length);
    let echo6 = |length| to_vip6().icmp6(128, 0, rest).payload(length);
    let reply6 = |length| Packet::v6(VIP6, CLIENT6).icmp6(129, 0, rest).payload(length);
    let with_sum = |packet: Packet, sum| {
        packet.edit_last(|layer| {
            if let Layer::Icmp(icmp) | Layer::Icmp6(icmp) = layer {
                *icmp = Icmp { checksum: Some(sum), ..icmp.clone() };
            }
        })
    };
    let [short, short_reply] = [to_vip().icmp(8, 0, rest), Packet::v4(VIP, CLIENT).icmp(0, 0, rest)];
    let [short6, short_reply6] = [to_vip6().icmp6(128, 0, rest), Packet::v6(VIP6, CLIENT6).icmp6(129, 0, rest)];
    let mut cases = vec![
        one("echo v4", echo(56), answered(&reply(56))),
        one("echo v6", echo6(56), answered(&reply6(56))),
        one("echo v4, no data", echo(0), answered(&reply(0))),
        one("echo v6, no data", echo6(0), answered(&reply6(0))),
        one("echo v4, odd length", echo(57), answered(&reply(57))),
        one("echo v6, odd length", echo6(57), answered(&reply6(57))),
        one("echo v4, 1,472 bytes", echo(1_472), answered(&reply(1_472))),
        one("echo v4, two tags", echo(8).service_vlan(9).vlan(8), answered(&reply(8).service_vlan(9).vlan(8))),
        one("echo v6, one tag", echo6(8).vlan(8), answered(&reply6(8).vlan(8))),
        one("echo v4, padding", echo(1).pad_to(60), answered(&reply(1).pad_to(60))),
        one("echo v4, TTL 1", echo(8).edit_v4(|ip| ip.ttl = 1), answered(&reply(8))),
        one("echo v4, a wrong header checksum", echo(8).edit_v4(|ip| ip.checksum = Some(7)), answered(&reply(8))),
        one(
            "echo v4: TOS, identification and flags stay",
            echo(8).edit_v4(|ip| (ip.tos, ip.id, ip.dont_fragment, ip.reserved) = (0xb8, 77, false, true)),
            answered(&reply(8).edit_v4(|ip| (ip.tos, ip.id, ip.dont_fragment, ip.reserved) = (0xb8, 77, false, true))),
        ),
        one(
            "echo v6: traffic class and flow label stay",
            echo6(8).edit_v6(|ip| (ip.traffic_class, ip.flow_label) = (0xb8, 5)),
            answered(&reply6(8).edit_v6(|ip| (ip.traffic_class, ip.flow_label) = (0xb8, 5))),
        ),
        one(
            "echo to a VIP of port ranges",
            Packet::v4(CLIENT, WIDE_VIP).icmp(8, 0, rest),
            answered(&Packet::v4(WIDE_VIP, CLIENT).icmp(0, 0, rest)),
        ),
    ];
    // 0x0800 less in the sum: HC' = ~(~HC + 0xf7ff), the carry added.
    for (before, after) in [(0x0000, 0x0800), (0xffff, 0x0800), (0xf7ff, 0x0000), (0xf800, 0x0001), (0x1234, 0x1a34)] {
        let name = format!("echo v4, checksum 0x{before:04x} becomes 0x{after:04x}");
        cases.push(one(&name, with_sum(short.clone(), before), answered(&with_sum(short_reply.clone(), after))));
    }
    // 0x0100 more in the sum: HC' = ~(~HC + 0x7fff + 0x8100), the carry added.
    for (before, after) in [(0x0100, 0x0000), (0xffff, 0xfeff), (0x0000, 0xfeff), (0x0001, 0xff00), (0x1234, 0x1134)] {
        let name = format!("echo v6, checksum 0x{before:04x} becomes 0x{after:04x}");
        cases.push(one(&name, with_sum(short6.clone(), before), answered(&with_sum(short_reply6.clone(), after))));
    }
    cases.extend([
        one("echo v4 with options", echo(8).edit_v4(|ip| ip.options = vec![1; 4]), pass_for_vip()),
        one("echo v6 with an extension header", to_vip6().extension(60, 1).icmp6(128, 0, rest), pass_for_vip()),
        one("echo v6 in an atomic fragment", to_vip6().fragment6(1, 0, false).icmp6(128, 0, rest), pass_for_vip()),
        one("echo v4, code 1", to_vip().icmp(8, 1, rest), pass_for_vip()),
        one("echo v6, code 1", to_vip6().icmp6(128, 1, rest), pass_for_vip()),
        one("echo v4, a first fragment", echo(8).edit_v4(|ip| ip.more_fragments = true), pass_for_vip()),
        one("echo v4, a later fragment", echo(8).edit_v4(|ip| ip.offset = 185), pass_for_vip()),
        one("echo v6, a first fragment", to_vip6().fragment6(1, 0, true).icmp6(128, 0, rest), pass_for_vip()),
        one("echo v6, a later fragment", to_vip6().fragment6(1, 9, false).icmp6(128, 0, rest), pass_for_vip()),
    ]);
    cases
}

fn other_messages() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [0, 1, 4, 5, 9, 10, 13, 15, 17, 40, 128, 255] {
        cases.push(one(&format!("ICMP type {kind}"), to_vip().icmp(kind, 0, [0; 4]).payload(40), pass_for_vip()));
    }
    for kind in [0, 5, 8, 100, 127, 129, 130, 133, 134, 135, 136, 137, 143, 255] {
        cases.push(one(&format!("ICMPv6 type {kind}"), to_vip6().icmp6(kind, 0, [0; 4]).payload(60), pass_for_vip()));
    }
    cases
}

/// What a real once sent: VIP to client.
fn answer(protocol: u8, port: u16) -> Packet {
    let packet = Packet::v4(VIP, CLIENT);
    if protocol == TCP { packet.tcp(port, CLIENT_PORT, ACK) } else { packet.udp(port, CLIENT_PORT).payload(12) }
}

fn answer6(protocol: u8, port: u16) -> Packet {
    let packet = Packet::v6(VIP6, CLIENT6);
    if protocol == TCP { packet.tcp(port, CLIENT_PORT, ACK) } else { packet.udp(port, CLIENT_PORT).payload(12) }
}

fn error(kind: u8, code: u8, quoted: &Packet) -> Packet {
    Packet::v4(ROUTER, VIP).icmp(kind, code, [0, 0, 5, 0x78]).quote(quoted, 40)
}

fn error6(kind: u8, code: u8, quoted: &Packet) -> Packet {
    Packet::v6(ROUTER6, VIP6).icmp6(kind, code, [0, 0, 5, 0x78]).quote(quoted, 60)
}

/// Each type, family, protocol and mode.
fn errors() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, code) in [(3, 0), (3, 3), (3, 4), (3, 255), (11, 0), (11, 1), (12, 0)] {
        let packet = error(kind, code, &answer(TCP, DSR_PORT));
        let expect = follows(&dsr(&packet, NEAR_V4), DSR_V4_TCP, NEAR_V4, 68);
        cases.push(one(&format!("ICMP error {kind}/{code}"), packet, expect));
    }
    for (kind, code) in [(1, 0), (1, 4), (2, 0), (2, 9), (3, 0), (3, 1), (4, 2)] {
        let packet = error6(kind, code, &answer6(TCP, DSR_PORT));
        let expect = follows(&dsr(&packet, NEAR_V6), DSR_V6_TCP, NEAR_V6, 108);
        cases.push(one(&format!("ICMPv6 error {kind}/{code}"), packet, expect));
    }
    let udp = error(3, 3, &answer(UDP, DSR_PORT));
    cases.push(one("ICMP error about udp", udp.clone(), follows(&dsr(&udp, NEAR_V4), DSR_V4_UDP, NEAR_V4, 68)));
    let udp6 = error6(1, 4, &answer6(UDP, DSR_PORT));
    cases.push(one("ICMPv6 error about udp", udp6.clone(), follows(&dsr(&udp6, NEAR_V6), DSR_V6_UDP, NEAR_V6, 108)));
    let tunnel = error(3, 4, &answer(TCP, IPIP_PORT)).vlan(4).edit_v4(|ip| ip.tos = 0xc0);
    cases.push(one(
        "ICMP error, ipip v4 in v4, tagged",
        tunnel.clone(),
        follows(&ipip(&tunnel, NEAR_V4, 0xc0), IPIP_V4_TCP, NEAR_V4, 68),
    ));
    let tunnel = error(3, 4, &answer(UDP, IPIP_PORT));
    cases.push(
        case_with("ICMP error, ipip v4 in v6, another interface", |world| world.fill_ring(IPIP_V4_UDP, clean(FAR_V6)))
            .send(&tunnel, follows(&ipip(&tunnel, FAR_V6, 0), IPIP_V4_UDP, FAR_V6, 68)),
    );
    let tunnel6 = error6(2, 0, &answer6(TCP, IPIP_PORT));
    cases.push(one(
        "ICMPv6 error, ipip v6 in v6",
        tunnel6.clone(),
        follows(&ipip(&tunnel6, NEAR_V6, 0), IPIP_V6_TCP, NEAR_V6, 108),
    ));
    let wide = Packet::v4(ROUTER, WIDE_VIP)
        .icmp(3, 1, [0; 4])
        .quote(&Packet::v4(WIDE_VIP, CLIENT).tcp(8_003, CLIENT_PORT, ACK), 28);
    cases.push(one(
        "ICMP error about a port range",
        wide.clone(),
        follows(&dsr(&wide, NEAR_V4), RANGE_V4, NEAR_V4, 56),
    ));
    let reset = error(3, 13, &Packet::v4(VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, RST | SYN));
    cases.push(one(
        "ICMP error: quoted flags are not counted",
        reset.clone(),
        follows(&dsr(&reset, NEAR_V4), DSR_V4_TCP, NEAR_V4, 68),
    ));
    let padded = error(3, 0, &answer(TCP, DSR_PORT)).pad_to(120);
    cases.push(one(
        "ICMP error with padding",
        padded.clone(),
        follows(&dsr(&padded, NEAR_V4), DSR_V4_TCP, NEAR_V4, 68),
    ));
    cases
}

/// What must be quoted.
fn quotes() -> Vec<Case> {
    let four = |name: &str, quoted: Packet, expect: Expect| one(name, error(3, 1, &quoted), expect);
    let six = |name: &str, quoted: Packet, expect: Expect| one(name, error6(1, 0, &quoted), expect);
    let fine = |quoted: &Packet| follows(&dsr(&error(3, 1, quoted), NEAR_V4), DSR_V4_TCP, NEAR_V4, 68);
    let tcp = || answer(TCP, DSR_PORT);
    let tcp6 = || answer6(TCP, DSR_PORT);
    let first = tcp().edit_v4(|ip| ip.more_fragments = true);
    let odd = tcp().edit_v4(|ip| (ip.ttl, ip.checksum, ip.total_length) = (0, Some(1), Some(9)));
    let options = Packet::v4(VIP, CLIENT).edit_v4(|ip| ip.options = vec![1; 12]).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let long_options = Packet::v4(VIP, CLIENT).edit_v4(|ip| ip.options = vec![1; 40]).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let long_quote = Packet::v4(ROUTER, VIP).icmp(3, 1, [0; 4]).quote(&long_options, 68);
    let short_quote = Packet::v4(ROUTER, VIP).icmp(3, 1, [0; 4]).quote(&long_options, 67);
    let outer_options = error(3, 1, &tcp()).edit_v4(|ip| ip.options = vec![1; 8]);
    let outer_extension = Packet::v6(ROUTER6, VIP6).extension(60, 1).icmp6(1, 0, [0; 4]).quote(&tcp6(), 48);
    vec![
        four("a quote that is a first fragment", first.clone(), fine(&first)),
        four("a quote of which nothing else is verified", odd.clone(), fine(&odd)),
        four("a quote with options", options.clone(), fine(&options)),
        one(
            "a quote with the longest options",
            long_quote.clone(),
            follows(&dsr(&long_quote, NEAR_V4), DSR_V4_TCP, NEAR_V4, 96),
        ),
        one("a quote whose options leave 7 bytes", short_quote, pass_for_vip()),
        four("a quote of version 6", tcp().edit_v4(|ip| ip.version = 6), pass_for_vip()),
        four("a quote of IHL 4", tcp().edit_v4(|ip| ip.ihl = Some(4)), pass_for_vip()),
        four("a quote of a later fragment", tcp().edit_v4(|ip| ip.offset = 1), pass_for_vip()),
        four("a quote of ICMP", Packet::v4(VIP, CLIENT).icmp(0, 0, [0; 4]), pass_for_vip()),
        four("a quote of another source", Packet::v4(NO_VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, ACK), pass_for_vip()),
        four("a quote from another VIP", Packet::v4(WIDE_VIP, CLIENT).tcp(8_003, CLIENT_PORT, ACK), pass_for_vip()),
        four("a quote of the client's own packet", to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK), pass_for_vip()),
        four("a quote of no service", answer(TCP, NO_PORT), pass_for_vip()),
        four("a quote of a service without a ring", answer(TCP, BARE_PORT), drop(DropReason::NoRing)),
        one("no quote", Packet::v4(ROUTER, VIP).icmp(3, 1, [0; 4]), pass_for_vip()),
        one("no quote, v6", Packet::v6(ROUTER6, VIP6).icmp6(1, 0, [0; 4]), pass_for_vip()),
        one(
            "an error with options itself",
            outer_options.clone(),
            follows(&dsr(&outer_options, NEAR_V4), DSR_V4_TCP, NEAR_V4, 76),
        ),
        one(
            "a v6 error with an extension header itself",
            outer_extension.clone(),
            follows(&dsr(&outer_extension, NEAR_V6), DSR_V6_TCP, NEAR_V6, 104),
        ),
        one(
            "an error that is a first fragment",
            error(3, 1, &tcp()).edit_v4(|ip| ip.more_fragments = true),
            pass_for_vip(),
        ),
        one(
            "an error whose quote is padding",
            error(3, 1, &tcp()).edit_v4(|ip| ip.total_length = Some(40)),
            pass_for_vip(),
        ),
        six("a v6 quote of version 4", tcp6().edit_v6(|ip| ip.version = 4), pass_for_vip()),
        six(
            "a v6 quote with an extension header",
            Packet::v6(VIP6, CLIENT6).extension(0, 1).tcp(DSR_PORT, CLIENT_PORT, ACK),
            pass_for_vip(),
        ),
        six(
            "a v6 quote with a fragment header",
            Packet::v6(VIP6, CLIENT6).fragment6(1, 0, true).tcp(DSR_PORT, CLIENT_PORT, ACK),
            pass_for_vip(),
        ),
        six("a v6 quote of ICMPv6", Packet::v6(VIP6, CLIENT6).icmp6(129, 0, [0; 4]), pass_for_vip()),
        six(
            "a v6 quote of another source",
            Packet::v6(NO_VIP6, CLIENT6).tcp(DSR_PORT, CLIENT_PORT, ACK),
            pass_for_vip(),
        ),
        six("a v6 quote of no service", answer6(UDP, NO_PORT), pass_for_vip()),
        six("a v6 quote of a service without a ring", answer6(TCP, BARE_PORT), drop(DropReason::NoRing)),
    ]
}

/// The decision only reads: no expectation below changes a table.
fn error_decisions() -> Vec<Case> {
    let tcp = error(3, 4, &answer(TCP, DSR_PORT));
    let udp = error(3, 4, &answer(UDP, DSR_PORT));
    let known = |real, state| move |world: &mut State| world.put_flow(flow(), DSR_V4_TCP, real, state);
    let half = |real| move |world: &mut State| world.put_half_open(flow(), DSR_V4_TCP, real);
    let both = |flow, half_open| {
        move |world: &mut State| {
            known(flow, FLOW_OPEN)(world);
            half(half_open)(world);
        }
    };
    let one = |name: &str, slot, before: &dyn Fn(&mut State), real| {
        case_with(format!("ICMP error, {name}"), |world| {
            world.fill_ring(DSR_V4_TCP, slot);
            before(world);
        })
        .send(&tcp, follows(&dsr(&tcp, real), DSR_V4_TCP, real, 68))
    };
    let slot = remembers(NEAR_V4, OLD_V4);
    let nothing = |_: &mut State| {};
    vec![
        one("clean", clean(NEAR_V4), &both(FAR_V4, OLD_V4), NEAR_V4),
        one("flow known", slot, &known(FAR_V4, FLOW_OPEN), FAR_V4),
        one("flow closed", slot, &known(FAR_V4, FLOW_FIN), FAR_V4),
        one("flow known, real dead: previous", slot, &known(DISABLED_V4, FLOW_OPEN), OLD_V4),
        one("flow known, real dead: half-open", slot, &both(DISABLED_V4, FAR_V4), FAR_V4),
        one("flow known goes before half-open", slot, &both(FAR_V4, NEAR_V4), FAR_V4),
        one("half-open", slot, &half(FAR_V4), FAR_V4),
        one("half-open, real dead: previous", slot, &half(DISABLED_V4), OLD_V4),
        one("nothing known: previous", slot, &nothing, OLD_V4),
        one("nothing known, previous dead: the slot's", remembers(NEAR_V4, DISABLED_V4), &nothing, NEAR_V4),
        one("marked, nothing known", marked(NEAR_V4), &nothing, NEAR_V4),
        one("marked, flow known", marked(NEAR_V4), &known(FAR_V4, FLOW_OPEN), FAR_V4),
        one("marked, half-open", marked(NEAR_V4), &half(FAR_V4), FAR_V4),
        one("marked, flow known, real dead", marked(NEAR_V4), &known(DISABLED_V4, FLOW_OPEN), NEAR_V4),
        case_with("ICMP error about udp, half-open flows are not looked at", |world| {
            world.fill_ring(DSR_V4_UDP, slot);
            world.put_half_open(flow_v4(UDP, DSR_PORT), DSR_V4_UDP, FAR_V4);
        })
        .send(&udp, follows(&dsr(&udp, OLD_V4), DSR_V4_UDP, OLD_V4, 68)),
    ]
}

fn flow() -> FlowKey {
    flow_v4(TCP, DSR_PORT)
}

/// Errors that do not arrive.
fn error_ends() -> Vec<Case> {
    let dsr_error = error(3, 4, &answer(TCP, DSR_PORT));
    let tunnel = |quoted: usize| {
        Packet::v4(ROUTER, VIP).icmp(3, 1, [0; 4]).quote(&answer(TCP, IPIP_PORT).payload(2_000), quoted)
    };
    let table: [(&str, u16, DropReason); 4] = [
        ("ICMP error: no real", 0, DropReason::NoReal),
        ("ICMP error: real disabled", DISABLED_V4, DropReason::RealDown),
        ("ICMP error: next hop not known", UNRESOLVED_V4, DropReason::NoNextHop),
        ("ICMP error: wrong family", NEAR_V6, DropReason::FamilyMismatch),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, real, reason)| {
            case_with(name, |world| world.fill_ring(DSR_V4_TCP, clean(real))).send(&dsr_error, drop(reason))
        })
        .collect();
    // 20 + 8 + 1,452 bytes and an outer header of 20 fill the MTU of 1,500.
    let fits = tunnel(1_452);
    cases.push(one(
        "ICMP error that just fits the tunnel",
        fits.clone(),
        follows(&ipip(&fits, NEAR_V4, 0), IPIP_V4_TCP, NEAR_V4, 1_480),
    ));
    cases.push(one("ICMP error too big for the tunnel", tunnel(1_453), drop(DropReason::TooBig)));
    cases
}
