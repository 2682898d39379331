//! What is traced of random packets, and what is foretold of them: neither differs from what becomes of them.

use anyhow::Result;
use fastrand::Rng;
use lb_common::{
    DropReason, Event, FAMILY_V4, FAMILY_V6, NO_SLOT, NODE_SOLO, NODE_TRACES, NodeState, SERVICE_GUARDED, TraceEvent,
    TraceFilter,
};
use lb_core::rows::Rows;
use lb_core::simulate::{Decision, Fate, Known, decide, keys};
use lb_tests::harness::{Harness, LOOPBACK, SHORTEST_FRAME, rows_of};
use lb_tests::model::{COARSE_NOW, Outcome, State, Traced, TracedReal, Verdict};
use lb_tests::packet::{ACK, FIN, RST, SYN, show};
use lb_tests::world::address_of;

use crate::{ROUNDS_VARIABLE, frames, from_environment, prefixes, world};

/// Fewer where [`ROUNDS_VARIABLE`] says so.
const ROUNDS: u64 = 32;
const FRAMES: u64 = 1_500;
const SEED: u64 = 0x7472_6163;
/// So many packets of a round must have been traced, and so many foretold, taken over all rounds.
const LEAST_TRACED: u64 = 63;
const LEAST_FORETOLD: u64 = 25;
const LEAST_FLAGGED: u64 = 19;

#[derive(Default)]
struct Seen {
    traced: u64,
    foretold: u64,
    /// For services with flags.
    flagged: u64,
}

#[test]
fn traces_and_simulations_say_what_becomes_of_packets() {
    let mut seen = Seen::default();
    let mut harness = Harness::load(world::LIMITS).unwrap_or_else(|error| panic!("{error:#}"));
    let rounds = from_environment(ROUNDS_VARIABLE, ROUNDS).unwrap_or(ROUNDS).min(ROUNDS);
    for round in 0..rounds {
        if let Err(error) = run_round(&mut harness, SEED + round, &mut seen) {
            panic!("round {round}: {error:#}");
        }
    }
    println!("{} packets traced, {} foretold, {} for services with flags", seen.traced, seen.foretold, seen.flagged);
    // A few rounds may be of few packets that are traced.
    let enough = |count: u64, least: u64| rounds < ROUNDS || count >= least * rounds;
    let is_enough = enough(seen.traced, LEAST_TRACED) && enough(seen.foretold, LEAST_FORETOLD);
    assert!(is_enough && enough(seen.flagged, LEAST_FLAGGED), "too few");
}

fn run_round(harness: &mut Harness, seed: u64, seen: &mut Seen) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let mut model = world::random_state(&mut rng);
    model.node = NodeState { service: NODE_SOLO, ..NodeState::default() };
    harness.install(&model)?;
    // No packet changes them.
    let rows = rows_of(&model);
    let filter = filter(&mut rng);
    harness.trace(&filter)?;
    model.node.flags |= NODE_TRACES;
    for number in 0..FRAMES {
        let frame = frames::random_frame(&mut rng);
        if frame.len() < SHORTEST_FRAME {
            continue;
        }
        harness.run(&model, &frame, LOOPBACK)?;
        let events = harness.traced();
        // To copy a whole state takes far longer than a packet.
        let before = (!events.is_empty()).then(|| model.clone());
        let wanted = model.forward(&frame, LOOPBACK, number);
        for (event, before) in events.into_iter().zip(&before) {
            seen.traced += 1;
            let expected = before.traced(&frame);
            let foretold = expected.and_then(|expected| foretold(before, &rows, &expected, &event));
            seen.foretold += u64::from(foretold.is_some());
            let said = format!("{}\n{event:?}\n{foretold:?}", show(&frame));
            check_trace(before, &model, &wanted, &event, &said);
            if let Some(expected) = expected {
                seen.flagged += u64::from(expected.flags != 0);
                check_slot(&expected, &event, &said);
            }
            assert_eq!(event.frame[..event.captured.into()], frame[..frame.len().min(event.frame.len())], "{said}");
            if let Some(foretold) = foretold {
                // A record of a guarded packet is as if there were no guards.
                let guarded = expected.is_some_and(|expected| expected.flags & SERVICE_GUARDED != 0);
                if event.has_slot != 0 && !guarded {
                    assert_eq!(foretold.real, event.real, "{said}");
                }
                assert!(fits(foretold.fate, &event), "{said}");
            }
        }
    }
    harness.trace_no_more();
    Ok(())
}

