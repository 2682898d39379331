//! How many new flows a source may begin. Times are by a clock that stands at [`COARSE_NOW`]; what a real clock does meanwhile is
//! far less than [`INTERVAL`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, DropReason, FLOW_OPEN, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE, Guard,
    SourceKey,
};
use lb_tests::model::{COARSE_NOW, State};
use lb_tests::packet::{ACK, FIN, PSH, Packet, RST, SYN};
use lb_tests::world::{clean, flow_key, remembers, source_key};

use super::guard;
use crate::case::{Case, Expect, drop, redirect, tx};
use crate::services::*;
use crate::world::*;

/// An hour in nanoseconds.
const INTERVAL: u64 = 3_600_000_000_000;
/// A source may be so far ahead.
const BURST: u64 = 3 * INTERVAL;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(entries(family));
        cases.extend(bursts(family));
        cases.extend(flags(family));
        cases.extend(packets(family));
        cases.extend(order(family));
    }
    cases.extend(prefixes());
    cases.push(a_range());
    cases
}

fn service(family: u8) -> u32 {
    if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP }
}

/// All bits of an address.
fn all_bits(family: u8) -> u8 {
    if family == V4 { 32 } else { 128 }
}

fn limit(burst_ns: u64, source_bits: u8) -> Guard {
    Guard { interval_ns: INTERVAL, burst_ns, flags: GUARD_RATE, source_bits, ..Guard::default() }
}

fn limited(family: u8) -> impl Fn(&mut State) {
    move |world| guard(world, service(family), limit(BURST, all_bits(family)))
}

fn packet(family: u8, flags: u8) -> Packet {
    Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, flags)
}

fn sent_to_near(family: u8, flags: u8) -> Expect {
    let bytes = ip_header(family) + 20;
    tx(&dsr(&packet(family, flags), near(family))).counts(service(family), near(family), bytes)
}

fn taken(family: u8) -> Expect {
    sent_to_near(family, SYN).syn()
}

fn source(family: u8) -> SourceKey {
    source_key(service(family), client(family))
}

fn refused() -> Expect {
    drop(DropReason::RateLimited)
}

/// One SYN, and when the source was due.
fn entries(family: u8) -> Vec<Case> {
    let one = |name: &str, due: Option<u64>, expect: Expect| {
        more_case(format!("rate v{family}, {name}"), |world| {
            limited(family)(world);
            if let Some(due) = due {
                world.put_source(service(family), client(family), due);
            }
        })
        .send(&packet(family, SYN), expect)
    };
    let becomes = |due: u64| taken(family).source(source(family), due);
    let late = becomes(COARSE_NOW + INTERVAL);
    vec![
        one("a new source", None, late.clone()),
        one("a source of long ago", Some(0), late.clone()),
        one("a source of an instant ago", Some(COARSE_NOW - 1), late),
        one("a source that is ahead", Some(COARSE_NOW + INTERVAL), becomes(COARSE_NOW + 2 * INTERVAL)),
        one("a source that is a little ahead", Some(COARSE_NOW + INTERVAL / 2), becomes(COARSE_NOW + INTERVAL * 3 / 2)),
        one("a source as far ahead as may be", Some(COARSE_NOW + BURST), becomes(COARSE_NOW + BURST + INTERVAL)),
        one("a source too far ahead", Some(COARSE_NOW + BURST + INTERVAL), refused()),
        one("a source much too far ahead", Some(COARSE_NOW + 1_000 * INTERVAL), refused()),
        one("a source that is never due", Some(u64::MAX), refused()),
    ]
}

/// SYNs one after the other.
fn bursts(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    for burst in [0, 1, 2, 5] {
        let mut case = more_case(format!("rate v{family}, a burst of {}", burst + 1), |world| {
            guard(world, service(family), limit(burst * INTERVAL, all_bits(family)));
        });
        for n in 0..=burst {
            case =
                case.send(&packet(family, SYN), taken(family).source(source(family), COARSE_NOW + (n + 1) * INTERVAL));
        }
        for _ in 0..2 {
            case = case.send(&packet(family, SYN), refused());
        }
        cases.push(case.send(&packet(family, ACK), sent_to_near(family, ACK)));
    }
    let no_interval = Guard { interval_ns: 0, ..limit(0, all_bits(family)) };
    let free = taken(family).source(source(family), COARSE_NOW);
    cases.push(
        more_case(format!("rate v{family}, no interval"), |world| guard(world, service(family), no_interval))
            .send(&packet(family, SYN), free.clone())
            .send(&packet(family, SYN), free),
    );
    cases
}

