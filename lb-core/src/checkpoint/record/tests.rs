//! Records are made, read and refused.

mod divided;
mod refused;
mod vectors;

use proptest::prelude::*;

use super::*;
use crate::{
    checkpoint::{
        FlowEntry,
        codec::{MAX_FLOWS, tests::any},
    },
    testing::cases,
};

const CLUSTER: u64 = 0x0102_0304_0506_0708;
const KEYS: &str = "9 404142434445464748494a4b4c4d4e4f web2
    7 000102030405060708090a0b0c0d0e0f
    8 808182838485868788898a8b8c8d8e8f";

fn keys() -> Keys {
    Keys::parse(KEYS).unwrap()
}

fn header() -> Header {
    Header {
        version: FORMAT_VERSION,
        kind: Kind::Delta,
        part: 0,
        parts: 1,
        origin: Origin { cluster: CLUSTER, owner: Role::Primary, boot: 3, epoch: 2 },
        first: 40,
        last: 42,
        generation: 17,
        unix_ms: 1_800_000_000_000,
    }
}

/// So many flows, of a few services.
fn flows(count: u32) -> Vec<FlowEntry> {
    let flow = |number: u32| {
        let mut flow =
            FlowEntry { key: Default::default(), service: (number % 5) as u16, real: (number % 7) as u16 + 1 };
        flow.key.client[..4].copy_from_slice(&number.to_be_bytes());
        flow.key.client_port = number as u16;
        flow.key.service.family = lb_common::FAMILY_V4;
        flow.key.service.protocol = lb_common::PROTOCOL_TCP;
        flow
    };
    (0..count).map(flow).collect()
}

fn any_header() -> impl Strategy<Value = Header> {
    let kind = prop_oneof![Just(Kind::Full), Just(Kind::Delta)];
    let owner = prop_oneof![Just(Role::Primary), Just(Role::Standby)];
    let version = OLDEST_VERSION..=FORMAT_VERSION;
    (version, kind, owner, any::<[u32; 4]>(), any::<[u64; 5]>()).prop_map(
        |(version, kind, owner, [one, other, boot, epoch], [cluster, first, second, generation, unix_ms])| Header {
            version,
            kind,
            part: one.min(other).saturating_sub(1),
            parts: one.max(other).max(1),
            origin: Origin { cluster, owner, boot, epoch },
            first: if kind == Kind::Full { second } else { first.min(second) },
            last: if kind == Kind::Full { second } else { first.max(second) },
            generation,
            unix_ms,
        },
    )
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_record_comes_back(header in any_header(), entries in any::entries(), behind in any::<[u8; 3]>()) {
        let mut bytes = encode(&header, &entries, &keys()).unwrap();
        let size = bytes.len();
        bytes.extend(behind);
        let known = |entry: &Entry| match header.version {
            OLDEST_VERSION => any::in_oldest_version(entry),
            _ => Some(entry.clone()),
        };
        let entries = entries.iter().filter_map(known).collect();
        prop_assert_eq!(peek(&bytes[..HEAD_SIZE]), Ok((header, size)));
        prop_assert_eq!(decode(&bytes, &keys(), header.origin.cluster), Ok(Decoded { header, entries, size, skipped: 0 }));
    }
}

#[test]
fn a_delta_takes_few_bytes_a_change() {
    let news = flows(1_000);
    let forgotten: Vec<_> = news.iter().map(|flow| flow.key).collect();
    for (entry, most) in [(Entry::Remembered(news), 12), (Entry::Forgotten(forgotten), 10)] {
        let size = encode(&header(), &[entry], &keys()).unwrap().len();
        assert!(size <= 1_000 * most, "{size}");
    }
}

#[test]
fn what_is_no_record_is_not_made() {
    let made = |header: Header| encode(&header, &[], &keys()).map(drop);
    assert_eq!(made(Header { version: 0, ..header() }), Err(EncodeError::Version(0)));
    assert_eq!(made(Header { version: 3, ..header() }), Err(EncodeError::Version(3)));
    let error = |part, parts, first, last| Err(EncodeError::Header { part, parts, first, last });
    assert_eq!(made(Header { part: 1, ..header() }), error(1, 1, 40, 42));
    assert_eq!(made(Header { first: 43, ..header() }), error(0, 1, 43, 42));
    assert_eq!(made(Header { kind: Kind::Full, ..header() }), error(0, 1, 40, 42));
    let for_reals_only = Keys::parse("9 404142434445464748494a4b4c4d4e4f web2").unwrap();
    assert_eq!(encode(&header(), &[], &for_reals_only), Err(EncodeError::NoKey));
    let too_many = [Entry::Remembered(flows(1_000_000))];
    assert!(
        matches!(encode(&header(), &too_many, &keys()), Err(EncodeError::TooLong { size }) if size > MAX_RECORD_SIZE)
    );
}

#[test]
fn many_flows_come_back_as_several_entries() {
    let count = MAX_FLOWS as u32 + 1;
    let bytes = encode(&header(), &[Entry::Remembered(flows(count))], &keys()).unwrap();
    let entries = decode(&bytes, &keys(), CLUSTER).unwrap().entries;
    let pieces: Vec<Vec<FlowEntry>> = flows(count).chunks(MAX_FLOWS).map(<[FlowEntry]>::to_vec).collect();
    assert_eq!(entries, pieces.into_iter().map(Entry::Remembered).collect::<Vec<_>>());
}
