//! The network with its servers, and the system whose turn it is.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Keepalived, Node, PairConfig, PairNetwork, PairPlan, Pinned, Server, VrrpPace, Watched, wait_for};

use crate::system::{Kind, System};

/// The echoes' port, UDP and TCP.
const ECHO: u16 = 7;
/// TCP connections that stay open through a turn.
const CONNECTIONS: usize = 60;
/// How long both may take to come to rest.
const LIMIT: Duration = Duration::from_secs(20);
const PAIR: &str = "start_wait = \"500ms\"\n";

/// The network. Fields are taken down in this order.
pub struct Stage {
    _servers: Vec<Server>,
    nodes: [Node; 2],
    network: PairNetwork,
}

/// A system that runs. Whoever begins a turn ends it.
pub struct Turn<'a> {
    stage: &'a mut Stage,
    system: System,
    keepalived: Option<Keepalived>,
}

impl Stage {
    /// Builds the network and starts the real servers.
    pub fn set() -> Result<Stage> {
        let network = PairNetwork::build(PairPlan::default())?;
        let service = SocketAddr::V4(service(&network));
        let mut servers = Vec::new();
        for (number, real) in (1..).zip(&network.reals) {
            servers.push(Server::udp_echo(real, &format!("real-{number}"), service)?);
            servers.push(Server::tcp_echo(real, service)?);
        }
        let config = config(System::ALL[0]);
        let nodes = [Node::prepare(&network, 0, &config)?, Node::prepare(&network, 1, &config)?];
        Ok(Stage { _servers: servers, nodes, network })
    }

    /// Starts a system on both nodes, and waits until it is at rest.
    pub fn begin(&mut self, system: System) -> Result<Turn<'_>> {
        self.network.set_baud(system.baud())?;
        let pair = config(system);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let text = match system.kind {
                Kind::Understudy => pair.text(&self.network, index),
                Kind::Keepalived => pair.solo_text(&self.network),
            };
            node.lbd.write_config(&text)?;
            node.lbd.start_again()?;
        }
        for node in &mut self.nodes {
            node.lbd.wait_until_ready()?;
        }
        let keepalived = match system.kind {
            Kind::Understudy => None,
            Kind::Keepalived => {
                let pace = VrrpPace { advert_ms: system.interval_ms, missed_limit: system.missed_limit };
                Some(Keepalived::start(&self.network, *service(&self.network).ip(), pace)?)
            }
        };
        let mut turn = Turn { stage: self, system, keepalived };
        turn.wait_until_at_rest()?;
        Ok(turn)
    }
}

impl Turn<'_> {
    /// The network.
    pub fn network(&self) -> &PairNetwork {
        &self.stage.network
    }

    /// The service that is probed.
    pub fn service(&self) -> SocketAddr {
        SocketAddr::V4(service(self.network()))
    }

    /// What to watch.
    pub fn watched(&self) -> Result<Watched> {
        let network = self.network();
        let nodes = [network.mac(0)?, network.mac(1)?];
        Ok(Watched { service: service(network), nodes, client: network.plan.client_address() })
    }

    /// Opens the connections that stay open.
    pub fn pin(&self) -> Result<Pinned> {
        Pinned::open(&self.network().client.handle(), self.service(), CONNECTIONS)
    }

    /// The node that the client sends to.
    pub fn owner(&self) -> Result<usize> {
        let network = self.network();
        let vip = self.service().ip();
        let known =
            network.client.neighbour(vip)?.with_context(|| format!("the client knows nobody that has {vip}"))?;
        let nodes = [network.mac(0)?, network.mac(1)?];
        nodes.iter().position(|mac| *mac == known).with_context(|| format!("{vip} is on {known:02x?}, no node"))
    }

    /// Waits until one node serves, the other one is its standby and could take over, and they see each other on all paths.
    /// keepalived's first node has the higher priority, and serves whenever it can.
    pub fn wait_until_at_rest(&mut self) -> Result<()> {
        let Turn { stage, keepalived, .. } = self;
        if let Some(keepalived) = keepalived {
            return keepalived.wait_for_owner(&stage.network, *service(&stage.network).ip(), 0);
        }
        let both = wait_for("one node to be active and the other its standby", LIMIT, || {
            let states = [stage.nodes[0].state(), stage.nodes[1].state()];
            let are = |one: &str, other: &str| {
                states[0].as_ref().is_ok_and(|s| s == one) && states[1].as_ref().is_ok_and(|s| s == other)
            };
            Ok((are("active", "standby") || are("standby", "active")).then_some(()))
        });
        both.with_context(|| stage.nodes.iter().map(Node::story).collect::<String>())?;
        stage.nodes.iter().try_for_each(Node::wait_until_ready_for_each_other)
    }

    /// How many takeovers and handovers there have been; `None` where nobody counts them.
    pub fn takeovers(&self) -> Result<Option<u64>> {
        match self.system.kind {
            Kind::Understudy => {
                let epochs = [self.stage.nodes[0].epoch()?, self.stage.nodes[1].epoch()?];
                Ok(epochs.into_iter().max())
            }
            Kind::Keepalived => Ok(None),
        }
    }

    /// What the lossless detection time is, in milliseconds: least, mean, most.
    pub fn theory(&self) -> Result<Option<[f64; 3]>> {
        if self.system.kind == Kind::Keepalived {
            return Ok(None);
        }
        let detection = self.stage.nodes[0].detection_ms()?;
        Ok(Some(detection))
    }

    /// Stops the system.
    pub fn end(self) -> Result<()> {
        if let Some(keepalived) = self.keepalived {
            keepalived.stop()?;
        }
        // The standby first, so that it does not take over.
        let states = self.stage.nodes.iter_mut().rev();
        states.into_iter().try_for_each(|node| node.lbd.stop())
    }
}

fn config(system: System) -> PairConfig {
    PairConfig {
        heartbeat_ms: system.interval_ms,
        missed_limit: system.missed_limit,
        more: PAIR.to_string(),
        services: vec![("udp-echo", "udp", ECHO), ("tcp-echo", "tcp", ECHO)],
    }
}

fn service(network: &PairNetwork) -> SocketAddrV4 {
    SocketAddrV4::new(network.plan.vip_v4(0), ECHO)
}
