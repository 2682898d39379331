//! `cargo xtask bench balance`: how evenly the load balancer's scheduler spreads load, beside other policies, in a seeded simulation.
//! docs/balance.md says what is simulated and what the figures mean.

mod figures;
mod policy;
mod report;
mod sim;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result};
use clap::Parser;

use crate::{figures::Figure, policy::Kind, sim::Scenario};

/// Each seed is another traffic, other servers that change, and other noise.
/// None of these was looked at while the law was tuned.
const SEEDS: std::ops::RangeInclusive<u64> = 11..=15;
const QUICK_SEEDS: std::ops::RangeInclusive<u64> = 11..=11;
/// Seconds between events of the scenario.
const PHASE: f64 = 60.0;

#[derive(Parser)]
#[command(name = "lb-balance", about = "How evenly load is spread")]
struct Arguments {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One seed only: a first look
    #[arg(long)]
    quick: bool,
    /// With this seed instead; may be given again. What is tuned is tuned with seeds that are not reported
    #[arg(long, value_name = "N", conflicts_with = "quick")]
    seed: Vec<u64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    // Before the work, so that a path that cannot be written costs no minute.
    let file = arguments.json.as_deref().map(create).transpose()?;
    let seeds = arguments.seeds();
    eprintln!("{} seeds, {} policies and the ideal", seeds.len(), Kind::COMPARED.len());
    let by_policy = report::by_policy(simulate(&seeds));
    print!("{}", report::Table(&by_policy));
    match file {
        Some((path, file)) => write(path, file, &report::medians(&by_policy)),
        None => Ok(()),
    }
}

impl Arguments {
    fn seeds(&self) -> Vec<u64> {
        match self.seed.as_slice() {
            [] if self.quick => QUICK_SEEDS.collect(),
            [] => SEEDS.collect(),
            seeds => seeds.to_vec(),
        }
    }
}

/// Runs all policies with each seed: for each seed the figures of the ideal and of all policies. One thread for each CPU.
fn simulate(seeds: &[u64]) -> Vec<Vec<Figure>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(one_seed(seed, PHASE));
        }
        done
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cpus.min(seeds.len())).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn one_seed(seed: u64, phase: f64) -> Vec<Figure> {
    let scenario = Scenario::new(seed, phase);
    let run = |kind: Kind| sim::run(&scenario, seed, &mut *kind.start(seed));
    let ideal = run(Kind::Ideal);
    let mut figures = vec![Figure::of(Kind::Ideal.name(), &ideal, &ideal, &scenario)];
    figures.extend(Kind::COMPARED.map(|kind| Figure::of(kind.name(), &run(kind), &ideal, &scenario)));
    figures
}

fn create(path: &Path) -> Result<(&Path, File)> {
    let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
    Ok((path, file))
}

fn write(path: &Path, file: File, figures: &[Figure]) -> Result<()> {
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, figures)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(writeln!(file)?))
        .and_then(|()| Ok(file.flush()?))
        .with_context(|| format!("cannot write to {}", path.display()))
}

#[cfg(test)]
mod tests;
