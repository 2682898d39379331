//! The law in simulated time.

mod plant;
mod properties;
mod stop;

use plant::{Plant, SECOND_MS};

use super::*;

fn candidate(real: &str) -> Candidate<'_> {
    Candidate { real, services: vec!["web"], weight: 1, eligible: true, adaptive: true, new_flows: None, asked: None }
}

fn scheduler() -> Scheduler {
    Scheduler::new(SchedulerOptions::default())
}

fn sample(utilisation: f64, hits: f64) -> Sample {
    Sample { utilisation, hits: Some(hits) }
}

#[test]
fn without_reports_the_configured_weights_stay() {
    let mut scheduler = scheduler();
    for second in 0..60 {
        for decision in scheduler.step(&["a", "b"].map(candidate), second * SECOND_MS).values() {
            assert_eq!((decision.factor, decision.goal), (NEUTRAL_FACTOR, NEUTRAL_FACTOR));
            assert_eq!(decision.why, Why::NoReports);
        }
    }
}

#[test]
fn missing_reports_hold_a_weight_and_then_lead_to_the_mean() {
    let mut plant = Plant::new(&[100.0, 300.0, 800.0], 0.5);
    plant.seconds(60);
    let silent = |index, truth| (index != 2).then_some(truth);
    (0..5).for_each(|_| plant.second(silent));
    let (held, why) = (plant.factor("web2"), plant.decisions["web2"].why);
    assert!(held > 1_500 && why == Why::Held, "{held} {why:?}");
    (0..20).for_each(|_| plant.second(silent));
    assert!(plant.factor("web2").abs_diff(held) <= held / 50);
    (0..90).for_each(|_| plant.second(silent));
    assert_eq!(plant.decisions["web2"].why, Why::Expired);
    assert!(plant.factor("web2").abs_diff(NEUTRAL_FACTOR) <= NEUTRAL_FACTOR / 20, "{:?}", plant.decisions);
}

#[test]
fn a_real_at_the_floor_finds_its_way_up() {
    let mut plant = Plant::new(&[300.0, 300.0, 300.0], 0.6);
    plant.scheduler.restore("web0", 20);
    plant.seconds(120);
    assert!(plant.max_over_mean(|_| true) <= 1.05, "{:?}", plant.decisions);
}

#[test]
fn a_restored_factor_stays_until_there_are_reports() {
    let mut scheduler = scheduler();
    scheduler.restore("a", 1_500);
    scheduler.restore("b", 500);
    for second in 0..20 {
        let decisions = scheduler.step(&["a", "b"].map(candidate), second * SECOND_MS);
        assert_eq!((decisions["a"].factor, decisions["b"].factor), (1_500, 500));
        assert_eq!(decisions["a"].why, Why::Held);
    }
}

#[test]
fn idle_reals_keep_their_weights() {
    let mut plant = Plant::new(&[100.0, 800.0], 0.005);
    plant.noise = 0.5;
    plant.seconds(60);
    assert!(plant.factors.iter().flatten().all(|&factor| factor == NEUTRAL_FACTOR));
    assert_eq!(plant.decisions["web0"].why, Why::Idle);
}

#[test]
fn a_change_of_capacity_is_followed_within_seconds() {
    let mut plant = Plant::new(&[800.0, 800.0, 800.0, 800.0], 0.6);
    plant.noise = 0.05;
    plant.seconds(120);
    plant.capacities[0] /= 2.0;
    plant.seconds(15);
    assert!(plant.max_over_mean(|_| true) <= 1.1, "{:?}", plant.decisions);
}

#[test]
fn noise_moves_next_to_nothing() {
    let mut plant = Plant::new(&[100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0], 0.6);
    plant.noise = 0.05;
    plant.seconds(700);
    // Without a dead band it is four times as much, and some weight moves in every second.
    assert!(plant.churn(100) <= 0.000_1, "{}", plant.churn(100));
}

#[test]
fn a_saturated_real_loses_weight_fast_where_others_have_room() {
    let mut plant = Plant::new(&[800.0, 800.0, 800.0, 800.0], 0.6);
    plant.seconds(90);
    plant.capacities[0] /= 4.0;
    plant.seconds(3);
    assert!(plant.factor("web0") < NEUTRAL_FACTOR / 2, "{:?}", plant.factors[0]);
}

