//! Heartbeats each 5 ms on a host without an idle CPU, and a flood of small packets through the active node.

use std::time::{Duration, Instant};

use anyhow::Result;
use lb_lab::{Rank, interrupt};

use crate::client::Client;
use crate::diary::Diary;
use crate::load::Load;
use crate::report::{Hogs, Report, Told, stalls};
use crate::stage::Stage;
use crate::verdict::Silence;
use crate::wake::Sleeper;

const HEARTBEAT_MS: u32 = 5;
const MISSED_LIMIT: u32 = 3;
/// Slower lines have no room for heartbeats each 5 ms.
const BAUD: u32 = 921_600;
const HOGS: usize = 4;
/// Datagrams of the flood, a second.
const FLOOD: u32 = 50_000;
/// How often the nodes are asked what has happened.
const LOOK: Duration = Duration::from_secs(2);

/// Soaks for so long.
pub fn run(length: Duration) -> Result<Report> {
    let stage = Stage::set(BAUD, HEARTBEAT_MS, MISSED_LIMIT)?;
    let mut diary = Diary::open(&stage)?;
    let client = Client::start(&stage)?;
    let sleepers = [Sleeper::start(Some(Rank::Heartbeat)), Sleeper::start(None)];
    let load = Load::start(HOGS, &stage.network.client, stage.flooded(), FLOOD)?;
    let begun = Instant::now();
    while begun.elapsed() < length {
        interrupt::pause(LOOK.min(length.saturating_sub(begun.elapsed())))?;
        diary.catch_up(&stage)?;
    }
    let flood_a_second = load.sent() as f64 / begun.elapsed().as_secs_f64();
    drop(load);
    let [woken_late, woken_late_without_priority] = sleepers.map(Sleeper::stop);
    let seen = client.stop()?;
    diary.catch_up(&stage)?;
    let takeovers = tell(&stage, &diary)?;
    let unexplained = takeovers.iter().filter(|takeover| takeover.explained_by_stall_ms.is_none()).count();
    Ok(Report {
        soak: "hogs",
        minutes: length.as_secs_f64() / 60.0,
        interval_ms: HEARTBEAT_MS.into(),
        missed_limit: MISSED_LIMIT,
        takeovers_allowed: (takeovers.len() - unexplained) as u64,
        takeovers,
        path_alarms: diary.path_alarms(),
        dropped_without_lease: stage.dropped_without_lease(0)? + stage.dropped_without_lease(1)?,
        stalls: stalls(&stage)?,
        client: seen,
        hogs: Some(Hogs {
            hogs: HOGS,
            flood_a_second,
            unexplained,
            woken_late: woken_late?,
            woken_late_without_priority: woken_late_without_priority?,
        }),
        loss: None,
        passed: unexplained == 0,
    })
}

/// Each takeover, and whether a stall explains it.
fn tell(stage: &Stage, diary: &Diary) -> Result<Vec<Told>> {
    let silence = Silence {
        interval_ms: HEARTBEAT_MS.into(),
        missed_limit: MISSED_LIMIT,
        detection_max_ms: stage.pair(0)?.detection.max_ms,
    };
    let stalls = diary.stalls();
    let told = diary.takeovers().into_iter().map(|takeover| {
        let stall = silence.explained_by(&takeover, &stalls).map(|stall| stall.for_ms);
        Told::new(&takeover, diary, stall)
    });
    Ok(told.collect())
}