/// Which flags it takes.
fn flags(family: u8) -> Vec<Case> {
    let one = |name: &str, change: &dyn Fn(&mut State), expect: Expect| {
        more_case(format!("rate v{family}, {name}"), |world| {
            limited(family)(world);
            world.put_source(service(family), client(family), COARSE_NOW + BURST + INTERVAL);
            change(world);
        })
        .send(&packet(family, SYN), expect)
    };
    let with = |flags: u32| {
        move |world: &mut State| {
            world.guards.insert(service(family), Guard { flags, ..limit(BURST, all_bits(family)) });
        }
    };
    vec![
        one("no guard looks", &with(0), taken(family)),
        one("guards for other things", &with(GUARD_ACCESS | GUARD_FLOOD), taken(family)),
        one("a service that is not guarded", &|world| world.set_flags(service(family), 0), taken(family)),
        one("all guards", &with(GUARD_RATE | GUARD_ACCESS | GUARD_FLOOD), refused()),
        one(
            "another service's source",
            &|world| {
                world.effects.sources.clear();
                world.put_source(service(family) + 1, client(family), u64::MAX);
            },
            taken(family).source(source(family), COARSE_NOW + INTERVAL),
        ),
        one(
            "another source",
            &|world| {
                world.effects.sources.clear();
                world.put_source(service(family), vip(family), u64::MAX);
            },
            taken(family).source(source(family), COARSE_NOW + INTERVAL),
        ),
    ]
}

/// What is a SYN, and what is none.
fn packets(family: u8) -> Vec<Case> {
    let too_far = |world: &mut State| {
        limited(family)(world);
        world.put_source(service(family), client(family), u64::MAX);
    };
    let mut cases = Vec::new();
    for (name, flags) in [("SYN PSH", SYN | PSH), ("SYN FIN", SYN | FIN), ("SYN RST", SYN | RST)] {
        cases.push(
            more_case(format!("rate v{family}, {name} is limited"), too_far).send(&packet(family, flags), refused()),
        );
    }
    for (name, flags) in [("ACK", ACK), ("SYN ACK", SYN | ACK), ("PSH ACK", PSH | ACK), ("nothing", 0)] {
        cases.push(
            more_case(format!("rate v{family}, {name} is not limited"), too_far)
                .send(&packet(family, flags), sent_to_near(family, flags)),
        );
        cases.push(
            more_case(format!("rate v{family}, {name} leaves nothing"), limited(family))
                .send(&packet(family, flags), sent_to_near(family, flags)),
        );
    }
    for (protocol, id) in
        [(UDP, if family == V4 { DSR_V4_UDP } else { DSR_V6_UDP }), (SCTP, sctp_service(family, DSR_PORT))]
    {
        let packet = from_client(family, protocol, DSR_PORT).data(&[0x02; 16]);
        cases.push(
            more_case(format!("rate v{family}, {} is not limited", word(protocol)), |world| {
                guard(world, id, limit(0, all_bits(family)));
                world.put_source(id, client(family), u64::MAX);
            })
            .send(&packet, sent(&dsr(&packet, near(family)), id, near(family), packet.ip_length() as u64)),
        );
    }
    let first = match family {
        V4 => to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (9, true)),
        _ => to_vip6().fragment6(9, 0, true),
    }
    .tcp(CLIENT_PORT, DSR_PORT, SYN)
    .payload(4);
    cases.push(more_case(format!("rate v{family}, a first fragment is limited"), too_far).send(&first, refused()));
    // A flow that is known, and one that begins anew.
    let key = flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), TCP);
    cases.push(
        more_case(format!("rate v{family}, a SYN of a known flow is limited"), |world| {
            too_far(world);
            world.fill_ring(service(family), remembers(near(family), old(family)));
            world.put_flow(key, service(family), far(family), FLOW_OPEN);
        })
        .send(&packet(family, SYN), refused()),
    );
    cases.push(
        more_case(format!("rate v{family}, a SYN is half-open as ever"), |world| {
            limited(family)(world);
            world.fill_ring(service(family), remembers(near(family), old(family)));
        })
        .send(
            &packet(family, SYN),
            taken(family).half_open(key, service(family), near(family)).source(source(family), COARSE_NOW + INTERVAL),
        ),
    );
    cases
}

