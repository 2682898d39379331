//! SYN floods: SYNs leave nothing behind. The slot points at `NEAR`, it pointed at `OLD` before, and the tables say `FAR`, as in `slots`.

use lb_common::{
    ACCESS_DENY, DropReason, Event, FLOW_EVENT_REMEMBERED, FLOW_FIN, FLOW_OPEN, FLOW_RST, GUARD_ACCESS, GUARD_FLOOD,
    GUARD_RATE, Guard, MODE_DSR, NODE_TELLS_FLOWS, REAL_HOT, Slot,
};
use lb_tests::model::{COARSE_NOW, State};
use lb_tests::packet::{ACK, FIN, PSH, Packet, RST, SYN};
use lb_tests::world::{clean, marked, remembers, source_key};

use super::guard;
use crate::case::{Case, Expect, drop, redirect, tx};
use crate::services::*;
use crate::slots::{DEAD, FAR, NEAR, OLD, SERVICE, flow, half, known, nothing, packet, to};
use crate::world::*;

const FLOOD: Guard = Guard { interval_ns: 0, burst_ns: 0, flags: GUARD_FLOOD, source_bits: 0, reserved: [0; 3] };

pub fn cases() -> Vec<Case> {
    let mut cases = syns();
    cases.extend(others());
    cases.extend(flags());
    cases.extend(lives());
    cases.extend(other_services());
    cases
}

fn flood_case(name: &str, slot: Slot, before: impl FnOnce(&mut State)) -> Case {
    more_case(format!("flood: {name}"), |world| {
        guard(world, SERVICE, FLOOD);
        world.fill_ring(SERVICE, slot);
        before(world);
    })
}

fn one(name: &str, slot: Slot, before: impl FnOnce(&mut State), flags: u8, expect: Expect) -> Case {
    flood_case(name, slot, before).send(&packet(flags), expect)
}

fn unnoted(real: u16) -> Expect {
    to(real, SYN).event(Event::SynUnnoted)
}

/// The decision that only reads.
fn syns() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let hot = |world: &mut State| {
        world.set_second_slot_of(SERVICE, &flow(), clean(FAR));
        world.reals.get_mut(&NEAR).expect("a real of the world").flags |= REAL_HOT;
    };
    let both = |flow_real, half_real| {
        move |world: &mut State| {
            known(flow_real, FLOW_OPEN)(world);
            half(half_real)(world);
        }
    };
    let of_another = |world: &mut State| {
        world.put_flow(flow(), SERVICE + 1, FAR, FLOW_OPEN);
        world.put_half_open(flow(), SERVICE + 1, FAR);
    };
    let tells = |world: &mut State| world.node.flags = NODE_TELLS_FLOWS;
    let gone = |reason| drop(reason).event(Event::SynUnnoted);
    let mut cases = vec![
        one("a SYN goes to the previous real", slot, nothing, SYN, unnoted(OLD)),
        one("a SYN, previous dead", remembers(NEAR, DEAD), nothing, SYN, unnoted(NEAR)),
        one("a SYN, marked", marked(NEAR), nothing, SYN, unnoted(NEAR)),
        one("a SYN of a known flow", slot, known(FAR, FLOW_OPEN), SYN, unnoted(FAR)),
        one("a SYN of a known flow, marked", marked(NEAR), known(FAR, FLOW_OPEN), SYN, unnoted(FAR)),
        one("a SYN after a FIN", slot, known(FAR, FLOW_FIN), SYN, unnoted(FAR)),
        one("a SYN after a RST", slot, known(FAR, FLOW_RST), SYN, unnoted(FAR)),
        one("a SYN of a half-open flow", slot, half(FAR), SYN, unnoted(FAR)),
        one("a SYN of a half-open flow, marked", marked(NEAR), half(FAR), SYN, unnoted(FAR)),
        one("a known flow goes before a half-open one", slot, both(FAR, NEAR), SYN, unnoted(FAR)),
        one("a dead real's entry stays", slot, known(DEAD, FLOW_OPEN), SYN, unnoted(OLD)),
        one("a dead real's entry, and a half-open one", slot, both(DEAD, FAR), SYN, unnoted(FAR)),
        one("dead reals' entries stay", marked(NEAR), both(DEAD, DEAD), SYN, unnoted(NEAR)),
        one("another service's entries stay", slot, of_another, SYN, unnoted(OLD)),
        one("a hot real, marked", marked(NEAR), hot, SYN, unnoted(NEAR)),
        one("a hot real", slot, hot, SYN, unnoted(OLD)),
        one("nothing is told", slot, tells, SYN, unnoted(OLD)),
        one("all dead", remembers(DEAD, DEAD), nothing, SYN, gone(DropReason::RealDown)),
        one("no real", marked(0), nothing, SYN, gone(DropReason::NoReal)),
    ];
    for (name, flags) in [("SYN PSH", SYN | PSH), ("SYN RST", SYN | RST), ("SYN FIN", SYN | FIN)] {
        let expect = to(OLD, flags).event(Event::SynUnnoted);
        cases.push(one(&format!("{name} is a SYN"), slot, nothing, flags, expect));
    }
    cases
}

