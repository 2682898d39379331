//! Hot reals: a new flow in a slot that is not clean takes its second slot. The slot points at `NEAR`, which is hot, and pointed
//! at `OLD` before; the second slot points at `FAR`.

use lb_common::{DropReason, Event, FLOW_FIN, FLOW_OPEN, REAL_ALIVE, REAL_HOT, REAL_RESOLVED, Slot};
use lb_tests::model::State;
use lb_tests::packet::{ACK, PSH, RST, SYN};
use lb_tests::world::{clean, marked, remembers};

use crate::case::{Case, Expect, case_with, drop, redirect, tx};
use crate::slots::{DEAD, FAR, NEAR, OLD, SERVICE, flow, half, known, nothing, packet, to};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    let mut cases = diverted();
    cases.extend(not_diverted());
    cases.extend(second_slots());
    cases.extend(lives());
    cases.extend(other_services());
    cases
}

fn heat(world: &mut State, real: u16) {
    world.reals.get_mut(&real).expect("a real of the world").flags |= REAL_HOT;
}

/// A case of one slot whose real is hot, and of the flow's second slot.
fn hot_case(name: &str, slot: Slot, second: Slot, before: impl FnOnce(&mut State)) -> Case {
    case_with(format!("hot: {name}"), |world| {
        heat(world, NEAR);
        world.set_slot_of(SERVICE, &flow(), slot);
        world.set_second_slot_of(SERVICE, &flow(), second);
        before(world);
    })
}

/// One packet that meets a slot whose real is hot.
fn one(name: &str, slot: Slot, before: impl FnOnce(&mut State), flags: u8, expect: Expect) -> Case {
    hot_case(name, slot, clean(FAR), before).send(&packet(flags), expect)
}

/// To the second slot's real.
fn to_second(flags: u8) -> Expect {
    to(FAR, flags).half_open(flow(), SERVICE, FAR).event(Event::HotDiverted)
}

/// To the slot's own real, as if it were not hot.
fn to_own() -> Expect {
    to(NEAR, SYN).half_open(flow(), SERVICE, NEAR)
}

fn diverted() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    vec![
        one("a SYN in a slot that remembers", slot, nothing, SYN, to_second(SYN)),
        one("a SYN in a marked slot", marked(NEAR), nothing, SYN, to_second(SYN)),
        one("a SYN with other flags", marked(NEAR), nothing, SYN | PSH | RST, to_second(SYN | PSH | RST)),
        one("a SYN after a FIN", slot, known(OLD, FLOW_FIN), SYN, to_second(SYN).forgets(flow())),
        one("a SYN after a FIN, marked", marked(NEAR), known(NEAR, FLOW_FIN), SYN, to_second(SYN).forgets(flow())),
        one("a SYN of a flow whose real is dead", slot, known(DEAD, FLOW_OPEN), SYN, to_second(SYN).forgets(flow())),
        one("a SYN of a half-open flow whose real is dead", marked(NEAR), half(DEAD), SYN, to_second(SYN)),
    ]
}

fn not_diverted() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    vec![
        one("a SYN in a clean slot", clean(NEAR), nothing, SYN, to(NEAR, SYN)),
        one("an ACK", slot, nothing, ACK, to(OLD, ACK).remembers(flow(), SERVICE, OLD)),
        one("an ACK in a marked slot", marked(NEAR), nothing, ACK, to(NEAR, ACK)),
        one("a SYN ACK in a marked slot", marked(NEAR), nothing, SYN | ACK, to(NEAR, SYN | ACK)),
        one("a SYN of a flow in use", slot, known(NEAR, FLOW_OPEN), SYN, to(NEAR, SYN)),
        one("a SYN of a flow in use, marked", marked(NEAR), known(NEAR, FLOW_OPEN), SYN, to(NEAR, SYN)),
        one("a SYN that comes again", slot, half(NEAR), SYN, to(NEAR, SYN)),
        one("the previous real is of no account", remembers(OLD, NEAR), nothing, SYN, {
            to(OLD, SYN).half_open(flow(), SERVICE, OLD)
        }),
        one("a real that is hot and dead", marked(DEAD), |world| heat(world, DEAD), SYN, drop(DropReason::RealDown)),
    ]
}

