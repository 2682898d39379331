//! The owner's side of a connection: everything first where that is needed, then what the ledger gets, as it gets it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use futures_util::future::BoxFuture;
use lb_core::checkpoint::ledger::{Duty, Progress, Visit};
use lb_core::checkpoint::session::{Asked, Heard, Owner, SessionError};
use lb_core::checkpoint::{Entry, Origin, Sequence};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::wire::Wire;
use super::{Common, Full, nonce};
use crate::peer::clock;

/// Bytes that may wait for the socket before more is taken from the ledger: what is not taken stays there.
const MAX_OUTPUT: usize = 1 << 20;

/// Said to a follower when another one, or the same one by another path, has proved itself.
const REPLACED: &str = "another connection takes its place";
/// Said to who asks a node that does not lead.
const NOT_LEADING: &str = "this node does not own the scheduling table now";

/// Serves a connection to its end.
pub(super) async fn serve(common: &Arc<Common>, path: &str, peer: SocketAddr, socket: TcpStream) {
    let nonce = match nonce() {
        Ok(nonce) => nonce,
        Err(why) => return warn!("checkpoint stream: {path}: {peer}: {why}"),
    };
    let owner = Owner::new(common.me.clone(), common.keys().as_ref().clone(), nonce, clock::now());
    let mut served = Served {
        common: common.clone(),
        path,
        peer,
        wire: Wire::new(socket),
        owner,
        stage: Stage::Asked,
        changes: common.ledgers.hub().changes(),
        followers: common.followers.subscribe(),
        number: None,
        connection: 0,
    };
    let Err(error) = served.run().await;
    served.end(&error).await;
}

/// A connection that is served.
struct Served<'a> {
    common: Arc<Common>,
    path: &'a str,
    peer: SocketAddr,
    wire: Wire,
    owner: Owner,
    stage: Stage,
    changes: watch::Receiver<u64>,
    followers: watch::Receiver<u64>,
    /// Which follower it is, when it has proved itself.
    number: Option<u64>,
    /// Which connection of this node's, by then.
    connection: u64,
}

enum Stage {
    /// The handshake is not done.
    Asked,
    /// It has been answered; the follower is to prove that it is there.
    Answered { origin: Origin, resume: Option<Sequence>, version: u16 },
    /// Everything is being gathered.
    Gathering { told: Told, full: BoxFuture<'static, Result<Full, String>> },
    /// Everything is being sent.
    Filling { told: Told, full: Full, done: u32 },
    /// What is new is sent as it comes: this was the last.
    Streaming { told: Told, sent: Sequence },
}

/// Whom it is told, and whose batches.
#[derive(Clone, Copy)]
struct Told {
    origin: Origin,
    visit: Visit,
}

/// What has happened beside the connection.
enum Beside {
    Gathered(Result<Full, String>),
    Part(Option<Result<Vec<Entry>, String>>),
    Nothing,
}

impl Served<'_> {
    async fn run(&mut self) -> anyhow::Result<std::convert::Infallible> {
        loop {
            while let Some(heard) = self.owner.poll() {
                self.hear(heard)?;
            }
            self.feed()?;
            let has_room = self.owner.output().len() < MAX_OUTPUT;
            let beside = tokio::select! {
                biased;
                done = self.wire.turn(&mut self.owner, true) => {
                    done?;
                    Beside::Nothing
                }
                beside = self.stage.next(), if has_room => beside,
                changed = self.changes.changed() => {
                    changed?;
                    Beside::Nothing
                }
                changed = self.followers.changed() => {
                    changed?;
                    self.keep_place()?;
                    Beside::Nothing
                }
            };
            self.take(beside)?;
            let moved = self.wire.moved();
            self.common.see(|view| view.bytes += moved);
        }
    }

    fn hear(&mut self, heard: Heard) -> anyhow::Result<()> {
        match heard {
            Heard::Asked(asked) => self.answer(&asked),
            Heard::Acked { applied, durable } => {
                if let Stage::Answered { origin, resume, version } = self.stage {
                    self.begin(origin, resume, version);
                }
                if let Some(Told { visit, .. }) = self.stage.told() {
                    let hub = self.common.ledgers.hub();
                    hub.change(|ledger, now| ledger.acked(visit, applied, durable, now));
                }
                Ok(())
            }
        }
    }

    fn answer(&mut self, asked: &Asked) -> anyhow::Result<()> {
        let answer = self.common.ledgers.hub().look(|ledger, _| {
            let (origin, _) = ledger.held().filter(|_| ledger.duty() == Duty::Leads)?;
            let held = asked.has.filter(|(held, at)| *held == origin && *at <= ledger.last());
            Some((origin, held.map(|(_, at)| at).filter(|at| ledger.after(*at).is_ok())))
        });
        let (origin, resume) = answer.ok_or_else(|| anyhow!(NOT_LEADING))?;
        self.owner.welcome(origin, resume)?;
        self.stage = Stage::Answered { origin, resume, version: asked.version };
        Ok(())
    }

