//! Section 9: the answer to a packet that no real is there for.

use std::net::Ipv4Addr;

use lb_common::{DropReason, Event, FALLBACK_RESET, FAMILY_V4, PROTOCOL_TCP};

use super::decide::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use super::parse::Packet;
use super::send::{Kind, ipv4_header, ipv6_header, link_header};
use super::{Branch, End, Outcome, State, Verdict};
use crate::packet::{checksum_of_parts, pseudo_v4, pseudo_v6};

impl State {
    /// Section 5, step 1, of real id 0.
    pub(super) fn no_real(&mut self, packet: &Packet, service: u32, kind: Kind) -> Result<Outcome, End> {
        if self.options(service).fallback != FALLBACK_RESET {
            self.saw(Branch::RealNone);
            return Err(End::Drop(DropReason::NoReal));
        }
        let (flags, is_fragment) = match kind {
            Kind::Flow { flags, first_fragment } => (flags, first_fragment.is_some()),
            Kind::LaterFragment => return self.no_answer(Branch::ResetFragment),
            Kind::IcmpError => return self.no_answer(Branch::ResetIcmpError),
        };
        if packet.protocol != PROTOCOL_TCP {
            return self.no_answer(Branch::ResetNotTcp);
        }
        if flags & TCP_RST != 0 {
            return self.no_answer(Branch::ResetOfRst);
        }
        let outcome = self.answer_reset(packet, flags)?;
        if is_fragment {
            self.saw(Branch::ResetFirstFragment);
        }
        Ok(outcome)
    }

    /// Step 1.
    fn no_answer(&mut self, branch: Branch) -> Result<Outcome, End> {
        self.saw(branch);
        Err(End::Drop(DropReason::NoReal))
    }

    /// Steps 2 and 3.
    fn answer_reset(&mut self, packet: &Packet, flags: u8) -> Result<Outcome, End> {
        let segment = packet.transport_bytes();
        let header = usize::from(segment[12] >> 4) * 4;
        if header < 20 || header > segment.len() {
            self.saw(if header < 20 { Branch::ResetOffsetShort } else { Branch::ResetOffsetLong });
            return Err(End::Drop(DropReason::Malformed));
        }
        self.saw(if flags & TCP_ACK != 0 { Branch::ResetOfAck } else { Branch::ResetWithoutAck });
        let tcp = if flags & TCP_ACK != 0 {
            reset(segment, be32(segment, 8), 0, TCP_RST)
        } else {
            let bits = u32::from(flags & TCP_SYN != 0) + u32::from(flags & TCP_FIN != 0);
            let taken = (segment.len() - header) as u32 + bits;
            reset(segment, 0, be32(segment, 4).wrapping_add(taken), TCP_RST | TCP_ACK)
        };
        let mut frame = link_header(packet, &packet.frame[6..12], &packet.frame[0..6]);
        frame.extend(self.reset_packet(packet, tcp));
        self.event(Event::ResetAnswered);
        Ok(Outcome { verdict: Verdict::Tx, frame, redirect: None })
    }

    fn reset_packet(&mut self, packet: &Packet, mut tcp: Vec<u8>) -> Vec<u8> {
        const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
        let (header, pseudo) = if packet.family == FAMILY_V4 {
            self.saw(Branch::ResetV4);
            let (vip, client) = (&packet.destination[..4], &packet.source[..4]);
            let header = ipv4_header(0, 40, DONT_FRAGMENT, PROTOCOL_TCP, vip, client);
            (header, pseudo_v4(first_four(vip), first_four(client), PROTOCOL_TCP, tcp.len()))
        } else {
            self.saw(Branch::ResetV6);
            let (vip, client) = (packet.destination, packet.source);
            let header = ipv6_header(0, 20, PROTOCOL_TCP, &vip, &client);
            (header, pseudo_v6(vip.into(), client.into(), PROTOCOL_TCP, tcp.len()))
        };
        let sum = checksum_of_parts(&[&pseudo, &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        [header, tcp].concat()
    }
}

/// The TCP header of the answer to a segment, without its checksum.
fn reset(segment: &[u8], sequence: u32, acknowledgement: u32, flags: u8) -> Vec<u8> {
    let mut tcp = [&segment[2..4], &segment[0..2]].concat();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledgement.to_be_bytes());
    tcp.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
    tcp
}

fn first_four(address: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(address[0], address[1], address[2], address[3])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
