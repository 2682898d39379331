//! IPv4 (docs/reference/forwarding.md section 2).

use lb_common::{FAMILY_V4, PROTOCOL_TCP, PROTOCOL_UDP};

use super::{
    frame::Frame,
    header::{IPV4_MF, IPV4_OFFSET, Ipv4Header, PROTOCOL_ICMP, TcpHeader, UdpHeader, address4},
    packet::{Class, Kind, Packet},
};

const HEADER: u32 = size_of::<Ipv4Header>() as u32;

/// Reads the headers into `packet`.
#[inline(always)]
pub fn parse(frame: Frame, packet: &mut Packet) -> Class {
    let Some(ip) = frame.at::<Ipv4Header>(packet.l3) else { return Class::NOT_IP };
    // SAFETY: `at` has checked that the header is inside the frame.
    let ip = unsafe { &*ip };
    if ip.version_ihl >> 4 != 4 {
        return Class::NOT_IP;
    }
    packet.key.client = address4(ip.source);
    packet.key.service.vip = address4(ip.destination);
    packet.key.service.family = FAMILY_V4;
    packet.key.service.protocol = ip.protocol;
    packet.tos = ip.tos;
    packet.length = u32::from(u16::from_be(ip.total_length));
    let header = u32::from(ip.version_ihl & 0xf) * 4;
    packet.extended = header != HEADER;
    if header < HEADER || packet.length < header {
        return Class::MALFORMED;
    }
    if packet.length as usize > frame.len() - packet.l3 {
        return Class::TRUNCATED;
    }
    let fragment = u16::from_be(ip.fragment);
    if fragment & (IPV4_MF | IPV4_OFFSET) != 0 {
        packet.fragment_id = u32::from(u16::from_be(ip.id));
        if let Some(class) = fragment_class(packet, fragment) {
            return class;
        }
    }
    transport(frame, packet, header)
}

/// What a fragment is, where that settles it.
#[inline(always)]
fn fragment_class(packet: &mut Packet, fragment: u16) -> Option<Class> {
    let protocol = packet.key.service.protocol;
    if protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP {
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
    packet.l4 = l4 as u32;
    let payload = packet.length - header;
    if packet.key.service.protocol == PROTOCOL_TCP {
        if payload < size_of::<TcpHeader>() as u32 {
            return Class::MALFORMED;
        }
        let Some(tcp) = frame.at::<TcpHeader>(l4) else { return Class::TRUNCATED };
        // SAFETY: `at` has checked that the header is inside the frame.
        let tcp = unsafe { &*tcp };
        packet.key.client_port = u16::from_be(tcp.source);
        packet.key.service.port = u16::from_be(tcp.destination);
        packet.tcp_flags = tcp.flags;
        return Class::FLOW;
    }
    if packet.key.service.protocol == PROTOCOL_UDP {
        if payload < size_of::<UdpHeader>() as u32 {
            return Class::MALFORMED;
        }
        let Some(udp) = frame.at::<UdpHeader>(l4) else { return Class::TRUNCATED };
        // SAFETY: as above.
        let udp = unsafe { &*udp };
        packet.key.client_port = u16::from_be(udp.source);
        packet.key.service.port = u16::from_be(udp.destination);
        return Class::FLOW;
    }
    if packet.key.service.protocol != PROTOCOL_ICMP {
        return Class::OTHER;
    }
    if payload < 8 { Class::MALFORMED } else { Class::ICMP }
}
