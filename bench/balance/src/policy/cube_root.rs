//! The cube-root law of LVS's dynamic feedback (W. Zhang): a server's weight grows by A * cbrt(0.95 - load) at each look, and falls
//! where the load is greater. The flows go by weighted least connections, as LVS sends them.

use lb_core::scheduler::Sample;

use super::{Policy, moved};
use crate::sim::{SERVERS, Server};

/// How far weights go.
const A: f64 = 5.0;
/// The load that the law steers to.
const TARGET: f64 = 0.95;
/// Weights at the beginning: nobody has typed in any.
const FIRST: f64 = 10.0;
/// The least and the greatest weight.
const RANGE: (f64, f64) = (1.0, 100.0);

/// The weights, and the load that was reported last.
#[derive(Clone, Debug)]
pub struct CubeRoot {
    weights: [f64; SERVERS],
    loads: [Option<f64>; SERVERS],
}

impl Default for CubeRoot {
    fn default() -> Self {
        Self { weights: [FIRST; SERVERS], loads: [None; SERVERS] }
    }
}

impl Policy for CubeRoot {
    fn route(&mut self, _: u32, servers: &[Server; SERVERS]) -> usize {
        let expected = |server: &usize| (servers[*server].open() + 1) as f64 / self.weights[*server];
        (0..SERVERS).min_by(|one, other| expected(one).total_cmp(&expected(other))).unwrap_or(0)
    }

    fn report(&mut self, server: usize, sample: Sample, _: f64) {
        self.loads[server] = Some(sample.utilisation);
    }

    fn tick(&mut self, _: f64) -> f64 {
        let before = self.weights;
        for (weight, load) in self.weights.iter_mut().zip(self.loads) {
            let change = load.map_or(0.0, |load| A * (TARGET - load).cbrt());
            *weight = (*weight + change).clamp(RANGE.0, RANGE.1);
        }
        moved(&before, &self.weights)
    }
}
