//! What is configured: services, real servers, and the checks that make them a [`Cluster`].
//!
//! A [`Cluster`] can only be built through [`Cluster::new`], so whoever holds one need not check it again.

mod affinity;
mod check;
mod guards;
mod ports;
mod prefix;
mod quic;
mod tunnel;
mod vip_prefix;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

pub use affinity::Affinity;
pub use check::{ClusterError, Problem, Subject, is_name};
pub use guards::{Guards, MAX_NEW_FLOWS, NewFlowLimit, SynFlood};
pub use ports::{Ports, PortsError, port_prefixes};
pub use prefix::{Prefix, PrefixError, leading};
pub use quic::{
    MAX_QUIC_CONFIG, MAX_QUIC_ENCODINGS, MAX_QUIC_SERVER_ID, MAX_QUIC_SERVER_IDS, QUIC_CID, QUIC_NONCES, QuicEncoding,
    QuicLayout, QuicSecret, QuicServerId,
};
pub use tunnel::{DEFAULT_GUE_PORT, TUNNEL_SOURCE_V4, TUNNEL_SOURCE_V6, Tunnel};
pub use vip_prefix::{MIN_VIP_PREFIX_V4, MIN_VIP_PREFIX_V6};

/// The longest name of a service or real, in bytes.
pub const MAX_NAME_LENGTH: usize = 64;
/// The greatest weight.
pub const MAX_WEIGHT: u32 = 65_535;
/// The weight of a real for which none is configured.
pub const DEFAULT_WEIGHT: u32 = 100;
/// Most services of a cluster.
pub const MAX_SERVICES: usize = lb_common::MAX_SERVICES as usize;
/// Most reals of a cluster: as many as a 16-bit id can name.
pub const MAX_REALS: usize = lb_common::LIMIT_MAX_REALS as usize - 1;
/// Most reals that all services in [`Mode::Nat`] may have together, a real counted once for each.
pub const MAX_NAT_MEMBERS: usize = lb_common::MAX_NAT_REPLIES as usize;
/// Most port prefixes that all services with a port range or any port may need together.
pub const MAX_PORT_PREFIXES: usize = lb_common::MAX_PORT_RANGES as usize;

/// Most prefixes that all services together may allow or deny.
pub const MAX_ACCESS_PREFIXES: usize = lb_common::MAX_ACCESS_PREFIXES as usize;
/// Most QUIC encodings that all services together may have.
pub const MAX_QUIC_ROWS: usize = lb_common::MAX_QUIC_ENCODINGS as usize;
/// Most QUIC server ids that the reals of all services together may have.
pub const MAX_QUIC_SERVERS: usize = lb_common::MAX_QUIC_SERVERS as usize;

const V4_HEADER: u32 = 20;
const V6_HEADER: u32 = 40;
const UDP_HEADER: u32 = 8;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => lb_common::PROTOCOL_TCP,
            Self::Udp => lb_common::PROTOCOL_UDP,
            Self::Sctp => lb_common::PROTOCOL_SCTP,
        }
    }

    /// The protocol of an IP protocol number; `None` for one that services do not have.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            lb_common::PROTOCOL_TCP => Some(Self::Tcp),
            lb_common::PROTOCOL_UDP => Some(Self::Udp),
            lb_common::PROTOCOL_SCTP => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// How a service's packets reach its reals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Direct server return: only the MAC addresses are rewritten.
    Dsr,
    /// The packet is put in an outer IPv4 or IPv6 header.
    Ipip,
    /// The packet is put in an outer IPv4 or IPv6 header and a UDP header.
    Gue,
    /// Destination address and port are rewritten, and the source of the replies, which come back through the node.
    Nat,
}

impl Mode {
    /// The number that stands for the mode in the maps.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Dsr => lb_common::MODE_DSR,
            Self::Ipip => lb_common::MODE_IPIP,
            Self::Gue => lb_common::MODE_GUE,
            Self::Nat => lb_common::MODE_NAT,
        }
    }

    /// Whether the mode can carry packets for `vip` to `real`.
    #[must_use]
    pub fn carries(self, vip: IpAddr, real: IpAddr) -> bool {
        match self {
            Self::Dsr | Self::Nat => vip.is_ipv4() == real.is_ipv4(),
            Self::Ipip | Self::Gue => vip.is_ipv4() || real.is_ipv6(),
        }
    }

    /// Bytes of the headers that a packet gets on its way to `real`.
    #[must_use]
    pub const fn outer_length(self, real: IpAddr) -> u32 {
        let ip = if real.is_ipv4() { V4_HEADER } else { V6_HEADER };
        match self {
            Self::Dsr | Self::Nat => 0,
            Self::Ipip => ip,
            Self::Gue => ip + UDP_HEADER,
        }
    }

    /// Whether packets are put in outer headers.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dsr => "dsr",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Nat => "nat",
        })
    }
}

