//! Server ids against the draft's own connection ids, and against ones that are encoded here, byte by byte and with another AES.

extern crate std;

use std::{vec, vec::Vec};

use ::aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};

use super::*;
use crate::testing::Random;

const SERVICE: u32 = 7;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The connection id in a packet: what follows it does not matter.
fn cid(bytes: &[u8]) -> [u32; CID_WORDS] {
    let mut padded = [0xa5; QUIC_CID];
    padded[..bytes.len()].copy_from_slice(bytes);
    core::array::from_fn(|word| u32::from_ne_bytes(padded[4 * word..4 * word + 4].try_into().unwrap()))
}

fn value(id_length: usize, nonce_length: usize, key: Option<[u8; 16]>) -> QuicValue {
    let (encoding, schedule) = match key {
        None => (QUIC_CLEAR, [0; AES_SCHEDULE]),
        Some(key) if id_length + nonce_length == 16 => (QUIC_ONE_PASS, aes::decryption_schedule(&key)),
        Some(key) => (QUIC_FOUR_PASSES, aes::encryption_schedule(&key)),
    };
    QuicValue { encoding, offset: 1, server_id_length: id_length as u8, nonce_length: nonce_length as u8, schedule }
}

fn named(id: &[u8]) -> QuicServerKey {
    let mut key = QuicServerKey { service: SERVICE, length: id.len() as u8, id: [0; MAX_QUIC_SERVER_ID] };
    key.id[..id.len()].copy_from_slice(id);
    key
}

fn read(value: &QuicValue, bytes: &[u8]) -> Option<QuicServerKey> {
    server_key(SERVICE, value, cid(bytes), bytes.len() as u32)
}

/// The table of docs/reference/forwarding.md section 14.
#[test]
fn the_drafts_connection_ids_have_the_drafts_server_ids() {
    const KEY: &str = "8f95f09245765f80256934e50c66207f";
    for (key, id, nonce, bytes) in [
        ("", "c4605e", "4504cc4f", "07c4605e4504cc4f"),
        (KEY, "ed793a", "ee080dbf", "0720b1d07b359d3c"),
        (KEY, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"),
        (KEY, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
        (KEY, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
        ("fdf726a9893ec05c0632d3956680baf0", "31441a", "9c69c275", "0067947d29be054a"),
    ] {
        let key = (!key.is_empty()).then(|| hex(key).try_into().unwrap());
        let value = value(id.len() / 2, nonce.len() / 2, key);
        assert_eq!(read(&value, &hex(bytes)), Some(named(&hex(id))), "{bytes}");
    }
}

#[test]
fn every_length_is_read_as_it_was_encoded() {
    let mut random = Random(0xc1d);
    for id_length in 1..=MAX_QUIC_SERVER_ID {
        for nonce_length in 4..QUIC_CID - id_length {
            for _ in 0..40 {
                let secret: [u8; QUIC_CID] = random.bytes();
                let (first, hidden) = (secret[0], &secret[1..1 + id_length + nonce_length]);
                let key = random.bytes();
                for key in [None, Some(key)] {
                    let mut bytes = vec![first];
                    bytes.extend(encoded(key, hidden));
                    let expected = named(&hidden[..id_length]);
                    assert_eq!(read(&value(id_length, nonce_length, key), &bytes), Some(expected), "{bytes:02x?}");
                }
            }
        }
    }
}

#[test]
fn server_ids_in_the_clear_are_read_anywhere() {
    let mut random = Random(0x0ff5e7);
    for offset in 0..QUIC_CID {
        for length in 1..=MAX_QUIC_SERVER_ID.min(QUIC_CID - offset) {
            let bytes: [u8; QUIC_CID] = random.bytes();
            let value = QuicValue { offset: offset as u8, ..value(length, 0, None) };
            assert_eq!(read(&value, &bytes), Some(named(&bytes[offset..offset + length])));
        }
    }
}

#[test]
fn a_short_connection_id_names_nobody_and_a_long_one_does() {
    let value = value(3, 4, None);
    let bytes = hex("07c4605e4504cc4f");
    assert_eq!(read(&value, &bytes[..7]), None);
    for length in [8, 9, 255] {
        assert_eq!(server_key(SERVICE, &value, cid(&bytes), length), Some(named(&hex("c4605e"))), "{length}");
    }
}

#[test]
fn rows_that_nobody_writes_name_nobody() {
    let good = value(3, 4, None);
    let bytes = [0x55; QUIC_CID];
    let rows = [
        QuicValue { server_id_length: 0, ..good },
        QuicValue { server_id_length: 16, nonce_length: 0, ..good },
        QuicValue { offset: 14, ..good },
        QuicValue { offset: 255, server_id_length: 15, nonce_length: 255, ..good },
        QuicValue { encoding: 3, ..good },
        QuicValue { encoding: QUIC_ONE_PASS, ..good },
        QuicValue { encoding: QUIC_FOUR_PASSES, nonce_length: 1, ..good },
        QuicValue { encoding: QUIC_FOUR_PASSES, offset: 0, server_id_length: 15, nonce_length: 5, ..good },
    ];
    for row in rows {
        assert_eq!(server_key(SERVICE, &row, cid(&bytes), 255), None, "{row:?}");
    }
    assert_eq!(read(&QuicValue { offset: 13, ..good }, &bytes), Some(named(&[0x55; 3])));
}

/// What a server makes of server id and nonce (draft-ietf-quic-load-balancers-21 section 5.4).
fn encoded(key: Option<[u8; 16]>, hidden: &[u8]) -> Vec<u8> {
    let Some(key) = key else { return hidden.to_vec() };
    let cipher = Aes128::new(&key.into());
    if let Ok(block) = <[u8; 16]>::try_from(hidden) {
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        return block.to_vec();
    }
    let (length, half) = (hidden.len(), hidden.len().div_ceil(2));
    let odd = length % 2 == 1;
    let mut left = hidden[..half].to_vec();
    let mut right = hidden[length - half..].to_vec();
    if odd {
        left[half - 1] &= 0xf0;
        right[0] &= 0x0f;
    }
    for pass in 1..=4 {
        let (from, to) = if pass % 2 == 1 { (&left, &mut right) } else { (&right, &mut left) };
        let mut block = [0; 16];
        block[..half].copy_from_slice(from);
        [block[14], block[15]] = [length as u8, pass];
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        to.iter_mut().zip(block).for_each(|(byte, mask)| *byte ^= mask);
        if odd && pass % 2 == 1 {
            right[0] &= 0x0f;
        } else if odd {
            left[half - 1] &= 0xf0;
        }
    }
    let mut bytes = left;
    bytes.resize(length, 0);
    bytes.iter_mut().skip(length - half).zip(right).for_each(|(byte, other)| *byte |= other);
    bytes
}
