//! Section 12, "Checksums": a packet whose source or destination becomes another.

use lb_common::{FAMILY_V4, PROTOCOL_TCP, PROTOCOL_UDP};

use super::parse::{Packet, be16};
use super::quote::{Quote, quote};
use super::send::Kind;
use super::{Branch, State};

/// Which address and port of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// What they become.
pub(super) struct Becomes {
    pub side: Side,
    pub address: [u8; 16],
    /// 0: the packet's own.
    pub port: u16,
}

/// 16-bit words before and after.
type Words = Vec<(u16, u16)>;

impl State {
    /// The packet as it becomes, with its Ethernet header as it was.
    pub(super) fn translated(&mut self, packet: &Packet, kind: Kind, becomes: &Becomes) -> Vec<u8> {
        let mut frame = packet.frame.to_vec();
        let address = replace_address(&mut frame, packet.family, packet.ip, becomes.side, &becomes.address);
        match kind {
            Kind::Flow { .. } => {
                let mut words = address.clone();
                words.extend(replace_port(&mut frame, packet.transport, becomes.side, becomes.port));
                self.update_transport(&mut frame, packet.transport, packet.protocol, &words);
            }
            Kind::LaterFragment => {}
            Kind::IcmpError => {
                let mut words = quote(packet)
                    .map_or_else(Vec::new, |quote| self.translate_quote(&mut frame, packet, &quote, becomes));
                if packet.family != FAMILY_V4 {
                    words.extend(&address);
                }
                update(&mut frame, packet.transport + 2, &words);
            }
        }
        if packet.family == FAMILY_V4 {
            update(&mut frame, packet.ip + 10, &address);
        }
        frame
    }

    /// The quoted packet went the other way. Returns the words of it that have changed.
    fn translate_quote(&mut self, frame: &mut [u8], packet: &Packet, quote: &Quote, becomes: &Becomes) -> Words {
        let (ip, transport) = (packet.transport + 8, packet.transport + 8 + quote.header);
        let side = if becomes.side == Side::Source { Side::Destination } else { Side::Source };
        let address = replace_address(frame, packet.family, ip, side, &becomes.address);
        let mut changed = address.clone();
        if packet.family == FAMILY_V4 {
            changed.push(update(frame, ip + 10, &address));
        }
        let port = replace_port(frame, transport, side, becomes.port);
        changed.extend(&port);
        if transport + checksum_at(quote.protocol) + 2 > packet.end {
            self.saw(Branch::QuoteWithoutChecksum);
            return changed;
        }
        self.saw(Branch::QuoteWithChecksum);
        let words = [address, port].concat();
        changed.extend(self.update_transport(frame, transport, quote.protocol, &words));
        changed
    }

    fn update_transport(&mut self, frame: &mut [u8], transport: usize, protocol: u8, words: &Words) -> Words {
        let at = transport + checksum_at(protocol);
        let before = be16(frame, at);
        if protocol == PROTOCOL_UDP && before == 0 {
            self.saw(Branch::UdpWithoutChecksum);
            return Vec::new();
        }
        let (before, mut after) = update(frame, at, words);
        if protocol == PROTOCOL_UDP && after == 0 {
            self.saw(Branch::UdpChecksumZero);
            after = 0xffff;
            frame[at..at + 2].copy_from_slice(&after.to_be_bytes());
        }
        vec![(before, after)]
    }
}

/// Where a transport header has its checksum.
fn checksum_at(protocol: u8) -> usize {
    if protocol == PROTOCOL_TCP { 16 } else { 6 }
}

fn replace_address(frame: &mut [u8], family: u8, ip: usize, side: Side, address: &[u8; 16]) -> Words {
    let (first, length) = if family == FAMILY_V4 { (12, 4) } else { (8, 16) };
    let at = if side == Side::Source { ip + first } else { ip + first + length };
    replace(frame, at, &address[..length])
}

fn replace_port(frame: &mut [u8], transport: usize, side: Side, port: u16) -> Words {
    let at = if side == Side::Source { transport } else { transport + 2 };
    let port = if port == 0 { be16(frame, at) } else { port };
    replace(frame, at, &port.to_be_bytes())
}

fn replace(frame: &mut [u8], at: usize, with: &[u8]) -> Words {
    let words = (0..with.len()).step_by(2).map(|word| (be16(frame, at + word), be16(with, word))).collect();
    frame[at..at + with.len()].copy_from_slice(with);
    words
}

/// Updates the checksum at `at`. Returns it as it was and as it is.
fn update(frame: &mut [u8], at: usize, words: &[(u16, u16)]) -> (u16, u16) {
    let before = be16(frame, at);
    let after = updated(before, words);
    frame[at..at + 2].copy_from_slice(&after.to_be_bytes());
    (before, after)
}

/// RFC 1624 equation 3: HC' = ~(~HC + sum of ~m + sum of m').
pub(super) fn updated(sum: u16, words: &[(u16, u16)]) -> u16 {
    let mut total = u32::from(!sum);
    for (before, after) in words {
        total += u32::from(!before) + u32::from(*after);
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::checksum;

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: the sum of the rest is 0xcd7a - 0x5555, and 0x5555 becomes 0x3285.
        assert_eq!(updated(0xdd2f, &[(0x5555, 0x3285)]), 0x0000);
    }

    #[test]
    fn an_updated_checksum_is_that_of_the_new_bytes() {
        let mut bytes = vec![0x45, 0x10, 0, 60, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9];
        let sum = checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let words = replace_address(&mut bytes, FAMILY_V4, 0, Side::Source, &{
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[198, 51, 100, 7]);
            address
        });
        assert_eq!(update(&mut bytes, 10, &words).0, sum);
        assert_eq!(bytes[12..16], [198, 51, 100, 7]);
        assert_eq!(checksum(&bytes), 0);
    }
}
