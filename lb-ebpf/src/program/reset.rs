//! The answer to a TCP packet which no real is there for, where the service wants one (docs/reference/forwarding.md section 9).

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{DropReason, Event, FALLBACK_RESET, FAMILY_V4, PROTOCOL_TCP};

use super::{
    count::{drop, ended},
    frame::Frame,
    header::{
        Ipv4Header, Ipv6Header, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TcpHeader, fold, length_and_protocol,
        pseudo_header, sum, swap_macs, words,
    },
    maps::SERVICE_OPTIONS,
    packet::{Kind, Packet},
};

const TCP: u32 = size_of::<TcpHeader>() as u32;
/// The data offset of a header without options, in its place.
const PLAIN: u8 = 5 << 4;

/// Tells the sender that its flow is at an end, or drops the packet. The answer's headers take the place of the packet's own,
/// which are as long or longer, and the rest is cut off.
#[inline(never)]
pub fn answer(frame: Frame, packet: &Packet, l3: usize) -> u32 {
    if !wants_reset(packet) {
        return drop(DropReason::NoReal);
    }
    let v4 = packet.key.service.family == FAMILY_V4;
    let header = if v4 { size_of::<Ipv4Header>() } else { size_of::<Ipv6Header>() };
    let plain = (l3 + header) as u32;
    let l4 = packet.transport();
    let Some(tcp) = frame.load::<TcpHeader>(l4) else { return drop(DropReason::Truncated) };
    let segment = l3 as u32 + packet.length - l4;
    let Some(reset) = reset(&tcp, segment) else { return drop(DropReason::Malformed) };
    let cut = frame.move_end((plain + TCP) as i32 - frame.len() as i32);
    if !cut || write(frame, packet, l3, v4, reset).is_none() || !swap_macs(frame) {
        return drop(DropReason::NoReal);
    }
    ended(Event::ResetAnswered, XDP_TX)
}

/// Whether the service answers such a packet.
#[inline(always)]
fn wants_reset(packet: &Packet) -> bool {
    let has_segment = packet.kind == Kind::WHOLE || packet.kind == Kind::FIRST_FRAGMENT;
    has_segment
        && packet.key.service.protocol == PROTOCOL_TCP
        && packet.tcp_flags & TCP_RST == 0
        && SERVICE_OPTIONS.get(packet.service).is_some_and(|options| options.fallback == FALLBACK_RESET)
}

/// What a closed port answers to a segment of `length` bytes, header and all (RFC 9293 section 3.10.7.1), without checksum;
/// `None` where the header is longer than that.
#[inline(always)]
fn reset(tcp: &TcpHeader, length: u32) -> Option<TcpHeader> {
    let header = u32::from(tcp.data_offset >> 4) * 4;
    if header < TCP || header > length {
        return None;
    }
    let answer = TcpHeader { ports: tcp.ports.swapped(), data_offset: PLAIN, ..TcpHeader::default() };
    if tcp.flags & TCP_ACK != 0 {
        return Some(TcpHeader { sequence: tcp.acknowledgment, flags: TCP_RST, ..answer });
    }
    let flags = [TCP_SYN, TCP_FIN].map(|flag| u32::from(tcp.flags & flag != 0));
    let taken = length - header + flags[0] + flags[1];
    let acknowledgment = u32::from_be(tcp.sequence).wrapping_add(taken).to_be();
    Some(TcpHeader { acknowledgment, flags: TCP_RST | TCP_ACK, ..answer })
}

/// Writes the headers of the answer behind the Ethernet header.
#[inline(always)]
fn write(frame: Frame, packet: &Packet, l3: usize, v4: bool, mut tcp: TcpHeader) -> Option<()> {
    let (vip, client) = (words(&packet.key.service.vip), words(&packet.key.client));
    tcp.checksum = checksum(packet, tcp);
    let at = if v4 {
        let header = Ipv4Header::new(0, size_of::<Ipv4Header>() as u32 + TCP, PROTOCOL_TCP, vip[0], client[0]);
        // SAFETY: `at` has checked that the header is inside the frame.
        unsafe { *frame.at::<Ipv4Header>(l3)? = header };
        l3 + size_of::<Ipv4Header>()
    } else {
        let header = Ipv6Header::new(0, TCP, PROTOCOL_TCP, vip, client);
        // SAFETY: as above.
        unsafe { *frame.at::<Ipv6Header>(l3)? = header };
        l3 + size_of::<Ipv6Header>()
    };
    // SAFETY: as above.
    unsafe { *frame.at::<TcpHeader>(at)? = tcp };
    Some(())
}

/// The checksum of a header without data (RFC 9293 section 3.1).
#[inline(always)]
fn checksum(packet: &Packet, tcp: TcpHeader) -> u16 {
    let seed = const { length_and_protocol(TCP, PROTOCOL_TCP) };
    let seed = pseudo_header(&packet.key, seed);
    // SAFETY: it is on the stack.
    !fold(unsafe { sum((&raw const tcp).cast(), TCP, seed) })
}
