//! The estimator: it finds what is there, stays within its limits, and does not waver.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::api::ValueOrigin;
use crate::testing::cases;

const WEIGHTS: Weights = Weights { mean_time_between_failures: 1e6, flow_weight: 1.0 };
const LIMITS: Limits = Limits { least: 0.01, max: 600.0 };

/// So many looks, a second apart, at flows that come and go evenly, with a commit each.
fn watch(estimator: &mut Estimator, inputs: &Inputs, looks: u32, rng: &mut Rng) {
    for _ in 0..looks {
        let mut about = |rate: f64| (rate * (0.8 + 0.4 * rng.f64())) as u64;
        let flows = about(inputs.at_risk_rate);
        let known = (inputs.at_risk_rate / inputs.end_rate) as u64;
        let entries = 2 * flows;
        estimator.passed(1.0, &Passed { remembered: flows, forgotten: flows, entries, known });
        estimator.committed(entries, inputs.fixed_cost + inputs.entry_cost * entries as f64);
    }
}

#[test]
fn it_finds_what_is_there() {
    let there = Inputs { fixed_cost: 2e-3, entry_cost: 3e-6, at_risk_rate: 1_000.0, ..USUAL };
    let mut estimator = Estimator::default();
    watch(&mut estimator, &there, 600, &mut Rng::with_seed(1));
    let estimate = estimator.estimate(&WEIGHTS);
    let found = estimate.inputs;
    close(found.fixed_cost, there.fixed_cost, 0.05);
    close(found.entry_cost, there.entry_cost, 0.05);
    close(found.at_risk_rate, there.at_risk_rate, 0.05);
    close(found.end_rate, there.end_rate, 0.05);
    close(found.failure_rate, 1e-6, 1e-12);
    assert!(estimate.knows_fixed_cost && estimate.knows_entry_cost && estimate.knows_rates && estimate.knows_end_rate);
    let best = Objective::new(there).optimum().unwrap();
    close(estimator.interval(&WEIGHTS, &LIMITS), best, 0.05);
}

/// Commits of one size say nothing of what an entry costs: the rest is the cost of a checkpoint.
#[test]
fn commits_of_one_size_keep_the_slope_that_was_assumed() {
    let mut estimator = Estimator::default();
    (0..100).for_each(|_| estimator.committed(1_000, 6e-3));
    let estimate = estimator.estimate(&WEIGHTS);
    assert!(estimate.knows_fixed_cost && !estimate.knows_entry_cost);
    close(estimate.inputs.fixed_cost + 1_000.0 * estimate.inputs.entry_cost, 6e-3, 1e-9);
    close(estimate.inputs.entry_cost, 5e-7, 1e-9);
}

#[test]
fn it_is_short_before_anything_is_known_and_long_where_nothing_happens() {
    let mut estimator = Estimator::default();
    assert_eq!(estimator.interval(&WEIGHTS, &LIMITS), LIMITS.least);
    estimator.passed(1.0, &Passed::default());
    assert_eq!(estimator.interval(&WEIGHTS, &LIMITS), LIMITS.max);
}

#[test]
fn a_burst_is_met_at_once_and_forgotten_after() {
    let mut estimator = Estimator::default();
    let quiet = Passed { known: 10, ..Passed::default() };
    (0..60).for_each(|_| estimator.passed(1.0, &quiet));
    assert_eq!(estimator.interval(&WEIGHTS, &LIMITS), LIMITS.max);
    estimator.passed(1.0, &Passed { remembered: 100_000, entries: 100_000, ..quiet });
    let busy = estimator.interval(&WEIGHTS, &LIMITS);
    assert!(busy < 2.0, "{busy}");
    (0..900).for_each(|_| estimator.passed(1.0, &quiet));
    assert!(estimator.interval(&WEIGHTS, &LIMITS) > 100.0 * busy);
}

/// Flows come evenly but for chance. J is flat around its least, so that there is nothing to gain by following each step.
#[test]
fn it_does_not_waver() {
    let mut estimator = Estimator::default();
    let mut rng = Rng::with_seed(3);
    watch(&mut estimator, &USUAL, 300, &mut rng);
    let mut intervals = vec![estimator.interval(&WEIGHTS, &LIMITS)];
    for _ in 0..1_000 {
        watch(&mut estimator, &USUAL, 1, &mut rng);
        intervals.push(estimator.interval(&WEIGHTS, &LIMITS));
    }
    let changes = intervals.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 2, "{changes} changes: {intervals:?}");
    // What has really changed is followed.
    watch(&mut estimator, &Inputs { fixed_cost: 16.0 * USUAL.fixed_cost, ..USUAL }, 300, &mut rng);
    assert!(estimator.interval(&WEIGHTS, &LIMITS) > 3.0 * intervals[0]);
}

