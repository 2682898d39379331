//! The load balancer's logic, without I/O: what is configured ([`service`]), what each real server is to be sent
//! ([`table`]), the lookup table of one service ([`ring`], first filled by [`maglev`]), and what the XDP program's maps
//! shall hold for it ([`rows`]). How the reals are is known from their [`report`]s, from [`agent_check`]s and from [`check`]s; what to
//! make of that is configured in [`monitoring`], the [`monitor`] keeps it, and the [`scheduler`] turns load into weights.
//! What a node has learned goes into [`checkpoint`]s, as often as the [`interval`] says; [`availability`] is a model of the pair. [`flood`] says when a
//! service is flooded with SYNs. What the program would do with a packet is worked out by [`simulate`].
//!
//! Nothing here reads a clock, a socket or a file. Time is an argument (`now_ms`, milliseconds of any clock that does
//! not jump), and effects are values: a change of the [`table::SchedulingTable`] becomes a list of
//! [`rows::MapWrite`]s, which the daemon performs.

pub mod agent_check;
pub mod api;
pub mod auth;
pub mod availability;
pub mod check;
pub mod checkpoint;
pub mod flood;
pub mod interval;
pub mod maglev;
pub mod monitor;
pub mod monitoring;
pub mod pair;
pub mod report;
pub mod ring;
pub mod rows;
pub mod scheduler;
pub mod service;
pub mod simulate;
pub mod table;

#[cfg(test)]
mod testing;
