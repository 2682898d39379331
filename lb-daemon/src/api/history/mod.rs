//! `GET /v1/history`: how the node has been over the last minutes. A sample is taken every two seconds, and the oldest is forgotten.

mod ring;
mod sample;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use lb_core::api::{Event, Happening, History, NodeState};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};
use tracing::debug;

use super::snapshot::Snapshot;
use super::{Outcome, Served};
use ring::Ring;
use sample::Before;

/// From one sample to the next.
const INTERVAL: Duration = Duration::from_secs(2);
/// How far back the samples go.
const SPAN: Duration = Duration::from_mins(15);
/// Samples that are kept.
const CAPACITY: usize = (SPAN.as_secs() / INTERVAL.as_secs()) as usize;
/// Most services that are sampled: the first ones of the configuration.
const MAX_SERVICES: usize = 64;
/// Most reals that are sampled: the first ones of the configuration.
const MAX_REALS: usize = 256;

/// What is remembered of the last minutes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    ring: Ring,
    before: Before,
    truncated: bool,
    takeovers: Takeovers,
}

impl Default for Kept {
    fn default() -> Self {
        Self { ring: Ring::new(CAPACITY), before: Before::default(), truncated: false, takeovers: Takeovers::default() }
    }
}

/// The takeovers of this start, counted from the journal, which does not go back to it for ever.
#[derive(Debug, Default)]
struct Takeovers {
    count: u64,
    /// The newest event that was looked at.
    seen: u64,
}

impl Recording {
    /// Takes samples until `stop` changes, or the engine ends.
    pub(crate) async fn keep(self, served: Served, mut stop: watch::Receiver<bool>) {
        let mut ticks = time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            match served.snapshot().await {
                Ok(snapshot) => self.add(unix_ms(), &snapshot),
                Err(failure) => debug!("no sample for the history: {}", failure.body.error),
            }
        }
    }

    /// Takes a sample.
    pub(crate) fn add(&self, unix_ms: u64, snapshot: &Snapshot) {
        let mut kept = self.lock();
        let (values, before) = sample::sample(snapshot, &kept.before);
        kept.before = before;
        kept.truncated = snapshot.services.services.len() > MAX_SERVICES || snapshot.reals.reals.len() > MAX_REALS;
        kept.ring.push(unix_ms, values);
    }

    /// The samples that are newer than this: milliseconds since 1970.
    pub(crate) fn since(&self, unix_ms: u64) -> History {
        let kept = self.lock();
        let (times, series) = kept.ring.since(unix_ms);
        History {
            interval_seconds: INTERVAL.as_secs_f64(),
            capacity: CAPACITY as u32,
            unix_ms: times,
            series,
            truncated: kept.truncated,
        }
    }

    /// How often this start of the daemon has taken over, with these newest events.
    pub(crate) fn takeovers(&self, boot: u32, events: &[Event]) -> u64 {
        let mut kept = self.lock();
        let Takeovers { count, seen } = &mut kept.takeovers;
        let is_takeover = |event: &&Event| matches!(event.what, Happening::State { to: NodeState::TakingOver, .. });
        let new = events.iter().filter(|event| event.sequence > *seen && event.boot == boot);
        *count += new.filter(is_takeover).count() as u64;
        *seen = events.iter().map(|event| event.sequence).fold(*seen, u64::max);
        *count
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    since: Option<u64>,
}

pub(super) async fn show(
    State(served): State<Served>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Outcome<History> {
    let Query(HistoryQuery { since }) = query?;
    Ok(Json(served.history.since(since.unwrap_or(0))))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
