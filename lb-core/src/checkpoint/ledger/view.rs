//! What the ledger says of itself: in sync or why not, and its figures.

use super::{Duty, Flows, Ledger, owner::Owner};
use crate::{
    checkpoint::{Origin, Sequence},
    pair::Micros,
};

/// Why the peer does not have everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotInSync {
    /// The node neither leads nor follows.
    #[error("this node neither leads nor follows yet")]
    Rests,
    /// The node leads, and nobody follows.
    #[error("no standby follows this node: {0}")]
    NoFollower(String),
    /// The follower is being told everything.
    #[error("the standby is being sent everything: {0}")]
    Refilling(Progress),
    /// The follower has not applied something for too long.
    #[error("the standby has not yet applied what was sent to it {lag_ms} ms ago")]
    Late {
        /// When the oldest of it was told, in milliseconds ago.
        lag_ms: u64,
    },
    /// Some flows were not told.
    #[error("some flows were not told to the standby: {0}; all are sent again")]
    FlowsLost(String),
    /// All flows are being told again.
    #[error("all flows are being sent to the standby again")]
    FlowsHealing,
    /// The node follows, and does not hear the owner.
    #[error("the active node's checkpoints do not come in: {0}")]
    NoOwner(String),
    /// The node follows, and cannot write all flows.
    #[error("flows that the active node remembers cannot be written here: {0}")]
    FlowsUnwritten(String),
    /// The node is being told everything.
    #[error("everything is being fetched from the active node: {0}")]
    Filling(Progress),
}

/// How far the sending of everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Parts done.
    pub done: u32,
    /// Parts in all, as far as can be told; 0 where it cannot.
    pub estimate: u32,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.estimate {
            0 => write!(f, "part {}", self.done),
            estimate => write!(f, "part {} of about {}", self.done, estimate.max(self.done)),
        }
    }
}

/// The ledger's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the node does.
    pub duty: Duty,
    /// Whose batches it has.
    pub origin: Option<Origin>,
    /// The last of them.
    pub sequence: Sequence,
    /// The scheduling table's generation after it.
    pub generation: u64,
    /// Up to where the own disk has everything.
    pub committed: Option<Sequence>,
    /// Bytes of memory that the kept batches take.
    pub backlog_bytes: usize,
    /// Up to where the follower has applied everything, while there is one.
    pub applied: Option<Sequence>,
    /// Up to where the follower's disk had it when it was last heard.
    pub durable: Option<Sequence>,
    /// For how long the oldest batch that the follower, or the last one there was, has not applied has waited, in microseconds.
    pub lag_us: Micros,
    /// Flows at risk: remembered, told, and not applied by the follower.
    pub flows_at_risk: usize,
    /// How far the sending or fetching of everything is, while that lasts.
    pub full: Option<Progress>,
}

impl Ledger {
    /// Whether the peer has everything that the node that leads has learned, as far as this node can tell.
    ///
    /// # Errors
    ///
    /// It does not, and why: one sentence.
    pub fn sync(&self, now: Micros) -> Result<(), NotInSync> {
        match self.duty {
            Duty::Leads if self.limits.has_peer => self.follower_sync(now),
            Duty::Leads => Ok(()),
            Duty::Follows => self.owner_sync(),
            Duty::Rests => Err(NotInSync::Rests),
        }
    }

    fn follower_sync(&self, now: Micros) -> Result<(), NotInSync> {
        if let Some(why) = self.follower.absence() {
            return Err(NotInSync::NoFollower(why.to_owned()));
        }
        if let Some(progress) = self.follower.refilling() {
            return Err(NotInSync::Refilling(progress));
        }
        let lag = self.lag_us(now);
        if self.follower.is_late || lag > self.limits.write_ahead_timeout_us {
            return Err(NotInSync::Late { lag_ms: lag / 1_000 });
        }
        match &self.flows {
            Flows::Lost(why) => Err(NotInSync::FlowsLost(why.clone())),
            Flows::Whole(since) if self.follower.applied() < *since => Err(NotInSync::FlowsHealing),
            Flows::Whole(_) => Ok(()),
        }
    }

    fn owner_sync(&self) -> Result<(), NotInSync> {
        match &self.owner {
            Owner::Absent(why) => Err(NotInSync::NoOwner(why.clone())),
            Owner::Filling(progress) => Err(NotInSync::Filling(*progress)),
            Owner::Here => self.unwritten.clone().map_or(Ok(()), |why| Err(NotInSync::FlowsUnwritten(why))),
        }
    }

    /// The figures.
    #[must_use]
    pub fn view(&self, now: Micros) -> View {
        let leads = self.duty == Duty::Leads;
        let applied = (leads && self.follower.absence().is_none()).then(|| self.follower.applied());
        View {
            duty: self.duty,
            origin: self.held.map(|(origin, _)| origin),
            sequence: self.last(),
            generation: self.generation,
            committed: self.durable(),
            backlog_bytes: self.backlog.weight(),
            applied,
            durable: self.follower.durable(),
            lag_us: if leads && self.limits.has_peer { self.lag_us(now) } else { 0 },
            flows_at_risk: if leads { self.backlog.flows_after(self.follower.applied()) } else { 0 },
            full: match &self.owner {
                _ if leads => self.follower.refilling(),
                Owner::Filling(progress) if self.duty == Duty::Follows => Some(*progress),
                _ => None,
            },
        }
    }
}
