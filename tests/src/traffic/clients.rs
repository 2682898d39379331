//! Clients with addresses of their own, for services that keep a client at one real server.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use lb_lab::Namespace;

use super::Flows;

/// What the name of a web server on a second port ends with, beside the name of its real server.
pub const SECOND_PORT: &str = "-second";

/// Clients in one namespace.
#[derive(Clone, Debug)]
pub struct Clients(Vec<Ipv4Addr>);

impl Clients {
    /// So many, from an address in the network of the real servers on, on `eth0` of the namespace.
    pub fn add(namespace: &Namespace, first: Ipv4Addr, count: u8) -> Result<Clients> {
        let clients: Vec<Ipv4Addr> =
            (0..u32::from(count)).map(|number| Ipv4Addr::from_bits(first.to_bits() + number)).collect();
        clients.iter().try_for_each(|client| namespace.add_address("eth0", (*client).into(), 24))?;
        Ok(Clients(clients))
    }

    /// Opens a connection from each, and says which real server answers it.
    pub fn ask(&self, namespace: &Namespace, service: SocketAddr) -> Result<BTreeMap<Ipv4Addr, String>> {
        let from = namespace.handle();
        let ask = |client: &Ipv4Addr| {
            let mut flows = Flows::open(&from, (*client).into(), service, 1)?;
            flows.ask_whole()?;
            let real = flows.by_real().into_keys().next().context("nobody answers")?;
            Ok((*client, real.trim_end_matches(SECOND_PORT).to_owned()))
        };
        self.0.iter().map(ask).collect()
    }
}