    /// The follower has proved itself: from now on it is the one.
    fn begin(&mut self, origin: Origin, resume: Option<Sequence>, version: u16) {
        self.common.followers.send_modify(|number| *number += 1);
        self.number = Some(*self.followers.borrow_and_update());
        self.connection = self.common.note_connection(self.path, self.peer, version);
        let (path, peer) = (self.path, self.peer);
        match resume {
            Some(sent) => {
                info!("checkpoint stream: {path}: {peer} follows, and has everything up to batch {sent}");
                let visit = self.common.ledgers.hub().change(|ledger, _| ledger.follower_resumes(sent));
                self.stage = Stage::Streaming { told: Told { origin, visit }, sent };
            }
            None => {
                info!("checkpoint stream: {path}: {peer} follows, and is sent everything");
                self.refill(origin);
            }
        }
    }

    fn refill(&mut self, origin: Origin) {
        let visit = self.common.ledgers.hub().change(|ledger, _| ledger.follower_refills());
        let ledgers = self.common.ledgers.clone();
        let full = Box::pin(async move { ledgers.full().await });
        self.owner.begin_full();
        self.common.note_full();
        self.stage = Stage::Gathering { told: Told { origin, visit }, full };
    }

    /// Takes from the ledger what has not been sent, as far as there is room.
    fn feed(&mut self) -> anyhow::Result<()> {
        let Some(Told { origin, .. }) = self.stage.told() else { return Ok(()) };
        let after = if let Stage::Streaming { sent, .. } = self.stage { Some(sent) } else { None };
        let batches = self.common.ledgers.hub().look(|ledger, _| {
            let is_mine = ledger.duty() == Duty::Leads && ledger.held().is_some_and(|(held, _)| held == origin);
            is_mine.then(|| after.map(|sent| ledger.after(sent)))
        });
        match batches.ok_or_else(|| anyhow!(NOT_LEADING))? {
            None => {}
            Some(Ok(batches)) => {
                for batch in batches {
                    if self.owner.output().len() >= MAX_OUTPUT {
                        break;
                    }
                    self.owner.batch(&batch);
                    if let Stage::Streaming { sent, .. } = &mut self.stage {
                        *sent = batch.sequence;
                    }
                }
            }
            Some(Err(gone)) => {
                info!("checkpoint stream: {}: {} is sent everything: {gone}", self.path, self.peer);
                self.refill(origin);
            }
        }
        Ok(())
    }

    fn take(&mut self, beside: Beside) -> anyhow::Result<()> {
        let Some(told) = self.stage.told() else { return Ok(()) };
        match beside {
            Beside::Nothing => {}
            Beside::Gathered(full) => {
                let full = full.map_err(|why| anyhow!("what there is cannot be read: {why}"))?;
                if full.origin != told.origin {
                    bail!(NOT_LEADING);
                }
                self.stage = Stage::Filling { told, full, done: 0 };
            }
            Beside::Part(part) => self.take_part(told, part)?,
        }
        Ok(())
    }

    fn take_part(&mut self, told: Told, part: Option<Result<Vec<Entry>, String>>) -> anyhow::Result<()> {
        let Stage::Filling { full, done, .. } = &mut self.stage else { return Ok(()) };
        let Some(part) = part else {
            self.owner.end_full(full.sequence, full.generation);
            self.stage = Stage::Streaming { told, sent: full.sequence };
            return Ok(());
        };
        let entries = part.map_err(|why| anyhow!("what there is cannot be read to its end: {why}"))?;
        self.common.note_part(&entries);
        self.owner.full_part(&entries, full.parts_estimate);
        *done += 1;
        let progress = Progress { done: *done, estimate: full.parts_estimate };
        self.common.ledgers.hub().change(|ledger, _| ledger.follower_progress(told.visit, progress));
        Ok(())
    }

    /// Whether no other connection has taken this one's place.
    fn keep_place(&mut self) -> anyhow::Result<()> {
        let newest = *self.followers.borrow_and_update();
        if self.number.is_some_and(|number| number != newest) {
            bail!(REPLACED);
        }
        Ok(())
    }

    /// The connection ends: all who have to know are told.
    async fn end(&mut self, error: &anyhow::Error) {
        let why = format!("{}: {}: {error:#}", self.path, self.peer.ip());
        self.owner.refuse(&format!("{error:#}"));
        if let Some(Told { visit, .. }) = self.stage.told() {
            self.common.ledgers.hub().change(|ledger, _| ledger.follower_gone(visit, &why));
        }
        match self.number {
            Some(number) if number == *self.common.followers.borrow() => {
                warn!("checkpoint stream: {why}");
                self.common.note_end(self.connection, &why);
            }
            None if is_refusal(error) && self.common.note_refusal(&why) => warn!("checkpoint stream: {why}"),
            _ => debug!("checkpoint stream: {why}"),
        }
        self.wire.say_last(&mut self.owner).await;
    }
}

/// Whether a peer could not be, that did not just go away: it may have found a better path.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<SessionError>().is_some_and(|error| !matches!(error, SessionError::Closed(_)))
}

impl Stage {
    fn told(&self) -> Option<Told> {
        match self {
            Self::Asked | Self::Answered { .. } => None,
            Self::Gathering { told, .. } | Self::Filling { told, .. } | Self::Streaming { told, .. } => Some(*told),
        }
    }

    /// What comes from this node for a follower that is told everything. May be dropped at any time.
    async fn next(&mut self) -> Beside {
        match self {
            Self::Asked | Self::Answered { .. } | Self::Streaming { .. } => std::future::pending().await,
            Self::Gathering { full, .. } => Beside::Gathered(full.await),
            Self::Filling { full, .. } => Beside::Part(full.parts.recv().await),
        }
    }
}
