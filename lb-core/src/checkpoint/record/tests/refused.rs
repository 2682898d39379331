//! What is not taken for a record: every damage, and what others have made.

use super::*;
use crate::checkpoint::codec::Flaw;

fn small() -> Vec<u8> {
    let entries = [Entry::ServiceGone(4), Entry::Remembered(flows(3)), Entry::RealGone(9)];
    encode(&header(), &entries, &keys()).unwrap()
}

fn refusal(bytes: &[u8]) -> Refusal {
    decode(bytes, &keys(), CLUSTER).expect_err("it is taken")
}

/// The record with other bytes before its checksum, with right checksums and a right tag.
fn resealed(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    bytes.truncate(bytes.len() - CHECKSUM_SIZE - SHORT_TAG_SIZE);
    change(&mut bytes);
    let id = u16::from_be_bytes([bytes[6], bytes[7]]);
    let size = (bytes.len() + CHECKSUM_SIZE + SHORT_TAG_SIZE) as u32;
    bytes[8..12].copy_from_slice(&size.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEAD_SIZE - CHECKSUM_SIZE]);
    bytes[HEAD_SIZE - CHECKSUM_SIZE..HEAD_SIZE].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes.extend(keys().get(id).unwrap().short_tag(&[&bytes]));
    bytes
}

#[test]
fn every_flipped_bit_of_a_small_one_is_found() {
    let bytes = small();
    assert!(decode(&bytes, &keys(), CLUSTER).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refusal(&flipped);
    }
}

#[test]
fn a_thousand_flipped_bits_of_a_large_one_are_found() {
    let mut bytes = encode(&header(), &[Entry::Remembered(flows(MAX_FLOWS as u32))], &keys()).unwrap();
    assert!(bytes.len() > 150_000 && decode(&bytes, &keys(), CLUSTER).is_ok());
    let mut random = fastrand::Rng::with_seed(0x1000_b175);
    for _ in 0..1_000 {
        let bit = random.usize(..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        refusal(&bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn wherever_a_write_is_cut_short_it_is_torn() {
    let bytes = small();
    for have in 0..bytes.len() {
        let want = if have < HEAD_SIZE { MIN_RECORD_SIZE } else { bytes.len() };
        assert_eq!(refusal(&bytes[..have]), Refusal::Torn { have, want });
    }
}

#[test]
fn damage_is_told_as_damage() {
    let flipped = |place: usize| {
        let mut bytes = small();
        bytes[place] ^= 1;
        refusal(&bytes)
    };
    let size = small().len();
    assert_eq!(flipped(0), Refusal::NoRecord);
    assert_eq!(flipped(8), Refusal::Checksum, "a damaged length makes no torn record");
    assert_eq!(flipped(HEAD_SIZE), Refusal::Checksum);
    assert_eq!(flipped(size - SHORT_TAG_SIZE - 1), Refusal::Checksum);
    assert_eq!(flipped(size - 1), Refusal::Forged(7));
}

#[test]
fn lengths_that_no_record_has() {
    let with_size = |size: usize| {
        let mut bytes = small();
        bytes[8..12].copy_from_slice(&(size as u32).to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[..HEAD_SIZE - CHECKSUM_SIZE]);
        bytes[HEAD_SIZE - CHECKSUM_SIZE..HEAD_SIZE].copy_from_slice(&checksum.to_be_bytes());
        refusal(&bytes)
    };
    assert_eq!(with_size(MIN_RECORD_SIZE - 1), Refusal::Length(MIN_RECORD_SIZE - 1));
    assert_eq!(with_size(MIN_RECORD_SIZE), Refusal::Checksum);
    let have = small().len();
    assert_eq!(with_size(MAX_RECORD_SIZE), Refusal::Torn { have, want: MAX_RECORD_SIZE });
    assert_eq!(with_size(MAX_RECORD_SIZE + 1), Refusal::Length(MAX_RECORD_SIZE + 1));
}

#[test]
fn what_others_have_made() {
    assert_eq!(decode(&small(), &keys(), 1), Err(Refusal::Foreign { found: CLUSTER, own: 1 }));
    let others = |text: &str| decode(&small(), &Keys::parse(text).unwrap(), CLUSTER).unwrap_err();
    assert_eq!(others("8 808182838485868788898a8b8c8d8e8f"), Refusal::UnknownKey(7));
    assert_eq!(others("7 808182838485868788898a8b8c8d8e8f"), Refusal::Forged(7));
    assert_eq!(others("7 000102030405060708090a0b0c0d0e0f web1"), Refusal::WrongKey(7));
}

#[test]
fn a_key_that_signs_no_more_is_still_read() {
    let newer = Keys::parse("8 808182838485868788898a8b8c8d8e8f\n7 000102030405060708090a0b0c0d0e0f").unwrap();
    assert!(decode(&small(), &newer, CLUSTER).is_ok());
    let bytes = encode(&header(), &[], &newer).unwrap();
    assert!(decode(&bytes, &keys(), CLUSTER).is_ok());
}

#[test]
fn versions_that_this_program_does_not_read() {
    for version in [0, FORMAT_VERSION + 1, u16::MAX] {
        let bytes = resealed(small(), |bytes| bytes[4..6].copy_from_slice(&version.to_be_bytes()));
        assert_eq!(refusal(&bytes), Refusal::Version(version));
        assert_eq!(peek(&bytes), Err(Refusal::Version(version)));
    }
    let mut bytes = resealed(small(), |bytes| bytes[4..6].copy_from_slice(&[0, 3]));
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&bytes), Refusal::Forged(7), "only who has a key can make a reader speak of versions");
}

#[test]
fn authentic_nonsense() {
    // Kind, owner, zeros, the batches' order, and part and parts.
    for (place, value) in [(12, 0), (12, 3), (13, 2), (14, 1), (15, 1), (32, 1), (71, 0), (67, 1)] {
        let bytes = resealed(small(), |bytes| bytes[place] = value);
        assert_eq!(refusal(&bytes), Refusal::Header, "byte {place} is {value}");
        assert_eq!(peek(&bytes), Err(Refusal::Header));
    }
    let bytes = resealed(small(), |bytes| bytes.extend([1, 0, 0, 0, 1, 0]));
    assert_eq!(refusal(&bytes), Refusal::Entries(DecodeError { entry: 4, kind: 1, flaw: Flaw::Short }));
}
