//! The thread that begins flows, has them send, and notes where their frames come to.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::frames::{Segment, Wire};
use super::{Amount, Change, Shared, SyntheticFlow};

/// Flows whose frames are sent at once.
const AT_ONCE: usize = 512;
/// Flows that begin at once, after those that begin first.
const NEWCOMERS: usize = 16;
/// How long frames are awaited before those that are missing are sent again.
const PATIENCE: Duration = Duration::from_millis(20);
/// Between one lot of frames and the next.
const PAUSE: Duration = Duration::from_millis(5);

pub struct Worker {
    wire: Wire,
    amount: Amount,
    shared: Arc<Shared>,
    flows: Vec<SyntheticFlow>,
}

impl Worker {
    pub fn new(wire: Wire, amount: Amount, shared: Arc<Shared>) -> Worker {
        Worker { wire, amount, shared, flows: Vec::with_capacity(amount.most) }
    }

    pub fn run(mut self) -> Result<Vec<SyntheticFlow>> {
        while self.flows.len() < self.amount.first && !self.is_over() {
            self.begin(AT_ONCE.min(self.amount.first - self.flows.len()))?;
        }
        while !self.is_over() {
            let all: Vec<u32> = (0..self.flows.len() as u32).collect();
            for some in all.chunks(AT_ONCE) {
                self.heard(some, Segment::Data)?;
                self.begin(NEWCOMERS.min(self.amount.most - self.flows.len()))?;
                std::thread::sleep(PAUSE);
            }
            if !self.is_over() {
                self.shared.rounds.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(self.flows)
    }

    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Has so many new flows shake hands.
    fn begin(&mut self, count: usize) -> Result<()> {
        let first = self.flows.len() as u32;
        let began = Instant::now();
        let new = SyntheticFlow { began, established: None, real: None, changes: Vec::new() };
        self.flows.resize(self.flows.len() + count, new);
        let new: Vec<u32> = (first..first + count as u32).collect();
        self.heard(&new, Segment::Syn)?;
        self.heard(&new, Segment::Data)
    }

    /// Sends a segment of each of these flows until it has come to a real server.
    fn heard(&mut self, flows: &[u32], segment: Segment) -> Result<()> {
        let mut missing: HashSet<u32> = flows.iter().copied().collect();
        while !missing.is_empty() && !self.is_over() {
            let mut again: Vec<u32> = missing.iter().copied().collect();
            again.sort_unstable();
            let to_mac = *self.shared.target();
            let sent = Instant::now();
            self.wire.send(&again, segment, to_mac)?;
            while !missing.is_empty() && self.note(sent, segment, &mut missing) {}
        }
        Ok(())
    }

    /// Notes what has come. Says whether anything has.
    fn note(&mut self, sent: Instant, awaited: Segment, missing: &mut HashSet<u32>) -> bool {
        let arrived = self.wire.receive(PATIENCE);
        let seen = Instant::now();
        for frame in &arrived {
            let Some(flow) = self.flows.get_mut(frame.flow as usize) else { continue };
            if let Some(from) = flow.real.replace(frame.real).filter(|from| *from != frame.real) {
                flow.changes.push(Change { seen, from, to: frame.real });
            }
            if frame.segment == awaited && missing.remove(&frame.flow) && awaited == Segment::Data {
                let is_new = flow.established.replace(flow.established.unwrap_or(sent)).is_none();
                self.shared.established.fetch_add(usize::from(is_new), Ordering::Relaxed);
            }
        }
        !arrived.is_empty()
    }
}
