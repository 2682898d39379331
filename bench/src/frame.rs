//! The frame of a case: the packet, and behind it what the programs need from round to round.

use std::{
    mem::offset_of,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, Result};
use lb_common::FlowKey;
use lb_core::service::Protocol;
use lb_tests::{packet::Packet, world::flow_key};

use crate::{
    case::{Case, Extra},
    state::{ADDRESS_BITS, FIRST_PORT, FRAME_LENGTH, STATE_AT, State},
    world::address,
};

/// The port of every service.
pub const PORT: u16 = 80;
/// The first client: 198.18.0.0 or 2001:db8:c::c612:0.
const CLIENT: u32 = 0xc612_0000;
const CLIENT_NETWORK: [u16; 6] = [0x2001, 0xdb8, 0xc, 0, 0, 0];
const ETHERNET_LENGTH: usize = 14;
/// Bytes behind the IP header: an IPv4 packet of 46 bytes just fills the shortest Ethernet frame.
const PAYLOAD: usize = 26;
const TCP: usize = 20;
const UDP: usize = 8;
const SCTP: usize = 12;

/// The frame with which a case begins.
///
/// # Errors
/// The headers do not fit: the bench itself is wrong.
pub fn first(case: &Case, next: u64, wanted: u32) -> Result<Vec<u8>> {
    let (from, to) = ends(case);
    let packet = Packet::ip(from, to);
    let packet = match (case.front.protocol(), case.front.extra) {
        (_, Extra::Quic(cid)) => packet.udp(FIRST_PORT, PORT).data(&cid.packet()),
        (Protocol::Tcp, _) => packet.tcp(FIRST_PORT, PORT, case.flags).payload(PAYLOAD - TCP),
        (Protocol::Udp, _) => packet.udp(FIRST_PORT, PORT).payload(PAYLOAD - UDP),
        (Protocol::Sctp, _) => packet.sctp(FIRST_PORT, PORT).payload(PAYLOAD - SCTP),
    };
    let mut frame = packet.bytes();
    let state = encode(&State {
        next,
        // No number of a flow ever is one below it.
        flows: case.flows.map_or(0, u64::from),
        met: 0,
        wanted,
        client: last_word(from),
        macs: words(&frame)?,
        ether_type: u32::from(u16::from_ne_bytes([frame[12], frame[13]])),
        headers: words(&frame[ETHERNET_LENGTH..])?,
        reserved: 0,
    });
    frame.resize(STATE_AT, 0);
    frame.extend(state);
    Ok(frame)
}

/// The next flow, and the rounds that had the wanted verdict, of a frame that has come back.
///
/// # Errors
/// The frame is not as long as it was: some round left it with an outer header or cut.
pub fn outcome(frame: &[u8]) -> Result<(u64, u64)> {
    let state = frame.get(STATE_AT..FRAME_LENGTH).filter(|_| frame.len() == FRAME_LENGTH);
    let state = state.with_context(|| format!("the frame has {} bytes instead of {FRAME_LENGTH}", frame.len()))?;
    let field = |at: usize| state[at..].first_chunk().copied().map(u64::from_ne_bytes).context("no such field");
    Ok((field(offset_of!(State, next))?, field(offset_of!(State, met))?))
}

/// The key of flow `number` of the case.
#[must_use]
pub fn key(case: &Case, number: u32) -> FlowKey {
    let (address, port) = client(case.front.vip, number);
    let port = if case.front.extra == Extra::Affinity { PORT } else { port };
    flow_key((address, port), (case.front.vip, PORT), case.front.protocol().number())
}

/// The first packet's source and destination.
fn ends(case: &Case) -> (IpAddr, IpAddr) {
    let first = client(case.front.vip, 0).0;
    if case.front.extra == Extra::Reply { (address(case.front.reals_v6, 1), first) } else { (first, case.front.vip) }
}

fn last_word(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => address.to_bits() as u32,
    }
}

/// The client of flow `number`, as the programs make it.
pub fn client(vip: IpAddr, number: u32) -> (IpAddr, u16) {
    let address = CLIENT + (number & ((1 << ADDRESS_BITS) - 1));
    let port = FIRST_PORT.wrapping_add((number >> ADDRESS_BITS) as u16);
    if vip.is_ipv4() {
        return (Ipv4Addr::from_bits(address).into(), port);
    }
    let [a, b, c, d, e, f] = CLIENT_NETWORK;
    (Ipv6Addr::new(a, b, c, d, e, f, (address >> 16) as u16, address as u16).into(), port)
}

/// The first bytes as words; all zero where they are fewer.
fn words<const N: usize>(bytes: &[u8]) -> Result<[u32; N]> {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes(bytes.try_into().context("four bytes")?);
    }
    Ok(words)
}

/// The state's bytes, field by field.
fn encode(state: &State) -> Vec<u8> {
    let longs = [state.next, state.flows, state.met].into_iter().flat_map(u64::to_ne_bytes);
    let single = [state.wanted, state.client];
    let words = single.iter().chain(&state.macs).chain([&state.ether_type]).chain(&state.headers);
    longs.chain(words.chain([&state.reserved]).flat_map(|word| word.to_ne_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;

    #[test]
    fn a_frame_is_as_long_as_the_programs_expect_and_tells_its_state() {
        for case in case::all() {
            let frame = first(&case, 7, 3).unwrap();
            assert_eq!(frame.len(), FRAME_LENGTH, "{}", case.name);
            assert_eq!(outcome(&frame).unwrap(), (7, 0), "{}", case.name);
            assert!(outcome(&frame[20..]).is_err(), "{}", case.name);
        }
    }
}
