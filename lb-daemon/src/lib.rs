//! The daemon, as a library.

pub mod api;
pub mod checkpoint;
pub mod checks;
pub mod cli;
pub mod config;
pub mod dataplane;
pub mod doctor;
pub mod engine;
pub mod forwarding;
pub mod journal;
pub mod memory;
pub mod next_hop;
pub mod peer;
pub mod preflight;
mod program;
pub mod reports;
pub mod run;
pub mod sandbox;
pub mod source;
pub mod state;
pub mod takeover;
pub mod tracking;
pub mod web;
