//! Which reports an inbox takes, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

/// So high that it never matters.
const NO_LIMIT: u32 = 1_000_000;

fn inbox(rate_limit: u32) -> Inbox {
    let mut inbox = Inbox::new(keys(), rate_limit);
    inbox.set_reals(["web1".to_owned(), "web2".to_owned()]);
    inbox
}

fn datagram(report: &Report) -> Vec<u8> {
    encode(report, &keys()).unwrap()
}

/// What comes of report `sequence` of a generation.
fn give(inbox: &mut Inbox, generation: u64, sequence: u64) -> Result<(), Refusal> {
    let report = Report { generation, ..numbered(sequence) };
    inbox.receive(&datagram(&report), 0).map(|received| assert_eq!(received, report))
}

#[test]
fn reports_are_taken_in_order_and_once() {
    let mut inbox = inbox(NO_LIMIT);
    for sequence in [1, 2, 3, 10] {
        assert_eq!(give(&mut inbox, 5, sequence), Ok(()));
        assert_eq!(give(&mut inbox, 5, sequence), Err(Refusal::Replayed));
    }
    assert_eq!(inbox.marks(), BTreeMap::from([("web1".to_owned(), Mark { generation: 5, sequence: 10 })]));
}

#[test]
fn a_late_report_is_stale_once_and_then_replayed() {
    let mut inbox = inbox(NO_LIMIT);
    assert_eq!(give(&mut inbox, 5, 100), Ok(()));
    for sequence in [99, 50, 37] {
        assert_eq!(give(&mut inbox, 5, sequence), Err(Refusal::Stale));
        assert_eq!(give(&mut inbox, 5, sequence), Err(Refusal::Replayed), "{sequence}");
    }
    // Outside the window it is not known any more what has come.
    assert_eq!(give(&mut inbox, 5, 36), Err(Refusal::Stale));
    assert_eq!(give(&mut inbox, 5, 36), Err(Refusal::Stale));
    assert_eq!(give(&mut inbox, 5, 101), Ok(()));
    assert_eq!(give(&mut inbox, 5, 99), Err(Refusal::Replayed), "a newer report does not make it forgotten");
}

#[test]
fn a_newer_generation_begins_anew_and_ends_the_older() {
    let mut inbox = inbox(NO_LIMIT);
    assert_eq!(give(&mut inbox, 5, 100), Ok(()));
    assert_eq!(give(&mut inbox, 6, 1), Ok(()));
    assert_eq!(give(&mut inbox, 5, 101), Err(Refusal::Stale));
    assert_eq!(give(&mut inbox, 6, 2), Ok(()));
}

#[test]
fn sequence_numbers_may_be_as_great_as_they_get() {
    let mut inbox = inbox(NO_LIMIT);
    assert_eq!(give(&mut inbox, 5, 1), Ok(()));
    assert_eq!(give(&mut inbox, u64::MAX, u64::MAX), Ok(()));
    assert_eq!(give(&mut inbox, u64::MAX, u64::MAX), Err(Refusal::Replayed));
    assert_eq!(give(&mut inbox, u64::MAX, 1), Err(Refusal::Stale));
}

#[test]
fn a_restored_inbox_refuses_what_came_before() {
    let mut before = inbox(NO_LIMIT);
    assert_eq!(give(&mut before, 5, 100), Ok(()));
    let mut after = inbox(NO_LIMIT);
    after.restore(&before.marks());
    assert_eq!(after.marks(), before.marks());
    for sequence in [100, 99, 37] {
        assert_eq!(give(&mut after, 5, sequence), Err(Refusal::Replayed), "{sequence}");
    }
    assert_eq!(give(&mut after, 4, 101), Err(Refusal::Stale));
    assert_eq!(give(&mut after, 5, 101), Ok(()));
    // An old mark does not open the door again.
    after.restore(&before.marks());
    assert_eq!(give(&mut after, 5, 101), Err(Refusal::Replayed));
}

#[test]
fn reals_come_and_go() {
    let mut inbox = inbox(NO_LIMIT);
    let report = Report { real: "web3".to_owned(), ..numbered(1) };
    assert_eq!(inbox.receive(&datagram(&report), 0), Err(Refusal::UnknownReal));
    assert_eq!(give(&mut inbox, 5, 1), Ok(()));
    inbox.set_reals(["web1".to_owned(), "web3".to_owned()]);
    assert_eq!(give(&mut inbox, 5, 1), Err(Refusal::Replayed), "a real that stays is still known");
    assert_eq!(inbox.receive(&datagram(&report), 0), Ok(report));
    inbox.set_reals([]);
    assert_eq!(give(&mut inbox, 5, 2), Err(Refusal::UnknownReal));
    assert!(inbox.marks().is_empty());
}

