//! The ledger: what a node tells its follower and its disk, or hears from whom it follows, batch by batch; how far each of them has got;
//! and whether that is everything.
//!
//! It knows no clock, socket or disk: what happens is told with its time, microseconds of a clock that never goes back. One ledger lasts as
//! long as its daemon, through all changes of who leads.

mod backlog;
mod disk;
mod follower;
mod owner;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use backlog::Backlog;
pub use backlog::Gone;
use disk::Disk;
pub use disk::Uncommitted;
use follower::Follower;
pub use follower::Visit;
pub use owner::Misfit;
use owner::Owner;
pub use view::{NotInSync, Progress, View};

use super::{Batch, Entry, Origin, Sequence};
use crate::pair::Micros;

/// What a ledger may take, and for whom it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of memory for batches that are kept. Who needs an older one gets everything anew.
    pub max_backlog: usize,
    /// How long a change of the scheduling table waits for the follower. One that takes longer is late, and nobody waits for it.
    pub write_ahead_timeout_us: Micros,
    /// The node has a peer: without a follower that has everything it is not in sync.
    pub has_peer: bool,
    /// The node writes what it knows to a disk.
    pub has_store: bool,
}

/// What the node does with checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing: it has just started, or is fenced.
    Rests,
    /// It owns the scheduling table, and tells what changes.
    Leads,
    /// It takes what the owner tells.
    Follows,
}

/// Whether the owner's maps may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// Yes: the follower has applied the change, or is not waited for.
    Go,
    /// Not before this time, unless the follower says earlier that it has applied it.
    Wait {
        /// Ask again then at the latest.
        until: Micros,
    },
}

/// The ledger of a node.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    duty: Duty,
    /// Whose batches these are, and the last of them.
    held: Option<(Origin, Sequence)>,
    generation: u64,
    backlog: Backlog,
    disk: Disk,
    /// Who follows, while this node leads.
    follower: Follower,
    /// Whom this node follows.
    owner: Owner,
    flows: Flows,
    /// Why this node, which follows, does not have all flows that it was told of.
    unwritten: Option<String>,
}

/// Whether all flows that the flow table remembers have been told.
#[derive(Debug)]
enum Flows {
    /// They have, up to this batch, with which they were all told again.
    Whole(Sequence),
    /// Some may not have been: why.
    Lost(String),
}

impl Ledger {
    /// A ledger that holds nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            duty: Duty::Rests,
            held: None,
            generation: 0,
            backlog: Backlog::new(0),
            disk: Disk::new(),
            follower: Follower::absent("none has come yet"),
            owner: Owner::absent("it has not been reached yet"),
            flows: Flows::Whole(0),
            unwritten: None,
        }
    }

    /// Takes over what a reload may change: all but for whom the ledger is kept.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits.max_backlog = limits.max_backlog;
        self.limits.write_ahead_timeout_us = limits.write_ahead_timeout_us;
        self.backlog.shrink(limits.max_backlog);
    }

    /// What the node does.
    #[must_use]
    pub fn duty(&self) -> Duty {
        self.duty
    }

    /// Whose batches it has, and the last one.
    #[must_use]
    pub fn held(&self) -> Option<(Origin, Sequence)> {
        self.held
    }

    /// The scheduling table's generation after the last batch.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The node does neither: what it holds is kept.
    pub fn rest(&mut self) {
        self.duty = Duty::Rests;
    }

    /// The disk had this when the daemon started. Says nothing where the ledger holds something already.
    pub fn restored(&mut self, origin: Origin, sequence: Sequence, generation: u64) {
        if self.held.is_none() {
            self.begin(origin, sequence, generation);
            self.disk.committed(sequence);
        }
    }

    /// This node owns the scheduling table from now on. Follower and disk get everything anew.
    pub fn lead(&mut self, origin: Origin) {
        self.begin(origin, 0, self.generation);
        self.duty = Duty::Leads;
        self.unwritten = None;
        self.follower = Follower::absent("none has come since this node leads");
        self.flows = Flows::Whole(0);
    }

    /// This node follows whoever owns the scheduling table. What it holds is kept: it may be that owner's.
    pub fn follow(&mut self) {
        if self.duty != Duty::Follows {
            self.duty = Duty::Follows;
            self.owner = Owner::absent("it has not been reached yet");
        }
    }

    /// From here on batches are of this origin, the next after this one.
    fn begin(&mut self, origin: Origin, sequence: Sequence, generation: u64) {
        self.held = Some((origin, sequence));
        self.generation = generation;
        self.backlog = Backlog::new(sequence);
        self.disk = Disk::new();
    }

    /// The number of the last batch; 0 before the first.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.held.map_or(0, |(_, sequence)| sequence)
    }

    /// Puts a batch after the others.
    fn push(&mut self, batch: Batch, now: Micros) {
        if let Some((_, last)) = &mut self.held {
            *last = batch.sequence;
        }
        self.generation = batch.generation;
        self.backlog.push(Arc::new(batch), now, self.limits.max_backlog);
    }

    /// The batches after this one, the oldest first.
    ///
    /// # Errors
    ///
    /// Some of them are not kept any more: who needs them gets everything anew.
    pub fn after(&self, sequence: Sequence) -> Result<Vec<Arc<Batch>>, Gone> {
        self.backlog.after(sequence)
    }
}

