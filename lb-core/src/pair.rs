//! The pair: two nodes that watch each other over several paths, and one owner of the VIPs.
//!
//! Everything here takes the time as an argument: microseconds of a clock that never goes back and also counts while the host is
//! suspended (CLOCK_BOOTTIME). Effects come out as [`Action`]s, in the order in which they have to happen.

mod detector;
pub mod digest;
pub mod failover;
pub mod frame;
mod lease;
mod node;
mod peer;
pub mod serial;
#[cfg(test)]
mod simulation;
pub mod sync;
pub mod view;
pub mod wire;

pub use detector::LOSS_WINDOW;
use detector::Path;
pub use frame::{Facts, Flags, Frame, Kind};
pub use node::{MAX_GRACE_US, NEED, Node, detection_time};
pub use sync::Sync;

/// Number of a takeover. Grows by one with each; the higher one wins, and of two equal ones the primary's.
pub type Epoch = u32;
/// Microseconds of the pair's clock.
pub type Micros = u64;
/// Index of a path in the configuration: the same on both nodes.
pub type PathId = u8;

/// Most paths of a pair.
pub const MAX_PATHS: usize = 8;

/// What the configuration makes of a node. A solo node has no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Active, when both nodes start together and are equally fit.
    Primary,
    /// The other one.
    Standby,
}

impl Role {
    /// The other node's.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Standby,
            Self::Standby => Self::Primary,
        }
    }
}

/// What a node is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It has just started, and listens for its peer.
    Starting,
    /// It watches the active node, and is silent for the VIPs.
    Standby,
    /// It has raised the epoch, and waits for what must be done before it may serve.
    TakingOver,
    /// It serves.
    Active,
    /// It has given the VIPs up to its peer, and forwards for a moment what still comes.
    Yielding,
    /// It keeps itself out, for a reason that an operator has to mend.
    Fenced,
}

/// What kind of path it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// Datagrams on one NIC.
    Udp,
    /// A serial line.
    Serial,
}

/// How a path is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// What kind of path it is.
    pub kind: PathKind,
    /// Tb: microseconds between two asks.
    pub interval_us: Micros,
    /// W: microseconds after which an ask without its ack is a miss. Shorter than the interval.
    pub ack_timeout_us: Micros,
    /// n: misses in a row that make the path silent.
    pub missed_limit: u32,
    /// Acks in a row that bring a path up again that was down.
    pub rise: u32,
    /// Misses in a row that bring a path down: an alarm. Not less than the missed limit.
    pub fall: u32,
}

/// How a node takes part in its pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the configuration makes of it.
    pub role: Role,
    /// This start's generation: greater than that of any earlier start.
    pub boot: u32,
    /// Its paths, by [`PathId`]: at least one, [`MAX_PATHS`] at most.
    pub paths: Vec<PathOptions>,
    /// A primary that is standby takes the VIPs back by itself.
    pub preempt: bool,
    /// How long a node must have been fit and in sync before the VIPs move to it without need (preemption, greater fitness).
    pub failback_delay_us: Micros,
    /// How long a node that starts and hears nobody waits before it serves.
    pub start_wait_us: Micros,
    /// How long the lease runs after each renewal.
    pub lease_us: Micros,
    /// How long a yielding node forwards what still comes.
    pub drain_us: Micros,
    /// How long an offered handover may take before it is withdrawn.
    pub handover_timeout_us: Micros,
}

/// What a node knows from before it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The highest epoch that it knew.
    pub epoch: Epoch,
    /// The highest epoch that it may have claimed: [`Action::Reserve`] was done for it.
    pub reserved: Epoch,
    /// It was active, and announced its restart; its lease runs until then.
    pub resume_until: Option<Micros>,
    /// An operator holds it back.
    pub held: bool,
}

/// How able a node is to serve: 0 is not at all, more is better. The daemon's tracking makes it.
pub type Fitness = u8;
/// The fitness of a node that lacks nothing.
pub const FULLY_FIT: Fitness = 100;

/// What the data plane does with packets for the VIPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Everything is dropped, ARP and neighbour discovery too.
    Silent,
    /// Forwards and answers, as long as the lease runs.
    Serving,
    /// Forwards what still comes, answers no ARP and no neighbour discovery; as long as the lease runs.
    Draining,
}

