//! Fragments follow their first fragment.

use lb_common::{DropReason, Event, MODE_DSR, MODE_IPIP};
use lb_tests::model::State;
use lb_tests::packet::{Packet, SYN};
use lb_tests::world::{clean, remembers};

use crate::case::{Case, Expect, case, case_with, drop, pass_for_vip, redirect, tx};
use crate::world::*;

const ID: u16 = 0x4242;
const ID6: u32 = 0x8765_4321;

pub fn cases() -> Vec<Case> {
    let mut cases = first_and_later();
    cases.extend(keys());
    cases.extend(ipv6());
    cases.extend(ends());
    cases
}

/// A first fragment of UDP or TCP to the port.
fn first(protocol: u8, port: u16) -> Packet {
    let ip = to_vip().edit_v4(|ip| (ip.id, ip.more_fragments, ip.dont_fragment) = (ID, true, false));
    if protocol == TCP { ip.tcp(CLIENT_PORT, port, SYN).payload(36) } else { ip.udp(CLIENT_PORT, port).payload(48) }
}

/// A later fragment.
fn later(protocol: u8, more: bool) -> Packet {
    to_vip()
        .edit_v4(|ip| {
            (ip.id, ip.offset, ip.more_fragments, ip.dont_fragment) = (ID, 7, more, false);
            ip.protocol = Some(protocol);
        })
        .payload(30)
}

fn first6(port: u16) -> Packet {
    to_vip6().fragment6(ID6, 0, true).udp(CLIENT_PORT, port).payload(48)
}

fn later6(next_header: u8) -> Packet {
    to_vip6()
        .layer(lb_tests::packet::Layer::Fragment(lb_tests::packet::FragmentHeader {
            next_header: Some(next_header),
            reserved: 0,
            offset: 7,
            more_fragments: false,
            id: ID6,
        }))
        .payload(30)
}

fn noted(world: &mut State, protocol: u8, service: u32, real: u16, mode: u8) {
    let value = lb_common::FragmentValue { service, real, mode, reserved: 0 };
    world.effects.fragments.insert(fragment_v4(ID, protocol), value);
}

fn noted6(world: &mut State, service: u32, real: u16, mode: u8) {
    let value = lb_common::FragmentValue { service, real, mode, reserved: 0 };
    world.effects.fragments.insert(fragment_v6(ID6), value);
}

fn follows(out: &Packet, service: u32, real: u16, bytes: u64) -> Expect {
    let sent = if matches!(real, FAR_V4 | FAR_V6) { redirect(out, OTHER) } else { tx(out) };
    sent.counts(service, real, bytes).event(Event::FragmentForwarded)
}