#[test]
fn keys_are_replaced() {
    let old = Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap();
    let new = Keys::parse("2 101112131415161718191a1b1c1d1e1f\n1 000102030405060708090a0b0c0d0e0f").unwrap();
    let mut inbox = inbox(NO_LIMIT);
    inbox.set_keys(new.clone());
    assert_eq!(inbox.receive(&encode(&numbered(1), &old).unwrap(), 0), Ok(numbered(1)));
    assert_eq!(inbox.receive(&encode(&numbered(2), &new).unwrap(), 0), Ok(numbered(2)));
    inbox.set_keys(old.clone());
    assert_eq!(inbox.receive(&encode(&numbered(3), &new).unwrap(), 0), Err(Refusal::UnknownKey));
    assert_eq!(inbox.receive(&encode(&numbered(2), &old).unwrap(), 0), Err(Refusal::Replayed), "the window stays");
}

#[test]
fn a_key_bound_to_a_real_speaks_for_no_other() {
    let theirs = Keys::parse("9 404142434445464748494a4b4c4d4e4f").unwrap();
    let mut inbox = inbox(NO_LIMIT);
    assert_eq!(inbox.receive(&encode(&numbered(1), &theirs).unwrap(), 0), Err(Refusal::WrongKey));
    let own = Report { real: "web2".to_owned(), ..numbered(1) };
    assert_eq!(inbox.receive(&encode(&own, &theirs).unwrap(), 0), Ok(own));
}

#[test]
fn forged_reports_change_nothing() {
    let forger = Keys::parse("7 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f").unwrap();
    let mut inbox = inbox(2);
    assert_eq!(give(&mut inbox, 5, 1), Ok(()));
    for sequence in (2..1_000).chain([u64::MAX]) {
        let forged = Report { generation: sequence, ..numbered(sequence) };
        let refusal = inbox.receive(&encode(&forged, &forger).unwrap(), 0);
        assert!(matches!(refusal, Err(Refusal::BadTag | Refusal::Stale)), "{refusal:?}");
    }
    assert_eq!(give(&mut inbox, 5, 2), Ok(()), "neither number nor allowance is used up");
    assert_eq!(give(&mut inbox, 5, 3), Err(Refusal::TooFast));
}

#[test]
fn each_real_has_its_allowance() {
    let mut inbox = inbox(4);
    let mut at = |real: &str, sequence, now_ms| {
        let report = Report { real: real.to_owned(), ..numbered(sequence) };
        inbox.receive(&datagram(&report), now_ms).map(|_| ())
    };
    for sequence in 1..=4 {
        assert_eq!(at("web1", sequence, 1_000), Ok(()));
    }
    assert_eq!(at("web1", 5, 1_000), Err(Refusal::TooFast));
    assert_eq!(at("web2", 1, 1_000), Ok(()), "that of another real is its own");
    assert_eq!(at("web1", 5, 1_249), Err(Refusal::TooFast));
    assert_eq!(at("web1", 5, 1_250), Ok(()), "four a second");
    assert_eq!(at("web1", 6, 1_250), Err(Refusal::TooFast));
    assert_eq!(at("web1", 6, 500), Err(Refusal::TooFast), "a clock that goes back gives nothing");
    for sequence in 6..=9 {
        assert_eq!(at("web1", sequence, u64::MAX), Ok(()));
    }
    assert_eq!(at("web1", 10, u64::MAX), Err(Refusal::TooFast), "no more than those of one second gather");
}

#[test]
fn the_limit_can_change() {
    let mut inbox = inbox(0);
    assert_eq!(give(&mut inbox, 5, 1), Ok(()), "0 counts as 1");
    assert_eq!(give(&mut inbox, 5, 2), Err(Refusal::TooFast));
    inbox.set_rate_limit(1_000);
    let report = numbered(2);
    assert_eq!(inbox.receive(&datagram(&report), 1), Ok(report));
}

#[test]
fn every_refusal_has_a_name_and_an_explanation() {
    let names: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
    assert_eq!(names.len(), Refusal::ALL.len());
    for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal.index(), index);
        assert!(!refusal.explanation().is_empty());
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever comes in whatever order: what is taken grows, nothing is taken twice, and what comes again is known for
    /// it as long as the window reaches.
    #[test]
    fn marks_only_grow(numbers in proptest::collection::vec((1_u64..4, 1_u64..200), 1..300)) {
        let mut inbox = inbox(NO_LIMIT);
        let mut newest = Mark::default();
        let mut given = BTreeSet::new();
        for (generation, sequence) in numbers {
            let mark = Mark { generation, sequence };
            let again = !given.insert(mark);
            match give(&mut inbox, generation, sequence) {
                Ok(()) => {
                    prop_assert!(mark > newest && !again);
                    newest = mark;
                }
                Err(Refusal::Replayed) => prop_assert!(again && mark <= newest),
                Err(refusal) => {
                    prop_assert!(refusal == Refusal::Stale && mark < newest);
                    let out_of_reach = generation < newest.generation || sequence + WINDOW <= newest.sequence;
                    prop_assert!(!again || out_of_reach, "{:?} was forgotten", mark);
                }
            }
        }
    }
}
