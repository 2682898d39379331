//! Outer headers (docs/reference/forwarding.md section 5, `ipip` and `gue`).

use aya_ebpf::bindings::xdp_md;
use lb_common::{FAMILY_V4, FAMILY_V6, MODE_GUE, MODE_IPIP, PROTOCOL_UDP, RealValue, gue_source_port};

use super::{
    forward::write_macs,
    frame::{Bounds, Frame},
    header::{
        ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHERNET_LENGTH, Ipv4Header, Ipv6Header, PROTOCOL_IPV4, PROTOCOL_IPV6, Tags,
        UdpHeader,
    },
    packet::{Kind, Packet, Ports, flow_hash},
};

const UDP: u32 = size_of::<UdpHeader>() as u32;

/// Whether a service in this mode has its packets carried in others.
#[inline(always)]
pub fn is_one(mode: u8) -> bool {
    mode == MODE_IPIP || mode == MODE_GUE
}

/// Length of the outer headers of a packet in this mode.
#[inline(always)]
pub fn outer_length(mode: u8, real: &RealValue) -> u32 {
    ip_length(real) + if mode == MODE_GUE { UDP } else { 0 }
}

/// The number of an IP packet in another.
#[inline(always)]
fn inner_protocol(v4: bool) -> u8 {
    if v4 { PROTOCOL_IPV4 } else { PROTOCOL_IPV6 }
}

#[inline(always)]
fn ip_length(real: &RealValue) -> u32 {
    (if real.family == FAMILY_V4 { size_of::<Ipv4Header>() } else { size_of::<Ipv6Header>() }) as u32
}

/// Puts the outer headers between the Ethernet header and the packet. False where there is no room for them.
#[inline(always)]
pub fn encapsulate(frame: Frame, packet: &Packet, l3: usize, v4: bool, real: &RealValue) -> bool {
    // The most common is in line, and told by one look at the row.
    if packet.mode == MODE_IPIP {
        let shape = u16::from_le_bytes([real.family, real.source_bits]);
        if shape == u16::from(FAMILY_V4) {
            let Some((frame, tags)) = make_room(frame, l3, size_of::<Ipv4Header>()) else { return false };
            let outer = Outer { next: inner_protocol(v4), added: 0, source: address(&real.tunnel_source) };
            return write4(frame, packet, l3, real, outer)
                && tags.write(frame, l3, ETHER_TYPE_IPV4)
                && write_macs(frame, real);
        }
        if shape == u16::from(FAMILY_V6) {
            let Some((frame, tags)) = make_room(frame, l3, size_of::<Ipv6Header>()) else { return false };
            let outer = Outer { next: inner_protocol(v4), added: 0, source: address(&real.tunnel_source) };
            return write6(frame, packet, l3, real, outer)
                && tags.write(frame, l3, ETHER_TYPE_IPV6)
                && write_macs(frame, real);
        }
    }
    tunnel_encapsulate(frame.0, packet, real) != 0
}

/// Makes room for so many bytes of outer headers. The frame's bounds then, and its tags. What is written from the end to the start needs no look at
/// the frame's end but the first: what is before a header that is inside the frame is so too.
#[inline(always)]
fn make_room(frame: Frame, l3: usize, length: usize) -> Option<(Bounds, Tags)> {
    let tags = Tags::read(frame, l3)?;
    if frame.move_start(-(length as i32)) { Some((frame.bounds(), tags)) } else { None }
}

/// As [`encapsulate`], in whatever mode; 0 where there is no room. Global.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tunnel_encapsulate(ctx: *mut xdp_md, packet: *const Packet, real: *const RealValue) -> u32 {
    // SAFETY: the caller has the packet on its stack, and the real is a map's row.
    let (Some(packet), Some(real)) = (unsafe { (packet.as_ref(), real.as_ref()) }) else { return 0 };
    let l3 = packet.network();
    if l3 < ETHERNET_LENGTH {
        return 0;
    }
    u32::from(encapsulate_by_flow(Frame(ctx), packet, l3, real).is_some())
}