fn first_and_later() -> Vec<Case> {
    let udp = first(UDP, DSR_PORT);
    let tcp = first(TCP, DSR_PORT);
    let tunnel = first(UDP, IPIP_PORT);
    let [middle, last] = [later(UDP, true), later(UDP, false)];
    let tcp_last = later(TCP, false).pad_to(90);
    vec![
        case("fragments of udp, dsr v4", world())
            .send(
                &udp,
                tx(&dsr(&udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 76).fragment(
                    fragment_v4(ID, UDP),
                    DSR_V4_UDP,
                    NEAR_V4,
                    MODE_DSR,
                ),
            )
            .send(&middle, follows(&dsr(&middle, NEAR_V4), DSR_V4_UDP, NEAR_V4, 50))
            .send(&last, follows(&dsr(&last, NEAR_V4), DSR_V4_UDP, NEAR_V4, 50)),
        case("fragments of tcp, dsr v4: only the first one's flags count", world())
            .send(
                &tcp,
                tx(&dsr(&tcp, NEAR_V4)).counts(DSR_V4_TCP, NEAR_V4, 76).syn().fragment(
                    fragment_v4(ID, TCP),
                    DSR_V4_TCP,
                    NEAR_V4,
                    MODE_DSR,
                ),
            )
            .send(&tcp_last, follows(&dsr(&tcp_last, NEAR_V4), DSR_V4_TCP, NEAR_V4, 50)),
        case_with("fragments of udp, ipip v4 in v4, another interface", |world| {
            world.fill_ring(IPIP_V4_UDP, clean(FAR_V4))
        })
        .send(
            &tunnel,
            redirect(&ipip(&tunnel, FAR_V4, 0), OTHER).counts(IPIP_V4_UDP, FAR_V4, 76).fragment(
                fragment_v4(ID, UDP),
                IPIP_V4_UDP,
                FAR_V4,
                MODE_IPIP,
            ),
        )
        .send(&last, follows(&ipip(&last, FAR_V4, 0), IPIP_V4_UDP, FAR_V4, 50)),
        case_with("fragments of udp, ipip v4 in v6", |world| world.fill_ring(IPIP_V4_UDP, clean(NEAR_V6)))
            .send(
                &tunnel,
                tx(&ipip(&tunnel, NEAR_V6, 0)).counts(IPIP_V4_UDP, NEAR_V6, 76).fragment(
                    fragment_v4(ID, UDP),
                    IPIP_V4_UDP,
                    NEAR_V6,
                    MODE_IPIP,
                ),
            )
            .send(&last, follows(&ipip(&last, NEAR_V6, 0), IPIP_V4_UDP, NEAR_V6, 50)),
        case_with("a later fragment goes after the first, not after the slot", |world| {
            noted(world, UDP, DSR_V4_UDP, FAR_V4, MODE_DSR)
        })
        .send(&last, follows(&dsr(&last, FAR_V4), DSR_V4_UDP, FAR_V4, 50)),
        case_with("the next packet of the same identification writes anew", |world| {
            noted(world, UDP, DSR_V4_UDP, FAR_V4, MODE_DSR)
        })
        .send(
            &udp,
            tx(&dsr(&udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 76).fragment(
                fragment_v4(ID, UDP),
                DSR_V4_UDP,
                NEAR_V4,
                MODE_DSR,
            ),
        ),
        case_with("a first fragment in a slot that remembers", |world| {
            world.fill_ring(DSR_V4_UDP, remembers(NEAR_V4, OLD_V4))
        })
        .send(
            &udp,
            tx(&dsr(&udp, OLD_V4))
                .counts(DSR_V4_UDP, OLD_V4, 76)
                .remembers(flow_v4(UDP, DSR_PORT), DSR_V4_UDP, OLD_V4)
                .fragment(fragment_v4(ID, UDP), DSR_V4_UDP, OLD_V4, MODE_DSR),
        )
        .send(&last, follows(&dsr(&last, OLD_V4), DSR_V4_UDP, OLD_V4, 50)),
        case_with("a later fragment without a payload", |world| noted(world, UDP, DSR_V4_UDP, NEAR_V4, MODE_DSR)).send(
            &later(UDP, false).edit_v4(|ip| ip.total_length = Some(20)),
            follows(
                &dsr(&later(UDP, false).edit_v4(|ip| ip.total_length = Some(20)), NEAR_V4),
                DSR_V4_UDP,
                NEAR_V4,
                20,
            ),
        ),
        case("a first fragment to no service", world()).send(&first(UDP, NO_PORT), pass_for_vip()),
        case("DF on a fragment does not matter", world()).send(
            &udp.clone().edit_v4(|ip| ip.dont_fragment = true),
            tx(&dsr(&udp.clone().edit_v4(|ip| ip.dont_fragment = true), NEAR_V4))
                .counts(DSR_V4_UDP, NEAR_V4, 76)
                .fragment(fragment_v4(ID, UDP), DSR_V4_UDP, NEAR_V4, MODE_DSR),
        ),
    ]
}

/// Only a fragment of the same packet has the key.
fn keys() -> Vec<Case> {
    let unknown = || drop(DropReason::FragmentUnknown);
    let one = |name: &str, packet: Packet| {
        case_with(name, |world| noted(world, UDP, DSR_V4_UDP, NEAR_V4, MODE_DSR)).send(&packet, unknown())
    };
    vec![
        case("a later fragment of an unknown udp packet, v4", world()).send(&later(UDP, false), unknown()),
        case("a later fragment of an unknown tcp packet, v4", world()).send(&later(TCP, true), unknown()),
        case("a later fragment of an unknown packet, v6", world()).send(&later6(UDP), unknown()),
        one("a later fragment of another protocol", later(TCP, false)),
        one("a later fragment of another identification", later(UDP, false).edit_v4(|ip| ip.id = ID + 1)),
        one("a later fragment of another client", later(UDP, false).edit_v4(|ip| ip.source = ROUTER)),
        one("a later fragment to another VIP", later(UDP, false).edit_v4(|ip| ip.destination = WIDE_VIP)),
        one("a later fragment of the highest offset", later(UDP, false).edit_v4(|ip| (ip.id, ip.offset) = (1, 0x1fff))),
    ]
}

fn ipv6() -> Vec<Case> {
    let udp = first6(DSR_PORT);
    let tunnel = first6(IPIP_PORT);
    let last = later6(UDP);
    let hop_first =
        to_vip6().extension(0, 1).fragment6(ID6, 0, true).extension(60, 1).udp(CLIENT_PORT, DSR_PORT).payload(8);
    let hop_last = to_vip6().extension(0, 1).extension(43, 1).layer(later6(60).layers[1].clone()).payload(30);
    let atomic = to_vip6().fragment6(ID6, 0, false).udp(CLIENT_PORT, DSR_PORT);
    let reserved = to_vip6()
        .layer(lb_tests::packet::Layer::Fragment(lb_tests::packet::FragmentHeader {
            next_header: None,
            reserved: 0xff,
            offset: 0,
            more_fragments: false,
            id: ID6,
        }))
        .udp(CLIENT_PORT, DSR_PORT);
    let mut cases = vec![
        case("fragments of udp, dsr v6", world())
            .send(
                &udp,
                tx(&dsr(&udp, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 104).fragment(
                    fragment_v6(ID6),
                    DSR_V6_UDP,
                    NEAR_V6,
                    MODE_DSR,
                ),
            )
            .send(&last, follows(&dsr(&last, NEAR_V6), DSR_V6_UDP, NEAR_V6, 78)),
        case("fragments of udp, ipip v6 in v6", world())
            .send(
                &tunnel,
                tx(&ipip(&tunnel, NEAR_V6, 0)).counts(IPIP_V6_UDP, NEAR_V6, 104).fragment(
                    fragment_v6(ID6),
                    IPIP_V6_UDP,
                    NEAR_V6,
                    MODE_IPIP,
                ),
            )
            .send(&last, follows(&ipip(&last, NEAR_V6, 0), IPIP_V6_UDP, NEAR_V6, 78)),
        case("v6 fragments behind and before other extension headers", world())
            .send(
                &hop_first,
                tx(&dsr(&hop_first, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 80).fragment(
                    fragment_v6(ID6),
                    DSR_V6_UDP,
                    NEAR_V6,
                    MODE_DSR,
                ),
            )
            .send(&hop_last, follows(&dsr(&hop_last, NEAR_V6), DSR_V6_UDP, NEAR_V6, 94)),
        case("an atomic fragment is a whole packet", world())
            .send(&atomic, tx(&dsr(&atomic, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 56)),
        case("a fragment header is 8 bytes whatever its second byte says", world())
            .send(&reserved, tx(&dsr(&reserved, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 56)),
        case("a first v6 fragment of another protocol", world())
            .send(&to_vip6().edit_v6(|_| ()).fragment6(ID6, 0, true).payload(24), pass_for_vip()),
    ];
    for next_header in [TCP, 132, 0, 43, 44, 60] {
        cases.push(
            case_with(format!("a later v6 fragment that names {next_header}"), |world| {
                noted6(world, DSR_V6_UDP, FAR_V6, MODE_DSR)
            })
            .send(&later6(next_header), follows(&dsr(&later6(next_header), FAR_V6), DSR_V6_UDP, FAR_V6, 78)),
        );
    }
    for next_header in [58, 59, 50, 131, 133, 255] {
        cases.push(
            case_with(format!("a later v6 fragment that names {next_header}"), |world| {
                noted6(world, DSR_V6_UDP, FAR_V6, MODE_DSR)
            })
            .send(&later6(next_header), pass_for_vip()),
        );
    }
    cases
}

/// Fragments that do not arrive, and first fragments that leave no note.
fn ends() -> Vec<Case> {
    let mut cases = Vec::new();
    let table: [(&str, u16, DropReason); 5] = [
        ("no real", 0, DropReason::NoReal),
        ("real outside the table", OUTSIDE, DropReason::NoReal),
        ("real disabled", DISABLED_V4, DropReason::RealDown),
        ("next hop not known", UNRESOLVED_V4, DropReason::NoNextHop),
        ("wrong family", NEAR_V6, DropReason::FamilyMismatch),
    ];
    for (name, real, reason) in table {
        cases.push(
            case_with(format!("a later fragment: {name}"), |world| noted(world, UDP, DSR_V4_UDP, real, MODE_DSR))
                .send(&later(UDP, false), drop(reason)),
        );
        cases.push(
            case_with(format!("a first fragment leaves no note: {name}"), |world| {
                world.fill_ring(DSR_V4_UDP, clean(real))
            })
            .send(&first(UDP, DSR_PORT), drop(reason)),
        );
    }
    let big = |length: usize| {
        to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (ID, 7, Some(UDP))).payload(length - 20)
    };
    let in_tunnel = |world: &mut State| noted(world, UDP, IPIP_V4_UDP, NEAR_V4, MODE_IPIP);
    cases.push(
        case_with("a later fragment that just fits the tunnel", in_tunnel)
            .send(&big(1_480), follows(&ipip(&big(1_480), NEAR_V4, 0), IPIP_V4_UDP, NEAR_V4, 1_480)),
    );
    cases.push(
        case_with("a later fragment too big for the tunnel", in_tunnel).send(&big(1_481), drop(DropReason::TooBig)),
    );
    let big6 = later6(UDP).payload(1_400);
    cases.push(
        case_with("a later v6 fragment too big for the tunnel", |world| noted6(world, IPIP_V6_UDP, NEAR_V6, MODE_IPIP))
            .send(&big6, drop(DropReason::TooBig)),
    );
    cases
}
