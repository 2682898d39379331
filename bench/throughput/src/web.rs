//! Connections and requests: how many a second come through each system, how long they take, and what they cost.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{WebServer, interrupt};

use crate::balancers::{Balancers, web_port};
use crate::cpu::{self, Runs};
use crate::report::{Metric, Record};
use crate::system::{Lane, System};
use crate::world::{WEB, World, real_name};
use crate::wrk::{self, Load, Outcome};

/// Seconds of each load on each system in a round, how many rounds, and how often the XDP program's own time is taken.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub seconds: u64,
    pub rounds: usize,
    pub own_rounds: usize,
}

/// Puts the loads on all systems in turn, round after round.
pub fn measure(world: &World, balancers: &mut Balancers, records: &mut [Record], pace: Pace) -> Result<()> {
    let systems: Vec<System> = records.iter().map(|record| record.system).collect();
    world.prepare_for_connections(&systems)?;
    let servers =
        world.numbered_reals().map(|(number, real)| WebServer::start(&world.run, real, &real_name(number), &[WEB]));
    let _servers = servers.collect::<Result<Vec<_>>>()?;
    for round in 1..=pace.rounds {
        for record in records.iter_mut() {
            for load in [Load::Close, Load::Keep] {
                interrupt::check()?;
                let cost = ask(world, balancers, record.system, load, pace.seconds);
                let cost = cost.with_context(|| format!("requests through {}", record.system))?;
                add(record, load, &cost);
                println!("round {round} of {}: {:<16} {}", pace.rounds, record.system, cost.told(load));
            }
        }
    }
    measure_own(world, balancers, records, pace)
}

/// The XDP program's own time, by statistics that cost time themselves: in runs that count for nothing else.
fn measure_own(world: &World, balancers: &mut Balancers, records: &mut [Record], pace: Pace) -> Result<()> {
    let of_understudy = |record: &&mut Record| record.system.lane() == Some(Lane::Understudy);
    for _ in 0..pace.own_rounds {
        for record in records.iter_mut().filter(of_understudy) {
            let program = cpu::program_at(world.lb(Lane::Understudy)?, "eth0")?;
            let _on = cpu::count_runs()?;
            for (load, metric) in [(Load::Close, Metric::Connections), (Load::Keep, Metric::Requests)] {
                interrupt::check()?;
                let before = Runs::of(program)?;
                let cost = ask(world, balancers, record.system, load, pace.seconds)?;
                let runs = Runs::of(program)?.since(before);
                record.add_own(metric, cost.each(cost.own.unwrap_or_default() + runs.time));
            }
        }
    }
    Ok(())
}

/// A load, and CPU time while it ran.
struct Cost {
    outcome: Outcome,
    machine: Duration,
    own: Option<Duration>,
}

fn ask(world: &World, balancers: &mut Balancers, system: System, load: Load, seconds: u64) -> Result<Cost> {
    let group = balancers.process(system)?.map(|process| process.pid());
    let own = || group.map(cpu::of_the_group).transpose();
    let (own_before, machine_before) = (own()?, cpu::of_the_machine()?);
    let targets = world.targets(system);
    let outcome = wrk::run(&world.client, world.run.dir(), &targets, web_port(system), load, seconds)?;
    let machine = cpu::of_the_machine()?.saturating_sub(machine_before);
    let own = own()?.zip(own_before).map(|(after, before)| after.saturating_sub(before));
    Ok(Cost { outcome, machine, own })
}

fn add(record: &mut Record, load: Load, cost: &Cost) {
    let (machine, [p50, p99]) = (cost.each(cost.machine), cost.outcome.latencies_us);
    let metric = match load {
        Load::Close => Metric::Connections,
        Load::Keep => Metric::Requests,
    };
    record.add(metric, cost.outcome.rate, machine);
    if load == Load::Keep {
        record.add(Metric::Median, p50, machine);
        record.add(Metric::Slow, p99, machine);
    }
    // The daemon's time alone is not what Understudy takes; its program's is taken later.
    if let Some(own) = cost.own.filter(|_| record.system.lane() == Some(Lane::Router)) {
        record.add_own(metric, cost.each(own));
    }
}

impl Cost {
    /// Microseconds for each request.
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.outcome.requests as f64
    }

    fn told(&self, load: Load) -> String {
        let Outcome { rate, latencies_us: [p50, p99], .. } = self.outcome;
        let what = if load == Load::Close { "connections" } else { "requests" };
        let own = self.own.map_or(String::new(), |own| format!(", {:.1} of its process", self.each(own)));
        let machine = self.each(self.machine);
        format!("{rate:>10.0} {what} a second, p50 {p50:.0} us, p99 {p99:.0} us, {machine:.1} us of the machine{own}")
    }
}
