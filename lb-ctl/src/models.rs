//! What `lbctl` works out by itself: models that need no daemon.

use lb_core::availability::{Pair, Steady, minutes_a_year};
use lb_core::interval::Job;
use serde::Serialize;

/// Points of a curve.
const POINTS: u32 = 61;
/// A curve begins with this share of a takeover, so that its first rise is seen.
const FIRST: f64 = 0.1;
/// And ends after so many repairs: by then all is as in the long run.
const LAST: f64 = 10.0;
/// Shortest and longest time of a curve, in seconds.
const TIMES: std::ops::RangeInclusive<f64> = 1e-6..=1e12;

/// How available a pair is.
#[derive(Debug, Serialize)]
pub struct Availability {
    /// What it follows from, in seconds.
    pub pair: Pair,
    /// In which state the pair is for which share of the time, in the long run.
    pub steady: Steady,
    /// The share of the time in which nobody serves.
    pub with_backup: Unavailability,
    /// The same where there is no backup.
    pub without_backup: Unavailability,
    /// How likely it is that nobody serves, by the time since both nodes were there.
    pub curve: Vec<TransientPoint>,
}

/// How long nobody serves.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Unavailability {
    /// As a share of the time.
    pub share: f64,
    /// In minutes a year.
    pub minutes_a_year: f64,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TransientPoint {
    /// Seconds since both nodes were there.
    pub seconds: f64,
    /// How likely it is that nobody serves.
    pub unavailability: f64,
}

/// How often a job should make a checkpoint.
#[derive(Debug, Serialize)]
pub struct JobAdvice {
    /// M, in seconds.
    pub mean_time_between_failures: f64,
    /// C, in seconds.
    pub checkpoint: f64,
    /// R, in seconds.
    pub restart: f64,
    /// The rules, the exact one first.
    pub rules: Vec<Rule>,
}

/// What a rule says.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Whose it is.
    pub name: &'static str,
    /// The interval that it gives, in seconds.
    pub interval: f64,
    /// How much longer than its work the job takes with it; none where it never ends.
    pub stretch: Option<f64>,
}

impl From<f64> for Unavailability {
    fn from(share: f64) -> Self {
        Self { share, minutes_a_year: minutes_a_year(share) }
    }
}

/// How available this pair is.
pub fn availability(pair: Pair) -> Availability {
    let steady = pair.steady();
    let times = times(pair.detection + pair.restore, pair.repair);
    let point = |seconds| TransientPoint { seconds, unavailability: pair.unavailability_after(seconds) };
    Availability {
        pair,
        steady,
        with_backup: steady.unavailability().into(),
        without_backup: pair.unavailability_without_backup().into(),
        curve: times.map(point).collect(),
    }
}

/// Times that grow by one factor, from well within a takeover to well after a repair.
fn times(takeover: f64, repair: f64) -> impl Iterator<Item = f64> {
    let within = |time: f64| time.clamp(*TIMES.start(), *TIMES.end());
    let (first, last) = (within(takeover * FIRST), within(repair.max(takeover) * LAST));
    let step = (last / first).ln() / f64::from(POINTS - 1);
    (0..POINTS).map(move |index| first * (step * f64::from(index)).exp())
}

/// What each rule says of this job.
pub fn job(job: Job) -> JobAdvice {
    let rule = |name, interval: f64| {
        let stretch = Some(job.stretch(interval)).filter(|stretch| stretch.is_finite());
        Rule { name, interval, stretch }
    };
    JobAdvice {
        mean_time_between_failures: job.mean_time_between_failures,
        checkpoint: job.checkpoint,
        restart: job.restart,
        rules: vec![
            rule("exact", job.optimum()),
            rule("Young", job.young()),
            rule("Daly, first order", job.daly_first_order()),
            rule("Daly, higher order", job.daly_higher_order()),
        ],
    }
}
