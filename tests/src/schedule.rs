//! AES-128 key schedules (FIPS 197) as the map `quic` holds them, from the standard and not from `lb_common`.

use lb_common::AES_SCHEDULE;

const KEY_WORDS: usize = 4;
const ROUNDS: usize = 10;

/// The schedule of the cipher (section 5.2), a word's first byte in its highest bits.
#[must_use]
pub fn encrypting(key: &[u8; 16]) -> [u32; AES_SCHEDULE] {
    let mut words = [0; AES_SCHEDULE];
    for (at, bytes) in key.chunks_exact(4).enumerate() {
        words[at] = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let mut round_constant = 1;
    for at in KEY_WORDS..AES_SCHEDULE {
        let mut word: u32 = words[at - 1];
        if at % KEY_WORDS == 0 {
            word = substituted(word.rotate_left(8)) ^ u32::from(round_constant) << 24;
            round_constant = doubled(round_constant);
        }
        words[at] = words[at - KEY_WORDS] ^ word;
    }
    words
}

/// The schedule of the equivalent inverse cipher (section 5.3.5), in the order in which its rounds use it.
#[must_use]
pub fn decrypting(key: &[u8; 16]) -> [u32; AES_SCHEDULE] {
    let cipher = encrypting(key);
    let mut words = [0; AES_SCHEDULE];
    for round in 0..=ROUNDS {
        for column in 0..4 {
            let word = cipher[4 * (ROUNDS - round) + column];
            words[4 * round + column] = if round == 0 || round == ROUNDS { word } else { columns_unmixed(word) };
        }
    }
    words
}

/// SubWord.
fn substituted(word: u32) -> u32 {
    u32::from_be_bytes(word.to_be_bytes().map(substitute))
}

/// The S-box (section 5.1.1): the inverse, and an affine transformation of it.
fn substitute(byte: u8) -> u8 {
    let inverse = (0..=255).find(|other| product(byte, *other) == 1).unwrap_or(0);
    (0..5).fold(0x63, |sum, by| sum ^ inverse.rotate_left(by))
}

/// InvMixColumns of one column (section 5.3.3).
fn columns_unmixed(word: u32) -> u32 {
    let bytes = word.to_be_bytes();
    let row = |row: usize| {
        let factors = [0x0e, 0x0b, 0x0d, 0x09];
        (0..4).fold(0, |sum, column| sum ^ product(bytes[(row + column) % 4], factors[column]))
    };
    u32::from_be_bytes([row(0), row(1), row(2), row(3)])
}

/// In GF(2^8) (section 4.2).
fn product(a: u8, b: u8) -> u8 {
    let (mut sum, mut a) = (0, a);
    for bit in 0..8 {
        if b >> bit & 1 != 0 {
            sum ^= a;
        }
        a = doubled(a);
    }
    sum
}

fn doubled(byte: u8) -> u8 {
    byte << 1 ^ if byte & 0x80 != 0 { 0x1b } else { 0 }
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    use aes::hazmat::{equiv_inv_cipher_round, mix_columns};
    use aes::{Aes128, Block};

    use super::*;

    /// FIPS 197, appendix A.1.
    #[test]
    fn the_key_expansion_of_the_standard() {
        let key = [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];
        let words = encrypting(&key);
        assert_eq!(words[..6], [0x2b7e_1516, 0x28ae_d2a6, 0xabf7_1588, 0x09cf_4f3c, 0xa0fa_fe17, 0x8854_2cb1]);
        assert_eq!(words[40..], [0xd014_f9a8, 0xc9ee_2589, 0xe13f_0cc8, 0xb663_0ca6]);
    }

    /// The equivalent inverse cipher (section 5.3.5) of what the cipher has made.
    #[test]
    fn the_schedule_for_decryption_decrypts() {
        for seed in 0..20 {
            let key: [u8; 16] = std::array::from_fn(|at| (at as u8).wrapping_mul(37) ^ seed);
            let plain: [u8; 16] = std::array::from_fn(|at| (at as u8).wrapping_mul(seed));
            let mut block = Block::from(plain);
            Aes128::new(&key.into()).encrypt_block(&mut block);
            let words = decrypting(&key);
            let keys: Vec<Block> = words.chunks(4).map(round_key).collect();
            add(&mut block, &keys[0]);
            for key in &keys[1..10] {
                equiv_inv_cipher_round(&mut block, key);
            }
            equiv_inv_cipher_round(&mut block, &Block::default());
            mix_columns(&mut block);
            add(&mut block, &keys[10]);
            assert_eq!(block.as_slice(), plain);
        }
    }

    fn round_key(words: &[u32]) -> Block {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Block::try_from(&bytes[..]).unwrap()
    }

    fn add(block: &mut Block, key: &Block) {
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
}
