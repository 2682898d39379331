//! The simulation: one traffic, eight servers, what happens to them, and one policy that sends each flow to one of them.

mod agent;
mod run;
mod scenario;
mod server;
mod traffic;

pub use run::{Run, run};
pub use scenario::{SERVERS, Scenario};
pub use server::Server;
pub use traffic::FLOWS_PER_SECOND;
