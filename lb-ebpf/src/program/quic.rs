//! QUIC services: from a packet's connection id to the real that it names (docs/reference/forwarding.md section 14).

use aya_ebpf::bindings::xdp_md;
use lb_common::{NO_REAL, QUIC_CID, QUIC_PLAIN, QuicKey, quic::CID_WORDS, quic::server_key};

use super::{
    flow,
    frame::Frame,
    maps::{QUIC, QUIC_SERVERS, SERVICE_OPTIONS},
    packet::Packet,
};

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: u32 = 8;
/// Of a QUIC packet's first byte: it has a long header (RFC 8999 section 5.1).
const LONG: u8 = 0x80;
/// Where a long header has the connection id, and before it its length.
const LONG_CID: u32 = 6;
/// Where a short header has the connection id (RFC 8999 section 5.2).
const SHORT_CID: u32 = 1;
/// A short header does not say how long the connection id is: longer than any that is looked for.
const ANY_LENGTH: u32 = 255;

/// Where a packet for a QUIC service is in its frame.
#[derive(Clone, Copy)]
pub struct Place {
    /// Offset of the UDP header.
    pub udp: u32,
    /// Offset of what follows the packet: padding, or nothing.
    pub end: u32,
}

impl Place {
    #[inline(always)]
    pub fn of(packet: &Packet) -> Self {
        Self { udp: packet.transport(), end: packet.network() as u32 + packet.length }
    }
}

/// The real that the connection id of a packet for `service` names, where it is alive; else [`NO_REAL`]. Only reads.
#[inline(always)]
pub fn named(frame: Frame, service: u32, place: Place) -> u16 {
    quic_named(frame.0, service, place.udp, place.end) as u16
}

/// As [`named`]. Global; not a part of the decision, so that their stacks do not add up.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn quic_named(ctx: *mut xdp_md, service: u32, udp: u32, end: u32) -> u32 {
    real(Frame(ctx), service, Place { udp, end }).unwrap_or(NO_REAL).into()
}

#[inline(always)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
fn real(frame: Frame, service: u32, place: Place) -> Option<u16> {
    let (cid, length) = connection_id(frame, place)?;
    let key = QuicKey { service, config: config(service, cid)? };
    // SAFETY: the row is read at once. One that is changed meanwhile names another real at worst, or none: for this packet.
    let row = unsafe { QUIC.get(&key) }?;
    let server = server_key(service, row, cid, length)?;
    // SAFETY: the value is copied at once.
    let real = u16::try_from(unsafe { QUIC_SERVERS.get(&server) }.copied()?).ok()?;
    if flow::alive(real) { Some(real) } else { None }
}

/// The first [`QUIC_CID`] bytes of the connection id, and its length as the packet says it.
#[inline(always)]
fn connection_id(frame: Frame, place: Place) -> Option<([u32; CID_WORDS], u32)> {
    let quic = place.udp + UDP_HEADER;
    let [first, .., length] = frame.load::<[u8; LONG_CID as usize]>(quic)?;
    let (before, length) = if first & LONG != 0 { (LONG_CID, length.into()) } else { (SHORT_CID, ANY_LENGTH) };
    let cid = quic + before;
    if cid + QUIC_CID as u32 > place.end {
        return None;
    }
    Some((frame.load(cid)?, length))
}

/// Which row of `quic` says how the connection id is read.
#[inline(always)]
fn config(service: u32, [first, ..]: [u32; CID_WORDS]) -> Option<u32> {
    let configs = u32::from(SERVICE_OPTIONS.get(service)?.quic);
    let config = if configs & (1 << QUIC_PLAIN) != 0 { QUIC_PLAIN } else { u32::from_be(first) >> 29 };
    if configs >> config & 1 != 0 { Some(config) } else { None }
}
