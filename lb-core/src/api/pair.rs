//! `GET /v1/pair`, the requests that steer the pair, and its part of `GET /v1/status`.

use serde::{Deserialize, Serialize};

use super::Quality;

words! {
    /// What the configuration makes of a node.
    Role {
        /// Active, when both nodes start together and are equally fit.
        Primary = "primary",
        /// The other one.
        Standby = "standby",
    }
}

words! {
    /// What a node of a pair is now.
    NodeState {
        /// It has just started, and listens for its peer.
        Starting = "starting",
        /// It watches the active node, and is silent for the VIPs.
        Standby = "standby",
        /// It has raised the epoch, and takes the VIPs.
        TakingOver = "taking-over",
        /// It serves.
        Active = "active",
        /// It has given the VIPs up, and forwards for a moment what still comes.
        Yielding = "yielding",
        /// It keeps itself out, for a reason that an operator has to mend.
        Fenced = "fenced",
    }
}

words! {
    /// How the peer is, as far as can be told.
    PeerHealth {
        /// It has not been heard yet, and not for long enough to call it dead.
        Unknown = "unknown",
        /// Heard on all paths.
        Alive = "alive",
        /// Heard on some paths only.
        Degraded = "degraded",
        /// Silent on all paths.
        Dead = "dead",
    }
}

words! {
    /// What the data plane does with packets for the VIPs.
    LeaseService {
        /// It drops them, and answers no ARP and no neighbour discovery.
        Silent = "silent",
        /// It forwards and answers, as long as the lease runs.
        Serving = "serving",
        /// It forwards what still comes, as long as the lease runs.
        Draining = "draining",
    }
}

words! {
    /// Whether both nodes have the same.
    SyncState {
        /// They have not compared yet.
        Unknown = "unknown",
        /// Different VIPs.
        VipsDiffer = "vips-differ",
        /// Different services or reals.
        ServicesDiffer = "services-differ",
        /// Different slots: flows could go to other reals.
        SlotsDiffer = "slots-differ",
        /// The same slots remember: some flows are known to the active node alone.
        FlowsApart = "flows-apart",
        /// All is the same.
        InSync = "in-sync",
    }
}

/// How the pair is, as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What the configuration makes of this node.
    pub role: Role,
    /// What it is.
    pub state: NodeState,
    /// For how long it has been that, in seconds.
    pub state_seconds: f64,
    /// The highest epoch that it knows.
    pub epoch: u32,
    /// This start's generation.
    pub boot: u32,
    /// How able it is to serve: 0 is not at all, 100 fully.
    pub fitness: u8,
    /// What it lacks, when it lacks something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// An operator holds it back.
    pub held: bool,
    /// Why it must not serve at all, when it must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden: Option<String>,
    /// What moves the VIPs just now, when something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<String>,
    /// Its lease.
    pub lease: Lease,
    /// The peer.
    pub peer: PairPeer,
    /// Whether both nodes have the same.
    pub sync: Sync,
    /// When the peer's death shows after its last sign of life, without loss.
    pub detection: Detection,
    /// How good the detector has been, over all paths.
    pub quality: Quality,
    /// How often and how long this node's heartbeats were held up.
    pub stalls: Stalls,
    /// What the host did not let the heartbeats have, each in one line.
    pub handicaps: Vec<String>,
}

impl Pair {
    /// Something should not stay so: nobody would take over, or this node does not serve where it should.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.peer.health == PeerHealth::Dead
            || self.state == NodeState::Fenced
            || self.forbidden.is_some()
            || self.lease.expired
            || matches!(self.sync.state, SyncState::VipsDiffer | SyncState::ServicesDiffer)
    }
}

/// The lease of a node's data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// What the data plane does.
    pub service: LeaseService,
    /// For how long the lease still runs, in milliseconds.
    pub remaining_ms: f64,
    /// The node would serve, and the lease has ended: it is silent.
    pub expired: bool,
    /// It is not renewed before the peer has been heard, or is dead.
    pub reconfirming: bool,
}

/// How the peer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairPeer {
    /// As far as can be told.
    pub health: PeerHealth,
    /// Milliseconds since it was heard; none when it has not been since this start.
    pub heard_ms: Option<f64>,
    /// What it said then of itself.
    pub says: Option<PeerSays>,
    /// Version of its program, when it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Frames of a node with the same role as this one.
    pub same_role_frames: u64,
}

/// What a peer says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerSays {
    /// What it is.
    pub state: NodeState,
    /// The highest epoch that it knows.
    pub epoch: u32,
    /// Its start's generation.
    pub boot: u32,
    /// How able it is to serve.
    pub fitness: u8,
    /// An operator holds it back.
    pub held: bool,
    /// It has what it needs to carry on every flow.
    pub in_sync: bool,
    /// It may not serve at all.
    pub unable: bool,
    /// For how long its lease could run from then on, in milliseconds.
    pub lease_ms: f64,
}

/// Whether both nodes have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// In a word.
    pub state: SyncState,
    /// In a sentence.
    pub reason: String,
}

/// When a dead peer is found out, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// At best.
    pub min_ms: f64,
    /// In the mean.
    pub mean_ms: f64,
    /// At worst.
    pub max_ms: f64,
}

/// How often and how long heartbeats were held up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// How often.
    pub count: u64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
    /// All together, in milliseconds.
    pub total_ms: f64,
}

/// The pair in [`Status`](super::Status).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairStatus {
    /// What the configuration makes of this node.
    pub role: Role,
    /// What it is.
    pub state: NodeState,
    /// The highest epoch that it knows.
    pub epoch: u32,
    /// An operator holds it back.
    pub held: bool,
    /// Its lease.
    pub lease: Lease,
    /// How the peer is.
    pub peer: PeerHealth,
    /// Whether both nodes have the same.
    pub sync: Sync,
    /// When a dead peer is found out.
    pub detection: Detection,
}

/// Body of `POST /v1/pair/handover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// Even when the standby is not in sync.
    #[serde(default)]
    pub force: bool,
}

/// Body of `POST /v1/pair/hold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Hold this node back, or let go.
    pub held: bool,
}

/// Body of `POST /v1/pair/restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// How long the data plane goes on without its daemon, in milliseconds.
    pub grace_ms: u64,
}

/// What came of a request that steers the pair. One that was refused is an [`ErrorBody`](super::ErrorBody).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairChanged {
    /// What this node is after it.
    pub state: NodeState,
    /// The highest epoch that it knows.
    pub epoch: u32,
    /// An operator holds it back.
    pub held: bool,
}
