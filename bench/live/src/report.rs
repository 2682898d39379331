//! The figures of the comparison.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::load::Outcome;

/// What one run has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Who balanced.
    pub policy: &'static str,
    /// What the clients did.
    pub workload: &'static str,
    /// The seed of the load.
    pub seed: u64,
    /// Requests that counted.
    pub requests: usize,
    /// Requests without a good answer.
    pub failed: u64,
    /// The median of the requests' times, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The greatest utilisation of a real by the mean of all.
    pub max_over_mean: f64,
    /// CPU time used by each real, of what it might use.
    pub utilisation: Vec<f64>,
    /// Why the first failed request failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Figure {
    /// The figures of a run.
    pub fn new(
        policy: &'static str,
        workload: &'static str,
        seed: u64,
        utilisation: Vec<f64>,
        outcome: Outcome,
    ) -> Self {
        let Outcome { mut latencies, failed, reason } = outcome;
        latencies.sort_unstable();
        let mean = utilisation.iter().sum::<f64>() / utilisation.len() as f64;
        let greatest = utilisation.iter().copied().fold(0.0, f64::max);
        Self {
            policy,
            workload,
            seed,
            requests: latencies.len(),
            failed,
            p50_ms: percentile(&latencies, 50),
            p99_ms: percentile(&latencies, 99),
            max_over_mean: greatest / mean,
            utilisation,
            reason,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, workload, seed, requests, failed, p50_ms, p99_ms, max_over_mean, .. } = self;
        write!(
            f,
            "{workload:<9} seed {seed} {policy:<18} p50 {p50_ms:>7.1} ms  p99 {p99_ms:>8.1} ms  max/mean \
             {max_over_mean:>5.2}  {requests} requests, {failed} failed"
        )?;
        self.reason.iter().try_for_each(|reason| write!(f, " ({reason})"))
    }
}

/// The nearest-rank percentile, in milliseconds; 0 of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
}

/// Prints all figures once more, together, and Understudy's p99 by that of the others.
pub fn print(figures: &[Figure]) {
    println!("\nall runs:");
    figures.iter().for_each(|figure| println!("{figure}"));
    println!("\np99 of understudy by that of:");
    for ours in figures.iter().filter(|figure| figure.policy == "understudy") {
        let others = figures.iter().filter(|figure| (figure.workload, figure.seed) == (ours.workload, ours.seed));
        for other in others.filter(|figure| figure.policy != ours.policy) {
            println!("{:<9} seed {} {:<18} {:.2}", ours.workload, ours.seed, other.policy, ours.p99_ms / other.p99_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let latencies: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&latencies, 50), 100.0);
        assert_eq!(percentile(&latencies, 99), 198.0);
        assert_eq!(percentile(&latencies[..1], 99), 1.0);
        assert_eq!(percentile(&[], 99), 0.0);
    }
}
