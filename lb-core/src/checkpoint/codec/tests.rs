//! Entries become bytes and come back.

pub(in crate::checkpoint) mod any;
mod flaws;
mod sizes;

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

fn encoded(version: u16, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entries_as(version, entries, &mut bytes);
    bytes
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn entries_come_back(entries in any::entries()) {
        let bytes = encoded(FORMAT_VERSION, &entries);
        prop_assert_eq!(decode_entries(&bytes), Ok(entries));
    }

    #[test]
    fn an_older_reader_gets_what_it_knows(entries in any::entries()) {
        let bytes = encoded(OLDEST_VERSION, &entries);
        let known = Entries { entries: entries.iter().filter_map(any::in_oldest_version).collect(), skipped: 0 };
        prop_assert_eq!(decode_entries_as(OLDEST_VERSION, &bytes), Ok(known));
    }

    #[test]
    fn an_older_writer_is_understood(entries in any::entries()) {
        let older: Vec<Entry> = entries.iter().filter_map(any::in_oldest_version).collect();
        let bytes = encoded(OLDEST_VERSION, &older);
        prop_assert_eq!(decode_entries_as(OLDEST_VERSION, &bytes), Ok(Entries { entries: older.clone(), skipped: 0 }));
        prop_assert_eq!(decode_entries(&bytes), Ok(older));
    }

    #[test]
    fn what_is_read_is_written_the_same_again(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(entries) = decode_entries(&bytes) {
            prop_assert_eq!(decode_entries(&encoded(FORMAT_VERSION, &entries)), Ok(entries));
        }
    }
}

#[test]
fn unknown_kinds_are_skipped_and_counted() {
    let mut bytes = encoded(FORMAT_VERSION, &[Entry::RealGone(7)]);
    bytes.extend([200, 0, 0, 0, 3, 1, 2, 3]);
    bytes.extend(encoded(FORMAT_VERSION, &[Entry::ServiceGone(8)]));
    let entries = vec![Entry::RealGone(7), Entry::ServiceGone(8)];
    assert_eq!(decode_entries_as(FORMAT_VERSION, &bytes), Ok(Entries { entries, skipped: 1 }));
}
