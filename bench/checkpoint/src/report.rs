//! The figures, the targets beside them, and how they are shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::owner::CHANGES;

/// A delta of as many changes may take so many times as long where there are more flows.
const MOST_GROWTH: f64 = 1.5;
const MOST_BYTES_A_CHANGE: u64 = 64;
/// Of takeovers and starts with so many remembered flows the targets speak.
const A_MILLION: u32 = 1_000_000;
const MOST_WARM_MS: f64 = 5.0;
const MOST_COLD_MS_A_MILLION: f64 = 1_000.0;
/// What this project's figures are called.
pub const OWN: &str = "understudy";

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Everything is written.
    Full,
    /// What has changed is written.
    Delta,
    /// From the takeover's order to the first packet, with everything in the maps.
    Warm,
    /// From the start to the first packet, with everything on the disk.
    Cold,
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Whose.
    pub system: String,
    /// Flows that are alive.
    pub flows: u32,
    /// Those of them that are remembered.
    pub remembered: u32,
    /// What was measured.
    pub kind: Kind,
    /// How long it took.
    pub ms_median: f64,
    /// Bytes that were written, or read.
    pub bytes: u64,
    /// Flows that do not go on as before, or are not on the disk, of those that were looked at.
    pub broken_connections: u64,
    /// More about it, by name: the unit ends the name.
    #[serde(flatten)]
    pub more: BTreeMap<String, f64>,
}

/// A target, and how near it is.
struct Target {
    what: String,
    most: f64,
    is: f64,
}

impl Figure {
    /// A figure of this project.
    pub fn new(case: Case, kind: Kind, ms: &[f64], bytes: u64) -> Figure {
        Figure::of(OWN, case, kind, ms, bytes)
    }

    /// A figure of some system: the median of its rounds.
    pub fn of(system: &str, case: Case, kind: Kind, ms: &[f64], bytes: u64) -> Figure {
        let more = BTreeMap::from([("rounds".to_owned(), ms.len() as f64)]);
        let Case { flows, remembered } = case;
        let ms_median = median(ms);
        Figure { system: system.to_owned(), flows, remembered, kind, ms_median, bytes, broken_connections: 0, more }
    }

    /// With one more thing to say.
    pub fn with(mut self, name: &str, value: f64) -> Figure {
        self.more.insert(name.to_owned(), value);
        self
    }

    fn is_own(&self, kind: Kind) -> bool {
        self.system == OWN && self.kind == kind
    }
}

/// The table of figures, and the targets.
pub struct Table<'a>(pub &'a [Figure]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<11} {:>9} {:>10} {:<6} {:>10} {:>12} {:>7}  more",
            "system", "flows", "remembered", "kind", "ms", "bytes", "broken"
        )?;
        for figure in self.0 {
            let Figure { system, flows, remembered, kind, ms_median, bytes, broken_connections, more } = figure;
            let kind = format!("{kind:?}").to_lowercase();
            write!(
                f,
                "{system:<11} {flows:>9} {remembered:>10} {kind:<6} {ms_median:>10.3} {bytes:>12} {broken_connections:>7} "
            )?;
            more.iter().try_for_each(|(name, value)| write!(f, " {name} {value:.3}"))?;
            writeln!(f)?;
        }
        for Target { what, most, is } in targets(self.0) {
            let verdict = if is <= most { "met" } else { "MISSED" };
            writeln!(f, "target: {what}: {is:.3}, at most {most}: {verdict}")?;
        }
        Ok(())
    }
}

/// The targets that these figures say something of. A missed one is no error: the machine may be busy.
fn targets(figures: &[Figure]) -> Vec<Target> {
    let all_remembered = |figure: &&Figure| figure.flows == figure.remembered;
    let of = |kind| figures.iter().filter(move |figure| figure.is_own(kind)).filter(all_remembered);
    let mut targets = Vec::new();
    if let (Some(few), Some(many)) = (of(Kind::Delta).next(), of(Kind::Delta).next_back()) {
        let what = format!("a delta with {} flows remembered, against {}", many.remembered, few.remembered);
        targets.push(Target { what, most: MOST_GROWTH, is: many.ms_median / few.ms_median });
    }
    let bytes = figures.iter().filter(|figure| figure.is_own(Kind::Delta)).map(|figure| figure.bytes).max();
    if let Some(bytes) = bytes {
        let is = bytes as f64 / f64::from(CHANGES);
        targets.push(Target { what: "bytes of a delta, a change".to_owned(), most: MOST_BYTES_A_CHANGE as f64, is });
    }
    let of = |kind| of(kind).find(|figure| figure.remembered >= A_MILLION);
    if let Some(warm) = of(Kind::Warm) {
        let what = format!("warm takeover with {} flows remembered, ms", warm.remembered);
        targets.push(Target { what, most: MOST_WARM_MS, is: warm.ms_median });
    }
    if let Some(cold) = of(Kind::Cold) {
        let what = format!("cold start with {} flows remembered, ms a million", cold.remembered);
        let is = cold.ms_median * f64::from(A_MILLION) / f64::from(cold.remembered);
        targets.push(Target { what, most: MOST_COLD_MS_A_MILLION, is });
    }
    targets
}

/// The mean of the two in the middle, where there are two; 0 of nothing. To the microsecond: more digits than that say nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match &sorted[..] {
        [] => 0.0,
        sorted if sorted.len().is_multiple_of(2) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        sorted => sorted[middle],
    };
    (median * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(kind: Kind, flows: u32, ms: f64, bytes: u64) -> Figure {
        Figure::new(Case { flows, remembered: flows }, kind, &[ms], bytes)
    }

    #[test]
    fn figures_are_written_under_the_names_that_readers_know() {
        let case = Case { flows: 1_000, remembered: 10 };
        let figure = Figure::new(case, Kind::Delta, &[1.5, 9.0, 2.5], 77).with("rss_bytes", 5.0);
        let expected = serde_json::json!({
            "system": "understudy", "flows": 1_000, "remembered": 10, "kind": "delta", "ms_median": 2.5, "bytes": 77,
            "broken_connections": 0, "rounds": 3.0, "rss_bytes": 5.0
        });
        assert_eq!(serde_json::to_value(&figure).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Figure>(expected).unwrap(), figure);
    }

    #[test]
    fn targets_are_met_or_missed() {
        let mut figures = vec![
            figure(Kind::Delta, 10_000, 2.0, 60_000),
            figure(Kind::Delta, 1_000_000, 2.9, 64_000),
            figure(Kind::Warm, 1_000_000, 4.0, 0),
            figure(Kind::Cold, 1_000_000, 900.0, 0),
            Figure::of("redb", Case { flows: 9, remembered: 9 }, Kind::Delta, &[900.0], 1 << 30),
        ];
        let missed = |figures: &[Figure]| Table(figures).to_string().matches("MISSED").count();
        assert_eq!(missed(&figures), 0);
        assert_eq!(Table(&figures).to_string().matches(": met").count(), 4);
        for (figure, (ms, bytes)) in figures[1..4].iter_mut().zip([(3.1, 64_001), (5.1, 0), (1_001.0, 0)]) {
            (figure.ms_median, figure.bytes) = (ms, bytes);
        }
        assert_eq!(missed(&figures), 4);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[1.0, 6.0, 5.0, 9.0]), 5.5);
    }
}
