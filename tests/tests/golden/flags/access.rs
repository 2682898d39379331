//! Which sources a service takes packets from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, DropReason, Event, FLOW_OPEN, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE,
    Guard, MODE_DSR, SERVICE_GUARDED,
};
use lb_tests::model::State;
use lb_tests::packet::{ACK, Packet, RST, SYN};
use lb_tests::world::{clean, remembers};

use super::guard;
use crate::case::{Case, Expect, drop, pass_for_vip, tx};
use crate::services::*;
use crate::world::*;

/// Prefixes of the client's address, and one that does not have it.
struct Prefixes {
    family: u8,
    exact: (IpAddr, u32),
    narrow: (IpAddr, u32),
    wide: (IpAddr, u32),
    all: (IpAddr, u32),
    /// As narrow, and next to it.
    other: (IpAddr, u32),
}

fn prefixes(family: u8) -> Prefixes {
    if family == V4 {
        return Prefixes {
            family,
            exact: (CLIENT.into(), 32),
            narrow: (Ipv4Addr::new(203, 0, 113, 6).into(), 31),
            wide: (Ipv4Addr::new(203, 0, 112, 0).into(), 22),
            all: (Ipv4Addr::UNSPECIFIED.into(), 0),
            other: (Ipv4Addr::new(203, 0, 113, 4).into(), 31),
        };
    }
    Prefixes {
        family,
        exact: (CLIENT6.into(), 128),
        narrow: (Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 6).into(), 127),
        wide: (Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0).into(), 62),
        all: (Ipv6Addr::UNSPECIFIED.into(), 0),
        other: (Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 4).into(), 127),
    }
}

const OPEN: u32 = GUARD_ACCESS;
const CLOSED: u32 = GUARD_ACCESS | GUARD_LISTED_ONLY;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(matches(&prefixes(family)));
        cases.extend(flags(&prefixes(family)));
        cases.extend(packets(&prefixes(family)));
        cases.extend(others(&prefixes(family)));
    }
    cases.push(a_range());
    cases
}

fn service(family: u8) -> u32 {
    if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP }
}

fn syn(family: u8) -> Packet {
    Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, SYN)
}

fn taken(family: u8) -> Expect {
    tx(&dsr(&syn(family), near(family))).counts(service(family), near(family), ip_header(family) + 20).syn()
}

fn denied() -> Expect {
    drop(DropReason::AccessDenied)
}

type Row = ((IpAddr, u32), u32);

fn listed(family: u8, flags: u32, rows: &[Row]) -> impl FnOnce(&mut State) {
    move |world| {
        guard(world, service(family), Guard { flags, ..Guard::default() });
        for (prefix, verdict) in rows {
            world.add_access(service(family), *prefix, *verdict);
        }
    }
}

/// The longest match.
fn matches(prefixes: &Prefixes) -> Vec<Case> {
    let Prefixes { family, exact, narrow, wide, all, other } = *prefixes;
    let (allow, deny) = (ACCESS_ALLOW, ACCESS_DENY);
    let mut cases = Vec::new();
    let mut one = |name: &str, flags: u32, rows: &[Row], goes: bool| {
        let expect = if goes { taken(family) } else { denied() };
        cases.push(
            more_case(format!("access v{family}, {name}"), listed(family, flags, rows)).send(&syn(family), expect),
        );
    };
    one("nothing is listed", OPEN, &[], true);
    one("nothing is listed, and nothing else taken", CLOSED, &[], false);
    one("the address is denied", OPEN, &[(exact, deny)], false);
    one("the address is allowed", CLOSED, &[(exact, allow)], true);
    one("a prefix of odd length is denied", OPEN, &[(narrow, deny)], false);
    one("a prefix of odd length is allowed", CLOSED, &[(narrow, allow)], true);
    one("a wide prefix is denied", OPEN, &[(wide, deny)], false);
    one("a wide prefix is allowed", CLOSED, &[(wide, allow)], true);
    one("everybody is denied", OPEN, &[(all, deny)], false);
    one("everybody is allowed", CLOSED, &[(all, allow)], true);
    one("a neighbour is denied", OPEN, &[(other, deny)], true);
    one("a neighbour is allowed", CLOSED, &[(other, allow)], false);
    one("the address is allowed in a prefix that is not", OPEN, &[(exact, allow), (wide, deny)], true);
    one("the address is denied in a prefix that is allowed", CLOSED, &[(exact, deny), (wide, allow)], false);
    one("a match goes before what is not listed", CLOSED, &[(exact, deny), (all, allow)], false);
    one("the middle one of three", OPEN, &[(other, deny), (narrow, allow), (all, deny)], true);
    one("the longest of four", CLOSED, &[(exact, deny), (narrow, allow), (wide, deny), (all, allow)], false);
    one("allowed, and others are not denied", OPEN, &[(exact, allow)], true);
    one("denied, and others are denied too", CLOSED, &[(wide, deny)], false);
    cases
}