/// All packets for one of the VIPs, or those for one port or from one client.
fn filter(rng: &mut Rng) -> TraceFilter {
    let family = if rng.bool() { FAMILY_V4 } else { FAMILY_V6 };
    let (vip, family) = match rng.u8(..4) {
        0 => address_of(prefixes::any_address(rng, family)),
        _ => address_of(world::vip(family, rng.u8(..2))),
    };
    let mut filter = TraceFilter { vip, family, ..TraceFilter::default() };
    if rng.u8(..4) == 0 {
        filter.port = [80, 8_003][rng.usize(..2)];
    }
    if rng.u8(..4) == 0 {
        (filter.client, _) = address_of(world::client(family, 0));
        filter.client_mask = [0xff; 16];
    }
    filter
}

/// Verdict, reason and way out.
fn check_trace(before: &State, after: &State, wanted: &Outcome, event: &TraceEvent, said: &str) {
    assert_eq!(u32::from(event.action), wanted.verdict.code(), "{said}");
    let counted = before.effects.drops.iter().zip(&after.effects.drops).position(|(before, after)| before != after);
    assert_eq!(usize::from(event.drop_reason), counted.map_or(0, |reason| reason + 1), "{said}");
    // A SYN that is not noted goes elsewhere than it would go without the guard.
    let unnoted = Event::SynUnnoted as usize;
    let is_noted = before.effects.events[unnoted] == after.effects.events[unnoted];
    if let (Some(ifindex), 1, true) = (wanted.redirect, event.has_slot, is_noted) {
        assert_eq!(after.reals.get(&event.real).map(|row| row.ifindex), Some(ifindex), "{said}");
    }
    let answered = [Event::VipPassed, Event::EchoAnswered, Event::TooBigAnswered, Event::ResetAnswered];
    let counted = answered
        .into_iter()
        .find(|event| before.effects.events[*event as usize] != after.effects.events[*event as usize]);
    assert_eq!(usize::from(event.event), counted.map_or(0, |event| event as usize + 1), "{said}");
}

/// Service, slot and real, as if there were no guards.
fn check_slot(expected: &Traced, event: &TraceEvent, said: &str) {
    assert_eq!(event.has_slot, u8::from(expected.slot.is_some()), "{expected:?}\n{said}");
    let Some((slot, real)) = expected.slot else { return };
    assert_eq!((u32::from(event.service), event.slot), (expected.service, slot), "{expected:?}\n{said}");
    if let TracedReal::Is(real) = real {
        assert_eq!(event.real, real, "{expected:?}\n{said}");
    }
}

/// What a simulation says of the packet; it knows neither FIN nor RST, nor what follows the ports.
fn foretold(before: &State, rows: &Rows, expected: &Traced, event: &TraceEvent) -> Option<Decision> {
    let is_named = expected.slot.is_some_and(|(slot, _)| slot == NO_SLOT);
    let is_ordinary = event.tcp_flags & (FIN | RST) == 0 && !is_named;
    let keys = keys(rows, &event.key);
    let known = Known {
        flow: before.effects.flows.get(&keys.flow).copied(),
        half_open: before.effects.half_open.get(&keys.flow).copied(),
        source: keys.source.and_then(|source| before.effects.sources.get(&source).copied()),
        now_ns: COARSE_NOW,
        count: before.effects.service_counters.get(&expected.service).map_or(0, |counters| counters.packets),
    };
    let syn = event.tcp_flags & (SYN | ACK) == SYN;
    let decision = is_ordinary.then(|| decide(rows, &event.key, syn, &known));
    // No scheduling table gives out ids beyond the map, and a simulation knows nothing of its size.
    decision.filter(|decision| u32::from(decision.real) < before.limits.max_reals)
}

/// Whether that became of it. How long it is, and whether its header makes sense, no simulation knows.
fn fits(fate: Fate, event: &TraceEvent) -> bool {
    let dropped = |reason: DropReason| u32::from(event.drop_reason) == reason as u32 + 1;
    let ended = |ending: Event| u32::from(event.event) == ending as u32 + 1;
    match fate {
        Fate::Forward => {
            let sent = [Verdict::Tx, Verdict::Redirect].map(Verdict::code).contains(&event.action.into());
            sent || dropped(DropReason::TooBig)
        }
        Fate::Drop(reason) => dropped(reason),
        Fate::Answer(answer) => ended(answer) || dropped(DropReason::Malformed),
        Fate::NoVip | Fate::NoService => false,
    }
}
