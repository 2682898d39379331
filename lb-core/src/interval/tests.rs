//! The interval against closed forms, against chance, and against nonsense.

mod estimating;
mod forms;
mod jobs;
mod monte_carlo;

use super::*;

/// A busy node with a costly checkpoint.
const USUAL: Inputs = Inputs {
    fixed_cost: 1e-3,
    entry_cost: 1e-6,
    failure_rate: 1e-6,
    flow_weight: 1.0,
    at_risk_rate: 100.0,
    end_rate: 0.02,
    content: Content::Log { entry_rate: 200.0 },
};

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} is not {expected}");
}
