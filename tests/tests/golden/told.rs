//! What is told of flows, and what is not.

use lb_common::{
    Event, FLOW_EVENT_HALF_OPEN, FLOW_EVENT_REMEMBERED, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, NODE_DRAINING,
    NODE_TELLS_FLOWS, REAL_HOT, Slot,
};
use lb_tests::model::State;
use lb_tests::packet::{ACK, FIN, RST, SYN};
use lb_tests::world::{clean, flow_key, marked, remembers};

use crate::case::{Case, Expect, tx};
use crate::slots::{DEAD, FAR, NEAR, OLD, SERVICE, flow, half, known, nothing, packet, slot_case, to};
use crate::world::*;

/// Records that the buffer of [`LIMITS`] takes, of 64 bytes each: one fewer than fill it.
const ROOM: usize = 63;
/// Records that it has to spare.
const TO_SPARE: u16 = 32;

pub fn cases() -> Vec<Case> {
    let mut cases = remembered_and_forgotten();
    cases.extend(half_open());
    cases.extend(nothing_to_tell());
    cases.push(a_buffer_that_nobody_reads());
    cases
}

/// One packet, on a node that tells.
fn one(name: &str, slot: Slot, before: impl FnOnce(&mut State), flags: u8, expect: Expect) -> Case {
    telling(name, slot, before).send(&packet(flags), expect)
}

fn telling(name: &str, slot: Slot, before: impl FnOnce(&mut State)) -> Case {
    slot_case(&format!("told, {name}"), slot, |world| {
        world.node.flags = NODE_TELLS_FLOWS;
        before(world);
    })
}

/// Remembered with the real, and told.
fn remembers_and_tells(real: u16) -> Expect {
    to(real, ACK).remembers(flow(), SERVICE, real).tells(FLOW_EVENT_REMEMBERED, flow(), SERVICE, real)
}

/// Half-open with the real, and told.
fn half_open_and_tells(real: u16) -> Expect {
    to(real, SYN).half_open(flow(), SERVICE, real).tells(FLOW_EVENT_HALF_OPEN, flow(), SERVICE, real)
}

fn remembered_and_forgotten() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let draining = |world: &mut State| {
        world.node.service = NODE_DRAINING;
        world.node.lease_until = u64::MAX;
    };
    let again = remembers_and_tells(OLD).forgets_before();
    vec![
        one("an older flow", slot, nothing, ACK, remembers_and_tells(OLD)),
        one("an older flow, draining", slot, draining, ACK, remembers_and_tells(OLD)),
        one("a handshake that goes on", slot, half(FAR), ACK, remembers_and_tells(FAR).half_open_gone(flow())),
        one("a dead real's flow, remembered anew", slot, known(DEAD, FLOW_OPEN), ACK, again),
        one("marked, a dead real's flow", marked(NEAR), known(DEAD, FLOW_OPEN), ACK, {
            to(NEAR, ACK).forgets(flow()).tells_forgotten(flow())
        }),
        one("marked, another service's flow", marked(NEAR), of_another_service, ACK, {
            to(NEAR, ACK).forgets(flow()).tells_forgotten(flow())
        }),
        one("a port that is used again after a FIN", marked(NEAR), known(FAR, FLOW_FIN), SYN, {
            to(NEAR, SYN).forgets(flow()).tells_forgotten(flow())
        }),
        telling("a port that is used again after a RST", slot, known(FAR, FLOW_RST))
            .send(&packet(SYN), half_open_and_tells(NEAR).forgets(flow()).forgets_before()),
    ]
}

fn of_another_service(world: &mut State) {
    world.put_flow(flow(), SERVICE + 1, FAR, FLOW_OPEN);
}

