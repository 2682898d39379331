//! Next hops of reals, asked from the kernel by netlink and kept fresh: by which interface a packet for a real leaves,
//! and between which MAC addresses.
//!
//! [`NextHops`] runs a task that listens to the kernel (neighbours, routes, rules, links, addresses), looks again at
//! the reals that a change concerns, and reports an [`Update`] where something did change. A neighbour that the kernel
//! does not know is asked for by the kernel itself (no packet is made here), with growing pauses; one that it has not
//! confirmed lately is confirmed now and then, since XDP traffic confirms nothing.
//!
//! A next hop once found stays in use until another is found, and the note says what is wrong meanwhile.
//!
//! [`find_wanted`] has the kernel find other neighbours, those of replies to clients, when the program has missed one.
//!
//! [`decide`] holds the decisions and the tracker the schedule, both pure; `kernel` and `monitor` do the talking.

pub mod decide;
mod kernel;
mod monitor;
mod task;
mod tracker;
mod wanted;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use decide::Watch;
pub use lb_core::table::NextHop;
pub use wanted::find_wanted;

use kernel::Kernel;
use monitor::Monitor;
use task::Task;
use tracker::Tracker;

/// Updates that wait for their reader. While it is full, news gathers by real, the newest only.
const UPDATE_QUEUE: usize = 4_096;

/// News of one real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The real's name.
    pub real: String,
    /// The next hop to use: the newest that was found.
    pub next_hop: Option<NextHop>,
    /// What an operator should know; empty when all is well.
    pub note: String,
}

/// How often things are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From a change to the look at what it concerns: changes come in bursts.
    pub settle: Duration,
    /// First pause after a neighbour was asked for; it doubles with each attempt.
    pub first_retry: Duration,
    /// The longest such pause.
    pub longest_retry: Duration,
    /// Least time between two requests to confirm one neighbour.
    pub confirm: Duration,
    /// How often every real is looked at without any news.
    pub refresh: Duration,
    /// Least time between two looks at everything that news asks for.
    pub full_refresh_gap: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(20),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            confirm: Duration::from_secs(30),
            refresh: Duration::from_secs(60),
            full_refresh_gap: Duration::from_secs(1),
        }
    }
}

/// Why next hops cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum NextHopError {
    /// There is no netlink socket to be had.
    #[error("cannot open a netlink socket for next hops: {0}")]
    Socket(#[from] io::Error),
}

/// The task that finds next hops. It ends when this is dropped.
pub struct NextHops {
    watches: watch::Sender<Vec<Watch>>,
    task: JoinHandle<()>,
}

impl Drop for NextHops {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NextHops {
    /// Starts to watch these reals, in the network namespace of the calling thread. Each real gets at least one
    /// [`Update`], and another whenever its next hop or note changes.
    ///
    /// Must be called inside a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// No netlink socket could be opened.
    pub fn start(watches: Vec<Watch>, timing: Timing) -> Result<(Self, mpsc::Receiver<Update>), NextHopError> {
        let mut tracker = Tracker::new(timing, Instant::now());
        tracker.watch(watches.clone(), Instant::now());
        let (watches, changes) = watch::channel(watches);
        let (updates, receiver) = mpsc::channel(UPDATE_QUEUE);
        // The monitor listens before the first look, so that nothing falls between the two.
        let (monitor, kernel) = (Monitor::open()?, Kernel::connect()?);
        let task = Task { monitor, kernel, tracker, changes, updates, round: VecDeque::new() };
        let task = tokio::spawn(task.run());
        Ok((Self { watches, task }, receiver))
    }

    /// Replaces the set of reals, after a reload. A real that stays, with its address, is not reported anew.
    pub fn watch(&self, watches: Vec<Watch>) {
        self.watches.send_replace(watches);
    }
}
