//! gRPC's weighted round robin (gRFC A58): a server's weight is its queries per second over its utilisation, both as last reported.
//! The flows go by a smooth weighted round robin that begins anew with each update of the weights.

use fastrand::Rng;
use lb_core::scheduler::Sample;

use super::{Policy, moved};
use crate::sim::{SERVERS, Server};

/// A server's weight is not used until it has reported for so long, in seconds.
const BLACKOUT: f64 = 10.0;
/// A weight older than this is not used, in seconds.
const EXPIRATION: f64 = 180.0;

/// The weights, and where the round robin is.
#[derive(Clone, Debug)]
pub struct WeightedRoundRobin {
    random: Rng,
    known: [Option<Known>; SERVERS],
    weights: [f64; SERVERS],
    deadlines: [f64; SERVERS],
}

#[derive(Clone, Copy, Debug)]
struct Known {
    weight: f64,
    since: f64,
    at: f64,
}

impl WeightedRoundRobin {
    /// All are equal.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = Rng::with_seed(seed);
        let mut policy = Self { random, known: [None; SERVERS], weights: [1.0; SERVERS], deadlines: [0.0; SERVERS] };
        policy.begin_anew();
        policy
    }

    /// Each server begins somewhere within its first turn.
    fn begin_anew(&mut self) {
        for (deadline, weight) in self.deadlines.iter_mut().zip(self.weights) {
            *deadline = self.random.f64() / weight;
        }
    }
}

impl Known {
    fn is_usable(&self, now: f64) -> bool {
        now - self.at < EXPIRATION && now - self.since >= BLACKOUT
    }
}

impl Policy for WeightedRoundRobin {
    fn route(&mut self, _: u32, _: &[Server; SERVERS]) -> usize {
        let deadlines = &mut self.deadlines;
        let next = (0..SERVERS).min_by(|one, other| deadlines[*one].total_cmp(&deadlines[*other])).unwrap_or(0);
        deadlines[next] += 1.0 / self.weights[next];
        next
    }

    fn report(&mut self, server: usize, sample: Sample, now: f64) {
        let hits = sample.hits.unwrap_or(0.0);
        if hits > 0.0 && sample.utilisation > 0.0 {
            let since = self.known[server].filter(|known| now - known.at < EXPIRATION).map_or(now, |known| known.since);
            self.known[server] = Some(Known { weight: hits / sample.utilisation, since, at: now });
        }
    }

    fn tick(&mut self, now: f64) -> f64 {
        let before = self.weights;
        let usable = self.known.map(|known| known.filter(|known| known.is_usable(now)).map(|known| known.weight));
        let count = usable.iter().flatten().count();
        // With fewer than two weights it is a plain round robin, and who has none gets the mean.
        let mean = if count < 2 { 1.0 } else { usable.iter().flatten().sum::<f64>() / count as f64 };
        self.weights = if count < 2 { [1.0; SERVERS] } else { usable.map(|weight| weight.unwrap_or(mean)) };
        self.begin_anew();
        moved(&before, &self.weights)
    }
}
