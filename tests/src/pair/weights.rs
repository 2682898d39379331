//! An operator who never rests: weights of the real servers that change all the time, on whichever node is active.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lb_lab::{lbctl, tool};

use super::PairStage;

/// From one change to the next.
const PERIOD: Duration = Duration::from_millis(200);
/// Weights that are given, the least and the most.
const WEIGHTS: std::ops::RangeInclusive<u64> = 20..=100;
/// A step through them that visits all in no plain order.
const STEP: u64 = 37;

/// The operator, on a thread. Dropped, it ends.
#[derive(Debug)]
pub struct MovingWeights {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    owner: AtomicUsize,
    changes: AtomicU64,
}

impl PairStage {
    /// Begins to change weights on a node, one real server's after the other's.
    pub fn move_weights(&self, owner: usize) -> MovingWeights {
        let shared =
            Shared { stop: AtomicBool::new(false), owner: AtomicUsize::new(owner), changes: AtomicU64::new(0) };
        let shared = Arc::new(shared);
        let sockets = [0, 1].map(|node| self.nodes[node].lbd.socket().to_path_buf());
        let (seen, reals) = (shared.clone(), u64::from(self.network.plan.reals));
        let thread = std::thread::spawn(move || change(&sockets, reals, &seen));
        MovingWeights { shared, thread: Some(thread) }
    }
}

impl MovingWeights {
    /// Changes them on another node from now on.
    pub fn follow(&self, owner: usize) {
        self.shared.owner.store(owner, Ordering::Relaxed);
    }

    /// How many changes a node has taken.
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Relaxed)
    }

    /// Ends it, and says how many changes were taken.
    pub fn stop(mut self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the weights have come to rest before")?;
        thread.join().map_err(|_| anyhow!("the thread that moves weights has panicked"))??;
        Ok(self.changes())
    }
}

impl Drop for MovingWeights {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn change(sockets: &[PathBuf; 2], reals: u64, shared: &Shared) -> Result<()> {
    let span = WEIGHTS.end() - WEIGHTS.start() + 1;
    for round in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let real = format!("real-{}", 1 + round % reals);
        let weight = (WEIGHTS.start() + round * STEP % span).to_string();
        let mut command = tool(lbctl()?);
        command.arg("--socket").arg(&sockets[shared.owner.load(Ordering::Relaxed)]).args(["weight", &real, &weight]);
        // A node that has just become standby refuses it.
        let taken = command.output().context("cannot run lbctl")?.status.success();
        shared.changes.fetch_add(u64::from(taken), Ordering::Relaxed);
        std::thread::sleep(PERIOD);
    }
    Ok(())
}