/// What is as ever.
fn others() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let remembered = |real, flags| to(real, flags).remembers(flow(), SERVICE, real);
    let tells = |world: &mut State| world.node.flags = NODE_TELLS_FLOWS;
    vec![
        one("a SYN in a clean slot", clean(NEAR), nothing, SYN, to(NEAR, SYN)),
        one("an ACK in a clean slot", clean(NEAR), nothing, ACK, to(NEAR, ACK)),
        one("an ACK", slot, nothing, ACK, remembered(OLD, ACK)),
        one("a SYN ACK", slot, nothing, SYN | ACK, remembered(OLD, SYN | ACK)),
        one("an ACK, told", slot, tells, ACK, {
            remembered(OLD, ACK).tells(FLOW_EVENT_REMEMBERED, flow(), SERVICE, OLD)
        }),
        one("a RST", slot, nothing, RST, to(OLD, RST)),
        one("an ACK of a known flow", slot, known(FAR, FLOW_RST), ACK, {
            to(FAR, ACK).flow(flow(), SERVICE, FAR, FLOW_OPEN)
        }),
        one("a FIN of a known flow", slot, known(FAR, FLOW_OPEN), FIN, {
            to(FAR, FIN).flow(flow(), SERVICE, FAR, FLOW_FIN)
        }),
        one("a handshake that goes on", slot, half(FAR), ACK, remembered(FAR, ACK).half_open_gone(flow())),
        one("a handshake that is reset", slot, half(FAR), RST, to(FAR, RST).half_open_gone(flow())),
        one("an ACK, marked", marked(NEAR), nothing, ACK, to(NEAR, ACK)),
    ]
}

fn flags() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let row = |row: Guard| {
        move |world: &mut State| {
            world.guards.insert(SERVICE, row);
        }
    };
    let half_open = || to(NEAR, SYN).half_open(flow(), SERVICE, NEAR);
    let limit = Guard { interval_ns: 1 << 45, source_bits: 32, flags: GUARD_FLOOD | GUARD_RATE, ..FLOOD };
    let source = source_key(SERVICE, CLIENT.into());
    vec![
        one("no guard looks", slot, row(Guard::default()), SYN, half_open()),
        one("guards for other things", slot, row(Guard { flags: GUARD_ACCESS, ..FLOOD }), SYN, half_open()),
        one("a service that is not guarded", slot, |world| world.set_flags(SERVICE, 0), SYN, half_open()),
        one(
            "another service's guard",
            slot,
            |world| {
                world.guards.clear();
                world.guards.insert(SERVICE + 1, FLOOD);
            },
            SYN,
            half_open(),
        ),
        flood_case("a limit counts too", slot, row(limit))
            .send(&packet(SYN), unnoted(OLD).source(source, COARSE_NOW + (1 << 45)))
            .send(&packet(SYN), drop(DropReason::RateLimited)),
        flood_case("access counts too", slot, |world| {
            world.guards.insert(SERVICE, Guard { flags: GUARD_FLOOD | GUARD_ACCESS, ..FLOOD });
            world.add_access(SERVICE, (CLIENT.into(), 32), ACCESS_DENY);
        })
        .send(&packet(SYN), drop(DropReason::AccessDenied)),
        flood_case("no ring", slot, |world| {
            world.rings.remove(&SERVICE);
        })
        .send(&packet(SYN), drop(DropReason::NoRing)),
    ]
}

