//! What measures and reports on each server: once a second, a little wrong, a little late, and now and then not at all.

use std::collections::VecDeque;

use fastrand::Rng;
use lb_core::scheduler::Sample;

use super::server::Server;

/// Seconds between reports.
const INTERVAL: f64 = 1.0;
/// A report is under way for so long, in seconds: from and to.
const DELAY: (f64, f64) = (0.02, 0.3);
/// Standard deviation of what utilisation is measured wrong by, as a part of it.
const NOISE: f64 = 0.05;
/// This part of the reports is lost.
const LOSS: f64 = 0.01;

/// The agent of one server.
#[derive(Clone, Debug)]
pub struct Agent {
    random: Rng,
    next: f64,
    measured_at: f64,
    busy: f64,
    accepted: u64,
    under_way: VecDeque<(f64, Sample)>,
}

impl Agent {
    /// An agent that measures at an instant of its own within each second.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let next = INTERVAL * random.f64();
        Self { random, next, measured_at: 0.0, busy: 0.0, accepted: 0, under_way: VecDeque::new() }
    }

    /// When it has something to do next: to measure, or to have a report arrive.
    #[must_use]
    pub fn next(&self) -> f64 {
        self.under_way.front().map_or(self.next, |(arrives, _)| arrives.min(self.next))
    }

    /// Does what is due at `now`; a report that arrives is returned. The server must have been advanced to now.
    pub fn act(&mut self, server: &Server, now: f64) -> Option<Sample> {
        if self.next <= now {
            self.measure(server, now);
            self.next += INTERVAL;
        }
        self.under_way.pop_front_if(|(arrives, _)| *arrives <= now).map(|(_, sample)| sample)
    }

    fn measure(&mut self, server: &Server, now: f64) {
        let passed = now - self.measured_at;
        let utilisation = (server.busy() - self.busy) / passed * (1.0 + NOISE * self.normal());
        let hits = (server.accepted() - self.accepted) as f64 / passed;
        (self.measured_at, self.busy, self.accepted) = (now, server.busy(), server.accepted());
        let arrives = now + DELAY.0 + (DELAY.1 - DELAY.0) * self.random.f64();
        if self.random.f64() >= LOSS && passed > 0.0 {
            let sample = Sample { utilisation: utilisation.clamp(0.0, 1.0), hits: Some(hits) };
            self.under_way.push_back((arrives, sample));
        }
    }

    /// Normally distributed, with mean 0 and deviation 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.random.f64()).cos()
    }
}
