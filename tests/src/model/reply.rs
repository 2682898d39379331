//! Section 12, steps 2 to 4: a packet of a real's, to the client.

use lb_common::{
    DropReason, Event, FAMILY_V4, FragmentValue, MODE_NAT, NAT_REPLIES, NAT_REPLY_RANGES, NO_REAL, ServiceKey,
    WANTED_NEIGHBOURS_SIZE, WantedNeighbour,
};

use super::parse::{Content, Link, Packet, be16, parse_for_others};
use super::quote::{is_error, quote};
use super::send::{Kind, link_header};
use super::translate::{Becomes, Side};
use super::ways::{Answer, Hop, Question};
use super::{Branch, End, Outcome, State, Verdict};

/// Bytes that a record takes in its ring buffer: the kernel puts a header before each.
const RECORD: u32 = 8 + size_of::<WantedNeighbour>() as u32;

/// A packet that is a reply.
pub(super) struct Reply<'a> {
    packet: Packet<'a>,
    service: u32,
    kind: Kind,
}

impl State {
    /// A packet for no VIP.
    pub(super) fn elsewhere(&mut self, frame: &[u8], link: &Link, ingress: u32) -> Result<Outcome, End> {
        let Some(reply) = self.reply(frame, link) else { return Err(End::Pass) };
        let hop = self.way(&reply, ingress)?;
        Ok(self.send_to_client(&reply, hop, ingress))
    }

    /// Step 2. The packet is known to be for no VIP.
    pub(super) fn reply<'a>(&mut self, frame: &'a [u8], link: &Link) -> Option<Reply<'a>> {
        if self.nat.flags & NAT_REPLIES == 0 {
            self.saw(Branch::RepliesOff);
            return None;
        }
        let Some(packet) = parse_for_others(self, frame, link) else {
            self.saw(Branch::ReplyBroken);
            return None;
        };
        let (service, kind) = match packet.content {
            Content::Flow { flags, first_fragment } => {
                let port = be16(packet.transport_bytes(), 0);
                let service = self.replies_from(packet.source, port, packet.protocol, packet.family)?;
                (service, Kind::Flow { flags, first_fragment })
            }
            Content::Fragment(key) => {
                let Some(first) = self.effects.fragments.get(&key) else {
                    self.saw(Branch::ReplyFragmentUnknown);
                    return None;
                };
                if first.mode != MODE_NAT {
                    self.saw(Branch::ReplyFragmentOfOther);
                    return None;
                }
                (first.service, Kind::LaterFragment)
            }
            Content::Icmp => (self.errors_from(&packet)?, Kind::IcmpError),
        };
        Some(Reply { packet, service, kind })
    }

    /// The service that an ICMP error about one of its packets to a real belongs to.
    fn errors_from(&mut self, packet: &Packet) -> Option<u32> {
        if !is_error(packet) {
            self.saw(Branch::ReplyIcmpOther);
            return None;
        }
        let Some(quote) = quote(packet) else {
            self.saw(Branch::ReplyQuoteBad);
            return None;
        };
        if quote.source != packet.destination {
            self.saw(Branch::ReplyQuoteSource);
            return None;
        }
        self.replies_from(quote.destination, quote.destination_port, quote.protocol, packet.family)
    }

    /// The service whose replies come from a real's port.
    fn replies_from(&mut self, real: [u8; 16], port: u16, protocol: u8, family: u8) -> Option<u32> {
        let exact = ServiceKey { vip: real, port, protocol, family };
        let mut found = self.nat_replies.get(&exact).copied();
        if found.is_some() {
            self.saw(Branch::ReplyOfPort);
        } else if self.nat.flags & NAT_REPLY_RANGES != 0 {
            found = self.nat_replies.get(&ServiceKey { port: 0, ..exact }).copied();
            self.saw(if found.is_some() { Branch::ReplyOfRange } else { Branch::ReplyMiss });
        } else {
            self.saw(Branch::ReplyMissNoRanges);
        }
        let row = found?;
        if !(row.first_port..=row.last_port).contains(&port) {
            self.saw(Branch::ReplyPortOutside);
            return None;
        }
        Some(row.service)
    }

    /// Step 3.
    pub(super) fn way(&mut self, reply: &Reply, ingress: u32) -> Result<Hop, End> {
        let packet = &reply.packet;
        let question = Question {
            family: packet.family,
            protocol: packet.protocol,
            class: packet.traffic_class,
            source: self.options(reply.service).vip,
            destination: packet.destination,
            length: packet.length(),
            ingress,
        };
        let (branch, end) = match self.ways.ask(&question) {
            Answer::Success(hop) => {
                self.saw(Branch::WayFound);
                return Ok(hop);
            }
            Answer::NotForwarded => (Branch::WayNotForwarded, End::Pass),
            Answer::ForwardingDisabled => (Branch::WayForwardingDisabled, End::Drop(DropReason::NotForwarding)),
            Answer::NoNeighbour(wanted) => (self.want(wanted), End::Drop(DropReason::NoNeighbour)),
            Answer::TooLong => (Branch::WayTooLong, End::Drop(DropReason::TooBig)),
            Answer::Refused => (Branch::WayRefused, End::Drop(DropReason::NoRoute)),
        };
        self.saw(branch);
        Err(end)
    }

    fn want(&mut self, wanted: WantedNeighbour) -> Branch {
        if (self.wanted.len() as u32 + 1) * RECORD >= WANTED_NEIGHBOURS_SIZE {
            return Branch::WayNoNeighbourNoRoom;
        }
        self.wanted.push(wanted);
        Branch::WayNoNeighbour
    }

    /// Step 4.
    fn send_to_client(&mut self, reply: &Reply, hop: Hop, ingress: u32) -> Outcome {
        let packet = &reply.packet;
        if let Kind::Flow { first_fragment: Some(key), .. } = reply.kind {
            self.saw(Branch::ReplyFirstFragment);
            let entry = FragmentValue { service: reply.service, real: NO_REAL, mode: MODE_NAT, reserved: 0 };
            self.effects.fragments.insert(key, entry);
        }
        let options = self.options(reply.service);
        let becomes = Becomes { side: Side::Source, address: options.vip, port: options.vip_port };
        let translated = self.translated(packet, reply.kind, &becomes);
        let mut frame = link_header(packet, &hop.next_hop_mac, &hop.source_mac);
        frame.extend(&translated[packet.ip..]);
        self.event(Event::ReplyForwarded);
        self.saw_reply(reply, options.vip_port);
        let redirect = (hop.ifindex != ingress).then_some(hop.ifindex);
        self.saw(if redirect.is_some() { Branch::ReplyOtherInterface } else { Branch::ReplySameInterface });
        let verdict = if redirect.is_some() { Verdict::Redirect } else { Verdict::Tx };
        Outcome { verdict, frame, redirect }
    }

    fn saw_reply(&mut self, reply: &Reply, vip_port: u16) {
        let v4 = reply.packet.family == FAMILY_V4;
        self.saw(match reply.kind {
            Kind::Flow { .. } if v4 => Branch::ReplyV4,
            Kind::Flow { .. } => Branch::ReplyV6,
            Kind::LaterFragment => Branch::ReplyLaterFragment,
            Kind::IcmpError if v4 => Branch::ReplyErrorV4,
            Kind::IcmpError => Branch::ReplyErrorV6,
        });
        if !matches!(reply.kind, Kind::LaterFragment) {
            self.saw(if vip_port == 0 { Branch::ReplyPortKept } else { Branch::ReplyPortReplaced });
        }
    }
}
