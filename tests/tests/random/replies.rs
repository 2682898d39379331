//! Random frames of reals and of routers before them, for clients.

use std::net::IpAddr;

use fastrand::Rng;
use lb_common::{FAMILY_V4, FAMILY_V6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};
use lb_tests::packet::{Layer, Packet, Udp, checksum_of_parts};
use lb_tests::world::address_of;

use crate::frames::{client_port, error_about, fragment_of, ip, length, quoted, router, transport};
use crate::nat::{ALL_CLIENTS, REAL_PORT, REAL_PORTS, UNKNOWN_CLIENT};
use crate::prefixes;
use crate::world::{CLIENTS, NAT_PORT, client, family_of, real_address, reals_of, vip};

/// A real's packet, whole.
pub fn whole(rng: &mut Rng) -> Packet {
    let family = family(rng);
    let (source, destination) = (real(rng, family), any_client(rng, family));
    let header = from_real(rng, source);
    let packet = ip(rng, source, destination).layer(header);
    let length = length(rng);
    packet.payload(length)
}

/// A fragment of a real's packet.
pub fn fragment(rng: &mut Rng) -> Packet {
    let family = family(rng);
    let (source, destination) = (real(rng, family), client(family, rng.u16(..CLIENTS + 1)));
    let header = from_real(rng, source);
    fragment_of(rng, source, destination, header)
}

/// About a packet that a client has sent to a real.
pub fn icmp_error(rng: &mut Rng) -> Packet {
    let family = family(rng);
    let (real, to) = (real(rng, family), any_client(rng, family));
    let from = if rng.bool() { real } else { router(rng, family) };
    let (protocol, source_port, port) = (protocol(rng), client_port(rng), port(rng));
    let source = if rng.u8(..12) == 0 { any_client(rng, family) } else { to };
    let mut about = quoted(rng, (source, source_port), (real, port), protocol);
    for layer in &mut about.layers {
        if let Layer::Udp(header) = layer
            && rng.u8(..8) == 0
        {
            header.checksum = Some(becomes_zero(real, header.destination));
        }
    }
    error_about(rng, from, to, &about)
}

/// What is neither.
pub fn other(rng: &mut Rng) -> Packet {
    let family = family(rng);
    let (source, destination) = (real(rng, family), client(family, 0));
    let packet = ip(rng, source, destination);
    let (kind, rest) = (rng.u8(..), rng.u32(..).to_be_bytes());
    let packet = if family == FAMILY_V4 { packet.icmp(kind, 0, rest) } else { packet.icmp6(kind, 0, rest) };
    packet.payload(rng.usize(..80))
}

/// A reply to a client whose MAC address the kernel does not know.
pub fn of_unknown_client(rng: &mut Rng) -> Packet {
    let family = family(rng);
    let source = real(rng, family);
    Packet::ip(source, client(family, UNKNOWN_CLIENT)).udp(REAL_PORT, client_port(rng))
}

fn family(rng: &mut Rng) -> u8 {
    if rng.bool() { FAMILY_V4 } else { FAMILY_V6 }
}

/// A real mostly.
fn real(rng: &mut Rng, family: u8) -> IpAddr {
    if rng.u8(..30) == 0 { router(rng, family) } else { real_address(rng.u16(reals_of(family))) }
}

/// A client that the kernel has a way to, mostly; or one of a prefix.
fn any_client(rng: &mut Rng, family: u8) -> IpAddr {
    if rng.u8(..12) == 0 {
        return prefixes::any_address(rng, family);
    }
    let all = if rng.u8(..3) == 0 { ALL_CLIENTS } else { CLIENTS };
    client(family, rng.u16(..all))
}

fn port(rng: &mut Rng) -> u16 {
    if rng.u8(..20) == 0 { rng.u16(7_998..8_013) } else { REAL_PORTS[rng.usize(..REAL_PORTS.len())] }
}

fn protocol(rng: &mut Rng) -> u8 {
    match rng.u8(..20) {
        0 => PROTOCOL_SCTP,
        1..=10 => PROTOCOL_TCP,
        _ => PROTOCOL_UDP,
    }
}

fn from_real(rng: &mut Rng, real: IpAddr) -> Layer {
    let (protocol, source, destination) = (protocol(rng), port(rng), client_port(rng));
    if protocol == PROTOCOL_UDP && rng.u8(..8) == 0 {
        return Layer::Udp(Udp { source, destination, length: None, checksum: Some(becomes_zero(real, source)) });
    }
    transport(rng, protocol, source, destination)
}

/// A checksum that is 0 when the real's address and port have become those of the first VIP: the sum of ~m and m' (RFC 1624).
fn becomes_zero(real: IpAddr, port: u16) -> u16 {
    let words = |address: IpAddr, port: u16| {
        let (bytes, family) = address_of(address);
        [&bytes[..if family == FAMILY_V4 { 4 } else { 16 }], &port.to_be_bytes()].concat()
    };
    let before: Vec<u8> = words(real, port).iter().map(|byte| !byte).collect();
    !checksum_of_parts(&[&before, &words(vip(family_of(real), 0), NAT_PORT)])
}
