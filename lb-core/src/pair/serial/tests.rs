//! Streams: there and back, and what damage does.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    pair::{
        Frame, Role,
        wire::{FACTS_FRAME_SIZE, FRAME_SIZE, decode, encode, tests as frames},
    },
    testing::cases,
};

/// What happens to one byte on the line.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Lost,
    Doubled,
    Mangled(u8),
    /// Another byte gets in before it.
    Joined(u8),
}

/// A part of what comes over the line.
#[derive(Clone, Debug)]
enum Part {
    Intact(Frame),
    /// A frame, and what happens to some of its bytes.
    Damaged(Frame, Vec<(prop::sample::Index, Damage)>),
    Garbage(Vec<u8>),
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Lost),
        Just(Damage::Doubled),
        (1..=u8::MAX).prop_map(Damage::Mangled),
        prop_oneof![Just(0), any::<u8>()].prop_map(Damage::Joined),
    ]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        frames::frames().prop_map(Part::Intact),
        (frames::frames(), vec((any::<prop::sample::Index>(), damages()), 1..4))
            .prop_map(|(frame, damages)| Part::Damaged(frame, damages)),
        vec(prop_oneof![Just(0), any::<u8>()], 0..300).prop_map(Part::Garbage),
    ];
    vec(part, 1..16)
}

/// The frame's bytes, made the only ones of their kind by its number.
fn numbered(frame: &Frame, number: usize) -> Vec<u8> {
    let frame = Frame { from: Role::Primary, sequence: number as u32, ..*frame };
    encode(&frame, 0, &frames::keys()).unwrap()
}

fn damage(stream: &mut Vec<u8>, at: prop::sample::Index, damage: Damage) {
    if stream.is_empty() {
        return;
    }
    let at = at.index(stream.len());
    match damage {
        Damage::Lost => drop(stream.remove(at)),
        Damage::Doubled => stream.insert(at, stream[at]),
        Damage::Mangled(bits) => stream[at] ^= bits,
        Damage::Joined(byte) => stream.insert(at, byte),
    }
}

/// What comes over the line, the frames that came whole, and all that were sent.
fn on_the_line(parts: &[Part]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut line, mut intact, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for (number, part) in parts.iter().enumerate() {
        match part {
            Part::Intact(frame) => {
                let frame = numbered(frame, number);
                line.extend(encode_stream(&frame));
                intact.push(frame.clone());
                sent.push(frame);
            }
            Part::Damaged(frame, damages) => {
                let frame = numbered(frame, number);
                let mut stream = encode_stream(&frame);
                damages.iter().for_each(|&(at, what)| damage(&mut stream, at, what));
                line.extend(stream);
                sent.push(frame);
            }
            Part::Garbage(bytes) => line.extend(bytes),
        }
    }
    (line, intact, sent)
}

