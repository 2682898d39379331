//! All systems in turn, round after round: what changes on the machine in the course of a run befalls all of them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::interrupt;
use rand::{RngExt, SeedableRng};
use rand_xorshift::XorShiftRng;

use crate::Options;
use crate::failover::fail_over;
use crate::report::{Figure, Record};
use crate::stage::Stage;
use crate::system::System;

/// Turns of each system, and failovers in each: twenty in all.
const ROUNDS: usize = 4;
const FAILOVERS: usize = 5;
const QUICK: (usize, usize) = (1, 4);
/// Failovers of a turn at which the other node has just taken over by itself: they are made again.
const MOST_WITHOUT_LOSS: usize = 5;
/// Decides about the phases.
const SEED: u64 = 11;
/// The phase is at random within so many intervals.
const PHASE_INTERVALS: u32 = 2;

/// Runs the comparison, prints it and writes the figures.
pub fn run(options: &Options) -> Result<()> {
    let wanted = |system: &System| system.to_string().contains(&options.only);
    let systems: Vec<System> = System::ALL.into_iter().filter(wanted).collect();
    if systems.is_empty() {
        bail!("no system is called `{}`: there are, say, `{}`", options.only, System::ALL[0]);
    }
    let (rounds, failovers) = if options.quick { QUICK } else { (ROUNDS, FAILOVERS) };
    let mut random = XorShiftRng::seed_from_u64(SEED);
    let mut records: Vec<Record> = systems.into_iter().map(Record::new).collect();
    let mut stage = Stage::set()?;
    for round in 1..=rounds {
        for record in &mut records {
            interrupt::check()?;
            take_turn(&mut stage, record, failovers, &mut random).with_context(|| format!("{}", record.system))?;
            println!("round {round} of {rounds}: {record}");
        }
    }
    println!("\nall runs:");
    records.iter().for_each(|record| println!("{record}"));
    let figures: Vec<Figure> = records.iter().map(Record::figure).collect();
    options.json.as_deref().map_or(Ok(()), |path| write(path, &figures))
}

fn take_turn(stage: &mut Stage, record: &mut Record, failovers: usize, random: &mut XorShiftRng) -> Result<()> {
    let mut turn = stage.begin(record.system)?;
    record.theory = turn.theory()?;
    let pinned = turn.pin()?;
    let before = turn.takeovers()?;
    let wanted = record.outcomes.len() + failovers;
    let mut cuts = 0;
    for _ in 0..failovers + MOST_WITHOUT_LOSS {
        let most = Duration::from_millis(u64::from(PHASE_INTERVALS * record.system.interval_ms));
        let phase = most.mul_f64(random.random());
        cuts += 1;
        record.outcomes.extend(fail_over(&mut turn, record.system.kind, phase)?);
        if record.outcomes.len() == wanted {
            break;
        }
    }
    if record.outcomes.len() < wanted {
        bail!("too often no probe was lost when the active node was cut off");
    }
    if let (Some(before), Some(after)) = (before, turn.takeovers()?) {
        record.unasked += after.saturating_sub(before).saturating_sub(cuts);
    }
    record.add_talk(pinned.close()?);
    turn.end()
}

fn write(path: &Path, figures: &[Figure]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, figures).with_context(|| format!("cannot write {}", path.display()))
}
