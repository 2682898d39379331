//! One failover: the active node's links are cut, and mended once the other node serves.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lb_lab::{Cut, Look, Probe, Sample, Watch, interrupt, longest_both, longest_gap, lost, wait_for};

use crate::stage::Turn;
use crate::system::Kind;

/// How long the probe runs before the cut, beside the random phase.
const BEFORE: Duration = Duration::from_millis(250);
/// How long the new owner serves before the old one comes back.
const AFTER: Duration = Duration::from_millis(100);
/// How long the two are watched once both are at rest again.
const AT_REST: Duration = Duration::from_millis(100);
/// No failover of any system takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What was seen of a failover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// From the first probe that was lost to the first one after it that was answered.
    pub gap: Duration,
    /// Probes that were lost before the cut, or after the cut was mended.
    pub lost_elsewhere: usize,
    /// The longest time in which both nodes owned the VIP.
    pub dual_active: Duration,
}

/// Cuts the active node off, after waiting for `phase`, and waits until it is back as a standby. `None` when no probe was lost: the other node
/// had taken over by itself just then.
pub fn fail_over(turn: &mut Turn<'_>, kind: Kind, phase: Duration) -> Result<Option<Outcome>> {
    let probe = Probe::start(&turn.network().client.handle(), turn.service())?;
    let watch = Watch::start(&turn.network().client, turn.watched()?)?;
    let begun = Instant::now();
    wait_for("the first answer", LIMIT, || Ok(probe.answered_since(begun).then_some(())))?;
    interrupt::pause(BEFORE)?;
    std::thread::sleep(phase);

    let owner = turn.owner()?;
    let cut_at = probe.elapsed();
    turn.network().cut(&Cut::node(owner))?;
    let cut = Instant::now();
    wait_for("the other node to serve", LIMIT, || Ok(probe.answered_since(cut).then_some(())))?;
    interrupt::pause(AFTER)?;
    let mended_at = probe.elapsed();
    turn.network().mend(&Cut::node(owner))?;
    turn.wait_until_at_rest()?;
    interrupt::pause(AT_REST)?;
    judge(kind, &probe.stop()?, cut_at..mended_at, &watch.stop()?)
}

fn judge(
    kind: Kind,
    samples: &[Sample],
    failover: std::ops::Range<Duration>,
    looks: &[Look],
) -> Result<Option<Outcome>> {
    let from = samples.partition_point(|sample| sample.sent < failover.start);
    let to = samples.partition_point(|sample| sample.sent < failover.end);
    // From the last answer before the cut on: what was lost before it is another matter.
    let from =
        samples[..from].iter().rposition(|sample| sample.answered).context("no probe was answered before the cut")?;
    let during = samples.get(from..to).context("the probe has ended before the failover")?;
    let gap = longest_gap(during);
    if gap.lost == 0 {
        return Ok(None);
    }
    let first = samples.iter().position(|sample| sample.answered).unwrap_or(0);
    let elsewhere = lost(&samples[first..from]) + lost(&samples[to..]);
    Ok(Some(Outcome { gap: gap.length, lost_elsewhere: elsewhere, dual_active: dual_active(kind, looks) }))
}

/// The longest time in which both nodes answered ARP for the VIP; and for Understudy also that in which both forwarded. Beside keepalived
/// each node forwards what comes to it, and has to.
fn dual_active(kind: Kind, looks: &[Look]) -> Duration {
    let answered = longest_both(looks, |look| look.answered);
    match kind {
        Kind::Understudy => answered.max(longest_both(looks, |look| look.forwarded)),
        Kind::Keepalived => answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(index: u64, answered: bool) -> Sample {
        Sample { sent: Duration::from_millis(index), answered }
    }

    #[test]
    fn the_gap_is_that_of_the_cut() {
        // Lost: 5 before the cut, 20 to 49 by the cut, 80 after the mending.
        let lost = |index: u64| index == 5 || (20..50).contains(&index) || index == 80;
        let samples: Vec<Sample> = (0..100).map(|index| sample(index, !lost(index))).collect();
        let cut = Duration::from_millis(18)..Duration::from_millis(70);
        let outcome = judge(Kind::Keepalived, &samples, cut, &[]).unwrap().unwrap();
        assert_eq!(outcome.gap, Duration::from_millis(30));
        assert_eq!(outcome.lost_elsewhere, 2);
    }

    #[test]
    fn forwarding_by_both_counts_for_understudy_alone() {
        let look = |index| Look { at: Duration::from_millis(index), answered: 1, forwarded: 3 };
        let looks: Vec<Look> = (0..4).map(look).collect();
        assert_eq!(dual_active(Kind::Keepalived, &looks), Duration::ZERO);
        assert_eq!(dual_active(Kind::Understudy, &looks), Duration::from_millis(4));
    }
}
