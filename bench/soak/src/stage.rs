//! The pair that soaks: the network, its servers and both nodes.

use std::net::{SocketAddr, SocketAddrV4};

use anyhow::{Context, Result};
use lb_core::api::{Drops, Event, Events, Pair, Paths};
use lb_lab::{Node, PairConfig, PairNetwork, PairPlan, Server, Watched};
use serde::de::DeserializeOwned;

/// The echoes' port.
const ECHO: u16 = 7;
/// The port of the flood: nobody reads it.
const FLOODED: u16 = 9;
const MORE: &str = "start_wait = \"500ms\"\n";
/// Events that are asked for at a time: as many as there are at hand.
const EVENTS: &str = "1000";
/// Packets of a silent node, by the name of their reason.
const LEASE_EXPIRED: &str = "lease_expired";

/// The pair at rest. Fields are taken down in this order.
pub struct Stage {
    nodes: [Node; 2],
    _servers: Vec<Server>,
    /// Its network.
    pub network: PairNetwork,
}

impl Stage {
    /// Builds the network and starts everything: the first node is active, the second its standby, all paths are up.
    pub fn set(baud: u32, heartbeat_ms: u32, missed_limit: u32) -> Result<Stage> {
        let network = PairNetwork::build(PairPlan { baud, ..PairPlan::default() })?;
        let mut servers = Vec::new();
        for (number, real) in (1..).zip(&network.reals) {
            let name = format!("real-{number}");
            servers.push(Server::udp_echo(real, &name, at(&network, ECHO))?);
            servers.push(Server::udp_sink(real, at(&network, FLOODED))?);
        }
        let services = vec![("echo", "udp", ECHO), ("flooded", "udp", FLOODED)];
        let config = PairConfig { heartbeat_ms, missed_limit, more: MORE.to_string(), services };
        let nodes = Node::start_both(&network, &config)?;
        Ok(Stage { nodes, _servers: servers, network })
    }

    /// The service that is probed.
    pub fn probed(&self) -> SocketAddr {
        at(&self.network, ECHO)
    }

    /// The service that is flooded.
    pub fn flooded(&self) -> SocketAddr {
        at(&self.network, FLOODED)
    }

    /// Whom to watch.
    pub fn watched(&self) -> Result<Watched> {
        let nodes = [self.network.mac(0)?, self.network.mac(1)?];
        let service = SocketAddrV4::new(self.network.plan.vip_v4(0), ECHO);
        Ok(Watched { service, nodes, client: self.network.plan.client_address() })
    }

    /// What a node, counted from 0, says of the pair.
    pub fn pair(&self, node: usize) -> Result<Pair> {
        self.ask(node, &["pair"])
    }

    /// What a node says of its paths.
    pub fn paths(&self, node: usize) -> Result<Paths> {
        self.ask(node, &["paths"])
    }

    /// The newest events of a node, the oldest of them first.
    pub fn events(&self, node: usize) -> Result<Vec<Event>> {
        Ok(self.ask::<Events>(node, &["events", "--limit", EVENTS])?.events)
    }

    /// Packets for the VIPs that a node has dropped since its lease had ended.
    pub fn dropped_without_lease(&self, node: usize) -> Result<u64> {
        let drops: Drops = self.ask(node, &["drops"])?;
        let counted = drops.drops.iter().find(|drop| drop.name == LEASE_EXPIRED);
        counted.map(|drop| drop.count).with_context(|| format!("`lbctl drops` has no {LEASE_EXPIRED}"))
    }

    fn ask<T: DeserializeOwned>(&self, node: usize, words: &[&str]) -> Result<T> {
        let answer = self.nodes[node].lbd.lbctl_json(words)?;
        serde_json::from_value(answer).with_context(|| format!("`lbctl {}` answers something else", words.join(" ")))
    }
}

fn at(network: &PairNetwork, port: u16) -> SocketAddr {
    SocketAddrV4::new(network.plan.vip_v4(0), port).into()
}
