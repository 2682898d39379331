//! Policies that send a flow where its slot says: the very ring of the load balancer.

use lb_common::{RING_SLOTS, slot_of};
use lb_core::ring::{Ring, Share};

use super::Policy;
use crate::sim::{SERVERS, Server};

/// Names of the servers in the ring, in alphabetical order.
pub const NAMES: [&str; SERVERS] = ["web1", "web2", "web3", "web4", "web5", "web6", "web7", "web8"];
/// What weights that are no whole numbers are multiplied by.
const PRECISION: f64 = 1e6;

/// A ring whose weights change.
#[derive(Clone, Debug)]
pub struct Slots {
    ring: Ring,
    moved: f64,
}

impl Slots {
    /// A ring with these weights.
    #[must_use]
    pub fn new(weights: [u32; SERVERS]) -> Self {
        let mut slots = Self { ring: Ring::blank(RING_SLOTS), moved: 0.0 };
        slots.set(weights, 0.0);
        slots.moved = 0.0;
        slots
    }

    /// Gives the slots out anew.
    pub fn set(&mut self, weights: [u32; SERVERS], now: f64) {
        let share = |server: usize| Share { name: NAMES[server], real: server as u16 + 1, weight: weights[server] };
        let shares: [Share<'_>; SERVERS] = std::array::from_fn(share);
        if let Some(next) = self.ring.edited(&shares, (now * 1_000.0) as u64) {
            let both = self.ring.slots().iter().zip(next.slots().iter());
            let moved = both.filter(|(before, after)| before.real != after.real).count();
            self.moved += moved as f64 / f64::from(RING_SLOTS);
            self.ring = next;
        }
    }

    /// Where the flow goes.
    #[must_use]
    pub fn route(&self, hash: u32) -> usize {
        usize::from(self.ring.slots()[slot_of(hash) as usize].real) - 1
    }

    /// The part of all slots that was moved since the last call.
    pub fn take_moved(&mut self) -> f64 {
        std::mem::take(&mut self.moved)
    }
}

/// All weights are equal, for ever.
#[derive(Debug)]
pub struct Equal(Slots);

impl Default for Equal {
    fn default() -> Self {
        Self(Slots::new([1; SERVERS]))
    }
}

impl Policy for Equal {
    fn route(&mut self, hash: u32, _: &[Server; SERVERS]) -> usize {
        self.0.route(hash)
    }
}

/// All servers are equally busy, always.
#[derive(Debug)]
pub struct Ideal {
    slots: Slots,
    now: f64,
}

impl Default for Ideal {
    fn default() -> Self {
        Self { slots: Slots::new([1; SERVERS]), now: 0.0 }
    }
}

impl Policy for Ideal {
    fn route(&mut self, hash: u32, _: &[Server; SERVERS]) -> usize {
        self.slots.route(hash)
    }

    fn tick(&mut self, now: f64) -> f64 {
        self.now = now;
        self.slots.take_moved()
    }

    fn know(&mut self, servers: &[Server; SERVERS]) {
        let level = level(servers);
        let weights = servers.each_ref().map(|server| (server.capacity() * (level - server.eaten())).max(0.0));
        self.slots.set(weights.map(|weight| (weight * PRECISION / weights.iter().sum::<f64>()) as u32), self.now);
    }
}

/// The utilisation that all servers have when the traffic is spread as it should be. (No server has more eaten than that.)
fn level(servers: &[Server; SERVERS]) -> f64 {
    let capacity: f64 = servers.iter().map(Server::capacity).sum();
    let eaten: f64 = servers.iter().map(|server| server.capacity() * server.eaten()).sum();
    (crate::sim::FLOWS_PER_SECOND + eaten) / capacity
}
