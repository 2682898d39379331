//! Random packets: the XDP program (BPF_PROG_TEST_RUN; root is needed) and the reference model are given the same maps
//! and the same frames, and must not differ in anything.
//!
//! A round is a random state and [`FRAMES`] random frames, and follows from its seed alone. Verdict and bytes out are
//! compared frame by frame, the maps at the end of each round. A round that fails is run again with the maps compared
//! after each frame, so that the message is about the first frame that differs.
//!
//! `UNDERSTUDY_RANDOM_ROUNDS=N` runs N rounds, `UNDERSTUDY_RANDOM_SEED=S` begins with seed S, and both together go
//! through other rounds than CI does or one again. `UNDERSTUDY_MODEL_ALONE=1` leaves the program out, and shows what the frames reach.

mod coverage;
mod flags;
mod frames;
mod nat;
mod prefixes;
mod quic;
mod replies;
mod traced;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};
use fastrand::Rng;
use lb_tests::harness::{Harness, Keys, LOOPBACK, SHORTEST_FRAME, compare, compare_told, compare_wanted};
use lb_tests::model::{Branch, HEADROOM, State, WAY_IFINDEX};
use lb_tests::packet::show;

use coverage::Coverage;
use frames::Frames;

/// Frames of a round.
const FRAMES: u64 = 4_000;
/// Rounds, unless the environment says otherwise: a million frames and some.
const ROUNDS: u64 = 260;
/// So many frames must have gone through the program.
const LEAST_FRAMES: u64 = 1_000_000;
/// Seed of the first round, unless the environment says otherwise.
const SEED: u64 = 0x0075_6e64_6572_7374;
/// Threads; each has the program and its maps for itself.
const THREADS: u64 = 2;
/// One frame in so many has no room before it.
const TIGHT: u32 = 150;
/// One frame in so many comes in by the link that replies leave by, all others by loopback.
const BY_LINK: u32 = 8;

/// After so many frames, in the mean, what is told and which neighbours are wanted is read: a full buffer is seen, and one that is half full.
const READ: u32 = 3_000;
/// After so many frames the node becomes something else to the VIPs.
const TURN: u32 = 20;

const SEED_VARIABLE: &str = "UNDERSTUDY_RANDOM_SEED";
const ROUNDS_VARIABLE: &str = "UNDERSTUDY_RANDOM_ROUNDS";
const MODEL_ALONE: &str = "UNDERSTUDY_MODEL_ALONE";

#[test]
fn the_program_does_what_the_model_does() {
    let (Ok(first), Ok(rounds)) = (from_environment(SEED_VARIABLE, SEED), from_environment(ROUNDS_VARIABLE, ROUNDS))
    else {
        panic!("{SEED_VARIABLE} and {ROUNDS_VARIABLE} are decimal numbers");
    };
    let next = AtomicU64::new(0);
    let work = || -> Result<Coverage> {
        let mut harness = std::env::var_os(MODEL_ALONE).is_none().then(|| Harness::load(world::LIMITS)).transpose()?;
        let mut coverage = Coverage::default();
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= rounds {
                return Ok(coverage);
            }
            let seed = first.wrapping_add(round);
            match &mut harness {
                Some(harness) => run_round(harness, seed, &mut coverage)?,
                None => run_alone(seed, &mut coverage),
            }
        }
    };
    let results: Vec<Result<Coverage>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    let mut coverage = Coverage::default();
    for result in results {
        match result {
            Ok(seen) => coverage.add(&seen),
            Err(error) => panic!("{error:#}"),
        }
    }
    println!("{rounds} rounds from seed {first}\n{coverage}");
    if rounds >= ROUNDS {
        assert!(coverage.compared >= LEAST_FRAMES, "only {} frames went through the program", coverage.compared);
        let missing = coverage.missing();
        assert!(missing.is_empty(), "never seen: {}", missing.join(", "));
    }
}

fn from_environment(variable: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text}")),
        Err(_) => Ok(otherwise),
    }
}

/// What the model makes of the round's frames.
fn run_alone(seed: u64, coverage: &mut Coverage) {
    let mut rng = Rng::with_seed(seed);
    let mut model = world::random_state(&mut rng);
    let mut frames = Frames::default();
    for number in 0..FRAMES {
        let frame = frames.next(&mut rng);
        let ingress = if rng.u32(..BY_LINK) == 0 { WAY_IFINDEX } else { LOOPBACK };
        if rng.u32(..TURN) == 0 {
            model.node = world::random_node(&mut rng);
        }
        model.headroom = if ingress == LOOPBACK && rng.u32(..TIGHT) == 0 { 0 } else { HEADROOM };
        coverage.saw(model.forward(&frame, ingress, number).verdict);
        if rng.u32(..READ) == 0 {
            (model.unread, model.wanted) = Default::default();
        }
    }
    coverage.add_state(&model);
}

