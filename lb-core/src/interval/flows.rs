//! How flows come and go, from what was counted: sums in which what is long ago counts for less and less.

/// What is this long ago counts for 1/e as a rate, in seconds.
const RATE_HORIZON: f64 = 60.0;
/// The same for how long flows live, in seconds: longer, since they do.
const LIFE_HORIZON: f64 = 600.0;
/// As if one flow had been seen to live for so long, in seconds: what is assumed as long as hardly any was.
const ASSUMED_LIFE: f64 = 60.0;
/// A rate is not told from less time than this, in seconds.
const LEAST_TIME: f64 = 1.0;
/// From so many ends on the mean life is called measured.
const ENOUGH_ENDS: f64 = 10.0;
/// Most seconds that pass between two looks, and most of anything that is counted in one.
const MOST: f64 = 1e12;

/// What has happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Flows that are newly remembered.
    pub remembered: u64,
    /// Flows that are remembered no more.
    pub forgotten: u64,
    /// Entries of any kind.
    pub entries: u64,
    /// Flows that are remembered now.
    pub known: u64,
}

/// Sums that fade.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    time: f64,
    remembered: f64,
    entries: f64,
    ends: f64,
    flow_seconds: f64,
    known: f64,
}

impl Flows {
    /// Takes in what has happened in so many seconds.
    pub(super) fn passed(&mut self, seconds: f64, passed: &Passed) {
        let seconds = if seconds > 0.0 { seconds.min(MOST) } else { 0.0 };
        let number = |count: u64| (count as f64).min(MOST);
        let fade = (-seconds / RATE_HORIZON).exp();
        self.time = self.time * fade + seconds;
        self.remembered = self.remembered * fade + number(passed.remembered);
        self.entries = self.entries * fade + number(passed.entries);
        let fade = (-seconds / LIFE_HORIZON).exp();
        self.ends = self.ends * fade + number(passed.forgotten);
        self.flow_seconds = self.flow_seconds * fade + number(passed.known) * seconds;
        self.known = number(passed.known);
    }

    /// Flows that come to be at risk, per second.
    pub(super) fn at_risk_rate(&self) -> f64 {
        self.remembered / self.time.max(LEAST_TIME)
    }

    /// Entries of any kind, per second.
    pub(super) fn entry_rate(&self) -> f64 {
        self.entries / self.time.max(LEAST_TIME)
    }

    /// How often a flow ends, per second.
    pub(super) fn end_rate(&self) -> f64 {
        (self.ends + 1.0) / (self.flow_seconds + ASSUMED_LIFE)
    }

    /// Flows that are remembered.
    pub(super) fn known(&self) -> f64 {
        self.known
    }

    /// Time has passed, so that there are rates.
    pub(super) fn knows_rates(&self) -> bool {
        self.time >= LEAST_TIME
    }

    /// Enough flows were seen to end.
    pub(super) fn knows_life(&self) -> bool {
        self.ends >= ENOUGH_ENDS
    }
}