/// Which flags it takes.
fn flags(prefixes: &Prefixes) -> Vec<Case> {
    let Prefixes { family, all, .. } = *prefixes;
    let deny = [(all, ACCESS_DENY)];
    let one = |name: &str, change: &dyn Fn(&mut State), expect: Expect| {
        more_case(format!("access v{family}, {name}"), change).send(&syn(family), expect)
    };
    vec![
        one("no guard looks", &|world| listed(family, 0, &deny)(world), taken(family)),
        one("listed only, and no guard looks", &|world| listed(family, GUARD_LISTED_ONLY, &[])(world), taken(family)),
        one("guards for other things", &|world| listed(family, !CLOSED & !GUARD_RATE, &deny)(world), taken(family)),
        one("all guards", &|world| listed(family, GUARD_FLOOD | CLOSED, &deny)(world), denied()),
        one(
            "a service that is not guarded",
            &|world| {
                listed(family, CLOSED, &deny)(world);
                world.set_flags(service(family), 0);
            },
            taken(family),
        ),
        one(
            "a service with other flags only",
            &|world| {
                listed(family, CLOSED, &deny)(world);
                world.set_flags(service(family), !SERVICE_GUARDED & 0xf0);
            },
            taken(family),
        ),
        one(
            "another service's prefixes",
            &|world| {
                listed(family, OPEN, &[])(world);
                world.add_access(service(family) + 1, all, ACCESS_DENY);
                world.add_access(service(family) << 24, all, ACCESS_DENY);
            },
            taken(family),
        ),
        one(
            "another service's prefixes are longer",
            &|world| {
                listed(family, CLOSED, &[(all, ACCESS_ALLOW)])(world);
                world.add_access(service(family) + 1, (client(family), all.1 + 8), ACCESS_DENY);
            },
            taken(family),
        ),
    ]
}

/// What is looked at, whatever is known of the flow.
fn packets(prefixes: &Prefixes) -> Vec<Case> {
    let Prefixes { family, wide, .. } = *prefixes;
    let deny = [(wide, ACCESS_DENY)];
    let flow = lb_tests::world::flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), TCP);
    let mut cases = Vec::new();
    for (name, flags) in [("ACK", ACK), ("RST", RST), ("SYN ACK", SYN | ACK)] {
        let packet = Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, flags);
        cases.push(
            more_case(format!("access v{family}, denied: {name}"), |world| {
                listed(family, OPEN, &deny)(world);
                world.fill_ring(service(family), remembers(near(family), old(family)));
                world.put_flow(flow, service(family), far(family), FLOW_OPEN);
            })
            .send(&packet, denied()),
        );
    }
    let syn_in_a_slot = more_case(format!("access v{family}, a denied SYN is not half-open"), |world| {
        listed(family, OPEN, &deny)(world);
        world.fill_ring(service(family), remembers(near(family), old(family)));
    });
    cases.push(syn_in_a_slot.send(&syn(family), denied()));
    for (protocol, id) in
        [(UDP, if family == V4 { DSR_V4_UDP } else { DSR_V6_UDP }), (SCTP, sctp_service(family, DSR_PORT))]
    {
        let packet = from_client(family, protocol, DSR_PORT).vlan(7);
        for (flags, row, goes) in
            [(OPEN, ACCESS_DENY, false), (CLOSED, ACCESS_ALLOW, true), (CLOSED, ACCESS_DENY, false)]
        {
            let expect = if goes {
                sent(&dsr(&packet, near(family)), id, near(family), packet.ip_length() as u64)
            } else {
                denied()
            };
            cases.push(
                more_case(format!("access v{family}, {}, flags {flags}, row {row}", word(protocol)), |world| {
                    guard(world, id, Guard { flags, ..Guard::default() });
                    world.add_access(id, wide, row);
                })
                .send(&packet, expect),
            );
        }
    }
    cases.push(
        more_case(format!("access v{family}, denied before a ring is missed"), |world| {
            listed(family, OPEN, &deny)(world);
            world.rings.remove(&service(family));
        })
        .send(&syn(family), denied()),
    );
    cases.push(
        more_case(format!("access v{family}, denied before a real is missed"), |world| {
            listed(family, CLOSED, &[])(world);
            world.fill_ring(service(family), clean(0));
        })
        .send(&syn(family), denied()),
    );
    cases
}

