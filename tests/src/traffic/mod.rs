//! Traffic for the tests in network namespaces: thousands of open flows, new ones at a steady rate, transfers that stop
//! and go on, datagrams, echo requests, and floods.

mod arrivals;
mod clients;
mod datagrams;
mod flood;
mod flows;
pub(crate) mod frames;
mod limits;
mod pattern;
mod ping;
mod transfer;

pub use arrivals::{Arrival, Arrivals};
pub use clients::{Clients, SECOND_PORT};
pub use datagrams::{Echoes, UdpFlows, Volley, echo_datagrams};
pub use flood::{FloodPath, SynFlood};
pub use flows::{Broken, Flows};
pub use limits::raise_open_files;
pub use pattern::{pattern, write_pattern};
pub use ping::ping;
pub use transfer::Transfer;
