//! What the takeover asks of the rest of the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lb_core::pair::{Input, Peer as Health, State};
use tokio::sync::mpsc;
use tracing::error;

use crate::engine::Handle;
use crate::peer::Peer;
use crate::takeover::{Attaching, Surroundings, Trouble};

pub(super) struct Around {
    pub(super) peer: Peer,
    pub(super) engine: Handle,
    pub(super) troubles: mpsc::Sender<Trouble>,
    /// See [`Surroundings::is_owner`].
    pub(super) owns: Arc<AtomicBool>,
    /// See [`Surroundings::found_nobody`].
    pub(super) is_clear: Arc<AtomicBool>,
}

impl Surroundings for Around {
    fn reply(&self, input: Input) {
        if let Err(not_taken) = self.peer.tell(input.clone()) {
            error!("pair: {input:?} is lost: {not_taken}");
        }
    }

    fn attach(&self, interfaces: Vec<String>) -> Attaching {
        let engine = self.engine.clone();
        Box::pin(async move {
            let attached = engine.call(move |engine| engine.attach_again(&interfaces)).await;
            attached.unwrap_or_else(|stopped| Err(stopped.to_string()))
        })
    }

    fn trouble(&self, trouble: Trouble) {
        // What finds the queue full is told again when it changes.
        let _ = self.troubles.try_send(trouble);
    }

    fn found_nobody(&self) {
        self.is_clear.store(true, Ordering::Release);
    }

    fn peer_is_heard(&self) -> bool {
        matches!(self.peer.view().pair.peer.health, Health::Alive | Health::Degraded)
    }

    fn peer_is_undecided(&self) -> bool {
        let view = self.peer.view();
        let peer = &view.pair.peer;
        let says = peer.word.filter(|_| peer.health != Health::Dead).map(|word| word.state);
        matches!(says, Some(State::TakingOver | State::Yielding))
    }

    fn peer_has_served(&self) -> bool {
        self.peer.view().pair.peer.has_served
    }

    fn is_owner(&self) -> bool {
        self.owns.load(Ordering::Acquire)
    }
}
