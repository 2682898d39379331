//! What the takeover is asked to do, and the queue in between. Whoever asks never waits.

use lb_core::pair::{Epoch, Event, Micros};
use tokio::sync::mpsc;

use super::Settings;

/// Jobs that may wait. The node asks for a few at each change of its state.
const QUEUE: usize = 1024;

/// Something to do. Jobs are done in the order in which they come; a [`Job::Release`] cuts a fence short.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Become the owner; then [`Input::Acquired`](lb_core::pair::Input::Acquired) is replied.
    Acquire {
        /// Of this epoch.
        epoch: Epoch,
        /// The peer was not asked, and has to be fenced first where a fence is configured.
        fence: bool,
    },
    /// Stop being the owner: remove the VIPs.
    Release,
    /// Put this epoch on disk; then [`Input::Reserved`](lb_core::pair::Input::Reserved) is replied.
    Reserve(Epoch),
    /// Announce the VIPs anew, if this node owns them.
    Announce,
    /// Tell the notify hook, and keep the epoch.
    Tell(Event),
    /// An operator holds the node back, or lets go: kept over restarts.
    Hold(bool),
    /// The daemon is about to restart: its successor goes on until then. None: it does not.
    Resume(Option<Micros>),
    /// The configuration has changed. An owner adds and removes VIPs at once.
    Settings(Box<Settings>),
}

/// The queue is full or the takeover's thread is gone: the job is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the takeover's thread does not keep up ({QUEUE} jobs wait) or has ended")]
pub struct Busy;

/// Where jobs are left. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs {
    sender: mpsc::Sender<Job>,
}

impl Jobs {
    /// Leaves a job, without waiting.
    ///
    /// # Errors
    /// It cannot be left, and is not done.
    pub fn send(&self, job: Job) -> Result<(), Busy> {
        self.sender.try_send(job).map_err(|_| Busy)
    }
}

/// Where the takeover's thread gets its jobs.
#[derive(Debug)]
pub struct JobQueue {
    receiver: mpsc::Receiver<Job>,
}

impl JobQueue {
    /// The next job; none when nobody can leave one any more. Nothing is lost when the wait is cut off.
    pub(super) async fn next(&mut self) -> Option<Job> {
        self.receiver.recv().await
    }
}

/// A queue, so that the peer's thread can be started before or after this one.
#[must_use]
pub fn channel() -> (Jobs, JobQueue) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Jobs { sender }, JobQueue { receiver })
}
