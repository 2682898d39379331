//! A server: all its flows share its capacity evenly, as processes share a CPU.

use std::{cmp::Ordering, collections::BinaryHeap};

/// A server of the simulation.
#[derive(Clone, Debug)]
pub struct Server {
    /// Work per second.
    capacity: f64,
    /// The part of the capacity that something else eats.
    eaten: f64,
    now: f64,
    /// Work done so far for each flow that has been there since the server was idle last.
    done: f64,
    flows: BinaryHeap<Open>,
    /// Seconds in which a flow was open; of the others, the part that something else has eaten.
    busy: f64,
    accepted: u64,
}

/// An open flow: when it began, and at which `done` it is finished. The first to finish is the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Open {
    finish: f64,
    began: f64,
}

impl Eq for Open {}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        other.finish.total_cmp(&self.finish)
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Server {
    /// An idle server.
    #[must_use]
    pub fn new(capacity: f64) -> Self {
        Self { capacity, eaten: 0.0, now: 0.0, done: 0.0, flows: BinaryHeap::new(), busy: 0.0, accepted: 0 }
    }

    /// Goes on to `now`, and tells `finished` of each flow that ends until then: when it began, and how long it took.
    pub fn advance(&mut self, now: f64, mut finished: impl FnMut(f64, f64)) {
        let rate = self.capacity * (1.0 - self.eaten);
        while let Some(first) = self.flows.peek().copied() {
            let share = rate / self.flows.len() as f64;
            let end = self.now + (first.finish - self.done).max(0.0) / share;
            if end > now {
                self.done += (now - self.now) * share;
                break;
            }
            self.busy += end - self.now;
            self.now = end;
            self.done = first.finish;
            self.flows.pop();
            finished(first.began, end - first.began);
        }
        let is_busy = !self.flows.is_empty();
        self.busy += (now - self.now) * if is_busy { 1.0 } else { self.eaten };
        self.now = now;
        if !is_busy {
            self.done = 0.0;
        }
    }

    /// A flow begins now. The server must have been advanced to now.
    pub fn accept(&mut self, work: f64) {
        self.accepted += 1;
        self.flows.push(Open { finish: self.done + work, began: self.now });
    }

    /// Changes what it can do. The server must have been advanced to now.
    pub fn set(&mut self, capacity: f64, eaten: f64) {
        self.capacity = capacity;
        self.eaten = eaten;
    }

    /// Work per second, were nothing eaten.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// The part of the capacity that something else eats.
    #[must_use]
    pub fn eaten(&self) -> f64 {
        self.eaten
    }

    /// Flows that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.flows.len()
    }

    /// When the flows that are open began.
    pub fn open_since(&self) -> impl Iterator<Item = f64> {
        self.flows.iter().map(|flow| flow.began)
    }

    /// Busy seconds since the beginning. What something else eats counts.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.busy
    }

    /// Flows accepted since the beginning.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_share_the_capacity() {
        let mut server = Server::new(2.0);
        server.accept(1.0);
        server.accept(3.0);
        let mut ends = Vec::new();
        server.advance(10.0, |_, took| ends.push(took));
        // Both get 1 a second until the first ends; the other has 2 left and gets 2 a second.
        assert_eq!(ends, [1.0, 2.0]);
        assert_eq!(server.busy(), 2.0);
        assert_eq!((server.open(), server.accepted()), (0, 2));
    }

    #[test]
    fn a_flow_that_comes_later_takes_its_share() {
        let mut server = Server::new(1.0);
        server.accept(2.0);
        server.advance(1.0, |_, _| panic!("nothing has ended"));
        server.accept(0.5);
        let mut ends = Vec::new();
        server.advance(5.0, |began, took| ends.push((began, took)));
        assert_eq!(ends, [(1.0, 1.0), (0.0, 2.5)]);
    }

    #[test]
    fn what_eats_cpu_slows_flows_and_counts_as_busy() {
        let mut server = Server::new(1.0);
        server.set(1.0, 0.5);
        server.accept(1.0);
        let mut ends = Vec::new();
        server.advance(4.0, |_, took| ends.push(took));
        assert_eq!(ends, [2.0]);
        assert_eq!(server.busy(), 2.0 + 2.0 * 0.5);
    }
}
