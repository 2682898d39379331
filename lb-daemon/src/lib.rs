//! The daemon, as a library.

pub mod config;
pub mod dataplane;
pub mod lock;
pub mod logging;
pub mod next_hop;
pub mod preflight;
pub mod state;
