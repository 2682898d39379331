//! The editor against the rules of the module's page, told a second time and in another way.

use std::collections::BTreeMap;

use lb_common::{NO_REAL, RING_SLOTS, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, Slot};
use proptest::prelude::*;

use super::*;
use crate::testing::cases;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const SMALL: u32 = 251;

/// Shares of the reals 1, 2, .. with these weights.
fn shares(weights: &[u32]) -> Vec<Share<'static>> {
    (1..).zip(weights).zip(NAMES).map(|((real, &weight), name)| Share { name, real, weight }).collect()
}

fn ring_of(weights: &[u32]) -> Ring {
    Ring::blank(SMALL).edited(&shares(weights), 0).unwrap()
}

fn slot(real: u16, previous: u16, state: u16) -> Slot {
    Slot { real, previous, state, reserved: 0 }
}

/// Index of a slot that `real` holds.
fn a_slot_of(ring: &Ring, real: u16) -> usize {
    ring.slots.iter().position(|slot| slot.real == real).unwrap()
}

fn known(ids: &[u16]) -> RealIds {
    ids.iter().copied().collect()
}

mod rules {
    use super::*;

    #[test]
    fn a_blank_ring_is_filled_clean_and_on_target() {
        let ring = ring_of(&[3, 1, 0]);
        assert_eq!(
            ring.tally,
            Tally { clean: SMALL, remembers: 0, marked: 0, held: BTreeMap::from([(1, 188), (2, 63)]) }
        );
        assert!(ring.since_ms.is_empty());
        assert_eq!(ring.edited(&shares(&[3, 1, 0]), 5), None);
        assert_eq!(ring.edited(&shares(&[6, 2, 0]), 5), None);
    }

