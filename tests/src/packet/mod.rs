//! Frames for tests: built field by field ([`Packet`]), and shown field by field ([`show`]) where a test fails.

mod build;
mod checksum;
mod layers;
mod show;

pub use build::Packet;
pub use checksum::{checksum, checksum_of_parts, pseudo_v4, pseudo_v6};
pub use layers::{Extension, FragmentHeader, Icmp, Ipv4, Ipv6, Layer, Sctp, Tag, Tcp, Udp};
pub use show::{show, show_difference};

/// EtherType of IPv4.
pub const ETHERTYPE_V4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_V6: u16 = 0x86dd;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of an 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of an 802.1ad service tag.
pub const ETHERTYPE_QINQ: u16 = 0x88a8;

/// TCP flag FIN.
pub const FIN: u8 = 0x01;
/// TCP flag SYN.
pub const SYN: u8 = 0x02;
/// TCP flag RST.
pub const RST: u8 = 0x04;
/// TCP flag PSH.
pub const PSH: u8 = 0x08;
/// TCP flag ACK.
pub const ACK: u8 = 0x10;

/// Source MAC of a built frame: the router that the client's packets come by.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Destination MAC of a built frame: the load balancer.
pub const BALANCER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
