//! The scheduling table over the serial line, while no NIC connects the nodes. [`lb_core::checkpoint::line`] says what goes and when;
//! here it meets the ledger and the engine.
//!
//! What comes is applied to the table and its rings alone. The ledger is not told: flows are missing, so this node does not have those
//! batches. When the stream is back it goes on where it was.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use lb_core::checkpoint::ledger::{Duty, Ledger, NotInSync};
use lb_core::checkpoint::line::{Message, Needs, Receiver, Sender};
use lb_core::checkpoint::{Batch, Origin, Sequence};
use lb_core::pair::view::{Level, PathView};
use lb_core::pair::wire::table::TableFrame;
use lb_core::pair::{Micros, PathKind};
use tokio::time;
use tracing::{info, warn};

use super::hub::Hub;
use super::keeper::Common;
use super::stream::Me;
use crate::engine::{Engine, Snapshot, Stopped};
use crate::peer::{Line, Peer, clock};

/// How often it is looked whether the line is needed.
const LOOK: Duration = Duration::from_millis(50);
/// What is due and has no room yet is not asked for more often.
const LEAST_WAIT: Duration = Duration::from_millis(5);
/// How long is waited after what came could not be applied.
const RETRY_US: Micros = 5_000_000;

const NOTHING: u8 = 0;
const GOES: u8 = 1;
const COMES: u8 = 2;

/// What goes over the line now, for people.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicU8);

impl Told {
    /// Said after why the nodes are not in sync.
    pub(super) fn words(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            GOES => Some("only the scheduling table goes to it, over the serial line"),
            COMES => Some("only the scheduling table comes, over the serial line"),
            _ => None,
        }
    }

    fn set(&self, what: u8) {
        if self.0.swap(what, Ordering::Relaxed) != what
            && let Some(words) = self.words()
        {
            info!("checkpoints: {words}");
        }
    }
}

/// Carries the table whenever the line is the only way.
pub(super) async fn carry(common: Arc<Common>, peer: Peer, line: Line, me: Me) {
    let receiver = Receiver::new(me.boot, line.timing());
    let carrier = Carrier {
        common,
        peer,
        line,
        me,
        sender: None,
        receiver,
        base: None,
        has_applied: false,
        distrusts: false,
        not_before: 0,
    };
    // An engine that has stopped has no table.
    let Err(Stopped) = carrier.run().await;
}

struct Carrier {
    common: Arc<Common>,
    peer: Peer,
    line: Line,
    me: Me,
    /// While this node leads.
    sender: Option<Sender>,
    receiver: Receiver,
    /// What this node held when the session began.
    base: Option<(Origin, Sequence)>,
    /// Something has come by the line that the disk does not have.
    has_applied: bool,
    /// What this node has was not what the owner goes on from: it needs everything.
    distrusts: bool,
    /// No session begins before.
    not_before: Micros,
}

impl Carrier {
    async fn run(mut self) -> Result<std::convert::Infallible, Stopped> {
        let mut changes = self.common.hub.changes();
        loop {
            let is_only_way = is_only_way(&self.peer.view().pair.paths);
            match self.common.hub.look(|ledger, _| ledger.duty()) {
                Duty::Leads => {
                    self.leave();
                    self.lead(is_only_way).await?;
                }
                Duty::Follows => self.follow(is_only_way),
                Duty::Rests => {
                    self.leave();
                    self.common.line.set(NOTHING);
                }
            }
            let (patience, wants_room) = (self.patience(), is_only_way && !self.line.has_room());
            let heard = tokio::select! {
                heard = self.line.turn(wants_room) => heard,
                _ = changes.changed(), if is_only_way => None,
                () = time::sleep(patience) => None,
            };
            match heard {
                Some(TableFrame::Part(part)) => {
                    if let Some(bytes) = self.receiver.heard(&part, clock::now()) {
                        self.take(&bytes).await?;
                    }
                }
                Some(TableFrame::Want(want)) => {
                    if let Some(sender) = &mut self.sender {
                        sender.heard(&want, clock::now());
                    }
                }
                None => {}
            }
        }
    }

    /// How long nothing has to be done if nothing happens.
    fn patience(&self) -> Duration {
        let now = clock::now();
        let sender = self.sender.as_ref().and_then(|sender| sender.next_wake(now));
        let next = [sender, self.receiver.next_wake()].into_iter().flatten().min();
        let wait = next.map_or(LOOK, |at| Duration::from_micros(at.saturating_sub(now)));
        wait.clamp(LEAST_WAIT, LOOK)
    }

