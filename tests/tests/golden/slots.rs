//! Every branch of the decision which real a flow goes to, but those of hot reals. The slot points at `NEAR`, it pointed at `OLD` before, and
//! the flow table says `FAR`.

use lb_common::{DropReason, Event, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, Slot};
use lb_tests::model::State;
use lb_tests::packet::{ACK, FIN, PSH, Packet, RST, SYN};
use lb_tests::world::{clean, flow_key, marked, remembers};

use crate::case::{Case, Expect, case_with, drop, redirect, tx};
use crate::world::*;

pub const NEAR: u16 = NEAR_V4;
pub const FAR: u16 = FAR_V4;
pub const OLD: u16 = OLD_V4;
pub const DEAD: u16 = DISABLED_V4;
pub const SERVICE: u32 = DSR_V4_TCP;

pub fn cases() -> Vec<Case> {
    let mut cases = clean_slots();
    cases.extend(flow_hits());
    cases.extend(half_open_hits());
    cases.extend(misses());
    cases.extend(marked_slots());
    cases.extend(full_table());
    cases.extend(udp());
    cases.extend(other_families_and_modes());
    cases.extend(lives_of_flows());
    cases
}

pub fn flow() -> FlowKey {
    flow_v4(TCP, DSR_PORT)
}

pub fn packet(flags: u8) -> Packet {
    to_vip().tcp(CLIENT_PORT, DSR_PORT, flags)
}

/// The packet goes to the real, and its flags are counted.
pub fn to(real: u16, flags: u8) -> Expect {
    let out = dsr(&packet(flags), real);
    let sent = if real == FAR { redirect(&out, OTHER) } else { tx(&out) };
    let mut sent = sent.counts(SERVICE, real, 40);
    if flags & SYN != 0 && flags & ACK == 0 {
        sent = sent.syn();
    }
    if flags & FIN != 0 {
        sent = sent.fin();
    }
    if flags & RST != 0 {
        sent = sent.rst();
    }
    sent
}

/// A case of one slot, with what is in the tables before.
pub fn slot_case(name: &str, slot: Slot, before: impl FnOnce(&mut State)) -> Case {
    case_with(name, |world| {
        world.fill_ring(SERVICE, slot);
        before(world);
    })
}

/// One packet that meets a slot.
pub fn one(name: &str, slot: Slot, before: impl FnOnce(&mut State), flags: u8, expect: Expect) -> Case {
    slot_case(name, slot, before).send(&packet(flags), expect)
}

pub fn nothing(_: &mut State) {}

pub fn known(real: u16, state: u16) -> impl FnOnce(&mut State) {
    move |world| world.put_flow(flow(), SERVICE, real, state)
}

pub fn half(real: u16) -> impl FnOnce(&mut State) {
    move |world| world.put_half_open(flow(), SERVICE, real)
}

fn half_of_another(world: &mut State) {
    world.put_half_open(flow(), SERVICE + 1, FAR);
}

fn clean_slots() -> Vec<Case> {
    let slot = clean(NEAR);
    vec![
        one("clean: a SYN writes nothing", slot, nothing, SYN, to(NEAR, SYN)),
        one("clean: an ACK writes nothing", slot, nothing, ACK, to(NEAR, ACK)),
        one("clean: a FIN writes nothing", slot, nothing, FIN | ACK, to(NEAR, FIN | ACK)),
        one("clean: the flow table is not read", slot, known(FAR, FLOW_OPEN), ACK, to(NEAR, ACK)),
        one("clean: the flow table is not written", slot, known(FAR, FLOW_OPEN), RST, to(NEAR, RST)),
        one("clean: half-open flows are not read", slot, half(FAR), ACK, to(NEAR, ACK)),
        one("clean: a previous real does not matter", Slot { previous: OLD, ..slot }, nothing, ACK, to(NEAR, ACK)),
    ]
}

