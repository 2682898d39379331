//! Weighted least connections with equal weights: the next flow goes where the fewest are open, and between equals in turn.
//! The count of open flows is exact here, which no balancer that sees one direction only can have.

use super::Policy;
use crate::sim::{SERVERS, Server};

/// Whose turn it is.
#[derive(Clone, Debug, Default)]
pub struct LeastConnections {
    turn: usize,
}

impl Policy for LeastConnections {
    fn route(&mut self, _: u32, servers: &[Server; SERVERS]) -> usize {
        let mut in_turn = (0..SERVERS).map(|step| (self.turn + step) % SERVERS);
        let first = in_turn.next().unwrap_or(0);
        let chosen =
            in_turn.fold(first, |best, next| if servers[next].open() < servers[best].open() { next } else { best });
        self.turn = (chosen + 1) % SERVERS;
        chosen
    }
}
