//! Datagrams: there and back, and every change refused.

use proptest::prelude::*;

use super::{super::wire::*, *};
use crate::testing::cases;

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn what_is_encoded_is_decoded_again(report in reports()) {
        let datagram = encode(&report, &keys()).unwrap();
        prop_assert!(datagram.len() <= MAX_REPORT_SIZE);
        prop_assert_eq!(decode(&datagram, &keys()), Ok(report));
    }

    #[test]
    fn anything_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes, &keys()).is_err());
    }
}

proptest! {
    #![proptest_config(cases(50))]

    #[test]
    fn every_bit_counts(report in reports()) {
        let keys = keys();
        let datagram = encode(&report, &keys).unwrap();
        for bit in 0..datagram.len() * 8 {
            let mut mutated = datagram.clone();
            mutated[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&mutated, &keys).is_err(), "bit {} is of no matter", bit);
        }
    }

    #[test]
    fn every_length_but_the_right_one_is_refused(report in reports(), more in any::<u8>()) {
        let keys = keys();
        let mut datagram = encode(&report, &keys).unwrap();
        for length in 0..datagram.len() {
            prop_assert!(decode(&datagram[..length], &keys).is_err(), "{} bytes", length);
        }
        for _ in 0..MAX_REPORT_SIZE {
            datagram.push(more);
            prop_assert_eq!(decode(&datagram, &keys), Err(Refusal::Malformed));
        }
    }
}

/// Changes a datagram and signs it again: only its form is wrong now.
fn resigned(report: &Report, change: impl FnOnce(&mut Vec<u8>)) -> Result<Report, Refusal> {
    let mut datagram = encode(report, &keys()).unwrap();
    datagram.truncate(datagram.len() - 32);
    change(&mut datagram);
    let tag = keys().get(u16::from_be_bytes([datagram[6], datagram[7]])).map_or([0; 32], |key| key.tag(&[&datagram]));
    datagram.extend_from_slice(&tag);
    decode(&datagram, &keys())
}

#[test]
fn an_authentic_datagram_of_another_form_is_refused() {
    let report = numbered(1);
    assert_eq!(resigned(&report, |_| ()), Ok(report.clone()));
    let malformed: [(&str, usize, u8); 9] = [
        ("magic", 0, b'u'),
        ("kind", 5, 2),
        ("availability", 28, 3),
        ("measured", 29, 0x20),
        ("CPU", 31, 1),
        ("memory", 33, 1),
        ("custom", 35, 1),
        ("hits", 43, 1),
        ("name", 69, b'/'),
    ];
    for (what, offset, value) in malformed {
        assert_eq!(resigned(&report, |bytes| bytes[offset] = value), Err(Refusal::Malformed), "{what}");
    }
    for offset in [44, 52, 60] {
        assert_eq!(resigned(&report, |bytes| bytes[offset] = 1), Err(Refusal::Malformed), "network at {offset}");
    }
    assert_eq!(resigned(&report, |bytes| bytes[23] = 0), Err(Refusal::Malformed), "sequence 0");
    assert_eq!(resigned(&report, |bytes| bytes[24..28].fill(0)), Err(Refusal::Malformed), "interval 0");
    assert_eq!(resigned(&report, |bytes| bytes[24] = 1), Err(Refusal::Malformed), "a long interval");
    assert_eq!(resigned(&report, |bytes| bytes[68] = 0), Err(Refusal::Malformed), "no name");
    assert_eq!(resigned(&report, |bytes| bytes[69] = 0xff), Err(Refusal::Malformed), "a name that is no text");
    assert_eq!(resigned(&report, |bytes| bytes[4] = 2), Err(Refusal::Version));
}

#[test]
fn a_key_that_is_missing_or_of_another_real_is_refused() {
    assert_eq!(resigned(&numbered(1), |bytes| bytes[7] = 10), Err(Refusal::UnknownKey));
    assert_eq!(resigned(&numbered(1), |bytes| bytes[7] = 9), Err(Refusal::WrongKey));
    let other = Keys::parse("7 000102030405060708090a0b0c0d0e0e").unwrap();
    let datagram = encode(&numbered(1), &other).unwrap();
    assert_eq!(decode(&datagram, &keys()), Err(Refusal::BadTag));
}

#[test]
fn what_nobody_would_take_is_not_encoded() {
    let encoded = |change: fn(&mut Report)| {
        let mut report = numbered(1);
        change(&mut report);
        encode(&report, &keys()).map(|_| ())
    };
    assert_eq!(encoded(|_| ()), Ok(()));
    for name in [String::new(), "a".repeat(65), "web 1".to_owned(), "wéb".to_owned()] {
        let report = Report { real: name.clone(), ..numbered(1) };
        assert_eq!(encode(&report, &keys()), Err(EncodeError::Name(name)));
    }
    assert_eq!(encoded(|report| report.sequence = 0), Err(EncodeError::Sequence));
    assert_eq!(encoded(|report| report.interval_ms = 0), Err(EncodeError::Interval(0)));
    assert_eq!(encoded(|report| report.interval_ms = 3_600_001), Err(EncodeError::Interval(3_600_001)));
    let bound = Keys::parse("9 404142434445464748494a4b4c4d4e4f web2").unwrap();
    assert_eq!(encode(&numbered(1), &bound), Err(EncodeError::NoKey("web1".to_owned())));
}