/// What the second slot must have.
fn second_slots() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let one = |name: &str, slot, second, expect| hot_case(name, slot, second, nothing).send(&packet(SYN), expect);
    let hot_and_dead = |world: &mut State| {
        world.reals.get_mut(&FAR).expect("a real of the world").flags = REAL_RESOLVED | REAL_HOT;
    };
    let hot_too = |world: &mut State| {
        world.reals.get_mut(&FAR).expect("a real of the world").flags = REAL_ALIVE | REAL_RESOLVED | REAL_HOT;
    };
    vec![
        one("the second slot remembers", slot, remembers(FAR, OLD), to_second(SYN)),
        one("the second slot is marked", slot, marked(FAR), to_second(SYN)),
        one("the second slot has the same real", slot, clean(NEAR), to_own()),
        one("the second slot has the same real, marked", marked(NEAR), clean(NEAR), to(NEAR, SYN)),
        one("the second real is dead", slot, clean(DEAD), to_own()),
        one("the second real is dead, marked", marked(NEAR), clean(DEAD), to(NEAR, SYN)),
        one("the second real has no next hop", slot, clean(UNRESOLVED_V4), to_own()),
        one("the second slot has no real", slot, clean(0), to_own()),
        one("the second slot's real is outside the table", slot, clean(OUTSIDE), to_own()),
        one("the second slot's real has no row", slot, clean(UNUSED), to_own()),
        hot_case("the second real is hot", slot, clean(FAR), hot_too).send(&packet(SYN), to_own()),
        hot_case("the second real is hot, marked", marked(NEAR), clean(FAR), hot_too).send(&packet(SYN), to(NEAR, SYN)),
        hot_case("the second real is hot and dead", slot, clean(FAR), hot_and_dead).send(&packet(SYN), to_own()),
        one("the second real is of another family", slot, clean(NEAR_V6), {
            drop(DropReason::FamilyMismatch).half_open(flow(), SERVICE, NEAR_V6).event(Event::HotDiverted)
        }),
    ]
}

/// Diverted flows from their first packet on.
fn lives() -> Vec<Case> {
    let live = |name: &str, slot| {
        hot_case(name, slot, clean(FAR), nothing)
            .send(&packet(SYN), to_second(SYN))
            .send(&packet(SYN), to(FAR, SYN))
            .send(&packet(ACK), to(FAR, ACK).half_open_gone(flow()).remembers(flow(), SERVICE, FAR))
            .send(&packet(PSH | ACK), to(FAR, PSH | ACK))
    };
    vec![
        live("a life in a slot that remembers", remembers(NEAR, OLD)),
        live("a life in a marked slot", marked(NEAR)),
        hot_case("refused by the client", marked(NEAR), clean(FAR), nothing)
            .send(&packet(SYN), to_second(SYN))
            .send(&packet(RST), to(FAR, RST).half_open_gone(flow())),
    ]
}

fn other_services() -> Vec<Case> {
    let udp = to_vip().udp(CLIENT_PORT, DSR_PORT);
    let syn6 = to_vip6().tcp(CLIENT_PORT, DSR_PORT, SYN);
    let tunnelled = to_vip().tcp(CLIENT_PORT, IPIP_PORT, SYN);
    let (flow6, tunnel_flow) = (flow_v6(TCP, DSR_PORT), flow_v4(TCP, IPIP_PORT));
    vec![
        case_with("hot: udp is not diverted", |world| {
            heat(world, NEAR);
            world.fill_ring(DSR_V4_UDP, clean(FAR));
            world.set_slot_of(DSR_V4_UDP, &flow_v4(UDP, DSR_PORT), marked(NEAR));
        })
        .send(&udp, tx(&dsr(&udp, NEAR)).counts(DSR_V4_UDP, NEAR, 28)),
        case_with("hot: v6", |world| {
            heat(world, NEAR_V6);
            world.set_slot_of(DSR_V6_TCP, &flow6, marked(NEAR_V6));
            world.set_second_slot_of(DSR_V6_TCP, &flow6, clean(FAR_V6));
        })
        .send(&syn6, {
            let sent = redirect(&dsr(&syn6, FAR_V6), OTHER).counts(DSR_V6_TCP, FAR_V6, 60).syn();
            sent.half_open(flow6, DSR_V6_TCP, FAR_V6).event(Event::HotDiverted)
        }),
        case_with("hot: ipip, to a real of the other family", |world| {
            heat(world, NEAR);
            world.set_slot_of(IPIP_V4_TCP, &tunnel_flow, remembers(NEAR, OLD));
            world.set_second_slot_of(IPIP_V4_TCP, &tunnel_flow, clean(NEAR_V6));
        })
        .send(&tunnelled, {
            let sent = tx(&ipip(&tunnelled, NEAR_V6, 0)).counts(IPIP_V4_TCP, NEAR_V6, 40).syn();
            sent.half_open(tunnel_flow, IPIP_V4_TCP, NEAR_V6).event(Event::HotDiverted)
        }),
    ]
}
