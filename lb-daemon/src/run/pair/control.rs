//! What operators ask of the pair by the API.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lb_core::api::Events;
use lb_core::pair::{Answer, Input};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::api::PairControl;
use crate::journal::Journal;
use crate::peer::{NotTaken, Peer, View};
use crate::takeover::{Job, Jobs};

pub(super) struct Control {
    peer: Peer,
    jobs: Jobs,
    journal: Journal,
    /// Says that this daemon shall end for its successor.
    restarting: watch::Sender<bool>,
}

impl Control {
    pub(super) fn new(peer: Peer, jobs: Jobs, journal: Journal, restarting: watch::Sender<bool>) -> Self {
        Self { peer, jobs, journal, restarting }
    }

    async fn try_restart(&self, grace: Duration) -> Result<Answer, NotTaken> {
        let grace_us = grace.as_micros().try_into().unwrap_or(u64::MAX);
        let outcome = self.peer.ask(Input::Restart { grace_us }).await?;
        if outcome.answer == Answer::Done {
            self.leave(Job::Resume(outcome.resume_until()));
            info!("pair: ends for a successor, which may go on within {grace:?}");
            self.restarting.send_replace(true);
        }
        Ok(outcome.answer)
    }

    fn leave(&self, job: Job) {
        if let Err(busy) = self.jobs.send(job.clone()) {
            warn!("pair: {job:?} is not kept over restarts: {busy}");
        }
    }
}

impl PairControl for Control {
    fn view(&self) -> Arc<View> {
        self.peer.view()
    }

    fn handicaps(&self) -> Vec<String> {
        self.peer.handicaps()
    }

    fn events(&self, limit: usize) -> Events {
        self.journal.newest(limit)
    }

    fn handover(&self, force: bool) -> BoxFuture<'_, Result<Answer, NotTaken>> {
        Box::pin(async move { Ok(self.peer.ask(Input::Handover { force }).await?.answer) })
    }

    fn hold(&self, held: bool) -> Result<(), NotTaken> {
        self.peer.tell(Input::Hold(held))?;
        self.leave(Job::Hold(held));
        Ok(())
    }

    fn restart(&self, grace: Duration) -> BoxFuture<'_, Result<Answer, NotTaken>> {
        Box::pin(self.try_restart(grace))
    }
}
