//! The life of one check of one real: wait, probe, report, and so on.

use std::sync::Arc;
use std::time::Duration;

use lb_core::check::{CheckResult, Outcome, Pace, Target};
use lb_core::table::NextHop;
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::probe::Failure;
use super::{Shared, probe};

/// One check of one real.
pub(super) struct Task {
    target: Target,
    next_hop: watch::Receiver<Option<NextHop>>,
    pace: Pace,
    shared: Arc<Shared>,
    /// Why this host could not make the last probe, if so: told once.
    unable: Option<String>,
}

impl Task {
    pub(super) fn new(target: Target, next_hop: watch::Receiver<Option<NextHop>>, shared: Arc<Shared>) -> Self {
        let pace = Pace::new(&target.check, &target.service, &target.real);
        Self { target, next_hop, pace, shared, unable: None }
    }

    /// Runs until nobody reads the results any more.
    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        let mut due = Instant::now() + Duration::from_millis(self.pace.first_ms());
        loop {
            sleep_until(due).await;
            let Some(permits) = Permits::get(&shared, &self.target).await else { return };
            let begun = Instant::now();
            let probed = self.probe().await;
            drop(permits);
            let Some(outcome) = self.judge(probed, begun) else {
                due = begun + Duration::from_millis(self.target.check.interval_ms);
                continue;
            };
            let passed = matches!(outcome, Outcome::Passed { .. });
            if shared.results.send(self.result(outcome)).await.is_err() {
                return;
            }
            due = begun + Duration::from_millis(self.pace.next_ms(passed));
        }
    }

    async fn probe(&mut self) -> Result<(), Failure> {
        self.target.next_hop = *self.next_hop.borrow_and_update();
        probe::probe(&self.target, &self.shared.configs).await
    }

    /// What the probe says of the real; nothing where this host could not make it.
    fn judge(&mut self, probed: Result<(), Failure>, begun: Instant) -> Option<Outcome> {
        let outcome = match probed {
            Ok(()) => Outcome::Passed { took_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX) },
            Err(failure) if failure.is_ours() => {
                self.tell_unable(failure.into_reason());
                return None;
            }
            Err(failure) => Outcome::Failed { reason: failure.into_reason() },
        };
        self.unable = None;
        Some(outcome)
    }

    fn tell_unable(&mut self, reason: String) {
        if self.unable.as_ref() != Some(&reason) {
            let Target { service, real, check, .. } = &self.target;
            warn!(service, real, check = check.name, "this host cannot make a check: {reason}");
            self.unable = Some(reason);
        }
    }

    fn result(&self, outcome: Outcome) -> CheckResult {
        let Target { service, real, check, .. } = &self.target;
        CheckResult { service: service.clone(), real: real.clone(), check: check.name.clone(), outcome }
    }
}

/// Leave to probe.
struct Permits<'a> {
    _narrow: Option<SemaphorePermit<'a>>,
    _all: SemaphorePermit<'a>,
}

impl<'a> Permits<'a> {
    /// Waits for it: at the narrow door first, so that whoever waits there is in nobody's way. The semaphores are never closed.
    async fn get(shared: &'a Shared, target: &Target) -> Option<Permits<'a>> {
        let narrow = match shared.narrow_door(target) {
            Some(door) => Some(door.acquire().await.ok()?),
            None => None,
        };
        Some(Permits { _narrow: narrow, _all: shared.all.acquire().await.ok()? })
    }
}
