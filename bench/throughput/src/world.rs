//! The network: a client, three real servers, and for each lane a balancer between them, on veths without a bridge.
//!
//! ```text
//!         ┌─ lane ── eth0 understudy eth1, eth2, eth3 ─┐
//! client ─┼─ lane ── eth0 router     eth1, eth2, eth3 ─┼─ real-1, real-2, real-3
//!         ├─ lane ── eth0 nftables   eth1, eth2, eth3 ─┤
//!         └─ real-1, real-2, real-3 ───────────────────┘  (replies that go past the balancer)
//! ```
//!
//! All lanes are alike but for what balances in them, and one is used at a time; what is in the others rests.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use lb_lab::{Namespace, Run, connect, lab_object};

use crate::system::{Lane, System};

/// How many real servers there are.
pub const REALS: u8 = 3;
/// Where web servers listen.
pub const WEB: u16 = 80;
/// VIPs of a lane.
const VIPS: u8 = 3;
/// Last bytes of addresses.
const LB: u8 = 2;
const CLIENT: u8 = 10;
/// The client that is answered past the balancer.
const CLIENT_DIRECT: u8 = 11;
const REAL: u8 = 21;
const FIRST_VIP: u8 = 101;
/// Networks of a lane towards the real servers, from one lane to the next.
const NETWORKS: u8 = 16;
/// Bytes of the largest packet towards the real servers: an outer header is added.
const FABRIC_MTU: u32 = 1_600;
/// The client's and the real server's ends of a link without a balancer.
const DIRECT: &str = "direct";

/// All of it. Dropped, it goes away.
pub struct World {
    /// Where packets and requests come from.
    pub client: Namespace,
    /// Where they go.
    pub reals: Vec<Namespace>,
    balancers: Vec<(Lane, Namespace)>,
    /// Names and files of this run.
    pub run: Run,
}

impl World {
    /// Builds the network with these lanes.
    pub fn build(lanes: &[Lane]) -> Result<World> {
        let run = Run::start()?;
        let client = Namespace::new(&run, "client")?;
        let reals = (1..=REALS).map(|n| Namespace::new(&run, &real_name(n))).collect::<Result<_>>()?;
        let balancers = lanes.iter().map(|lane| Ok((*lane, Namespace::new(&run, lane.name())?)));
        let world = World { client, reals, balancers: balancers.collect::<Result<_>>()?, run };
        world.prepare_ends()?;
        world.connect_directly()?;
        for (lane, lb) in &world.balancers {
            world.connect_lane(*lane, lb)?;
        }
        Ok(world)
    }

    /// The namespace of a lane's balancer.
    pub fn lb(&self, lane: Lane) -> Result<&Namespace> {
        let found = self.balancers.iter().find(|(other, _)| *other == lane);
        found.map(|(_, lb)| lb).with_context(|| format!("no lane {} here", lane.name()))
    }

    /// Real servers with the numbers of their networks.
    pub fn numbered_reals(&self) -> impl Iterator<Item = (u8, &Namespace)> {
        (1..).zip(&self.reals)
    }

    fn prepare_ends(&self) -> Result<()> {
        self.client.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
        self.client.sysctl("net/ipv4/ip_local_port_range", "1024 65000")?;
        for end in self.reals.iter().chain([&self.client]) {
            for place in ["all", "default"] {
                end.sysctl(&format!("net/ipv4/conf/{place}/rp_filter"), "0")?;
                end.sysctl(&format!("net/ipv4/conf/{place}/arp_ignore"), "1")?;
                end.sysctl(&format!("net/ipv4/conf/{place}/arp_announce"), "2")?;
            }
        }
        Ok(())
    }

    fn connect_directly(&self) -> Result<()> {
        for (number, real) in self.numbered_reals() {
            link(&self.client, &real_name(number), direct(number, CLIENT), real, DIRECT, direct(number, REAL))?;
        }
        Ok(())
    }

    fn connect_lane(&self, lane: Lane, lb: &Namespace) -> Result<()> {
        let name = lane.name();
        for place in ["all", "default"] {
            lb.sysctl(&format!("net/ipv4/conf/{place}/rp_filter"), "0")?;
        }
        lb.sysctl("net/ipv4/ip_forward", "1")?;
        link(&self.client, name, front(lane, CLIENT), lb, "eth0", front(lane, LB))?;
        self.client.add_address(name, front(lane, CLIENT_DIRECT), 32)?;
        for vip in 0..VIPS {
            lb.add_address("eth0", self::vip(lane, vip), 32)?;
        }
        for (number, real) in self.numbered_reals() {
            let interface = format!("eth{number}");
            link(lb, &interface, inner(lane, number, LB), real, name, inner(lane, number, REAL))?;
            lb.set_mtu(&interface, FABRIC_MTU)?;
            real.set_mtu(name, FABRIC_MTU)?;
            let (back, past) = (inner(lane, number, LB), direct(number, CLIENT));
            real.ip(&format!("route add {} via {back}", front(lane, CLIENT)))?;
            real.ip(&format!("route add {} via {past}", front(lane, CLIENT_DIRECT)))?;
            self.client.ip(&format!("route add {} via {}", inner(lane, number, REAL), front(lane, LB)))?;
        }
        Ok(())
    }

