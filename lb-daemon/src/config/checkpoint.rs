//! What `[checkpoint]` says, checked: how often what the node has learned is stored, where, and what it may cost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_core::checkpoint::cluster_id;

/// How this node keeps checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Tc: how often what has changed is stored durably.
    pub interval: CheckpointInterval,
    /// The shortest Tc that there can be: longer than Tm, the `scheduler.interval`.
    pub least_interval: Duration,
    /// The longest. Not shorter than the least.
    pub max_interval: Duration,
    /// For how long newly remembered flows are gathered before they go to the peer.
    pub stream_interval: Duration,
    /// For how long a change of the table waits for the peer's ack.
    pub write_ahead_timeout: Duration,
    /// For how long after a takeover the health of the reals is held as the checkpoint has it.
    pub grace: Duration,
    /// Where the checkpoints are.
    pub place: CheckpointPlace,
    /// The cluster's name. Checkpoints of another one are refused.
    pub cluster: String,
    /// The keys that authenticate checkpoints; the first that is bound to no real signs.
    pub key_file: PathBuf,
    /// Most bytes that the files may have together.
    pub max_size: u64,
    /// Most bytes that are kept in memory for a peer that has not acked them yet.
    pub max_backlog: u64,
    /// Size of the ring buffer by which the XDP program tells of flows, in bytes: a power of two.
    pub flow_events_size: u32,
    /// How long a node goes without a failure, in the mean.
    pub mean_time_between_failures: Duration,
    /// What a broken flow is worth, in CPU time.
    pub flow_weight: Duration,
}

/// Tc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointInterval {
    /// Worked out from what checkpoints cost and what they save.
    Auto,
    /// Always this.
    Fixed(Duration),
}

/// Where checkpoints are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointPlace {
    /// On this node's own disk.
    Own(PathBuf),
    /// On a disk that both nodes have.
    Shared(PathBuf),
}

impl CheckpointSettings {
    /// The number that the cluster's name stands for in checkpoints.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        cluster_id(&self.cluster)
    }

    /// The keys that differ in `new` and that only a restart takes over.
    #[must_use]
    pub fn waiting_keys(&self, new: &Self) -> Vec<&'static str> {
        let place = match (&self.place, &new.place) {
            (used, new) if used == new => None,
            (CheckpointPlace::Own(_), CheckpointPlace::Own(_)) => Some("checkpoint.directory"),
            _ => Some("checkpoint.shared"),
        };
        let cluster = (self.cluster != new.cluster).then_some("checkpoint.cluster");
        let flow_events = (self.flow_events_size != new.flow_events_size).then_some("checkpoint.flow_events_size");
        [place, cluster, flow_events].into_iter().flatten().collect()
    }

    /// What is in use after a reload: as `new`, but for what only a restart takes over.
    #[must_use]
    pub fn reloaded(self, new: Self) -> Self {
        Self { place: self.place, cluster: self.cluster, flow_events_size: self.flow_events_size, ..new }
    }
}

impl CheckpointPlace {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Shared(path) => path,
        }
    }

    /// The other node has it, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}
