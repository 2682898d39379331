//! One connection between the owner of the scheduling table and its follower: who they are, what the follower has, and then batch after batch.
//! docs/reference/checkpoint-stream.md is the definition.
//!
//! [`Owner`] and [`Follower`] know no socket and no clock. Bytes that have come go in with the time, what they say comes out as events, and
//! bytes to be sent are taken out. Any error ends the connection; another one begins with a handshake of its own.

mod follower;
mod messages;
mod owner;
mod pieces;
mod pulse;
mod seal;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::RangeInclusive;

pub use follower::{Follower, Told};
pub use owner::{Asked, Heard, Owner};

use super::codec::{DecodeError, FORMAT_VERSION, OLDEST_VERSION};
use super::{Origin, Sequence};
use crate::pair::{Epoch, Micros, Role};

/// A random number that is used once, for one connection.
pub type Nonce = [u8; 16];

/// A node that has sent nothing for so long sends a ping, in microseconds.
pub const PING_INTERVAL_US: Micros = 50_000;
/// A peer that is not heard for so long is taken for gone. Long, since daemons on busy hosts wait for a CPU, and a full checkpoint that breaks off begins
/// anew; the pair's heartbeats tell sooner that a path has died.
pub const SILENCE_US: Micros = 40 * PING_INTERVAL_US;
/// How long a handshake may take, in microseconds.
pub const HANDSHAKE_TIMEOUT_US: Micros = 1_000_000;

/// Longest message of a handshake, in bytes after its length.
pub const MAX_HANDSHAKE_SIZE: usize = 1_024;
/// Longest message after it, in bytes after its length: a ring of which each slot has moved, and more.
pub const MAX_MESSAGE_SIZE: usize = 4 << 20;
/// Most bytes of one batch's entries, in as many messages as they take.
pub const MAX_BATCH_SIZE: usize = 64 << 20;
/// Longest reason for which a peer ends a connection, in bytes.
pub const MAX_REASON_SIZE: usize = 512;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Its cluster.
    pub cluster: u64,
    /// Its configured role.
    pub role: Role,
    /// The generation of its start.
    pub boot: u32,
    /// The versions of the entries' format that it speaks.
    pub versions: RangeInclusive<u16>,
}

impl Me {
    /// A node that speaks all versions that this program knows.
    #[must_use]
    pub fn new(cluster: u64, role: Role, boot: u32) -> Self {
        Self { cluster, role, boot, versions: OLDEST_VERSION..=FORMAT_VERSION }
    }
}

/// What a follower has: everything of this owner up to this batch.
pub type Has = Option<(Origin, Sequence)>;

/// Why a connection ends. Each is one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No key is good for the pair.
    #[error("no key is good for the pair; add a line `ID SECRET` without a real's name to the key file")]
    NoKey,
    /// What comes is of another protocol, or damaged.
    #[error("{0} is not what this protocol has there: the peer speaks another one, or the connection is damaged")]
    Malformed(&'static str),
    /// A message is longer than any may be.
    #[error("a message of {size} bytes is announced, and {max} are the most here")]
    TooLong {
        /// Its length.
        size: usize,
        /// The greatest length.
        max: usize,
    },
    /// The key is not in the key file, or bound to a real.
    #[error(
        "the peer signs with key {0}, which is not in the key file, or is bound to a real there; make the key files of both nodes alike"
    )]
    UnknownKey(u16),
    /// The handshake's tag is wrong.
    #[error(
        "the handshake is not signed with the key that it names: forged, damaged, or the secrets of that key id differ"
    )]
    Forged,
    /// A message's tag is wrong.
    #[error("message {0} is not the one that was due: replayed, out of order, sent back, or changed on the way")]
    BadTag(u64),
    /// The nodes are of different clusters.
    #[error("the peer is of another cluster; give both nodes the same `cluster` in [checkpoint]")]
    Cluster,
    /// The peer has this node's role.
    #[error("the peer has this node's own role; give one of them the other `role`")]
    OwnRole,
    /// They have no version in common.
    #[error(
        "the peer speaks versions {theirs:?} of the format, and this node {mine:?}; bring lbd on both nodes to versions that fit"
    )]
    Version {
        /// The peer's.
        theirs: RangeInclusive<u16>,
        /// This node's.
        mine: RangeInclusive<u16>,
    },
    /// One of them knows of a newer owner.
    #[error("the owner's epoch {owner} is older than epoch {known}, which the standby knows of")]
    Stale {
        /// The owner's.
        owner: Epoch,
        /// The follower's.
        known: Epoch,
    },
    /// The owner is not the peer, or resumes what this node does not have.
    #[error("the peer goes on with what this node does not have")]
    Resume,
    /// The peer says no.
    #[error("the peer has ended it: {0}")]
    Refused(String),
    /// The peer says nothing.
    #[error("the peer has not been heard for {0} ms")]
    Silent(u64),
    /// The handshake takes too long.
    #[error("the handshake was not done within {} ms", HANDSHAKE_TIMEOUT_US / 1_000)]
    Handshake,
    /// The peer has closed the connection.
    #[error("the peer has closed the connection{0}")]
    Closed(&'static str),
    /// A message came that is not due.
    #[error("{0} came where it is not due")]
    Order(&'static str),
    /// A batch is missing.
    #[error("batch {got} came where {wanted} was due")]
    Gap {
        /// The number of the one that was due.
        wanted: Sequence,
        /// Its own.
        got: Sequence,
    },
    /// A batch has no end.
    #[error("a batch has more than {MAX_BATCH_SIZE} bytes")]
    BatchTooLong,
    /// Entries cannot be read.
    #[error("entries cannot be read: {0}")]
    Entries(#[from] DecodeError),
}
