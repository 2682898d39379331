//! From a flow to its slot. Both nodes of a pair, and a program and its successor, must agree on it:
//! a change here moves every flow, and raises [`crate::ABI_VERSION`].

use crate::abi::{FAMILY_V4, FlowKey, RING_SLOTS};

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
    let ports = u64::from(key.client_port)
        | u64::from(key.service.port) << 16
        | u64::from(key.service.protocol) << 32
        | u64::from(key.service.family) << 40;
    let hash = if key.service.family == FAMILY_V4 {
        mix(SEED, word4(&key.client, &key.service.vip))
    } else {
        let hash = mix(mix(SEED, word8(key.client.first_chunk())), word8(key.client.last_chunk()));
        mix(mix(hash, word8(key.service.vip.first_chunk())), word8(key.service.vip.last_chunk()))
    };
    (mix(hash, ports).wrapping_mul(FINAL_MULTIPLIER) >> 32) as u32
}

/// The slot of a flow with this hash: the hash scaled to the ring's size, which costs a multiplication and no division.
#[inline(always)]
#[must_use]
pub const fn slot_of(hash: u32) -> u32 {
    ((hash as u64 * RING_SLOTS as u64) >> 32) as u32
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
