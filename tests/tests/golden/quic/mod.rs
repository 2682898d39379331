//! Services of which packets go by their QUIC connection ids. The ring leads to the near real, and ids to others.

pub mod configs;
pub mod encodings;
pub mod headers;
pub mod others;
pub mod servers;

use lb_common::{Event, QUIC_CLEAR, SERVICE_QUIC};
use lb_tests::model::{QuicRow, State};
use lb_tests::packet::Packet;
use lb_tests::quic_lb::connection_id;

use crate::case::{Case, Expect};
use crate::services::*;
use crate::world::*;

/// The key of most of the draft's test vectors.
pub const KEY: [u8; 16] =
    [0x8f, 0x95, 0xf0, 0x92, 0x45, 0x76, 0x5f, 0x80, 0x25, 0x69, 0x34, 0xe5, 0x0c, 0x66, 0x20, 0x7f];
/// The server id of the far real in most cases.
pub const ID: [u8; 3] = [0xed, 0x79, 0x3a];
pub const NONCE: [u8; 4] = [0xee, 0x08, 0x0d, 0xbf];
/// Bytes of a connection id that are looked at.
pub const CID: usize = 20;
/// Bytes before the connection id in a long header and in a short one.
pub const LONG: usize = 6;
pub const SHORT: usize = 1;

pub fn service(family: u8) -> u32 {
    if family == V4 { DSR_V4_UDP } else { DSR_V6_UDP }
}

pub fn row(encoding: u8, server_id_length: u8, nonce_length: u8) -> QuicRow {
    QuicRow { encoding, offset: 1, server_id_length, nonce_length, key: KEY }
}

/// [`ID`] and [`NONCE`] in the clear, config 0.
pub fn clear() -> QuicRow {
    row(QUIC_CLEAR, 3, 4)
}

/// The service goes by connection ids of this row, and these server ids are reals'.
pub fn quic(service: u32, config: u32, row: QuicRow, ids: &[(&[u8], u16)]) -> impl Fn(&mut State) + use<> {
    let ids: Vec<(Vec<u8>, u16)> = ids.iter().map(|(id, real)| (id.to_vec(), *real)).collect();
    move |world| {
        world.set_flags(service, SERVICE_QUIC);
        world.add_quic(service, config, row);
        for (id, real) in &ids {
            world.add_quic_server(service, id, (*real).into());
        }
    }
}

/// The usual world: [`ID`] in the clear is the far real's.
pub fn usual(family: u8) -> impl Fn(&mut State) {
    quic(service(family), 0, clear(), &[(&ID, far(family))])
}

pub fn quic_case(name: &str, family: u8, change: impl FnOnce(&mut State)) -> Case {
    more_case(format!("quic v{family}, {name}"), change)
}

/// The usual connection id.
pub fn usual_id() -> Vec<u8> {
    connection_id(&clear(), 0, &ID, &NONCE)
}

/// A datagram with a long header. It is as long as is looked at, and one byte more.
pub fn long(id: &[u8]) -> Vec<u8> {
    filled([&[0xc3, 0, 0, 0, 1, id.len() as u8], id].concat(), LONG + CID + 1)
}

/// A datagram with a short header. It is as long as is looked at, and one byte more.
pub fn short(id: &[u8]) -> Vec<u8> {
    filled([&[0x41], id].concat(), SHORT + CID + 1)
}

pub fn filled(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    while bytes.len() < length {
        bytes.push((0x60 + bytes.len()) as u8);
    }
    bytes
}

pub fn packet(family: u8, datagram: &[u8]) -> Packet {
    from_client(family, UDP, DSR_PORT).data(datagram)
}

/// It goes to the real, without a word on connection ids.
pub fn goes(packet: &Packet, service: u32, real: u16) -> Expect {
    sent(&dsr(packet, real), service, real, packet.ip_length() as u64)
}

/// It goes to the far real, which its connection id names.
pub fn routed(family: u8, packet: &Packet) -> Expect {
    goes(packet, service(family), far(family)).event(Event::QuicRouted)
}

/// It goes to the near real, as its flow does.
pub fn unrouted(family: u8, packet: &Packet) -> Expect {
    goes(packet, service(family), near(family)).event(Event::QuicUnrouted)
}

/// A datagram in the usual world.
pub fn one(name: &str, family: u8, datagram: &[u8], is_routed: bool) -> Case {
    one_in(name, family, usual(family), datagram, is_routed)
}

/// A datagram in another world.
pub fn one_in(name: &str, family: u8, change: impl FnOnce(&mut State), datagram: &[u8], is_routed: bool) -> Case {
    let packet = packet(family, datagram);
    let expect = if is_routed { routed(family, &packet) } else { unrouted(family, &packet) };
    quic_case(name, family, change).send(&packet, expect)
}
