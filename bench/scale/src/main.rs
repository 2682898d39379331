//! How long the daemon takes for thousands of services, of reals and for millions of flows, and what memory they take: `cargo xtask bench scale`.
//!
//! Services are in pools: those of a pool have the same reals and weights, and so the same ring. docs/scale.md says what the figures are.

mod config;
mod fill;
mod report;
mod stage;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use config::{Pools, Size};
use lb_lab::{interrupt, wait_for};
use report::{Part, Report};
use stage::Stage;

/// What comes after a start.
const READY: &str = "then, until the way to all reals is known";
/// How long the daemon may take until it has seen its whole flow table.
const COUNT_LIMIT: Duration = Duration::from_mins(2);

/// How to measure scale.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Some hundreds of each: a first look.
    #[arg(long)]
    quick: bool,
    /// Only this part.
    #[arg(long, value_name = "PART")]
    only: Option<What>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// 4,096 services that share 64 rings.
    Services,
    /// 65,535 reals: in 4,096 services whose rings all differ, and in 16 services.
    Reals,
    /// A flow table of ten million flows.
    Flows,
}

fn main() -> ExitCode {
    interrupt::install();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    for what in What::value_variants() {
        if options.only.is_some_and(|only| only != *what) {
            continue;
        }
        for (name, size) in parts(*what, options.quick) {
            report.parts.push(part(*what, name, size)?);
            // What is measured is kept though a later part may fail.
            options.json.as_deref().map_or(Ok(()), |path| write(path, &report))?;
        }
    }
    Ok(())
}

fn parts(what: What, quick: bool) -> Vec<(&'static str, Size)> {
    let usual = Size { pools: 64, services: 64, reals: 16, flows: None };
    match (what, quick) {
        (What::Services, false) => vec![("services", usual)],
        (What::Services, true) => vec![("services", Size { pools: 4, ..usual })],
        (What::Reals, false) => vec![
            ("reals, 16 of each service", Size { pools: 4_096, services: 1, ..usual }),
            ("reals, 4,096 of each service", Size { pools: 16, services: 1, reals: 4_096, ..usual }),
        ],
        (What::Reals, true) => vec![
            ("reals, 16 of each service", Size { pools: 256, services: 1, ..usual }),
            ("reals, 4,096 of each service", Size { pools: 1, services: 1, reals: 4_096, ..usual }),
        ],
        (What::Flows, false) => vec![("flows", Size { pools: 1, flows: Some(10_000_000), ..usual })],
        (What::Flows, true) => vec![("flows", Size { pools: 1, flows: Some(100_000), ..usual })],
    }
}

fn part(what: What, name: &'static str, size: Size) -> Result<Part> {
    let pools = Pools::new(size);
    let mut part = Part::new(name, size);
    let mut stage = Stage::set(&pools)?;
    part.foretold = stage.foretell(&pools)?;
    println!("{part}");
    let measured = match what {
        What::Services => services(&mut stage, &pools, &mut part),
        What::Reals => reals(&mut stage, &pools, &mut part),
        What::Flows => flows(&mut stage, &pools, &mut part),
    };
    measured.with_context(|| format!("lbd said: {}", stage.end_of_log()))?;
    Ok(part)
}

fn services(stage: &mut Stage, pools: &Pools, part: &mut Part) -> Result<()> {
    let steps = &mut part.steps;
    steps.push(stage.start("start with new maps", pools)?);
    steps.push(stage.ready(READY)?);
    steps.push(stage.reload("reload, nothing changed", pools)?);
    let one_service = pools.clone().without_last_real_of_first_service();
    steps.push(stage.reload("reload, one service has lost a real", &one_service)?);
    steps.push(stage.reload("reload, it has it back", pools)?);
    steps.push(stage.reload("reload, one real's weight doubled in its 64 services", &pools.clone().heavier(1))?);
    let heavier = pools.clone().heavier(pools.size().pools);
    steps.push(stage.reload("reload, a real of each pool doubled", &heavier)?);
    steps.push(stage.restart("start with the maps of before", pools)?);
    steps.push(stage.ready(READY)?);
    steps.push(stage.reload("reload, all services replaced", &pools.clone().replaced())?);
    steps.push(stage.reload("reload, all services gone but one", &pools.clone().of_one_service())?);
    Ok(())
}

fn reals(stage: &mut Stage, pools: &Pools, part: &mut Part) -> Result<()> {
    let steps = &mut part.steps;
    steps.push(stage.start("start with new maps", pools)?);
    steps.push(stage.ready(READY)?);
    steps.extend(answers(stage)?);
    steps.push(stage.reload("reload, nothing changed", pools)?);
    let one_service = pools.clone().without_last_real_of_first_service();
    steps.push(stage.reload("reload, one service has lost a real", &one_service)?);
    steps.push(stage.reload("reload, one real's weight doubled", &pools.clone().heavier(1))?);
    steps.push(stage.ask("lbctl drain of a real", &["drain", "real-1"])?);
    steps.push(stage.restart("start with the maps of before", pools)?);
    steps.push(stage.ready(READY)?);
    Ok(())
}

fn flows(stage: &mut Stage, pools: &Pools, part: &mut Part) -> Result<()> {
    let pools = &pools.clone().with(stage.checkpoints());
    let count = pools.size().flows.context("the part has flows")?;
    let steps = &mut part.steps;
    steps.push(stage.start("start with new maps", pools)?);
    steps.push(stage.ready(READY)?);
    let took = fill::fill(stage, pools.size(), count)?;
    steps.push(stage.note("flows written by the bench", took)?);
    steps.extend(answers(stage)?);
    steps.push(stage.reload("reload, nothing changed", pools)?);
    steps.push(stage.reload("reload, a real's weight doubled", &pools.clone().heavier(1))?);
    steps.push(stage.ask("checkpoint now, all flows", &["checkpoint", "now"])?);
    println!("{}", stage.answer(&["checkpoint", "show"])?["store"]);
    steps.push(stage.watch("longest wait for an answer, checkpoints kept")?);
    steps.push(stage.restart("start with the maps of before", pools)?);
    steps.push(stage.ready(READY)?);
    steps.push(stage.reboot("start with new maps and a checkpoint", pools)?);
    let there = wait_for("the daemon to count its flows", COUNT_LIMIT, || {
        Ok(stage.answer(&["status"])?["flows"].as_u64().filter(|flows| *flows > 0))
    })?;
    println!("{there} of {count} flows are there again");
    Ok(())
}

/// How soon the daemon answers.
fn answers(stage: &mut Stage) -> Result<Vec<report::Step>> {
    Ok(vec![
        stage.watch("longest wait for an answer")?,
        stage.ask("lbctl status", &["status"])?,
        stage.ask("lbctl services", &["services"])?,
        stage.ask("lbctl reals", &["reals"])?,
        stage.ask("lbctl top --once, a second of it a pause", &["top", "--once"])?,
    ])
}

fn write(path: &Path, report: &Report) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, report).with_context(|| format!("cannot write {}", path.display()))
}
