//! What is known of a configuration of `lbd` while another one is read.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use lb_core::service::{Affinity, Mode, Ports, Protocol, is_name};

/// Longest name of an interface, in bytes (IFNAMSIZ without its final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// A configuration in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) interfaces: Vec<String>,
    pub(super) services: Vec<Service>,
    /// Where the reals take packets in mode gue.
    pub(super) gue_port: Option<u16>,
    pub(super) pair: Option<Pair>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Where the source has it.
    pub(super) line: usize,
    pub(super) vip: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) ports: Ports,
    pub(super) mode: Mode,
    /// Whether weights follow the load.
    pub(super) follows_load: bool,
    pub(super) checks: Vec<Check>,
    /// Clients stay at their real.
    pub(super) affinity: Option<Affinity>,
    pub(super) one_packet: bool,
    pub(super) reals: Vec<Member>,
}

/// A real of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) line: usize,
    pub(super) address: IpAddr,
    pub(super) weight: u32,
    /// Where it listens; 0: on the service's port.
    pub(super) port: u16,
    /// It gets flows only while the others cannot.
    pub(super) fallback: bool,
}

/// A check. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Check {
    pub(super) kind: Kind,
    pub(super) interval: u64,
    pub(super) timeout: Option<u64>,
    pub(super) fall: u32,
    pub(super) port: Option<u16>,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tcp,
    Http { tls: bool, path: String, host: Option<String>, statuses: Vec<String> },
    Udp { send_hex: String },
    Icmp,
    Exec { command: Vec<String> },
}

impl Kind {
    /// Whether it is made at a port.
    pub(super) fn has_port(&self) -> bool {
        matches!(self, Self::Tcp | Self::Http { .. } | Self::Udp { .. })
    }
}

/// The pair.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) standby: bool,
    pub(super) preempt: bool,
    /// In milliseconds.
    pub(super) failback_delay: Option<u64>,
    /// In milliseconds.
    pub(super) heartbeat_interval: Option<u64>,
    pub(super) paths: Vec<UdpPath>,
    pub(super) tracked: Vec<String>,
    /// Interfaces with the VIPs that are put there.
    pub(super) groups: Vec<(String, Vec<IpAddr>)>,
    /// Other addresses that are put there, for reals behind NAT to route through.
    pub(super) gateways: Vec<(String, IpAddr)>,
}

/// A way to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UdpPath {
    pub(super) interface: String,
    pub(super) local: IpAddr,
    pub(super) peer: IpAddr,
}

impl Draft {
    /// The addresses of all reals.
    pub(super) fn reals(&self) -> BTreeSet<IpAddr> {
        self.services.iter().flat_map(|service| &service.reals).map(|real| real.address).collect()
    }

    /// Adds a name of an interface, once.
    pub(super) fn add_interface(&mut self, name: &str) {
        if !self.interfaces.iter().any(|known| known == name) {
            self.interfaces.push(name.to_owned());
        }
    }
}

impl Service {
    /// Its name: protocol, VIP and ports.
    pub(super) fn name(&self) -> String {
        format!("{}_{}_{}", self.protocol, in_name(self.vip), self.ports)
    }

    /// The `port` of a real: where it listens on another port than the service's, and ports are rewritten.
    pub(super) fn port_of(&self, real: &Member) -> Option<u16> {
        Some(real.port).filter(|_| self.mode == Mode::Nat && self.has_another(real))
    }

    /// Whether the real listens on another port than the service's one.
    pub(super) fn has_another(&self, real: &Member) -> bool {
        real.port != 0 && matches!(self.ports, Ports::Single(port) if port != real.port)
    }

    /// Whether weights say anything: whether a real that gets flows gets more or fewer of them than another.
    pub(super) fn is_weighted(&self) -> bool {
        let mut weights =
            self.reals.iter().filter(|real| !real.fallback).map(|real| real.weight).filter(|weight| *weight > 0);
        let first = weights.next();
        weights.any(|weight| Some(weight) != first)
    }
}

/// The name of the real at this address.
pub(super) fn real_name(address: IpAddr) -> String {
    format!("real-{}", in_name(address))
}

/// Names have no colons.
fn in_name(address: IpAddr) -> String {
    address.to_string().replace(':', "-")
}

/// An address and a port in two words, the port perhaps missing (which is 0).
pub(super) fn address_and_port(words: &[String]) -> Option<SocketAddr> {
    let address = words.first()?.parse().ok()?;
    let port = words.get(1).map_or(Some(0), |port| port.parse().ok())?;
    Some(SocketAddr::new(address, port))
}

/// The ports that a number stands for: 0 are all.
pub(super) fn ports(number: u16) -> Ports {
    if number == 0 { Ports::Any } else { Ports::Single(number) }
}

/// A name of an interface that can also be the name of a VIP group.
pub fn is_interface(name: &str) -> bool {
    name.len() <= MAX_INTERFACE_NAME && name != "." && name != ".." && is_name(name)
}
