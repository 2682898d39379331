//! The network of a pair: two load balancers, each with two NICs and one end of a serial line, in front of real servers.
//!
//! ```text
//! client ───┐                      gateway (the bridge's own address)
//!           │          br0
//! real-1 ───┼── lb-1 eth0 ── lb-2 eth0     VIPs, and one path
//! real-2 ───┘
//!               lb-1 eth1 ── lb-2 eth1     br1, another path
//!               lb-1 ─────── lb-2          a serial line, the third
//! ```
//!
//! The nodes hold no VIP: who owns them is what the pair is about. Both bridges are in one namespace, whose rules swallow
//! what a test cuts ([`Cut`]).

mod links;
mod node;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;

pub use links::{Cut, Link};
pub use node::{Node, PairConfig};

use crate::binaries::lab_object;
use crate::command::output;
use crate::namespace::Namespace;
use crate::run::Run;
use crate::serial::SerialLine;
use crate::topology::{
    CLIENT_HOST, FIRST_REAL_HOST, FIRST_VIP_HOST, LB_HOST, add_both, add_bridge, addresses, full_length,
    ignore_reverse_path, inner, keep_vips_quiet, plug_into,
};

const GATEWAY_HOST: u8 = 1;
const MTU: u32 = 1500;
const HEARTBEAT_V4: [u8; 3] = [198, 51, 100];
const HEARTBEAT_V6: [u16; 4] = [0x2001, 0xdb8, 1, 0];
/// The bridge of clients, real servers and VIPs.
const SERVICE_BRIDGE: &str = "br0";
/// The bridge that only the two nodes are on.
const HEARTBEAT_BRIDGE: &str = "br1";

/// What network to build for a pair.
#[derive(Clone, Debug)]
pub struct PairPlan {
    /// How many real servers, at most 80.
    pub reals: u8,
    /// How many VIPs of each address family, at most 100.
    pub vips: u8,
    /// Bits a second of the serial line.
    pub baud: u32,
}

impl Default for PairPlan {
    fn default() -> Self {
        PairPlan { reals: 2, vips: 1, baud: 115_200 }
    }
}

impl PairPlan {
    /// A node's addresses, counted from 0, on the side of clients and real servers: IPv4, IPv6.
    pub fn lb_addresses(&self, node: usize) -> [IpAddr; 2] {
        inner(LB_HOST + node as u8)
    }

    /// A node's addresses on the network of the pair alone: IPv4, IPv6.
    pub fn heartbeat_addresses(&self, node: usize) -> [IpAddr; 2] {
        addresses(HEARTBEAT_V4, HEARTBEAT_V6, LB_HOST + node as u8)
    }

    /// The addresses of a real server, counted from 0: IPv4, IPv6.
    pub fn real_addresses(&self, index: u8) -> [IpAddr; 2] {
        inner(FIRST_REAL_HOST + index)
    }

    /// The addresses of a VIP, counted from 0: IPv4, IPv6.
    pub fn vip_addresses(&self, index: u8) -> [IpAddr; 2] {
        inner(FIRST_VIP_HOST + index)
    }

    /// Every VIP of both families.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.vips).flat_map(|index| self.vip_addresses(index))
    }

    /// The client's addresses: IPv4, IPv6.
    pub fn client_addresses(&self) -> [IpAddr; 2] {
        inner(CLIENT_HOST)
    }

    /// The client's IPv4 address.
    pub fn client_address(&self) -> Ipv4Addr {
        v4(inner(CLIENT_HOST))
    }

    /// The gateway's IPv4 address: the namespace of the switch itself.
    pub fn gateway_address(&self) -> Ipv4Addr {
        v4(inner(GATEWAY_HOST))
    }

    /// The IPv4 address of a VIP, counted from 0.
    pub fn vip_v4(&self, index: u8) -> Ipv4Addr {
        v4(self.vip_addresses(index))
    }
}

/// The built network of a pair. Dropped, all of it goes away. Field order is drop order.
#[derive(Debug)]
pub struct PairNetwork {
    /// The serial line between the nodes.
    pub serial: SerialLine,
    /// Where the clients are.
    pub client: Namespace,
    /// Where the two daemons run: `lb-1`, `lb-2`.
    pub lbs: [Namespace; 2],
    /// Where the real servers are, `real-1` first.
    pub reals: Vec<Namespace>,
    /// The two bridges, and the gateway.
    pub switch: Namespace,
    /// The plan it was built by.
    pub plan: PairPlan,
    /// Names and files of this run.
    pub run: Run,
}

