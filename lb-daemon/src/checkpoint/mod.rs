//! Checkpoints: what this node learns goes to its peer as it happens, and to its disk each Tc; what its peer learns comes here. One
//! ledger ([`hub`]) is between those who learn something and those who carry it.
//!
//! Nothing here is in the way of a packet, and nothing but a bounded wait for the peer in the way of a change of the maps.

pub mod commit;
mod control;
mod files;
pub mod flows;
pub mod hub;
mod keeper;
mod ledgers;
mod line;
mod pace;
pub mod pieces;
mod prepare;
pub mod stream;
#[cfg(test)]
pub(crate) mod test_support;
mod views;

pub use keeper::{Keeper, Who};
pub use prepare::{Prepared, Reading, prepare, read};
