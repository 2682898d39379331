//! Frames of the table: there and back, every change refused, and no trouble for who does not know them.

use proptest::prelude::*;

use super::super::tests::keys;
use super::super::{KIND_ACK, KIND_ASK, KIND_FACTS, decode as decode_heartbeat};
use super::*;
use crate::testing::cases;

fn lanes() -> impl Strategy<Value = Lane> {
    prop::sample::select(Lane::ALL.to_vec())
}

prop_compose! {
    fn parts()(
        [boot, session, offset] in any::<[u32; 3]>(),
        message in 1..=u16::MAX,
        lane in lanes(),
        last in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 1..=MAX_PART),
    ) -> Part {
        Part { boot: boot.max(1), session, lane, message, offset, last, bytes }
    }
}

prop_compose! {
    fn wants()(
        [boot, session, offset] in any::<[u32; 3]>(),
        message in 1..=u16::MAX,
        lane in lanes(),
        version in 0..128_u8,
        has in prop::option::of((1..=u32::MAX, any::<u32>(), any::<u64>())),
    ) -> Want {
        Want { boot: boot.max(1), session, lane, message, offset, version, has }
    }
}

pub(crate) fn frames() -> impl Strategy<Value = TableFrame> {
    prop_oneof![parts().prop_map(TableFrame::Part), wants().prop_map(TableFrame::Want)]
}

fn want() -> Want {
    Want { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: Some((3, 2, 9)) }
}

fn idle() -> Part {
    Part { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, last: true, bytes: Vec::new() }
}

type Change = fn(&mut Vec<u8>);

/// Changes the bytes of a frame of the standby and signs them again.
fn resigned(frame: TableFrame, change: impl FnOnce(&mut Vec<u8>)) -> Result<TableFrame, Refusal> {
    let mut bytes = encode(&frame, Role::Standby, 2, &keys()).unwrap();
    bytes.truncate(bytes.len() - SHORT_TAG_SIZE);
    change(&mut bytes);
    let tag = keys().get(7).unwrap().short_tag(&[&bytes]);
    bytes.extend_from_slice(&tag);
    decode(&bytes, 2, Role::Primary, &keys())
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn what_is_encoded_is_decoded_again(frame in frames(), path in 0..MAX_PATHS as PathId) {
        for from in [Role::Primary, Role::Standby] {
            let bytes = encode(&frame, from, path, &keys()).unwrap();
            prop_assert!(bytes.len() <= MAX_FRAME_SIZE && is_one(&bytes));
            prop_assert_eq!(decode(&bytes, path, from.other(), &keys()), Ok(frame.clone()));
            prop_assert_eq!(
                decode(&bytes, path, from, &keys()),
                Err(Refusal::OwnDirection { boot: frame.boot() })
            );
            let other = (path + 1) % MAX_PATHS as PathId;
            prop_assert_eq!(decode(&bytes, other, from.other(), &keys()), Err(Refusal::WrongPath(path)));
        }
    }

    #[test]
    fn anything_can_be_looked_at(kind in 4..6_u8, bytes in prop::collection::vec(any::<u8>(), 0..140)) {
        let frame = [&[VERSION << 4 | kind, 0, 0, 7], bytes.as_slice()].concat();
        prop_assert!(decode(&frame, 0, Role::Standby, &keys()).is_err());
        prop_assert!(decode(&bytes, 0, Role::Standby, &keys()).is_err());
    }

    /// What an authentic peer with a flaw could send: it has one form only, or none.
    #[test]
    fn an_authentic_frame_is_read_or_refused(frame in frames(), at in any::<usize>(), byte in any::<u8>(), cut in 0..4_usize) {
        let mut signed = Vec::new();
        let read = resigned(frame, |bytes| {
            let at = at % bytes.len();
            if at > 3 {
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut);
            signed.clone_from(bytes);
        });
        if let Ok(read) = read {
            let again = encode(&read, Role::Standby, 2, &keys()).unwrap();
            prop_assert_eq!(&again[..again.len() - SHORT_TAG_SIZE], signed.as_slice());
        }
    }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn every_bit_and_every_length_counts(frame in frames()) {
        let bytes = encode(&frame, Role::Standby, 2, &keys()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&changed, 2, Role::Primary, &keys()).is_err(), "bit {} is of no matter", bit);
        }
        for length in 0..bytes.len() {
            prop_assert!(decode(&bytes[..length], 2, Role::Primary, &keys()).is_err(), "{} bytes", length);
        }
    }
}