/// Decision 2.
fn flow_hits() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let becomes = |flags, state| to(FAR, flags).flow(flow(), SERVICE, FAR, state);
    let mut cases = vec![
        one("hit: ACK", slot, known(FAR, FLOW_OPEN), ACK, to(FAR, ACK)),
        one("hit: data", slot, known(FAR, FLOW_OPEN), PSH | ACK, to(FAR, PSH | ACK)),
        one("hit: a SYN of an open flow", slot, known(FAR, FLOW_OPEN), SYN, to(FAR, SYN)),
        one("hit: SYN ACK", slot, known(FAR, FLOW_OPEN), SYN | ACK, to(FAR, SYN | ACK)),
        one("hit: FIN", slot, known(FAR, FLOW_OPEN), FIN | ACK, becomes(FIN | ACK, FLOW_FIN)),
        one("hit: RST", slot, known(FAR, FLOW_OPEN), RST, becomes(RST, FLOW_RST)),
        one("hit: RST goes before FIN", slot, known(FAR, FLOW_OPEN), RST | FIN, becomes(RST | FIN, FLOW_RST)),
        one("hit: ACK after a FIN", slot, known(FAR, FLOW_FIN), ACK, to(FAR, ACK)),
        one("hit: RST after a FIN", slot, known(FAR, FLOW_FIN), RST, becomes(RST, FLOW_RST)),
        one("hit: SYN ACK after a FIN is no SYN", slot, known(FAR, FLOW_FIN), SYN | ACK, to(FAR, SYN | ACK)),
        one("hit: ACK after a RST opens again", slot, known(FAR, FLOW_RST), ACK, becomes(ACK, FLOW_OPEN)),
        one("hit: FIN after a RST", slot, known(FAR, FLOW_RST), FIN, becomes(FIN, FLOW_FIN)),
        one("hit: the real without a next hop is kept", slot, known(UNRESOLVED_V4, FLOW_OPEN), FIN, {
            drop(DropReason::NoNextHop).flow(flow(), SERVICE, UNRESOLVED_V4, FLOW_FIN)
        }),
    ];
    for (name, state) in [("FIN", FLOW_FIN), ("RST", FLOW_RST)] {
        let anew = to(NEAR, SYN).forgets(flow()).half_open(flow(), SERVICE, NEAR);
        cases.push(one(&format!("hit: a SYN after a {name} is a new flow"), slot, known(FAR, state), SYN, anew));
    }
    let of_another = |world: &mut State| world.put_flow(flow(), SERVICE + 1, FAR, FLOW_OPEN);
    cases.extend([
        one("hit of another service: ACK goes to the previous real", slot, of_another, ACK, {
            to(OLD, ACK).remembers(flow(), SERVICE, OLD)
        }),
        one("hit of another service: SYN is a new flow", slot, of_another, SYN, {
            to(NEAR, SYN).forgets(flow()).half_open(flow(), SERVICE, NEAR)
        }),
        one("hit of another service: a marked slot forgets it", marked(NEAR), of_another, ACK, {
            to(NEAR, ACK).forgets(flow())
        }),
    ]);
    let dead = |flags| to(OLD, flags).remembers(flow(), SERVICE, OLD);
    let removed = || drop(DropReason::RealDown).forgets(flow());
    cases.extend([
        one("hit, real dead: ACK goes to the previous real", slot, known(DEAD, FLOW_OPEN), ACK, dead(ACK)),
        one("hit, real dead: SYN is a new flow", slot, known(DEAD, FLOW_OPEN), SYN, {
            to(NEAR, SYN).forgets(flow()).half_open(flow(), SERVICE, NEAR)
        }),
        one("hit, real dead: RST forgets the flow", slot, known(DEAD, FLOW_OPEN), RST, to(OLD, RST).forgets(flow())),
        one("hit, real outside the table: as dead", slot, known(OUTSIDE, FLOW_OPEN), ACK, dead(ACK)),
        one("hit, real 0: as dead", slot, known(0, FLOW_OPEN), ACK, dead(ACK)),
        one("hit, every real dead", remembers(DEAD, DEAD), known(DEAD, FLOW_OPEN), ACK, removed()),
    ]);
    cases
}

