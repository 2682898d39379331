//! What the tests of the pair play on: two load balancers with three paths between them, real servers that echo, and
//! ways to see who has the VIPs and what has happened to the pair since.

mod journal;
mod setting;
mod stranger;
mod synthetic;
mod tap;
mod traffic;
mod weights;
mod words;

use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_lab::{
    BOTH, Link, Look, Namespace, Node, PairConfig, PairNetwork, PairPlan, Pinned, Probe, Server, Watch, Watched,
    longest_both, wait_for,
};

pub use journal::Mark;
pub use setting::PairSetting;
pub use stranger::{Stranger, forged, of_another_version};
pub use synthetic::{Amount, Change, Synthetic, SyntheticFlow};
pub use tap::{Caught, TTL, Tap, heartbeat};
pub use traffic::Traffic;
pub use weights::MovingWeights;

/// The echoes' port, UDP and TCP.
const ECHO: u16 = 7;
/// TCP connections that stay open through a test.
const CONNECTIONS: usize = 20;
/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How long one answer is awaited before the question is asked again.
const ANSWER_LIMIT: Duration = Duration::from_millis(200);

/// A node that lacks nothing.
const FULLY_FIT: u64 = 100;

/// One at a time: each has threads that go before all others, and they would hold one another up.
static ALONE: Mutex<()> = Mutex::new(());

/// A pair that runs. The first node is active at first. Fields are taken down in this order.
pub struct PairStage {
    _servers: Vec<Server>,
    /// The two nodes.
    pub nodes: [Node; 2],
    /// How they are configured.
    pub config: PairConfig,
    /// The network that they are in.
    pub network: PairNetwork,
    _alone: MutexGuard<'static, ()>,
}

impl PairStage {
    /// Builds the network and starts the pair. `more` are lines of `[pair]`, and tables that follow it.
    pub fn set(more: &str) -> Result<PairStage> {
        PairStage::set_as(PairSetting { more: more.to_string(), ..PairSetting::default() })
    }

    /// As [`PairStage::set`], with all that can be chosen.
    pub fn set_as(setting: PairSetting) -> Result<PairStage> {
        let mut stage = PairStage::prepare_as(setting)?;
        stage.start_both()?;
        Ok(stage)
    }

    /// As [`PairStage::set`], with daemons that do not run yet.
    pub fn prepare(more: &str) -> Result<PairStage> {
        PairStage::prepare_as(PairSetting { more: more.to_string(), ..PairSetting::default() })
    }

