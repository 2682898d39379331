//! One end of a packet made another: address, port, and the checksums that cover them (RFC 1624 equation 3).

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_store_bytes};
use lb_common::{FAMILY_V4, PROTOCOL_TCP, PROTOCOL_UDP};

use crate::program::{
    frame::Frame,
    header::{IcmpHeader, Ipv4Header, Ipv6Header, words},
    packet::{Kind, Packet},
};

/// An address, and a port in network order, 0 where the packet's stays.
pub struct End {
    address: [u32; 4],
    port: u16,
}

impl End {
    /// `port` is in host order.
    #[inline(always)]
    pub fn new(address: &[u8; 16], port: u16) -> Self {
        Self { address: words(address), port: port.to_be() }
    }
}

/// Which of a packet's ends. Not an enum, as [`Kind`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Side(u8);

impl Side {
    pub const SOURCE: Self = Self(0);
    pub const DESTINATION: Self = Self(1);

    #[inline(always)]
    fn other(self) -> Self {
        Self(self.0 ^ 1)
    }

    /// Of two things side by side in a header, the source's first.
    #[inline(always)]
    fn of(self, size: usize) -> u32 {
        u32::from(self.0) * size as u32
    }
}

/// Farther from the frame's start no transport header is: behind tags, an IPv6 header and as many extension headers as are walked, each of the
/// greatest length. A mask, by which the verifier sees it.
const FARTHEST: usize = 0x3fff;
const ICMP_CHECKSUM: u32 = 2;
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;
const IPV4_CHECKSUM: u32 = 10;
const IPV4_SOURCE: u32 = 12;
const IPV6_SOURCE: u32 = 8;

/// What the words that are replaced, and those in their place, add to a sum of which the checksum is the complement.
#[derive(Clone, Copy)]
struct Change(u64);

impl Change {
    const NONE: Self = Self(0);

    #[inline(always)]
    fn and(self, old: u16, new: u16) -> Self {
        Self(self.0 + u64::from(!old) + u64::from(new))
    }

    #[inline(always)]
    fn and_word(self, old: u32, new: u32) -> Self {
        Self(self.0 + u64::from(!old) + u64::from(new))
    }

    #[inline(always)]
    fn and_all(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum after the change.
    #[inline(always)]
    fn of(self, checksum: u16) -> u16 {
        let sum = self.0 + u64::from(!checksum);
        let sum = (sum & 0xffff_ffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }

    /// The UDP checksum after the change: 0 says that there is none (RFC 768).
    #[inline(always)]
    fn of_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        let updated = self.of(checksum);
        if updated == 0 { 0xffff } else { updated }
    }
}

/// Rewrites an end of a packet; of an ICMP error the other end of what it quotes too. False where a header is not inside the frame.
#[inline(always)]
pub fn end(frame: Frame, packet: &Packet, end: &End, side: Side) -> bool {
    nat_rewrite(frame.0, packet, end, u32::from(side.0)) != 0
}

/// As [`end`]; 0 where a header is not inside the frame. A global function: the verifier looks at it once, and not for each way that a packet
/// gets here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nat_rewrite(ctx: *mut xdp_md, packet: *const Packet, end: *const End, side: u32) -> u32 {
    // SAFETY: the caller's. The verifier wants to see null pointers ruled out.
    let (Some(packet), Some(end)) = (unsafe { (packet.as_ref(), end.as_ref()) }) else { return 0 };
    u32::from(rewrite(Frame(ctx), packet, end, if side == 0 { Side::SOURCE } else { Side::DESTINATION }))
}

#[inline(always)]
fn rewrite(frame: Frame, packet: &Packet, end: &End, side: Side) -> bool {
    let v4 = packet.key.service.family == FAMILY_V4;
    let change = if v4 { address4(frame, packet, end, side) } else { address6(frame, packet, end, side) };
    let Some(change) = change else { return false };
    if packet.kind == Kind::LATER_FRAGMENT {
        return true;
    }
    if packet.kind == Kind::ICMP_ERROR {
        let outer = if v4 { Change::NONE } else { change };
        return quote(frame, packet, end, side.other(), outer).is_some();
    }
    transport(frame, packet, end, side, change).is_some()
}

/// The address in the IPv4 header.
#[inline(always)]
fn address4(frame: Frame, packet: &Packet, end: &End, side: Side) -> Option<Change> {
    let ip = frame.at::<Ipv4Header>(packet.network())?;
    // SAFETY: `at` has checked that the header is inside the frame.
    let ip = unsafe { &mut *ip };
    let new = end.address[0];
    let old = if side == Side::SOURCE {
        core::mem::replace(&mut ip.source, new)
    } else {
        core::mem::replace(&mut ip.destination, new)
    };
    let change = Change::NONE.and_word(old, new);
    ip.checksum = change.of(ip.checksum);
    Some(change)
}

/// The address in the IPv6 header.
#[inline(always)]
fn address6(frame: Frame, packet: &Packet, end: &End, side: Side) -> Option<Change> {
    let ip = frame.at::<Ipv6Header>(packet.network())?;
    // SAFETY: as above.
    let ip = unsafe { &mut *ip };
    let old = if side == Side::SOURCE { &mut ip.source } else { &mut ip.destination };
    let mut change = Change::NONE;
    for (old, new) in old.iter_mut().zip(&end.address) {
        change = change.and_word(*old, *new);
        *old = *new;
    }
    Some(change)
}