/// Decision 3.
fn half_open_hits() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let goes_on = |flags| to(FAR, flags).half_open_gone(flow()).remembers(flow(), SERVICE, FAR);
    let ends = |flags| to(FAR, flags).half_open_gone(flow());
    vec![
        one("half-open of another service: ACK", slot, half_of_another, ACK, {
            to(OLD, ACK).half_open_gone(flow()).remembers(flow(), SERVICE, OLD)
        }),
        one("half-open of another service: SYN", slot, half_of_another, SYN, {
            to(NEAR, SYN).half_open(flow(), SERVICE, NEAR)
        }),
        one("half-open: the SYN comes again", slot, half(FAR), SYN, to(FAR, SYN)),
        one("half-open: ACK", slot, half(FAR), ACK, goes_on(ACK)),
        one("half-open: data", slot, half(FAR), PSH | ACK, goes_on(PSH | ACK)),
        one("half-open: SYN ACK", slot, half(FAR), SYN | ACK, goes_on(SYN | ACK)),
        one("half-open: FIN", slot, half(FAR), FIN | ACK, {
            to(FAR, FIN | ACK).half_open_gone(flow()).flow(flow(), SERVICE, FAR, FLOW_FIN).event(Event::FlowRemembered)
        }),
        one("half-open: RST", slot, half(FAR), RST, ends(RST)),
        one("half-open: RST ACK", slot, half(FAR), RST | ACK, ends(RST | ACK)),
        one("half-open: SYN RST is a SYN", slot, half(FAR), SYN | RST, to(FAR, SYN | RST)),
        one("half-open: SYN RST ACK is a RST", slot, half(FAR), SYN | RST | ACK, ends(SYN | RST | ACK)),
        one("half-open, real dead: ACK goes to the previous real", slot, half(DEAD), ACK, {
            to(OLD, ACK).half_open_gone(flow()).remembers(flow(), SERVICE, OLD)
        }),
        one("half-open, real dead: SYN goes to the slot's real", slot, half(DEAD), SYN, {
            to(NEAR, SYN).half_open(flow(), SERVICE, NEAR)
        }),
        one("half-open, real dead: RST", slot, half(DEAD), RST, to(OLD, RST).half_open_gone(flow())),
        one(
            "half-open and known: the flow table goes first",
            slot,
            |world| {
                known(FAR, FLOW_OPEN)(world);
                half(OLD)(world);
            },
            ACK,
            to(FAR, ACK),
        ),
        one(
            "half-open and closed: SYN",
            slot,
            |world| {
                known(FAR, FLOW_FIN)(world);
                half(OLD)(world);
            },
            SYN,
            to(OLD, SYN).forgets(flow()),
        ),
        one(
            "half-open and known with a dead real: ACK",
            slot,
            |world| {
                known(DEAD, FLOW_OPEN)(world);
                half(FAR)(world);
            },
            ACK,
            goes_on(ACK),
        ),
    ]
}

/// Decisions 6 and 7.
fn misses() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let mut cases = vec![
        one("miss: SYN", slot, nothing, SYN, to(NEAR, SYN).half_open(flow(), SERVICE, NEAR)),
        one(
            "miss: SYN FIN RST",
            slot,
            nothing,
            SYN | FIN | RST,
            to(NEAR, SYN | FIN | RST).half_open(flow(), SERVICE, NEAR),
        ),
        one("miss: SYN, the slot's real dead", remembers(DEAD, OLD), nothing, SYN, drop(DropReason::RealDown)),
        one("miss: SYN, the slot has no real", remembers(0, OLD), nothing, SYN, drop(DropReason::NoReal)),
        one("miss: SYN, the slot's real has no next hop", remembers(UNRESOLVED_V4, OLD), nothing, SYN, {
            drop(DropReason::NoNextHop).half_open(flow(), SERVICE, UNRESOLVED_V4)
        }),
        one("miss: ACK", slot, nothing, ACK, to(OLD, ACK).remembers(flow(), SERVICE, OLD)),
        one("miss: SYN ACK", slot, nothing, SYN | ACK, to(OLD, SYN | ACK).remembers(flow(), SERVICE, OLD)),
        one("miss: no flags", slot, nothing, 0, to(OLD, 0).remembers(flow(), SERVICE, OLD)),
        one("miss: FIN", slot, nothing, FIN | ACK, {
            to(OLD, FIN | ACK).flow(flow(), SERVICE, OLD, FLOW_FIN).event(Event::FlowRemembered)
        }),
        one("miss: RST is not remembered", slot, nothing, RST, to(OLD, RST)),
        one("miss: RST ACK is not remembered", slot, nothing, RST | ACK, to(OLD, RST | ACK)),
        one("miss: ACK, a drained slot", remembers(0, OLD), nothing, ACK, to(OLD, ACK).remembers(flow(), SERVICE, OLD)),
    ];
    for (name, previous) in [("dead", DEAD), ("none", 0), ("outside the table", OUTSIDE)] {
        let expect = to(NEAR, ACK).remembers(flow(), SERVICE, NEAR);
        cases.push(one(&format!("miss: ACK, previous real {name}"), remembers(NEAR, previous), nothing, ACK, expect));
    }
    cases.extend([
        one("miss: RST, previous real dead", remembers(NEAR, DEAD), nothing, RST, to(NEAR, RST)),
        one("miss: ACK, both reals dead", remembers(DEAD, DEAD), nothing, ACK, drop(DropReason::RealDown)),
        one("miss: ACK, previous dead and no real", remembers(0, DEAD), nothing, ACK, drop(DropReason::NoReal)),
        one("miss: ACK, the previous real has no next hop", remembers(NEAR, UNRESOLVED_V4), nothing, ACK, {
            drop(DropReason::NoNextHop).remembers(flow(), SERVICE, UNRESOLVED_V4)
        }),
        one(
            "miss: another client's flow is known",
            slot,
            |world| {
                let other = flow_key((CLIENT.into(), CLIENT_PORT + 1), (VIP.into(), DSR_PORT), TCP);
                world.put_flow(other, SERVICE, FAR, FLOW_OPEN);
            },
            ACK,
            to(OLD, ACK).remembers(flow(), SERVICE, OLD),
        ),
        one(
            "miss: the same ports over UDP are known",
            slot,
            |world| {
                world.put_flow(flow_v4(UDP, DSR_PORT), DSR_V4_UDP, FAR, FLOW_OPEN);
            },
            ACK,
            to(OLD, ACK).remembers(flow(), SERVICE, OLD),
        ),
    ]);
    cases
}