#[test]
fn where_all_are_saturated_none_loses_weight_fast() {
    let mut plant = Plant::new(&[800.0, 800.0, 800.0, 800.0], 0.99);
    plant.seconds(90);
    let begun = f64::from(plant.factor("web0"));
    let mut before = begun;
    for _ in 0..20 {
        // One serves a third of what it did, and none has room for the rest.
        plant.second(|index, truth| {
            let hits = truth.hits.map(|hits| if index == 0 { hits / 3.0 } else { hits });
            Some(Sample { utilisation: truth.utilisation.max(0.98), hits })
        });
        let after = f64::from(plant.factor("web0"));
        assert!(after >= before * 0.9 - 1.0, "{before} -> {after}");
        before = after;
    }
    assert!(before < begun * 0.6, "it does lose weight: {begun} -> {before}");
}

#[test]
fn flows_stand_in_for_hits() {
    let mut scheduler = scheduler();
    let mut decisions = BTreeMap::new();
    for second in 0..60 {
        let now_ms = second * SECOND_MS;
        let flows = |name: &str| decisions.get(name).map_or(NEUTRAL_FACTOR, |d: &Decision| d.factor);
        let flows = [f64::from(flows("a")), f64::from(flows("b"))];
        // One reports hits of another kind, which cannot be compared with anything.
        scheduler.observe("a", sample(flows[0] / 1_000.0, 7.0), SECOND_MS, now_ms);
        scheduler.observe("b", Sample { utilisation: flows[1] / 3_000.0, hits: None }, SECOND_MS, now_ms);
        let [mut a, mut b] = ["a", "b"].map(candidate);
        (a.new_flows, b.new_flows) = (Some(flows[0]), Some(flows[1]));
        decisions = scheduler.step(&[a, b], now_ms);
    }
    assert!(decisions["a"].factor.abs_diff(500) <= 25, "{decisions:?}");
    assert!(decisions["b"].factor.abs_diff(1_500) <= 75, "{decisions:?}");
}

#[test]
fn reals_of_other_services_are_not_compared() {
    let mut scheduler = scheduler();
    let mut decisions = BTreeMap::new();
    for second in 0..40 {
        for (name, hits) in [("a", 10.0), ("b", 10.0), ("c", 1e6), ("d", 3e6)] {
            scheduler.observe(name, sample(0.5, hits), SECOND_MS, second * SECOND_MS);
        }
        let mut candidates = ["a", "b", "c", "d"].map(candidate);
        candidates[2].services = vec!["dns"];
        candidates[3].services = vec!["dns", "ntp"];
        decisions = scheduler.step(&candidates, second * SECOND_MS);
    }
    assert_eq!((decisions["a"].factor, decisions["b"].factor), (NEUTRAL_FACTOR, NEUTRAL_FACTOR));
    assert!(decisions["d"].factor > decisions["c"].factor * 2);
}

#[test]
fn who_is_not_moved_by_the_law_has_what_is_said() {
    let mut scheduler = scheduler();
    let mut candidates = ["asked", "fixed", "free", "out"].map(candidate);
    candidates[0].asked = Some(0.25);
    candidates[1].adaptive = false;
    candidates[3].eligible = false;
    let decisions = scheduler.step(&candidates, 0);
    let of = |name: &str| (decisions[name].factor, decisions[name].why);
    assert_eq!(of("asked"), (250, Why::Asked(0.25)));
    assert_eq!(of("fixed"), (NEUTRAL_FACTOR, Why::Static));
    assert_eq!(of("free"), (NEUTRAL_FACTOR, Why::NoReports));
    assert_eq!(of("out").1, Why::NotEligible);
}

#[test]
fn a_hot_real_cools_later_than_it_heats() {
    let options = SchedulerOptions { hot_above: Some(0.9), smoothing_ms: 1, ..SchedulerOptions::default() };
    let mut scheduler = Scheduler::new(options);
    let mut now_ms = 0;
    let hot = [0.85, 0.95, 0.85, 0.75, 0.85].map(|utilisation| {
        now_ms += SECOND_MS;
        scheduler.observe("a", sample(utilisation, 1.0), SECOND_MS, now_ms);
        scheduler.step(&[candidate("a")], now_ms)["a"].hot
    });
    assert_eq!(hot, [false, true, true, false, false]);
}

#[test]
fn all_come_at_once_where_none_is_there() {
    let mut scheduler = scheduler();
    scheduler.joined("a", 0);
    scheduler.joined("b", 0);
    let decisions = scheduler.step(&["a", "b"].map(candidate), 0);
    assert!(decisions.values().all(|decision| decision.factor == NEUTRAL_FACTOR));
}
