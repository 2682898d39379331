//! A short run, and what must hold of any.

use crate::{
    one_seed,
    policy::Kind,
    sim::{FLOWS_PER_SECOND, Scenario, run},
};

/// Short, and long enough that something is left to look at after settling.
const PHASE: f64 = 34.0;
const SEED: u64 = 7;

#[test]
fn every_flow_goes_somewhere_and_the_work_is_done() {
    let scenario = Scenario::new(SEED, 4.0);
    let flows = |kind: Kind| run(&scenario, SEED, &mut *kind.start(SEED));
    let ideal = flows(Kind::Ideal);
    let expected = FLOWS_PER_SECOND * scenario.duration;
    assert!((ideal.flows.len() as f64 / expected - 1.0).abs() < 0.02);
    for kind in Kind::COMPARED {
        let run = flows(kind);
        assert_eq!(run.flows.len(), ideal.flows.len(), "{} has the same traffic", kind.name());
        assert!(run.flows.iter().all(|(_, took)| *took >= 0.0));
        let within = |part: &f64| (-1e-6..=1.0 + 1e-6).contains(part);
        assert!(run.utilisation.iter().flatten().all(within) && run.moved.iter().all(within));
    }
}

#[test]
fn a_seed_names_all_figures() {
    let scenario = Scenario::new(SEED, 3.0);
    let flows = |seed| run(&scenario, seed, &mut *Kind::Understudy.start(seed)).utilisation;
    assert_eq!(flows(SEED), flows(SEED));
    assert_ne!(flows(SEED), flows(SEED + 1));
}

#[test]
fn load_is_spread_better_than_by_equal_weights() {
    let figures = one_seed(SEED, PHASE);
    let of = |kind: Kind| figures.iter().find(|figure| figure.policy == kind.name()).unwrap();
    let (ours, equal, ideal) = (of(Kind::Understudy), of(Kind::MaglevEqual), of(Kind::Ideal));
    assert!(ours.max_over_mean < equal.max_over_mean && ours.p99_over_ideal < equal.p99_over_ideal);
    // Few windows are looked at in so short a run, so chance has its part.
    assert!(ours.max_over_mean < 1.2 && ours.weight_churn_per_s < 0.02, "{ours:?}");
    assert!(equal.weight_churn_per_s == 0.0 && ideal.p99_over_ideal == 1.0);
}