    #[test]
    fn a_clean_slot_that_moves_remembers_its_old_real() {
        let ring = ring_of(&[1, 0]);
        let next = ring.edited(&shares(&[0, 1]), 7).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(2, 1, SLOT_REMEMBERS)));
        assert!((0..SMALL).all(|i| next.since_ms(i) == Some(7)));
    }

    #[test]
    fn a_slot_that_remembers_keeps_what_it_remembers_and_its_clock() {
        let ring = ring_of(&[1, 0, 0]).edited(&shares(&[0, 1, 0]), 7).unwrap();
        let next = ring.edited(&shares(&[0, 0, 1]), 9).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(3, 1, SLOT_REMEMBERS)));
        assert!((0..SMALL).all(|i| next.since_ms(i) == Some(7)));
    }

    #[test]
    fn a_marked_slot_that_moves_remembers_its_old_real_anew() {
        let ring = ring_of(&[1, 0, 0]).edited(&shares(&[0, 1, 0]), 7).unwrap();
        let marked = ring.expired(10, 17).unwrap();
        assert!(marked.slots.iter().all(|&s| s == slot(2, 0, SLOT_MARKED)));
        let next = marked.edited(&shares(&[0, 0, 1]), 20).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(3, 2, SLOT_REMEMBERS)));
        assert!((0..SMALL).all(|i| next.since_ms(i) == Some(20)));
    }

    #[test]
    fn without_any_weight_slots_lose_their_real_and_remember_it() {
        let ring = ring_of(&[1, 0]);
        let drained = ring.edited(&shares(&[0, 0]), 7).unwrap();
        assert!(drained.slots.iter().all(|&s| s == slot(NO_REAL, 1, SLOT_REMEMBERS)));
        assert_eq!(drained.edited(&shares(&[0, 0]), 8), None);
        let enabled = drained.edited(&shares(&[0, 1]), 9).unwrap();
        assert!(enabled.slots.iter().all(|&s| s == slot(2, 1, SLOT_REMEMBERS)));
        assert!((0..SMALL).all(|i| enabled.since_ms(i) == Some(7)));
    }

    #[test]
    fn a_slot_without_real_and_memory_stays_as_it_is_when_it_gets_one() {
        let drained = ring_of(&[1, 0]).edited(&shares(&[0, 0]), 7).unwrap();
        let marked = drained.expired(10, 17).unwrap();
        let enabled = marked.edited(&shares(&[0, 1]), 20).unwrap();
        assert!(enabled.slots.iter().all(|&s| s == slot(2, NO_REAL, SLOT_MARKED)));
        assert!((0..SMALL).all(|i| enabled.since_ms(i) == Some(17)), "the mark is as old as before");
    }

    #[test]
    fn a_ring_that_nothing_is_left_of_is_filled_as_a_new_one() {
        let drained = ring_of(&[1, 2]).edited(&shares(&[0, 0]), 7).unwrap();
        let clean = drained.expired(10, 17).unwrap().cleaned(|_, _| false, 17).unwrap();
        assert_eq!(clean, Ring::blank(SMALL));
        assert_eq!(clean.edited(&shares(&[1, 2]), 30), Some(ring_of(&[1, 2])));
    }

    #[test]
    fn a_blank_ring_without_weights_stays_blank() {
        assert_eq!(Ring::blank(SMALL).edited(&shares(&[0, 0]), 7), None);
        assert_eq!(Ring::blank(SMALL).edited(&[], 7), None);
    }

    #[test]
    fn clean_slots_of_a_gone_real_move_and_stay_clean() {
        let ring = ring_of(&[1, 1]).without_strangers(&known(&[2]), 7).unwrap();
        assert_eq!(ring.tally.of_real(NO_REAL), 126);
        let next = ring.edited(&shares(&[0, 1]), 8).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(2, NO_REAL, SLOT_CLEAN)));
        assert_eq!(next.without_strangers(&known(&[2]), 9), None);
    }

    #[test]
    fn slots_that_remember_a_gone_real_are_only_marked() {
        let ring = ring_of(&[1, 0]).edited(&shares(&[0, 1]), 7).unwrap();
        let next = ring.without_strangers(&known(&[2]), 9).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(2, NO_REAL, SLOT_MARKED)));
        assert!((0..SMALL).all(|i| next.since_ms(i) == Some(9)));
    }

    #[test]
    fn a_slot_of_a_gone_real_goes_on_remembering_one_that_is_there() {
        let ring = ring_of(&[1, 0, 0]).edited(&shares(&[0, 1, 0]), 7).unwrap();
        let ring = ring.without_strangers(&known(&[1, 3]), 9).unwrap();
        assert!(ring.slots.iter().all(|&s| s == slot(NO_REAL, 1, SLOT_REMEMBERS)));
        let next = ring.edited(&shares(&[0, 0, 1]), 11).unwrap();
        assert!(next.slots.iter().all(|&s| s == slot(3, 1, SLOT_REMEMBERS)));
        assert!((0..SMALL).all(|i| next.since_ms(i) == Some(7)));
    }

    #[test]
    fn slots_expire_each_in_its_own_time() {
        let first = ring_of(&[1, 0, 0]).edited(&shares(&[2, 1, 0]), 10).unwrap();
        let both = first.edited(&shares(&[1, 1, 1]), 15).unwrap();
        assert_eq!(both.expired(10, 19), None);
        let next = both.expired(10, 20).unwrap();
        assert!(next.tally.marked > 0 && next.tally.remembers > 0);
        for i in 0..SMALL {
            let due = both.since_ms(i) == Some(10);
            assert_eq!(next.slots[i as usize].state == SLOT_MARKED, due, "slot {i}");
            assert_eq!(next.since_ms(i), if due { Some(20) } else { both.since_ms(i) });
        }
        assert_eq!(next.expired(10, 24), None);
        assert_eq!(next.expired(10, 25).unwrap().tally.remembers, 0);
    }

    #[test]
    fn marked_slots_become_clean_when_unused_and_marked_long_enough() {
        let marked = ring_of(&[1, 0]).edited(&shares(&[0, 1]), 7).unwrap().expired(10, 17).unwrap();
        assert_eq!(marked.cleaned(|_, _| false, 16), None);
        assert_eq!(marked.cleaned(|_, _| true, 17), None);
        assert_eq!(marked.cleaned(|_, slot| slot.real == 2, 17), None);
        let next = marked.cleaned(|i, _| i % 2 == 0, 17).unwrap();
        for (i, &s) in next.slots.iter().enumerate() {
            assert_eq!(s, slot(2, NO_REAL, if i % 2 == 0 { SLOT_MARKED } else { SLOT_CLEAN }));
        }
        let all = next.cleaned(|_, _| false, 17).unwrap();
        assert_eq!(all.tally.clean, SMALL);
        assert!(all.since_ms.is_empty());
    }

    #[test]
    fn slots_that_remember_are_never_cleaned() {
        // Some slots are marked, others have begun to remember since.
        let marked = ring_of(&[1, 0, 0]).edited(&shares(&[1, 1, 0]), 7).unwrap().expired(10, 17).unwrap();
        let ring = marked.edited(&shares(&[0, 1, 0]), 20).unwrap();
        assert!(ring.tally.marked > 0 && ring.tally.remembers > 0);
        let cleaned = ring.cleaned(|_, _| false, u64::MAX).unwrap();
        assert_eq!((cleaned.tally.marked, cleaned.tally.remembers), (0, ring.tally.remembers));
    }

    #[test]
    fn a_slot_goes_back_to_the_real_that_it_remembers() {
        let ring = ring_of(&[2, 1, 1, 1]);
        let without = ring.edited(&shares(&[0, 0, 1, 1]), 7).unwrap();
        let back = without.edited(&shares(&[2, 1, 1, 1]), 9).unwrap();
        assert!((0..SMALL as usize).all(|i| back.slots[i].real == ring.slots[i].real));
    }

    #[test]
    fn a_real_out_of_the_list_has_no_claim() {
        let ring = ring_of(&[1, 1]);
        let next = ring.edited(&shares(&[1]), 7).unwrap();
        let i = a_slot_of(&ring, 2);
        assert_eq!(next.slots[i], slot(1, 2, SLOT_REMEMBERS));
        assert_eq!(next.tally.held, BTreeMap::from([(1, SMALL)]));
    }
}

