//! The table for people, the targets, and what goes into the file.

use std::fmt::{self, Display, Formatter};

use crate::{figures::Figure, policy::Kind};

/// Of all seeds, policy by policy; the ideal comes first.
pub type ByPolicy = Vec<Vec<Figure>>;

/// Sorts the figures of all seeds by policy.
#[must_use]
pub fn by_policy(by_seed: Vec<Vec<Figure>>) -> ByPolicy {
    let mut by_policy: ByPolicy = Vec::new();
    for figures in by_seed {
        by_policy.resize_with(figures.len(), Vec::new);
        by_policy.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    by_policy
}

/// The median of each policy's figures; the ideal is left out, since it is no policy.
#[must_use]
pub fn medians(by_policy: &ByPolicy) -> Vec<Figure> {
    by_policy.iter().skip(1).map(|figures| Figure::combined(figures, median)).collect()
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn worst(sorted: &[f64]) -> f64 {
    sorted.last().copied().unwrap_or(f64::NAN)
}

/// The greatest max/mean that is good enough.
const MAX_OVER_MEAN: f64 = 1.10;
/// Seconds in which a policy should settle.
const SETTLE_S: f64 = 15.0;
/// The part of all slots that may be moved in a second while nothing changes.
const CHURN: f64 = 0.005;

/// All figures as a table: median and worst of the seeds. And whether the targets are met, by the worst.
#[derive(Debug)]
pub struct Table<'a>(pub &'a ByPolicy);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20}{:>18}{:>22}{:>16}{:>24}",
            "median (worst)", "max/mean", "p99 over ideal", "settle s", "churn % a second"
        )?;
        for figures in self.0 {
            let (median, worst) = (Figure::combined(figures, median), Figure::combined(figures, worst));
            let pair = |median: f64, worst: f64, digits: usize| format!("{median:.digits$} ({worst:.digits$})");
            writeln!(
                f,
                "{:<20}{:>18}{:>22}{:>16}{:>24}",
                median.policy,
                pair(median.max_over_mean, worst.max_over_mean, 3),
                pair(median.p99_over_ideal, worst.p99_over_ideal, 2),
                pair(median.settle_s, worst.settle_s, 0),
                pair(median.weight_churn_per_s * 100.0, worst.weight_churn_per_s * 100.0, 3),
            )?;
        }
        writeln!(f)?;
        self.targets()
            .into_iter()
            .try_for_each(|(is_met, target)| writeln!(f, "{:<8}{target}", if is_met { "met" } else { "missed" }))
    }
}

impl Table<'_> {
    fn targets(&self) -> Vec<(bool, String)> {
        let name = Kind::Understudy.name();
        let compared: Vec<Figure> = self.0.iter().skip(1).map(|figures| Figure::combined(figures, worst)).collect();
        let Some(ours) = compared.iter().find(|figure| figure.policy == name) else { return Vec::new() };
        let others = compared.iter().filter(|figure| figure.policy != name);
        let least = others.map(|figure| figure.max_over_mean).fold(f64::INFINITY, f64::min);
        vec![
            (ours.max_over_mean < least, format!("{name}'s worst max/mean is below all others' ({least:.3})")),
            (ours.max_over_mean <= MAX_OVER_MEAN, format!("{name}'s max/mean is at most {MAX_OVER_MEAN}")),
            (ours.settle_s <= SETTLE_S, format!("{name} settles in at most {SETTLE_S} s")),
            (
                ours.weight_churn_per_s <= CHURN,
                format!("{name} moves at most {}% of the slots a second", CHURN * 100.0),
            ),
        ]
    }
}
