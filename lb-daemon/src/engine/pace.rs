//! How long the steps of a start or a reload take, for the log.

use std::fmt;
use std::time::{Duration, Instant};

/// Steps, each with its time.
pub(super) struct Pace {
    began: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Pace {
    /// Begins.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, steps: Vec::new() }
    }

    /// A step has ended.
    pub(super) fn step(&mut self, what: &'static str) {
        let now = Instant::now();
        self.steps.push((what, now - self.last));
        self.last = now;
    }

    /// So much of the last step was this.
    pub(super) fn part(&mut self, what: &'static str, took: Duration) {
        if let Some((_, whole)) = self.steps.last_mut() {
            *whole = whole.saturating_sub(took);
        }
        self.steps.push((what, took));
    }
}

/// `12 ms (configuration 2, maps 9)`.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.iter().map(|(what, took)| format!("{what} {}", took.as_millis()));
        write!(f, "{} ms ({})", self.began.elapsed().as_millis(), steps.collect::<Vec<_>>().join(", "))
    }
}