/// Decision 5.
fn marked_slots() -> Vec<Case> {
    let slot = marked(NEAR);
    vec![
        one("marked, miss: SYN writes nothing", slot, nothing, SYN, to(NEAR, SYN)),
        one("marked, miss: ACK writes nothing", slot, nothing, ACK, to(NEAR, ACK)),
        one("marked, miss: FIN writes nothing", slot, nothing, FIN | ACK, to(NEAR, FIN | ACK)),
        one("marked, miss: real dead", marked(DEAD), nothing, ACK, drop(DropReason::RealDown)),
        one("marked, miss: no real", marked(0), nothing, SYN, drop(DropReason::NoReal)),
        one(
            "marked, miss: a previous real does not matter",
            Slot { previous: OLD, ..slot },
            nothing,
            ACK,
            to(NEAR, ACK),
        ),
        one("marked, hit", slot, known(FAR, FLOW_OPEN), ACK, to(FAR, ACK)),
        one("marked, hit: FIN", slot, known(FAR, FLOW_OPEN), FIN, to(FAR, FIN).flow(flow(), SERVICE, FAR, FLOW_FIN)),
        one("marked, hit: SYN after a FIN", slot, known(FAR, FLOW_FIN), SYN, to(NEAR, SYN).forgets(flow())),
        one("marked, hit, real dead", slot, known(DEAD, FLOW_OPEN), ACK, to(NEAR, ACK).forgets(flow())),
        one("marked, half-open: SYN", slot, half(FAR), SYN, to(FAR, SYN)),
        one("marked, half-open: ACK", slot, half(FAR), ACK, {
            to(FAR, ACK).half_open_gone(flow()).remembers(flow(), SERVICE, FAR)
        }),
        one("marked, half-open: RST", slot, half(FAR), RST, to(FAR, RST).half_open_gone(flow())),
        one("marked, half-open, real dead", slot, half(DEAD), ACK, to(NEAR, ACK).half_open_gone(flow())),
    ]
}

/// The table has room for [`LIMITS`]`.max_flows` flows; others have filled it.
fn full_table() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let fill = |world: &mut State, count: u32| {
        for n in 0..count {
            let other = flow_key((CLIENT.into(), 1_000 + n as u16), (VIP.into(), DSR_PORT), TCP);
            world.put_flow(other, SERVICE, FAR, FLOW_OPEN);
        }
    };
    let full = LIMITS.max_flows;
    let no_room = Event::FlowTableFull;
    vec![
        one(
            "full: ACK goes to the previous real, unremembered",
            slot,
            |world| fill(world, full),
            ACK,
            to(OLD, ACK).event(no_room),
        ),
        one("full: SYN is half-open all the same", slot, |world| fill(world, full), SYN, {
            to(NEAR, SYN).half_open(flow(), SERVICE, NEAR)
        }),
        one(
            "full: a handshake that goes on",
            slot,
            |world| {
                fill(world, full);
                half(FAR)(world);
            },
            ACK,
            to(FAR, ACK).half_open_gone(flow()).event(no_room),
        ),
        one(
            "full: a known flow changes its state",
            slot,
            |world| {
                fill(world, full - 1);
                known(FAR, FLOW_OPEN)(world);
            },
            FIN,
            to(FAR, FIN).flow(flow(), SERVICE, FAR, FLOW_FIN),
        ),
        one(
            "full: a flow of a dead real makes room for itself",
            slot,
            |world| {
                fill(world, full - 1);
                known(DEAD, FLOW_OPEN)(world);
            },
            ACK,
            to(OLD, ACK).remembers(flow(), SERVICE, OLD),
        ),
        one("full but for one", slot, |world| fill(world, full - 1), ACK, to(OLD, ACK).remembers(flow(), SERVICE, OLD)),
    ]
}