fn run_round(harness: &mut Harness, seed: u64, coverage: &mut Coverage) -> Result<()> {
    if let Err(difference) = try_round(harness, seed, false, coverage)? {
        let exact = try_round(harness, seed, true, &mut Coverage::default())?;
        let first = exact
            .err()
            .unwrap_or_else(|| format!("(not seen when the maps are compared after each frame)\n{difference}"));
        anyhow::bail!(
            "the program and the model differ; see it again with\n  {SEED_VARIABLE}={seed} {ROUNDS_VARIABLE}=1 cargo test -p \
             lb-tests --test random\n{first}"
        );
    }
    Ok(())
}

/// Runs a round; the inner error says how program and model differ. With `exact` the maps are compared after each frame.
fn try_round(harness: &mut Harness, seed: u64, exact: bool, coverage: &mut Coverage) -> Result<Result<(), String>> {
    let mut rng = Rng::with_seed(seed);
    let mut model = world::random_state(&mut rng);
    harness.install(&model)?;
    let mut keys = Keys::of(&model.effects, &model.effects);
    let mut frames = Frames::default();
    for number in 0..FRAMES {
        let frame = frames.next(&mut rng);
        let ingress = if rng.u32(..BY_LINK) == 0 { WAY_IFINDEX } else { LOOPBACK };
        if rng.u32(..TURN) == 0 {
            model.node = world::random_node(&mut rng);
            harness.install_node(model.node);
        }
        model.headroom = if ingress == LOOPBACK && rng.u32(..TIGHT) == 0 { 0 } else { HEADROOM };
        if frame.len() < SHORTEST_FRAME {
            model.forward(&frame, ingress, number);
            coverage.modelled += 1;
            continue;
        }
        if !harness.can_run(&model, &frame) {
            coverage.tight_is_refused = true;
            model.headroom = HEADROOM;
        }
        let before = model.branches;
        let wanted = model.forward(&frame, ingress, number);
        let got = harness.run(&model, &frame, ingress)?;
        coverage.saw(wanted.verdict);
        let mut wrong = compare(&wanted, &got);
        if exact && wrong.is_empty() {
            keys.add(&model.effects);
            wrong = model.effects.differences(&harness.effects(&keys)?);
        }
        if !wrong.is_empty() {
            return Ok(Err(describe(number, &frame, &model, &before, &wrong)));
        }
        keys.note(&model);
        if rng.u32(..READ) == 0 {
            let wrong = records(harness, &mut model)?;
            if !wrong.is_empty() {
                return Ok(Err(describe(number, &frame, &model, &before, &wrong)));
            }
        }
    }
    keys.add(&model.effects);
    let mut wrong = model.effects.differences(&harness.effects(&keys)?);
    wrong.extend(records(harness, &mut model)?);
    coverage.add_state(&model);
    Ok(if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) })
}

/// Reads what is told and which neighbours are wanted, and says how it differs.
fn records(harness: &mut Harness, model: &mut State) -> Result<Vec<String>> {
    let told = compare_told(&std::mem::take(&mut model.unread), &harness.read_told()?);
    let wanted = compare_wanted(&std::mem::take(&mut model.wanted), &harness.read_wanted());
    Ok([told, wanted].concat())
}

/// All that it takes to see why the two differ.
fn describe(number: u64, frame: &[u8], model: &State, before: &[u64; Branch::COUNT], wrong: &[String]) -> String {
    let branches: Vec<String> = Branch::ALL
        .iter()
        .filter(|branch| model.branches[**branch as usize] != before[**branch as usize])
        .map(|branch| format!("{branch:?}"))
        .collect();
    let place = model.last_place.map(|(key, slot)| {
        let (flow, half_open) = (model.effects.flows.get(&key), model.effects.half_open.get(&key));
        format!("{slot:?}\nafterwards: flow {flow:?}\n  half-open {half_open:?}")
    });
    let reals: Vec<String> = model.reals.iter().map(|(id, row)| format!("  {id}: {row:?}")).collect();
    format!(
        "frame {number} of its round: {}the model went by {}\nnode: {:?}\nlast slot: {}\nheadroom {}, {} flows\nreals:\n{}\n\n{}",
        show(frame),
        branches.join(", "),
        model.node,
        place.unwrap_or_default(),
        model.headroom,
        model.effects.flows.len(),
        reals.join("\n"),
        wrong.join("\n")
    )
}
