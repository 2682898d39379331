//! `cargo xtask demo`: the load balancer at work, in a minute.
//!
//! First the daemon is killed and started again under requests ([`restart`]); then one real server gets busy and another
//! one dies and comes back ([`scheduling`]). Last, the active one of two load balancers is cut off ([`pair`]). Every step has to
//! happen, or the demo fails.

mod maps;
mod pair;
mod restart;
mod scheduling;
mod stage;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use lb_lab::{Load, Tally, interrupt};

use crate::build::{cargo, lab_object, run as run_command};
use crate::prerequisites::{self, Need};
use scheduling::Death;
use stage::Stage;

const LOAD_THREADS: usize = 4;
const LOAD_PAUSE: Duration = Duration::from_millis(2);

/// Builds what is needed, runs the demo and takes everything down again. With `keep` it leaves the single load balancer up.
pub fn run(root: &Path, keep: bool) -> Result<()> {
    prepare(root)?;
    let mut stage = Stage::set()?;
    let outcome = perform(&mut stage);
    if keep && outcome.is_ok() {
        return stage.keep();
    }
    drop(stage);
    let outcome = outcome.and_then(|()| pair::show());
    println!("\nEverything is taken down again.");
    outcome
}

/// Runs the part with two load balancers alone.
pub fn run_pair(root: &Path) -> Result<()> {
    prepare(root)?;
    let outcome = pair::show();
    println!("\nEverything is taken down again.");
    outcome
}

fn prepare(root: &Path) -> Result<()> {
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain])?;
    interrupt::install();
    lab_object(root)?;
    let packages = ["-p", "lb-daemon", "-p", "lb-ctl", "-p", "lb-agent"];
    run_command(cargo(root).args(["build", "--quiet", "--locked"]).args(packages))?;
    down()
}

/// Takes down what earlier runs left up, on purpose or by a crash.
pub fn down() -> Result<()> {
    for run in lb_lab::take_down_all()? {
        println!("took down {run}, which an earlier run had left up");
    }
    Ok(())
}

fn perform(stage: &mut Stage) -> Result<()> {
    println!("\nThe client sends requests to both, each over a new connection, and keeps one connection open.");
    let load = Load::start(&stage.network.client.handle(), &stage.targets(), LOAD_THREADS, LOAD_PAUSE);
    restart::show(stage, &load)?;
    maps::show(&stage.lbd)?;
    let death = scheduling::show(stage, &load)?;
    let tallies = load.stop()?;
    report(&tallies, &death);
    judge(&tallies, &death)
}

/// What the client saw from the first to the last step.
fn report(tallies: &[Tally], death: &Death) {
    println!("\nrequests: {}", answered(tallies));
    println!("failed: {}", death.failed_before);
    println!("failed because their real server had just been killed: {}", failed(tallies) - death.failed_before);
}

fn judge(tallies: &[Tally], death: &Death) -> Result<()> {
    if death.failed_before > 0 {
        bail!("{} requests failed, among them: {}", death.failed_before, reasons(tallies));
    }
    if tallies.iter().filter_map(|tally| tally.last_failed).any(|began| began > death.taken_out) {
        bail!("requests failed after the dead real server had been taken out, among them: {}", reasons(tallies));
    }
    Ok(())
}

fn answered(tallies: &[Tally]) -> u64 {
    tallies.iter().map(Tally::total).sum()
}

fn failed(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.failed).sum()
}

fn reasons(tallies: &[Tally]) -> String {
    let reasons: Vec<&str> = tallies.iter().flat_map(|tally| &tally.reasons).map(String::as_str).collect();
    reasons.join("; ")
}
