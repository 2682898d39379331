//! Sections 1 to 3: from a frame to the packet in it.

use lb_common::{
    DropReason, FAMILY_V4, FAMILY_V6, FragmentKey, MAX_EXTENSION_HEADERS, MAX_VLAN_TAGS, PROTOCOL_SCTP, PROTOCOL_TCP,
    PROTOCOL_UDP,
};

use super::{Branch, End, State};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// A packet for a VIP, or of a real's for a client.
pub(super) struct Packet<'a> {
    /// The whole frame.
    pub frame: &'a [u8],
    /// Where the IP header begins.
    pub ip: usize,
    /// Where the transport header begins.
    pub transport: usize,
    /// Where the packet ends; padding follows.
    pub end: usize,
    /// Family of the packet.
    pub family: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// TCP, UDP, SCTP, ICMP or ICMPv6; of a later fragment in IPv6 the fragment header's own number.
    pub protocol: u8,
    /// Has IPv4 options or IPv6 extension headers.
    pub has_options: bool,
    /// What is to be done with it.
    pub content: Content,
}

/// What a packet holds.
pub(super) enum Content {
    /// A later fragment.
    Fragment(FragmentKey),
    /// TCP with these flags, or UDP or SCTP (no flags), perhaps a first fragment.
    Flow { flags: u8, first_fragment: Option<FragmentKey> },
    /// An ICMP or ICMPv6 message.
    Icmp,
}

impl Packet<'_> {
    /// Length of the IP packet.
    pub fn length(&self) -> usize {
        self.end - self.ip
    }

    /// The IP packet.
    pub fn bytes(&self) -> &[u8] {
        &self.frame[self.ip..self.end]
    }

    /// The IP packet from the transport header on.
    pub fn transport_bytes(&self) -> &[u8] {
        &self.frame[self.transport..self.end]
    }
}

/// Whose packets are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Vip,
    Others,
}

/// Sections 1 (from step 4 on) to 3. [`End::NoVip`] for a packet to no VIP.
pub(super) fn parse<'a>(state: &mut State, frame: &'a [u8], link: &Link) -> Result<Packet<'a>, End> {
    if !matches!(link.ethertype, 0x0800 | 0x86dd) {
        state.saw(Branch::EtherTypeOther);
        return Err(End::Pass);
    }
    match link.tags {
        1 => state.saw(Branch::OneTag),
        2 => state.saw(Branch::TwoTags),
        _ => {}
    }
    parse_ip(state, frame, link, To::Vip)
}

/// Sections 2 and 3 of a frame that is not known to be for a VIP. Where they end its way, nothing has been counted.
pub(super) fn parse_for_others<'a>(state: &mut State, frame: &'a [u8], link: &Link) -> Option<Packet<'a>> {
    let branches = state.branches;
    let packet = parse_ip(state, frame, link, To::Others);
    state.branches = branches;
    packet.ok()
}

fn parse_ip<'a>(state: &mut State, frame: &'a [u8], link: &Link, to: To) -> Result<Packet<'a>, End> {
    match link.ethertype {
        0x0800 => parse_v4(state, frame, link.end, to),
        0x86dd => parse_v6(state, frame, link.end, to),
        _ => Err(End::Pass),
    }
}

/// An Ethernet header.
pub(super) struct Link {
    /// Where it ends, tags counted.
    pub end: usize,
    tags: usize,
    /// The last one: what follows.
    pub ethertype: u16,
}

/// Section 1, steps 1 and 2.
pub(super) fn link(state: &mut State, frame: &[u8]) -> Result<Link, End> {
    if frame.len() < 14 {
        state.saw(Branch::EthernetShort);
        return Err(End::Pass);
    }
    let (mut end, mut tags) = (14, 0);
    loop {
        let ethertype = be16(frame, end - 2);
        match ethertype {
            0x8100 | 0x88a8 if tags == MAX_VLAN_TAGS => {
                state.saw(Branch::TagThird);
                return Err(End::Pass);
            }
            0x8100 | 0x88a8 if end + 4 > frame.len() => {
                state.saw(Branch::TagCut);
                return Err(End::Pass);
            }
            0x8100 | 0x88a8 => {
                tags += 1;
                end += 4;
            }
            _ => return Ok(Link { end, tags, ethertype }),
        }
    }
}

