//! The takeover's thread, and the handle to it.

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tracing::{debug, warn};

use super::worker::Worker;
use super::{Epochs, JobQueue, Loaded, Settings, Surroundings};
use crate::peer::realtime::{self, HEARTBEAT_PRIORITY};

/// Below the thread that sends heartbeats: those never wait for a takeover.
const PRIORITY: i32 = HEARTBEAT_PRIORITY - 10;
/// How long the end of a daemon waits for its disk.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The running takeover. Its thread ends when nobody can leave jobs any more; the VIPs stay as they are.
#[derive(Debug)]
pub struct Takeover {
    epochs: Epochs,
    thread: JoinHandle<()>,
}

impl Takeover {
    /// What has to outlive the daemon.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Waits for the end of the thread: [`Jobs`](super::Jobs) must be gone by then. What is not on disk yet is written, if the disk
    /// takes it soon.
    pub fn join(self) {
        // A panic was told by the panic hook, and there is nothing left to do for it.
        let _ = self.thread.join();
        if !self.epochs.flush(FLUSH_LIMIT) {
            warn!("the newest epoch is not on disk, since that does not answer");
        }
    }
}

/// Starts the thread, in the network namespace of the calling thread. Its sockets are open when this returns, and VIPs that a
/// daemon before this one has left are gone, unless `loaded` says that this one goes on in its place.
///
/// # Errors
/// A socket or a thread cannot be had.
pub fn start(
    settings: Settings,
    loaded: &Loaded,
    state_dir: &Path,
    queue: JobQueue,
    surroundings: Arc<dyn Surroundings>,
) -> io::Result<Takeover> {
    let epochs = Epochs::start(state_dir, loaded, surroundings.clone())?;
    let resumes = loaded.memory.resume_until.is_some();
    let (begun, outcome) = mpsc::sync_channel(1);
    let thread_epochs = epochs.clone();
    let work = async move {
        if let Err(refused) = realtime::schedule(PRIORITY) {
            // The heartbeats' thread has warned of it.
            debug!("takeover: {refused}");
        }
        let mut worker = match Worker::open(settings, thread_epochs, queue, surroundings) {
            Ok(worker) => worker,
            // Who has asked waits for it.
            Err(error) => return drop(begun.send(Err(error))),
        };
        worker.begin(resumes).await;
        let _ = begun.send(Ok(()));
        worker.work().await;
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("takeover".to_owned()).spawn(move || runtime.block_on(work))?;
    match outcome.recv() {
        Ok(Ok(())) => Ok(Takeover { epochs, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the takeover's thread has ended at once")),
    }
}