/// Access is looked at before, and the ring after.
fn order(family: u8) -> Vec<Case> {
    let both = |verdict: u32, due: u64| {
        move |world: &mut State| {
            let flags = GUARD_RATE | GUARD_ACCESS | GUARD_LISTED_ONLY;
            guard(world, service(family), Guard { flags, ..limit(BURST, all_bits(family)) });
            world.add_access(service(family), (client(family), all_bits(family).into()), verdict);
            world.put_source(service(family), client(family), due);
        }
    };
    let counted = || drop(DropReason::NoRing).source(source(family), COARSE_NOW + INTERVAL);
    vec![
        more_case(format!("rate v{family}, allowed and limited"), both(ACCESS_ALLOW, u64::MAX))
            .send(&packet(family, SYN), refused()),
        more_case(format!("rate v{family}, allowed and counted"), both(ACCESS_ALLOW, 0))
            .send(&packet(family, SYN), taken(family).source(source(family), COARSE_NOW + INTERVAL)),
        more_case(format!("rate v{family}, denied and not counted"), both(ACCESS_DENY, 0))
            .send(&packet(family, SYN), drop(DropReason::AccessDenied)),
        more_case(format!("rate v{family}, denied before it is limited"), both(ACCESS_DENY, u64::MAX))
            .send(&packet(family, SYN), drop(DropReason::AccessDenied)),
        more_case(format!("rate v{family}, counted before a ring is missed"), |world| {
            limited(family)(world);
            world.rings.remove(&service(family));
        })
        .send(&packet(family, SYN), counted()),
        more_case(format!("rate v{family}, counted before a real is missed"), |world| {
            limited(family)(world);
            world.fill_ring(service(family), clean(0));
        })
        .send(&packet(family, SYN), drop(DropReason::NoReal).source(source(family), COARSE_NOW + INTERVAL)),
    ]
}

/// A source is a prefix.
fn prefixes() -> Vec<Case> {
    let v4 = |a: u8, b: u8, c: u8, d: u8| IpAddr::from(Ipv4Addr::new(a, b, c, d));
    let v6 = |a: [u16; 8]| IpAddr::from(Ipv6Addr::from(a));
    let table = [
        (V4, 32, v4(203, 0, 113, 7), v4(203, 0, 113, 6)),
        (V4, 31, v4(203, 0, 113, 6), v4(203, 0, 113, 5)),
        (V4, 24, v4(203, 0, 113, 0), v4(203, 0, 112, 7)),
        (V4, 17, v4(203, 0, 0, 0), v4(203, 0, 128, 7)),
        (V4, 8, v4(203, 0, 0, 0), v4(202, 0, 113, 7)),
        (V4, 1, v4(128, 0, 0, 0), v4(75, 0, 113, 7)),
        (V6, 128, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7]), v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 6])),
        (V6, 127, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 6]), v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 5])),
        (V6, 65, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0]), v6([0x2001, 0xdb8, 0xc, 0, 0x8000, 0, 0, 7])),
        (V6, 64, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0]), v6([0x2001, 0xdb8, 0xc, 1, 0, 0, 0, 7])),
        (V6, 63, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0]), v6([0x2001, 0xdb8, 0xc, 2, 0, 0, 0, 7])),
        (V6, 48, v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0]), v6([0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 7])),
        (V6, 33, v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), v6([0x2001, 0xdb8, 0x800c, 0, 0, 0, 0, 7])),
        (V6, 1, v6([0; 8]), v6([0xa001, 0xdb8, 0xc, 0, 0, 0, 0, 7])),
    ];
    let mut cases = Vec::new();
    for (family, bits, prefix, outside) in table {
        let key = source_key(service(family), prefix);
        let name = |what: &str| format!("rate v{family}, a source is {bits} bits, {what}");
        let other = Packet::ip(outside, vip(family)).tcp(CLIENT_PORT, DSR_PORT, SYN);
        let limited = |world: &mut State| guard(world, service(family), limit(0, bits));
        cases.push(
            more_case(name("counted"), limited)
                .send(&packet(family, SYN), taken(family).source(key, COARSE_NOW + INTERVAL))
                .send(&packet(family, SYN), refused()),
        );
        // Another source goes on.
        let masked = masked(outside, bits);
        cases.push(
            more_case(name("others go on"), |world| {
                limited(world);
                world.put_source(service(family), prefix, u64::MAX);
            })
            .send(&packet(family, SYN), refused())
            .send(
                &other,
                tx(&dsr(&other, near(family)))
                    .counts(service(family), near(family), ip_header(family) + 20)
                    .syn()
                    .source(source_key(service(family), masked), COARSE_NOW + INTERVAL),
            ),
        );
    }
    cases
}

/// The address with its first bits only.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & (u32::MAX << (32 - bits))).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - bits))).into(),
    }
}

/// The rows of ranges have flags too, and all their ports are one service.
fn a_range() -> Case {
    let packet = |port| Packet::v4(CLIENT, WIDE_VIP).tcp(CLIENT_PORT, port, SYN);
    let taken = tx(&dsr(&packet(8_000), NEAR_V4)).counts(RANGE_V4, NEAR_V4, 40).syn();
    let within = packet(8_005);
    more_case("rate v4, a range of ports", |world| guard(world, RANGE_V4, limit(0, 32)))
        .send(&packet(8_000), taken.source(source_key(RANGE_V4, CLIENT.into()), COARSE_NOW + INTERVAL))
        .send(&packet(8_010), refused())
        .send(&within, redirect(&dsr(&within, FAR_V4), OTHER).counts(WITHIN_RANGE, FAR_V4, 40).syn())
}
