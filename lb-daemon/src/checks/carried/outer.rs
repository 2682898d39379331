//! The outer headers of a packet in a tunnel, as the XDP program writes it (docs/reference/forwarding.md, section 5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};

use super::super::probe::Failure;

const V4_LENGTH: usize = 20;
const V6_LENGTH: usize = 40;
const HOP_LIMIT: u8 = lb_common::DEFAULT_TTL;
const PROTOCOL_IPV4: u8 = 4;
const PROTOCOL_IPV6: u8 = 41;
const UDP_LENGTH: usize = 8;

/// What is put before a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outer {
    ends: Ends,
    /// In mode `gue`: the real's port.
    gue_port: Option<u16>,
}

/// Between which addresses a tunnel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
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
    /// A tunnel to a real; with a port one by GUE.
    pub(super) fn new(source: IpAddr, real: IpAddr, gue_port: Option<u16>) -> Result<Self, Failure> {
        let ends = match (source, real) {
            (IpAddr::V4(source), IpAddr::V4(real)) if !source.is_unspecified() => Ends::V4 { source, real },
            (IpAddr::V6(source), IpAddr::V6(real)) if !source.is_unspecified() => Ends::V6 { source, real },
            _ => return Err(Failure::new(format_args!("this host has no address for a tunnel to {real}"))),
        };
        Ok(Self { ends, gue_port })
    }

    /// Bytes of the headers.
    pub(super) fn length(&self) -> usize {
        self.ip_length() + if self.gue_port.is_some() { UDP_LENGTH } else { 0 }
    }

    fn ip_length(&self) -> usize {
        if self.is_v4() { V4_LENGTH } else { V6_LENGTH }
    }

    /// Whether the tunnel goes over IPv4.
    pub(super) fn is_v4(&self) -> bool {
        matches!(self.ends, Ends::V4 { .. })
    }

    /// The IP packet `inner` with the headers before it.
    pub(super) fn wrap(&self, inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; self.ip_length()];
        packet.extend(self.gue_port.into_iter().flat_map(|port| udp_header(port, inner.len())));
        packet.extend_from_slice(inner);
        let inner_v4 = inner.first().is_some_and(|first| first >> 4 == 4);
        let next_header = IpProtocol::from(match (self.gue_port, inner_v4) {
            (Some(_), _) => lb_common::PROTOCOL_UDP,
            (None, true) => PROTOCOL_IPV4,
            (None, false) => PROTOCOL_IPV6,
        });
        let payload_len = packet.len() - self.ip_length();
        match self.ends {
            Ends::V4 { source: src_addr, real: dst_addr } => {
                let header = Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit: HOP_LIMIT };
                header.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &ChecksumCapabilities::default());
            }
            Ends::V6 { source: src_addr, real: dst_addr } => {
                let header = Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit: HOP_LIMIT };
                header.emit(&mut Ipv6Packet::new_unchecked(&mut packet));
            }
        }
        packet
    }
}

/// The UDP header of a tunnel by GUE, without a checksum. Of the source port a probe needs no more than that it is one of the range.
fn udp_header(port: u16, inner: usize) -> Vec<u8> {
    // Packets of a probe fit the MTU, and so a length.
    let length = (UDP_LENGTH + inner) as u16;
    [lb_common::hash::gue_source_port(0), port, length, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(source: &str, real: &str) -> Outer {
        Outer::new(source.parse().unwrap(), real.parse().unwrap(), None).unwrap()
    }

    fn gue(source: &str, real: &str) -> Outer {
        Outer { gue_port: Some(6_080), ..outer(source, real) }
    }

    #[test]
    fn gue_has_a_udp_header_between_the_two() {
        let packet = gue("192.0.2.2", "192.0.2.21").wrap(&[0x45, 1, 2]);
        assert_eq!(packet.len(), 31);
        // 8 bytes more and protocol 17 in place of 4: the checksum is less by 21.
        let header = [0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xb6, 192, 0, 2, 2, 192, 0, 2, 21];
        assert_eq!(packet[..20], header);
        assert_eq!(packet[20..], [0xc0, 0, 0x17, 0xc0, 0, 11, 0, 0, 0x45, 1, 2]);
        for first in [0x45, 0x60] {
            let packet = gue("2001:db8::2", "2001:db8::15").wrap(&[first, 1]);
            assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 10, 17, 64]);
            assert_eq!(packet[40..], [0xc0, 0, 0x17, 0xc0, 0, 10, 0, 0, first, 1]);
        }
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
            assert!(Outer::new(source.parse().unwrap(), real.parse().unwrap(), None).is_err());
        }
    }
}
