//! How often a checkpoint pays: what it costs beside what it saves. docs/checkpoint-interval.md derives all of it.
//!
//! [`Objective`] is J(D), the cost a second of a checkpoint every D seconds, and has its least point in closed form. [`Estimator`] measures on
//! line what J follows from, and says which interval to use. [`Job`] is the setting of the literature: a program that starts again from its last
//! checkpoint.

mod advice;
mod estimator;
mod flows;
mod job;
mod lambert;
mod objective;
mod regression;
#[cfg(test)]
mod tests;

pub use advice::advice;
pub use estimator::{Estimate, Estimator, Limits, Weights};
pub use flows::Passed;
pub use job::Job;
pub use objective::{Content, Cost, Inputs, Objective};

/// Nothing here is less than nothing, or more than this: what is given and is no such number counts as the nearer end.
const MOST: f64 = 1e12;

/// `value` as a number that can be reckoned with: at least `least`, and never infinite. What is no number counts as the least.
fn sane(value: f64, least: f64) -> f64 {
    if value.is_nan() { least } else { value.clamp(least, MOST) }
}
