//! What is compared, and the way that packets take through each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Protocol numbers of IPv4.
const UDP: u8 = 17;
const IPV4_IN_IPV4: u8 = 4;

/// One of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    /// No balancer: generator and counter, or client and real server, on the two ends of one veth. What the others take above it
    /// is the balancer's.
    Direct,
    /// The balancer's kernel as a router, without any balancing.
    Forwarding,
    /// Understudy in its three modes.
    UnderstudyDsr,
    /// See [`System::UnderstudyDsr`].
    UnderstudyIpip,
    /// See [`System::UnderstudyDsr`].
    UnderstudyNat,
    /// Destination NAT with connection tracking.
    Nftables,
    /// HAProxy in TCP mode.
    Haproxy,
    /// nginx's stream proxy.
    Nginx,
    /// IPVS in its three modes.
    IpvsDr,
    /// See [`System::IpvsDr`].
    IpvsTun,
    /// See [`System::IpvsDr`].
    IpvsNat,
}

/// A namespace with a balancer in it, and all links that it has. Systems that do not disturb one another share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// `lbd`.
    Understudy,
    /// A router; and the proxies, which are at rest unless they are asked.
    Router,
    /// A router with a rule of nftables.
    Nftables,
    /// IPVS.
    Ipvs,
}

impl System {
    /// All of the host, in the order in which they take turns.
    pub const HOST: [System; 8] = [
        System::Direct,
        System::Forwarding,
        System::UnderstudyDsr,
        System::UnderstudyIpip,
        System::UnderstudyNat,
        System::Nftables,
        System::Haproxy,
        System::Nginx,
    ];
    /// All of the guest.
    pub const GUEST: [System; 8] = [
        System::Direct,
        System::Forwarding,
        System::UnderstudyDsr,
        System::IpvsDr,
        System::UnderstudyIpip,
        System::IpvsTun,
        System::UnderstudyNat,
        System::IpvsNat,
    ];

    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            System::Direct => "direct",
            System::Forwarding => "forwarding",
            System::UnderstudyDsr => "understudy-dsr",
            System::UnderstudyIpip => "understudy-ipip",
            System::UnderstudyNat => "understudy-nat",
            System::Nftables => "nftables",
            System::Haproxy => "haproxy",
            System::Nginx => "nginx",
            System::IpvsDr => "ipvs-dr",
            System::IpvsTun => "ipvs-tun",
            System::IpvsNat => "ipvs-nat",
        }
    }

    /// Where it is; none where there is no balancer.
    pub fn lane(self) -> Option<Lane> {
        match self {
            System::Direct => None,
            System::UnderstudyDsr | System::UnderstudyIpip | System::UnderstudyNat => Some(Lane::Understudy),
            System::Forwarding | System::Haproxy | System::Nginx => Some(Lane::Router),
            System::Nftables => Some(Lane::Nftables),
            System::IpvsDr | System::IpvsTun | System::IpvsNat => Some(Lane::Ipvs),
        }
    }

    /// Which of its lane's VIPs is its own, counted from 0; none where clients ask for another address.
    pub fn vip(self) -> Option<u8> {
        match self {
            System::UnderstudyDsr | System::IpvsDr | System::Nftables => Some(0),
            System::UnderstudyIpip | System::IpvsTun => Some(1),
            System::UnderstudyNat | System::IpvsNat => Some(2),
            System::Direct | System::Forwarding | System::Haproxy | System::Nginx => None,
        }
    }

    /// Replies go from the real server to the client without the balancer.
    pub fn replies_directly(self) -> bool {
        matches!(
            self,
            System::Direct | System::UnderstudyDsr | System::UnderstudyIpip | System::IpvsDr | System::IpvsTun
        )
    }

    /// It forwards packets, and does not end connections as proxies do.
    pub fn forwards_packets(self) -> bool {
        !matches!(self, System::Haproxy | System::Nginx)
    }

    /// The protocol number that the generator's packets arrive with.
    pub fn arrives_as(self) -> u8 {
        if self.is_tunnel() { IPV4_IN_IPV4 } else { UDP }
    }

    /// It puts an outer header before each packet.
    pub fn is_tunnel(self) -> bool {
        matches!(self, System::UnderstudyIpip | System::IpvsTun)
    }
}

impl Lane {
    /// All of the host.
    pub const HOST: [Lane; 3] = [Lane::Understudy, Lane::Router, Lane::Nftables];
    /// All of the guest.
    pub const GUEST: [Lane; 3] = [Lane::Understudy, Lane::Router, Lane::Ipvs];

    /// Its number in addresses.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name in those of namespaces and interfaces.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Understudy => "understudy",
            Lane::Router => "router",
            Lane::Nftables => "nftables",
            Lane::Ipvs => "ipvs",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