/// UDP has neither SYN nor half-open flows.
fn udp() -> Vec<Case> {
    let service = DSR_V4_UDP;
    let flow = flow_v4(UDP, DSR_PORT);
    // Where TCP has its flags, this has every bit set.
    let packet = to_vip().udp(CLIENT_PORT, DSR_PORT).data(&[0xff; 20]);
    let to = |real| {
        let out = dsr(&packet, real);
        let sent = if real == FAR { redirect(&out, OTHER) } else { tx(&out) };
        sent.counts(service, real, 48)
    };
    let one = |name: &str, slot, before: &dyn Fn(&mut State), expect| {
        case_with(format!("udp, {name}"), |world| {
            world.fill_ring(service, slot);
            before(world);
        })
        .send(&packet, expect)
    };
    let slot = remembers(NEAR, OLD);
    let known = |real, state| move |world: &mut State| world.put_flow(flow, service, real, state);
    let half = |real| move |world: &mut State| world.put_half_open(flow, service, real);
    vec![
        one("clean", clean(NEAR), &known(FAR, FLOW_OPEN), to(NEAR)),
        one("miss", slot, &nothing, to(OLD).remembers(flow, service, OLD)),
        one("miss, previous real dead", remembers(NEAR, DEAD), &nothing, to(NEAR).remembers(flow, service, NEAR)),
        one("miss, both reals dead", remembers(DEAD, DEAD), &nothing, drop(DropReason::RealDown)),
        one("hit", slot, &known(FAR, FLOW_OPEN), to(FAR)),
        one("hit, real dead", slot, &known(DEAD, FLOW_OPEN), to(OLD).remembers(flow, service, OLD)),
        one("half-open flows are not looked at", slot, &half(FAR), to(OLD).remembers(flow, service, OLD)),
        one("marked, miss", marked(NEAR), &nothing, to(NEAR)),
        one("marked, hit", marked(NEAR), &known(FAR, FLOW_OPEN), to(FAR)),
        one("marked: half-open flows are not looked at", marked(NEAR), &half(FAR), to(NEAR)),
        one(
            "full",
            slot,
            &|world| {
                for n in 0..LIMITS.max_flows {
                    let other = flow_key((CLIENT.into(), 1_000 + n as u16), (VIP.into(), DSR_PORT), UDP);
                    world.put_flow(other, service, FAR, FLOW_OPEN);
                }
            },
            to(OLD).event(Event::FlowTableFull),
        ),
    ]
}

