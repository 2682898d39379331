//! Ours: the load balancer's own scheduler, ring and ring editor.

use lb_core::scheduler::{Candidate, NEUTRAL_FACTOR, Sample, Scheduler, SchedulerOptions};

use super::{
    Policy,
    on_ring::{NAMES, Slots},
};
use crate::sim::{SERVERS, Server};

const REPORT_INTERVAL_MS: u64 = 1_000;

/// The scheduler and its ring.
#[derive(Debug)]
pub struct Understudy {
    scheduler: Scheduler,
    slots: Slots,
}

impl Default for Understudy {
    fn default() -> Self {
        let scheduler = Scheduler::new(SchedulerOptions::default());
        Self { scheduler, slots: Slots::new([NEUTRAL_FACTOR; SERVERS]) }
    }
}

impl Policy for Understudy {
    fn route(&mut self, hash: u32, _: &[Server; SERVERS]) -> usize {
        self.slots.route(hash)
    }

    fn report(&mut self, server: usize, sample: Sample, now: f64) {
        self.scheduler.observe(NAMES[server], sample, REPORT_INTERVAL_MS, ms(now));
    }

    fn tick(&mut self, now: f64) -> f64 {
        let decisions = self.scheduler.step(&NAMES.map(candidate), ms(now));
        let factor = |name: &str| decisions.get(name).map_or(NEUTRAL_FACTOR, |decision| decision.factor);
        self.slots.set(NAMES.map(factor), now);
        self.slots.take_moved()
    }
}

fn candidate(real: &str) -> Candidate<'_> {
    Candidate { real, services: vec!["web"], weight: 1, eligible: true, adaptive: true, new_flows: None, asked: None }
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}