/// The rest of a handshake goes to the same real.
fn lives() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    vec![
        flood_case("a life in a slot that remembers", slot, nothing)
            .send(&packet(SYN), unnoted(OLD))
            .send(&packet(SYN), unnoted(OLD))
            .send(&packet(ACK), to(OLD, ACK).remembers(flow(), SERVICE, OLD))
            .send(&packet(SYN), unnoted(OLD))
            .send(&packet(PSH | ACK), to(OLD, PSH | ACK)),
        flood_case("a life in a marked slot", marked(NEAR), nothing)
            .send(&packet(SYN), unnoted(NEAR))
            .send(&packet(ACK), to(NEAR, ACK)),
    ]
}

fn other_services() -> Vec<Case> {
    let syn6 = to_vip6().tcp(CLIENT_PORT, DSR_PORT, SYN);
    let udp = to_vip().udp(CLIENT_PORT, DSR_PORT).data(&[0x02; 12]);
    let sctp = from_client(V4, SCTP, DSR_PORT).data(&[0x02; 12]);
    let tunnelled = to_vip().tcp(CLIENT_PORT, GUE_SERVICE_PORT, SYN).vlan(3);
    let gue_tcp = gue_service(V4, TCP);
    let wide = Packet::v4(CLIENT, WIDE_VIP).tcp(CLIENT_PORT, 8_001, SYN);
    let first =
        to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (7, true)).tcp(CLIENT_PORT, DSR_PORT, SYN).payload(4);
    let flooded = |service: u32, slot: Slot| {
        move |world: &mut State| {
            guard(world, service, FLOOD);
            world.fill_ring(service, slot);
        }
    };
    vec![
        more_case("flood: v6", flooded(DSR_V6_TCP, remembers(NEAR_V6, FAR_V6))).send(
            &syn6,
            redirect(&dsr(&syn6, FAR_V6), OTHER).counts(DSR_V6_TCP, FAR_V6, 60).syn().event(Event::SynUnnoted),
        ),
        more_case("flood: udp has no SYNs", flooded(DSR_V4_UDP, remembers(NEAR, OLD))).send(
            &udp,
            tx(&dsr(&udp, OLD)).counts(DSR_V4_UDP, OLD, 40).remembers(flow_v4(UDP, DSR_PORT), DSR_V4_UDP, OLD),
        ),
        more_case("flood: sctp has no SYNs", flooded(sctp_service(V4, DSR_PORT), remembers(NEAR, OLD))).send(
            &sctp,
            tx(&dsr(&sctp, OLD)).counts(sctp_service(V4, DSR_PORT), OLD, 44).remembers(
                flow_v4(SCTP, DSR_PORT),
                sctp_service(V4, DSR_PORT),
                OLD,
            ),
        ),
        more_case("flood: gue", flooded(gue_tcp, remembers(NEAR, OLD))).send(
            &tunnelled,
            tx(&gue(&tunnelled, OLD, 0, hash_of(V4, TCP, GUE_SERVICE_PORT)))
                .counts(gue_tcp, OLD, 40)
                .syn()
                .event(Event::SynUnnoted),
        ),
        more_case("flood: a range of ports", flooded(RANGE_V4, remembers(NEAR, OLD)))
            .send(&wide, tx(&dsr(&wide, OLD)).counts(RANGE_V4, OLD, 40).syn().event(Event::SynUnnoted)),
        more_case("flood: a first fragment", flooded(SERVICE, remembers(NEAR, OLD))).send(
            &first,
            tx(&dsr(&first, OLD)).counts(SERVICE, OLD, 44).syn().event(Event::SynUnnoted).fragment(
                fragment_v4(7, TCP),
                SERVICE,
                OLD,
                MODE_DSR,
            ),
        ),
    ]
}
