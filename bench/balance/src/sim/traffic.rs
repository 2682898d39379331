//! What arrives: flows at random instants, with heavy-tailed work. A seed names one traffic, and every policy gets the same.

use fastrand::Rng;

/// Flows per second.
pub const FLOWS_PER_SECOND: f64 = 20_000.0;
/// Exponent of the bounded Pareto distribution of work.
const TAIL: f64 = 1.5;
/// The most work, as a multiple of the least.
const SPREAD: f64 = 1_000.0;

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// When it arrives, in seconds.
    pub at: f64,
    /// What it takes a server of capacity 1 alone, in seconds. The mean is 1.
    pub work: f64,
    /// What its addresses and ports hash to.
    pub hash: u32,
}

/// An endless sequence of flows.
#[derive(Clone, Debug)]
pub struct Traffic {
    random: Rng,
    at: f64,
    least: f64,
}

impl Traffic {
    /// The traffic that the seed names.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), at: 0.0, least: 1.0 / mean_work() }
    }
}

impl Iterator for Traffic {
    type Item = Flow;

    fn next(&mut self) -> Option<Flow> {
        self.at += -(1.0 - self.random.f64()).ln() / FLOWS_PER_SECOND;
        // By inversion of the distribution function.
        let part = 1.0 - self.random.f64() * (1.0 - SPREAD.powf(-TAIL));
        let work = self.least * part.powf(-1.0 / TAIL);
        Some(Flow { at: self.at, work, hash: self.random.u32(..) })
    }
}

/// Of the distribution whose least value is 1.
fn mean_work() -> f64 {
    let bound = 1.0 - SPREAD.powf(-TAIL);
    TAIL / (TAIL - 1.0) * (1.0 - SPREAD.powf(1.0 - TAIL)) / bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_bounded_and_its_mean_is_one() {
        let work: Vec<f64> = Traffic::new(1).take(1_000_000).map(|flow| flow.work).collect();
        let mean = work.iter().sum::<f64>() / work.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let least = 1.0 / mean_work();
        assert!(work.iter().all(|work| (least..=least * SPREAD * 1.000_001).contains(work)));
        assert!(work.iter().any(|work| *work > least * SPREAD / 10.0));
    }

    #[test]
    fn a_seed_names_the_traffic() {
        let flows = |seed| Traffic::new(seed).take(100).collect::<Vec<_>>();
        assert_eq!(flows(1), flows(1));
        assert_ne!(flows(1), flows(2));
        assert!(flows(1).is_sorted_by(|a, b| a.at < b.at));
    }
}
