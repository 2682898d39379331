//! `cargo xtask bench`: builds the benches for release, and runs them.

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::build::{cargo, run as run_command};
use crate::prerequisites::{self, Need};

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// Nanoseconds that the XDP program takes a packet, beside the floors
    Packet(Packet),
}

/// How to measure packets.
#[derive(Args)]
pub struct Packet {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fewer rounds: a first look
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains this, and the floors
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Runs the bench.
pub fn run(root: &Path, bench: &Bench) -> Result<()> {
    let Bench::Packet(packet) = bench;
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Toolchain])?;
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--locked", "--package", "lb-bench", "--", "packet"]);
    if let Some(json) = &packet.json {
        // The bench runs in the workspace's folder; the path is meant from the user's.
        let json = absolute(json).with_context(|| format!("cannot tell where {} is", json.display()))?;
        command.arg("--json").arg(json);
    }
    if packet.quick {
        command.arg("--quick");
    }
    if let Some(text) = &packet.only {
        command.arg("--only").arg(text);
    }
    run_command(&mut command)
}
