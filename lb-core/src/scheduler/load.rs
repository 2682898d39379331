//! What a real has reported, smoothed.

use super::{Sample, capacity::Capacity, law::UNTOLD};

/// Utilisation above this is taken for this.
const MOST_UTILISATION: f64 = 6.5;
/// More hits or flows per second than this are taken for this.
const MOST_RATE: f64 = 1e9;
/// A real that says that it reports less often than this is taken to report so often, in milliseconds.
const LONGEST_INTERVAL_MS: u64 = 60_000;
/// What a real usually gets is the average over so many times the smoothing.
const USUAL: u64 = 8;

/// What is known of a real's load.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    utilisation: Smoothed,
    hits: Rate,
    flows: Rate,
    by_hits: Capacity,
    by_flows: Capacity,
    /// There is too little to do to learn its capacity from what it reports.
    pub(super) is_idle: bool,
    newest: Option<Newest>,
    /// Reports so far.
    pub(super) reports: u32,
}

/// The newest report.
#[derive(Clone, Copy, Debug)]
struct Newest {
    at_ms: u64,
    interval_ms: u64,
    utilisation: f64,
}

/// How old the newest report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Never,
    Fresh,
    /// Reports are missing.
    Late,
    /// It says nothing any more.
    Expired,
}

impl Observed {
    /// Takes in a report. What is no number is not taken in.
    pub(super) fn report(&mut self, sample: Sample, interval_ms: u64, smoothing_ms: u64, now_ms: u64) {
        if sample.utilisation.is_nan() {
            return;
        }
        let utilisation = sample.utilisation.clamp(0.0, MOST_UTILISATION);
        let interval_ms = interval_ms.clamp(1, LONGEST_INTERVAL_MS);
        let smoothing = smoothing_ms as f64 / interval_ms as f64;
        let hits = sample.hits.filter(|hits| !hits.is_nan());
        let passed_ms = self.newest.map_or(interval_ms, |newest| now_ms.saturating_sub(newest.at_ms));
        self.utilisation.add(utilisation, passed_ms, smoothing_ms);
        match hits {
            Some(hits) => self.hits.add(hits.clamp(0.0, MOST_RATE), passed_ms, smoothing_ms),
            None => (self.hits, self.by_hits) = (Rate::default(), Capacity::default()),
        }
        if !self.is_idle && utilisation >= UNTOLD {
            self.learn(utilisation, smoothing);
        }
        self.newest = Some(Newest { at_ms: now_ms, interval_ms, utilisation });
        self.reports = self.reports.saturating_add(1);
    }

    fn learn(&mut self, utilisation: f64, smoothing: f64) {
        if let Some(hits) = self.hits.newest {
            self.by_hits.add(hits, utilisation, smoothing);
        }
        if let Some(flows) = self.flows.newest {
            self.by_flows.add(flows, utilisation, smoothing);
        }
    }

    /// Takes in how many new flows per second the real has been sent.
    pub(super) fn new_flows(&mut self, flows: f64, passed_ms: u64, smoothing_ms: u64) {
        if !flows.is_nan() {
            self.flows.add(flows.clamp(0.0, MOST_RATE), passed_ms, smoothing_ms);
        }
    }

    /// Counts the real as heard of now, though it has said nothing.
    pub(super) fn presume(&mut self, now_ms: u64) {
        let silent = Newest { at_ms: now_ms, interval_ms: 1, utilisation: 0.0 };
        self.newest.get_or_insert(silent);
    }

    pub(super) fn age(&self, hold_after: u32, expire_ms: u64, now_ms: u64) -> Age {
        let Some(newest) = self.newest else { return Age::Never };
        let age_ms = now_ms.saturating_sub(newest.at_ms);
        if age_ms > expire_ms {
            Age::Expired
        } else if self.reports == 0 || age_ms > newest.interval_ms.saturating_mul(hold_after.into()) {
            Age::Late
        } else {
            Age::Fresh
        }
    }

    /// Smoothed utilisation.
    pub(super) fn utilisation(&self) -> Option<f64> {
        self.utilisation.value()
    }

    /// Utilisation as last reported.
    pub(super) fn newest_utilisation(&self) -> Option<f64> {
        self.newest.filter(|_| self.reports > 0).map(|newest| newest.utilisation)
    }

    /// Smoothed hits per second.
    pub(super) fn hits(&self) -> Option<f64> {
        self.hits.smoothed.value()
    }

    /// Hits (or new flows) per second.
    pub(super) fn rate(&self, by_hits: bool) -> &Rate {
        if by_hits { &self.hits } else { &self.flows }
    }

    /// What the real can do, in hits (or new flows) per second.
    pub(super) fn capacity(&self, by_hits: bool) -> &Capacity {
        if by_hits { &self.by_hits } else { &self.by_flows }
    }
}

/// Hits or new flows per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    newest: Option<f64>,
    pub(super) smoothed: Smoothed,
    usual: Smoothed,
}

impl Rate {
    fn add(&mut self, value: f64, passed_ms: u64, smoothing_ms: u64) {
        self.newest = Some(value);
        self.smoothed.add(value, passed_ms, smoothing_ms);
        self.usual.add(value, passed_ms, smoothing_ms.saturating_mul(USUAL));
    }

    /// The newest rate as a part of the usual one, at most 1; 0 where it was never more than 0.
    pub(super) fn left(&self) -> Option<f64> {
        let (newest, usual) = (self.newest?, self.usual.value()?);
        Some(if usual > 0.0 { (newest / usual).min(1.0) } else { 0.0 })
    }
}

/// An exponential moving average; the plain mean as long as there are few values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Smoothed {
    mean: f64,
    count: u32,
}

impl Smoothed {
    fn add(&mut self, value: f64, passed_ms: u64, smoothing_ms: u64) {
        self.count = self.count.saturating_add(1);
        let by_time = 1.0 - (-(passed_ms as f64) / smoothing_ms.max(1) as f64).exp();
        let part = by_time.max(1.0 / f64::from(self.count));
        self.mean += (value - self.mean) * part;
    }

    pub(super) fn value(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }
}