mod heat {
    use super::*;

    #[test]
    fn marks_the_clean_slots_of_hot_reals_only() {
        let ring = ring_of(&[1, 1]);
        let next = ring.heated(&known(&[2]), 7).unwrap();
        for (i, (was, is)) in (0..).zip(ring.slots.iter().zip(next.slots.iter())) {
            let expected = if was.real == 2 { (slot(2, NO_REAL, SLOT_MARKED), Some(7)) } else { (*was, None) };
            assert_eq!((*is, next.since_ms(i)), expected);
        }
        assert_eq!(next.heated(&known(&[2]), 8), None);
        assert_eq!(ring.heated(&known(&[3]), 8), None);
        assert_eq!(ring.heated(&RealIds::default(), 8), None);
    }

    #[test]
    fn leaves_slots_that_remember_as_they_are() {
        let ring = ring_of(&[1, 0]).edited(&shares(&[0, 1]), 7).unwrap();
        assert_eq!(ring.heated(&known(&[2]), 8), None);
        assert_eq!(ring.cooled(&known(&[2]), 8), None);
    }

    #[test]
    fn begins_the_time_of_marked_slots_anew_when_it_is_over() {
        let both = ring_of(&[1, 1]).heated(&known(&[1, 2]), 7).unwrap();
        let next = both.cooled(&known(&[2]), 9).unwrap();
        assert_eq!(next.slots, both.slots);
        for (i, slot) in (0..).zip(next.slots.iter()) {
            assert_eq!(next.since_ms(i), Some(if slot.real == 2 { 9 } else { 7 }));
        }
    }

    #[test]
    fn of_a_real_that_is_gone_counts_until_now() {
        let hot = ring_of(&[1, 1]).heated(&known(&[2]), 7).unwrap();
        let next = hot.without_strangers(&known(&[1]), 9).unwrap();
        let i = a_slot_of(&next, NO_REAL) as u32;
        assert_eq!((next.slots[i as usize].state, next.since_ms(i)), (SLOT_MARKED, Some(9)));
    }
}

mod adoption {
    use super::*;

    fn full_size(slot: Slot) -> Arc<[Slot]> {
        vec![slot; RING_SLOTS as usize].into()
    }

    #[test]
    fn clocks_begin_anew() {
        for state in [SLOT_REMEMBERS, SLOT_MARKED] {
            let ring = Ring::adopted(&full_size(slot(1, 2, state)), RING_SLOTS, 99).unwrap();
            assert_eq!(ring.since_ms(5), Some(99));
        }
        let clean = Ring::adopted(&full_size(slot(1, 0, SLOT_CLEAN)), RING_SLOTS, 99).unwrap();
        assert_eq!(clean.since_ms(5), None);
    }

    #[test]
    fn the_slots_stay_the_same_allocation() {
        let slots = full_size(slot(1, 0, SLOT_CLEAN));
        assert!(Arc::ptr_eq(Ring::adopted(&slots, RING_SLOTS, 0).unwrap().slots(), &slots));
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        assert_eq!(Ring::adopted(&vec![slot(1, 0, SLOT_CLEAN); 7].into(), RING_SLOTS, 0), None);
        assert_eq!(Ring::adopted(&full_size(slot(1, 0, 3)), RING_SLOTS, 0), None);
    }
}

