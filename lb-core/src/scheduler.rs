//! From reported load to weights: the law of scheduling. docs/balance.md says what it does and why.
//!
//! [`Scheduler::observe`] takes in what reals report, [`Scheduler::step`] decides once every interval. What is decided is a
//! factor for each real, that multiplies its configured weights. Reals are compared only where they serve together: the hits of
//! one service say nothing about those of another.

mod capacity;
mod group;
mod law;
mod load;
mod step;

use std::collections::BTreeMap;

use group::groups;
use load::Observed;

/// The configurable parts of the law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SchedulerOptions {
    /// How often weights are decided, in milliseconds.
    pub interval_ms: u64,
    /// Time constant of the smoothing of utilisation and hits, in milliseconds.
    pub smoothing_ms: u64,
    /// A weight moves by this part of itself in a step, at most: 0.1 is 10%.
    pub step: f64,
    /// A weight that is nearer to its goal than this part of itself stays.
    pub dead_band: f64,
    /// The least weight, as a part of the mean.
    pub floor: f64,
    /// So many intervals without a report: the weight is held. Until then it moves on with the last report.
    pub hold_after: u32,
    /// A report older than this is no report any more, in milliseconds: the real gets the mean weight.
    pub expire_ms: u64,
    /// How long a real that has come (back) takes to get its whole weight, in milliseconds; 0: at once.
    pub slow_start_ms: u64,
    /// A real with a greater utilisation is hot; `None`: none ever is.
    pub hot_above: Option<f64>,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            interval_ms: 1_000,
            smoothing_ms: 4_000,
            step: 0.1,
            dead_band: 0.05,
            floor: 0.02,
            hold_after: 3,
            expire_ms: 30_000,
            slow_start_ms: 30_000,
            hot_above: None,
        }
    }
}

/// Load factor of a real that is sent flows by its configured weight alone.
pub const NEUTRAL_FACTOR: u32 = 1_000;

/// The greatest factor: a configured weight (16 bits) times a factor fits 32 bits.
pub const MAX_FACTOR: u32 = 65_535;

/// What a real's load was, as its report said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Utilisation of its busiest resource; 1.0 is all of it.
    pub utilisation: f64,
    /// Hits per second.
    pub hits: Option<f64>,
}

/// A real that the scheduler decides about.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// Its name.
    pub real: &'a str,
    /// The services that it serves. Reals are compared with those that they serve with, directly or by way of others.
    pub services: Vec<&'a str>,
    /// The configured weight: where the law starts, and what the factor multiplies.
    pub weight: u32,
    /// It may get new flows: it is up and enabled.
    pub eligible: bool,
    /// The law may move its weight. Not so where the operator has set one, or its services are `static`.
    pub adaptive: bool,
    /// New flows per second that this node has sent to it since the last step; stands in for hits that are not reported.
    pub new_flows: Option<f64>,
    /// The share of its weight that an agent-check has asked for (1.0: all of it), in place of reported load.
    pub asked: Option<f64>,
}

/// What is decided about a real.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Multiplies its configured weights; [`NEUTRAL_FACTOR`] is 1.
    pub factor: u32,
    /// The factor that the law is on its way to.
    pub goal: u32,
    /// It is overloaded for the moment.
    pub hot: bool,
    /// Smoothed utilisation.
    pub utilisation: Option<f64>,
    /// Smoothed hits per second.
    pub hits: Option<f64>,
    /// Hits per second that it could serve.
    pub capacity: Option<f64>,
    /// Why the factor is what it is.
    pub why: Why,
}

/// Why a real has its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// By the law, and there is nothing to move: the goal is within the dead band.
    Steady,
    /// By the law, on its way to the goal.
    Moving,
    /// By the law, as low as it gets.
    Floor,
    /// Too little is to be done to tell its capacity.
    Idle,
    /// Reports are missing: the weight is held.
    Held,
    /// It has not reported for so long that the mean weight is used.
    Expired,
    /// It has never reported: the mean weight, or the configured one where none reports.
    NoReports,
    /// It has come lately, and is eased in; from 0.0 to 1.0.
    SlowStart(f64),
    /// An agent-check asks for this part of the configured weight.
    Asked(f64),
    /// The law may not move it.
    Static,
    /// It gets no new flows.
    NotEligible,
}

/// The scheduler: what it remembers of each real, and the law.
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    options: SchedulerOptions,
    reals: BTreeMap<String, Real>,
    stepped_ms: Option<u64>,
}

/// What is remembered of a real.
#[derive(Clone, Debug)]
struct Real {
    /// Multiplies the configured weight; 1.0 is neutral.
    factor: f64,
    /// A move has begun and has not come to its goal.
    moving: bool,
    hot: bool,
    /// Since when it is eased in.
    joined_ms: Option<u64>,
    /// Its factor comes from before a restart: it holds for a while though there is no report.
    restored: bool,
    observed: Observed,
}

impl Default for Real {
    fn default() -> Self {
        Self { factor: 1.0, moving: false, hot: false, joined_ms: None, restored: false, observed: Observed::default() }
    }
}

impl Scheduler {
    /// A scheduler that knows no real yet.
    #[must_use]
    pub fn new(options: SchedulerOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The options in use.
    #[must_use]
    pub fn options(&self) -> &SchedulerOptions {
        &self.options
    }

    /// Goes on with other options. What is known of the reals stays.
    pub fn set_options(&mut self, options: SchedulerOptions) {
        self.options = options;
    }

    /// Takes in a report. `interval_ms` is how often the real means to report. What is no number is ignored, and what no
    /// real can have is cut.
    pub fn observe(&mut self, real: &str, sample: Sample, interval_ms: u64, now_ms: u64) {
        let smoothing_ms = self.options.smoothing_ms;
        self.real(real).observed.report(sample, interval_ms, smoothing_ms, now_ms);
    }

    /// A real has come (back): from now on it is eased in, and what it reported before is forgotten. Its factor is not.
    pub fn joined(&mut self, real: &str, now_ms: u64) {
        let real = self.real(real);
        real.joined_ms = Some(now_ms);
        real.observed = Observed::default();
    }

    /// Where a daemon that was restarted goes on: the factor that the real had.
    pub fn restore(&mut self, real: &str, factor: u32) {
        let real = self.real(real);
        real.factor = f64::from(factor.clamp(1, MAX_FACTOR)) / f64::from(NEUTRAL_FACTOR);
        real.restored = true;
    }

    /// Forgets all reals but those that `keep` names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.reals.retain(|real, _| keep(real));
    }

    /// Decides about all reals; to be called every `interval_ms`. A call that comes early moves weights by less, and one that
    /// comes late by no more. A candidate is named once.
    pub fn step(&mut self, candidates: &[Candidate<'_>], now_ms: u64) -> BTreeMap<String, Decision> {
        let passed_ms = self.passed_ms(now_ms);
        let groups = groups(candidates);
        groups.iter().flat_map(|group| self.step_group(group, passed_ms, now_ms)).collect()
    }

    fn real(&mut self, name: &str) -> &mut Real {
        self.reals.entry(name.to_owned()).or_default()
    }

    /// Time since the last step, at most an interval.
    fn passed_ms(&mut self, now_ms: u64) -> u64 {
        let interval_ms = self.options.interval_ms.max(1);
        let last_ms = self.stepped_ms.replace(now_ms);
        last_ms.map_or(interval_ms, |last_ms| now_ms.saturating_sub(last_ms).min(interval_ms))
    }
}

#[cfg(test)]
mod tests;