#[inline(always)]
fn encapsulate_by_flow(frame: Frame, packet: &Packet, l3: usize, real: &RealValue) -> Option<()> {
    let hash = hash(packet);
    let gue = packet.mode == MODE_GUE;
    let tags = Tags::read(frame, l3)?;
    if !frame.move_start(-(outer_length(packet.mode, real) as i32)) {
        return None;
    }
    if gue {
        write_udp(frame, packet, l3 + ip_length(real) as usize, hash, real.gue_port)?;
    }
    let v4 = packet.key.service.family == FAMILY_V4;
    let (next, added) = if gue { (PROTOCOL_UDP, UDP) } else { (inner_protocol(v4), 0) };
    let outer = Outer { next, added, source: &source(real, hash) };
    // Each by bounds that are read anew: LLVM leaves out a check that another one implies, and the verifier does not see that it does.
    if !write_ip(frame.bounds(), packet, l3, real, outer) {
        return None;
    }
    tags.write_somewhere(frame.bounds(), l3, ether_type(real))?;
    write_macs(frame.bounds(), real).then_some(())
}

/// Writes the UDP header. GUE variant 1 has none of its own: the IP version of what follows says what it is.
#[inline(always)]
fn write_udp(frame: Frame, packet: &Packet, at: usize, hash: u32, port: u16) -> Option<()> {
    let length = ((packet.length + UDP) as u16).to_be();
    let header = UdpHeader { ports: Ports::new(gue_source_port(hash), port), length, checksum: 0 };
    // SAFETY: `at` has checked that the header is inside the frame.
    unsafe { *frame.at::<UdpHeader>(at)? = header };
    Some(())
}

/// The hash of the packet's flow; of what has no ports, that of its addresses.
#[inline(always)]
fn hash(packet: &Packet) -> u32 {
    let mut key = packet.key;
    if packet.kind == Kind::LATER_FRAGMENT || packet.kind == Kind::ICMP_ERROR {
        (key.client_port, key.service.port, key.service.protocol) = (0, 0, 0);
    }
    flow_hash(&key, key.service.family == FAMILY_V4)
}

/// The outer source: its lowest bits may be the flow's.
#[inline(always)]
fn source(real: &RealValue, hash: u32) -> [u32; 4] {
    let mut source = *address(&real.tunnel_source);
    let word = if real.family == FAMILY_V4 { &mut source[0] } else { &mut source[3] };
    let bits = u32::from(real.source_bits);
    let mask = if bits >= u32::BITS { u32::MAX } else { (1 << bits) - 1 };
    *word = (u32::from_be(*word) & !mask | hash & mask).to_be();
    source
}

/// The words of an address in the row of a real.
#[inline(always)]
fn address(of: &[u8; 16]) -> &[u32; 4] {
    // SAFETY: as many bytes, at a multiple of a word's alignment in the row (asserted below). Said here, since LLVM else copies byte by byte.
    unsafe { &*of.as_ptr().cast() }
}

const _: () = {
    use core::mem::offset_of;
    assert!(align_of::<RealValue>() == 8);
    assert!(offset_of!(RealValue, address).is_multiple_of(4) && offset_of!(RealValue, tunnel_source).is_multiple_of(4));
};

/// What outer IP headers differ by.
struct Outer<'a> {
    /// The protocol or next header.
    next: u8,
    /// Bytes of another header between it and the packet.
    added: u32,
    source: &'a [u32; 4],
}

/// Writes the outer IP header.
#[inline(always)]
fn write_ip(frame: Bounds, packet: &Packet, l3: usize, real: &RealValue, outer: Outer<'_>) -> bool {
    if real.family == FAMILY_V4 {
        write4(frame, packet, l3, real, outer)
    } else {
        write6(frame, packet, l3, real, outer)
    }
}

/// RFC 2003. DF is set, since no packet that needs a fragment gets here.
#[inline(always)]
fn write4(frame: Bounds, packet: &Packet, l3: usize, real: &RealValue, outer: Outer<'_>) -> bool {
    let Some(ip) = frame.at::<Ipv4Header>(l3) else { return false };
    let length = packet.length + size_of::<Ipv4Header>() as u32 + outer.added;
    let header = Ipv4Header::new(packet.tos, length, outer.next, outer.source[0], address(&real.address)[0]);
    // SAFETY: `at` has checked that the header is inside the frame.
    unsafe { *ip = header };
    true
}

/// RFC 2473.
#[inline(always)]
fn write6(frame: Bounds, packet: &Packet, l3: usize, real: &RealValue, outer: Outer<'_>) -> bool {
    let Some(ip) = frame.at::<Ipv6Header>(l3) else { return false };
    let header =
        Ipv6Header::new(packet.tos, packet.length + outer.added, outer.next, *outer.source, *address(&real.address));
    // SAFETY: as above.
    unsafe { *ip = header };
    true
}

#[inline(always)]
fn ether_type(real: &RealValue) -> u16 {
    if real.family == FAMILY_V4 { ETHER_TYPE_IPV4 } else { ETHER_TYPE_IPV6 }
}
