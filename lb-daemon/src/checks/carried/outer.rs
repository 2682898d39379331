//! The outer header of a packet in a tunnel, as the XDP program writes it (docs/reference/forwarding.md, section 5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};

use super::super::probe::Failure;

const V4_LENGTH: usize = 20;
const V6_LENGTH: usize = 40;
const HOP_LIMIT: u8 = lb_common::DEFAULT_TTL;
const PROTOCOL_IPV4: u8 = 4;
const PROTOCOL_IPV6: u8 = 41;

/// Between which addresses a tunnel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outer {
    /// Over IPv4.
    V4 {
        /// This host.
        source: Ipv4Addr,
        /// The real.
        real: Ipv4Addr,
    },
    /// Over IPv6.
    V6 {
        /// This host.
        source: Ipv6Addr,
        /// The real.
        real: Ipv6Addr,
    },
}

impl Outer {
    /// A tunnel to a real.
    pub(super) fn new(source: IpAddr, real: IpAddr) -> Result<Self, Failure> {
        match (source, real) {
            (IpAddr::V4(source), IpAddr::V4(real)) if !source.is_unspecified() => Ok(Self::V4 { source, real }),
            (IpAddr::V6(source), IpAddr::V6(real)) if !source.is_unspecified() => Ok(Self::V6 { source, real }),
            _ => Err(Failure::new(format_args!("this host has no address for a tunnel to {real}"))),
        }
    }

    /// Bytes of the header.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::V4 { .. } => V4_LENGTH,
            Self::V6 { .. } => V6_LENGTH,
        }
    }

    /// Whether the tunnel goes over IPv4.
    pub(super) fn is_v4(&self) -> bool {
        matches!(self, Self::V4 { .. })
    }

    /// The IP packet `inner` with the header before it.
    pub(super) fn wrap(&self, inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; self.length()];
        packet.extend_from_slice(inner);
        let inner_v4 = inner.first().is_some_and(|first| first >> 4 == 4);
        let next_header = IpProtocol::from(if inner_v4 { PROTOCOL_IPV4 } else { PROTOCOL_IPV6 });
        match *self {
            Self::V4 { source: src_addr, real: dst_addr } => {
                let header =
                    Ipv4Repr { src_addr, dst_addr, next_header, payload_len: inner.len(), hop_limit: HOP_LIMIT };
                header.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &ChecksumCapabilities::default());
            }
            Self::V6 { source: src_addr, real: dst_addr } => {
                let header =
                    Ipv6Repr { src_addr, dst_addr, next_header, payload_len: inner.len(), hop_limit: HOP_LIMIT };
                header.emit(&mut Ipv6Packet::new_unchecked(&mut packet));
            }
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(source: &str, real: &str) -> Outer {
        Outer::new(source.parse().unwrap(), real.parse().unwrap()).unwrap()
    }

    #[test]
    fn ipv4_is_carried_in_ipv4() {
        let packet = outer("192.0.2.2", "192.0.2.21").wrap(&[0x45, 1, 2]);
        // 0x4500 + 0x0017 + 0x4000 + 0x4004 + 0xc000 + 0x0202 + 0xc000 + 0x0215 = 0x24932, so the checksum is !0x4934.
        let header = [0x45, 0, 0, 23, 0, 0, 0x40, 0, 64, 4, 0xb6, 0xcb, 192, 0, 2, 2, 192, 0, 2, 21];
        assert_eq!(packet, [&header[..], &[0x45, 1, 2]].concat());
    }

    #[test]
    fn either_family_is_carried_in_ipv6() {
        for (first, next_header) in [(0x45, 4), (0x60, 41)] {
            let packet = outer("2001:db8::2", "2001:db8::15").wrap(&[first, 1]);
            assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 2, next_header, 64]);
            assert_eq!(packet[8..24], "2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
            assert_eq!(packet[24..40], "2001:db8::15".parse::<Ipv6Addr>().unwrap().octets());
            assert_eq!(packet[40..], [first, 1]);
        }
    }

    #[test]
    fn tunnel_needs_a_source_of_its_family() {
        for (source, real) in [("0.0.0.0", "192.0.2.21"), ("192.0.2.2", "2001:db8::15"), ("::", "2001:db8::15")] {
            assert!(Outer::new(source.parse().unwrap(), real.parse().unwrap()).is_err());
        }
    }
}
