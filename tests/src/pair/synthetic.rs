//! Many TCP flows without hosts: frames that a load balancer takes for those of clients from 198.18.0.0/15. Each flow shakes hands, by a SYN
//! and a segment with data, and goes on to send. Which real server its frames come to is noted, and whenever that changes.
//!
//! Frames that come nowhere are sent again, as TCP would.

mod frames;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lb_lab::wait_for;

use super::PairStage;
use frames::{Path, Wire};
use worker::Worker;

/// How long a hundred thousand flows may take to send once.
const ROUND_LIMIT: Duration = Duration::from_secs(120);

/// The flows, and the thread that sends and notes. Dropped, it ends.
#[derive(Debug)]
pub struct Synthetic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Vec<SyntheticFlow>>>>,
}

/// What became of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticFlow {
    /// When its first SYN was sent.
    pub began: Instant,
    /// When that data was sent that was the first to come to a real server; none before that.
    pub established: Option<Instant>,
    /// The real server, counted from 0, that its newest frame has come to; none before its SYN came to one.
    pub real: Option<usize>,
    /// Each time that its frames came to another real server than before.
    pub changes: Vec<Change>,
}

/// A flow goes to another real server than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When that was seen.
    pub seen: Instant,
    /// Where it was before, counted from 0.
    pub from: usize,
    /// Where it is now.
    pub to: usize,
}

/// What the thread and its owner tell each other.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// The MAC address of the node that frames are sent to.
    target: Mutex<[u8; 6]>,
    /// Flows that are established.
    established: AtomicUsize,
    /// How often all flows of the time have been heard of.
    rounds: AtomicUsize,
}

/// How many flows there shall be.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// So many begin at once.
    pub first: usize,
    /// The others begin one after the other, for as long as the thread runs, until there are so many.
    pub most: usize,
}

impl PairStage {
    /// Begins flows to a TCP service of the first VIP, by a node, and has them send for ever.
    pub fn synthetic(&self, port: u16, amount: Amount, owner: usize) -> Result<Synthetic> {
        let wire = Wire::open(&self.network, Path { vip: self.network.plan.vip_v4(0), port })?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            target: Mutex::new(self.network.mac(owner)?),
            established: AtomicUsize::new(0),
            rounds: AtomicUsize::new(0),
        });
        let worker = Worker::new(wire, amount, shared.clone());
        Ok(Synthetic { shared, thread: Some(std::thread::spawn(move || worker.run())) })
    }
}

impl Synthetic {
    /// Sends to the node with this MAC address from now on.
    pub fn aim(&self, mac: [u8; 6]) {
        *self.shared.target() = mac;
    }

    /// Flows that are established by now.
    pub fn established(&self) -> usize {
        self.shared.established.load(Ordering::Relaxed)
    }

    /// Waits until so many flows are established.
    pub fn wait_for_flows(&self, count: usize) -> Result<()> {
        wait_for(&format!("{count} flows to be established"), ROUND_LIMIT, || self.once(self.established() >= count))
    }

    /// How often all flows of the time have been heard of. One more may be under way.
    pub fn rounds(&self) -> usize {
        self.shared.rounds.load(Ordering::Relaxed)
    }

    /// Ends it, and returns what became of each flow.
    pub fn stop(mut self) -> Result<Vec<SyntheticFlow>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the flows have been ended before")?;
        thread.join().map_err(|_| anyhow!("the thread of the flows has panicked"))?
    }

    fn once(&self, holds: bool) -> Result<Option<()>> {
        ensure!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the thread of the flows has ended");
        Ok(holds.then_some(()))
    }
}

impl Drop for Synthetic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn target(&self) -> MutexGuard<'_, [u8; 6]> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
