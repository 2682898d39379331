//! What checkpoints cost, and how soon a successor forwards with them: `cargo xtask bench checkpoint`.
//!
//! For each number of flows and of remembered ones an owner writes everything and what changes, a standby that has everything takes over,
//! and a node starts with what the disk has. Beside it redb and SQLite commit the same, and conntrack and nftables are dumped and
//! loaded with as many entries. docs/checkpoint-bench.md says what the figures are.

mod case;
mod load;
mod nobody;
mod node;
mod owner;
mod report;
mod rivals;
mod run;
mod scratch;
mod steps;
mod usage;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use case::Case;
use clap::{Parser, Subcommand};

/// How to measure.
#[derive(Parser)]
#[command(name = "lb-bench-checkpoint", about = "What checkpoints cost")]
pub struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fewer rounds, and no million of flows: a first look.
    #[arg(long)]
    quick: bool,
    /// Where checkpoints are written: on a disk.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/tmp")]
    directory: PathBuf,
    #[command(subcommand)]
    step: Option<Step>,
}

/// A step of a case, which the bench runs in a process of its own.
#[derive(Subcommand)]
#[command(hide = true)]
enum Step {
    /// An owner writes.
    Own {
        flows: u32,
        remembered: u32,
        rounds: usize,
        directory: PathBuf,
        /// Databases write the same here.
        rivals: Option<PathBuf>,
    },
    /// A standby takes over.
    TakeOver { flows: u32, remembered: u32, owner: PathBuf, directory: PathBuf },
    /// A node starts.
    Start { flows: u32, remembered: u32, directory: PathBuf },
}

fn main() -> ExitCode {
    lb_lab::interrupt::install();
    match work(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(options: Options) -> Result<()> {
    let figures = match options.step {
        None => return run::run(&options),
        Some(Step::Own { flows, remembered, rounds, directory, rivals }) => {
            steps::own(Case { flows, remembered }, rounds, &directory, rivals.as_deref())?
        }
        Some(Step::TakeOver { flows, remembered, owner, directory }) => {
            steps::take_over(Case { flows, remembered }, &owner, &directory)?
        }
        Some(Step::Start { flows, remembered, directory }) => {
            return steps::start(Case { flows, remembered }, &directory);
        }
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