fn other_families_and_modes() -> Vec<Case> {
    let packet6 = |flags| to_vip6().tcp(CLIENT_PORT, DSR_PORT, flags);
    let flow6 = flow_v6(TCP, DSR_PORT);
    let six = |name: &str, slot, flags, expect| {
        case_with(format!("v6, {name}"), |world| world.fill_ring(DSR_V6_TCP, slot)).send(&packet6(flags), expect)
    };
    let to6 = |real, flags| tx(&dsr(&packet6(flags), real)).counts(DSR_V6_TCP, real, 60);
    let slot6 = remembers(NEAR_V6, OLD_V6);
    let udp6 = to_vip6().udp(CLIENT_PORT, DSR_PORT);
    let tunnel = to_vip().tcp(CLIENT_PORT, IPIP_PORT, ACK);
    let tunnel_flow = flow_v4(TCP, IPIP_PORT);
    let wide = Packet::v4(CLIENT, WIDE_VIP).tcp(CLIENT_PORT, 8_001, ACK);
    let wide_flow = flow_key((CLIENT.into(), CLIENT_PORT), (WIDE_VIP.into(), 8_001), TCP);
    vec![
        six("miss: SYN", slot6, SYN, to6(NEAR_V6, SYN).syn().half_open(flow6, DSR_V6_TCP, NEAR_V6)),
        six("miss: ACK", slot6, ACK, to6(OLD_V6, ACK).remembers(flow6, DSR_V6_TCP, OLD_V6)),
        six("marked, miss", marked(NEAR_V6), ACK, to6(NEAR_V6, ACK)),
        case_with("v6, hit", |world| {
            world.fill_ring(DSR_V6_TCP, slot6);
            world.put_flow(flow6, DSR_V6_TCP, OLD_V6, FLOW_OPEN);
        })
        .send(&packet6(FIN), to6(OLD_V6, FIN).fin().flow(flow6, DSR_V6_TCP, OLD_V6, FLOW_FIN)),
        case_with("v6, half-open: ACK", |world| {
            world.fill_ring(DSR_V6_TCP, slot6);
            world.put_half_open(flow6, DSR_V6_TCP, OLD_V6);
        })
        .send(&packet6(ACK), to6(OLD_V6, ACK).half_open_gone(flow6).remembers(flow6, DSR_V6_TCP, OLD_V6)),
        case_with("v6 udp, miss", |world| world.fill_ring(DSR_V6_UDP, slot6)).send(
            &udp6,
            tx(&dsr(&udp6, OLD_V6)).counts(DSR_V6_UDP, OLD_V6, 48).remembers(
                flow_v6(UDP, DSR_PORT),
                DSR_V6_UDP,
                OLD_V6,
            ),
        ),
        case_with("ipip, miss: ACK", |world| world.fill_ring(IPIP_V4_TCP, remembers(NEAR, OLD_V6))).send(
            &tunnel,
            tx(&ipip(&tunnel, OLD_V6, 0)).counts(IPIP_V4_TCP, OLD_V6, 40).remembers(tunnel_flow, IPIP_V4_TCP, OLD_V6),
        ),
        case_with("a port range, miss: ACK", |world| world.fill_ring(RANGE_V4, remembers(NEAR, OLD)))
            .send(&wide, tx(&dsr(&wide, OLD)).counts(RANGE_V4, OLD, 40).remembers(wide_flow, RANGE_V4, OLD)),
        case_with("remembered, and dropped for its family", |world| {
            world.fill_ring(SERVICE, remembers(NEAR, OLD_V6));
        })
        .send(&packet(ACK), drop(DropReason::FamilyMismatch).remembers(flow(), SERVICE, OLD_V6)),
        case_with("one slot remembers and all others are clean", |world| {
            world.set_slot_of(SERVICE, &flow(), remembers(NEAR, OLD));
        })
        .send(&packet(ACK), to(OLD, ACK).remembers(flow(), SERVICE, OLD)),
        case_with("one slot is clean and all others remember", |world| {
            world.fill_ring(SERVICE, remembers(FAR, OLD));
            world.set_slot_of(SERVICE, &flow(), clean(NEAR));
        })
        .send(&packet(ACK), to(NEAR, ACK)),
    ]
}

/// Flows from their first packet to their last.
fn lives_of_flows() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    vec![
        slot_case("a new flow in a slot that remembers", slot, nothing)
            .send(&packet(SYN), to(NEAR, SYN).half_open(flow(), SERVICE, NEAR))
            .send(&packet(SYN), to(NEAR, SYN))
            .send(&packet(ACK), to(NEAR, ACK).half_open_gone(flow()).remembers(flow(), SERVICE, NEAR))
            .send(&packet(PSH | ACK), to(NEAR, PSH | ACK))
            .send(&packet(FIN | ACK), to(NEAR, FIN | ACK).flow(flow(), SERVICE, NEAR, FLOW_FIN))
            .send(&packet(ACK), to(NEAR, ACK))
            .send(&packet(SYN), to(NEAR, SYN).forgets(flow()).half_open(flow(), SERVICE, NEAR))
            .send(&packet(RST), to(NEAR, RST).half_open_gone(flow())),
        slot_case("an old flow in a slot that remembers", slot, nothing)
            .send(&packet(ACK), to(OLD, ACK).remembers(flow(), SERVICE, OLD))
            .send(&packet(SYN), to(OLD, SYN))
            .send(&packet(RST), to(OLD, RST).flow(flow(), SERVICE, OLD, FLOW_RST))
            .send(&packet(ACK), to(OLD, ACK).flow(flow(), SERVICE, OLD, FLOW_OPEN)),
    ]
}
