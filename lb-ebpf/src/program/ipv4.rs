//! IPv4 (docs/reference/forwarding.md section 2).

use core::mem::MaybeUninit;

use lb_common::{FAMILY_V4, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};

use super::{
    frame::{Bounds, Frame},
    header::{IPV4_MF, IPV4_OFFSET, Ipv4Header, PROTOCOL_ICMP, SctpHeader, TcpHeader, UdpHeader, host16},
    packet::{Class, Kind, Packet, has_ports, service_end},
};

const HEADER: u32 = size_of::<Ipv4Header>() as u32;
/// Version 4 and a header without options.
const PLAIN: u8 = 0x45;

/// Reads the headers. `None` where it is no IPv4 packet.
#[inline(always)]
pub fn parse(frame: Frame, bounds: Bounds, place: &mut MaybeUninit<Packet>, l3: usize) -> Option<(&mut Packet, Class)> {
    let ip = bounds.at::<Ipv4Header>(l3)?;
    // SAFETY: `at` has checked that the header is inside the frame.
    let ip = unsafe { &*ip };
    let plain = ip.version_ihl == PLAIN;
    if !plain && ip.version_ihl >> 4 != 4 {
        return None;
    }
    let end = service_end(FAMILY_V4, ip.protocol);
    let packet = Packet::begin(place, l3, [ip.source.into(), 0, ip.destination.into(), 0, end]);
    packet.tos = ip.tos;
    packet.length = host16(ip.total_length);
    // Most headers have no options: what follows them is at a fixed offset.
    if plain {
        let class = payload(frame, bounds, packet, ip, HEADER);
        return Some((packet, class));
    }
    packet.extended = true;
    let header = u32::from(ip.version_ihl & 0xf) * 4;
    packet.l4 = l3 as u32 + header;
    let class = if header < HEADER { Class::MALFORMED } else { payload(frame, bounds, packet, ip, header) };
    Some((packet, class))
}

/// What the packet is by all that follows the first `header` bytes.
#[inline(always)]
fn payload(frame: Frame, bounds: Bounds, packet: &mut Packet, ip: &Ipv4Header, header: u32) -> Class {
    if packet.length < header {
        return Class::MALFORMED;
    }
    if !bounds.holds(packet.l3, packet.length) {
        return Class::TRUNCATED;
    }
    if ip.fragment & (IPV4_MF | IPV4_OFFSET).to_be() != 0 {
        packet.fragment_id = u32::from(u16::from_be(ip.id));
        if let Some(class) = fragment_class(packet, u16::from_be(ip.fragment)) {
            return class;
        }
    }
    transport(frame, packet, header)
}

/// What a fragment is, where that settles it.
#[inline(always)]
fn fragment_class(packet: &mut Packet, fragment: u16) -> Option<Class> {
    if !has_ports(packet.key.service.protocol) {
        return Some(Class::OTHER);
    }
    if fragment & IPV4_OFFSET != 0 {
        packet.kind = Kind::LATER_FRAGMENT;
        return Some(Class::LATER_FRAGMENT);
    }
    packet.kind = Kind::FIRST_FRAGMENT;
    None
}

#[inline(always)]
fn transport(frame: Frame, packet: &mut Packet, header: u32) -> Class {
    let l4 = packet.l3 + header as usize;
    let payload = packet.length - header;
    if packet.key.service.protocol == PROTOCOL_TCP {
        if payload < size_of::<TcpHeader>() as u32 {
            return Class::MALFORMED;
        }
        let Some(tcp) = frame.at::<TcpHeader>(l4) else { return Class::TRUNCATED };
        // SAFETY: `at` has checked that the header is inside the frame.
        let tcp = unsafe { &*tcp };
        packet.set_ports(FAMILY_V4, PROTOCOL_TCP, tcp.ports);
        packet.tcp_flags = tcp.flags;
        return Class::FLOW;
    }
    // SAFETY: reads a field. Volatile, since LLVM would else make a switch of the comparisons, with TCP last.
    let protocol = unsafe { (&raw const packet.key.service.protocol).read_volatile() };
    if protocol == PROTOCOL_UDP {
        if payload < size_of::<UdpHeader>() as u32 {
            return Class::MALFORMED;
        }
        let Some(udp) = frame.at::<UdpHeader>(l4) else { return Class::TRUNCATED };
        // SAFETY: as above.
        let udp = unsafe { &*udp };
        packet.set_ports(FAMILY_V4, PROTOCOL_UDP, udp.ports);
        return Class::FLOW;
    }
    if protocol == PROTOCOL_SCTP {
        if payload < size_of::<SctpHeader>() as u32 {
            return Class::MALFORMED;
        }
        let Some(sctp) = frame.at::<SctpHeader>(l4) else { return Class::TRUNCATED };
        // SAFETY: as above.
        let sctp = unsafe { &*sctp };
        packet.set_ports(FAMILY_V4, PROTOCOL_SCTP, sctp.ports);
        return Class::FLOW;
    }
    if protocol != PROTOCOL_ICMP {
        return Class::OTHER;
    }
    packet.l4 = l4 as u32;
    if payload < 8 { Class::MALFORMED } else { Class::ICMP }
}
