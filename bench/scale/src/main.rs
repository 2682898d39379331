//! How long the daemon takes for thousands of services, and what memory they take: `cargo xtask bench scale`.
//!
//! Services are in pools: those of a pool have the same reals and weights, and so the same ring. docs/scale.md says what the figures are.

mod config;
mod report;
mod stage;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use config::Pools;
use lb_lab::interrupt;
use report::Report;
use stage::Stage;

const QUICK_POOLS: usize = 4;
const POOLS: usize = 64;

/// How to measure scale.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// 256 services in place of 4,096: a first look.
    #[arg(long)]
    quick: bool,
    /// So many pools of 64 services.
    #[arg(long, value_name = "N", conflicts_with = "quick", default_value_t = POOLS as u8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pools: u8,
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
    let pools = Pools::new(if options.quick { QUICK_POOLS } else { options.pools.into() });
    let mut stage = Stage::set(&pools)?;
    let report = measure(&mut stage, &pools);
    let report = report.with_context(|| format!("lbd said: {}", stage.end_of_log()))?;
    println!("{report}");
    options.json.as_deref().map_or(Ok(()), |path| write(path, &report))
}

fn measure(stage: &mut Stage, pools: &Pools) -> Result<Report> {
    let mut report = Report::of(pools);
    report.steps.push(stage.start("start with new maps", pools)?);
    report.steps.push(stage.reload("reload, nothing changed", pools)?);
    let one_service = pools.clone().without_last_real_of_first_service();
    report.steps.push(stage.reload("reload, one service has lost a real", &one_service)?);
    report.steps.push(stage.reload("reload, it has it back", pools)?);
    report.steps.push(stage.reload("reload, one real's weight doubled in its 64 services", &pools.clone().heavier(1))?);
    report.steps.push(stage.reload("reload, a real of each pool doubled", &pools.clone().heavier(pools.count()))?);
    report.steps.push(stage.restart("start with the maps of before", pools)?);
    report.steps.push(stage.reload("reload, all services replaced", &pools.clone().replaced())?);
    report.steps.push(stage.reload("reload, all services gone but one", &pools.clone().of_one_service())?);
    Ok(report)
}

fn write(path: &Path, report: &Report) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, report).with_context(|| format!("cannot write {}", path.display()))
}
