//! What clients see meanwhile: a probe each millisecond, and a look at who owns the VIP.

use std::time::Duration;

use anyhow::Result;
use lb_lab::{Probe, Sample, Watch, longest_both, longest_gap, lost};
use serde::Serialize;

use crate::stage::Stage;

/// A gap has so many lost probes in a row at least: one alone may be any queue's.
const GAP: usize = 3;

/// The client's threads.
pub struct Client {
    probe: Probe,
    watch: Watch,
}

/// What it has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Seen {
    /// Probes.
    pub probes: usize,
    /// Those without an answer.
    pub lost: usize,
    /// Runs of three and more of them.
    pub gaps: usize,
    /// The longest run, in milliseconds.
    pub gap_ms_max: f64,
    /// The longest time in which both nodes answered ARP for the VIP, or both forwarded, in milliseconds.
    pub dual_active_ms_max: f64,
    /// All such time, in milliseconds: looks at which both did.
    pub dual_active_ms_total: usize,
}

impl Client {
    /// Starts to probe and to watch.
    pub fn start(stage: &Stage) -> Result<Client> {
        let probe = Probe::start(&stage.network.client.handle(), stage.probed())?;
        let watch = Watch::start(&stage.network.client, stage.watched()?)?;
        Ok(Client { probe, watch })
    }

    /// Ends it.
    pub fn stop(self) -> Result<Seen> {
        let (samples, looks) = (self.probe.stop()?, self.watch.stop()?);
        let both = longest_both(&looks, |look| look.answered).max(longest_both(&looks, |look| look.forwarded));
        let total = looks.iter().filter(|look| [look.answered, look.forwarded].contains(&lb_lab::BOTH)).count();
        Ok(Seen {
            probes: samples.len(),
            lost: lost(&samples),
            gaps: gaps(&samples),
            gap_ms_max: milliseconds(longest_gap(&samples).length),
            dual_active_ms_max: milliseconds(both),
            dual_active_ms_total: total,
        })
    }
}

fn gaps(samples: &[Sample]) -> usize {
    samples.chunk_by(|a, b| a.answered == b.answered).filter(|run| !run[0].answered && run.len() >= GAP).count()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_three_in_a_row() {
        let samples: Vec<Sample> =
            "+--+---+----++-+".chars().map(|c| Sample { sent: Duration::ZERO, answered: c == '+' }).collect();
        assert_eq!(gaps(&samples), 2);
    }
}
