//! The headers that a [`super::Packet`] is made of. A field of type `Option` is computed when it is `None`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ETHERTYPE_V4, ETHERTYPE_V6};

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The EtherType that announces the tag.
    pub ethertype: u16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

/// One header, or the bytes after the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// An IPv4 header.
    V4(Ipv4),
    /// An IPv6 header.
    V6(Ipv6),
    /// An IPv6 extension header other than the fragment header.
    Extension(Extension),
    /// An IPv6 fragment header.
    Fragment(FragmentHeader),
    /// A TCP header.
    Tcp(Tcp),
    /// A UDP header.
    Udp(Udp),
    /// An SCTP common header.
    Sctp(Sctp),
    /// An ICMP header.
    Icmp(Icmp),
    /// An ICMPv6 header.
    Icmp6(Icmp),
    /// Bytes.
    Data(Vec<u8>),
}

impl Layer {
    /// The number by which an IP header names this as its protocol.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 41,
            Self::Extension(extension) => extension.kind,
            Self::Fragment(_) => 44,
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Sctp(_) => 132,
            Self::Icmp(_) => 1,
            Self::Icmp6(_) => 58,
            Self::Data(_) => 253,
        }
    }

    /// The EtherType that announces this.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        match self {
            Self::V4(_) => ETHERTYPE_V4,
            Self::V6(_) => ETHERTYPE_V6,
            _ => 0x88b5,
        }
    }
}

/// An IPv4 header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Version: 4.
    pub version: u8,
    /// Header length in words of 4 bytes.
    pub ihl: Option<u8>,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Header and payload, in bytes.
    pub total_length: Option<u16>,
    /// Identification.
    pub id: u16,
    /// The reserved flag.
    pub reserved: bool,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// More fragments.
    pub more_fragments: bool,
    /// Fragment offset in units of 8 bytes.
    pub offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol; that of the next layer.
    pub protocol: Option<u8>,
    /// Header checksum.
    pub checksum: Option<u16>,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Options; a multiple of 4 bytes.
    pub options: Vec<u8>,
}

impl Ipv4 {
    /// A plain header.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            version: 4,
            ihl: None,
            tos: 0,
            total_length: None,
            id: 0x1234,
            reserved: false,
            dont_fragment: true,
            more_fragments: false,
            offset: 0,
            ttl: 57,
            protocol: None,
            checksum: None,
            source,
            destination,
            options: Vec::new(),
        }
    }
}

/// An IPv6 header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Version: 6.
    pub version: u8,
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Bytes after this header.
    pub payload_length: Option<u16>,
    /// Next header; that of the next layer.
    pub next_header: Option<u8>,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Ipv6 {
    /// A plain header.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            version: 6,
            traffic_class: 0,
            flow_label: 0x5_4321,
            payload_length: None,
            next_header: None,
            hop_limit: 57,
            source,
            destination,
        }
    }
}

/// An IPv6 extension header other than the fragment header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Hop-by-hop (0), routing (43), destination options (60), or any other number.
    pub kind: u8,
    /// Next header; that of the next layer.
    pub next_header: Option<u8>,
    /// The length byte: units of 8 bytes, the first not counted.
    pub length: Option<u8>,
    /// What follows the two first bytes; 6 bytes, or 6 and a multiple of 8.
    pub body: Vec<u8>,
}

impl Extension {
    /// A header of `units` x 8 bytes (at least one) that holds padding.
    #[must_use]
    pub fn new(kind: u8, units: usize) -> Self {
        let mut body = vec![0; units * 8 - 2];
        body[0] = 1;
        body[1] = (units * 8 - 4) as u8;
        Self { kind, next_header: None, length: None, body }
    }
}

/// An IPv6 fragment header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Next header; that of the next layer.
    pub next_header: Option<u8>,
    /// The reserved second byte.
    pub reserved: u8,
    /// Offset in units of 8 bytes.
    pub offset: u16,
    /// More fragments.
    pub more_fragments: bool,
    /// Identification.
    pub id: u32,
}

/// A TCP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Header length in words of 4 bytes.
    pub data_offset: Option<u8>,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Checksum.
    pub checksum: Option<u16>,
    /// Options; a multiple of 4 bytes.
    pub options: Vec<u8>,
}

/// A UDP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Header and payload, in bytes.
    pub length: Option<u16>,
    /// Checksum.
    pub checksum: Option<u16>,
}

/// An SCTP common header (RFC 9260 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Verification tag.
    pub tag: u32,
    /// Checksum: nobody looks at it, so it is never computed.
    pub checksum: u32,
}

/// An ICMP or ICMPv6 header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub checksum: Option<u16>,
    /// Bytes 4 to 7.
    pub rest: [u8; 4],
}
