//! Measures on line what the interval follows from, and says which one to use.

use super::flows::{Flows, Passed};
use super::objective::{Content, Inputs, Objective};
use super::regression::{Line, Regression};

/// What a commit is taken to cost before there was one, in CPU seconds: so much, and so much an entry.
const ASSUMED: Line = Line { at_zero: 5e-4, slope: 5e-7 };
/// A commit costs this much at least, in CPU seconds: what is measured as nothing is not free.
const LEAST_COST: f64 = 1e-6;
/// The interval stays as it is while the best one is within this factor: J is flat there: 2.5% above its least at the ends.
const DEAD_BAND: f64 = 1.25;
/// Shortest limit that is reckoned with, in seconds.
const LEAST_LIMIT: f64 = 1e-3;

/// Between which the interval stays, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The shortest.
    pub least: f64,
    /// The longest. Where it is shorter than the least, that counts.
    pub max: f64,
}

/// What is not measured, but configured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// 1/lambda: how long a node goes without a failure, in the mean, in seconds.
    pub mean_time_between_failures: f64,
    /// w: what a lost flow is worth, in CPU seconds.
    pub flow_weight: f64,
}

/// What is measured, and whether it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What J follows from.
    pub inputs: Inputs,
    /// Flows that are remembered now.
    pub known: f64,
    /// `inputs.fixed_cost` is measured.
    pub knows_fixed_cost: bool,
    /// `inputs.entry_cost` is measured.
    pub knows_entry_cost: bool,
    /// `inputs.at_risk_rate` and the rate of entries are measured.
    pub knows_rates: bool,
    /// `inputs.end_rate` is measured.
    pub knows_end_rate: bool,
}

/// Measures, and advises. It needs the same few bytes however long it runs.
#[derive(Clone, Copy, Debug)]
pub struct Estimator {
    costs: Regression,
    flows: Flows,
    /// The interval in use, in seconds; none before the first.
    interval: Option<f64>,
}

impl Default for Estimator {
    fn default() -> Self {
        Self { costs: Regression::new(ASSUMED), flows: Flows::default(), interval: None }
    }
}

impl Estimator {
    /// A commit of so many entries has cost so much CPU time, in seconds.
    pub fn committed(&mut self, entries: u64, seconds: f64) {
        self.costs.observe(entries as f64, seconds);
    }

    /// So many seconds have passed, and meanwhile this has happened.
    pub fn passed(&mut self, seconds: f64, passed: &Passed) {
        self.flows.passed(seconds, passed);
    }

    /// The interval to use, in seconds. It stays as it was unless another one is clearly better.
    pub fn interval(&mut self, weights: &Weights, limits: &Limits) -> f64 {
        let limits = limits.sane();
        // Where no checkpoint pays, the fewer the better. Before anything is known, none is to be missed.
        let never = if self.flows.knows_rates() { limits.max } else { limits.least };
        let best = Objective::new(self.estimate(weights).inputs).optimum().unwrap_or(never);
        let best = limits.clamp(best);
        let interval = match self.interval.map(|interval| limits.clamp(interval)) {
            Some(interval) if best <= interval * DEAD_BAND && interval <= best * DEAD_BAND => interval,
            Some(_) | None => best,
        };
        self.interval = Some(interval);
        interval
    }

    /// What J follows from, by all that was measured.
    #[must_use]
    pub fn estimate(&self, weights: &Weights) -> Estimate {
        let Line { at_zero, slope } = self.costs.line();
        Estimate {
            inputs: Inputs {
                fixed_cost: at_zero.max(LEAST_COST),
                entry_cost: slope,
                failure_rate: 1.0 / weights.mean_time_between_failures.max(1.0),
                flow_weight: weights.flow_weight,
                at_risk_rate: self.flows.at_risk_rate(),
                end_rate: self.flows.end_rate(),
                content: Content::Log { entry_rate: self.flows.entry_rate() },
            },
            known: self.flows.known(),
            knows_fixed_cost: self.costs.knows_height(),
            knows_entry_cost: self.costs.knows_slope(),
            knows_rates: self.flows.knows_rates(),
            knows_end_rate: self.flows.knows_life(),
        }
    }
}

impl Limits {
    /// As they can be used: numbers, and the second not below the first.
    pub(super) fn sane(self) -> Self {
        let least = super::sane(self.least, LEAST_LIMIT);
        Self { least, max: super::sane(self.max, least) }
    }

    fn clamp(&self, interval: f64) -> f64 {
        // Both are numbers, and in order.
        if interval.is_nan() { self.least } else { interval.max(self.least).min(self.max) }
    }
}