fn half_open() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    let gone = |real, flags| to(real, flags).half_open_gone(flow()).tells_forgotten(flow());
    let hot = |world: &mut State| {
        world.set_second_slot_of(SERVICE, &flow(), clean(OLD));
        if let Some(row) = world.reals.get_mut(&NEAR) {
            row.flags |= REAL_HOT;
        }
    };
    vec![
        one("a SYN", slot, nothing, SYN, half_open_and_tells(NEAR)),
        one("a SYN that is sent elsewhere", marked(NEAR), hot, SYN, {
            half_open_and_tells(OLD).event(Event::HotDiverted)
        }),
        one("a handshake that is reset", slot, half(FAR), RST, gone(FAR, RST)),
        one("marked, a handshake with a dead real", marked(NEAR), half(DEAD), ACK, gone(NEAR, ACK)),
        one("a handshake with a dead real begins anew", slot, half(DEAD), SYN, {
            half_open_and_tells(NEAR).forgets_before()
        }),
    ]
}

/// What changes no table's entries is not told, nor is anything where nobody wants to know.
fn nothing_to_tell() -> Vec<Case> {
    let slot = remembers(NEAR, OLD);
    vec![
        one("a clean slot", clean(NEAR), nothing, SYN, to(NEAR, SYN)),
        one("a flow that is known", slot, known(FAR, FLOW_OPEN), ACK, to(FAR, ACK)),
        one("a FIN", slot, known(FAR, FLOW_OPEN), FIN, to(FAR, FIN).flow(flow(), SERVICE, FAR, FLOW_FIN)),
        one("a SYN again", slot, half(FAR), SYN, to(FAR, SYN)),
        one("marked, a miss", marked(NEAR), nothing, ACK, to(NEAR, ACK)),
        one("a full table", slot, full, ACK, to(OLD, ACK).event(Event::FlowTableFull)),
        one("other flags", slot, |world| world.node.flags = !NODE_TELLS_FLOWS, ACK, {
            to(OLD, ACK).remembers(flow(), SERVICE, OLD)
        }),
    ]
}

fn other(port: u16) -> FlowKey {
    flow_key((CLIENT.into(), port), (VIP.into(), DSR_PORT), TCP)
}

fn full(world: &mut State) {
    for n in 0..LIMITS.max_flows {
        world.put_flow(other(1_000 + n as u16), SERVICE, FAR, FLOW_OPEN);
    }
}

/// Half-open flows are told as long as half of the buffer is free, others as long as there is room; then they are counted.
fn a_buffer_that_nobody_reads() -> Case {
    let mut case = telling("a buffer that nobody reads", remembers(NEAR, OLD), known(FAR, FLOW_RST));
    case.reads_at_end = true;
    for n in 0..TO_SPARE + 3 {
        let (key, syn) = (other(2_000 + n), to_vip().tcp(2_000 + n, DSR_PORT, SYN));
        let sent = tx(&dsr(&syn, NEAR)).counts(SERVICE, NEAR, 40).syn().half_open(key, SERVICE, NEAR);
        let told = n < TO_SPARE;
        case = case.send(&syn, if told { sent.tells(FLOW_EVENT_HALF_OPEN, key, SERVICE, NEAR) } else { sent });
    }
    // From here on each round forgets the flow and remembers it again, after which it is reset.
    let mut told = usize::from(TO_SPARE);
    for _ in 0..18 {
        let forgotten = to(NEAR, SYN).forgets(flow()).half_open(flow(), SERVICE, NEAR);
        case = case.send(&packet(SYN), lost_unless(told < ROOM, forgotten, |sent| sent.tells_forgotten(flow())));
        told += 1;
        let kept = to(NEAR, ACK).remembers(flow(), SERVICE, NEAR).half_open_gone(flow());
        let tells = |sent: Expect| sent.tells(FLOW_EVENT_REMEMBERED, flow(), SERVICE, NEAR);
        case = case.send(&packet(ACK), lost_unless(told < ROOM, kept, tells));
        told += 1;
        case = case.send(&packet(RST), to(NEAR, RST).flow(flow(), SERVICE, NEAR, FLOW_RST));
    }
    case
}

fn lost_unless(room: bool, sent: Expect, tells: impl FnOnce(Expect) -> Expect) -> Expect {
    if room { tells(sent) } else { sent.event(Event::FlowEventLost) }
}

impl Expect {
    /// Before all else it is told that the flow is forgotten.
    fn forgets_before(mut self) -> Self {
        let rest = std::mem::take(&mut self.told);
        self = self.tells_forgotten(flow());
        self.told.extend(rest);
        self
    }
}
