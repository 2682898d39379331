//! Heartbeats each 100 ms, of which every path loses three in ten each way: a mistake now and then is what theory allows.

use std::time::{Duration, Instant};

use anyhow::Result;
use lb_core::api::PathCounters;
use lb_lab::interrupt;

use crate::client::Client;
use crate::diary::Diary;
use crate::poisson;
use crate::report::{Loss, Report, Told, stalls};
use crate::stage::Stage;

const HEARTBEAT_MS: u32 = 100;
const MISSED_LIMIT: u32 = 3;
const BAUD: u32 = 115_200;
/// Of a thousand datagrams between the nodes, each way.
const LOST_PER_MILLE: u32 = 300;
/// Of a million bytes on the serial line: then three in ten frames of 48 bytes lack one.
const LOST_BYTES: u32 = 7_400;
/// How often more takeovers than allowed would be seen by chance.
const RISK: f64 = 1e-3;
/// How often the nodes are asked what has happened.
const LOOK: Duration = Duration::from_secs(5);

/// Asks of the paths that were decided, by path: acked in time, and not.
type Asks = Vec<(u64, u64)>;

/// Soaks for so long.
pub fn run(length: Duration) -> Result<Report> {
    let stage = Stage::set(BAUD, HEARTBEAT_MS, MISSED_LIMIT)?;
    let mut diary = Diary::open(&stage)?;
    let before = asks(&stage)?;
    let client = Client::start(&stage)?;
    stage.network.lose(LOST_PER_MILLE)?;
    (0..2).for_each(|node| stage.network.serial.sent_by(node).set_rates(LOST_BYTES, 0, 0));
    let begun = Instant::now();
    while begun.elapsed() < length {
        interrupt::pause(LOOK.min(length.saturating_sub(begun.elapsed())))?;
        diary.catch_up(&stage)?;
    }
    let after = asks(&stage)?;
    let periods = begun.elapsed().as_secs_f64() * 1e3 / f64::from(HEARTBEAT_MS);
    stage.network.mend_all()?;
    (0..2).for_each(|node| stage.network.serial.sent_by(node).clear());
    let seen = client.stop()?;
    diary.catch_up(&stage)?;

    let loss = theory(&before, &after, periods);
    let allowed = poisson::most(loss.takeovers_expected, RISK);
    let takeovers: Vec<Told> = diary.takeovers().iter().map(|takeover| Told::new(takeover, &diary, None)).collect();
    Ok(Report {
        soak: "loss",
        minutes: length.as_secs_f64() / 60.0,
        interval_ms: HEARTBEAT_MS.into(),
        missed_limit: MISSED_LIMIT,
        passed: takeovers.len() as u64 <= allowed,
        takeovers,
        takeovers_allowed: allowed,
        path_alarms: diary.path_alarms(),
        dropped_without_lease: stage.dropped_without_lease(0)? + stage.dropped_without_lease(1)?,
        stalls: stalls(&stage)?,
        client: seen,
        hogs: None,
        loss: Some(loss),
    })
}

/// Of both nodes together: whichever is the standby asks.
fn asks(stage: &Stage) -> Result<Asks> {
    let of = |node| -> Result<Vec<PathCounters>> {
        Ok(stage.paths(node)?.paths.into_iter().map(|path| path.counters).collect())
    };
    let both = of(0)?.into_iter().zip(of(1)?);
    Ok(both.map(|(one, other)| (one.acked + other.acked, one.missed + other.missed)).collect())
}

fn theory(before: &Asks, after: &Asks, periods: f64) -> Loss {
    let decided: Asks =
        before.iter().zip(after).map(|(before, after)| (after.0 - before.0, after.1 - before.1)).collect();
    let loss = |(acked, missed): &(u64, u64)| *missed as f64 / (acked + missed).max(1) as f64;
    let two_way_loss: Vec<f64> = decided.iter().map(loss).collect();
    let on_all = two_way_loss.iter().product();
    Loss {
        asks: decided.iter().map(|(acked, missed)| acked + missed).collect(),
        two_way_loss,
        takeovers_expected: poisson::expected(periods, on_all, MISSED_LIMIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn theory_goes_by_what_was_lost() {
        let loss = theory(&vec![(10, 10), (0, 0)], &vec![(60, 60), (75, 25)], 1_000.0);
        assert_eq!((loss.two_way_loss, loss.asks), (vec![0.5, 0.25], vec![100, 100]));
        // Q = 1/8: 1000 * 7/8 / 512.
        assert!((loss.takeovers_expected - 1.708_984).abs() < 1e-6);
    }
}
