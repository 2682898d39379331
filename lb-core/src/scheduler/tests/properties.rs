//! What must hold of any reals and any reports.

use proptest::prelude::*;

use super::{plant::Plant, *};
use crate::testing::cases;

fn capacities() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(100.0..800.0_f64, 2..10)
}

/// What a liar says in place of its sample.
fn lie() -> impl Strategy<Value = (Option<f64>, Option<f64>)> {
    let utilisation = prop_oneof![Just(0.0), Just(0.02), Just(0.3), Just(1.0), Just(6.0), Just(f64::INFINITY)];
    let hits = prop_oneof![Just(0.0), Just(1.0), Just(1e12), Just(f64::INFINITY)];
    (prop::option::of(utilisation), prop::option::of(hits))
}

fn told((utilisation, hits): (Option<f64>, Option<f64>), truth: Sample) -> Sample {
    Sample { utilisation: utilisation.unwrap_or(truth.utilisation), hits: hits.or(truth.hits) }
}

fn any_sample() -> impl Strategy<Value = Option<Sample>> {
    let utilisation = prop_oneof![Just(0.0), 0.0..1.0, 0.0..7.0, Just(f64::INFINITY)];
    let hits = prop::option::of(prop_oneof![Just(0.0), 0.0..1e4, Just(1e12), Just(f64::MAX)]);
    prop::option::weighted(0.8, (utilisation, hits).prop_map(|(utilisation, hits)| Sample { utilisation, hits }))
}

/// How often the way of a weight turns round by more than `band`.
fn turns(factors: &[u32], band: f64) -> usize {
    let (mut low, mut high, mut turns, mut rising) = (f64::INFINITY, 0.0_f64, 0, None);
    for factor in factors.iter().map(|&factor| f64::from(factor)) {
        (low, high) = (low.min(factor), high.max(factor));
        let turned = if factor > low * (1.0 + band) {
            Some(true)
        } else if factor < high * (1.0 - band) {
            Some(false)
        } else {
            None
        };
        if turned.is_some() && turned != rising {
            turns += usize::from(rising.is_some());
            (rising, low, high) = (turned, factor, factor);
        } else if turned.is_some() {
            (low, high) = (factor, factor);
        }
    }
    turns
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn all_become_equally_busy_and_weights_rest(
        capacities in capacities(),
        load in 0.3..0.8,
        delay in 0..4_usize,
        noise in 0.0..0.1,
    ) {
        let mut plant = Plant::new(&capacities, load);
        (plant.delay, plant.noise) = (delay, noise);
        plant.seconds(150);
        prop_assert!(plant.max_over_mean(|_| true) <= 1.08, "{}", plant.max_over_mean(|_| true));
        plant.seconds(150);
        prop_assert!(plant.max_over_mean(|_| true) <= 1.08, "{}", plant.max_over_mean(|_| true));
        for factors in &plant.factors {
            prop_assert_eq!(turns(&factors[150..], 0.05), 0, "{:?}", &factors[150..]);
        }
    }

    #[test]
    fn no_report_moves_a_weight_too_far_or_too_low(
        reports in prop::collection::vec(prop::collection::vec(any_sample(), 5), 1..80),
    ) {
        let mut plant = Plant::new(&[100.0; 5], 0.5);
        let mut before = [f64::from(NEUTRAL_FACTOR); 5];
        let mut newest = [0.0; 5];
        for reports in &reports {
            plant.second(|index, _| reports[index]);
            for (newest, report) in newest.iter_mut().zip(reports) {
                *newest = report.map_or(*newest, |report| report.utilisation);
            }
            let after: [f64; 5] = std::array::from_fn(|index| f64::from(plant.factor(&plant.names[index])));
            for ((before, after), newest) in before.iter().zip(after).zip(newest) {
                let fall = if newest >= 0.97 { 0.3 } else { 0.1 };
                // Half a unit on both sides for rounding.
                let range = before * (1.0 - fall) - 1.1..=before * 1.1 + 1.1;
                prop_assert!(range.contains(&after), "{before} -> {after} at {newest}");
                prop_assert!(after >= 0.02 * f64::from(NEUTRAL_FACTOR) - 1.0);
            }
            let mean = after.iter().sum::<f64>() / 5.0;
            prop_assert!((mean - f64::from(NEUTRAL_FACTOR)).abs() <= 1.0, "{mean}");
            before = after;
        }
    }

    #[test]
    fn one_liar_leaves_the_others_in_balance(capacities in prop::collection::vec(100.0..800.0_f64, 4..9), lie in lie()) {
        let mut plant = Plant::new(&capacities, 0.5);
        for _ in 0..300 {
            plant.second(|index, truth| Some(if index == 0 { told(lie, truth) } else { truth }));
        }
        prop_assert!(plant.max_over_mean(|index| index > 0) <= 1.10, "{:?}", plant.decisions);
        prop_assert!(plant.names.iter().all(|name| plant.factor(name) >= NEUTRAL_FACTOR / 50));
    }

    #[test]
    fn missing_reports_leave_the_others_in_balance(capacities in capacities(), lost in 0..3_usize) {
        let mut plant = Plant::new(&capacities, 0.5);
        for second in 0..300 {
            // One has never reported, and the others lose some.
            plant.second(|index, truth| (index > 0 && (second + index) % 4 >= lost).then_some(truth));
        }
        prop_assert!(plant.max_over_mean(|index| index > 0) <= 1.08, "{:?}", plant.decisions);
        prop_assert_eq!(plant.decisions["web0"].why, Why::NoReports);
    }

    #[test]
    fn names_do_not_matter(capacities in capacities(), load in 0.3..0.9) {
        let mut forth = Plant::new(&capacities, load);
        let mut back = Plant::new(&capacities.iter().rev().copied().collect::<Vec<_>>(), load);
        forth.seconds(60);
        back.seconds(60);
        for (one, other) in forth.factors.iter().zip(back.factors.iter().rev()) {
            prop_assert!(one.iter().zip(other).all(|(one, other)| one.abs_diff(*other) <= 1));
        }
    }

    #[test]
    fn easing_in_only_goes_up(capacities in capacities()) {
        let mut plant = Plant::new(&capacities, 0.5);
        plant.seconds(100);
        plant.scheduler.joined("web0", plant.now_ms);
        plant.seconds(40);
        // Factors are scaled to a mean; what a real gets of all flows is what it feels.
        let sum = |second: usize| plant.factors.iter().map(|factors| f64::from(factors[second])).sum::<f64>();
        let shares: Vec<f64> = (99..140).map(|second| f64::from(plant.factors[0][second]) / sum(second)).collect();
        let (whole, eased) = (shares[0], &shares[1..]);
        prop_assert!(eased[0] <= whole * 0.6, "{whole}: {eased:?}");
        prop_assert!(eased.windows(2).all(|pair| pair[1] >= pair[0] * 0.97), "{eased:?}");
        prop_assert!((eased[39] / whole - 1.0).abs() <= 0.1, "{whole}: {eased:?}");
    }
}
