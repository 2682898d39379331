//! `cargo xtask bench packet`: what the XDP program costs a packet, beside the floors that no program can beat.
//!
//! All cases run in each round, one after the other, on one CPU, so that whatever slows the machine down for a while slows them
//! all. docs/performance.md says what the figures mean.

mod case;
mod frame;
mod measure;
mod quic;
mod report;
#[path = "../../lb-ebpf/src/bin/bench/state.rs"]
mod state;
mod world;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lb_common::{DEFAULT_MAX_REALS, FLOW_EVENT_RECORD};
use lb_daemon::dataplane::{Dataplane, Options};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    case::Case,
    measure::{Runner, Sample},
    report::Figure,
    world::World,
};

const ROUNDS: usize = 31;
const QUICK_ROUNDS: usize = 5;
/// Room for the flows that are remembered, with some to spare: a hash that is full to the brim has long chains.
const MAX_FLOWS: u32 = case::REMEMBERED_FLOWS * 2;

/// Half of it has room for all flows of a run: half-open ones are told as long as half is free.
const FLOW_EVENTS_SIZE: u32 = 4 * case::REMEMBERED_FLOWS * FLOW_EVENT_RECORD;

/// An object file, aligned as ELF wants it.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/lb-bench-ebpf")));

#[derive(Parser)]
#[command(name = "lb-bench", about = "What the XDP program costs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Nanoseconds a packet, by BPF_PROG_TEST_RUN
    Packet {
        /// Write the figures to this file, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Fewer rounds: a first look
        #[arg(long)]
        quick: bool,
        /// Only cases whose name contains this, and the floors
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

fn main() -> ExitCode {
    let Command::Packet { json, quick, only } = Arguments::parse().command;
    match packet(json.as_deref(), quick, only.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn packet(json: Option<&Path>, quick: bool, only: Option<&str>) -> Result<()> {
    // Before the work, so that a path that cannot be written costs no minute.
    let file = json.map(create).transpose()?;
    let cpu = pin()?;
    let wanted = |case: &Case| case.own_work.is_none() || only.is_none_or(|text| case.name.contains(text));
    let cases: Vec<_> = case::all().into_iter().filter(wanted).collect();
    let rounds = if quick { QUICK_ROUNDS } else { ROUNDS };
    eprintln!("{} cases, {rounds} rounds, on CPU {cpu}", cases.len());
    let figures = run(cases, rounds)?;
    print!("{}", report::Table(&figures));
    match file {
        Some((path, file)) => write(path, file, &figures),
        None => Ok(()),
    }
}

fn run(cases: Vec<Case>, rounds: usize) -> Result<Vec<Figure>> {
    let options = Options {
        pin_dir: None,
        max_reals: DEFAULT_MAX_REALS,
        max_flows: MAX_FLOWS,
        flow_events_size: FLOW_EVENTS_SIZE,
        debug_log: false,
    };
    let mut programs: Vec<_> = cases.iter().flat_map(|case| [Some(case.program), case.own_work]).flatten().collect();
    programs.sort_unstable();
    programs.dedup();
    let _kernel = world::enter()?;
    let mut dataplane = Dataplane::open_object(&options, &OBJECT.0, &programs)?;
    let mut world = World::fill(&mut dataplane)?;
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let mut runners: Vec<_> = cases.into_iter().map(Runner::new).collect();
    let mut samples = vec![Vec::with_capacity(rounds); runners.len()];
    let mut drop = 0.0;
    // The first round only warms the caches up.
    for round in 0..=rounds {
        for (runner, samples) in runners.iter_mut().zip(&mut samples) {
            let sample = runner.sample(&mut dataplane, &mut world)?;
            if runner.case.name == case::DROP {
                drop = sample.with;
            }
            if round > 0 {
                samples.push(Sample { drop, ..sample });
            }
        }
    }
    Ok(report::figures(&names, &samples))
}

/// Keeps this thread on one CPU, the last that it may use: the first ones have most of the machine's interrupts.
fn pin() -> Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("cannot tell which CPUs may be used")?;
    let cpu = (0..CpuSet::count()).rfind(|cpu| allowed.is_set(*cpu) == Ok(true)).context("no CPU may be used")?;
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(this, &one).with_context(|| format!("cannot keep to CPU {cpu}"))?;
    Ok(cpu)
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
