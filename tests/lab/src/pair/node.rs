//! A node of a pair: `lbd` in its namespace, with a configuration that names its peer.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::PairNetwork;
use crate::lbd::Lbd;
use crate::process::wait_for;
use crate::reports::{key_file, write_keys};

/// Where the nodes listen for each other.
const PORT: u16 = 6721;
/// How long a node may take for any change of its state that does not wait for a timer of the configuration.
const LIMIT: Duration = Duration::from_secs(20);
/// The same where a checkpoint of a hundred thousand flows has to go from one node to the other.
const FULL_LIMIT: Duration = Duration::from_secs(120);

/// How the nodes of a pair are configured.
#[derive(Clone, Debug)]
pub struct PairConfig {
    /// Tb, in milliseconds.
    pub heartbeat_ms: u32,
    /// n.
    pub missed_limit: u32,
    /// More lines of `[pair]`, and whole tables that follow it.
    pub more: String,
    /// The services: name, protocol, port. All are on the first VIP by DSR, on all real servers.
    pub services: Vec<(&'static str, &'static str, u16)>,
}

impl PairConfig {
    /// The configuration file of a node, counted from 0: the first one is the primary.
    pub fn text(&self, network: &PairNetwork, node: usize) -> String {
        let role = if node == 0 { "primary" } else { "standby" };
        let mut text = self.solo_text(network);
        text += &format!(
            "[pair]\nrole = \"{role}\"\nkey_file = {:?}\nheartbeat_interval = \"{}ms\"\nmissed_limit = {}\n{}\n",
            key_file(&network.run),
            self.heartbeat_ms,
            self.missed_limit,
            self.more
        );
        text + &paths(network, node)
    }

    /// The configuration file of either node without its peer.
    pub fn solo_text(&self, network: &PairNetwork) -> String {
        let names: Vec<String> = (1..=network.plan.reals).map(|number| format!("real-{number}")).collect();
        let mut text = "interfaces = [\"eth0\"]\n".to_string();
        for (name, index) in names.iter().zip(0..) {
            let address = network.plan.real_addresses(index)[0];
            text += &format!("[[real]]\nname = \"{name}\"\naddress = \"{address}\"\n");
        }
        for (name, protocol, port) in &self.services {
            let vip = network.plan.vip_v4(0);
            text += &format!(
                "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = {port}\nprotocol = \"{protocol}\"\n\
                 mode = \"dsr\"\nreals = {names:?}\n"
            );
        }
        text
    }
}

fn paths(network: &PairNetwork, node: usize) -> String {
    let udp = |interface: &str, addresses: fn(&PairNetwork, usize) -> std::net::IpAddr| {
        let (local, peer) = (addresses(network, node), addresses(network, 1 - node));
        format!(
            "[[pair.path]]\ntype = \"udp\"\ninterface = \"{interface}\"\nlocal = \"{local}:{PORT}\"\npeer = \"{peer}:{PORT}\"\n"
        )
    };
    let service = udp("eth0", |network, node| network.plan.lb_addresses(node)[0]);
    let heartbeat = udp("eth1", |network, node| network.plan.heartbeat_addresses(node)[0]);
    let device = network.serial.device(node);
    let baud = network.plan.baud;
    format!("{service}{heartbeat}[[pair.path]]\ntype = \"serial\"\ndevice = {device:?}\nbaud = {baud}\n")
}

/// One of the two nodes.
#[derive(Debug)]
pub struct Node {
    /// Its daemon.
    pub lbd: Lbd,
    index: usize,
    dir: PathBuf,
}

impl Node {
    /// Writes the configuration of a node, counted from 0, and the key file of both. Nothing runs yet.
    pub fn prepare(network: &PairNetwork, index: usize, config: &PairConfig) -> Result<Node> {
        write_keys(&network.run, crate::reports::KEYS)?;
        let dir = network.node_dir(index);
        let lbd = Lbd::prepare_in(&dir, &network.lbs[index], &config.text(network, index))?;
        Ok(Node { lbd, index, dir })
    }

    /// Starts both nodes, the second one once the first is active, and waits until it could take over.
    pub fn start_both(network: &PairNetwork, config: &PairConfig) -> Result<[Node; 2]> {
        let mut nodes = [Node::prepare(network, 0, config)?, Node::prepare(network, 1, config)?];
        Node::start_one_after_the_other(&mut nodes)?;
        Ok(nodes)
    }

