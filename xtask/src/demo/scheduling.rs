//! Weights follow load and health: one real server gets busy, another one dies and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::{Load, interrupt, wait_for};
use serde::Deserialize;

use super::stage::{FALL, INTERVAL_MS, Stage, real_name};
use super::{answered, failed};

/// The real servers that something happens to, counted from 0, and one that all is well with.
const BUSY: usize = 0;
const DYING: usize = 1;
const WELL: usize = 2;
/// How long a step may take before the demo gives up.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the client goes on to ask after the dead real server was taken out.
const AFTER_DEATH: Duration = Duration::from_secs(2);
/// The weights have followed when the busy real server has at most this part of another one's.
const BUSY_PART: f64 = 0.25;
/// A real server is eased in when it begins below the first and comes above the second part of another one's weight.
const EASED_IN: (f64, f64) = (0.5, 0.8);

/// A real server's death, as the client saw it.
pub struct Death {
    /// Requests that had failed before.
    pub failed_before: u64,
    /// When the daemon said that the real server gets no more.
    pub taken_out: Instant,
}

/// What `lbctl table` says of a real server, as far as the demo needs it.
#[derive(Deserialize)]
struct Row {
    name: String,
    weight: f64,
    services: Vec<Membership>,
}

#[derive(Deserialize)]
struct Membership {
    slots: u32,
}

/// Makes a real server busy, kills another one and starts it again, and shows what becomes of the weights.
pub fn show(stage: &mut Stage, load: &Load) -> Result<Death> {
    let busy = stage.keep_busy(BUSY)?;
    get_busy(stage)?;
    let death = die(stage, load)?;
    come_back(stage)?;
    stage.show(&["explain", &real_name(BUSY)])?;
    drop(busy);
    Ok(death)
}

fn get_busy(stage: &Stage) -> Result<()> {
    let name = real_name(BUSY);
    println!("\n{name} gets busy: a process on it begins to use all CPU time that it can get.");
    let begun = Instant::now();
    wait_for(&format!("the weight of {name} to fall"), LIMIT, || {
        let weights = weights(stage)?;
        let mut others = weights.iter().enumerate().filter(|(index, _)| *index != BUSY);
        Ok(others.all(|(_, weight)| weights[BUSY] < BUSY_PART * weight).then_some(()))
    })?;
    println!("{:.1} s later new flows go to the others:", begun.elapsed().as_secs_f64());
    stage.show(&["table"])
}

fn die(stage: &mut Stage, load: &Load) -> Result<Death> {
    let name = real_name(DYING);
    let failed_before = failed(&load.tallies());
    let killed = Instant::now();
    stage.kill_server(DYING)?;
    wait_for(&format!("{name} to be taken out"), LIMIT, || Ok((slots(stage, DYING)? == 0).then_some(())))?;
    let taken_out = Instant::now();
    let before = load.tallies();
    interrupt::pause(AFTER_DEATH)?;
    let after = load.tallies();
    let last = after.iter().filter_map(|tally| tally.last_failed).max();
    let last = last.with_context(|| format!("no request met the dead {name}"))?;
    println!(
        "\nkill -9 of nginx of {name}: {} requests failed, the last one began {:.1} s later; none of {} since.",
        failed(&after) - failed_before,
        last.saturating_duration_since(killed).as_secs_f64(),
        answered(&after) - answered(&before)
    );
    println!("(It is checked each {INTERVAL_MS} ms, and down after {FALL} failures.)");
    Ok(Death { failed_before, taken_out })
}

fn come_back(stage: &mut Stage) -> Result<()> {
    let name = real_name(DYING);
    stage.start_server(DYING)?;
    let started = Instant::now();
    let first = wait_for(&format!("{name} to be back"), LIMIT, || Ok(part(stage)?.filter(|part| *part > 0.0)))?;
    let back = started.elapsed();
    if first > EASED_IN.0 {
        bail!("{name} came back with {first:.2} of the weight of another one at once");
    }
    let enough = |part: &f64| *part > EASED_IN.1;
    let last = wait_for(&format!("{name} to have its share again"), LIMIT, || Ok(part(stage)?.filter(enough)))?;
    println!(
        "nginx of {name} started again: up after {:.1} s, and eased in: {:.0}% of the weight of {} then, {:.0}% after {:.1} s.",
        back.as_secs_f64(),
        100.0 * first,
        real_name(WELL),
        100.0 * last,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The weight of the real server that died, as a part of another one's.
fn part(stage: &Stage) -> Result<Option<f64>> {
    let weights = weights(stage)?;
    Ok((weights[WELL] > 0.0).then(|| weights[DYING] / weights[WELL]))
}

/// The weights of all real servers, in order.
fn weights(stage: &Stage) -> Result<Vec<f64>> {
    Ok(rows(stage)?.iter().map(|row| row.weight).collect())
}

/// The slots of a real server in all services together.
fn slots(stage: &Stage, index: usize) -> Result<u32> {
    Ok(rows(stage)?[index].services.iter().map(|service| service.slots).sum())
}

/// The scheduling table, in the order of the real servers.
fn rows(stage: &Stage) -> Result<Vec<Row>> {
    let table = stage.lbd.lbctl_json(&["table"])?["reals"].take();
    let mut rows: Vec<Row> = serde_json::from_value(table).context("`lbctl table --json` is not as expected")?;
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let names = rows.iter().map(|row| row.name.clone());
    if !names.eq((0..stage.reals.len()).map(real_name)) {
        bail!("`lbctl table` does not have the demo's real servers");
    }
    Ok(rows)
}
