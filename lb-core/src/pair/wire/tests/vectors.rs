//! The vectors that docs/reference/wire.md prints.

use super::*;
use crate::{
    pair::serial::{Deframer, encode_stream, stream_size},
    testing::page::{Fields, blocks, fields},
};

const PAGE: &str = include_str!("../../../../../docs/reference/wire.md");

fn page_keys() -> Keys {
    Keys::parse(blocks(PAGE, "keys")[0]).unwrap()
}

fn role(name: &str) -> Role {
    match name {
        "primary" => Role::Primary,
        "standby" => Role::Standby,
        other => panic!("{other}"),
    }
}

fn state(name: &str) -> State {
    match name {
        "starting" => State::Starting,
        "standby" => State::Standby,
        "taking-over" => State::TakingOver,
        "active" => State::Active,
        "yielding" => State::Yielding,
        "fenced" => State::Fenced,
        other => panic!("{other}"),
    }
}

fn named_flags(names: &str) -> Flags {
    let mut flags = Flags::default();
    for name in names.split_whitespace() {
        *match name {
            "offer" => &mut flags.offer,
            "want" => &mut flags.want,
            "force" => &mut flags.force,
            "held" => &mut flags.held,
            "in_sync" => &mut flags.in_sync,
            "unable" => &mut flags.unable,
            other => panic!("{other}"),
        } = true;
    }
    flags
}

fn named_facts(fields: &Fields) -> Facts {
    let digest = |name: &str| u64::from_str_radix(fields.text(name), 16).unwrap();
    let program: Vec<u8> = fields.text("program").split('.').map(|number| number.parse().unwrap()).collect();
    Facts {
        program: program.try_into().unwrap(),
        vips: digest("vips"),
        services: digest("services"),
        slots: digest("slots"),
        interval_us: fields.number("interval_us"),
        missed_limit: fields.number("missed_limit"),
    }
}

fn frame(fields: &Fields) -> Frame {
    Frame {
        kind: match fields.text("kind") {
            "ask" => Kind::Ask,
            "ack" => Kind::Ack,
            "facts" => Kind::Facts(named_facts(fields)),
            other => panic!("{other}"),
        },
        from: role(fields.text("from")),
        boot: fields.number("boot"),
        sequence: fields.number("sequence"),
        echo_boot: fields.number("echo_boot"),
        echo: fields.number("echo"),
        held: fields.number("held"),
        epoch: fields.number("epoch"),
        state: state(fields.text("state")),
        flags: named_flags(fields.get("flags").unwrap_or_default()),
        fitness: fields.number("fitness"),
        lease: fields.number("lease"),
    }
}

#[test]
fn the_page_says_how_frames_are_made_and_read() {
    let (keys, frames) = (page_keys(), fields(PAGE, "frame"));
    assert_eq!(frames.len(), 7);
    for fields in &frames {
        let (frame, path, bytes) = (frame(fields), fields.number("path"), fields.bytes("bytes"));
        assert_eq!(encode(&frame, path, &keys).unwrap(), bytes, "{frame:?}");
        assert_eq!(decode(&bytes, path, frame.from.other(), &keys), Ok(frame));
    }
}

#[test]
fn the_page_says_what_is_refused() {
    let (keys, refused) = (page_keys(), fields(PAGE, "refused"));
    assert_eq!(refused.len(), 14);
    for fields in &refused {
        let bytes = fields.bytes("bytes");
        let refusal = decode(&bytes, fields.number("path"), role(fields.text("role")), &keys).unwrap_err();
        assert_eq!(refusal.name(), fields.text("because"), "{}", fields.text("bytes"));
    }
    for name in Refusal::NAMES {
        assert!(refused.iter().any(|fields| fields.text("because") == name), "no example of {name}");
    }
}

#[test]
fn the_page_says_how_frames_go_over_a_serial_line() {
    let streams = fields(PAGE, "stream");
    assert_eq!(streams.len(), 1);
    for fields in &streams {
        let (frame, stream) = (fields.bytes("frame"), fields.bytes("stream"));
        assert_eq!(encode_stream(&frame), stream);
        assert_eq!(Deframer::new().push(&stream), [frame]);
    }
}

#[test]
fn the_page_says_what_is_found_on_a_damaged_line() {
    let (keys, lines) = (page_keys(), fields(PAGE, "line"));
    assert_eq!(lines.len(), 1);
    let found = Deframer::new().push(&lines[0].bytes("line"));
    let authentic = |frame: &Vec<u8>| decode(frame, 0, Role::Primary, &keys).is_ok();
    let taken: Vec<Vec<u8>> = found.into_iter().filter(authentic).collect();
    assert_eq!(taken.len(), 4);
    assert_eq!(taken.concat(), lines[0].bytes("found"));
}

#[test]
fn the_page_has_the_sizes_and_counters() {
    for name in Refusal::NAMES {
        assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
    }
    let sizes = [
        format!("A frame is exactly as long as its kind says: {FRAME_SIZE} bytes, or {FACTS_FRAME_SIZE} for facts."),
        format!(
            "A frame of {FRAME_SIZE} bytes takes {} on the line, and one of {FACTS_FRAME_SIZE} takes {}.",
            stream_size(FRAME_SIZE),
            stream_size(FACTS_FRAME_SIZE)
        ),
        format!("than {} or more than {MAX_FRAME_SIZE} bytes", size_of::<Start>() + SHORT_TAG_SIZE),
        format!("keeps no more than {} bytes", MAX_FRAME_SIZE + 1),
    ];
    for size in sizes {
        assert!(PAGE.contains(&size), "{size}");
    }
}