/// What a node does that leads.
impl Ledger {
    /// Tells what has changed, and gives the number of its batch: the last one's where nothing has. Nothing where the node does not lead.
    pub fn append(&mut self, entries: Vec<Entry>, generation: u64, now: Micros) -> Option<Sequence> {
        if self.duty != Duty::Leads {
            return None;
        }
        if !entries.is_empty() {
            self.push(Batch { sequence: self.last() + 1, generation, entries }, now);
        }
        Some(self.last())
    }

    /// A follower has come that has everything up to this batch. Whoever came before counts no more.
    pub fn follower_resumes(&mut self, at: Sequence) -> Visit {
        self.follower.resumes(at)
    }

    /// A follower has come that is told everything, or the one that is here is told everything anew.
    pub fn follower_refills(&mut self) -> Visit {
        self.follower.refills()
    }

    /// How far the sending of everything is.
    pub fn follower_progress(&mut self, visit: Visit, progress: Progress) {
        self.follower.progresses(visit, progress);
    }

    /// The follower has applied everything up to one batch, and has it on its disk up to the other; nothing where it lacks a beginning.
    pub fn acked(&mut self, visit: Visit, applied: Option<Sequence>, durable: Option<Sequence>, now: Micros) {
        let last = self.last();
        if !self.follower.acked(visit, applied.map(|at| at.min(last)), durable.map(|at| at.min(last))) {
            return;
        }
        // Less than what makes it late, so that one at the edge is not waited for in vain again and again.
        if self.lag_us(now) <= self.limits.write_ahead_timeout_us / 2 {
            self.follower.is_late = false;
        }
        self.trim();
    }

    /// The follower is gone, and why.
    pub fn follower_gone(&mut self, visit: Visit, why: &str) {
        self.follower.goes(visit, why);
    }

    /// Whether the maps may get what this batch told. A follower that has not applied it in time is late from then on.
    pub fn ahead(&mut self, sequence: Sequence, now: Micros) -> Ahead {
        if self.duty != Duty::Leads || !self.follower.is_waited_for() || self.follower.applied() >= sequence {
            return Ahead::Go;
        }
        let Some(appended) = self.backlog.appended(sequence) else { return Ahead::Go };
        let until = appended + self.limits.write_ahead_timeout_us;
        if now < until {
            return Ahead::Wait { until };
        }
        self.follower.is_late = true;
        Ahead::Go
    }

    /// Some flows were remembered or forgotten, and nobody was told which.
    pub fn flows_lost(&mut self, why: &str) {
        self.flows = Flows::Lost(why.to_owned());
    }

    /// All flows have been told again since, in the batches so far.
    pub fn flows_healed(&mut self) {
        self.flows = Flows::Whole(self.last());
    }

    /// Something has changed that no batch can tell: follower and disk get everything anew.
    pub fn tell_all_anew(&mut self, now: Micros) {
        if self.duty == Duty::Leads {
            // A batch that nobody can have makes a gap that everybody falls into.
            self.push(Batch { sequence: self.last() + 1, generation: self.generation, entries: Vec::new() }, now);
            self.backlog.shrink(0);
            self.flows = Flows::Whole(self.last());
        }
    }

    /// For how long the follower has not applied the oldest batch that it has not applied, in microseconds.
    fn lag_us(&self, now: Micros) -> Micros {
        let oldest = self.backlog.appended(self.follower.applied() + 1);
        oldest.map_or(0, |appended| now.saturating_sub(appended))
    }
}

