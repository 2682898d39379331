//! What a node shows of its pair: plain data, for the API and the journal. Times are microseconds; what has happened is told by how long
//! ago it was.

use super::{
    Epoch, Facts, Fitness, Flags, MAX_PATHS, Micros, PathId, PathKind, Peer, Role, Service, State, sync::Sync,
};

/// Everything that [`Node::view`](super::Node::view) tells.
#[derive(Clone, Debug, PartialEq)]
pub struct PairView {
    /// What the configuration makes of this node.
    pub role: Role,
    /// This start's generation.
    pub boot: u32,
    /// What this node is.
    pub state: State,
    /// For how long it has been that.
    pub for_us: Micros,
    /// The highest epoch that it knows.
    pub epoch: Epoch,
    /// How able it is to serve.
    pub fitness: Fitness,
    /// What it lacks; empty when nothing.
    pub lacks: String,
    /// An operator holds it back.
    pub held: bool,
    /// Why it must not serve at all.
    pub forbidden: Option<String>,
    /// Its daemon is about to end.
    pub stopping: bool,
    /// What moves the VIPs just now, in words.
    pub moving: Option<String>,
    /// How the peer is.
    pub peer: PeerView,
    /// Whether both nodes have the same.
    pub sync: Sync,
    /// Its paths, by [`PathId`].
    pub paths: Vec<PathView>,
    /// Its lease.
    pub lease: LeaseView,
    /// How good the detector has been, over all paths.
    pub quality: QualityView,
    /// When the peer's death shows after its last sign of life, without loss: least, mean and most.
    pub detection_us: (Micros, Micros, Micros),
    /// How often and how long this node was off the CPU.
    pub stalls: StallsView,
}

/// How the peer is, as its newest fresh frame has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// Heard, on how many paths.
    pub health: Peer,
    /// What it says; nothing where it has not been heard since this node started.
    pub word: Option<PeerWord>,
    /// Its facts, where it has told them.
    pub facts: Option<Facts>,
    /// It was active at some time since this node started.
    pub has_served: bool,
    /// Frames of this node's own role, from another node: both are configured alike.
    pub same_role_frames: u64,
}

/// What the peer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerWord {
    /// Its start's generation.
    pub boot: u32,
    /// What it is.
    pub state: State,
    /// The highest epoch that it knows.
    pub epoch: Epoch,
    /// How able it is to serve.
    pub fitness: Fitness,
    /// Held, in sync, unable, and so on.
    pub flags: Flags,
    /// For how long its lease may run after that frame.
    pub lease_us: Micros,
    /// How long ago the frame came in.
    pub heard_us: Micros,
}

/// Whether a path works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Neither has been seen yet.
    Unknown,
    /// As many acks in a row as `rise` says.
    Up,
    /// As many misses in a row as `fall` says.
    Down,
}

/// How a path is.
#[derive(Clone, Debug, PartialEq)]
pub struct PathView {
    /// Which.
    pub id: PathId,
    /// What kind.
    pub kind: PathKind,
    /// Its Tb.
    pub interval_us: Micros,
    /// Its device can be used.
    pub usable: bool,
    /// Up or down.
    pub level: Level,
    /// Silent: the detector counts on it no more.
    pub silent: bool,
    /// Times from ask to ack.
    pub rtt: Rtt,
    /// Asks without an ack in time, of the last [`LOSS_WINDOW`](super::LOSS_WINDOW), in thousandths.
    pub loss_permille: u16,
    /// Misses in a row, now.
    pub run: u32,
    /// How long ago a fresh frame came in.
    pub heard_us: Option<Micros>,
    /// Frames and asks, counted since the start.
    pub counters: PathCounters,
    /// How good the detector has been on this path alone.
    pub quality: QualityView,
}

/// What is counted on a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounters {
    /// Frames sent.
    pub sent: u64,
    /// Authentic frames that came in.
    pub received: u64,
    /// Asks, also those that a device without use kept from being sent.
    pub asked: u64,
    /// Asks with an ack in time.
    pub acked: u64,
    /// Asks without.
    pub missed: u64,
    /// Asks that count neither way: they went out of turn, or this node was off the CPU when their ack was due.
    pub void: u64,
    /// Frames not newer than one that had come before: replayed, doubled or overtaken.
    pub replayed: u64,
    /// Frames that echo nothing that was sent lately.
    pub stale: u64,
    /// Asks left unanswered, since too many came in.
    pub unanswered: u64,
}

/// Times from ask to ack, in microseconds; 0 as long as there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// The last one.
    pub last_us: u32,
    /// Smoothed, by eighths.
    pub smoothed_us: u32,
    /// The shortest.
    pub min_us: u32,
    /// The longest.
    pub max_us: u32,
}

/// The lease of this node's data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// What the data plane does.
    pub service: Service,
    /// For how long the lease still runs; 0 where it has ended or the node is silent.
    pub remaining_us: Micros,
    /// It is not renewed before the peer has been heard, or is dead.
    pub reconfirming: bool,
}

/// How good a detector has been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualityView {
    /// T_D: how many takeovers of need it was measured at.
    pub detections: u32,
    /// T_D: mean time from the last sign of life to the verdict.
    pub detection_mean_us: Micros,
    /// T_D: the longest.
    pub detection_max_us: Micros,
    /// How often a peer that lived was called dead (silent).
    pub mistakes: u32,
    /// P_A: share of time without a mistake, in thousandths.
    pub accuracy_permille: u16,
}

/// How often and how long a node was off the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StallsView {
    /// How often.
    pub count: u64,
    /// The longest.
    pub longest_us: Micros,
    /// All together.
    pub total_us: Micros,
}

// A path's id has to fit.
const _: () = assert!(MAX_PATHS <= PathId::MAX as usize);