/// Whether all of `some` are among `all`, in this order.
fn in_order(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

proptest! {
    #![proptest_config(cases(500))]

    /// Whatever happens to the rest: what came whole is found, and nothing is taken that was not sent, or twice.
    #[test]
    fn every_intact_frame_is_found_and_nothing_else_is_taken(parts in parts(), chunk in 1_usize..200) {
        let (line, intact, sent) = on_the_line(&parts);
        let mut deframer = Deframer::new();
        let mut found = Vec::new();
        for bytes in line.chunks(chunk) {
            found.extend(deframer.push(bytes));
            prop_assert!(deframer.stuffed.len() <= MAX_STUFFED_SIZE);
        }
        prop_assert!(in_order(&intact, &found), "not all of {:?} in {:?}", intact, found);
        let keys = frames::keys();
        found.retain(|frame| decode(frame, 0, Role::Standby, &keys).is_ok());
        prop_assert!(in_order(&found, &sent), "{:?} not of {:?}", found, sent);
    }

    #[test]
    fn what_is_stuffed_has_no_zero_and_comes_out_again(bytes in vec(prop_oneof![Just(0), any::<u8>()], 0..1_000)) {
        let mut stuffed = Vec::new();
        stuff(&bytes, &mut stuffed);
        prop_assert!(!stuffed.contains(&0));
        prop_assert_eq!(unstuff(&stuffed), Some(bytes));
    }

    #[test]
    fn a_group_of_any_length_comes_out_again(before in 0_usize..3, length in 250_usize..520, after in 0_usize..3) {
        let bytes = [vec![0; before], vec![7; length], vec![0; after]].concat();
        let mut stuffed = Vec::new();
        stuff(&bytes, &mut stuffed);
        prop_assert!(stuffed.len() <= bytes.len() + bytes.len().div_ceil(MAX_RUN).max(1));
        prop_assert_eq!(unstuff(&stuffed), Some(bytes));
    }
}

#[test]
fn frames_are_stuffed_as_cobs_says() {
    let stuffed = |bytes: &[u8]| {
        let mut stuffed = Vec::new();
        stuff(bytes, &mut stuffed);
        stuffed
    };
    assert_eq!(stuffed(&[]), [1]);
    assert_eq!(stuffed(&[0]), [1, 1]);
    assert_eq!(stuffed(&[0, 0]), [1, 1, 1]);
    assert_eq!(stuffed(&[0, 0x11, 0]), [1, 2, 0x11, 1]);
    assert_eq!(stuffed(&[0x11, 0x22, 0, 0x33]), [3, 0x11, 0x22, 2, 0x33]);
    let full = [7; 254];
    assert_eq!(stuffed(&full), [&[255][..], &full].concat());
    assert_eq!(stuffed(&[&full[..], &[0]].concat()), [&[255][..], &full, &[1, 1]].concat());
    assert_eq!(stuffed(&[&full[..], &[8]].concat()), [&[255][..], &full, &[2, 8]].concat());
}

#[test]
fn a_frame_takes_three_bytes_more_on_the_line() {
    for size in [FRAME_SIZE, FACTS_FRAME_SIZE, MAX_FRAME_SIZE] {
        for byte in [0, 7] {
            let stream = encode_stream(&vec![byte; size]);
            assert_eq!(stream.len(), stream_size(size));
            assert_eq!((stream.first(), stream.last()), (Some(&0), Some(&0)));
        }
    }
}

#[test]
fn a_frame_is_found_at_its_last_byte_however_it_is_cut() {
    let stream = encode_stream(&[1, 0, 2]);
    for cut in 0..stream.len() {
        let mut deframer = Deframer::new();
        assert_eq!(deframer.push(&stream[..cut]), Vec::<Vec<u8>>::new(), "{cut}");
        assert_eq!(deframer.push(&stream[cut..]), [vec![1, 0, 2]], "{cut}");
        assert_eq!(deframer.discarded(), 0);
    }
}

#[test]
fn zeros_alone_are_nothing() {
    let mut deframer = Deframer::new();
    assert!(deframer.push(&[0; 1_000]).is_empty());
    assert_eq!(deframer.discarded(), 0);
    assert_eq!(deframer.push(&[2, 9, 0, 2, 8, 0]), [[9], [8]], "one zero between two frames is enough");
}

#[test]
fn the_longest_frame_is_found_and_a_longer_one_is_not() {
    let mut deframer = Deframer::new();
    let longest = [vec![7; MAX_FRAME_SIZE]];
    assert_eq!(deframer.push(&encode_stream(&longest[0])), longest);
    for byte in [0, 7] {
        assert!(
            deframer.push(&encode_stream(&[byte; MAX_FRAME_SIZE + 1])).is_empty(),
            "its beginning is no frame either"
        );
    }
    for more in [1, 2, 1_000, 100_000] {
        assert!(deframer.push(&[9].repeat(MAX_STUFFED_SIZE + more)).is_empty());
        assert!(deframer.stuffed.capacity() <= 2 * MAX_STUFFED_SIZE, "it holds a frame at most");
        assert_eq!(deframer.push(&encode_stream(&longest[0])), longest, "right after {more} too many");
    }
    assert_eq!(deframer.discarded(), 6);
}

#[test]
fn a_code_that_says_too_much_is_no_frame() {
    let mut deframer = Deframer::new();
    assert!(deframer.push(&[0, 3, 1, 0, 255, 0, 2, 7, 5, 0]).is_empty());
    assert_eq!(deframer.discarded(), 3);
}

#[test]
fn a_line_takes_ten_bits_a_byte() {
    assert_eq!(serial_time_us(115_200, 0), 0);
    assert_eq!(serial_time_us(1_000_000, 1), 10);
    assert_eq!(serial_time_us(115_200, 1), 87, "rounded up");
    assert_eq!(serial_time_us(115_200, stream_size(FRAME_SIZE)), 4_254);
    assert_eq!(serial_time_us(9_600, stream_size(FACTS_FRAME_SIZE)), 84_375);
    assert_eq!(serial_time_us(0, 1), 10_000_000, "no baud rate is 1");
    assert!(serial_time_us(u32::MAX, usize::MAX) > 0);
}
