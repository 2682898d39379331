//! The follower's side of a connection: what comes is applied as it comes, and acked at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use futures_util::future::BoxFuture;
use lb_core::checkpoint::ledger::{Duty, Progress};
use lb_core::checkpoint::session::{Follower, Has, Told};
use lb_core::checkpoint::{Batch, Origin, Sequence};
use lb_core::pair::Epoch;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::wire::Wire;
use super::{Common, nonce, sockets};
use crate::config::UdpWay;
use crate::peer::clock;

/// How long what is being applied may take when the connection has ended, before nobody waits for it any more.
const LAST_WORK: Duration = Duration::from_secs(5);

/// For how long the last words of the owner before this node are heard, at most: longer than any `pair.drain`. That one ends the
/// connection when it has no more to say.
const LAST_WORDS: Duration = Duration::from_mins(2);

/// A connection on which the owner has proved itself.
pub(super) struct Opened {
    wire: Wire,
    follower: Follower,
    origin: Origin,
    resume: Option<Sequence>,
    version: u16,
}

/// How a connection has ended.
pub(super) struct Outcome {
    /// Why.
    pub(super) error: anyhow::Error,
    /// What this node has by it.
    pub(super) has: Has,
    /// The epoch of its owner.
    pub(super) epoch: Epoch,
}

/// Connects by a path, and shakes hands. May be dropped at any time: the owner then has no follower more.
///
/// # Errors
/// There is no connection, or the other end is no owner that fits. The text names path and peer.
pub(super) async fn open(common: &Arc<Common>, way: &UdpWay, has: Has, epoch: Epoch) -> Result<Opened, String> {
    let socket = sockets::connect(way).await?;
    let shaken = async {
        let nonce = nonce().map_err(|why| anyhow!(why))?;
        let mut follower = Follower::new(common.me.clone(), &common.keys(), nonce, has, epoch, clock::now())?;
        let mut wire = Wire::new(socket);
        loop {
            wire.turn(&mut follower, true).await?;
            if let Some(Told::Welcomed { origin, version, resume }) = follower.poll() {
                return Ok(Opened { wire, follower, origin, resume, version });
            }
        }
    };
    shaken.await.map_err(|error: anyhow::Error| format!("{}: {}: {error:#}", way.interface, way.peer))
}

/// Follows to the end of the connection.
pub(super) async fn follow(common: &Arc<Common>, path: &str, peer: SocketAddr, opened: Opened) -> Outcome {
    let Opened { wire, follower, origin, resume, version } = opened;
    let hub = common.ledgers.hub();
    let mut following = Following {
        common: common.clone(),
        wire,
        follower,
        work: None,
        next: None,
        has: resume.map(|at| (origin, at)),
        changes: hub.changes(),
        wishes: hub.wishes(),
        down: common.down.subscribe(),
        path: path.to_owned(),
        skipped: 0,
        last_words: None,
    };
    let connection = common.note_connection(path, peer, version);
    info!(
        "checkpoint stream: {path}: following {peer}{}",
        if resume.is_none() { "; everything is fetched" } else { "" }
    );
    let Err(error) = following.run(origin, resume).await;
    following.end(&error).await;
    common.note_end(connection, &format!("{path}: {peer}: {error:#}"));
    Outcome { error, has: following.has, epoch: origin.epoch }
}

/// A connection that is followed.
struct Following {
    common: Arc<Common>,
    wire: Wire,
    follower: Follower,
    /// What is being applied.
    work: Option<Work>,
    /// What was told and cannot be applied together with what came before it.
    next: Option<Told>,
    /// What this node has by this connection.
    has: Has,
    changes: watch::Receiver<u64>,
    wishes: watch::Receiver<u64>,
    /// See [`super::Stream::set_down`].
    down: watch::Receiver<BTreeSet<String>>,
    /// The interface by which the connection goes.
    path: String,
    /// Entries that were left out so far.
    skipped: usize,
    /// Until when this node, which leads by now, hears the last words.
    last_words: Option<Instant>,
}

struct Work {
    doing: BoxFuture<'static, Result<(), String>>,
    then: Then,
}

/// What is so when something has been applied.
enum Then {
    /// This node has nothing.
    Nothing,
    /// Some more of everything is there.
    Part(Progress),
    /// This node has everything up to this batch.
    Everything(Sequence),
}

impl Following {
    async fn run(&mut self, origin: Origin, resume: Option<Sequence>) -> anyhow::Result<std::convert::Infallible> {
        let ledgers = self.common.ledgers.clone();
        if let Some(at) = resume {
            ledgers.hub().change(|ledger, _| ledger.owner_resumes(origin, at))?;
        }
        self.wishes.mark_unchanged();
        loop {
            self.ack();
            self.begin_work(origin);
            let is_idle = self.work.is_none();
            tokio::select! {
                biased;
                done = self.wire.turn(&mut self.follower, is_idle) => done?,
                done = finish(&mut self.work), if !is_idle => self.finished(origin, done)?,
                changed = self.changes.changed() => {
                    changed?;
                    self.still_listens()?;
                }
                changed = self.down.changed() => {
                    changed?;
                    ensure!(!self.down.borrow_and_update().contains(&self.path), "the heartbeats by this path have stopped");
                }
                () = wait_until(self.last_words) => bail!("this node leads, and has heard the last words long enough"),
                changed = self.wishes.changed() => {
                    changed?;
                    self.has = None;
                    bail!("this node wants everything anew");
                }
            }
            self.note();
        }
    }

