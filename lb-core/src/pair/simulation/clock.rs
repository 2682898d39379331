//! The virtual clock: a queue of what is to happen, and the clocks of the hosts, which begin where they like and run a little
//! too fast or too slow.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::pair::Micros;

/// Microseconds of the simulation.
pub(super) type Instant = u64;

/// What is to happen, in order of time; what is to happen at one instant, in the order in which it was put in.
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    count: u64,
}

struct Entry<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, what: T) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at, number: self.count, what }));
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The clock of one host since it was last powered on.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostClock {
    /// When the host was powered on.
    pub(super) on_since: Instant,
    /// What the clock showed then.
    pub(super) offset: Micros,
    /// Millionths by which it runs too fast.
    pub(super) drift: i64,
}

impl HostClock {
    /// What it shows at an instant.
    pub(super) fn shows(&self, at: Instant) -> Micros {
        let elapsed = at.saturating_sub(self.on_since);
        self.offset + elapsed.saturating_add_signed(scaled(elapsed, self.drift))
    }

    /// The first instant at which it shows at least this.
    pub(super) fn instant(&self, shown: Micros) -> Instant {
        let elapsed = shown.saturating_sub(self.offset);
        let mut at = self.on_since.saturating_add(elapsed).saturating_add_signed(-scaled(elapsed, self.drift));
        while self.shows(at) < shown && at < u64::MAX / 2 {
            at += 1;
        }
        at
    }
}

fn scaled(elapsed: u64, drift: i64) -> i64 {
    i64::try_from(elapsed / 1_000).unwrap_or(i64::MAX / 1_000_000).saturating_mul(drift) / 1_000
}