/// What is not looked at.
fn others(prefixes: &Prefixes) -> Vec<Case> {
    let family = prefixes.family;
    let deny = [(prefixes.all, ACCESS_DENY)];
    let id = 0x77;
    let (first, later, key) = if family == V4 {
        let first = to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (id, true));
        let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (id, 4, Some(TCP)));
        (first, later, fragment_v4(id, TCP))
    } else {
        let header = |offset, more| to_vip6().fragment6(id.into(), offset, more);
        (header(0, true), header(4, false).tcp(1, 2, 3), fragment_v6(id.into()))
    };
    let (first, later) = (first.tcp(CLIENT_PORT, DSR_PORT, SYN).payload(12), later.payload(20));
    let follows = sent(&dsr(&later, near(family)), service(family), near(family), later.ip_length() as u64);
    let about = Packet::ip(vip(family), client(family)).tcp(DSR_PORT, CLIENT_PORT, ACK);
    let (error, echo, reply) = if family == V4 {
        let rest = [0, 1, 0, 1];
        (
            Packet::v4(CLIENT, VIP).icmp(3, 4, [0; 4]).quote(&about, 40),
            to_vip().icmp(8, 0, rest),
            Packet::v4(VIP, CLIENT).icmp(0, 0, rest),
        )
    } else {
        let rest = [0, 1, 0, 1];
        (
            Packet::v6(CLIENT6, VIP6).icmp6(2, 0, [0; 4]).quote(&about, 60),
            to_vip6().icmp6(128, 0, rest),
            Packet::v6(VIP6, CLIENT6).icmp6(129, 0, rest),
        )
    };
    let no_port = Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, NO_PORT, SYN);
    let one = |name: &str| more_case(format!("access v{family}, {name}"), listed(family, CLOSED, &deny));
    let error_follows = sent(&dsr(&error, near(family)), service(family), near(family), error.ip_length() as u64)
        .event(Event::IcmpErrorForwarded);
    vec![
        one("a first fragment is denied, and later ones are unknown")
            .send(&first, denied())
            .send(&later, drop(DropReason::FragmentUnknown)),
        more_case(format!("access v{family}, a later fragment follows its first"), |world| {
            listed(family, CLOSED, &deny)(world);
            let (service, real) = (service(family), near(family));
            let value = lb_common::FragmentValue { service, real, mode: MODE_DSR, reserved: 0 };
            world.effects.fragments.insert(key, value);
        })
        .send(&later, follows.event(Event::FragmentForwarded)),
        one("an ICMP error is not looked at").send(&error, error_follows),
        one("an echo is not looked at").send(&echo, crate::icmp::answered(&reply)),
        one("no service").send(&no_port, pass_for_vip()),
    ]
}

/// The rows of ranges have flags too.
fn a_range() -> Case {
    let packet = |port| Packet::v4(CLIENT, WIDE_VIP).tcp(CLIENT_PORT, port, ACK);
    let within = packet(8_005);
    more_case("access v4, a range of ports", |world| {
        guard(world, RANGE_V4, Guard { flags: CLOSED, ..Guard::default() });
        world.add_access(RANGE_V4, (Ipv4Addr::new(198, 51, 100, 0).into(), 24), ACCESS_ALLOW);
    })
    .send(&packet(8_000), denied())
    .send(&packet(8_010), denied())
    .send(&within, sent(&dsr(&within, FAR_V4), WITHIN_RANGE, FAR_V4, 40))
}
