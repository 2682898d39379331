//! How available a pair is: a Markov model of main and backup. docs/checkpoint-interval.md says what it takes for granted.
//!
//! [`Pair`] is what an operator knows: how long nodes go without a failure, and how long it takes to repair one, to notice that it is dead, and to
//! restore what it knew. [`Steady`] is in which state the pair is for which share of the time, [`Pair::unavailability_after`] how that comes about.

mod chain;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use chain::Chain;

/// The shortest time that is reckoned with, in seconds: what takes no time takes this.
const LEAST: f64 = 1e-9;
/// The longest, in seconds: some 300,000 years.
const MOST: f64 = 1e13;
const MINUTES_A_YEAR: f64 = 365.25 * 24.0 * 60.0;

/// Main and backup serve as one.
const BOTH: usize = 0;
const DETECTING: usize = 1;
const RESTORING: usize = 2;
const ALONE: usize = 3;
const DOWN: usize = 4;
const STATES: usize = 5;

/// A main and its backup, of the same kind. All times are means, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// How long a node goes without a failure.
    pub mtbf: f64,
    /// How long it takes until a failed node is back. Of two failed ones, one is repaired first.
    pub repair: f64,
    /// How long it takes until the backup knows that the main is dead.
    pub detection: f64,
    /// How long it takes from then on until the backup serves with what the main knew.
    pub restore: f64,
    /// How long it takes from one failure to the next that takes both nodes at once; none where there is no such.
    pub common_cause: Option<f64>,
}

/// In which state a pair is for which share of the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Main and backup are there.
    pub both: f64,
    /// The main is dead, and the backup does not know it yet.
    pub detecting: f64,
    /// A node is about to serve, and restores what was known.
    pub restoring: f64,
    /// One node serves, and the other is repaired.
    pub alone: f64,
    /// Neither node is there.
    pub down: f64,
}

impl Steady {
    /// The share of the time in which nobody serves.
    #[must_use]
    pub fn unavailability(&self) -> f64 {
        (self.detecting + self.restoring + self.down).min(1.0)
    }
}

/// Minutes of a year that a share of the time comes to.
#[must_use]
pub fn minutes_a_year(share: f64) -> f64 {
    share * MINUTES_A_YEAR
}

impl Pair {
    /// For which share of the time the pair is in which state, in the long run.
    #[must_use]
    pub fn steady(&self) -> Steady {
        let share = self.chain().steady();
        Steady {
            both: share[BOTH],
            detecting: share[DETECTING],
            restoring: share[RESTORING],
            alone: share[ALONE],
            down: share[DOWN],
        }
    }

    /// How likely it is that nobody serves, so many seconds after both nodes were there.
    #[must_use]
    pub fn unavailability_after(&self, seconds: f64) -> f64 {
        let share = self.chain().after(BOTH, sane(seconds));
        (share[DETECTING] + share[RESTORING] + share[DOWN]).min(1.0)
    }

    /// The share of the time in which nobody serves where there is a main without a backup: it is repaired, and restores what it knew.
    #[must_use]
    pub fn unavailability_without_backup(&self) -> f64 {
        const UP: usize = 0;
        const REPAIRED: usize = 1;
        const RESTORED: usize = 2;
        let failures = self.failures() + self.common_failures();
        let mut chain = Chain::<3>::default();
        chain.add(UP, REPAIRED, failures);
        chain.add(REPAIRED, RESTORED, 1.0 / sane(self.repair));
        chain.add(RESTORED, UP, 1.0 / sane(self.restore));
        chain.add(RESTORED, REPAIRED, failures);
        let share = chain.steady();
        (share[REPAIRED] + share[RESTORED]).min(1.0)
    }

    /// The states of the pair, and how fast it goes from one to the other.
    #[must_use]
    pub fn chain(&self) -> Chain<STATES> {
        let (failures, common) = (self.failures(), self.common_failures());
        let repairs = 1.0 / sane(self.repair);
        let mut chain = Chain::default();
        chain.add(BOTH, DETECTING, failures);
        // The backup has failed.
        chain.add(BOTH, ALONE, failures);
        chain.add(BOTH, DOWN, common);
        chain.add(DETECTING, RESTORING, 1.0 / sane(self.detection));
        chain.add(RESTORING, ALONE, 1.0 / sane(self.restore));
        chain.add(ALONE, BOTH, repairs);
        chain.add(DOWN, RESTORING, repairs);
        for last_node in [DETECTING, RESTORING, ALONE] {
            chain.add(last_node, DOWN, failures + common);
        }
        chain
    }

    fn failures(&self) -> f64 {
        1.0 / sane(self.mtbf)
    }

    fn common_failures(&self) -> f64 {
        self.common_cause.map_or(0.0, |mean| 1.0 / sane(mean))
    }
}

fn sane(seconds: f64) -> f64 {
    if seconds.is_nan() { LEAST } else { seconds.clamp(LEAST, MOST) }
}
