//! The steps of a case. Each runs in a process of its own, so that its memory is its own, and prints what it has measured.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_core::checkpoint::Entry;
use lb_core::pair::Service;
use lb_daemon::config::Config;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::load;
use crate::node::{Node, Took, milliseconds};
use crate::owner::{CHANGES, Cost, Owner, store};
use crate::report::{Figure, Kind};
use crate::rivals;
use crate::usage;
use crate::world::{World, config, origin};

/// At most so many flows are looked after by a packet each.
const LOOKED_AFTER: u32 = 200_000;
/// Rounds of a takeover: it takes no time to speak of.
const TAKEOVERS: u32 = 51;
/// For how long what checkpoints take of the CPU is watched.
const WATCHED: Duration = Duration::from_secs(3);
/// What a process says when its node forwards.
pub const FORWARDS: &str = "forwards";

/// What a start has said of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Loading the program.
    pub load_ms: f64,
    /// Reading the disk.
    pub disk_ms: f64,
    /// Table and maps.
    pub engine_ms: f64,
    /// Memory when it forwards, in bytes.
    pub rss_bytes: u64,
    /// The most memory till then, in bytes.
    pub peak_bytes: u64,
    /// Flows that do not go on as before.
    pub broken: u64,
}

/// An owner writes everything and what changes, with the databases in turn. It leaves its directory as a crash would.
pub fn own(case: Case, rounds: usize, directory: &Path, rivals_in: Option<&Path>) -> Result<Vec<Figure>> {
    let config = config(directory, case)?;
    let world = World::new(&config, case)?;
    let mut owner = Owner::start(&config, world, case)?;
    // The first of each warms everything up.
    owner.full()?;
    owner.delta()?;
    let rss_bytes = usage::resident()? as f64;
    let mut rivals = rivals_in.map(rivals::all).unwrap_or_default();
    let mut measured = vec![Measured::default(); 1 + rivals.len()];
    for _ in 0..rounds {
        measured[0].fulls.push(owner.full()?);
        let (flows, slots) = (owner.flows()?, owner.ring()?);
        for (rival, measured) in rivals.iter_mut().zip(&mut measured[1..]) {
            measured.fulls.push(cost(|| rival.full(&flows, &slots))?);
        }
        drop(flows);
        let (delta, change) = owner.delta()?;
        measured[0].deltas.push(delta);
        for (rival, measured) in rivals.iter_mut().zip(&mut measured[1..]) {
            measured.deltas.push(cost(|| rival.delta(&change))?);
        }
        for (rival, measured) in rivals.iter_mut().zip(&mut measured[1..]) {
            let began = Instant::now();
            let mut sum = 0_u64;
            rival.read(&mut |key, value| sum += u64::from(value) + u64::from(key[0]))?;
            std::hint::black_box(sum);
            measured.reads.push(milliseconds(began));
        }
    }
    let missing = owner.missing_on_disk(&config)?;
    let cpu = load::cpu_ms_a_second(&mut owner, WATCHED)?;
    let [full, delta] = measured[0].figures(crate::report::OWN, case);
    let [mut full, mut delta] = [full.with("rss_bytes", rss_bytes), delta.with("cpu_ms_a_second", cpu)];
    (full.broken_connections, delta.broken_connections) = (missing, missing);
    let mut figures = vec![full, delta.with("changes", CHANGES.into())];
    for (rival, measured) in rivals.iter().zip(&measured[1..]) {
        figures.extend(measured.figures(rival.name(), case));
        let size = measured.fulls.last().map_or(0, |full| full.bytes);
        figures.push(Figure::of(rival.name(), case, Kind::Cold, &measured.reads, size));
    }
    Ok(figures)
}

/// What a system took, by round.
#[derive(Clone, Debug, Default)]
struct Measured {
    fulls: Vec<Cost>,
    deltas: Vec<Cost>,
    reads: Vec<f64>,
}

impl Measured {
    fn figures(&self, system: &str, case: Case) -> [Figure; 2] {
        [(Kind::Full, &self.fulls), (Kind::Delta, &self.deltas)].map(|(kind, costs)| {
            let ms: Vec<f64> = costs.iter().map(|cost| cost.ms).collect();
            let mut bytes: Vec<u64> = costs.iter().map(|cost| cost.bytes).collect();
            bytes.sort_unstable();
            Figure::of(system, case, kind, &ms, bytes.get(bytes.len() / 2).copied().unwrap_or_default())
        })
    }
}

fn cost(work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let before = usage::written()?;
    let began = Instant::now();
    work()?;
    let ms = milliseconds(began);
    Ok(Cost { ms, bytes: usage::written()?.saturating_sub(before) })
}

/// A standby that has everything in its maps takes over.
pub fn take_over(case: Case, owner: &Path, directory: &Path) -> Result<Vec<Figure>> {
    let (mut node, _) = Node::start(config(directory, case)?)?;
    follow(&mut node, &config(owner, case)?)?;
    let mut ms = Vec::new();
    for round in 0..=TAKEOVERS {
        let number = round * (case.remembered.max(1) / (TAKEOVERS + 1)).max(1) % case.remembered.max(1);
        node.lease.store(Service::Silent, 0);
        node.must_be_silent(number)?;
        let began = Instant::now();
        node.lease.store(Service::Serving, u64::MAX);
        let way = node.way(number)?;
        let took = milliseconds(began);
        ensure!(way.is_some(), "a node that serves does not forward flow {number}");
        // The first warms the caches up.
        if round > 0 {
            ms.push(took);
        }
    }
    let began = Instant::now();
    node.engine.lead();
    let lead_ms = milliseconds(began);
    let world = World::new(&config(owner, case)?, case)?;
    let mut figure = Figure::new(case, Kind::Warm, &ms, 0);
    figure.broken_connections = node.broken(&world.ways(LOOKED_AFTER)?)?;
    let rss_bytes = usage::resident()? as f64;
    Ok(vec![figure.with("lead_ms", lead_ms).with("rss_bytes", rss_bytes)])
}

/// Tells the node all that the owner has on its disk, as the stream would.
fn follow(node: &mut Node, owner: &Config) -> Result<()> {
    let (_, recovery) = store(owner)?;
    let found = recovery.newest.context("the owner's disk has nothing")?;
    let origin = origin(owner)?;
    node.engine.begin_full(origin);
    let (flows, table): (Vec<Entry>, Vec<Entry>) =
        found.image.entries().partition(|entry| matches!(entry, Entry::Remembered(_)));
    node.engine.full_part(origin, &table)?;
    for part in flows {
        node.engine.full_part(origin, &[part])?;
    }
    node.engine.end_full(origin, found.generation)?;
    Ok(())
}

/// A node starts with what the disk has, and says when it forwards.
pub fn start(case: Case, directory: &Path) -> Result<()> {
    let last = case.remembered.saturating_sub(1);
    let (node, took) = Node::start(config(directory, case)?)?;
    ensure!(node.way(last)?.is_some(), "a node that has started does not forward flow {last}");
    println!("{FORWARDS}");
    std::io::stdout().flush()?;
    let (rss_bytes, peak_bytes) = (usage::resident()?, usage::peak()?);
    let world = World::new(&config(directory, case)?, case)?;
    let broken = node.broken(&world.ways(LOOKED_AFTER)?)?;
    let Took { load_ms, disk_ms, engine_ms } = took;
    let start = Start { load_ms, disk_ms, engine_ms, rss_bytes, peak_bytes, broken };
    println!("{}", serde_json::to_string(&start)?);
    Ok(())
}
