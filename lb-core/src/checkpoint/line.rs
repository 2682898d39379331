//! The scheduling table on the serial line, while no NIC connects the nodes: what the owner sends, and what who follows makes of it.
//!
//! Nothing of it is about flows, so it makes nobody complete: who follows applies it to its table and rings, and goes on to count as
//! applied what it had. When a NIC is back the stream goes on from there.
//!
//! The follower begins a *session*, and *wants* the next bytes of two rows of messages, one of names and one of rings. A want acks
//! everything before it. The owner sends a message in parts, a few ahead of the acks, and goes back to the last ack when none comes.
//! It tells how things are by now and not all that has been between, so a slow line is late and never behind for good.
//!
//! It knows no clock and no device: times are microseconds of a clock that never goes back, and [`Pace`] says when a frame may go.

mod message;
mod pace;
mod pending;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use message::{MAX_MESSAGE_SIZE, Message};
pub use pace::{MAX_AHEAD, Pace, Timing};
pub use receiver::Receiver;
pub use sender::{Needs, Sender};

use crate::pair::{Micros, wire::table::Lane};

/// A session in which nothing has come for so long is over, at least.
pub const LEAST_SILENCE_US: Micros = 5_000_000;
/// The same, in intervals of the heartbeats.
const SILENT_INTERVALS: Micros = 20;

/// For how long nothing comes in a session that is over.
fn silence_us(interval_us: Micros) -> Micros {
    LEAST_SILENCE_US.max(SILENT_INTERVALS * interval_us)
}

/// Where something of a lane is kept in an array.
fn index(lane: Lane) -> usize {
    match lane {
        Lane::Names => 0,
        Lane::Rings => 1,
    }
}
