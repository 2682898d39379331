//! Connection ids as QUIC servers make them (draft-ietf-quic-load-balancers-21, section 5), half byte by half byte: they say which server
//! they are of.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use lb_common::{QUIC_FOUR_PASSES, QUIC_ONE_PASS};

use crate::model::QuicRow;

/// The connection id of a server, as long as the row says: its first byte has the config and the length of the rest. Server id and nonce
/// have the row's lengths.
#[must_use]
pub fn connection_id(row: &QuicRow, config: u8, server_id: &[u8], nonce: &[u8]) -> Vec<u8> {
    let plain = [server_id, nonce].concat();
    let mut id = vec![config << 5 | plain.len() as u8];
    id.extend(match row.encoding {
        QUIC_ONE_PASS => encrypted(&row.key, &plain),
        QUIC_FOUR_PASSES => four_passes(&row.key, &plain),
        _ => plain,
    });
    id
}

fn encrypted(key: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut block = Block::default();
    block[..plain.len()].copy_from_slice(plain);
    Aes128::new(&(*key).into()).encrypt_block(&mut block);
    block.to_vec()
}

/// Section 5.4.2: halves of as many half bytes as there are bytes.
fn four_passes(key: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let half_bytes: Vec<u8> = plain.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    let (left, right) = half_bytes.split_at(plain.len());
    let (mut left, mut right) = (left.to_vec(), right.to_vec());
    for (pass, is_left) in [(1, false), (2, true), (3, false), (4, true)] {
        let from = if is_left { bytes_of_right(&right) } else { bytes_of_left(&left) };
        let mut block = from;
        block.resize(14, 0);
        block.extend([plain.len() as u8, pass]);
        let mask = encrypted(key, &block);
        let mask = mask.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        // The right half begins in the middle of a byte where it has an odd number of them.
        let skipped = if is_left { 0 } else { plain.len() % 2 };
        let half = if is_left { &mut left } else { &mut right };
        half.iter_mut().zip(mask.skip(skipped)).for_each(|(half_byte, mask)| *half_byte ^= mask);
    }
    [left, right].concat().chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn bytes_of_left(half: &[u8]) -> Vec<u8> {
    half.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect()
}

fn bytes_of_right(half: &[u8]) -> Vec<u8> {
    half.rchunks(2).rev().map(|pair| pair.iter().fold(0, |byte, half_byte| byte << 4 | half_byte)).collect()
}

/// Bytes by two hexadecimal digits each. Panics on others.
#[must_use]
pub fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16);
    (0..digits.len()).step_by(2).map(|at| byte(at).expect("hexadecimal digits")).collect()
}

#[cfg(test)]
mod tests {
    use lb_common::QUIC_CLEAR;

    use super::*;

    const KEY: &str = "8f95f09245765f80256934e50c66207f";
    const OTHER: &str = "fdf726a9893ec05c0632d3956680baf0";

    /// The draft's test vectors (appendix B, section 5.4.2.4), as `docs/reference/forwarding.md` has them.
    #[test]
    fn connection_ids_of_the_draft() {
        for (encoding, config, key, server_id, nonce, id) in [
            (QUIC_CLEAR, 0, KEY, "c4605e", "4504cc4f", "07c4605e4504cc4f"),
            (QUIC_FOUR_PASSES, 0, KEY, "ed793a", "ee080dbf", "0720b1d07b359d3c"),
            (QUIC_FOUR_PASSES, 1, KEY, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"),
            (QUIC_ONE_PASS, 2, KEY, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
            (
                QUIC_FOUR_PASSES,
                0,
                KEY,
                "ed793a51d49b8f5fab",
                "ee080dbf48c0d1e55d",
                "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc",
            ),
            (QUIC_FOUR_PASSES, 0, OTHER, "31441a", "9c69c275", "0767947d29be054a"),
        ] {
            let key = hex(key).try_into().unwrap();
            let row = QuicRow { encoding, key, ..QuicRow::default() };
            assert_eq!(connection_id(&row, config, &hex(server_id), &hex(nonce)), hex(id), "{id}");
        }
    }
}
