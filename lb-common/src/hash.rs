//! From a flow to its slot. Both nodes of a pair, and a program and its successor, must agree on it:
//! a change here moves every flow, and raises [`crate::ABI_VERSION`].

use crate::abi::{FAMILY_V4, FlowKey, RING_SLOTS, SERVICE_INDEX_ROWS, ServiceKey};

const SEED: u64 = 0x756e_6465_7273_7475;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const FINAL_MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// The 32-bit hash of a flow: of its addresses, ports, protocol and family.
///
/// Each 64-bit word is xored in, multiplied and folded; docs/reference/forwarding.md has the definition and vectors.
/// It is not keyed: who knows it can aim flows at a slot, as with every ECMP hash in common use.
#[inline(always)]
#[must_use]
pub fn flow_hash(key: &FlowKey) -> u32 {
    let ports = u64::from(key.client_port) | service_word(&key.service) << 16;
    if key.service.family == FAMILY_V4 {
        return flow_hash_v4(word4(&key.client, &key.service.vip), ports);
    }
    let words =
        [&key.client, &key.service.vip].map(|address| (word8(address.first_chunk()), word8(address.last_chunk())));
    let [(client, client_end), (vip, vip_end)] = words;
    flow_hash_v6([client, client_end, vip, vip_end], ports)
}

/// [`flow_hash`] of an IPv4 flow of which the words are at hand: client and VIP, and the ports with protocol and family.
#[inline(always)]
#[must_use]
pub const fn flow_hash_v4(addresses: u64, ports: u64) -> u32 {
    finish(mix(SEED, addresses), ports)
}

/// [`flow_hash`] of an IPv6 flow of which the words are at hand.
#[inline(always)]
#[must_use]
pub const fn flow_hash_v6([client, client_end, vip, vip_end]: [u64; 4], ports: u64) -> u32 {
    finish(mix(mix(mix(mix(SEED, client), client_end), vip), vip_end), ports)
}

#[inline(always)]
const fn finish(hash: u64, ports: u64) -> u32 {
    (mix(hash, ports).wrapping_mul(FINAL_MULTIPLIER) >> 32) as u32
}

/// Port, protocol and family of a service as one word.
#[inline(always)]
fn service_word(key: &ServiceKey) -> u64 {
    u64::from(key.port) | u64::from(key.protocol) << 16 | u64::from(key.family) << 24
}

/// The slot of a flow with this hash: the hash scaled to the ring's size, which costs a multiplication and no division.
#[inline(always)]
#[must_use]
pub const fn slot_of(hash: u32) -> u32 {
    ((hash as u64 * RING_SLOTS as u64) >> 32) as u32
}

/// The hash that gives a flow's second slot, from its first: the flows of one slot have second slots all over the ring.
#[inline(always)]
#[must_use]
pub const fn second_hash(hash: u32) -> u32 {
    finish(SEED, hash as u64)
}

/// The hash that gives the slot of the `count`th packet of a flow with this hash, where each packet goes by itself.
#[inline(always)]
#[must_use]
pub const fn one_packet_hash(hash: u32, count: u64) -> u32 {
    finish(hash as u64, count)
}

/// The outer UDP source port of a flow with this hash, in `gue` mode: of the range that RFC 6335 section 6 leaves to everybody.
#[inline(always)]
#[must_use]
pub const fn gue_source_port(hash: u32) -> u16 {
    0xc000 | (hash as u16 & 0x3fff)
}

/// The row of a service in the index of services.
#[inline(always)]
#[must_use]
pub fn service_row(key: &ServiceKey) -> u32 {
    let vip = [word8(key.vip.first_chunk()), word8(key.vip.last_chunk())];
    service_row_of(vip, service_word(key))
}

/// [`service_row`] of a service of which the words are at hand: the VIP, and port, protocol and family.
#[inline(always)]
#[must_use]
pub const fn service_row_of([vip, vip_end]: [u64; 2], rest: u64) -> u32 {
    // Two multiplications apart, lest addresses that differ in one half only hide behind ports.
    let hash = (SEED ^ vip ^ rest << 32).wrapping_mul(MULTIPLIER) ^ vip_end.wrapping_mul(FINAL_MULTIPLIER);
    (hash >> (u64::BITS - SERVICE_INDEX_ROWS.ilog2())) as u32
}

#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(MULTIPLIER);
    product ^ (product >> 32)
}

/// The first four bytes of each address as one little-endian word.
#[inline(always)]
fn word4(low: &[u8; 16], high: &[u8; 16]) -> u64 {
    // As two 32-bit loads: byte by byte LLVM would keep them apart.
    let [low, high] = [low, high].map(|address| match address.first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    });
    u64::from(low) | u64::from(high) << 32
}

/// Eight bytes of an address, its first or its last, as a little-endian word.
#[inline(always)]
fn word8(bytes: Option<&[u8; 8]>) -> u64 {
    match bytes {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
}

#[cfg(test)]
mod tests;
