//! AES-128 against the standard's own examples, and against the crate `aes`.

use ::aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};

use super::*;
use crate::testing::Random;

fn words(bytes: [u8; 16]) -> Block {
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}

/// FIPS 197 appendix A.1.
#[test]
fn the_standards_key_is_expanded_as_there() {
    let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
    let schedule = encryption_schedule(&key);
    assert_eq!(schedule[4..8], [0xa0fa_fe17, 0x8854_2cb1, 0x23a3_3939, 0x2a6c_7605]);
    assert_eq!(schedule[40..], [0xd014_f9a8, 0xc9ee_2589, 0xe13f_0cc8, 0xb663_0ca6]);
    let backward = decryption_schedule(&key);
    assert_eq!(backward[..4], schedule[40..], "the last round's key is the first one that is used");
    assert_eq!(backward[40..], schedule[..4]);
}

/// FIPS 197 appendices B and C.1.
#[test]
fn the_standards_blocks_are_encrypted_as_there() {
    for (key, plain, secret) in [
        (
            0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128,
            0x3243_f6a8_885a_308d_3131_98a2_e037_0734_u128,
            0x3925_841d_02dc_09fb_dc11_8597_196a_0b32_u128,
        ),
        (
            0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
            0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
            0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a,
        ),
    ] {
        let [key, plain, secret] = [key, plain, secret].map(u128::to_be_bytes);
        assert_eq!(encrypt(&encryption_schedule(&key), words(plain)), words(secret));
        assert_eq!(decrypt(&decryption_schedule(&key), words(secret)), words(plain));
    }
}

#[test]
fn random_blocks_are_what_the_crate_makes_of_them() {
    let mut random = Random(0x5eed);
    for _ in 0..2_000 {
        let (key, block): ([u8; 16], [u8; 16]) = (random.bytes(), random.bytes());
        let cipher = Aes128::new(&key.into());
        let mut encrypted = block.into();
        cipher.encrypt_block(&mut encrypted);
        assert_eq!(encrypt(&encryption_schedule(&key), words(block)), words(encrypted.into()));
        let mut decrypted = block.into();
        cipher.decrypt_block(&mut decrypted);
        assert_eq!(decrypt(&decryption_schedule(&key), words(block)), words(decrypted.into()));
    }
}