impl PairNetwork {
    /// Builds the network.
    pub fn build(plan: PairPlan) -> Result<PairNetwork> {
        let run = Run::start()?;
        let reals = (1..=plan.reals).map(|n| Namespace::new(&run, &format!("real-{n}"))).collect::<Result<_>>()?;
        let network = PairNetwork {
            serial: SerialLine::lay(run.dir(), plan.baud)?,
            client: Namespace::new(&run, "client")?,
            lbs: [Namespace::new(&run, "lb-1")?, Namespace::new(&run, "lb-2")?],
            reals,
            switch: Namespace::new(&run, "switch")?,
            plan,
            run,
        };
        network.wire()?;
        Ok(network)
    }

    /// Lays a serial line of another speed. To be done while no daemon runs.
    pub fn set_baud(&mut self, baud: u32) -> Result<()> {
        self.serial = SerialLine::lay(self.run.dir(), baud)?;
        self.plan.baud = baud;
        Ok(())
    }

    /// A node's name, counted from 0: `lb-1`.
    pub fn node_name(node: usize) -> String {
        format!("lb-{}", node + 1)
    }

    /// The MAC address that a node, counted from 0, has towards the clients.
    pub fn mac(&self, node: usize) -> Result<[u8; 6]> {
        self.lbs[node].mac("eth0")
    }

    /// The directory of a node's own files.
    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.run.dir().join(PairNetwork::node_name(node))
    }

    fn wire(&self) -> Result<()> {
        for bridge in [SERVICE_BRIDGE, HEARTBEAT_BRIDGE] {
            add_bridge(&self.switch, bridge, MTU)?;
        }
        add_both(&self.switch, SERVICE_BRIDGE, inner(GATEWAY_HOST))?;
        links::prepare(&self.switch)?;
        (0..self.lbs.len()).try_for_each(|node| self.wire_lb(node))?;
        plug_into(&self.switch, SERVICE_BRIDGE, &self.client, "eth0", "client", MTU)?;
        ignore_reverse_path(&self.client)?;
        add_both(&self.client, "eth0", inner(CLIENT_HOST))?;
        (0..self.plan.reals).try_for_each(|index| self.wire_real(index))
    }

    fn wire_lb(&self, node: usize) -> Result<()> {
        let lb = &self.lbs[node];
        let port = Link::Service.port(node);
        plug_into(&self.switch, SERVICE_BRIDGE, lb, "eth0", &port, MTU)?;
        // What the balancer sends out of its veth arrives only where the far end has a program too.
        self.switch.attach_xdp(&port, &lab_object()?, "pass_all")?;
        self.switch.full_checksums(&port)?;
        self.know_for_good(&port, lb.mac("eth0")?)?;
        add_both(lb, "eth0", self.plan.lb_addresses(node))?;
        plug_into(&self.switch, HEARTBEAT_BRIDGE, lb, "eth1", &Link::Heartbeat.port(node), MTU)?;
        add_both(lb, "eth1", self.plan.heartbeat_addresses(node))
    }

    /// Has the switch never flood what is sent to this MAC address: what goes to a node that is unplugged reaches nobody.
    fn know_for_good(&self, port: &str, mac: [u8; 6]) -> Result<()> {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let words = ["fdb", "replace", &mac, "dev", port, "master", "static"];
        output(self.switch.command("bridge").args(words)).map(drop)
    }

    fn wire_real(&self, index: u8) -> Result<()> {
        let real = &self.reals[usize::from(index)];
        ignore_reverse_path(real)?;
        keep_vips_quiet(real)?;
        plug_into(&self.switch, SERVICE_BRIDGE, real, "eth0", &format!("real-{}", index + 1), MTU)?;
        add_both(real, "eth0", self.plan.real_addresses(index))?;
        self.plan.vips().try_for_each(|vip| real.add_address("lo", vip, full_length(vip)))
    }
}

fn v4(addresses: [IpAddr; 2]) -> Ipv4Addr {
    match addresses[0] {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}