    /// Sends what the follower wants.
    async fn lead(&mut self, is_only_way: bool) -> Result<(), Stopped> {
        let Some((origin, _)) = self.common.hub.look(|ledger, _| ledger.held()) else { return Ok(()) };
        if self.sender.as_ref().is_none_or(|sender| sender.origin() != origin) {
            self.sender = Some(Sender::new(origin, self.line.timing()));
        }
        if is_only_way {
            self.feed().await?;
        }
        let Some(sender) = self.sender.as_mut().filter(|_| is_only_way) else {
            self.common.line.set(NOTHING);
            return Ok(());
        };
        let now = clock::now();
        self.common.line.set(if sender.is_wanted(now) { GOES } else { NOTHING });
        while self.line.has_room()
            && let Some(part) = sender.poll(now)
        {
            self.line.send(TableFrame::Part(part));
        }
        Ok(())
    }

    /// Gives the sender what it needs of the ledger, or of the engine.
    async fn feed(&mut self) -> Result<(), Stopped> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let now = clock::now();
        if let Needs::After(at) = sender.needs(now) {
            match self.common.hub.look(|ledger, _| ledger.after(at)) {
                Ok(batches) => batches.iter().for_each(|batch| sender.take(batch)),
                Err(_) => sender.lost(),
            }
        }
        if sender.needs(now) == Needs::Everything
            && let Some((Snapshot { entries, generation, .. }, (origin, sequence))) = self.common.snapshot().await?
            && origin == sender.origin()
        {
            sender.take_everything(&entries, sequence, generation);
        }
        Ok(())
    }

    /// Wants the table of the owner, as long as the stream does not bring it.
    fn follow(&mut self, is_only_way: bool) {
        self.sender = None;
        let now = clock::now();
        let (held, is_alone) = self.common.hub.look(|ledger, now| (ledger.held(), is_without_stream(ledger, now)));
        if !is_only_way || !is_alone {
            self.distrusts = false;
            self.common.line.set(NOTHING);
            return self.leave();
        }
        if self.receiver.begun().is_some() && (self.base != held || self.receiver.is_lost(now)) {
            self.leave();
        }
        if self.receiver.begun().is_none() && now >= self.not_before {
            self.begin(held, now);
        }
        self.common.line.set(if self.receiver.is_answered() { COMES } else { NOTHING });
        if self.line.is_quiet()
            && let Some(want) = self.receiver.poll(now)
        {
            self.line.send(TableFrame::Want(want));
        }
    }

    /// Begins a session. What the engine was not told by the owner itself is nothing to go on from: its names came with it.
    fn begin(&mut self, held: Option<(Origin, Sequence)>, now: Micros) {
        let followed = *self.common.followed();
        let known = held.filter(|(origin, _)| followed == Some(*origin) && !self.distrusts);
        self.base = held;
        self.receiver.begin(known.map(|(origin, sequence)| (origin.boot, origin.epoch, sequence)), now);
    }

    /// Ends the session, if there is one. The disk then needs everything anew: the stream will bring what the table has by now, and so
    /// nothing that the disk would be told as new.
    fn leave(&mut self) {
        self.receiver.end();
        if std::mem::take(&mut self.has_applied) {
            self.common.hub.change(|ledger, _| ledger.uncommit());
        }
    }

    /// Takes a message in.
    async fn take(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let (hub, base, me) = (self.common.hub.clone(), self.base, self.me);
        let message = Message::decode(bytes).map_err(|error| error.to_string());
        let job = move |engine: &mut Engine| apply(engine, &hub, base, &me, message?);
        match self.common.engine.call(job).await? {
            Ok(has_applied) => self.has_applied |= has_applied,
            Err(why) => {
                warn!("checkpoints: what came over the serial line cannot be applied: {why}; all of it is asked for");
                self.distrusts = true;
                self.not_before = clock::now() + RETRY_US;
                self.leave();
            }
        }
        Ok(())
    }
}

/// Applies a message, unless the stream has brought something since the session began: that is newer. Whether it was applied.
fn apply(
    engine: &mut Engine,
    hub: &Hub,
    base: Option<(Origin, Sequence)>,
    me: &Me,
    message: Message,
) -> Result<bool, String> {
    if !hub.look(|ledger, now| ledger.held() == base && is_without_stream(ledger, now)) {
        return Ok(false);
    }
    let Message { all, boot, epoch, generation, entries } = message;
    let origin = Origin { cluster: me.cluster, owner: me.role.other(), boot, epoch };
    if base.is_some_and(|(held, _)| held.epoch > epoch) {
        return Err(format!("it is of epoch {epoch}, and this node knows of a newer owner"));
    }
    if all {
        engine.begin_full(origin);
    }
    let batch = Batch { sequence: 0, generation, entries };
    engine.apply_batch(origin, &batch).map_err(|error| error.to_string())?;
    Ok(true)
}

/// This node follows, and the stream brings nothing.
fn is_without_stream(ledger: &Ledger, now: Micros) -> bool {
    matches!(ledger.sync(now), Err(NotInSync::NoOwner(_)))
}

/// A serial path is up, and all others are down.
fn is_only_way(paths: &[PathView]) -> bool {
    let of = |kind| paths.iter().filter(move |path| path.kind == kind);
    of(PathKind::Serial).any(|path| path.level == Level::Up) && of(PathKind::Udp).all(|path| path.level == Level::Down)
}