/// The destination of a packet for a VIP, and its family.
pub(super) fn destination(frame: &[u8], link: &Link) -> Option<([u8; 16], u8)> {
    let left = &frame[link.end..];
    match link.ethertype {
        0x0800 => Some((address(left.get(16..20)?), FAMILY_V4)),
        _ => Some((address(left.get(24..40)?), FAMILY_V6)),
    }
}

/// Section 2.
fn parse_v4<'a>(state: &mut State, frame: &'a [u8], ip: usize, to: To) -> Result<Packet<'a>, End> {
    let left = &frame[ip..];
    if left.len() < 20 {
        state.saw(Branch::V4Short);
        return Err(End::Pass);
    }
    if left[0] >> 4 != 4 {
        state.saw(Branch::V4Version);
        return Err(End::Pass);
    }
    let source = address(&left[12..16]);
    let destination = address(&left[16..20]);
    if to == To::Vip && !state.is_vip(destination, FAMILY_V4) {
        state.saw(Branch::V4NoVip);
        return Err(End::NoVip);
    }
    let header = usize::from(left[0] & 15) * 4;
    let total = usize::from(be16(left, 2));
    if header < 20 {
        state.saw(Branch::V4Ihl);
        return Err(End::Drop(DropReason::Malformed));
    }
    if total < header {
        state.saw(Branch::V4TotalLength);
        return Err(End::Drop(DropReason::Malformed));
    }
    if total > left.len() {
        state.saw(Branch::V4Truncated);
        return Err(End::Drop(DropReason::Truncated));
    }
    if total < left.len() {
        state.saw(Branch::V4Padded);
    }
    if header > 20 {
        state.saw(Branch::V4Options);
    }
    let protocol = left[9];
    let mut packet = Packet {
        frame,
        ip,
        transport: ip + header,
        end: ip + total,
        family: FAMILY_V4,
        source,
        destination,
        traffic_class: left[1],
        protocol,
        has_options: header > 20,
        content: Content::Icmp,
    };
    if !matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP | ICMP) {
        state.saw(Branch::V4ProtocolOther);
        return Err(End::PassForVip);
    }
    let fragment_bits = be16(left, 6);
    let offset = fragment_bits & 0x1fff;
    let more = fragment_bits & 0x2000 != 0;
    let key =
        FragmentKey { source, destination, id: u32::from(be16(left, 4)), protocol, family: FAMILY_V4, reserved: 0 };
    if offset != 0 {
        if protocol == ICMP {
            state.saw(Branch::V4LaterIcmp);
            return Err(End::PassForVip);
        }
        packet.content = Content::Fragment(key);
        return Ok(packet);
    }
    if more && protocol == ICMP {
        state.saw(Branch::V4FirstIcmp);
        return Err(End::PassForVip);
    }
    finish(state, packet, more.then_some(key), Branch::V4TransportShort)
}

/// Section 3.
fn parse_v6<'a>(state: &mut State, frame: &'a [u8], ip: usize, to: To) -> Result<Packet<'a>, End> {
    let left = &frame[ip..];
    if left.len() < 40 {
        state.saw(Branch::V6Short);
        return Err(End::Pass);
    }
    if left[0] >> 4 != 6 {
        state.saw(Branch::V6Version);
        return Err(End::Pass);
    }
    let source = address(&left[8..24]);
    let destination = address(&left[24..40]);
    if to == To::Vip && !state.is_vip(destination, FAMILY_V6) {
        state.saw(Branch::V6NoVip);
        return Err(End::NoVip);
    }
    let length = 40 + usize::from(be16(left, 4));
    if length > left.len() {
        state.saw(Branch::V6Truncated);
        return Err(End::Drop(DropReason::Truncated));
    }
    if length < left.len() {
        state.saw(Branch::V6Padded);
    }
    let mut packet = Packet {
        frame,
        ip,
        transport: ip + 40,
        end: ip + length,
        family: FAMILY_V6,
        source,
        destination,
        traffic_class: (left[0] << 4) | (left[1] >> 4),
        protocol: left[6],
        has_options: false,
        content: Content::Icmp,
    };
    match walk(state, &mut packet)? {
        Walked::Later(key) => {
            packet.content = Content::Fragment(key);
            Ok(packet)
        }
        Walked::Transport(first) => {
            if !matches!(packet.protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP | ICMPV6) {
                state.saw(Branch::V6ProtocolOther);
                return Err(End::PassForVip);
            }
            if first.is_some() && packet.protocol == ICMPV6 {
                state.saw(Branch::V6FirstIcmp);
                return Err(End::PassForVip);
            }
            finish(state, packet, first, Branch::V6TransportShort)
        }
    }
}

