//! The vectors that docs/reference/checkpoint.md prints.

mod told;

use super::*;
use crate::{
    checkpoint::codec::{MAX_EXPANSION, decode_entries_as, encode_entries_as},
    testing::page::{Fields, blocks, fields},
};
use told::entry;

const PAGE: &str = include_str!("../../../../../docs/reference/checkpoint.md");

fn page_keys() -> Keys {
    Keys::parse(blocks(PAGE, "keys")[0]).unwrap()
}

fn hex(fields: &Fields, name: &str) -> u64 {
    u64::from_str_radix(fields.text(name), 16).unwrap()
}

fn told_header(fields: &Fields) -> Header {
    Header {
        version: fields.number("version"),
        kind: match fields.text("kind") {
            "full" => Kind::Full,
            "delta" => Kind::Delta,
            other => panic!("{other}"),
        },
        part: fields.number("part"),
        parts: fields.number("parts"),
        origin: Origin {
            cluster: hex(fields, "cluster"),
            owner: match fields.text("owner") {
                "primary" => Role::Primary,
                "standby" => Role::Standby,
                other => panic!("{other}"),
            },
            boot: fields.number("boot"),
            epoch: fields.number("epoch"),
        },
        first: fields.number("first"),
        last: fields.number("last"),
        generation: fields.number("generation"),
        unix_ms: fields.number("unix_ms"),
    }
}

fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Torn { .. } => "torn",
        Refusal::NoRecord => "no_record",
        Refusal::Checksum => "checksum",
        Refusal::Length(_) => "length",
        Refusal::UnknownKey(_) => "unknown_key",
        Refusal::WrongKey(_) => "wrong_key",
        Refusal::Forged(_) => "forged",
        Refusal::Version(_) => "version",
        Refusal::Foreign { .. } => "foreign",
        Refusal::Header => "header",
        Refusal::Entries(_) => "entries",
    }
}

#[test]
fn the_page_says_how_entries_are_made_and_read() {
    let told = fields(PAGE, "entry");
    assert_eq!(told.len(), 15);
    let (mut all, mut all_bytes) = (Vec::new(), Vec::new());
    for fields in &told {
        let (version, bytes) =
            (fields.get("version").map_or(FORMAT_VERSION, |text| text.parse().unwrap()), fields.bytes("bytes"));
        if version == FORMAT_VERSION {
            all.push(entry(fields, &all));
            all_bytes.extend(bytes);
        } else {
            let entry = [entry(fields, &[])];
            let mut made = Vec::new();
            encode_entries_as(version, &entry, &mut made);
            assert_eq!(made, bytes, "{entry:?}");
            assert_eq!(decode_entries_as(version, &bytes).unwrap().entries, entry);
        }
    }
    let mut made = Vec::new();
    encode_entries_as(FORMAT_VERSION, &all, &mut made);
    assert_eq!(made, all_bytes, "{all:?}");
    assert_eq!(decode_entries_as(FORMAT_VERSION, &all_bytes), Ok(Entries { entries: all, skipped: 0 }));
}

#[test]
fn the_page_says_what_entries_are_refused() {
    let refused = fields(PAGE, "refused-entry");
    assert_eq!(refused.len(), 9);
    for fields in &refused {
        let error = decode_entries_as(FORMAT_VERSION, &fields.bytes("bytes")).unwrap_err();
        assert!(error.to_string().contains(fields.text("because")), "{error}");
    }
}

#[test]
fn the_page_says_how_records_are_made_and_read() {
    let records = fields(PAGE, "record");
    assert_eq!(records.len(), 3);
    for fields in &records {
        let (header, bytes) = (told_header(fields), fields.bytes("bytes"));
        let decoded = decode(&bytes, &page_keys(), header.origin.cluster).unwrap();
        let skipped = fields.get("skipped").map_or(0, |text| text.parse().unwrap());
        assert_eq!((decoded.header, decoded.size, decoded.skipped), (header, bytes.len(), skipped));
        let found = decode_entries_as(header.version, &fields.bytes("entries")).unwrap();
        assert_eq!(decoded.entries, found.entries);
        if skipped == 0 {
            assert_eq!(encode(&header, &found.entries, &page_keys()).unwrap(), bytes);
        }
    }
}

#[test]
fn the_page_says_what_records_are_refused() {
    let refused = fields(PAGE, "refused");
    assert_eq!(refused.len(), 13);
    let mut names = Vec::new();
    for fields in &refused {
        let refusal = decode(&fields.bytes("bytes"), &page_keys(), hex(fields, "cluster")).unwrap_err();
        assert_eq!(name(&refusal), fields.text("because"), "{}", fields.text("bytes"));
        names.push(name(&refusal));
    }
    for name in [
        "torn",
        "no_record",
        "checksum",
        "length",
        "unknown_key",
        "wrong_key",
        "forged",
        "version",
        "foreign",
        "header",
        "entries",
    ] {
        assert!(names.contains(&name), "no example of {name}");
        assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn the_page_has_the_sizes() {
    let sizes = [
        format!("The head is {HEAD_SIZE} bytes long"),
        format!("A record has {MIN_RECORD_SIZE} to {MAX_RECORD_SIZE} bytes"),
        format!("at most {MAX_FLOWS} flows"),
        format!("at most {MAX_EXPANSION} times"),
        format!("Version {FORMAT_VERSION} is the newest"),
    ];
    for size in sizes {
        assert!(PAGE.contains(&size), "{size}");
    }
}
