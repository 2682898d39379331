//! The engine's thread, and the handle by which others ask it to do something.

use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::Engine;

/// Requests that wait for the engine; further ones wait at their sender.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// The engine has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lbd is stopping")]
pub struct Stopped;

/// A way to the engine. The engine's thread ends when the last handle is gone.
#[derive(Clone)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    /// Gives the engine a thread.
    ///
    /// # Errors
    /// The host has no thread to give.
    pub fn spawn(engine: Engine) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || run(engine, queue))?;
        Ok((Self { jobs }, thread))
    }

    /// Has the engine do something, after what it was asked before, and waits for the outcome.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Engine) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (reply, outcome) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            // Who asked may have gone away; what was asked for is done all the same.
            let _ = reply.send(job(engine));
        });
        self.jobs.send(job).await.map_err(|_| Stopped)?;
        outcome.await.map_err(|_| Stopped)
    }
}

fn run(mut engine: Engine, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut engine);
    }
}