#[test]
fn a_reload_of_the_limits_counts_at_once() {
    let mut estimator = Estimator::default();
    estimator.passed(1.0, &Passed::default());
    assert_eq!(estimator.interval(&WEIGHTS, &LIMITS), 600.0);
    assert_eq!(estimator.interval(&WEIGHTS, &Limits { max: 500.0, ..LIMITS }), 500.0);
}

#[test]
fn the_advice_says_all_of_it() {
    let mut estimator = Estimator::default();
    watch(&mut estimator, &USUAL, 100, &mut Rng::with_seed(4));
    let estimate = estimator.estimate(&WEIGHTS);
    let told = advice(&estimate, &LIMITS, 4.0, true);
    let (half, best, twice) = (told.half.unwrap(), told.optimum.unwrap(), told.twice.unwrap());
    assert_eq!(
        (half.interval_seconds * 2.0, best.interval_seconds * 2.0),
        (best.interval_seconds, twice.interval_seconds)
    );
    assert!(best.cost < half.cost && best.cost < twice.cost && best.cost < told.in_use.cost);
    assert_eq!((told.in_use.interval_seconds, told.least_seconds, told.max_seconds), (4.0, 0.01, 600.0));
    let symbols: Vec<&str> = told.inputs.iter().map(|input| input.symbol.as_str()).collect();
    assert_eq!(symbols, ["c0", "c1", "m/D", "lambda", "w", "rho nu", "mu", "N"]);
    let origin = |symbol: &str| told.inputs.iter().find(|input| input.symbol == symbol).unwrap().origin;
    assert_eq!(
        (origin("c0"), origin("c1"), origin("w")),
        (ValueOrigin::Measured, ValueOrigin::Measured, ValueOrigin::Configured)
    );
    assert!(told.curve.is_sorted_by(|a, b| a.interval_seconds < b.interval_seconds));
    let (first, last) = (told.curve.first().unwrap(), told.curve.last().unwrap());
    assert!(first.interval_seconds <= 0.01 * 1.001 && last.interval_seconds >= 600.0 * 0.999);
    assert!(told.curve.iter().all(|point| point.cost >= best.cost * (1.0 - 1e-9)));
}

#[test]
fn before_anything_is_known_all_is_assumed_or_configured() {
    let told = advice(&Estimator::default().estimate(&WEIGHTS), &LIMITS, 1.0, false);
    assert!(told.optimum.is_none() && !told.auto);
    assert!(told.inputs.iter().all(|input| input.origin != ValueOrigin::Measured));
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..100.0]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..1_000_u64]
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn whatever_it_is_told_the_interval_is_one(
        told in prop::collection::vec((number(), number(), prop::array::uniform5(count())), 0..40),
        weights in (number(), number()),
        limits in (number(), number()),
    ) {
        let weights = Weights { mean_time_between_failures: weights.0, flow_weight: weights.1 };
        let limits = Limits { least: limits.0, max: limits.1 };
        let mut estimator = Estimator::default();
        for (seconds, cost, [remembered, forgotten, entries, known, committed]) in told {
            estimator.passed(seconds, &Passed { remembered, forgotten, entries, known });
            estimator.committed(committed, cost);
            let interval = estimator.interval(&weights, &limits);
            prop_assert!(interval.is_finite() && interval > 0.0, "{interval}");
            prop_assert!(!(limits.least > 1e-3 && limits.least < 1e12) || interval >= limits.least);
            prop_assert!(!(limits.max < 1e12 && limits.max >= limits.least.max(1e-3)) || interval <= limits.max);
            let told = advice(&estimator.estimate(&weights), &limits, interval, true);
            prop_assert!(told.curve.iter().all(|point| point.cost.is_finite() && point.interval_seconds.is_finite()));
            prop_assert!(told.inputs.iter().all(|input| input.value.is_finite()), "{:?}", told.inputs);
        }
    }
}