mod properties {
    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Edit(Vec<u32>),
        Forget(Vec<u16>),
        Expire,
        Clean(u32),
        Heat(Vec<u16>),
        Cool(Vec<u16>),
    }

    const TIMEOUT_MS: u64 = 25;
    const STEP_MS: u64 = 10;

    fn some_reals() -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec(1..=NAMES.len() as u16, 1..3)
    }

    fn op() -> impl Strategy<Value = Op> {
        let weight = prop_oneof![3 => 1..100u32, 1 => Just(0), 1 => Just(65_535)];
        prop_oneof![
            6 => prop::collection::vec(weight, 0..=NAMES.len()).prop_map(Op::Edit),
            1 => some_reals().prop_map(Op::Forget),
            3 => Just(Op::Expire),
            2 => any::<u32>().prop_map(Op::Clean),
            1 => some_reals().prop_map(Op::Heat),
            1 => some_reals().prop_map(Op::Cool),
        ]
    }

    fn counts(ring: &Ring) -> BTreeMap<u16, u32> {
        let mut counts = BTreeMap::new();
        for slot in ring.slots.iter() {
            *counts.entry(slot.real).or_default() += 1;
        }
        counts
    }

    /// What the slot must be after the edit, by the design's words for a move.
    fn after_move(was: Slot, to: u16) -> Slot {
        match was.state {
            _ if was.real == to => was,
            SLOT_REMEMBERS => slot(to, was.previous, SLOT_REMEMBERS),
            state if was.real == NO_REAL => slot(to, NO_REAL, state),
            _ => slot(to, was.real, SLOT_REMEMBERS),
        }
    }

    fn check_edit(was: &Ring, is: &Ring, weights: &[u32], now_ms: u64) -> Result<(), TestCaseError> {
        let targets: BTreeMap<u16, u32> = (1..).zip(apportion(weights, SMALL)).collect();
        let target = |id: u16| targets.get(&id).copied().unwrap_or(0);
        let (before, after) = (counts(was), counts(is));
        let has_any = weights.iter().any(|&weight| weight > 0);
        let (mut moves, mut fewest) = (0, 0);
        for id in 0..=NAMES.len() as u16 {
            let (held, holds) = (before.get(&id).copied().unwrap_or(0), after.get(&id).copied().unwrap_or(0));
            let wanted = if id == NO_REAL && !has_any { SMALL } else { target(id) };
            prop_assert_eq!(holds, wanted, "real {} after {:?}", id, weights);
            fewest += held.saturating_sub(wanted);

            // Of each real the exceptions go before the clean slots.
            let mut left = [0, 0, 0];
            let mut kept = [0, 0, 0];
            for (a, b) in was.slots.iter().zip(is.slots.iter()).filter(|(a, _)| a.real == id) {
                let class = usize::from(a.state);
                if a.real == b.real { kept[class] += 1 } else { left[class] += 1 }
            }
            moves += left.iter().sum::<u32>();
            let [clean, remembers, marked] = [SLOT_CLEAN, SLOT_REMEMBERS, SLOT_MARKED].map(usize::from);
            prop_assert!(
                left[clean] == 0 || kept[remembers] + kept[marked] == 0,
                "clean before exceptions: {:?} {:?}",
                left,
                kept
            );
            prop_assert!(left[marked] == 0 || kept[remembers] == 0, "marked before remembering: {:?} {:?}", left, kept);
        }
        prop_assert_eq!(moves, fewest);
        let refilled = was.is_blank();
        for i in 0..SMALL {
            let (a, b) = (was.slots[i as usize], is.slots[i as usize]);
            prop_assert_eq!(b, after_move(a, b.real), "slot {}", i);
            let fresh = a.real != b.real && a.state != SLOT_REMEMBERS && b.state == SLOT_REMEMBERS;
            let since = if fresh { Some(now_ms) } else { was.since_ms(i) };
            prop_assert_eq!(is.since_ms(i), since);
            prop_assert!(!refilled || b.state == SLOT_CLEAN);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(cases(400))]

        #[test]
        fn edits_move_the_fewest_slots_and_exceptions_first(ops in prop::collection::vec(op(), 1..24)) {
            let mut ring = Ring::blank(SMALL);
            for (step, op) in (1..).zip(ops) {
                let now_ms = step * STEP_MS;
                let next = match &op {
                    Op::Edit(weights) => {
                        let next = ring.edited(&shares(weights), now_ms);
                        check_edit(&ring, next.as_ref().unwrap_or(&ring), weights, now_ms)?;
                        next
                    }
                    Op::Forget(gone) => {
                        let ids: RealIds = (1..=NAMES.len() as u16).filter(|id| !gone.contains(id)).collect();
                        let next = ring.without_strangers(&ids, now_ms);
                        let slots = &next.as_ref().unwrap_or(&ring).slots;
                        prop_assert!(slots.iter().all(|s| !gone.contains(&s.real) && !gone.contains(&s.previous)));
                        next
                    }
                    Op::Expire => {
                        let next = ring.expired(TIMEOUT_MS, now_ms);
                        let now = next.as_ref().unwrap_or(&ring);
                        prop_assert!((0..SMALL).all(|i| now.slots[i as usize].state != SLOT_REMEMBERS
                            || now.since_ms(i).is_some_and(|since| since + TIMEOUT_MS > now_ms)));
                        next
                    }
                    Op::Clean(seed) => ring.cleaned(|i, _| (i ^ seed) % 3 == 0, now_ms),
                    Op::Heat(hot) => {
                        let next = ring.heated(&known(hot), now_ms);
                        let slots = &next.as_ref().unwrap_or(&ring).slots;
                        prop_assert!(slots.iter().all(|s| s.state != SLOT_CLEAN || !hot.contains(&s.real)));
                        prop_assert_eq!(counts(&ring), counts(next.as_ref().unwrap_or(&ring)));
                        next
                    }
                    Op::Cool(cooled) => {
                        let next = ring.cooled(&known(cooled), now_ms);
                        let now = next.as_ref().unwrap_or(&ring);
                        prop_assert_eq!(&now.slots, &ring.slots);
                        for (i, slot) in (0..).zip(now.slots.iter()) {
                            let is_anew = slot.state == SLOT_MARKED && cooled.contains(&slot.real);
                            prop_assert_eq!(now.since_ms(i), if is_anew { Some(now_ms) } else { ring.since_ms(i) });
                        }
                        next
                    }
                };
                prop_assert!(next.as_ref() != Some(&ring), "{:?} gave an equal ring", op);
                ring = next.unwrap_or(ring);
                prop_assert_eq!(&ring.tally, &Tally::of(&ring.slots));
                prop_assert!(ring.slots.iter().all(|s| (s.state == SLOT_REMEMBERS) == (s.previous != NO_REAL)));
            }
        }

        #[test]
        fn shares_sum_up_and_are_fair(
            weights in prop::collection::vec(prop_oneof![0..4u32, 0..=65_535u32], 0..40),
            slots in prop_oneof![1..60u32, Just(RING_SLOTS)],
        ) {
            let shares = apportion(&weights, slots);
            let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
            let positive = weights.iter().filter(|&&w| w > 0).count();
            prop_assert_eq!(shares.iter().sum::<u32>(), if total == 0 { 0 } else { slots });
            for (&weight, &share) in weights.iter().zip(&shares) {
                prop_assert!(weight > 0 || share == 0);
                prop_assert!(weight == 0 || share >= 1 || positive > slots as usize);
                for (&other, &others) in weights.iter().zip(&shares) {
                    prop_assert!(weight >= other || share <= others, "{} gets {}, {} gets {}", weight, share, other, others);
                }
            }
            // Where nobody is due less than one slot the classic quota rule holds.
            let quota = |w: u32| u64::from(w) * u64::from(slots);
            if total > 0 && weights.iter().all(|&w| w == 0 || quota(w) >= total) {
                for (&weight, &share) in weights.iter().zip(&shares) {
                    let floor = quota(weight) / total;
                    prop_assert!((floor..=floor + 1).contains(&u64::from(share)));
                }
            }
        }
    }
}

#[test]
fn apportionment_by_hand() {
    assert_eq!(apportion(&[1, 1, 1], 10), [4, 3, 3]);
    assert_eq!(apportion(&[100, 100, 100], RING_SLOTS), [21_846, 21_846, 21_845]);
    assert_eq!(apportion(&[5, 3, 2], 10), [5, 3, 2]);
    assert_eq!(apportion(&[53, 24, 23], 10), [5, 3, 2]);
    assert_eq!(apportion(&[0, 7], 10), [0, 10]);
    assert_eq!(apportion(&[0, 0], 10), [0, 0]);
    assert_eq!(apportion(&[], 10), [] as [u32; 0]);
    assert_eq!(apportion(&[1, 65_535, 1], 10), [1, 8, 1]);
    assert_eq!(apportion(&[1, 3, 2], 2), [0, 1, 1]);
    assert_eq!(apportion(&[1, 1, 1], 2), [1, 1, 0]);
}
