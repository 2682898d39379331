//! The advice that operators get: what the interval follows from, where J is least, and J all around it.

use super::estimator::{Estimate, Limits};
use super::objective::{Content, Objective};
use crate::api::{Advice, AdviceInput, AdvicePoint, ValueOrigin};

/// Points of the curve.
const POINTS: u32 = 61;
/// The curve goes on beyond the limits by this factor at the most, where the optimum is out there.
const BEYOND: f64 = 100.0;
/// And beyond the optimum by this one.
const AROUND: f64 = 4.0;

/// What to tell of an estimate, while an interval of `in_use` seconds is in use, worked out or not.
#[must_use]
pub fn advice(estimate: &Estimate, limits: &Limits, in_use: f64, auto: bool) -> Advice {
    let limits = limits.sane();
    let objective = Objective::new(estimate.inputs);
    let best = objective.optimum();
    let at = |interval: f64| point(&objective, interval);
    Advice {
        inputs: inputs(estimate),
        optimum: best.map(at),
        half: best.map(|best| at(best / 2.0)),
        twice: best.map(|best| at(best * 2.0)),
        in_use: at(in_use),
        auto,
        least_seconds: limits.least,
        max_seconds: limits.max,
        curve: curve(&objective, &limits, best),
    }
}

fn point(objective: &Objective, interval: f64) -> AdvicePoint {
    let cost = objective.cost(interval);
    AdvicePoint { interval_seconds: interval, cost: cost.total(), checkpoints: cost.checkpoints, losses: cost.losses }
}

/// J by intervals that grow by one factor, from below the limits and the optimum to above them.
fn curve(objective: &Objective, limits: &Limits, best: Option<f64>) -> Vec<AdvicePoint> {
    let near = |interval: f64| interval.clamp(limits.least / BEYOND, limits.max * BEYOND);
    let low = best.map_or(limits.least, |best| limits.least.min(near(best / AROUND)));
    let high = best.map_or(limits.max, |best| limits.max.max(near(best * AROUND)));
    let step = (high / low).ln() / f64::from(POINTS - 1);
    (0..POINTS).map(|index| point(objective, low * (step * f64::from(index)).exp())).collect()
}

fn inputs(estimate: &Estimate) -> Vec<AdviceInput> {
    let Estimate { inputs, known, knows_fixed_cost, knows_entry_cost, knows_rates, knows_end_rate } = *estimate;
    let measured = |is: bool| if is { ValueOrigin::Measured } else { ValueOrigin::Assumed };
    let entries = match inputs.content {
        Content::Full { entries } => input("m", "entries of a checkpoint", entries, "", measured(knows_rates)),
        Content::Log { entry_rate } => input("m/D", "entries of checkpoints", entry_rate, "1/s", measured(knows_rates)),
        Content::Merged => {
            input("m/D", "flows that come to be remembered", inputs.at_risk_rate, "1/s", measured(knows_rates))
        }
    };
    let configured = ValueOrigin::Configured;
    vec![
        input("c0", "cost of a checkpoint, however small", inputs.fixed_cost, "s", measured(knows_fixed_cost)),
        input("c1", "cost of an entry", inputs.entry_cost, "s", measured(knows_entry_cost)),
        entries,
        input("lambda", "failures", inputs.failure_rate, "1/s", configured),
        input("w", "worth of a flow", inputs.flow_weight, "s", configured),
        input("rho nu", "flows that come to be at risk", inputs.at_risk_rate, "1/s", measured(knows_rates)),
        input("mu", "ends of a flow", inputs.end_rate, "1/s", measured(knows_end_rate)),
        input("N", "flows that are remembered", known, "", measured(knows_rates)),
    ]
}

fn input(symbol: &str, meaning: &str, value: f64, unit: &str, origin: ValueOrigin) -> AdviceInput {
    AdviceInput { symbol: symbol.to_owned(), meaning: meaning.to_owned(), value, unit: unit.to_owned(), origin }
}