/// A real that a service sends flows to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The real's name.
    pub real: String,
    /// Its weight in this service, 0..=[`MAX_WEIGHT`]; `None`: the real's own.
    pub weight: Option<u32>,
    /// The port at which it serves this service, where that is not the service's own; only in [`Mode::Nat`] and with a single port.
    pub port: Option<u16>,
    /// It gets flows only while no real of the service that is not a fallback can: a sorry server.
    pub fallback: bool,
    /// What stands for it in the connection ids of a QUIC service; at most [`MAX_QUIC_SERVER_IDS`].
    pub quic_server_ids: Vec<QuicServerId>,
}

/// A VIP, a protocol and ports, and the reals that serve them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its identity: 1 to [`MAX_NAME_LENGTH`] of the characters `A-Za-z0-9._-`.
    pub name: String,
    /// The address that clients use; the first of them in a service of a whole prefix.
    pub vip: IpAddr,
    /// How many leading bits of `vip` count, where all addresses with them are the VIP: from [`MIN_VIP_PREFIX_V4`] or
    /// [`MIN_VIP_PREFIX_V6`] to one less than an address has. Not in [`Mode::Nat`].
    pub vip_prefix: Option<u8>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The ports that clients use.
    pub ports: Ports,
    /// How packets reach the reals.
    pub mode: Mode,
    /// The reals; at least one, none of them twice.
    pub reals: Vec<Member>,
    /// Each packet goes to a real of its own; UDP only, and not with affinity.
    pub one_packet: bool,
    /// All flows of a client go to the same real; `None`: each flow by itself.
    pub affinity: Option<Affinity>,
    /// What its packets have to pass.
    pub guards: Guards,
    /// How its QUIC connection ids name reals; empty: they are not looked at. UDP only.
    pub quic: Vec<QuicEncoding>,
}

impl Service {
    /// The port at which the real serves; `None`: the one that the client used, in a service of several.
    #[must_use]
    pub fn real_port(&self, member: &Member) -> Option<u16> {
        match self.ports {
            Ports::Single(port) => Some(member.port.unwrap_or(port)),
            Ports::Range(..) | Ports::Any => None,
        }
    }
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Real {
    /// Its identity: 1 to [`MAX_NAME_LENGTH`] of the characters `A-Za-z0-9._-`.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
    /// Its share of the flows relative to the other reals, 0..=[`MAX_WEIGHT`]. 0: no new flows.
    pub weight: u32,
}

/// Services and reals that fit together. The default is a cluster without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    services: Vec<Service>,
    reals: Vec<Real>,
    gateways: BTreeSet<IpAddr>,
    tunnel: Tunnel,
    service_index: BTreeMap<String, ServicePlace>,
    real_index: BTreeMap<String, usize>,
    /// Places of the services of each affinity group.
    groups: BTreeMap<String, Vec<usize>>,
}

/// Where a service is, and its members, by the real's name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServicePlace {
    at: usize,
    members: BTreeMap<String, usize>,
}

impl ServicePlace {
    fn of(at: usize, service: &Service) -> Self {
        let members = service.reals.iter().enumerate().map(|(i, member)| (member.real.clone(), i));
        Self { at, members: members.collect() }
    }
}

impl Cluster {
    /// Checks that the services and reals fit together.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with the item that it is about, in the order of the items.
    pub fn new(services: Vec<Service>, reals: Vec<Real>) -> Result<Self, Vec<ClusterError>> {
        let errors = check::check(&services, &reals);
        if !errors.is_empty() {
            return Err(errors);
        }
        let service_index = services
            .iter()
            .enumerate()
            .map(|(i, service)| (service.name.clone(), ServicePlace::of(i, service)))
            .collect();
        let real_index = reals.iter().enumerate().map(|(i, real)| (real.name.clone(), i)).collect();
        let groups = affinity::groups(&services);
        let (gateways, tunnel) = (BTreeSet::new(), Tunnel::default());
        Ok(Self { services, reals, gateways, tunnel, service_index, real_index, groups })
    }

    /// The same with addresses that are this node's as VIPs are, and that no service has: reals route through them.
    #[must_use]
    pub fn with_gateways(self, gateways: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { gateways: gateways.into_iter().collect(), ..self }
    }

    /// The same with other outer headers.
    #[must_use]
    pub fn with_tunnel(self, tunnel: Tunnel) -> Self {
        Self { tunnel, ..self }
    }

    /// What outer headers say.
    #[must_use]
    pub fn tunnel(&self) -> &Tunnel {
        &self.tunnel
    }

    /// Addresses beside the VIPs that are this node's as VIPs are.
    #[must_use]
    pub fn gateways(&self) -> &BTreeSet<IpAddr> {
        &self.gateways
    }

    /// The services, in the order in which they were given.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The reals, in the order in which they were given.
    #[must_use]
    pub fn reals(&self) -> &[Real] {
        &self.reals
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.service_index.get(name).and_then(|place| self.services.get(place.at))
    }

    /// The real as the service lists it.
    #[must_use]
    pub fn member(&self, service: &str, real: &str) -> Option<&Member> {
        let place = self.service_index.get(service)?;
        self.services.get(place.at)?.reals.get(*place.members.get(real)?)
    }

    /// The real of this name.
    #[must_use]
    pub fn real(&self, name: &str) -> Option<&Real> {
        self.real_index.get(name).and_then(|&i| self.reals.get(i))
    }
}

#[cfg(test)]
mod tests;
