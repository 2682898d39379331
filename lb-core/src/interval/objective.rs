//! J(D): what a checkpoint every D seconds costs a second, together with what it leaves to be lost.

use super::{lambert, sane};

/// The shortest interval that is reckoned with, in seconds.
const LEAST_INTERVAL: f64 = 1e-9;
/// Flows that never end end so seldom, per second.
const LEAST_END_RATE: f64 = 1e-9;
/// A flow that is in a merged delta is there twice: as it comes and as it goes.
const MERGED_ENTRIES: f64 = 2.0;

/// What J follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs {
    /// c0: what a checkpoint costs, however little is in it, in seconds.
    pub fixed_cost: f64,
    /// c1: what each of its entries costs, in seconds.
    pub entry_cost: f64,
    /// lambda: failures per second.
    pub failure_rate: f64,
    /// w: what a lost flow is worth, in seconds.
    pub flow_weight: f64,
    /// rho nu: flows that come to be at risk, per second.
    pub at_risk_rate: f64,
    /// mu: how often a flow ends, per second: 1 by its mean life.
    pub end_rate: f64,
    /// What is in a checkpoint.
    pub content: Content,
}

/// What is in a checkpoint: m(D).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// Everything, whatever has changed.
    Full {
        /// Entries.
        entries: f64,
    },
    /// Every change since the last one, in order.
    Log {
        /// Entries per second.
        entry_rate: f64,
    },
    /// The last word on each flow that has changed since the last one: who came and went in between is not in it.
    Merged,
}

/// The parts of J at one interval, in CPU seconds a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// What checkpoints take.
    pub checkpoints: f64,
    /// What is lost with flows at risk.
    pub losses: f64,
}

impl Cost {
    /// J.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.checkpoints + self.losses
    }
}

/// J, for some inputs.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    inputs: Inputs,
}

impl Objective {
    /// J for these inputs. What is negative counts as 0, and what is no number, too.
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        let number = |value| sane(value, 0.0);
        let content = match inputs.content {
            Content::Full { entries } => Content::Full { entries: number(entries) },
            Content::Log { entry_rate } => Content::Log { entry_rate: number(entry_rate) },
            Content::Merged => Content::Merged,
        };
        let inputs = Inputs {
            fixed_cost: number(inputs.fixed_cost),
            entry_cost: number(inputs.entry_cost),
            failure_rate: number(inputs.failure_rate),
            flow_weight: number(inputs.flow_weight),
            at_risk_rate: number(inputs.at_risk_rate),
            end_rate: sane(inputs.end_rate, LEAST_END_RATE),
            content,
        };
        Self { inputs }
    }

    /// J at an interval of so many seconds.
    #[must_use]
    pub fn cost(&self, interval: f64) -> Cost {
        let interval = sane(interval, LEAST_INTERVAL);
        let Inputs { fixed_cost, entry_cost, failure_rate, flow_weight, .. } = self.inputs;
        Cost {
            checkpoints: (fixed_cost + entry_cost * self.entries(interval)) / interval,
            losses: failure_rate * flow_weight * self.unsaved(interval),
        }
    }

    /// m(D): entries of a checkpoint, in the mean.
    #[must_use]
    pub fn entries(&self, interval: f64) -> f64 {
        let Inputs { at_risk_rate, end_rate, content, .. } = self.inputs;
        match content {
            Content::Full { entries } => entries,
            Content::Log { entry_rate } => entry_rate * interval,
            Content::Merged => MERGED_ENTRIES * at_risk_rate / end_rate * -(-end_rate * interval).exp_m1(),
        }
    }

    /// Flows that live and are in no checkpoint yet, at a random instant, in the mean.
    #[must_use]
    pub fn unsaved(&self, interval: f64) -> f64 {
        let Inputs { at_risk_rate, end_rate, .. } = self.inputs;
        let x = end_rate * interval;
        at_risk_rate / end_rate * (lambert::excess(x) / x)
    }

    /// D*: the interval at which J is least, in seconds; none where no checkpoint pays, however seldom they are made.
    #[must_use]
    pub fn optimum(&self) -> Option<f64> {
        let end_rate = self.inputs.end_rate;
        let kappa = self.cost_of_one() * end_rate * end_rate / self.gain()?;
        (kappa < 1.0).then(|| lambert::lower(-(-kappa).ln_1p()) / end_rate)
    }

    /// Young's form of D*, for flows that live much longer than it; none where no checkpoint pays.
    #[must_use]
    pub fn young(&self) -> Option<f64> {
        Some((2.0 * self.cost_of_one() / self.gain()?).sqrt())
    }

    /// C: what one more checkpoint costs, beside entries that are written sooner or later anyhow.
    fn cost_of_one(&self) -> f64 {
        let Inputs { fixed_cost, entry_cost, content, .. } = self.inputs;
        match content {
            Content::Full { entries } => fixed_cost + entry_cost * entries,
            Content::Log { .. } | Content::Merged => fixed_cost,
        }
    }

    /// How fast that grows which a checkpoint saves, in seconds per second and second.
    fn gain(&self) -> Option<f64> {
        let Inputs { entry_cost, failure_rate, flow_weight, at_risk_rate, end_rate, content, .. } = self.inputs;
        let spent = match content {
            // Who waits has less to write.
            Content::Merged => MERGED_ENTRIES * entry_cost * end_rate,
            Content::Full { .. } | Content::Log { .. } => 0.0,
        };
        let gain = at_risk_rate * (failure_rate * flow_weight - spent);
        (gain > 0.0).then_some(gain)
    }
}
