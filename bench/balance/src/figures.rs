//! From runs to figures. docs/balance.md says what each means.

use serde::Serialize;

use crate::sim::{Run, SERVERS, Scenario};

/// So long after a change, in seconds, a policy has had time to settle; after the beginning two of these.
const TIME_TO_SETTLE: f64 = 30.0;
/// Utilisation is compared over windows of so many seconds: some hundred flows of the smallest server.
const WINDOW: usize = 2;
/// While a policy settles, over windows of so many seconds.
const SETTLING_WINDOW: usize = 5;
/// It has settled when max/mean is not above this any more.
const SETTLED: f64 = 1.25;

/// A policy's figures, as they are written to the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The policy's name.
    pub policy: &'static str,
    /// Greatest over mean utilisation of the servers, mean over all windows in which a policy has settled or could have.
    pub max_over_mean: f64,
    /// The 99th percentile of how long flows take, over that of the ideal policy on the same traffic.
    pub p99_over_ideal: f64,
    /// The longest time after a change until max/mean stays low, in seconds.
    pub settle_s: f64,
    /// The part of all slots that is moved in a second, where nothing has changed for long, as a fraction.
    pub weight_churn_per_s: f64,
}

impl Figure {
    /// The figures of one run, beside the ideal one.
    #[must_use]
    pub fn of(policy: &'static str, run: &Run, ideal: &Run, scenario: &Scenario) -> Self {
        let quiet = quiet(scenario);
        let moved: Vec<f64> = quiet.iter().flat_map(|&(from, to)| run.moved[from..to].to_vec()).collect();
        Self {
            policy,
            max_over_mean: mean(&windows(run, &quiet)),
            p99_over_ideal: p99(run) / p99(ideal),
            settle_s: settling_times(run, scenario).into_iter().fold(0.0, f64::max),
            weight_churn_per_s: mean(&moved),
        }
    }

    /// Of several runs, number by number, what `choose` makes of the sorted values.
    #[must_use]
    pub fn combined(figures: &[Self], choose: impl Fn(&[f64]) -> f64) -> Self {
        let number = |part: fn(&Self) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            choose(&values)
        };
        Self {
            policy: figures.first().map_or("", |figure| figure.policy),
            max_over_mean: number(|figure| figure.max_over_mean),
            p99_over_ideal: number(|figure| figure.p99_over_ideal),
            settle_s: number(|figure| figure.settle_s),
            weight_churn_per_s: number(|figure| figure.weight_churn_per_s),
        }
    }
}

/// The spans in which nothing has changed for long: from and to, in whole seconds.
fn quiet(scenario: &Scenario) -> Vec<(usize, usize)> {
    let begins =
        std::iter::once(2.0 * TIME_TO_SETTLE).chain(scenario.changes.iter().map(|change| change.at + TIME_TO_SETTLE));
    let ends = scenario.changes.iter().map(|change| change.at).chain([scenario.duration]);
    begins.zip(ends).map(|(from, to)| (from.ceil() as usize, to as usize)).filter(|(from, to)| from < to).collect()
}

fn windows(run: &Run, quiet: &[(usize, usize)]) -> Vec<f64> {
    quiet.iter().flat_map(|&(from, to)| run.utilisation[from..to].chunks_exact(WINDOW).map(max_over_mean)).collect()
}

fn max_over_mean(seconds: &[[f64; SERVERS]]) -> f64 {
    let sum = |server: usize| seconds.iter().map(|second| second[server]).sum::<f64>();
    let sums: [f64; SERVERS] = std::array::from_fn(sum);
    sums.iter().fold(0.0_f64, |most, sum| most.max(*sum)) / mean(&sums)
}

/// Of each change: seconds from it until max/mean stays low until the next.
fn settling_times(run: &Run, scenario: &Scenario) -> Vec<f64> {
    let begins = scenario.changes.iter().map(|change| change.at);
    let ends = scenario.changes.iter().skip(1).map(|change| change.at).chain([scenario.duration]);
    let settle = |(from, to): (f64, f64)| {
        let seconds = &run.utilisation[from.ceil() as usize..to as usize];
        let unsettled = |window: &[[f64; SERVERS]]| max_over_mean(window) > SETTLED;
        let last = seconds.windows(SETTLING_WINDOW).rposition(unsettled);
        // The last window that is too uneven ends a second before the first of those that are not.
        last.map_or(0.0, |last| (last + SETTLING_WINDOW) as f64)
    };
    begins.zip(ends).map(settle).collect()
}

fn p99(run: &Run) -> f64 {
    let counted = run.flows.iter().filter(|(began, _)| f64::from(*began) >= 2.0 * TIME_TO_SETTLE);
    let mut times: Vec<f32> = counted.map(|(_, took)| *took).collect();
    let place = times.len() * 99 / 100;
    if place >= times.len() {
        return f64::NAN;
    }
    f64::from(*times.select_nth_unstable_by(place, f32::total_cmp).1)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