enum Walked {
    /// A later fragment.
    Later(FragmentKey),
    /// At the transport header; of a first fragment, its key.
    Transport(Option<FragmentKey>),
}

/// Section 3, steps 3 and 4: walks the extension headers. Moves `transport` and `protocol`.
fn walk(state: &mut State, packet: &mut Packet) -> Result<Walked, End> {
    let mut walked = 0;
    let mut fragment_seen = false;
    let mut first = None;
    while matches!(packet.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
        if walked == MAX_EXTENSION_HEADERS {
            state.saw(Branch::V6ExtensionsTooMany);
            return Err(End::Drop(DropReason::ExtensionHeaders));
        }
        let kind = packet.protocol;
        let rest = packet.transport_bytes();
        let length = match rest.len() {
            0..8 => usize::MAX,
            _ if kind == FRAGMENT => 8,
            _ => (usize::from(rest[1]) + 1) * 8,
        };
        if length > rest.len() {
            state.saw(Branch::V6ExtensionCut);
            return Err(End::Drop(DropReason::Malformed));
        }
        if kind == FRAGMENT && fragment_seen {
            state.saw(Branch::V6FragmentTwice);
            return Err(End::Drop(DropReason::Malformed));
        }
        let next = rest[0];
        if kind == FRAGMENT {
            fragment_seen = true;
            let offset_and_flags = be16(rest, 2);
            let key = FragmentKey {
                source: packet.source,
                destination: packet.destination,
                id: u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]),
                protocol: 0,
                family: FAMILY_V6,
                reserved: 0,
            };
            if offset_and_flags >> 3 != 0 {
                return later(state, next, key);
            }
            if offset_and_flags & 1 != 0 {
                first = Some(key);
            } else {
                state.saw(Branch::V6Atomic);
            }
        }
        state.saw(Branch::V6Extension);
        walked += 1;
        packet.has_options = true;
        packet.protocol = next;
        packet.transport += length;
    }
    Ok(Walked::Transport(first))
}

fn later(state: &mut State, next: u8, key: FragmentKey) -> Result<Walked, End> {
    match next {
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP => Ok(Walked::Later(key)),
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS => Ok(Walked::Later(key)),
        _ => {
            state.saw(Branch::V6LaterOther);
            Err(End::PassForVip)
        }
    }
}

/// Sections 2 and 3, step 6, and what the transport header says.
fn finish<'a>(
    state: &mut State,
    mut packet: Packet<'a>,
    first_fragment: Option<FragmentKey>,
    too_short: Branch,
) -> Result<Packet<'a>, End> {
    let needed = match packet.protocol {
        PROTOCOL_TCP => 20,
        PROTOCOL_SCTP => 12,
        _ => 8,
    };
    let transport = packet.transport_bytes();
    if transport.len() < needed {
        state.saw(too_short);
        return Err(End::Drop(DropReason::Malformed));
    }
    packet.content = match packet.protocol {
        PROTOCOL_TCP => Content::Flow { flags: transport[13], first_fragment },
        PROTOCOL_UDP | PROTOCOL_SCTP => Content::Flow { flags: 0, first_fragment },
        _ => Content::Icmp,
    };
    Ok(packet)
}

/// The 16 bits at `at`, in network order.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// An address as the maps hold it: an IPv4 address is followed by zeros.
pub(super) fn address(bytes: &[u8]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..bytes.len()].copy_from_slice(bytes);
    address
}
