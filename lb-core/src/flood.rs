//! SYN floods: when one begins and when it is over, by the SYNs that a service has been sent.

use crate::service::SynFlood;

/// A flood is over when the rate has been below half of the threshold for so long, in milliseconds.
pub const CALM_MS: u64 = 10_000;
/// The rate is looked at no more often than this, in milliseconds.
pub const LOOK_MS: u64 = 500;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A flood has begun.
    Began {
        /// SYNs in a second.
        rate: u64,
    },
    /// It is over.
    Over {
        /// How long it took, in milliseconds.
        lasted_ms: u64,
    },
}

/// What is known of a service's SYNs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// When they were counted last, and how many there were.
    counted: Option<(u64, u64)>,
    /// In a second, between the last two looks.
    rate: u64,
    /// Since when there is a flood.
    since_ms: Option<u64>,
    /// Since when the rate is low again.
    low_since_ms: Option<u64>,
}

impl Flood {
    /// Whether there is a flood.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.since_ms.is_some()
    }

    /// SYNs in a second, when they were counted last.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The service has been sent `syns` by now, all together. Counts that are nearer to each other than [`LOOK_MS`] say nothing.
    pub fn count(&mut self, limit: SynFlood, syns: u64, now_ms: u64) -> Option<Turn> {
        let Some((then_ms, before)) = self.counted else {
            self.counted = Some((now_ms, syns));
            return None;
        };
        let passed_ms = now_ms.saturating_sub(then_ms);
        if passed_ms < LOOK_MS {
            return None;
        }
        self.counted = Some((now_ms, syns));
        // Counters that began anew say nothing of what was before.
        self.rate = syns.checked_sub(before)?.saturating_mul(1_000) / passed_ms;
        self.turn(u64::from(limit.threshold), then_ms, now_ms)
    }

    fn turn(&mut self, threshold: u64, then_ms: u64, now_ms: u64) -> Option<Turn> {
        let Some(since_ms) = self.since_ms else {
            if self.rate <= threshold {
                return None;
            }
            (self.since_ms, self.low_since_ms) = (Some(now_ms), None);
            return Some(Turn::Began { rate: self.rate });
        };
        if self.rate.saturating_mul(2) >= threshold {
            self.low_since_ms = None;
            return None;
        }
        let low_since_ms = *self.low_since_ms.get_or_insert(then_ms);
        if now_ms.saturating_sub(low_since_ms) < CALM_MS {
            return None;
        }
        (self.since_ms, self.low_since_ms) = (None, None);
        Some(Turn::Over { lasted_ms: now_ms.saturating_sub(since_ms) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: SynFlood = SynFlood { threshold: 1_000 };

    /// Counts SYNs at this rate each second, `seconds` times; the turns with the second in which they came.
    fn run(flood: &mut Flood, at_s: &mut u64, syns: &mut u64, rate: u64, seconds: u64) -> Vec<(u64, Turn)> {
        let mut turns = Vec::new();
        for _ in 0..seconds {
            *at_s += 1;
            *syns += rate;
            turns.extend(flood.count(LIMIT, *syns, *at_s * 1_000).map(|turn| (*at_s, turn)));
        }
        turns
    }

    #[test]
    fn a_flood_begins_above_the_threshold_and_ends_after_calm() {
        let (mut flood, mut at_s, mut syns) = (Flood::default(), 0, 0);
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 1_000, 5), []);
        assert!(!flood.is_on());
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 1_001, 5), [(6, Turn::Began { rate: 1_001 })]);
        assert!(flood.is_on());
        // Half of the threshold is not below it.
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 500, 30), []);
        // A moment above begins the wait anew.
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 499, 9), []);
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 500, 1), []);
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 499, 12), [(60, Turn::Over { lasted_ms: 54_000 })]);
        assert!(!flood.is_on());
        assert_eq!(run(&mut flood, &mut at_s, &mut syns, 2_000, 1), [(63, Turn::Began { rate: 2_000 })]);
    }

    #[test]
    fn the_first_count_and_counters_that_begin_anew_say_nothing() {
        let mut flood = Flood::default();
        assert_eq!(flood.count(LIMIT, 1_000_000, 1_000), None);
        assert_eq!(flood.count(LIMIT, 0, 2_000), None);
        assert_eq!(flood.count(LIMIT, 1_000, 3_000), None);
        assert_eq!(flood.count(LIMIT, 3_000, 4_000), Some(Turn::Began { rate: 2_000 }));
        assert_eq!(flood.count(LIMIT, 0, 5_000), None);
        assert!(flood.is_on());
    }

    #[test]
    fn counts_in_quick_succession_are_one() {
        let mut flood = Flood::default();
        assert_eq!(flood.count(LIMIT, 0, 0), None);
        for now_ms in 1..LOOK_MS {
            assert_eq!(flood.count(LIMIT, now_ms, now_ms), None);
        }
        assert_eq!(flood.count(LIMIT, LOOK_MS, LOOK_MS), None);
        assert_eq!(flood.rate(), 1_000);
        assert_eq!(flood.count(LIMIT, LOOK_MS + 501, 2 * LOOK_MS), Some(Turn::Began { rate: 1_002 }));
    }
}
