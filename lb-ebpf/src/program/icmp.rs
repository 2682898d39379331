//! ICMP and ICMPv6 for a VIP (docs/reference/forwarding.md section 7).

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{DEFAULT_TTL, DropReason, Event, FAMILY_V4, FAMILY_V6, FlowKey, SLOT_CLEAN, flow_hash, slot_of};

use super::{
    count::{drop, ended},
    exception::unclaimed,
    flags, flow, forward,
    frame::Frame,
    header::{IPV4_OFFSET, IcmpHeader, Ipv4Header, Ipv6Header, address4, address16, fold, swap_macs},
    maps::{self, RINGS},
    packet::{Kind, Packet, has_ports},
    service,
};

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const FIRST_ERROR_V6: u8 = 1;
const LAST_ERROR_V6: u8 = 4;
/// The quote begins after the ICMP header.
const QUOTE_AT: u32 = size_of::<IcmpHeader>() as u32;
/// Bytes of a quoted transport header that every sender quotes: the ports are in them.
const QUOTED_TRANSPORT: u32 = 8;

#[inline(always)]
pub fn echo_request(v4: bool) -> u8 {
    if v4 { ECHO_REQUEST } else { ECHO_REQUEST_V6 }
}

/// The types that report an error about a packet that the receiver sent.
#[inline(always)]
pub fn is_error(v4: bool, kind: u8) -> bool {
    if v4 {
        kind == UNREACHABLE || kind == TIME_EXCEEDED || kind == PARAMETER_PROBLEM
    } else {
        (FIRST_ERROR_V6..=LAST_ERROR_V6).contains(&kind)
    }
}

/// Turns an echo request into its reply.
#[inline(always)]
pub fn answer_echo(frame: Frame, packet: &Packet, l3: usize) -> u32 {
    let done = if packet.key.service.family == FAMILY_V4 { turn4(frame, l3) } else { turn6(frame, l3) };
    if done.is_none() || !swap_macs(frame) {
        return unclaimed(packet);
    }
    ended(Event::EchoAnswered, XDP_TX)
}

#[inline(always)]
fn turn4(frame: Frame, l3: usize) -> Option<()> {
    let icmp = frame.at::<IcmpHeader>(l3 + size_of::<Ipv4Header>())?;
    // SAFETY: `at` has checked that the header is inside the frame.
    reply(unsafe { &mut *icmp }, ECHO_REPLY);
    let ip = frame.at::<Ipv4Header>(l3)?;
    // SAFETY: as above.
    let ip = unsafe { &mut *ip };
    core::mem::swap(&mut ip.source, &mut ip.destination);
    ip.ttl = DEFAULT_TTL;
    ip.checksum = ip.computed_checksum();
    Some(())
}

#[inline(always)]
fn turn6(frame: Frame, l3: usize) -> Option<()> {
    let icmp = frame.at::<IcmpHeader>(l3 + size_of::<Ipv6Header>())?;
    // SAFETY: `at` has checked that the header is inside the frame.
    reply(unsafe { &mut *icmp }, ECHO_REPLY_V6);
    let ip = frame.at::<Ipv6Header>(l3)?;
    // SAFETY: as above.
    let ip = unsafe { &mut *ip };
    core::mem::swap(&mut ip.source, &mut ip.destination);
    ip.hop_limit = DEFAULT_TTL;
    Some(())
}

/// Sets the type and updates the checksum (RFC 1624 equation 3).
#[inline(always)]
fn reply(icmp: &mut IcmpHeader, kind: u8) {
    let old = u16::from_ne_bytes([icmp.kind, icmp.code]);
    let new = u16::from_ne_bytes([kind, icmp.code]);
    icmp.checksum = !fold(u32::from(!icmp.checksum) + u32::from(!old) + u32::from(new));
    icmp.kind = kind;
}

/// Sends an ICMP error to the real of the flow that it quotes.
#[inline(always)]
pub fn follow_flow(frame: Frame, packet: &mut Packet, l3: usize) -> u32 {
    let Some(key) = quoted_flow(frame, packet) else { return unclaimed(packet) };
    let Ok(service) = service::find(&key, packet.key.service.family == FAMILY_V4) else { return unclaimed(packet) };
    packet.kind = Kind::ICMP_ERROR;
    packet.service = service.id;
    packet.mode = service.mode;
    let real = if service.flags & flags::OTHER_SLOT == 0 {
        real(&key, service.id)
    } else {
        flags::peek(&key, service.id, service.flags).real()
    };
    let Some(real) = real else { return drop(DropReason::NoRing) };
    forward::send(frame, frame.bounds(), packet, l3, packet.key.service.family == FAMILY_V4, real)
}

/// The real of a flow, by the slot and the tables; `None` where the service has no ring.
#[inline(always)]
fn real(key: &FlowKey, service: u32) -> Option<u16> {
    let slot = maps::slot(RINGS.get(service)?, slot_of(flow_hash(key)))?;
    Some(if slot.state == SLOT_CLEAN { slot.real } else { flow::peek(key, service, *slot) })
}

/// The flow whose packet, sent by the destination of the error, the error quotes.
#[inline(always)]
pub fn quoted_flow(frame: Frame, packet: &Packet) -> Option<FlowKey> {
    let end = packet.l3 as u32 + packet.length;
    let at = packet.l4 + QUOTE_AT;
    let (mut key, ports_at) =
        if packet.key.service.family == FAMILY_V4 { quoted4(frame, at, end)? } else { quoted6(frame, at, end)? };
    let protocol = key.service.protocol;
    if key.service.vip != packet.key.service.vip || !has_ports(protocol) {
        return None;
    }
    let ports: [u8; 4] = frame.load(ports_at)?;
    key.service.port = u16::from_be_bytes([ports[0], ports[1]]);
    key.client_port = u16::from_be_bytes([ports[2], ports[3]]);
    Some(key)
}

/// The quoted addresses and protocol, and where the quoted ports are.
#[inline(always)]
fn quoted4(frame: Frame, at: u32, end: u32) -> Option<(FlowKey, u32)> {
    if at + size_of::<Ipv4Header>() as u32 > end {
        return None;
    }
    let ip: Ipv4Header = frame.load(at)?;
    let header = u32::from(ip.version_ihl & 0xf) * 4;
    let whole = header >= size_of::<Ipv4Header>() as u32 && at + header + QUOTED_TRANSPORT <= end;
    if ip.version_ihl >> 4 != 4 || !whole || u16::from_be(ip.fragment) & IPV4_OFFSET != 0 {
        return None;
    }
    let mut key = FlowKey { client: address4(ip.destination), ..FlowKey::default() };
    key.service.vip = address4(ip.source);
    key.service.family = FAMILY_V4;
    key.service.protocol = ip.protocol;
    Some((key, at + header))
}

#[inline(always)]
fn quoted6(frame: Frame, at: u32, end: u32) -> Option<(FlowKey, u32)> {
    let ports_at = at + size_of::<Ipv6Header>() as u32;
    if ports_at + QUOTED_TRANSPORT > end {
        return None;
    }
    let ip: Ipv6Header = frame.load(at)?;
    if u32::from_be(ip.version_class_label) >> 28 != 6 {
        return None;
    }
    let mut key = FlowKey { client: address16(ip.destination), ..FlowKey::default() };
    key.service.vip = address16(ip.source);
    key.service.family = FAMILY_V6;
    key.service.protocol = ip.next_header;
    Some((key, ports_at))
}
