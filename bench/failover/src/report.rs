//! The figures of the comparison.

use std::fmt;
use std::time::Duration;

use lb_lab::Talk;
use serde::Serialize;

use crate::failover::Outcome;
use crate::system::System;

/// What was seen of a system, over all its turns.
pub struct Record {
    /// Which.
    pub system: System,
    /// Its failovers.
    pub outcomes: Vec<Outcome>,
    /// What became of the TCP connections, of all turns.
    pub talk: Talk,
    /// Takeovers that no cut explains, of a system that counts its takeovers.
    pub unasked: u64,
    /// The lossless detection time that its configuration gives, in milliseconds: least, mean, most.
    pub theory: Option<[f64; 3]>,
}

/// A system's figures, as they are written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    system: &'static str,
    interval_ms: f64,
    missed_limit: u32,
    gap_ms_min: f64,
    gap_ms_median: f64,
    gap_ms_max: f64,
    runs: usize,
    dual_active_ms_max: f64,
}

impl Record {
    /// Nothing seen yet.
    pub fn new(system: System) -> Record {
        Record { system, outcomes: Vec::new(), talk: Talk::default(), unasked: 0, theory: None }
    }

    /// Adds what became of the connections of a turn.
    pub fn add_talk(&mut self, talk: Talk) {
        self.talk.connections += talk.connections;
        self.talk.answers += talk.answers;
        self.talk.broken.extend(talk.broken);
    }

    /// The figures.
    pub fn figure(&self) -> Figure {
        let mut gaps: Vec<f64> = self.outcomes.iter().map(|outcome| milliseconds(outcome.gap)).collect();
        gaps.sort_by(f64::total_cmp);
        let dual = self.outcomes.iter().map(|outcome| outcome.dual_active).max().unwrap_or_default();
        Figure {
            system: self.system.name(),
            interval_ms: self.system.interval_ms.into(),
            missed_limit: self.system.missed_limit,
            gap_ms_min: gaps.first().copied().unwrap_or_default(),
            gap_ms_median: median(&gaps),
            gap_ms_max: gaps.last().copied().unwrap_or_default(),
            runs: gaps.len(),
            dual_active_ms_max: milliseconds(dual),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { gap_ms_min, gap_ms_median, gap_ms_max, runs, dual_active_ms_max, .. } = self.figure();
        let elsewhere: usize = self.outcomes.iter().map(|outcome| outcome.lost_elsewhere).sum();
        write!(
            f,
            "{:<22} gap {gap_ms_median:>7.1} ms ({gap_ms_min:.1} to {gap_ms_max:.1})  {runs} runs  two owners \
             {dual_active_ms_max:>6.1} ms  TCP broken {} of {}  lost elsewhere {elsewhere}",
            self.system,
            self.talk.broken.len(),
            self.talk.connections,
        )?;
        if let Some([least, mean, most]) = self.theory {
            write!(f, "  unasked {}  theory {mean:.1} ({least:.1} to {most:.1})", self.unasked)?;
        }
        self.talk.broken.first().map_or(Ok(()), |reason| write!(f, "  ({reason})"))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // To the microsecond: more digits than that say nothing.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The mean of the two in the middle, where there are two; 0 of nothing.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted {
        [] => 0.0,
        _ if sorted.len().is_multiple_of(2) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_under_the_names_that_readers_know() {
        let mut record = Record::new(System::ALL[1]);
        for (gap, dual) in [(30, 0), (50, 2), (20, 1), (10, 0)] {
            let [gap, dual_active] = [gap, dual].map(Duration::from_millis);
            record.outcomes.push(Outcome { gap, lost_elsewhere: 0, dual_active });
        }
        let expected = serde_json::json!({
            "system": "keepalived", "interval_ms": 10.0, "missed_limit": 3, "gap_ms_min": 10.0, "gap_ms_median": 25.0,
            "gap_ms_max": 50.0, "runs": 4, "dual_active_ms_max": 2.0
        });
        assert_eq!(serde_json::to_value(record.figure()).unwrap(), expected);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[1.0, 5.0, 9.0]), 5.0);
        assert_eq!(median(&[1.0, 5.0, 6.0, 9.0]), 5.5);
    }
}
