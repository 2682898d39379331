//! Bytes that are no entries, and what is said of them.

use super::*;
use crate::checkpoint::codec::bytes::put_number;

/// An entry of this kind with this value.
fn flaw(kind: u8, value: &[u8]) -> Flaw {
    let mut bytes = encoded(FORMAT_VERSION, &[Entry::RealGone(1)]);
    bytes.push(kind);
    bytes.extend((value.len() as u32).to_be_bytes());
    bytes.extend(value);
    let error = decode_entries(&bytes).unwrap_err();
    assert_eq!((error.entry, error.kind), (2, kind));
    error.flaw
}

fn read(bytes: &[u8]) -> Result<u64, Flaw> {
    Reader::new(bytes).number()
}

#[test]
fn numbers_have_one_form() {
    for number in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        let mut bytes = Vec::new();
        put_number(number, &mut bytes);
        assert_eq!(read(&bytes), Ok(number));
        assert_eq!(read(&bytes[..bytes.len() - 1]), Err(Flaw::Short));
    }
    assert_eq!(read(&[0xac, 0x02]), Ok(300));
    assert_eq!(read(&[0x80, 0x00]), Err(Flaw::Number));
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), Err(Flaw::Number));
    assert_eq!(read(&[0xff; 11]), Err(Flaw::Number));
}

#[test]
fn entries_that_end_early_or_late() {
    let error = |bytes: &[u8]| decode_entries(bytes).unwrap_err();
    assert_eq!(error(&[SERVICE_GONE, 0, 0]), DecodeError { entry: 1, kind: SERVICE_GONE, flaw: Flaw::Short });
    assert_eq!(
        error(&[SERVICE_GONE, 0, 0, 0, 9, 1, 2]),
        DecodeError { entry: 1, kind: SERVICE_GONE, flaw: Flaw::Short }
    );
    assert_eq!(flaw(SERVICE_GONE, &[1]), Flaw::Short);
    assert_eq!(flaw(SERVICE_GONE, &[1, 2, 3]), Flaw::Long);
}

#[test]
fn flows_that_are_none() {
    assert_eq!(flaw(REMEMBERED, &[0, 200, 1]), Flaw::Count("flows"));
    assert_eq!(flaw(REMEMBERED, &[200, 1]), Flaw::Count("fronts"));
    assert_eq!(flaw(FORGOTTEN, &[0, 1, 1, 2, 3, 4, 5, 6, 7, 8]), Flaw::Unknown("front"));
    assert_eq!(flaw(FORGOTTEN, &[1, 5, 1, 2, 3, 4, 6, 0]), Flaw::Unknown("family"));
    assert_eq!(flaw(FORGOTTEN, &[1, 4, 1, 2, 3, 4, 1, 0]), Flaw::Unknown("protocol"));
}

#[test]
fn rings_that_are_none() {
    // Eight slots of one real.
    let ring = |rest: &[u8]| flaw(RING, &[&[0, 1, 8, 1, 0, 7], rest].concat());
    assert_eq!(ring(&[]), Flaw::Short);
    assert_eq!(ring(&[0b0000_0010, 0]), Flaw::Unknown("slot's real"));
    assert_eq!(ring(&[0, 1, 2]), Flaw::Count("slots that are not clean"));
    assert_eq!(ring(&[0, 1, 3, 0]), Flaw::Unknown("slot's state"));
    assert_eq!(ring(&[0, 1, 0, 0]), Flaw::Slot);
    assert_eq!(ring(&[0, 1, 8 << 2 | 2, 0]), Flaw::Slot);
    assert_eq!(flaw(RING, &[0, 1, 0x82, 0x80, 4, 1, 0, 7]), Flaw::Count("slots"));
    assert_eq!(flaw(RING, &[0, 1, 1, 1, 0, 7, 2, 0]), Flaw::Long);
    assert_eq!(flaw(SAME_RING, &[0, 1, 0, 2]), Flaw::Reference);
}

#[test]
fn names_and_loads_that_are_none() {
    let entry = |change: &dyn Fn(&mut crate::checkpoint::RealEntry)| {
        let mut real = any::plain_real();
        change(&mut real);
        let bytes = encoded(FORMAT_VERSION, &[Entry::Real(real)]);
        decode_entries(&bytes).map_err(|error| error.flaw)
    };
    assert!(entry(&|_| {}).is_ok());
    assert_eq!(entry(&|real| real.name = String::new()), Err(Flaw::Name));
    assert_eq!(entry(&|real| real.name = "a b".into()), Err(Flaw::Name));
    assert_eq!(entry(&|real| real.name = "a".repeat(65)), Err(Flaw::Count("letters of a name")));
    let real = encoded(FORMAT_VERSION, &[Entry::Real(any::plain_real())]);
    let load = real.len() - 4;
    for (figure, is_load) in [(f32::NAN, false), (f32::INFINITY, false), (-1.0, false), (0.0, true), (2.0, true)] {
        let mut changed = real.clone();
        changed[load..].copy_from_slice(&figure.to_be_bytes());
        let expected = if is_load { Ok(()) } else { Err(Flaw::Load) };
        assert_eq!(decode_entries(&changed).map(drop).map_err(|error| error.flaw), expected, "{figure}");
    }
}

/// A load that is no number is not known; the rest of the real is told.
#[test]
fn a_load_that_is_no_number_is_not_written() {
    let nonsense = crate::checkpoint::Load { utilisation: f32::NAN, hits: None };
    let real = crate::checkpoint::RealEntry { load: Some(nonsense), ..any::plain_real() };
    let bytes = encoded(FORMAT_VERSION, &[Entry::Real(real)]);
    let expected = crate::checkpoint::RealEntry { load: None, ..any::plain_real() };
    assert_eq!(decode_entries(&bytes), Ok(vec![Entry::Real(expected)]));
}
