//! The optimum in closed form against J itself, and in the limits that have simple answers.

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

/// The formula of the document, by W_-1 of a table: W_-1(-0.1) = -3.577152063957297.
#[test]
fn the_optimum_is_where_lambert_says() {
    let kappa = 1.0 - 0.1 * std::f64::consts::E;
    let fixed_cost =
        kappa * USUAL.failure_rate * USUAL.flow_weight * USUAL.at_risk_rate / (USUAL.end_rate * USUAL.end_rate);
    let optimum = Objective::new(Inputs { fixed_cost, ..USUAL }).optimum().unwrap();
    close(optimum, 2.577_152_063_957_297 / USUAL.end_rate, 1e-12);
}

#[test]
fn for_flows_that_live_long_it_is_youngs() {
    let (cost, entries) = (1e-3, 1e4);
    let content = Content::Full { entries };
    let long_lived = Objective::new(Inputs { end_rate: 1e-7, content, ..USUAL });
    let young = (2.0 * (cost + USUAL.entry_cost * entries) / (1e-6 * 100.0)).sqrt();
    close(long_lived.young().unwrap(), young, 1e-12);
    close(long_lived.optimum().unwrap(), young, 1e-5);
    // Even those that never end, where all is a difference of nearly equal numbers.
    close(Objective::new(Inputs { end_rate: 0.0, content, ..USUAL }).optimum().unwrap(), young, 1e-6);
}

#[test]
fn what_saves_less_than_it_costs_is_never_done() {
    let at = |fixed_cost| Objective::new(Inputs { fixed_cost, ..USUAL }).optimum();
    let kappa_is_1 = USUAL.failure_rate * USUAL.at_risk_rate / (USUAL.end_rate * USUAL.end_rate);
    assert!(at(0.999 * kappa_is_1).is_some());
    assert_eq!(at(1.001 * kappa_is_1), None);
    for idle in [
        Inputs { at_risk_rate: 0.0, ..USUAL },
        Inputs { failure_rate: 0.0, ..USUAL },
        Inputs { flow_weight: 0.0, ..USUAL },
        Inputs { entry_cost: 1.0, content: Content::Merged, ..USUAL },
    ] {
        assert_eq!(Objective::new(idle).optimum(), None);
        assert_eq!(Objective::new(idle).young(), None);
    }
}

/// What every change costs is paid sooner or later; where the last word is written alone, who waits writes less.
#[test]
fn entries_count_where_waiting_saves_them() {
    let log = Objective::new(USUAL);
    let dear = Objective::new(Inputs { entry_cost: 1e-3, ..USUAL });
    assert_eq!(log.optimum(), dear.optimum());
    let merged = |entry_cost| Objective::new(Inputs { entry_cost, content: Content::Merged, ..USUAL });
    assert!(merged(1e-5).optimum().unwrap() > merged(1e-6).optimum().unwrap());
    close(merged(0.0).optimum().unwrap(), log.optimum().unwrap(), 1e-12);
}

#[test]
fn entries_and_flows_at_risk_at_the_ends() {
    let merged = Objective::new(Inputs { content: Content::Merged, ..USUAL });
    // At first each flow that comes or goes is an entry. In the end all live ones are, and all that lived.
    close(merged.entries(1e-6), 200.0 * 1e-6, 1e-6);
    close(merged.entries(1e6), 2.0 * 100.0 / 0.02, 1e-9);
    close(merged.unsaved(1e-6), 100.0 * 1e-6 / 2.0, 1e-6);
    close(merged.unsaved(1e9), 100.0 / 0.02, 1e-6);
}

fn contents() -> impl Strategy<Value = Content> {
    prop_oneof![
        (0.0..1e6).prop_map(|entries| Content::Full { entries }),
        (0.0..1e6).prop_map(|entry_rate| Content::Log { entry_rate }),
        Just(Content::Merged),
    ]
}

fn magnitudes(from: f64, to: f64) -> impl Strategy<Value = f64> {
    (from.log10()..to.log10()).prop_map(|exponent| 10_f64.powf(exponent))
}

prop_compose! {
    fn likely()(
        fixed_cost in magnitudes(1e-6, 10.0),
        entry_cost in magnitudes(1e-9, 1e-4),
        failure_rate in magnitudes(1e-9, 1e-3),
        flow_weight in magnitudes(1e-3, 1e3),
        at_risk_rate in magnitudes(1e-2, 1e6),
        end_rate in magnitudes(1e-5, 10.0),
        content in contents(),
    ) -> Inputs {
        Inputs { fixed_cost, entry_cost, failure_rate, flow_weight, at_risk_rate, end_rate, content }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn nothing_is_cheaper_than_the_optimum(inputs in likely(), factor in magnitudes(0.01, 100.0)) {
        let objective = Objective::new(inputs);
        let best = objective.optimum().unwrap_or(1e12);
        let (least, other) = (objective.cost(best).total(), objective.cost(best * factor).total());
        prop_assert!(least <= other * (1.0 + 1e-9), "{least} at {best}, and {other} at {factor} times it");
    }

    #[test]
    fn nothing_is_not_a_number(numbers in prop::array::uniform8(any::<f64>()), kind in 0..3) {
        let [fixed_cost, entry_cost, failure_rate, flow_weight, at_risk_rate, end_rate, size, interval] = numbers;
        let content = match kind {
            0 => Content::Full { entries: size },
            1 => Content::Log { entry_rate: size },
            _ => Content::Merged,
        };
        let inputs = Inputs { fixed_cost, entry_cost, failure_rate, flow_weight, at_risk_rate, end_rate, content };
        let objective = Objective::new(inputs);
        let cost = objective.cost(interval);
        prop_assert!(cost.checkpoints >= 0.0 && cost.losses >= 0.0 && cost.total().is_finite());
        prop_assert!(objective.optimum().is_none_or(|best| best >= 0.0));
        prop_assert!(objective.young().is_none_or(|best| best >= 0.0));
        let job = Job { mean_time_between_failures: fixed_cost, checkpoint: entry_cost, restart: size };
        for interval in [job.optimum(), job.young(), job.daly_first_order(), job.daly_higher_order()] {
            prop_assert!(interval >= 0.0 && interval.is_finite(), "{interval}");
        }
        prop_assert!(job.stretch(interval) >= 1.0);
    }
}
