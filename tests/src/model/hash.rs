//! Section 4, "Slot": the flow hash, from the page and not from `lb_common`.

use lb_common::{FAMILY_V4, FlowKey, RING_SLOTS};

const SEED: u64 = 0x756e_6465_7273_7475;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const FINAL_MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// The hash of a flow.
#[must_use]
pub fn flow_hash(key: &FlowKey) -> u32 {
    let client = &key.client;
    let vip = &key.service.vip;
    let addresses = if key.service.family == FAMILY_V4 {
        mix(SEED, word(&[&client[..4], &vip[..4]].concat()))
    } else {
        let halves = [&client[..8], &client[8..], &vip[..8], &vip[8..]];
        halves.into_iter().fold(SEED, |h, half| mix(h, word(half)))
    };
    let ports = u64::from(key.client_port)
        | u64::from(key.service.port) << 16
        | u64::from(key.service.protocol) << 32
        | u64::from(key.service.family) << 40;
    (mix(addresses, ports).wrapping_mul(FINAL_MULTIPLIER) >> 32) as u32
}

/// The hash that gives a flow's second slot.
#[must_use]
pub fn second_hash(hash: u32) -> u32 {
    (mix(SEED, u64::from(hash)).wrapping_mul(FINAL_MULTIPLIER) >> 32) as u32
}

/// Section 13, "One packet": the hash that gives the slot of a packet that goes by itself.
#[must_use]
pub fn one_packet_hash(hash: u32, count: u64) -> u32 {
    (mix(u64::from(hash), count).wrapping_mul(FINAL_MULTIPLIER) >> 32) as u32
}

/// The slot of a hash.
#[must_use]
pub fn slot_of(hash: u32) -> u32 {
    ((u64::from(hash) * u64::from(RING_SLOTS)) >> 32) as u32
}

fn mix(h: u64, w: u64) -> u64 {
    let p = (h ^ w).wrapping_mul(MULTIPLIER);
    p ^ (p >> 32)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::{FAMILY_V6, ServiceKey};

    /// Hash, count, and the hash and the slot that they give.
    const PACKETS_OF_THE_PAGE: [(u32, u64, u32, u32); 5] = [
        (0x7b9b_10dd, 0, 0x996f_f585, 39_280),
        (0x7b9b_10dd, 1, 0xc6a6_a4f1, 50_855),
        (0xa757_c11d, 0, 0xc512_8e1d, 50_451),
        (0xa757_c11d, 41, 0xf0de_fb47, 61_663),
        (0x52ca_6431, 1 << 32, 0x95ad_fa2e, 38_318),
    ];

    fn key(family: u8, seed: u8) -> FlowKey {
        let mut client = [0; 16];
        let mut vip = [0; 16];
        let used = if family == FAMILY_V4 { 4 } else { 16 };
        for at in 0..used {
            client[at] = seed.wrapping_mul(31).wrapping_add(at as u8);
            vip[at] = seed.wrapping_mul(17).wrapping_add(100 + at as u8);
        }
        let service = ServiceKey { vip, port: 443, protocol: 6, family };
        FlowKey { client, service, client_port: 1024 + u16::from(seed), reserved: 0 }
    }

    #[test]
    fn a_word_is_little_endian() {
        assert_eq!(word(&[1, 2, 0, 0, 0, 0, 0, 0x80]), 0x8000_0000_0000_0201);
    }

    #[test]
    fn the_last_hash_gives_the_last_slot() {
        assert_eq!(slot_of(0), 0);
        assert_eq!(slot_of(u32::MAX), RING_SLOTS - 1);
    }

    #[test]
    fn every_part_of_the_key_counts() {
        for family in [FAMILY_V4, FAMILY_V6] {
            let base = key(family, 1);
            let mut others = [base; 5];
            others[0].client[1] ^= 1;
            others[1].service.vip[2] ^= 1;
            others[2].client_port ^= 1;
            others[3].service.port ^= 1;
            others[4].service.protocol = 17;
            for other in others {
                assert_ne!(flow_hash(&base), flow_hash(&other));
            }
        }
    }

    /// The table of the page.
    #[test]
    fn packets_that_go_by_themselves_have_the_slots_of_the_page() {
        for (hash, count, one, slot) in PACKETS_OF_THE_PAGE {
            assert_eq!(one_packet_hash(hash, count), one, "{hash:#x}, {count}");
            assert_eq!(slot_of(one), slot);
        }
    }

    /// Two implementations of one page: this one and the one that the program and the daemon share.
    #[test]
    fn the_shared_hash_is_the_same() {
        for family in [FAMILY_V4, FAMILY_V6] {
            for seed in 0..=255 {
                let key = key(family, seed);
                assert_eq!(flow_hash(&key), lb_common::flow_hash(&key));
                assert_eq!(slot_of(flow_hash(&key)), lb_common::slot_of(flow_hash(&key)));
                assert_eq!(second_hash(flow_hash(&key)), lb_common::second_hash(flow_hash(&key)));
                for count in [0, 1, u64::from(seed), u64::MAX - u64::from(seed)] {
                    let hash = flow_hash(&key);
                    assert_eq!(one_packet_hash(hash, count), lb_common::one_packet_hash(hash, count));
                }
            }
        }
    }
}
