//! `cargo xtask bench`: builds the benches for release, and runs them.

use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::build::{self, cargo, run as run_command};
use crate::prerequisites::{self, Need};
use crate::vm;

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// Nanoseconds that the XDP program takes a packet, beside the floors
    Packet(Packet),
    /// How evenly load is spread, beside other policies: in a simulation, or with real servers
    Balance(Balance),
    /// How long clients wait when the active node is cut off, beside keepalived
    Failover(Failover),
    /// How often a pair takes over without need: under CPU hogs and a flood, and when heartbeats are lost
    Soak(Soak),
    /// What checkpoints cost and how soon a successor forwards with them, beside redb, SQLite, conntrack and nftables
    Checkpoint(Checkpoint),
    /// How much comes through and what it costs, beside forwarding, nftables, HAProxy, nginx and, in a virtual machine, IPVS
    Throughput(Throughput),
    /// How long the daemon takes for thousands of services and reals and millions of flows, and what memory they take
    Scale(Scale),
}

/// How to measure scale.
#[derive(Args)]
pub struct Scale {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// 256 services in place of 4,096, 4,096 reals in place of 65,535, 100,000 flows in place of ten million: a first look
    #[arg(long)]
    quick: bool,
    /// Only this part: `services`, `reals` or `flows`
    #[arg(long, value_name = "PART")]
    only: Option<String>,
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

/// How to measure balance.
#[derive(Args)]
pub struct Balance {
    /// With real HTTP servers in network namespaces, beside HAProxy
    #[arg(long)]
    live: bool,
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One seed only, and shorter runs: a first look
    #[arg(long)]
    quick: bool,
    /// With --live: only the workload of this name, `sessions` or `single`
    #[arg(long, value_name = "WORKLOAD", requires = "live")]
    only: Option<String>,
}

/// How to measure failover.
#[derive(Args)]
pub struct Failover {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A few failovers of each system only: a first look
    #[arg(long)]
    quick: bool,
    /// Only systems whose name, `understudy 10 ms x 3`, contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// How to soak.
#[derive(Args)]
pub struct Soak {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A minute of each only: a first look
    #[arg(long, conflicts_with = "minutes")]
    quick: bool,
    /// Minutes of each; 10 where nothing is said
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Only this one: `hogs` or `loss`
    #[arg(long, value_name = "SOAK")]
    only: Option<String>,
}

/// How to measure checkpoints.
#[derive(Args)]
pub struct Checkpoint {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fewer rounds, and no million of flows: a first look
    #[arg(long)]
    quick: bool,
}

/// How to measure throughput.
#[derive(Args)]
pub struct Throughput {
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fewer and shorter rounds: a first look
    #[arg(long)]
    quick: bool,
    /// Only systems whose name, `understudy-dsr`, contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Leave out the virtual machine, and IPVS with it
    #[arg(long)]
    no_guest: bool,
    /// Measure in the virtual machine only
    #[arg(long, conflicts_with = "no_guest")]
    guest: bool,
}

/// Runs the bench.
pub fn run(root: &Path, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Packet(options) => packet(root, options),
        Bench::Balance(options) if options.live => live_balance(root, options),
        Bench::Balance(options) => balance(root, options),
        Bench::Failover(options) => failover(root, options),
        Bench::Soak(options) => soak(root, options),
        Bench::Checkpoint(options) => checkpoint(root, options),
        Bench::Throughput(options) => throughput(root, options),
        Bench::Scale(options) => scale(root, options),
    }
}

fn packet(root: &Path, packet: &Packet) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Toolchain])?;
    let mut command = bench(root, "lb-bench", &["packet"], packet.json.as_deref(), packet.quick)?;
    if let Some(text) = &packet.only {
        command.arg("--only").arg(text);
    }
    run_command(&mut command)
}

/// A simulation: needs neither root nor the XDP program.
fn balance(root: &Path, balance: &Balance) -> Result<()> {
    run_command(&mut bench(root, "lb-balance", &[], balance.json.as_deref(), balance.quick)?)
}

/// With the very programs, built for release beside the bench that starts them.
fn live_balance(root: &Path, balance: &Balance) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain])?;
    build_programs(root)?;
    let mut command = bench(root, "lb-bench-live", &["compare"], balance.json.as_deref(), balance.quick)?;
    if let Some(workload) = &balance.only {
        command.arg("--only").arg(workload);
    }
    run_command(&mut command)
}

fn failover(root: &Path, failover: &Failover) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain, Need::Keepalived])?;
    build_programs(root)?;
    let mut command = bench(root, "lb-bench-failover", &[], failover.json.as_deref(), failover.quick)?;
    if let Some(text) = &failover.only {
        command.arg("--only").arg(text);
    }
    run_command(&mut command)
}

fn soak(root: &Path, soak: &Soak) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain])?;
    build_programs(root)?;
    let mut command = bench(root, "lb-bench-soak", &[], soak.json.as_deref(), soak.quick)?;
    if let Some(minutes) = soak.minutes {
        command.arg("--minutes").arg(minutes.to_string());
    }
    if let Some(only) = &soak.only {
        command.arg("--only").arg(only);
    }
    run_command(&mut command)
}

/// With the daemon's own parts in the bench's processes: no program beside it is needed but for the comparison.
fn checkpoint(root: &Path, checkpoint: &Checkpoint) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain, Need::Conntrack])?;
    let json = checkpoint.json.as_deref();
    run_command(&mut bench(root, "lb-bench-checkpoint", &[], json, checkpoint.quick)?)
}

fn throughput(root: &Path, throughput: &Throughput) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain, Need::Throughput])?;
    build_programs(root)?;
    let mut command = bench(root, "lb-bench-throughput", &[], throughput.json.as_deref(), throughput.quick)?;
    if let Some(text) = &throughput.only {
        command.arg("--only").arg(text);
    }
    if !throughput.no_guest {
        // The machine takes the bench with it.
        run_command(cargo(root).args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "lb-bench-throughput",
        ]))?;
        let options = vm::Throughput { quick: throughput.quick, only: throughput.only.as_deref() };
        command.arg("--with").arg(vm::measure_throughput(root, &options)?);
    }
    if throughput.guest {
        command.arg("--only-with");
    }
    run_command(&mut command)
}

fn scale(root: &Path, scale: &Scale) -> Result<()> {
    lb_lab::require_root()?;
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain])?;
    build_programs(root)?;
    let mut command = bench(root, "lb-bench-scale", &[], scale.json.as_deref(), scale.quick)?;
    if let Some(part) = &scale.only {
        command.arg("--only").arg(part);
    }
    run_command(&mut command)
}

/// Builds the programs that run in a network of namespaces, for release.
fn build_programs(root: &Path) -> Result<()> {
    build::ebpf(root)?;
    let programs = ["--package", "lb-daemon", "--package", "lb-ctl", "--package", "lb-agent"];
    run_command(cargo(root).args(["build", "--quiet", "--release", "--locked", "--bins"]).args(programs))
}

/// The command that builds a bench for release and runs it with what all benches understand.
fn bench(root: &Path, package: &str, words: &[&str], json: Option<&Path>, quick: bool) -> Result<Command> {
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--locked", "--package", package, "--"]).args(words);
    if let Some(json) = json {
        // The bench runs in the workspace's folder; the path is meant from the user's.
        let json = absolute(json).with_context(|| format!("cannot tell where {} is", json.display()))?;
        command.arg("--json").arg(json);
    }
    if quick {
        command.arg("--quick");
    }
    Ok(command)
}