    /// As [`Node::start_both`], where both are prepared already.
    pub fn start_one_after_the_other(nodes: &mut [Node; 2]) -> Result<()> {
        for (node, state) in nodes.iter_mut().zip(["active", "standby"]) {
            node.lbd.start_again()?;
            node.lbd.wait_until_ready()?;
            node.wait_for_state(state)?;
        }
        nodes.iter().try_for_each(Node::wait_until_ready_for_each_other)
    }

    /// Its name: `lb-1`.
    pub fn name(&self) -> String {
        PairNetwork::node_name(self.index)
    }

    /// Forgets what an earlier start has left on disk: a new host.
    pub fn forget(&self) -> Result<()> {
        let state = self.dir.join("state");
        match std::fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", state.display()))
            }
            _ => Ok(()),
        }
    }

    /// What `lbctl pair` says.
    pub fn pair(&self) -> Result<Value> {
        self.lbd.lbctl_json(&["pair"])
    }

    /// What `lbctl paths` says of each path.
    pub fn paths(&self) -> Result<Vec<Value>> {
        let paths = self.lbd.lbctl_json(&["paths"])?;
        paths["paths"].as_array().cloned().context("`lbctl paths` names no paths")
    }

    /// What `lbctl checkpoint show` says.
    pub fn checkpoint(&self) -> Result<Value> {
        self.lbd.lbctl_json(&["checkpoint", "show"])
    }

    /// What the node is: `active`, `standby` and so on.
    pub fn state(&self) -> Result<String> {
        let pair = self.pair()?;
        pair["state"].as_str().map(str::to_string).with_context(|| format!("`lbctl pair` says no state: {pair}"))
    }

    /// The lossless detection time that the configuration gives, in milliseconds: least, mean, most.
    pub fn detection_ms(&self) -> Result<[f64; 3]> {
        let pair = self.pair()?;
        let figure = |name: &str| pair["detection"][name].as_f64();
        let all = [figure("min_ms"), figure("mean_ms"), figure("max_ms")];
        let [Some(min), Some(mean), Some(max)] = all else {
            bail!("`lbctl pair` says no detection time: {pair}");
        };
        Ok([min, mean, max])
    }

    /// The highest epoch that the node knows: it grows by one with each takeover.
    pub fn epoch(&self) -> Result<u64> {
        let pair = self.pair()?;
        pair["epoch"].as_u64().with_context(|| format!("`lbctl pair` says no epoch: {pair}"))
    }

    /// What an error about the node should tell: what it says of itself, and its log.
    pub fn story(&self) -> String {
        let pair = self.pair().map_or_else(|error| format!("{error:#}"), |pair| pair.to_string());
        format!("`lbctl pair` of {}: {pair}; its log: {}\n", self.name(), self.lbd.log().trim())
    }

    /// Waits until the node is this.
    pub fn wait_for_state(&self, state: &str) -> Result<()> {
        self.wait_for(&format!("{} to be {state}", self.name()), |node| Ok(node.state()? == state))
    }

    /// Waits until all paths are up. An active node asks nobody who asks it, and need not have seen that they are.
    pub fn wait_for_paths(&self) -> Result<()> {
        self.wait_for(&format!("all paths of {} to be up", self.name()), |node| {
            let active = node.state()? == "active";
            Ok(node.paths()?.iter().all(|path| path["state"] == "up" || active && path["state"] != "down"))
        })
    }

    /// Waits until all paths are up, and the peer says that it could serve and has what it needs for that.
    pub fn wait_until_ready_for_each_other(&self) -> Result<()> {
        self.wait_for_paths()?;
        self.wait_for(&format!("the peer of {} to be able to serve", self.name()), |node| {
            let says = &node.pair()?["peer"]["says"];
            Ok(says["fitness"].as_u64() > Some(0) && says["unable"] == false && says["in_sync"] == true)
        })
    }

    /// Waits until the node says that the standby has everything that the active node has learned.
    pub fn wait_for_checkpoints(&self) -> Result<()> {
        let in_sync = |node: &Node| Ok(node.checkpoint()?["sync"]["in_sync"] == true);
        self.wait_within(FULL_LIMIT, "the checkpoints to be in sync", in_sync)
    }

    /// Waits until something holds. While the daemon does not answer, it does not.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Node) -> Result<bool>) -> Result<()> {
        self.wait_within(LIMIT, what, holds)
    }

    fn wait_within(&self, limit: Duration, what: &str, holds: impl Fn(&Node) -> Result<bool>) -> Result<()> {
        let outcome = wait_for(what, limit, || Ok(holds(self).unwrap_or(false).then_some(())));
        outcome.with_context(|| self.story())
    }
}
