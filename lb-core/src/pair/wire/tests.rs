//! Frames: there and back, and every change refused.

mod rotation;
mod vectors;

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

/// Keys 7 and 8 are good for the pair, 9 for a real only.
const KEYS: &str = "9 404142434445464748494a4b4c4d4e4f web2
7 000102030405060708090a0b0c0d0e0f
8 ffffffffffffffffffffffffffffffff";

pub(in crate::pair) fn keys() -> Keys {
    Keys::parse(KEYS).unwrap()
}

/// An ask of the standby, in its boot 5.
pub(in crate::pair) fn ask(sequence: u32) -> Frame {
    Frame {
        kind: Kind::Ask,
        from: Role::Standby,
        boot: 5,
        sequence,
        echo_boot: 3,
        echo: 17,
        held: 4,
        epoch: 2,
        state: State::Standby,
        flags: Flags::default(),
        fitness: 100,
        lease: 0,
    }
}

fn facts() -> Facts {
    Facts { program: [1, 2, 3], vips: 4, services: 5, slots: 6, interval_us: 7, missed_limit: 8 }
}

prop_compose! {
    fn any_facts()(
        program in any::<[u8; 3]>(),
        digests in any::<[u64; 3]>(),
        interval_us in any::<u32>(),
        missed_limit in any::<u8>(),
    ) -> Facts {
        let [vips, services, slots] = digests;
        Facts { program, vips, services, slots, interval_us, missed_limit }
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Ask), Just(Kind::Ack), any_facts().prop_map(Kind::Facts)]
}

fn any_flags() -> impl Strategy<Value = Flags> {
    any::<[bool; 6]>().prop_map(|[offer, want, force, held, in_sync, unable]| Flags {
        offer,
        want,
        force,
        held,
        in_sync,
        unable,
    })
}

prop_compose! {
    /// A frame of either role.
    pub(in crate::pair) fn frames()(
        kind in kinds(),
        from in prop::sample::select(vec![Role::Primary, Role::Standby]),
        boot in 1..=u32::MAX,
        numbers in any::<[u32; 4]>(),
        state in prop::sample::select(STATES.to_vec()),
        flags in any_flags(),
        [held, fitness] in any::<[u8; 2]>(),
        lease in any::<u16>(),
    ) -> Frame {
        let [sequence, echo_boot, echo, epoch] = numbers;
        Frame { kind, from, boot, sequence, echo_boot, echo, held, epoch, state, flags, fitness, lease }
    }
}

/// What the peer of the frame's sender makes of these bytes on path 2.
fn received(bytes: &[u8], frame: &Frame) -> Result<Frame, Refusal> {
    decode(bytes, 2, frame.from.other(), &keys())
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn what_is_encoded_is_decoded_again(frame in frames(), path in 0..MAX_PATHS as PathId) {
        let bytes = encode(&frame, path, &keys()).unwrap();
        let size = if matches!(frame.kind, Kind::Facts(_)) { FACTS_FRAME_SIZE } else { FRAME_SIZE };
        prop_assert_eq!(bytes.len(), size);
        prop_assert_eq!(decode(&bytes, path, frame.from.other(), &keys()), Ok(frame));
    }

    #[test]
    fn anything_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes, 0, Role::Primary, &keys()).is_err());
    }

    /// Bytes that pass for a frame up to the tag.
    #[test]
    fn what_looks_like_a_frame_can_be_looked_at(
        kind in 0_u8..16,
        bytes in proptest::collection::vec(any::<u8>(), 42..76),
    ) {
        let frame = [&[VERSION << 4 | kind, 0, 0, 7], bytes.as_slice()].concat();
        prop_assert!(decode(&frame, 0, Role::Standby, &keys()).is_err());
    }
}

