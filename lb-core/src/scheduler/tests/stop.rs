//! The load stops, or comes in so few hits that one report says little.

use super::{
    plant::{Plant, SECOND_MS},
    *,
};

/// Three reals, of which the last is slow and carries a backlog, in balance.
fn balanced() -> Plant {
    let mut plant = Plant::new(&[800.0, 800.0, 400.0], 0.65);
    plant.seconds(90);
    plant
}

fn factors(plant: &Plant) -> [u32; 3] {
    ["web0", "web1", "web2"].map(|name| plant.factor(name))
}

/// One real has work left though nobody asks for more; the others have none.
fn backlog(index: usize, hits: f64) -> Sample {
    sample(if index == 2 { 1.0 } else { 0.004 }, hits)
}

#[test]
fn a_real_that_works_off_its_backlog_keeps_its_weight_when_the_load_stops() {
    for left in [0.0, 0.5] {
        let mut plant = balanced();
        let before = factors(&plant);
        // In the second in which it stops, half of the hits have come.
        plant.second(|index, truth| {
            let hits = truth.hits.map(|hits| hits / 2.0);
            Some(Sample { utilisation: if index == 2 { 1.0 } else { truth.utilisation / 2.0 }, hits })
        });
        (0..40).for_each(|_| plant.second(|index, _| Some(backlog(index, left))));
        let after = factors(&plant);
        assert!(after[2] >= before[2] * 3 / 4, "{left}: {before:?} -> {after:?}");
        assert_eq!(plant.decisions["web2"].why, Why::Idle);
        plant.seconds(20);
        assert!(plant.max_over_mean(|_| true) <= 1.05, "{left}: {:?}", plant.decisions);
    }
}

#[test]
fn a_stop_of_flows_that_stand_in_for_hits_holds_as_well() {
    let mut scheduler = scheduler();
    let mut decisions = BTreeMap::new();
    for second in 0..100 {
        let is_over = second >= 60;
        let mut candidates = ["a", "b", "c"].map(candidate);
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let utilisation = if is_over { backlog(index, 0.0).utilisation } else { 0.6 };
            let load = Sample { utilisation, hits: None };
            scheduler.observe(candidate.real, load, SECOND_MS, second * SECOND_MS);
            candidate.new_flows = Some(if is_over { 0.0 } else { 100.0 });
        }
        decisions = scheduler.step(&candidates, second * SECOND_MS);
    }
    assert!(decisions["c"].factor >= NEUTRAL_FACTOR * 3 / 4, "{decisions:?}");
}

#[test]
fn a_real_that_hangs_while_others_have_hits_loses_its_weight() {
    let mut plant = balanced();
    let hangs = |index, truth| Some(if index == 2 { sample(1.0, 0.0) } else { truth });
    (0..60).for_each(|_| plant.second(hangs));
    assert_eq!(plant.decisions["web2"].why, Why::Floor, "{:?}", plant.decisions);
}

#[test]
fn a_trickle_that_is_left_is_the_load_after_a_while() {
    let mut plant = balanced();
    // A hundredth of the hits, and one real is busy with them for good.
    let trickle = |index, truth: Sample| {
        let hits = truth.hits.map(|hits| hits / 100.0);
        Some(if index == 2 { Sample { utilisation: 1.0, hits } } else { Sample { utilisation: 0.02, hits } })
    };
    (0..240).for_each(|_| plant.second(trickle));
    assert_eq!(plant.decisions["web2"].why, Why::Floor, "{:?}", plant.decisions);
}

#[test]
fn few_hits_are_not_taken_for_changes() {
    let mut plant = Plant::new(&[2.0; 4], 0.5);
    (0..600).for_each(|_| plant.second_of_few_hits());
    for factors in &plant.factors {
        assert!(factors[100..].iter().all(|factor| factor.abs_diff(NEUTRAL_FACTOR) <= 500), "{factors:?}");
    }
}