    fn prepare_as(setting: PairSetting) -> Result<PairStage> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let network = PairNetwork::build(PairPlan { reals: setting.reals, ..PairPlan::default() })?;
        let mut servers = Vec::new();
        for (number, real) in (1..).zip(&network.reals) {
            let name = format!("real-{number}");
            for vip in network.plan.vip_addresses(0) {
                servers.push(Server::tcp_echo(real, SocketAddr::new(vip, ECHO))?);
                servers.push(Server::udp_echo(real, &name, SocketAddr::new(vip, ECHO))?);
            }
        }
        let config = setting.config(&network);
        let nodes = [Node::prepare(&network, 0, &config)?, Node::prepare(&network, 1, &config)?];
        Ok(PairStage { _servers: servers, nodes, config, network, _alone: alone })
    }

    /// Starts the pair. The first node becomes active.
    pub fn start_both(&mut self) -> Result<()> {
        Node::start_one_after_the_other(&mut self.nodes)?;
        self.wait_for_owner(0)
    }

    /// Starts a node's daemon, and waits until it answers.
    pub fn start(&mut self, node: usize) -> Result<()> {
        self.nodes[node].lbd.start_again()?;
        self.nodes[node].wait_for("an answer of the daemon", |node| Ok(node.state().is_ok()))
    }

    /// Writes a node's configuration anew, with the second text in place of the first one of each change.
    pub fn configure(&self, node: usize, changes: &[(&str, &str)]) -> Result<()> {
        let mut text = self.config.text(&self.network, node);
        for (that, this) in changes {
            ensure!(text.contains(that), "there is no `{that}` in the configuration: {text}");
            text = text.replace(that, this);
        }
        self.nodes[node].lbd.write_config(&text)
    }

    /// Waits until a node is active and the other one its standby, with all paths up, both of them fully fit, and nothing on
    /// its way: the pair is at rest.
    pub fn wait_for_owner(&self, owner: usize) -> Result<()> {
        for (node, it) in self.nodes.iter().enumerate() {
            let what = format!("{} to be at rest, and {} active", it.name(), self.nodes[owner].name());
            it.wait_for(&what, |_| self.is_at_rest(node, owner))?;
        }
        self.nodes.iter().try_for_each(Node::wait_for_paths)
    }

    /// Waits until the pair is at rest, and tells who is active.
    pub fn wait_for_any_owner(&self) -> Result<usize> {
        let owner = wait_for("either node to be active and the other one to be at rest", LIMIT, || {
            let at_rest = |owner| (0..2).all(|node| self.is_at_rest(node, owner).unwrap_or(false));
            Ok((0..2).find(|owner| at_rest(*owner)))
        });
        let owner = owner.with_context(|| self.story())?;
        self.wait_for_owner(owner)?;
        Ok(owner)
    }

    fn is_at_rest(&self, node: usize, owner: usize) -> Result<bool> {
        let (state, peer) = if node == owner { ("active", "standby") } else { ("standby", "active") };
        let pair = self.nodes[node].pair()?;
        let fit = pair["fitness"] == FULLY_FIT && pair["peer"]["says"]["fitness"] == FULLY_FIT;
        Ok(pair["state"] == state && pair["peer"]["says"]["state"] == peer && fit && pair["moving"].is_null())
    }

    /// The highest epoch that a node knows.
    pub fn epoch(&self, node: usize) -> Result<u64> {
        self.nodes[node].epoch()
    }

    /// What an error about the pair should tell: what both nodes say of themselves, and their logs.
    pub fn story(&self) -> String {
        self.nodes.iter().map(Node::story).collect()
    }

    /// Starts to probe the UDP echo, and waits for the first answer.
    pub fn probe(&self) -> Result<Probe> {
        let probe = Probe::start(&self.network.client.handle(), SocketAddr::V4(service(&self.network)))?;
        answered(&probe)?;
        Ok(probe)
    }

    /// Opens TCP connections that stay open.
    pub fn pin(&self) -> Result<Pinned> {
        Pinned::open(&self.network.client.handle(), SocketAddr::V4(service(&self.network)), CONNECTIONS)
    }

    /// Starts to watch who owns the first VIP, and waits until it is seen.
    pub fn watch(&self) -> Result<Watch> {
        let network = &self.network;
        let nodes = [network.mac(0)?, network.mac(1)?];
        let watched = Watched { service: service(network), nodes, client: network.plan.client_address() };
        let watch = Watch::start(&network.client, watched)?;
        wait_for("an owner to be seen", LIMIT, || Ok((0..2).any(|node| watch.has_seen(node)).then_some(())))?;
        Ok(watch)
    }

    /// Has client and gateway ask the service of each VIP once, so that both have all VIPs in their neighbour tables.
    pub fn be_known(&self) -> Result<()> {
        for (namespace, name) in self.neighbours() {
            for vip in self.network.plan.vips() {
                let what = format!("an answer from {vip} to the {name}");
                wait_for(&what, LIMIT, || Ok(asked(namespace, SocketAddr::new(vip, ECHO))?.then_some(())))?;
            }
        }
        Ok(())
    }

    /// Waits until client and gateway have the owner's MAC address for each VIP in their neighbour tables. They ask for none,
    /// except the client where it probes: so they have been told.
    pub fn wait_to_be_known(&self, owner: usize) -> Result<()> {
        let mac = self.network.mac(owner)?;
        for (namespace, name) in self.neighbours() {
            for vip in self.network.plan.vips() {
                let what = format!("the {name} to have {vip} on the MAC address of {}", self.nodes[owner].name());
                wait_for(&what, LIMIT, || Ok((namespace.neighbour(vip)? == Some(mac)).then_some(())))?;
            }
        }
        Ok(())
    }

    /// Has client and gateway believe that a node owns all VIPs.
    pub fn mislead(&self, owner: usize) -> Result<()> {
        let [a, b, c, d, e, f] = self.network.mac(owner)?;
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        for ((namespace, _), interface) in self.neighbours().into_iter().zip(["eth0", "br0"]) {
            for vip in self.network.plan.vips() {
                namespace.ip(&format!("neigh replace {vip} lladdr {mac} dev {interface} nud stale"))?;
            }
        }
        Ok(())
    }

    /// How many frames a node has refused on a path for a reason.
    pub fn refused(&self, node: usize, link: Link, reason: &str) -> Result<u64> {
        let name = self.path_name(link, node);
        let paths = self.nodes[node].paths()?;
        let path = paths.iter().find(|path| path["name"] == name.as_str());
        let counts = path.and_then(|path| path["refused"].as_array());
        let count = counts.and_then(|counts| counts.iter().find(|count| count["name"] == reason));
        let count = count.and_then(|count| count["count"].as_u64());
        count.with_context(|| format!("`lbctl paths` has no counter {reason} of {name}: {paths:?}"))
    }

    /// What a node calls a link.
    pub fn path_name(&self, link: Link, node: usize) -> String {
        match link {
            Link::Service => "udp eth0".to_string(),
            Link::Heartbeat => "udp eth1".to_string(),
            Link::Serial => format!("serial {}", self.network.serial.device(node).display()),
        }
    }

    /// Whether a node's path by a link is `up`, `down` or `unknown`.
    pub fn path_state(&self, link: Link, node: usize) -> Result<String> {
        let name = self.path_name(link, node);
        let paths = self.nodes[node].paths()?;
        let path = paths.iter().find(|path| path["name"] == name.as_str());
        let state = path.and_then(|path| path["state"].as_str());
        state.map(str::to_string).with_context(|| format!("`lbctl paths` has no state of {name}: {paths:?}"))
    }

    /// Waits until both nodes call a path down: in `lbctl paths`, in the warnings of `lbctl status`, and in the events since.
    pub fn wait_for_alarm(&self, link: Link, since: &Mark) -> Result<()> {
        for node in 0..self.nodes.len() {
            let name = self.path_name(link, node);
            self.nodes[node].wait_for(&format!("an alarm about {name}"), |it| {
                let status = it.lbd.lbctl_json(&["status"])?;
                let warnings = status["warnings"].as_array().context("`lbctl status` has no warnings")?;
                let warned = warnings.iter().any(|warning| warning["subject"] == format!("path {name}"));
                let down = self.path_state(link, node)? == "down";
                Ok(down && warned && self.path_went(&name, false, node, since)?)
            })?;
        }
        Ok(())
    }

    fn neighbours(&self) -> [(&Namespace, &'static str); 2] {
        [(&self.network.client, "client"), (&self.network.switch, "gateway")]
    }
}

