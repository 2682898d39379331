//! The ICMP answer to a packet too big for the tunnel (docs/reference/forwarding.md section 8).

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{DropReason, Event, FAMILY_V4, ICMP_QUOTE_V4, ICMP_QUOTE_V6, IPV6_MIN_MTU};

use super::{
    count::{drop, ended},
    frame::Frame,
    header::{
        ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, IcmpHeader, Ipv4Header, Ipv6Header, PROTOCOL_ICMP, PROTOCOL_ICMPV6, Tags,
        fold, length_and_protocol, pseudo_header, sum, words,
    },
    packet::{Kind, Packet},
};

const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const PACKET_TOO_BIG_V6: u8 = 2;
const ICMP: usize = size_of::<IcmpHeader>();
const MESSAGE_V4: usize = ICMP + ICMP_QUOTE_V4 as usize;
const MESSAGE_V6: usize = ICMP + ICMP_QUOTE_V6 as usize;

/// Tells the sender that packets towards the real may be no longer than `mtu`. The quote is the packet's own beginning,
/// where it is: the headers go in front of it, and the rest is cut off.
#[inline(never)]
pub fn answer(frame: Frame, packet: &Packet, l3: usize, mtu: u32) -> u32 {
    let v4 = packet.key.service.family == FAMILY_V4;
    let quote = if v4 { ICMP_QUOTE_V4 } else { ICMP_QUOTE_V6 };
    if packet.kind == Kind::LATER_FRAGMENT || packet.kind == Kind::ICMP_ERROR || packet.length < quote {
        return drop(DropReason::TooBig);
    }
    let added = if v4 { size_of::<Ipv4Header>() } else { size_of::<Ipv6Header>() } + ICMP;
    if turn_frame(frame, l3, v4, added).is_none() {
        return drop(DropReason::NoHeadroom);
    }
    let wanted = l3 + added + quote as usize;
    let cut = frame.move_end(wanted as i32 - frame.len() as i32);
    let written = cut && if v4 { write4(frame, packet, l3, mtu) } else { write6(frame, packet, l3, mtu) }.is_some();
    if !written {
        return drop(DropReason::NoHeadroom);
    }
    ended(Event::TooBigAnswered, XDP_TX)
}

/// Makes room for the headers and writes the Ethernet header of the way back before them.
#[inline(always)]
fn turn_frame(frame: Frame, l3: usize, v4: bool, added: usize) -> Option<()> {
    // SAFETY: `at` has checked that both addresses are inside the frame.
    let macs = unsafe { *frame.at::<[[u16; 3]; 2]>(0)? };
    let tags = Tags::read(frame, l3)?;
    if !frame.move_start(-(added as i32)) {
        return None;
    }
    // SAFETY: as above.
    unsafe { *frame.at::<[[u16; 3]; 2]>(0)? = [macs[1], macs[0]] };
    tags.write(frame.bounds(), l3, if v4 { ETHER_TYPE_IPV4 } else { ETHER_TYPE_IPV6 }).then_some(())
}

/// RFC 792, with the next-hop MTU of RFC 1191 section 4.
#[inline(always)]
fn write4(frame: Frame, packet: &Packet, l3: usize, mtu: u32) -> Option<()> {
    let ip = frame.at::<Ipv4Header>(l3)?;
    let length = (size_of::<Ipv4Header>() + MESSAGE_V4) as u32;
    let header =
        Ipv4Header::new(0, length, PROTOCOL_ICMP, words(&packet.key.service.vip)[0], words(&packet.key.client)[0]);
    // SAFETY: `at` has checked that the header is inside the frame.
    unsafe { *ip = header };
    let at = l3 + size_of::<Ipv4Header>();
    write_icmp(frame, at, UNREACHABLE, FRAGMENTATION_NEEDED, mtu.min(0xffff))?;
    let message = frame.at::<[u32; MESSAGE_V4 / 4]>(at)?;
    let sum = checksum(message.cast(), MESSAGE_V4 as u32, 0);
    set_checksum(frame, at, sum)
}

/// RFC 4443 section 3.2.
#[inline(always)]
fn write6(frame: Frame, packet: &Packet, l3: usize, mtu: u32) -> Option<()> {
    let ip = frame.at::<Ipv6Header>(l3)?;
    let header = Ipv6Header::new(
        0,
        MESSAGE_V6 as u32,
        PROTOCOL_ICMPV6,
        words(&packet.key.service.vip),
        words(&packet.key.client),
    );
    // SAFETY: `at` has checked that the header is inside the frame.
    unsafe { *ip = header };
    let at = l3 + size_of::<Ipv6Header>();
    write_icmp(frame, at, PACKET_TOO_BIG_V6, 0, mtu.max(IPV6_MIN_MTU))?;
    let message = frame.at::<[u32; MESSAGE_V6 / 4]>(at)?;
    let seed = const { length_and_protocol(MESSAGE_V6 as u32, PROTOCOL_ICMPV6) };
    let sum = checksum(message.cast(), MESSAGE_V6 as u32, pseudo_header(&packet.key, seed));
    set_checksum(frame, at, sum)
}

#[inline(always)]
fn write_icmp(frame: Frame, at: usize, kind: u8, code: u8, rest: u32) -> Option<()> {
    let icmp = frame.at::<IcmpHeader>(at)?;
    // SAFETY: `at` has checked that the header is inside the frame.
    unsafe { *icmp = IcmpHeader { kind, code, checksum: 0, rest: rest.to_be() } };
    Some(())
}

#[inline(always)]
fn set_checksum(frame: Frame, at: usize, sum: u16) -> Option<()> {
    let icmp = frame.at::<IcmpHeader>(at)?;
    // SAFETY: as above.
    unsafe { (*icmp).checksum = sum };
    Some(())
}

#[inline(always)]
fn checksum(message: *const u32, length: u32, seed: u32) -> u16 {
    // SAFETY: both callers have checked that the message is inside the frame.
    !fold(unsafe { sum(message, length, seed) })
}

const _: () = assert!(MESSAGE_V4.is_multiple_of(4) && MESSAGE_V6.is_multiple_of(4));