    /// Where the client asks a system for pages: one address, or those of all real servers.
    pub fn targets(&self, system: System) -> Vec<IpAddr> {
        let each = |address: fn(u8) -> IpAddr| (1..=REALS).map(address).collect();
        match (system, system.lane(), system.vip()) {
            (_, Some(lane), Some(number)) => vec![vip(lane, number)],
            (System::Forwarding, _, _) => each(|number| inner(Lane::Router, number, REAL)),
            (_, Some(lane), None) => vec![front(lane, LB)],
            (_, None, _) => each(|number| direct(number, REAL)),
        }
    }

    /// The client's interface towards a system.
    pub fn way(&self, system: System) -> &'static str {
        // Without a balancer the first real server takes all.
        system.lane().map_or("real-1", Lane::name)
    }

    /// The MAC addresses that a packet from the client to a system has: the receiver's, the sender's.
    pub fn macs(&self, system: System) -> Result<[[u8; 6]; 2]> {
        let receiver = match system.lane() {
            Some(lane) => self.lb(lane)?.mac("eth0")?,
            None => self.reals[0].mac(DIRECT)?,
        };
        Ok([receiver, self.client.mac(self.way(system))?])
    }

    /// Interfaces of a real server that packets come in by.
    pub fn entrances(&self) -> impl Iterator<Item = &'static str> {
        self.balancers.iter().map(|(lane, _)| lane.name()).chain([DIRECT])
    }

    /// Makes kernels take the frames that the generator hands to a balancer's veth: they are dropped unless the veth polls. Where there
    /// is `lbd`, it does so for the sake of XDP.
    pub fn poll(&self, on: bool) -> Result<()> {
        let word = if on { "on" } else { "off" };
        for (lane, lb) in self.balancers.iter().filter(|(lane, _)| *lane != Lane::Understudy) {
            let set = lb_lab::output(lb.command("ethtool").args(["-K", "eth0", "gro", word]));
            set.with_context(|| format!("cannot turn polling {word} in the lane {}", lane.name()))?;
        }
        Ok(())
    }

    /// Makes the ends fit for connections through XDP and tunnels: programs at the far ends, whole checksums, the VIPs at the real
    /// servers, and the way on which replies come back. Only lanes that need any of it get it.
    pub fn prepare_for_connections(&self, systems: &[System]) -> Result<()> {
        for (lane, _) in self.balancers.iter().filter(|(lane, _)| [Lane::Understudy, Lane::Ipvs].contains(lane)) {
            let name = lane.name();
            self.client.attach_xdp(name, &lab_object()?, "pass_all")?;
            self.client.full_checksums(name)?;
            for real in &self.reals {
                real.attach_xdp(name, &lab_object()?, "decap")?;
                real.full_checksums(name)?;
            }
        }
        for system in systems {
            let (Some(lane), Some(number)) = (system.lane(), system.vip()) else { continue };
            let address = vip(lane, number);
            let source = front(lane, if system.replies_directly() { CLIENT_DIRECT } else { CLIENT });
            self.client.ip(&format!("route replace {address} dev {} src {source}", lane.name()))?;
            if system.replies_directly() {
                self.reals.iter().try_for_each(|real| real.add_address("lo", address, 32))?;
            }
        }
        Ok(())
    }
}

/// `real-1`.
pub fn real_name(number: u8) -> String {
    format!("real-{number}")
}

/// The address of a real server, counted from 1, in a lane.
pub fn real_address(lane: Lane, number: u8) -> IpAddr {
    inner(lane, number, REAL)
}

/// The balancer's address towards the client.
pub fn lb_address(lane: Lane) -> IpAddr {
    front(lane, LB)
}

/// A VIP of a lane, counted from 0.
pub fn vip(lane: Lane, number: u8) -> IpAddr {
    front(lane, FIRST_VIP + number)
}

/// Addresses for benchmarks (RFC 2544): 198.18.0.0/15.
fn front(lane: Lane, host: u8) -> IpAddr {
    Ipv4Addr::new(198, 18, lane.number(), host).into()
}

fn inner(lane: Lane, real: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(198, 18, NETWORKS * (lane.number() + 1) + real, host).into()
}

fn direct(real: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(198, 19, real, host).into()
}

/// Connects two namespaces, with addresses of a network of 256.
fn link(a: &Namespace, a_name: &str, a_address: IpAddr, b: &Namespace, b_name: &str, b_address: IpAddr) -> Result<()> {
    connect(a, a_name, b, b_name)?;
    for (namespace, name, address) in [(a, a_name, a_address), (b, b_name, b_address)] {
        namespace.add_address(name, address, 24)?;
        namespace.up(name)?;
    }
    Ok(())
}