proptest! {
    #![proptest_config(cases(50))]

    #[test]
    fn every_bit_counts(frame in frames()) {
        let bytes = encode(&frame, 2, &keys()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut mutated = bytes.clone();
            mutated[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(received(&mutated, &frame).is_err(), "bit {} is of no matter", bit);
        }
    }

    #[test]
    fn every_length_but_the_right_one_is_refused(frame in frames(), more in any::<u8>()) {
        let mut bytes = encode(&frame, 2, &keys()).unwrap();
        for length in 0..bytes.len() {
            prop_assert!(received(&bytes[..length], &frame).is_err(), "{} bytes", length);
        }
        for _ in 0..MAX_FRAME_SIZE {
            bytes.push(more);
            prop_assert!(received(&bytes, &frame).is_err(), "{} bytes", bytes.len());
        }
    }
}

/// Changes the bytes of a frame and signs them again: only their form is wrong now.
fn resigned(frame: &Frame, change: impl FnOnce(&mut Vec<u8>)) -> Result<Frame, Refusal> {
    let mut bytes = encode(frame, 2, &keys()).unwrap();
    bytes.truncate(bytes.len() - SHORT_TAG_SIZE);
    change(&mut bytes);
    let key = bytes.get(2..4).and_then(|id| keys().get(u16::from_be_bytes([id[0], id[1]])).cloned());
    let tag = key.map_or([0; SHORT_TAG_SIZE], |key| key.short_tag(&[&bytes]));
    bytes.extend_from_slice(&tag);
    received(&bytes, frame)
}

#[test]
fn an_authentic_frame_of_another_form_is_refused() {
    let frame = ask(1);
    assert_eq!(resigned(&frame, |_| ()), Ok(frame));
    for kind in (0..16).filter(|kind| ![KIND_ASK, KIND_ACK, KIND_FACTS].contains(kind)) {
        let other = resigned(&frame, |bytes| bytes[0] = VERSION << 4 | kind);
        assert_eq!(other, Err(Refusal::Malformed), "kind {kind}");
    }
    let malformed = [
        ("an ask that says it has facts", 0, VERSION << 4 | KIND_FACTS),
        ("path 8", 1, FROM_STANDBY | 8),
        ("path 66", 1, FROM_STANDBY | 66),
        ("state", 24, 6),
        ("flag 64", 25, 64),
        ("flag 128", 25, 128),
    ];
    for (what, offset, value) in malformed {
        assert_eq!(resigned(&frame, |bytes| bytes[offset] = value), Err(Refusal::Malformed), "{what}");
    }
    assert_eq!(resigned(&frame, |bytes| bytes[4..8].fill(0)), Err(Refusal::Malformed), "boot 0");
}

#[test]
fn an_authentic_frame_of_another_length_is_refused() {
    for kind in [Kind::Ask, Kind::Ack, Kind::Facts(facts())] {
        let frame = Frame { kind, ..ask(1) };
        assert_eq!(resigned(&frame, |bytes| bytes.push(0)), Err(Refusal::Malformed), "{kind:?}");
        assert_eq!(resigned(&frame, |bytes| bytes.truncate(bytes.len() - 1)), Err(Refusal::Malformed), "{kind:?}");
        assert_eq!(resigned(&frame, |bytes| bytes.truncate(4)), Err(Refusal::Malformed), "{kind:?}");
        assert_eq!(resigned(&frame, Vec::clear), Err(Refusal::Malformed), "{kind:?}");
    }
    let with_facts = Frame { kind: Kind::Facts(facts()), ..ask(1) };
    assert_eq!(resigned(&with_facts, |bytes| bytes.truncate(30)), Err(Refusal::Malformed), "facts without a body");
    assert_eq!(resigned(&with_facts, |bytes| bytes[0] = VERSION << 4 | KIND_ACK), Err(Refusal::Malformed));
}

#[test]
fn another_version_is_told_by_authentic_frames_only() {
    for version in (0..16).filter(|version| *version != VERSION) {
        let other = resigned(&ask(1), |bytes| bytes[0] = version << 4 | KIND_ASK);
        assert_eq!(other, Err(Refusal::Version(version)));
    }
    let longer = |size| {
        resigned(&ask(1), |bytes| {
            bytes[0] = 0x2f;
            bytes.resize(size - SHORT_TAG_SIZE, 0xff);
        })
    };
    assert_eq!(longer(MAX_FRAME_SIZE), Err(Refusal::Version(2)), "only the start and the tag have to be known of it");
    assert_eq!(longer(MAX_FRAME_SIZE + 1), Err(Refusal::Malformed));
    let shortest = resigned(&ask(1), |bytes| {
        bytes[0] = 0x21;
        bytes.truncate(size_of::<Start>());
    });
    assert_eq!(shortest, Err(Refusal::Version(2)));

    let mut forged = encode(&ask(1), 2, &keys()).unwrap();
    forged[0] = 0x21;
    assert_eq!(received(&forged, &ask(1)), Err(Refusal::BadTag));
}

#[test]
fn a_key_that_is_missing_or_of_a_real_is_refused() {
    assert_eq!(resigned(&ask(1), |bytes| bytes[3] = 10), Err(Refusal::UnknownKey));
    assert_eq!(resigned(&ask(1), |bytes| bytes[3] = 9), Err(Refusal::WrongKey));
    let same_id = Keys::parse("7 000102030405060708090a0b0c0d0e0e").unwrap();
    let frame = ask(1);
    assert_eq!(received(&encode(&frame, 2, &same_id).unwrap(), &frame), Err(Refusal::BadTag));
}

#[test]
fn a_frame_that_comes_back_is_not_the_peers() {
    for from in [Role::Primary, Role::Standby] {
        let frame = Frame { from, ..ask(1) };
        let bytes = encode(&frame, 2, &keys()).unwrap();
        let own = Err(Refusal::OwnDirection { boot: 5 });
        assert_eq!(decode(&bytes, 2, from, &keys()), own);
        assert_eq!(decode(&bytes, 1, from, &keys()), own, "on whatever path");
        assert_eq!(decode(&bytes, 2, from.other(), &keys()), Ok(frame));
    }
    let mut turned = encode(&ask(1), 2, &keys()).unwrap();
    turned[1] ^= FROM_STANDBY;
    assert_eq!(decode(&turned, 2, Role::Standby, &keys()), Err(Refusal::BadTag), "the direction is signed");
}

#[test]
fn a_frame_of_one_path_is_none_of_another() {
    let frame = ask(1);
    for (sent, came) in [(0, 1), (1, 0), (7, 3)] {
        let bytes = encode(&frame, sent, &keys()).unwrap();
        assert_eq!(decode(&bytes, came, Role::Primary, &keys()), Err(Refusal::WrongPath(sent)));
    }
    let mut moved = encode(&frame, 0, &keys()).unwrap();
    moved[1] |= 1;
    assert_eq!(decode(&moved, 1, Role::Primary, &keys()), Err(Refusal::BadTag), "the path is signed");
}

#[test]
fn what_nobody_would_take_is_not_encoded() {
    assert_eq!(encode(&ask(1), MAX_PATHS as PathId, &keys()), Err(EncodeError::Path(8)));
    assert_eq!(encode(&ask(1), 0x80, &keys()), Err(EncodeError::Path(0x80)));
    assert_eq!(encode(&Frame { boot: 0, ..ask(1) }, 0, &keys()), Err(EncodeError::Boot));
}

#[test]
fn a_key_of_a_real_signs_no_frame() {
    let bound = Keys::parse("9 404142434445464748494a4b4c4d4e4f web2").unwrap();
    assert_eq!(signing_key(&bound).map(Key::id), Err(EncodeError::NoKey));
    assert_eq!(encode(&ask(1), 0, &bound), Err(EncodeError::NoKey));
    assert_eq!(signing_key(&keys()).map(Key::id), Ok(7), "the first that is bound to none");
}

#[test]
fn every_refusal_has_a_name_and_an_explanation() {
    let all = [
        Refusal::Malformed,
        Refusal::UnknownKey,
        Refusal::WrongKey,
        Refusal::BadTag,
        Refusal::Version(2),
        Refusal::OwnDirection { boot: 5 },
        Refusal::WrongPath(1),
    ];
    assert_eq!(all.map(Refusal::name), Refusal::NAMES);
    assert!(all.iter().all(|refusal| !refusal.to_string().is_empty()));
    assert!(Refusal::Version(2).to_string().contains("version 2"));
}
