//! The comparison: for each workload and seed the policies take turns, one run each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::Options;
use crate::load::{self, Load, SESSIONS, SINGLE, Workload};
use crate::report::{self, Figure};
use crate::world::{Policy, SPEEDS, World};

const SEEDS: [u64; 3] = [1, 2, 3];
/// The mean CPU time that a request costs.
const COST: Duration = Duration::from_millis(3);
/// CPU time asked for, of all that the real servers have.
const DEMAND: f64 = 0.65;
/// How long a run goes on before it counts, and while it counts.
const TIMES: [Duration; 2] = [Duration::from_secs(25), Duration::from_secs(40)];
const QUICK_TIMES: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(15)];

/// Measures, prints the figures, and writes them to the file.
pub fn run(options: &Options) -> Result<()> {
    lb_lab::require_root()?;
    lb_lab::interrupt::install();
    let (seeds, times) = if options.quick { (&SEEDS[..1], QUICK_TIMES) } else { (&SEEDS[..], TIMES) };
    let mut figures = Vec::new();
    let wanted = |workload: &Workload| options.only.as_ref().is_none_or(|name| name == workload.name);
    for workload in [SESSIONS, SINGLE].into_iter().filter(wanted) {
        let mut world = World::build(workload.hits)?;
        for &seed in seeds {
            for policy in Policy::ALL {
                lb_lab::interrupt::check()?;
                let load = Load { workload, rate: rate(), cost: COST, seed };
                let figure = measure(&mut world, policy, load, times)?;
                println!("{figure}");
                figures.push(figure);
            }
            println!("{}", world.table()?);
        }
    }
    report::print(&figures);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Requests per second that ask for [`DEMAND`] of the CPU time of all real servers.
fn rate() -> f64 {
    let cpus = f64::from(SPEEDS.iter().sum::<u32>()) / 100.0;
    cpus * DEMAND / COST.as_secs_f64()
}

fn measure(world: &mut World, policy: Policy, load: Load, times: [Duration; 2]) -> Result<Figure> {
    if policy == Policy::Understudy {
        world.forget()?;
    }
    let world = &*world;
    let mut before = (Instant::now(), Vec::new());
    let mut after = before.clone();
    let outcome = load::run(
        &world.client().handle(),
        world.target(policy),
        load,
        times,
        || {
            before = (Instant::now(), world.used()?);
            Ok(())
        },
        || {
            after = (Instant::now(), world.used()?);
            Ok(())
        },
    )?;
    let seconds = after.0.duration_since(before.0).as_secs_f64();
    let utilisation = after.1.iter().zip(&before.1).map(|(after, before)| (after - before) / seconds).collect();
    Ok(Figure::new(policy.name(), load.workload.name, load.seed, utilisation, outcome))
}