/// A node from before these kinds decodes heartbeats alone: to it they are noise, of which nothing is said.
#[test]
fn to_a_node_that_does_not_know_them_they_are_malformed() {
    for frame in [TableFrame::Want(want()), TableFrame::Part(Part { bytes: vec![1; MAX_PART], ..idle() })] {
        let bytes = encode(&frame, Role::Standby, 2, &keys()).unwrap();
        assert_eq!(decode_heartbeat(&bytes, 2, Role::Primary, &keys()), Err(Refusal::Malformed));
    }
    for kind in [KIND_ASK, KIND_ACK, KIND_FACTS] {
        assert!(!is_one(&[VERSION << 4 | kind]), "a heartbeat of kind {kind}");
    }
    assert!(!is_one(&[2 << 4 | KIND_WANT]) && !is_one(&[]));
}

#[test]
fn an_authentic_frame_of_another_form_is_refused() {
    assert_eq!(resigned(TableFrame::Part(idle()), |_| ()), Ok(TableFrame::Part(idle())));
    assert_eq!(resigned(TableFrame::Want(want()), |_| ()), Ok(TableFrame::Want(want())));
    let of_part: [(&str, Change); 5] = [
        ("boot 0", |bytes| bytes[4..8].fill(0)),
        ("a flag", |bytes| bytes[12] |= 4),
        ("message 0", |bytes| bytes[13..15].fill(0)),
        ("nothing in the middle", |bytes| bytes[18] = 1),
        ("nothing that goes on", |bytes| bytes[12] = 0),
    ];
    for (what, change) in of_part {
        assert_eq!(resigned(TableFrame::Part(idle()), change), Err(Refusal::Malformed), "{what}");
    }
    let of_want: [(&str, Change); 4] = [
        ("longer", |bytes| bytes.push(0)),
        ("message 0", |bytes| bytes[13..15].fill(0)),
        ("path 8", |bytes| bytes[1] |= 8),
        ("an epoch of nobody", |bytes| bytes[19..23].fill(0)),
    ];
    for (what, change) in of_want {
        assert_eq!(resigned(TableFrame::Want(want()), change), Err(Refusal::Malformed), "{what}");
    }
}

#[test]
fn what_nobody_would_take_is_not_encoded() {
    let frame = |boot| TableFrame::Want(Want { boot, ..want() });
    assert_eq!(encode(&frame(1), Role::Primary, 8, &keys()), Err(EncodeError::Path(8)));
    assert_eq!(encode(&frame(0), Role::Primary, 0, &keys()), Err(EncodeError::Boot));
    let bound = Keys::parse("9 404142434445464748494a4b4c4d4e4f web2").unwrap();
    assert_eq!(encode(&frame(1), Role::Primary, 0, &bound), Err(EncodeError::NoKey));
}

/// As docs/reference/wire.md has them.
#[test]
fn the_vectors_are_as_documented() {
    let keys = Keys::parse("7 000102030405060708090a0b0c0d0e0f").unwrap();
    let part =
        Part { boot: 5, session: 1, lane: Lane::Rings, message: 3, offset: 92, last: true, bytes: vec![0xab; 3] };
    let vectors = [(TableFrame::Want(want()), Role::Standby), (TableFrame::Part(part), Role::Primary)];
    let text = include_str!("../../../../../docs/reference/wire.md");
    for (frame, from) in vectors {
        let bytes = encode(&frame, from, 2, &keys).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.contains(&hex), "{frame:?} is not in wire.md: {hex}");
    }
}
