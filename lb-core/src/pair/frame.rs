//! What the two nodes say to each other.
//!
//! A node that is not active *asks* on every path, each interval; the other *acks* at once. An active node asks only where it has
//! not been asked for a while. Both kinds say how their sender is. docs/reference/wire.md has the bytes.

use super::{Epoch, Fitness, Role, State};

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// "Are you there?"
    Ask,
    /// The answer to an ask: its `echo` is the ask's sequence.
    Ack,
    /// An ask that carries the sender's [`Facts`], too. Acked like any other.
    Facts(Facts),
}

/// A frame, authenticated or to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What kind of frame it is.
    pub kind: Kind,
    /// The sender's configured role: the direction.
    pub from: Role,
    /// The sender's boot generation.
    pub boot: u32,
    /// Number of this frame on this path in this boot: from 1, and wraps.
    pub sequence: u32,
    /// The receiver's boot that `echo` is of; 0 where nothing has been heard on this path yet.
    pub echo_boot: u32,
    /// Ack: the ask's sequence. Ask: the newest sequence heard on this path.
    pub echo: u32,
    /// For how long the sender has had the frame that it echoes, in units of 250 microseconds; 255: longer.
    pub held: u8,
    /// The highest epoch that the sender knows.
    pub epoch: Epoch,
    /// What the sender is.
    pub state: State,
    /// What else it says.
    pub flags: Flags,
    /// How able it is to serve.
    pub fitness: Fitness,
    /// How long the sender's lease may run on if it is never heard again, in units of 4 ms; 0 where it is not serving.
    /// The peer takes over no sooner after the last fresh frame.
    pub lease: u16,
}

/// Single bits of a [`Frame`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The sender is active and offers the VIPs: take over.
    pub offer: bool,
    /// The sender is standby and would like the VIPs, now.
    pub want: bool,
    /// With `offer` or `want`: although the standby is not in sync.
    pub force: bool,
    /// An operator holds the sender back.
    pub held: bool,
    /// The sender has what it needs to carry on every flow.
    pub in_sync: bool,
    /// The sender may not serve at all: fenced, or its daemon ends.
    pub unable: bool,
}

/// What has to be equal on both nodes, or is good to know; told each second or so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Version of the sender's program: major, minor, patch.
    pub program: [u8; 3],
    /// Digest of the VIPs.
    pub vips: u64,
    /// Digest of services and reals.
    pub services: u64,
    /// Digest of all slots by names of reals. In sync means that both nodes have the same.
    pub slots: u64,
    /// The shortest interval of the sender's paths, in microseconds.
    pub interval_us: u32,
    /// The sender's missed limit on its first path.
    pub missed_limit: u8,
}