/// What the data plane is to be told, at once and again before the lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it does.
    pub service: Service,
    /// Until when, at most. In the past where it must fall silent until the peer has been heard.
    pub until: Micros,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed.
    Wake,
    /// An authentic frame has come in.
    Frame {
        /// By which path.
        path: PathId,
        /// What it says.
        frame: Frame,
    },
    /// A path's device can be used, or cannot.
    Device {
        /// Which.
        path: PathId,
        /// It can.
        usable: bool,
    },
    /// How able this node is to serve, and what it lacks in words.
    Fitness {
        /// 0 to [`FULLY_FIT`].
        fitness: Fitness,
        /// What is missing; empty when nothing is.
        reason: String,
    },
    /// This node's facts, for the peer to compare.
    Facts(Facts),
    /// Some of this node's slots remember or are marked: they go by the flow table, which the peer has only where it is told of flows ([`Input::Carried`]).
    Remembers(bool),
    /// As far as this node can tell, the standby has all that the active node has learned: slots, weights, flows. To be said whenever it changes.
    Carried(bool),
    /// An authentic frame of this node's own role came in (refused by the codec), of a start with this boot generation: another node is
    /// configured alike, or somebody sends old frames of this one.
    SameRole {
        /// The sender's boot generation.
        boot: u32,
    },
    /// The epoch is on disk.
    Reserved(Epoch),
    /// [`Action::Acquire`] is done: exactly one answer to each, also where a [`Action::Release`] came after it. An error says what could not be done. The node serves all the same.
    Acquired(Result<(), String>),
    /// Something forbids this node to serve: why, or nothing any more.
    Forbid(Option<String>),
    /// An operator wants the VIPs to move: away from this node when it is active, to this node when it is standby.
    Handover {
        /// Even when the standby is not in sync.
        force: bool,
    },
    /// An operator holds this node back from becoming active by itself, or lets go.
    Hold(bool),
    /// This daemon is about to end: hand over if there is somebody to hand over to.
    Stop,
    /// This daemon ends and comes back within this time. The data plane goes on meanwhile.
    Restart {
        /// How long the lease shall run.
        grace_us: Micros,
    },
}

/// What a node does. To be done in the order in which they come.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a frame. One that cannot be sent is lost.
    Send {
        /// By which path.
        path: PathId,
        /// What.
        frame: Frame,
    },
    /// Tell the data plane now: the lease has changed.
    Lease,
    /// Put this epoch on disk, and say [`Input::Reserved`] when it is there. Done ahead, so that no takeover waits for a disk.
    Reserve(Epoch),
    /// Become the owner: verify the attachments, add the VIPs, announce them, run the hooks; then say [`Input::Acquired`].
    Acquire {
        /// Of this epoch.
        epoch: Epoch,
        /// The peer was not asked: it is dead, and may have to be fenced first.
        fence: bool,
    },
    /// Stop being the owner: remove the VIPs, run the hooks.
    Release,
    /// Something to log, to keep in the journal and to show.
    Tell(Event),
    /// What an operator asked for has come out: handover, stop or restart.
    Answer(Answer),
}

/// Something that has happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// What.
    pub what: Happening,
    /// Why, in one line.
    pub reason: String,
}

/// What kind of thing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The node is something else now.
    State {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
        /// The epoch by then.
        epoch: Epoch,
    },
    /// A path went up or down.
    Path {
        /// Which.
        path: PathId,
        /// It is up.
        up: bool,
    },
    /// The peer is heard again, or no more, or less well.
    Peer(Peer),
    /// This node was off the CPU, so long that it may not trust what it did not hear.
    Stalled {
        /// For how long.
        for_us: Micros,
    },
    /// Something else that an operator should know: a refusal, a conflict.
    Notice,
}

/// How the peer is, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Nothing has been heard yet, and it has not been long enough to call it dead.
    Unknown,
    /// Heard on all paths.
    Alive,
    /// Heard on some paths only.
    Degraded,
    /// Silent on all paths.
    Dead,
}

/// What came of what an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done: the peer serves; or the daemon may end.
    Done,
    /// It is not, and why.
    Refused(String),
}
