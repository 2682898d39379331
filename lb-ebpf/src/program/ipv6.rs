//! IPv6 (docs/reference/forwarding.md section 3).

use core::mem::MaybeUninit;

use aya_ebpf::bindings::xdp_md;
use lb_common::{FAMILY_V6, MAX_EXTENSION_HEADERS, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};

use super::{
    frame::{Bounds, Frame},
    header::{Ipv6Header, PROTOCOL_ICMPV6, SctpHeader, TcpHeader, UdpHeader, host16},
    packet::{Class, Kind, Packet, has_ports, service_end},
};

const HEADER: u32 = size_of::<Ipv6Header>() as u32;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Reads the headers. `None` where it is no IPv6 packet.
#[inline(always)]
pub fn parse(frame: Frame, bounds: Bounds, place: &mut MaybeUninit<Packet>, l3: usize) -> Option<(&mut Packet, Class)> {
    let ip = bounds.at::<Ipv6Header>(l3)?;
    // SAFETY: `at` has checked that the header is inside the frame.
    let ip = unsafe { &*ip };
    if u32::from_be(ip.version_class_label) >> 28 != 6 {
        return None;
    }
    let [client, client_end, vip, vip_end] = ip.address_words();
    let end = service_end(FAMILY_V6, ip.next_header);
    let packet = Packet::begin(place, l3, [client, client_end, vip, vip_end, end]);
    packet.tos = ip.traffic_class();
    packet.length = HEADER + host16(ip.payload_length);
    let class = payload(frame, bounds, packet, ip.next_header);
    Some((packet, class))
}

/// What the packet is by all that follows its first header.
#[inline(always)]
fn payload(frame: Frame, bounds: Bounds, packet: &mut Packet, next_header: u8) -> Class {
    if !bounds.holds(packet.l3, packet.length) {
        return Class::TRUNCATED;
    }
    let l4 = packet.l3 + HEADER as usize;
    if next_header == PROTOCOL_TCP {
        return tcp(frame, packet, l4);
    }
    if next_header == PROTOCOL_UDP {
        return udp(frame, packet, l4);
    }
    packet.l4 = l4 as u32;
    Class::of(extended(frame.0, packet))
}

#[inline(always)]
fn tcp(frame: Frame, packet: &mut Packet, l4: usize) -> Class {
    if packet.length < HEADER + size_of::<TcpHeader>() as u32 {
        return Class::MALFORMED;
    }
    let Some(tcp) = frame.at::<TcpHeader>(l4) else { return Class::TRUNCATED };
    // SAFETY: `at` has checked that the header is inside the frame.
    let tcp = unsafe { &*tcp };
    packet.set_ports(FAMILY_V6, PROTOCOL_TCP, tcp.ports);
    packet.tcp_flags = tcp.flags;
    Class::FLOW
}

#[inline(always)]
fn udp(frame: Frame, packet: &mut Packet, l4: usize) -> Class {
    if packet.length < HEADER + size_of::<UdpHeader>() as u32 {
        return Class::MALFORMED;
    }
    let Some(udp) = frame.at::<UdpHeader>(l4) else { return Class::TRUNCATED };
    // SAFETY: as above.
    let udp = unsafe { &*udp };
    packet.set_ports(FAMILY_V6, PROTOCOL_UDP, udp.ports);
    Class::FLOW
}

/// Anything but TCP or UDP right after the IPv6 header. The number of a [`Class`]. Global.
#[unsafe(export_name = "ipv6_extended")]
#[inline(never)]
extern "C" fn extended(ctx: *mut xdp_md, packet: *mut Packet) -> u32 {
    // SAFETY: the caller has it on its stack, and does not look at it meanwhile.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return Class::OTHER.number() };
    walk(Frame(ctx), packet).number()
}

/// Walks the extension headers.
#[inline(always)]
fn walk(frame: Frame, packet: &mut Packet) -> Class {
    let end = packet.l3 as u32 + packet.length;
    let mut at = packet.l4;
    let mut next = packet.key.service.protocol;
    let mut fragmented = false;
    let mut walked = 0;
    while is_extension(next) {
        if walked == MAX_EXTENSION_HEADERS {
            return Class::EXTENSION_HEADERS;
        }
        walked += 1;
        if at + 8 > end {
            return Class::MALFORMED;
        }
        let Some(start) = frame.load::<[u8; 8]>(at) else { return Class::TRUNCATED };
        if next == FRAGMENT {
            if fragmented {
                return Class::MALFORMED;
            }
            fragmented = true;
            if let Some(class) = fragment(packet, start) {
                return class;
            }
            at += 8;
        } else {
            let length = option_header_length(start);
            if at + length > end {
                return Class::MALFORMED;
            }
            at += length;
        }
        next = start[0];
        packet.extended = true;
    }
    packet.l4 = at;
    packet.key.service.protocol = next;
    transport(frame, packet, end)
}

/// Notes a fragment header; what the packet is, where that settles it.
#[inline(always)]
fn fragment(packet: &mut Packet, header: [u8; 8]) -> Option<Class> {
    let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
    packet.fragment_id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if offset_and_more & 0xfff8 != 0 {
        let next = header[0];
        if !has_ports(next) && !is_extension(next) {
            return Some(Class::OTHER);
        }
        packet.kind = Kind::LATER_FRAGMENT;
        return Some(Class::LATER_FRAGMENT);
    }
    if offset_and_more & 1 != 0 {
        packet.kind = Kind::FIRST_FRAGMENT;
    }
    None
}

/// The transport header after extension headers, wherever it is.
#[inline(always)]
fn transport(frame: Frame, packet: &mut Packet, end: u32) -> Class {
    let at = packet.l4;
    let protocol = packet.key.service.protocol;
    if protocol == PROTOCOL_TCP {
        if at + size_of::<TcpHeader>() as u32 > end {
            return Class::MALFORMED;
        }
        let Some(tcp) = frame.load::<TcpHeader>(at) else { return Class::TRUNCATED };
        packet.set_ports(FAMILY_V6, PROTOCOL_TCP, tcp.ports);
        packet.tcp_flags = tcp.flags;
        return Class::FLOW;
    }
    if protocol == PROTOCOL_UDP {
        if at + size_of::<UdpHeader>() as u32 > end {
            return Class::MALFORMED;
        }
        let Some(udp) = frame.load::<UdpHeader>(at) else { return Class::TRUNCATED };
        packet.set_ports(FAMILY_V6, PROTOCOL_UDP, udp.ports);
        return Class::FLOW;
    }
    if protocol == PROTOCOL_SCTP {
        if at + size_of::<SctpHeader>() as u32 > end {
            return Class::MALFORMED;
        }
        let Some(sctp) = frame.load::<SctpHeader>(at) else { return Class::TRUNCATED };
        packet.set_ports(FAMILY_V6, PROTOCOL_SCTP, sctp.ports);
        return Class::FLOW;
    }
    if protocol != PROTOCOL_ICMPV6 || packet.kind == Kind::FIRST_FRAGMENT {
        return Class::OTHER;
    }
    if at + 8 > end { Class::MALFORMED } else { Class::ICMP }
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    next == FRAGMENT || is_option_header(next)
}

/// An extension header that says how long it is.
#[inline(always)]
pub fn is_option_header(next: u8) -> bool {
    next == HOP_BY_HOP || next == ROUTING || next == DESTINATION_OPTIONS
}

/// The length of such a header, by its first bytes.
#[inline(always)]
pub fn option_header_length(start: [u8; 8]) -> u32 {
    (u32::from(start[1]) + 1) * 8
}
