//! What the XDP program and the user-space side agree on: map keys, values, names and limits, the counters'
//! indices, and the pure functions that decide where a packet goes ([`flow_hash`], [`second_hash`], [`slot_of`], and [`quic`]).
//!
//! Everything here is plain data of fixed width without padding. A change of any type or constant in
//! [`abi`] that an older program or daemon would misread raises [`abi::ABI_VERSION`].
#![no_std]

pub mod abi;
pub mod aes;
pub mod counter;
pub mod decap;
pub mod hash;
#[cfg(feature = "user")]
mod pod;
pub mod quic;
#[cfg(test)]
mod testing;

pub use abi::*;
pub use counter::{DropReason, Event};
pub use hash::{
    flow_hash, flow_hash_v4, flow_hash_v6, gue_source_port, one_packet_hash, second_hash, service_row, service_row_of,
    slot_of,
};