/// Waits until a probe that is sent from now on has been answered.
pub fn answered(probe: &Probe) -> Result<()> {
    let now = Instant::now();
    wait_for("an answer to a probe", LIMIT, || Ok(probe.answered_since(now).then_some(())))
}

/// Closes the connections, none of which may have broken.
pub fn close_unbroken(pinned: Pinned) -> Result<()> {
    let talk = pinned.close()?;
    if !talk.broken.is_empty() || talk.connections != CONNECTIONS {
        bail!("{} of {} connections have broken: {:?}", talk.broken.len(), talk.connections, talk.broken);
    }
    Ok(())
}

/// Ends the watch, which may never have seen two owners, by ARP or by forwarding, once it has seen each of these nodes be one.
pub fn one_owner_at_a_time(watch: Watch, owners: &[usize]) -> Result<()> {
    let looks = end_once_seen(watch, owners)?;
    never_both(&looks, "answered ARP", |look| look.answered)?;
    never_both(&looks, "forwarded", |look| look.forwarded)
}

/// As [`one_owner_at_a_time`], by ARP alone: a node that hands the VIPs over goes on to forward what still comes to it.
pub fn one_answers_at_a_time(watch: Watch, owners: &[usize]) -> Result<()> {
    never_both(&end_once_seen(watch, owners)?, "answered ARP", |look| look.answered)
}

fn end_once_seen(watch: Watch, owners: &[usize]) -> Result<Vec<Look>> {
    for owner in owners {
        let what = format!("lb-{} to be seen as an owner", owner + 1);
        wait_for(&what, LIMIT, || Ok(watch.has_seen(*owner).then_some(())))?;
    }
    watch.stop()
}

fn never_both(looks: &[Look], what: &str, nodes: impl Fn(&Look) -> u8) -> Result<()> {
    let longest = longest_both(looks, &nodes);
    let some: Vec<&Look> = looks.iter().filter(|look| nodes(look) == BOTH).take(5).collect();
    ensure!(some.is_empty(), "both nodes {what} for {longest:?}: {some:?}");
    Ok(())
}

/// Whether a question to a UDP echo is answered soon.
fn asked(from: &Namespace, target: SocketAddr) -> Result<bool> {
    let local: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = from.run(|| UdpSocket::bind((local, 0)).context("cannot open a socket"))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("cannot set a time limit")?;
    // What cannot be sent yet is sent in the next round.
    Ok(socket.send_to(b"there?", target).is_ok() && socket.recv(&mut [0; 64]).is_ok())
}

fn service(network: &PairNetwork) -> SocketAddrV4 {
    SocketAddrV4::new(network.plan.vip_v4(0), ECHO)
}
