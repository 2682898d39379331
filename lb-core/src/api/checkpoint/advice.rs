//! `GET /v1/checkpoint/advise`: how often checkpoints pay.

use serde::{Deserialize, Serialize};

words! {
    /// Where a value comes from.
    ValueOrigin {
        /// Measured by the daemon.
        Measured = "measured",
        /// From the configuration, or its default.
        Configured = "configured",
        /// Taken for granted, since nothing was measured yet.
        Assumed = "assumed",
    }
}

/// How often checkpoints pay: J is what they cost and what they leave to be lost, in CPU seconds a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// What it follows from.
    pub inputs: Vec<AdviceInput>,
    /// Where J is least, whatever the limits; none: never, since no checkpoint would pay.
    pub optimum: Option<AdvicePoint>,
    /// At half the optimum.
    pub half: Option<AdvicePoint>,
    /// At twice the optimum.
    pub twice: Option<AdvicePoint>,
    /// At the interval in use.
    pub in_use: AdvicePoint,
    /// The interval in use is worked out. Else it is configured.
    pub auto: bool,
    /// The shortest interval that can be, in seconds: longer than Tm.
    pub least_seconds: f64,
    /// The longest, in seconds.
    pub max_seconds: f64,
    /// J by rising intervals, around the optimum and the limits.
    pub curve: Vec<AdvicePoint>,
}

/// Something that the advice follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdviceInput {
    /// Its symbol in docs/checkpoint-interval.md: `c0`, `lambda`.
    pub symbol: String,
    /// What it is.
    pub meaning: String,
    /// How much.
    pub value: f64,
    /// Of what: `s`, `1/s`, or nothing for a number.
    pub unit: String,
    /// Where it comes from.
    pub origin: ValueOrigin,
}

/// J at one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdvicePoint {
    /// The interval, in seconds.
    pub interval_seconds: f64,
    /// J: both parts together, in CPU seconds a second.
    pub cost: f64,
    /// What checkpoints take.
    pub checkpoints: f64,
    /// What is lost with flows at risk.
    pub losses: f64,
}
