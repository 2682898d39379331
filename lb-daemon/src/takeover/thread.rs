//! The thread that does the jobs, one after the other, and in between announces the VIPs of an owner again and again.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lb_core::pair::Happening;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::owner::Owner;
use super::{Epochs, Job, JobQueue, Loaded, Settings, Surroundings};

/// What an idle thread waits for at most: nothing is due then.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3600);

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

    /// Waits for the end of the thread: [`Jobs`](super::Jobs) must be gone by then. What is not on disk yet is written.
    pub fn join(self) {
        // A panic was told by the panic hook, and there is nothing left to do for it.
        let _ = self.thread.join();
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
    state_dir: &std::path::Path,
    queue: JobQueue,
    surroundings: Arc<dyn Surroundings>,
) -> io::Result<Takeover> {
    let epochs = Epochs::start(state_dir, loaded, surroundings.clone())?;
    let resumes = loaded.memory.resume_until.is_some();
    let (opened, outcome) = oneshot::channel();
    let worker = Worker { settings, resumes, queue, surroundings, epochs: epochs.clone() };
    let thread = thread::Builder::new().name("takeover".to_owned()).spawn(move || worker.run(opened))?;
    match outcome.blocking_recv() {
        Ok(Ok(())) => Ok(Takeover { epochs, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the takeover's thread has ended at once")),
    }
}

/// What the thread begins with.
struct Worker {
    settings: Settings,
    resumes: bool,
    queue: JobQueue,
    surroundings: Arc<dyn Surroundings>,
    epochs: Epochs,
}

impl Worker {
    fn run(self, opened: oneshot::Sender<io::Result<()>>) {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // Who asked waits for it.
                let _ = opened.send(Err(error));
                return;
            }
        };
        runtime.block_on(self.work(opened));
    }

    async fn work(mut self, opened: oneshot::Sender<io::Result<()>>) {
        let mut owner = match Owner::open(self.settings, self.surroundings) {
            Ok(owner) => owner,
            Err(error) => {
                let _ = opened.send(Err(error));
                return;
            }
        };
        if !self.resumes {
            owner.release().await;
        }
        let _ = opened.send(Ok(()));
        loop {
            let due = owner.due().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                biased;
                job = self.queue.next() => match job {
                    Some(job) => perform(&mut owner, &self.epochs, job).await,
                    None => return,
                },
                () = sleep_until(due) => owner.announce_again(),
            }
        }
    }
}

async fn perform(owner: &mut Owner, epochs: &Epochs, job: Job) {
    match job {
        Job::Acquire { epoch, fence: _ } => {
            epochs.know(epoch);
            owner.acquire().await;
        }
        Job::Release => owner.release().await,
        Job::Reserve(epoch) => epochs.reserve(epoch),
        Job::Announce => owner.announce(),
        Job::Tell(event) => {
            if let Happening::State { epoch, .. } = event.what {
                epochs.know(epoch);
            }
        }
        Job::Hold(held) => epochs.hold(held),
        Job::Resume(until) => epochs.resume(until),
        Job::Settings(settings) => owner.set(*settings).await,
    }
}
