//! The network of the pair's demo, with two nodes that run and two real servers.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_lab::{Node, PairConfig, PairNetwork, PairPlan, Server, WebServer, interrupt};

/// Tb. Half of the default: fast, and no false alarm on a busy machine either.
pub const HEARTBEAT_MS: u32 = 50;
/// n.
pub const MISSED_LIMIT: u32 = 3;
const HTTP: u16 = 80;
const ECHO: u16 = 7;

/// The whole. Fields are taken down in this order.
pub struct Stage {
    pub nodes: [Node; 2],
    _servers: Vec<Server>,
    _web: Vec<WebServer>,
    pub network: PairNetwork,
}

impl Stage {
    /// Builds the network and starts everything.
    pub fn set() -> Result<Stage> {
        let network = PairNetwork::build(PairPlan::default())?;
        let (mut web, mut servers) = (Vec::new(), Vec::new());
        let vip = network.plan.vip_v4(0);
        for (number, real) in (1..).zip(&network.reals) {
            interrupt::check()?;
            let name = format!("real-{number}");
            web.push(WebServer::start(&network.run, real, &name, &[HTTP])?);
            servers.push(Server::udp_echo(real, &name, SocketAddr::new(vip.into(), ECHO))?);
            servers.push(Server::tcp_echo(real, SocketAddr::new(vip.into(), ECHO))?);
        }
        let nodes = Node::start_both(&network, &config())?;
        println!("\nTwo load balancers are up, and two real servers behind them. lb-1 is active, lb-2 its standby.");
        println!(
            "They ask each other each {HEARTBEAT_MS} ms on eth0, on eth1 and on a serial line of {} baud.",
            network.plan.baud
        );
        Ok(Stage { nodes, _servers: servers, _web: web, network })
    }

    /// The web service.
    pub fn web(&self) -> SocketAddr {
        self.at(HTTP)
    }

    /// The echo of datagrams.
    pub fn udp_echo(&self) -> SocketAddr {
        self.at(ECHO)
    }

    /// The echo of connections.
    pub fn tcp_echo(&self) -> SocketAddr {
        self.at(ECHO)
    }

    /// The node that serves, counted from 0.
    pub fn active(&self) -> Result<usize> {
        let is_active = |node: &Node| node.state().is_ok_and(|state| state == "active");
        self.nodes.iter().position(is_active).context("neither node says that it is active")
    }

    /// Runs `lbctl` of a node, counted from 0, and shows it as a user would see it.
    pub fn show(&self, node: usize, arguments: &[&str]) -> Result<()> {
        let name = PairNetwork::node_name(node);
        println!("\n{name}$ lbctl {}\n{}", arguments.join(" "), self.nodes[node].lbd.lbctl(arguments)?.trim_end());
        Ok(())
    }

    /// Waits until a node says of all its paths that they are down.
    pub fn wait_until_paths_are_down(&self, node: usize) -> Result<()> {
        self.nodes[node]
            .wait_for("all paths to be down", |node| Ok(node.paths()?.iter().all(|path| path["state"] == "down")))
    }

    /// Waits until a node has all that the active one has learned.
    pub fn wait_until_in_sync(&self, node: usize) -> Result<()> {
        self.nodes[node].wait_for("the checkpoints to be in sync", |node| {
            // It fails as long as they are not.
            let shown = node.lbd.lbctl_json(&["checkpoint", "show"]);
            Ok(shown.is_ok_and(|shown| shown["sync"]["in_sync"] == true))
        })
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.network.plan.vip_v4(0).into(), port)
    }
}

fn config() -> PairConfig {
    PairConfig {
        heartbeat_ms: HEARTBEAT_MS,
        missed_limit: MISSED_LIMIT,
        more: String::new(),
        services: vec![("web", "tcp", HTTP), ("udp-echo", "udp", ECHO), ("tcp-echo", "tcp", ECHO)],
    }
}
