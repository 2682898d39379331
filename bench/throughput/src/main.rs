//! How much comes through a load balancer, and what that costs: `cargo xtask bench throughput`.
//!
//! Understudy in its three modes, the kernel's forwarding alone, nftables, HAProxy and nginx take turns between the same client and
//! real servers; in a virtual machine, whose kernel has it, IPVS too. docs/throughput.md says what the figures are.

mod balancers;
mod cpu;
mod flood;
mod packets;
mod report;
mod system;
mod web;
mod world;
mod wrk;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::balancers::Balancers;
use crate::report::{Record, Table};
use crate::system::{Lane, System};
use crate::world::World;

/// How to measure.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fewer and shorter rounds: a first look.
    #[arg(long)]
    quick: bool,
    /// Only systems whose name, `understudy-dsr`, contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// This is the virtual machine: measure its systems, and print what was measured for the host to read.
    #[arg(long)]
    guest: bool,
    /// Show and judge also what the virtual machine has printed, which is in this file.
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Measure nothing here.
    #[arg(long, requires = "with")]
    only_with: bool,
}

/// What the machine prints for the host begins with it.
const MARK: &str = "record: ";

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

const PACKETS: packets::Pace = packets::Pace { times: [milliseconds(200), milliseconds(600)], rounds: 9 };
const QUICK_PACKETS: packets::Pace = packets::Pace { times: [milliseconds(100), milliseconds(300)], rounds: 3 };
const GUEST: packets::Pace = packets::Pace { times: [milliseconds(500), milliseconds(1_500)], rounds: 7 };
const QUICK_GUEST: packets::Pace = packets::Pace { times: [milliseconds(300), milliseconds(700)], rounds: 2 };
const WEB: web::Pace = web::Pace { seconds: 3, rounds: 7, own_rounds: 3 };
const QUICK_WEB: web::Pace = web::Pace { seconds: 1, rounds: 2, own_rounds: 1 };

fn main() -> ExitCode {
    lb_lab::interrupt::install();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    lb_lab::require_root()?;
    let mut records = match options {
        Options { guest: true, .. } => measure_guest(options)?,
        Options { only_with: true, .. } => Vec::new(),
        _ => measure_host(options)?,
    };
    if let Some(path) = &options.with {
        records.extend(read(path)?);
    }
    println!("\n{}", Table(&records));
    options.json.as_deref().map_or(Ok(()), |path| write(path, &records))
}

fn measure_host(options: &Options) -> Result<Vec<Record>> {
    let mut records = records(&System::HOST, options);
    if let Some(systems) = to_measure(&records) {
        let world = World::build(&Lane::HOST)?;
        let mut balancers = Balancers::start(&world, &systems)?;
        packets::measure(&world, &mut records, if options.quick { QUICK_PACKETS } else { PACKETS })?;
        web::measure(&world, &mut balancers, &mut records, if options.quick { QUICK_WEB } else { WEB })?;
    }
    Ok(records)
}

/// Packets alone.
fn measure_guest(options: &Options) -> Result<Vec<Record>> {
    let mut records = records(&System::GUEST, options);
    if let Some(systems) = to_measure(&records) {
        let world = World::build(&Lane::GUEST)?;
        let _balancers = Balancers::start(&world, &systems)?;
        packets::measure(&world, &mut records, if options.quick { QUICK_GUEST } else { GUEST })?;
    }
    for record in &records {
        println!("{MARK}{}", serde_json::to_string(record)?);
    }
    Ok(records)
}

/// An empty record for each system that is wanted, and for what they are compared with to tell the balancer's part.
fn records(systems: &[System], options: &Options) -> Vec<Record> {
    let all = systems.iter().map(|system| Record::new(*system, options.guest));
    all.filter(|record| record.system == System::Direct || record.name().contains(&options.only)).collect()
}

/// The systems; none where none is wanted.
fn to_measure(records: &[Record]) -> Option<Vec<System>> {
    (records.len() > 1).then(|| records.iter().map(|record| record.system).collect())
}

/// What the machine has printed for the host, one record a line.
fn read(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let record = |line| serde_json::from_str(line).with_context(|| format!("no record in {}: {line}", path.display()));
    text.lines().map(record).collect()
}

fn write(path: &Path, records: &[Record]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(file, &report::figures(records))
        .with_context(|| format!("cannot write {}", path.display()))
}
