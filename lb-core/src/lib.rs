//! The load balancer's logic, without I/O: what is configured ([`service`]), what each real server is to be sent
//! ([`table`]), the lookup table of one service ([`ring`], first filled by [`maglev`]), and what the XDP program's maps
//! shall hold for it ([`rows`]).
//!
//! Nothing here reads a clock, a socket or a file. Time is an argument (`now_ms`, milliseconds of any clock that does
//! not jump), and effects are values: a change of the [`table::SchedulingTable`] becomes a list of
//! [`rows::MapWrite`]s, which the daemon performs.

pub mod api;
pub mod maglev;
pub mod ring;
pub mod rows;
pub mod service;
pub mod table;

#[cfg(test)]
mod testing;
