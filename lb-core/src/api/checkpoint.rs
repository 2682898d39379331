//! `GET /v1/checkpoint`, and its part of `GET /v1/status`: how what the node has learned is kept, and who else knows it.

mod advice;
mod files;

use serde::{Deserialize, Serialize};

pub use self::advice::{Advice, AdviceInput, AdvicePoint, ValueOrigin};
pub use self::files::{
    CheckpointFile, CheckpointFileKind, CheckpointFiles, CheckpointImported, CheckpointTaken, CheckpointVerified,
    RefusedCheckpoint, VerifiedFile, VerifyCheckpoint,
};
use super::Role;

words! {
    /// What a node does about checkpoints.
    CheckpointRole {
        /// It has no peer: what it learns goes to its disk.
        Alone = "alone",
        /// It serves: what it learns goes to its peer and its disk.
        Leading = "leading",
        /// It takes over what its peer has learned.
        Following = "following",
        /// Neither of the nodes is known to serve.
        Waiting = "waiting",
    }
}

/// How the checkpoints of a node are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What the node does about them.
    pub role: CheckpointRole,
    /// The cluster's name.
    pub cluster: String,
    /// Whose checkpoints they are; none before it is known.
    pub origin: Option<CheckpointOrigin>,
    /// The newest batch: made by this node where it leads or is alone, else applied by it.
    pub sequence: u64,
    /// The generation of the owner's scheduling table that goes with it.
    pub generation: u64,
    /// Whether all that the owner knows is where it should be.
    pub sync: CheckpointSync,
    /// The full checkpoint on its way to or from the peer, when one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<FullProgress>,
    /// Tc, and where it comes from.
    pub interval: IntervalInUse,
    /// The newest durable checkpoint of this start; none before the first.
    pub commit: Option<Commit>,
    /// The files.
    pub store: StoreState,
    /// The stream between the nodes; none for a solo node.
    pub stream: Option<StreamState>,
    /// The flows that are exceptions.
    pub flows: FlowsKept,
}

/// Whose checkpoints they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointOrigin {
    /// The owner's configured role; `primary` for a solo node.
    pub owner: Role,
    /// The generation of the owner's start.
    pub boot: u32,
    /// The epoch in which it owned the VIPs; 0 for a solo node.
    pub epoch: u32,
}

/// Whether all that the owner knows is where it should be: with the peer, or on the disk of a node that is alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSync {
    /// It is.
    pub in_sync: bool,
    /// Why it is not, in one sentence, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Milliseconds since the last commit of a node that is alone. None before the first, and in a pair, where the stream says more.
    pub confirmed_ms: Option<f64>,
}

/// A full checkpoint on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FullProgress {
    /// This node gets it. Else it sends it.
    pub incoming: bool,
    /// Pieces that have gone or come.
    pub parts: u32,
    /// About how many there are.
    pub parts_estimate: u32,
    /// Entries in these pieces.
    pub entries: u64,
    /// Bytes that went over the stream meanwhile.
    pub bytes: u64,
    /// Seconds since it began.
    pub seconds: f64,
}

/// Tc, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalInUse {
    /// Tc now, in seconds.
    pub seconds: f64,
    /// It is worked out. Else it is configured.
    pub auto: bool,
    /// The shortest that it can be, in seconds: longer than Tm.
    pub least_seconds: f64,
    /// The longest, in seconds.
    pub max_seconds: f64,
}

/// A checkpoint that is durable on this node's disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Seconds since it was.
    pub ago_seconds: f64,
    /// The newest batch in it.
    pub sequence: u64,
    /// How long it took from the first write until it was durable, in milliseconds.
    pub took_ms: f64,
    /// What it wrote, in bytes.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// It was a snapshot. Else it was a delta.
    pub full: bool,
}

/// The files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreState {
    /// Where they are.
    pub directory: String,
    /// The other node has this disk, too.
    pub shared: bool,
    /// What they take together, in bytes.
    pub bytes: u64,
    /// Most that they may take, in bytes.
    pub max_bytes: u64,
    /// Commits since this start.
    pub commits: u64,
    /// Attempts that failed since this start.
    pub failures: u64,
    /// What is wrong with the disk now, and what to do, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was read at this start, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredCheckpoint>,
    /// What was found and not used at this start, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedCheckpoint>,
}

/// What a start began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoredCheckpoint {
    /// Whose it was.
    pub origin: CheckpointOrigin,
    /// The newest batch in it.
    pub sequence: u64,
    /// When it was made, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Flows in it.
    pub flows: u64,
    /// How long reading it and putting it into the maps took, in milliseconds.
    pub took_ms: f64,
}

/// The stream between the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    /// The nodes are connected, and know each other's keys.
    pub connected: bool,
    /// By which path, when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For how long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_seconds: Option<f64>,
    /// Version of the format that both nodes speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_version: Option<u16>,
    /// The newest batch that is in the follower's maps.
    pub applied: u64,
    /// The newest batch that is on the follower's disk.
    pub durable: u64,
    /// For how long the oldest batch that is not applied has waited, in milliseconds; 0 when all are.
    pub lag_ms: f64,
    /// Bytes kept for a follower that has not acked them.
    pub backlog_bytes: u64,
    /// Most that are kept.
    pub max_backlog_bytes: u64,
    /// Connections since this start.
    pub connections: u64,
    /// Full checkpoints that went over it since this start.
    pub fulls: u64,
    /// Bytes that went over it since this start.
    pub bytes: u64,
    /// Why the last connection ended or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// The flows that are exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsKept {
    /// As many as the newest batch knows.
    pub known: u64,
    /// A failover at this instant would break so many: the peer has not heard of them yet.
    pub at_risk: u64,
    /// How often the program found its ring buffer full.
    pub overruns: u64,
    /// How often all flows were sent again to mend that.
    pub resyncs: u64,
}

/// Checkpoints in [`Status`](super::Status).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// What the node does about them.
    pub role: CheckpointRole,
    /// Whether all that the owner knows is where it should be.
    pub sync: CheckpointSync,
    /// The full checkpoint on its way, when one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<FullProgress>,
}

impl Checkpoint {
    /// Something should not stay so: not all is where it should be, or the disk takes none.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        !self.sync.in_sync || self.store.error.is_some()
    }

    /// Its part of the status.
    #[must_use]
    pub fn status(&self) -> CheckpointStatus {
        CheckpointStatus { role: self.role, sync: self.sync.clone(), full: self.full.clone() }
    }
}

impl FullProgress {
    /// The share that has gone or come, at most 1: the number of pieces is an estimate.
    #[must_use]
    pub fn share(&self) -> f64 {
        (f64::from(self.parts) / f64::from(self.parts_estimate.max(1))).min(1.0)
    }
}
