//! How often a pair takes over without need: `cargo xtask bench soak`.
//!
//! Two soaks, ten minutes each. `hogs`: heartbeats each 5 ms on a host whose CPUs are taken by others, with a flood of small packets through
//! the active node. `loss`: heartbeats each 100 ms, of which every path loses three in ten each way. docs/failover.md says what the figures
//! are.

mod client;
mod diary;
mod hogs;
mod load;
mod loss;
mod poisson;
mod report;
mod stage;
mod verdict;
mod wake;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use lb_lab::interrupt;
use report::Report;

const QUICK_MINUTES: u64 = 1;
const SECONDS_PER_MINUTE: u64 = 60;

/// How to soak.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A minute of each only: a first look.
    #[arg(long, conflicts_with = "minutes")]
    quick: bool,
    /// Minutes of each.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=25))]
    minutes: u64,
    /// Only this one.
    #[arg(long, value_name = "SOAK")]
    only: Option<Soak>,
}

/// What the pair has to bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Soak {
    /// CPU hogs and a flood.
    Hogs,
    /// Lost heartbeats.
    Loss,
}

fn main() -> ExitCode {
    interrupt::install();
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Soaks, prints and writes the figures; false when one of them is not as it should be.
fn run(options: &Options) -> Result<bool> {
    let minutes = if options.quick { QUICK_MINUTES } else { options.minutes };
    let length = Duration::from_secs(minutes * SECONDS_PER_MINUTE);
    let soaks = [Soak::Hogs, Soak::Loss].into_iter().filter(|soak| options.only.is_none_or(|only| only == *soak));
    let mut reports = Vec::new();
    for soak in soaks {
        println!("{soak:?}: {minutes} minutes");
        let report = match soak {
            Soak::Hogs => hogs::run(length),
            Soak::Loss => loss::run(length),
        };
        let report = report.with_context(|| format!("{soak:?}"))?;
        println!("{report}");
        reports.push(report);
    }
    if let Some(path) = &options.json {
        write(path, &reports)?;
    }
    Ok(reports.iter().all(|report| report.passed))
}

fn write(path: &Path, reports: &[Report]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, reports).with_context(|| format!("cannot write {}", path.display()))
}
