//! From samples to figures, the table for people, and the targets.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::{case::MAC_SWAP, measure::Sample};

/// A case's figures. Times are net of the bench's own work: they are what a program would take that does nothing but forward,
/// BPF_PROG_TEST_RUN's own time in it as it is in the floors.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The case's name.
    pub case: &'static str,
    /// Median, in nanoseconds a packet.
    pub ns_median: f64,
    /// Least, in nanoseconds a packet.
    pub ns_min: f64,
    /// `ns_median` by that of the case `mac-swap`.
    pub ratio_to_mac_swap: f64,
    /// Runs of the case.
    pub rounds: usize,
    /// Nanoseconds a packet in each round.
    #[serde(skip)]
    pub nets: Vec<f64>,
}

/// The figures of all cases; `samples` are one list for each case.
#[must_use]
pub fn figures(cases: &[&'static str], samples: &[Vec<Sample>]) -> Vec<Figure> {
    let mac_swap = median(column(cases, samples, MAC_SWAP).iter().map(net).collect());
    let figure = |(case, samples): (&&'static str, &Vec<Sample>)| {
        let nets: Vec<f64> = samples.iter().map(net).collect();
        let ns_median = median(nets.clone());
        let ratio_to_mac_swap = ns_median / mac_swap;
        Figure { case, ns_median, ns_min: net(&least(samples)), ratio_to_mac_swap, rounds: samples.len(), nets }
    };
    cases.iter().zip(samples).map(figure).collect()
}

/// What is left without the bench's own work: without what a round takes above a program that does nothing.
fn net(sample: &Sample) -> f64 {
    if sample.without == 0.0 { sample.with } else { sample.with - (sample.without - sample.drop) }
}

/// The least of each part: the least of the differences would be that of the most disturbed run.
fn least(samples: &[Sample]) -> Sample {
    let least = |part: fn(&Sample) -> f64| samples.iter().map(part).fold(f64::INFINITY, f64::min);
    Sample {
        with: least(|sample| sample.with),
        without: least(|sample| sample.without),
        drop: least(|sample| sample.drop),
    }
}

fn column<'a>(cases: &[&str], samples: &'a [Vec<Sample>], case: &str) -> &'a [Sample] {
    cases.iter().position(|name| *name == case).and_then(|at| samples.get(at)).map_or(&[], Vec::as_slice)
}

/// The median; not a number where there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => (values[middle - 1] + value) / 2.0,
        (None, _) => f64::NAN,
    }
}

/// What a case should not take longer than.
struct Target {
    case: &'static str,
    times: f64,
    than: &'static str,
}

const TARGETS: [Target; 9] = [
    Target { case: "dsr-v4-hot", times: 3.3, than: MAC_SWAP },
    Target { case: "ipip-v4-hot", times: 4.0, than: MAC_SWAP },
    Target { case: "dsr-v4-1m", times: 2.0, than: "dsr-v4-hot" },
    Target { case: "dsr-v6-1m", times: 2.0, than: "dsr-v6-hot" },
    Target { case: "ipip-v4-1m", times: 2.0, than: "ipip-v4-hot" },
    Target { case: "ipip-v6-1m", times: 2.0, than: "ipip-v6-hot" },
    Target { case: "dsr-v4-hot-told", times: 1.03, than: "dsr-v4-hot" },
    Target { case: "dsr-v4-hot", times: 1.03, than: "dsr-v4-hot-untraceable" },
    Target { case: "dsr-v4-new", times: NOISE, than: "dsr-v4-1m" },
];
/// How much two cases that do the same may differ from run to run.
const NOISE: f64 = 1.1;

/// The figures and targets as a table.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Figure]);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<30}{:>12}{:>12}{:>16}", "case", "ns median", "ns min", "to mac-swap")?;
        for figure in self.0 {
            let Figure { case, ns_median, ns_min, ratio_to_mac_swap, .. } = figure;
            writeln!(f, "{case:<30}{ns_median:>12.1}{ns_min:>12.1}{ratio_to_mac_swap:>15.2}x")?;
        }
        writeln!(f)?;
        for Target { case, times, than } in &TARGETS {
            let (Some(figure), Some(base)) = (self.find(case), self.find(than)) else { continue };
            let ratio = ratio(figure, base);
            let verdict = if ratio <= *times { "met" } else { "missed" };
            writeln!(f, "{verdict:<8}{case} at most {times} x {than}: {ratio:.2} x")?;
        }
        Ok(())
    }
}

/// Median of the ratios within a round: what slows the machine down for some rounds slows both down.
fn ratio(figure: &Figure, base: &Figure) -> f64 {
    median(figure.nets.iter().zip(&base.nets).map(|(ns, base)| ns / base).collect())
}

impl Table<'_> {
    fn find(&self, case: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| figure.case == case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_net_of_its_own_work() {
        let bare = |with, drop| Sample { with, without: 0.0, drop };
        let sample = |with, without, drop| Sample { with, without, drop };
        let samples = [
            vec![bare(20.0, 20.0), bare(22.0, 22.0), bare(21.0, 21.0)],
            vec![bare(25.0, 20.0), bare(24.0, 22.0), bare(26.0, 21.0)],
            vec![sample(90.0, 35.0, 20.0), sample(91.0, 37.0, 22.0), sample(300.0, 36.0, 21.0)],
        ];
        let figures = figures(&["drop", MAC_SWAP, "x"], &samples);
        assert_eq!(figures[0].ns_median, 21.0);
        assert_eq!(figures[1].ratio_to_mac_swap, 1.0);
        // 75, 76 and 285.
        assert_eq!(figures[2].ns_median, 76.0);
        assert_eq!(figures[2].ns_min, 90.0 - (35.0 - 20.0));
        assert_eq!(figures[2].ratio_to_mac_swap, 76.0 / 25.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
