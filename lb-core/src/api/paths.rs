//! `GET /v1/paths`: how the heartbeat paths to the peer are.

use serde::{Deserialize, Serialize};

use super::Count;

words! {
    /// What kind of path it is.
    PathKind {
        /// Datagrams on one interface.
        Udp = "udp",
        /// A serial line.
        Serial = "serial",
    }
}

words! {
    /// Whether a path works.
    PathState {
        /// Neither has been seen yet.
        Unknown = "unknown",
        /// As many acks in a row as `rise` says.
        Up = "up",
        /// As many misses in a row as `fall` says, or its device cannot be used.
        Down = "down",
    }
}

/// The paths of this node, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paths {
    /// Each of them.
    pub paths: Vec<Path>,
    /// How good the detector has been, over all paths.
    pub overall: Quality,
}

impl Paths {
    /// One of them is down.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.paths.iter().any(|path| path.state == PathState::Down)
    }
}

/// A path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Its index in the configuration.
    pub id: u8,
    /// What people call it: `udp eth1`.
    pub name: String,
    /// What kind it is.
    pub kind: PathKind,
    /// Whether it works.
    pub state: PathState,
    /// The detector counts on it no more.
    pub silent: bool,
    /// Why its device cannot be used, when it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Tb, in milliseconds.
    pub interval_ms: f64,
    /// Times from ask to ack; none before the first ack.
    pub rtt: Option<Rtt>,
    /// The share of the last asks that had no ack in time.
    pub loss: f64,
    /// Misses in a row, now.
    pub missed_in_a_row: u32,
    /// Milliseconds since a fresh frame came in; none when none has.
    pub heard_ms: Option<f64>,
    /// What is counted.
    pub counters: PathCounters,
    /// Frames that were refused, by reason, those with count 0 too.
    pub refused: Vec<Count>,
    /// How good the detector has been on this path alone.
    pub quality: Quality,
}

/// Times from ask to ack, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rtt {
    /// The last one.
    pub last_ms: f64,
    /// Smoothed.
    pub smoothed_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What is counted on a path, since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathCounters {
    /// Frames sent.
    pub sent: u64,
    /// Frames that could not be sent.
    pub unsent: u64,
    /// Authentic frames of the peer.
    pub received: u64,
    /// Asks.
    pub asked: u64,
    /// Asks with an ack in time.
    pub acked: u64,
    /// Asks without.
    pub missed: u64,
    /// Asks that count neither way: this node was off the CPU, say.
    pub void: u64,
    /// The peer's asks that were left unanswered, since too many came in.
    pub unanswered: u64,
}

/// How good a detector has been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// How many deaths of the peer T_D was measured at.
    pub detections: u32,
    /// T_D in the mean: from the last sign of life to the verdict, in milliseconds; none without a detection.
    pub detection_mean_ms: Option<f64>,
    /// T_D at worst, in milliseconds.
    pub detection_max_ms: Option<f64>,
    /// How often a peer that lived was called dead.
    pub mistakes: u32,
    /// P_A: the share of time without a mistake.
    pub accuracy: f64,
}