/// What a node does that follows.
impl Ledger {
    /// The owner has been reached, and goes on after this batch: the last one that this node holds.
    ///
    /// # Errors
    ///
    /// This node holds something else.
    pub fn owner_resumes(&mut self, origin: Origin, at: Sequence) -> Result<(), Misfit> {
        if self.duty != Duty::Follows || self.held != Some((origin, at)) {
            return Err(Misfit::Origin);
        }
        self.owner = Owner::here();
        Ok(())
    }

    /// The owner tells everything anew. What this node held counts no more.
    ///
    /// # Errors
    ///
    /// This node does not follow.
    pub fn owner_refills(&mut self) -> Result<(), Misfit> {
        if self.duty != Duty::Follows {
            return Err(Misfit::Duty);
        }
        self.held = None;
        self.backlog = Backlog::new(0);
        self.owner = Owner::filling();
        self.unwritten = None;
        Ok(())
    }

    /// Some flows that this node was told of could not be written, and why. That stays so until it is told everything anew.
    pub fn flows_unwritten(&mut self, why: &str) {
        self.unwritten = Some(why.to_owned());
    }

    /// How far the taking in of everything is.
    pub fn owner_progress(&mut self, progress: Progress) {
        self.owner.progresses(progress);
    }

    /// Everything has been applied: how things were after this batch. The disk needs it too.
    ///
    /// # Errors
    ///
    /// Nothing was begun that could be done.
    pub fn refilled(&mut self, origin: Origin, sequence: Sequence, generation: u64) -> Result<(), Misfit> {
        if self.duty != Duty::Follows || !self.owner.is_filling() {
            return Err(Misfit::Duty);
        }
        self.begin(origin, sequence, generation);
        self.owner = Owner::here();
        Ok(())
    }

    /// A batch of the owner has been applied.
    ///
    /// # Errors
    ///
    /// It is not the next one, or this node follows nobody: nothing is changed.
    pub fn received(&mut self, batch: Batch, now: Micros) -> Result<(), Misfit> {
        if self.duty != Duty::Follows || self.held.is_none() {
            return Err(Misfit::Duty);
        }
        let wanted = self.last() + 1;
        if batch.sequence != wanted {
            return Err(Misfit::Sequence { wanted, got: batch.sequence });
        }
        self.push(batch, now);
        self.trim();
        Ok(())
    }

    /// The owner cannot be heard any more, or not be reached, and why.
    pub fn owner_gone(&mut self, why: &str) {
        self.owner = Owner::absent(why);
    }
}

/// What a node does that has a disk.
impl Ledger {
    /// What the disk does not have yet; nothing where it has everything, or there is nothing to have.
    ///
    /// # Errors
    ///
    /// The disk needs everything anew: some of it is not kept any more, or it belongs to another owner.
    pub fn uncommitted(&self) -> Result<Option<Uncommitted>, Gone> {
        let Some((origin, _)) = self.held else { return Ok(None) };
        let batches = self.after(self.disk.sequence().ok_or(Gone)?)?;
        Ok((!batches.is_empty()).then(|| Uncommitted::new(origin, batches)))
    }

    /// The disk has everything of this owner up to this batch.
    pub fn committed(&mut self, origin: Origin, sequence: Sequence) {
        if self.held.is_some_and(|(held, last)| held == origin && sequence <= last) {
            self.disk.committed(sequence);
            self.trim();
        }
    }

    /// The disk does not have what it was thought to have: it needs everything anew.
    pub fn uncommit(&mut self) {
        self.disk = Disk::new();
    }

    /// Up to which batch the disk has everything; nothing where it lacks a beginning.
    #[must_use]
    pub fn durable(&self) -> Option<Sequence> {
        self.disk.sequence()
    }

    /// Lets go of what neither the disk nor a follower can need any more.
    fn trim(&mut self) {
        let disk = if self.limits.has_store { self.disk.sequence().unwrap_or(0) } else { Sequence::MAX };
        let follower = match self.duty {
            // A follower that starts again has what its disk has.
            Duty::Leads if self.limits.has_peer => self.follower.durable().unwrap_or(0),
            _ => Sequence::MAX,
        };
        self.backlog.drop_to(disk.min(follower));
    }
}
