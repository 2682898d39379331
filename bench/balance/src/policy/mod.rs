//! The policies: who gets the next flow.

mod cube_root;
mod grpc;
mod least_connections;
mod on_ring;
mod understudy;

use lb_core::scheduler::Sample;

use crate::sim::{SERVERS, Server};

/// A policy. What it is told arrives in order of time.
pub trait Policy {
    /// Which server gets a flow with this hash. `servers` shows how many flows each has, and nothing else may be looked at.
    fn route(&mut self, hash: u32, servers: &[Server; SERVERS]) -> usize;

    /// A report has arrived.
    fn report(&mut self, _server: usize, _sample: Sample, _now: f64) {}

    /// A second has passed. Returns the part of all slots that was moved; of a policy without slots, the part of the new flows
    /// that go to another server than before.
    fn tick(&mut self, _now: f64) -> f64 {
        0.0
    }

    /// What the servers can do from now on. For [`Kind::Ideal`] alone.
    fn know(&mut self, _servers: &[Server; SERVERS]) {}
}

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Maglev ring with equal weights.
    MaglevEqual,
    /// The server with the fewest open flows.
    LeastConnections,
    /// The cube-root law of LVS's dynamic feedback.
    LvsCubeRoot,
    /// gRPC's weighted round robin (A58).
    GrpcWrr,
    /// Ours.
    Understudy,
    /// Slots as they should be, at once. No policy: nobody knows capacities. It is what the others are compared with.
    Ideal,
}

impl Kind {
    /// Those that are compared.
    pub const COMPARED: [Self; 5] =
        [Self::MaglevEqual, Self::LeastConnections, Self::LvsCubeRoot, Self::GrpcWrr, Self::Understudy];

    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaglevEqual => "maglev-equal",
            Self::LeastConnections => "least-connections",
            Self::LvsCubeRoot => "lvs-cube-root",
            Self::GrpcWrr => "grpc-wrr",
            Self::Understudy => "understudy",
            Self::Ideal => "ideal",
        }
    }

    /// The policy as it starts.
    #[must_use]
    pub fn start(self, seed: u64) -> Box<dyn Policy> {
        match self {
            Self::MaglevEqual => Box::new(on_ring::Equal::default()),
            Self::LeastConnections => Box::new(least_connections::LeastConnections::default()),
            Self::LvsCubeRoot => Box::new(cube_root::CubeRoot::default()),
            Self::GrpcWrr => Box::new(grpc::WeightedRoundRobin::new(seed)),
            Self::Understudy => Box::new(understudy::Understudy::default()),
            Self::Ideal => Box::new(on_ring::Ideal::default()),
        }
    }
}

/// The part of the new flows that goes elsewhere when weights change: half of what all shares differ by.
fn moved(before: &[f64; SERVERS], after: &[f64; SERVERS]) -> f64 {
    let (sum_before, sum_after): (f64, f64) = (before.iter().sum(), after.iter().sum());
    let differences = before.iter().zip(after).map(|(before, after)| (after / sum_after - before / sum_before).abs());
    differences.sum::<f64>() / 2.0
}
