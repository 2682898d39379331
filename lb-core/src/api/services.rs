//! `GET /v1/services`: what is balanced, and to whom.

use core::net::IpAddr;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AdminState, Counters, Health};
use crate::service::Prefix;

words! {
    /// A service's transport protocol.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
    }
}

words! {
    /// How a service's packets reach their real.
    Mode {
        /// The MAC addresses are rewritten.
        Dsr = "dsr",
        /// The packet gets an outer IP header.
        Ipip = "ipip",
        /// The packet gets an outer IP header and a UDP header.
        Gue = "gue",
        /// Destination address and port are rewritten, and the source of the replies.
        Nat = "nat",
    }
}

/// Every service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceList {
    /// The scheduling table's generation.
    pub generation: u64,
    /// The services, in the order of the configuration file.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Index of its ring and counters in the maps. Stays the same over reload and restart.
    pub id: u32,
    /// The address clients use; the first of them where the VIP is a whole prefix.
    pub vip: IpAddr,
    /// How many leading bits of `vip` count, where all addresses with them are the VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_prefix: Option<u8>,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The ports clients use.
    pub ports: Ports,
    /// How packets reach the reals.
    pub mode: Mode,
    /// The states of its slots.
    pub slots: SlotStates,
    /// What it has been sent.
    pub counters: Counters,
    /// Its reals, in the order of the configuration file.
    pub reals: Vec<ServiceReal>,
    /// Each packet goes to a real of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_packet: bool,
    /// All flows of a client go to the same real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// What its packets have to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<Guards>,
    /// How its QUIC connection ids name reals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quic: Vec<QuicEncoding>,
}

impl Service {
    /// The VIP as it is configured: an address or a prefix.
    #[must_use]
    pub fn vip_text(&self) -> String {
        Prefix::around(self.vip, self.vip_prefix.unwrap_or(u8::MAX)).brief()
    }

    /// VIP and ports, as in `192.0.2.1:80`, `[2001:db8::1]:80-89` or `198.51.100.0/24:443`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let vip = self.vip_text();
        if self.vip.is_ipv4() { format!("{vip}:{}", self.ports) } else { format!("[{vip}]:{}", self.ports) }
    }
}

/// One way in which the connection ids of a QUIC service are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuicEncoding {
    /// The connection ids' config, 0 to 6; missing where the server id is in the clear at a place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<u8>,
    /// Bytes before the server id.
    pub offset: u8,
    /// Bytes of the server id.
    pub server_id_length: u8,
    /// Bytes of the nonce; 0 without config.
    pub nonce_length: u8,
    /// It is encrypted.
    pub encrypted: bool,
}

/// What makes a client, and how long it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affinity {
    /// The leading bits of an address that make a client.
    pub prefix: u8,
    /// A client that is silent for so long may be forgotten.
    pub timeout_seconds: f64,
    /// Its affinity group: a client has one real in all services of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a service's packets have to pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    /// Prefixes of sources that are let in. With any of them others are not.
    pub allow: Vec<String>,
    /// Prefixes of sources that are kept out.
    pub deny: Vec<String>,
    /// How many flows a source may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_flow_limit: Option<NewFlowLimit>,
    /// What counts as a SYN flood, and whether there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syn_flood: Option<SynFlood>,
}

/// How many flows a source may begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFlowLimit {
    /// In a second, in the long run.
    pub rate: u32,
    /// At once, after a silence.
    pub burst: u32,
    /// The leading bits of an address that make a source.
    pub prefix: u8,
}

/// What counts as a SYN flood, and whether there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynFlood {
    /// More SYNs than this in a second.
    pub threshold: u32,
    /// There is one.
    pub flooded: bool,
}

/// Ports of a service: the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ports {
    /// The lowest port.
    pub first: u16,
    /// The highest port; equal to `first` for a single port.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };
}

/// `80`, `8000-8099` or `any`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.pad("any"),
            Self { first, last } if first == last => f.pad(&first.to_string()),
            Self { first, last } => f.pad(&format!("{first}-{last}")),
        }
    }
}

/// How many slots of a ring are in which state. They add up to the ring's 65,537.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotStates {
    /// Every flow goes to the slot's real.
    pub clean: u32,
    /// Moved lately: older flows go to the previous real.
    pub remembering: u32,
    /// Moved a while ago: flows that are in the flow table go where that says.
    pub marked: u32,
}

/// A real as a member of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceReal {
    /// The real's name.
    pub name: String,
    /// The real's address.
    pub address: IpAddr,
    /// In mode `nat`: the port at which it serves. None where that is the one that the client used, in a service of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The weight that the configuration gives it in this service.
    pub weight: u32,
    /// The weight in use: the operator's override where there is one, and 0 while it gets no new flows.
    pub effective_weight: u32,
    /// Slots of this service that send new flows to it.
    pub slots: u32,
    /// What the operator says of it.
    pub admin: AdminState,
    /// Whether it can serve this service.
    #[serde(default)]
    pub health: Health,
    /// Whether its next hop is known.
    pub next_hop_resolved: bool,
    /// What stands for it in QUIC connection ids, in hex digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quic_server_ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_print_as_they_are_configured() {
        assert_eq!(Ports { first: 80, last: 80 }.to_string(), "80");
        assert_eq!(Ports { first: 8000, last: 8099 }.to_string(), "8000-8099");
        assert_eq!(Ports::ANY.to_string(), "any");
        assert_eq!(format!("{:>5}|{:<8}|", Ports { first: 80, last: 80 }, Protocol::Tcp), "   80|tcp     |");
    }
}