    /// Says how far this node is, where that is news.
    fn ack(&mut self) {
        let durable = self.common.ledgers.hub().look(|ledger, _| ledger.durable());
        // What a node that leads has on its disk is its own.
        self.follower.ack(durable.filter(|_| self.last_words.is_none()));
    }

    /// Begins to apply what has come: all batches that are there at once.
    fn begin_work(&mut self, origin: Origin) {
        if self.work.is_some() {
            return;
        }
        let Some(told) = self.next.take().or_else(|| self.follower.poll()) else { return };
        let ledgers = self.common.ledgers.clone();
        let (doing, then): (BoxFuture<'static, _>, _) = match told {
            Told::Welcomed { .. } => return,
            Told::FullBegins(_) => {
                self.has = None;
                self.common.note_full();
                (Box::pin(async move { ledgers.begin_full(origin).await }), Then::Nothing)
            }
            Told::FullPart { entries, progress } => {
                self.common.note_part(&entries);
                (Box::pin(async move { ledgers.full_part(entries).await }), Then::Part(progress))
            }
            Told::FullEnds { sequence, generation } => {
                let doing = Box::pin(async move { ledgers.end_full(sequence, generation).await });
                (doing, Then::Everything(sequence))
            }
            Told::Batch(first) => {
                let last = first.sequence;
                let batches = self.all_batches(first);
                let last = batches.last().map_or(last, |batch| batch.sequence);
                (Box::pin(async move { ledgers.apply(batches).await }), Then::Everything(last))
            }
        };
        self.work = Some(Work { doing, then });
    }

    /// This batch, and all that have come after it.
    fn all_batches(&mut self, first: Batch) -> Vec<Batch> {
        let mut batches = vec![first];
        while let Some(told) = self.follower.poll() {
            match told {
                Told::Batch(batch) => batches.push(batch),
                other => {
                    self.next = Some(other);
                    break;
                }
            }
        }
        batches
    }

    fn finished(&mut self, origin: Origin, done: Result<(), String>) -> anyhow::Result<()> {
        let Some(Work { then, .. }) = self.work.take() else { return Ok(()) };
        if let Err(why) = done {
            // What it has is not what it was told: it begins anew.
            self.has = None;
            bail!("what came cannot be applied: {why}");
        }
        match then {
            Then::Nothing => {}
            Then::Part(progress) => self.common.ledgers.hub().change(|ledger, _| ledger.owner_progress(progress)),
            Then::Everything(sequence) => {
                self.follower.applied(sequence);
                self.has = Some((origin, sequence));
            }
        }
        self.follower.listens_again(clock::now());
        Ok(())
    }

    /// A node that leads by now still hears what the owner before it has to say, if it has everything else of it.
    fn still_listens(&mut self) -> anyhow::Result<()> {
        match (self.common.ledgers.hub().look(|ledger, _| ledger.duty()), self.last_words) {
            (Duty::Follows, None) | (Duty::Leads, Some(_)) => {}
            (Duty::Leads, None) if self.has.is_some() => self.last_words = Some(Instant::now() + LAST_WORDS),
            _ => bail!("this node does not follow any more"),
        }
        Ok(())
    }

    fn note(&mut self) {
        let (moved, skipped) = (self.wire.moved(), self.follower.skipped());
        let new = skipped - std::mem::replace(&mut self.skipped, skipped);
        if new > 0 {
            warn!(
                "checkpoint stream: {new} entries are of kinds that this lbd does not know, and are left out; the peer's is newer"
            );
        }
        self.common.see(|view| {
            view.bytes += moved;
            view.skipped += new as u64;
        });
    }

    /// The connection ends. What is being applied is waited for, so that it is known what this node has.
    async fn end(&mut self, error: &anyhow::Error) {
        self.follower.end(&format!("{error:#}"));
        self.wire.say_last(&mut self.follower).await;
        if let Some(Work { doing, then }) = self.work.take() {
            let done = timeout(LAST_WORK, doing).await;
            self.has = match (done, then) {
                (Ok(Ok(())), Then::Everything(sequence)) => self.has.map(|(origin, _)| (origin, sequence)),
                _ => None,
            };
        }
    }
}

/// Waits for ever where there is no such time.
async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits for what is being applied. May be dropped, and goes on when it is called again.
async fn finish(work: &mut Option<Work>) -> Result<(), String> {
    match work {
        Some(work) => (&mut work.doing).await,
        None => std::future::pending().await,
    }
}
