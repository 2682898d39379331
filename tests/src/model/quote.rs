//! Section 7: the packet that an ICMP or ICMPv6 error is about.

use lb_common::{FAMILY_V4, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};

use super::parse::{Packet, address, be16};

/// The packet that an ICMP error is about.
pub(super) struct Quote {
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// Bytes of its IP header.
    pub header: usize,
}

/// Whether an ICMP or ICMPv6 message is an error.
pub(super) fn is_error(packet: &Packet) -> bool {
    match packet.transport_bytes()[0] {
        3 | 11 | 12 if packet.family == FAMILY_V4 => true,
        1..=4 => packet.family != FAMILY_V4,
        _ => false,
    }
}

/// What an error quotes, where it is as much as the page wants, and of TCP, UDP or SCTP.
pub(super) fn quote(packet: &Packet) -> Option<Quote> {
    let quoted = &packet.transport_bytes()[8..];
    if packet.family == FAMILY_V4 { quote_v4(quoted) } else { quote_v6(quoted) }
}

fn quote_v4(quoted: &[u8]) -> Option<Quote> {
    if quoted.len() < 20 {
        return None;
    }
    let header = usize::from(quoted[0] & 15) * 4;
    let protocol = quoted[9];
    let fits = quoted[0] >> 4 == 4
        && header >= 20
        && be16(quoted, 6) & 0x1fff == 0
        && matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP)
        && quoted.len() >= header + 8;
    fits.then(|| Quote {
        source: address(&quoted[12..16]),
        destination: address(&quoted[16..20]),
        protocol,
        source_port: be16(quoted, header),
        destination_port: be16(quoted, header + 2),
        header,
    })
}

fn quote_v6(quoted: &[u8]) -> Option<Quote> {
    if quoted.len() < 48 {
        return None;
    }
    let protocol = quoted[6];
    let fits = quoted[0] >> 4 == 6 && matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP);
    fits.then(|| Quote {
        source: address(&quoted[8..24]),
        destination: address(&quoted[24..40]),
        protocol,
        source_port: be16(quoted, 40),
        destination_port: be16(quoted, 42),
        header: 40,
    })
}