/// The port, and the checksum.
#[inline(always)]
fn transport(frame: Frame, packet: &Packet, end: &End, side: Side, change: Change) -> Option<()> {
    let at = packet.transport() as usize & FARTHEST;
    let ports = frame.at::<[u16; 2]>(at)?;
    // SAFETY: `at` has checked that the ports are inside the frame.
    let ports = unsafe { &mut *ports };
    let port = if side == Side::SOURCE { &mut ports[0] } else { &mut ports[1] };
    let new = if end.port == 0 { *port } else { end.port };
    let change = change.and(*port, new);
    *port = new;
    let tcp = packet.key.service.protocol == PROTOCOL_TCP;
    let checksum = frame.at::<u16>(at + if tcp { TCP_CHECKSUM } else { UDP_CHECKSUM } as usize)?;
    // SAFETY: as above.
    let checksum = unsafe { &mut *checksum };
    *checksum = if tcp { change.of(*checksum) } else { change.of_udp(*checksum) };
    Some(())
}

/// What an ICMP error quotes, and the error's own checksum. `outer` is what changes in its pseudo-header.
#[inline(always)]
fn quote(frame: Frame, packet: &Packet, end: &End, side: Side, outer: Change) -> Option<()> {
    let message = packet.l4;
    let at = message + size_of::<IcmpHeader>() as u32;
    let v4 = packet.key.service.family == FAMILY_V4;
    let quoted = if v4 { quoted4(frame, at, end, side)? } else { quoted6(frame, at, end, side)? };
    let change = quoted_transport(frame, packet, &quoted, end, side)?;
    let checksum: u16 = frame.load(message + ICMP_CHECKSUM)?;
    store(frame, message + ICMP_CHECKSUM, outer.and_all(change).of(checksum))
}

/// What is known of a quote whose address has been rewritten.
struct Quoted {
    /// What that changes in the sums that cover the address.
    address: Change,
    /// What it changes in the quote.
    change: Change,
    /// Where the quoted transport header is.
    transport: u32,
    protocol: u8,
}

#[inline(always)]
fn quoted4(frame: Frame, at: u32, end: &End, side: Side) -> Option<Quoted> {
    let ip: Ipv4Header = frame.load(at)?;
    let old = if side == Side::SOURCE { ip.source } else { ip.destination };
    let address = Change::NONE.and_word(old, end.address[0]);
    let checksum = address.of(ip.checksum);
    store(frame, at + IPV4_SOURCE + side.of(size_of::<u32>()), end.address[0])?;
    store(frame, at + IPV4_CHECKSUM, checksum)?;
    let transport = at + u32::from(ip.version_ihl & 0xf) * 4;
    Some(Quoted { address, change: address.and(ip.checksum, checksum), transport, protocol: ip.protocol })
}

#[inline(always)]
fn quoted6(frame: Frame, at: u32, end: &End, side: Side) -> Option<Quoted> {
    let place = at + IPV6_SOURCE + side.of(size_of::<[u32; 4]>());
    let mut address = Change::NONE;
    // Word by word: the stack is short here.
    for (word, new) in (0..).zip(&end.address) {
        let place = place + word * size_of::<u32>() as u32;
        address = address.and_word(frame.load(place)?, *new);
        store(frame, place, *new)?;
    }
    let header: [u8; 8] = frame.load(at)?;
    let transport = at + size_of::<Ipv6Header>() as u32;
    Some(Quoted { address, change: address, transport, protocol: header[6] })
}

/// The quoted port, and the quoted checksum where the quote has it. What changes in the whole quote.
#[inline(always)]
fn quoted_transport(frame: Frame, packet: &Packet, quoted: &Quoted, end: &End, side: Side) -> Option<Change> {
    let place = quoted.transport + side.of(size_of::<u16>());
    let old: u16 = frame.load(place)?;
    let new = if end.port == 0 { old } else { end.port };
    store(frame, place, new)?;
    let covered = quoted.address.and(old, new);
    let change = quoted.change.and(old, new);
    let udp = quoted.protocol == PROTOCOL_UDP;
    let place = quoted.transport + if udp { UDP_CHECKSUM } else { TCP_CHECKSUM };
    if place + size_of::<u16>() as u32 > packet.l3 as u32 + packet.length {
        return Some(change);
    }
    let old: u16 = frame.load(place)?;
    let new = if udp { covered.of_udp(old) } else { covered.of(old) };
    store(frame, place, new)?;
    Some(change.and(old, new))
}

/// Writes a value at an offset, wherever that is.
#[inline(always)]
fn store<T>(frame: Frame, offset: u32, mut value: T) -> Option<()> {
    let (from, size) = ((&raw mut value).cast(), size_of::<T>() as u32);
    // SAFETY: the helper reads `size` bytes of `value`, or fails.
    let result = unsafe { bpf_xdp_store_bytes(frame.0, offset, from, size) };
    (result == 0).then_some(())
}
