//! How often the thread that commits does so: as configured, or as often as it pays. What that depends on is measured either way.

use std::time::{Duration, Instant};

use lb_core::checkpoint::{Batch, Entry, Sequence};
use lb_core::interval::{Estimate, Estimator, Limits, Passed, Weights};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use super::commit::count;
use super::hub::Hub;
use crate::config::{CheckpointInterval, CheckpointSettings};

/// How often it is looked what has changed, so that a burst of flows shortens the interval that it falls into.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Says how many flows are remembered. It must wait for nobody.
pub type Known = Box<dyn Fn() -> u64 + Send>;

/// Measures, and says Tc.
pub struct Pace {
    settings: watch::Receiver<CheckpointSettings>,
    known: Known,
    estimator: Estimator,
    /// The batches up to this one were counted.
    seen: Sequence,
    looked: Instant,
}

impl Pace {
    /// Nothing is measured yet.
    #[must_use]
    pub fn new(hub: &Hub, known: Known) -> Self {
        let seen = hub.look(|ledger, _| ledger.last());
        Self { settings: hub.settings(), known, estimator: Estimator::default(), seen, looked: Instant::now() }
    }

    /// Tc, by the settings of this moment.
    pub fn interval(&mut self) -> Duration {
        let settings = self.settings.borrow().clone();
        match settings.interval {
            CheckpointInterval::Fixed(interval) => interval,
            CheckpointInterval::Auto => {
                let seconds = self.estimator.interval(&weights(&settings), &limits(&settings));
                // The limits are durations, so that it is one, too.
                Duration::try_from_secs_f64(seconds).unwrap_or(settings.max_interval)
            }
        }
    }

    /// Counts what has changed since the last look.
    pub fn look(&mut self, hub: &Hub) {
        let (last, news) = hub.look(|ledger, _| (ledger.last(), ledger.after(self.seen)));
        self.seen = last;
        // What is not kept any more is part of a snapshot, and no measure.
        let news = news.unwrap_or_default();
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.looked).as_secs_f64();
        self.looked = now;
        self.estimator.passed(seconds, &passed(news.iter().map(|batch| &**batch), (self.known)()));
    }

    /// When the next look is due.
    pub fn next_look(&self) -> Instant {
        self.looked + LOOK
    }

    /// A commit of so many entries took the processor for so long.
    pub fn committed(&mut self, entries: u64, took: Duration) {
        self.estimator.committed(entries, took.as_secs_f64());
    }

    /// What was measured.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        self.estimator.estimate(&weights(&self.settings.borrow()))
    }
}

/// For how long this thread has had the processor: who waits for the disk does not take it.
pub(super) fn cpu_time() -> Duration {
    // Linux has had this clock since 2.6.12: the call cannot fail.
    let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) else { return Duration::ZERO };
    Duration::from(time)
}

pub(super) fn limits(settings: &CheckpointSettings) -> Limits {
    Limits { least: settings.least_interval.as_secs_f64(), max: settings.max_interval.as_secs_f64() }
}

fn weights(settings: &CheckpointSettings) -> Weights {
    Weights {
        mean_time_between_failures: settings.mean_time_between_failures.as_secs_f64(),
        flow_weight: settings.flow_weight.as_secs_f64(),
    }
}

/// What batches say. Half-open flows are not for a disk.
fn passed<'a>(batches: impl Iterator<Item = &'a Batch>, known: u64) -> Passed {
    let mut passed = Passed { known, ..Passed::default() };
    for entry in batches.flat_map(|batch| &batch.entries) {
        match entry {
            Entry::HalfOpen(_) => continue,
            Entry::Remembered(flows) => passed.remembered += flows.len() as u64,
            Entry::Forgotten(flows) => passed.forgotten += flows.len() as u64,
            _ => {}
        }
        passed.entries += count(std::slice::from_ref(entry));
    }
    passed
}

#[cfg(test)]
mod tests {
    use lb_common::FlowKey;
    use lb_core::checkpoint::{FlowEntry, Origin};
    use lb_core::pair::Role;

    use super::*;
    use crate::checkpoint::hub::Teller;
    use crate::checkpoint::test_support::settings;
    use crate::engine::Checkpoints as _;

    const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 };

    fn leading(settings: CheckpointSettings) -> (Hub, Pace) {
        let hub = Hub::new(settings, false);
        hub.change(|ledger, _| ledger.lead(ORIGIN));
        let pace = Pace::new(&hub, Box::new(|| 7));
        (hub, pace)
    }

    fn flows(count: usize) -> Vec<FlowEntry> {
        vec![FlowEntry { key: FlowKey::default(), service: 1, real: 1 }; count]
    }

    fn tell(hub: &Hub, entries: Vec<Entry>) {
        hub.change(|ledger, now| ledger.append(entries, 1, now));
    }

    /// As if the last look had been so long ago.
    fn look_after(pace: &mut Pace, hub: &Hub, seconds: u64) {
        pace.looked = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        pace.look(hub);
    }

    #[test]
    fn what_is_told_is_counted_once_and_half_open_flows_never() {
        let (hub, mut pace) = leading(settings());
        let keys = vec![FlowKey::default(); 30];
        tell(&hub, vec![Entry::Remembered(flows(600)), Entry::HalfOpen(flows(9)), Entry::Forgotten(keys)]);
        look_after(&mut pace, &hub, 10);
        let first = pace.estimate();
        assert!((first.inputs.at_risk_rate - 60.0).abs() < 1.0, "{first:?}");
        assert_eq!(first.known, 7.0);
        let lb_core::interval::Content::Log { entry_rate } = first.inputs.content else { panic!("no log") };
        assert!((entry_rate - 63.0).abs() < 1.0, "{first:?}");
        look_after(&mut pace, &hub, 10);
        assert!(pace.estimate().inputs.at_risk_rate < 40.0, "it counts the same again");
    }

    #[test]
    fn a_burst_shortens_the_interval_within_its_limits() {
        let settings = settings();
        let (hub, mut pace) = leading(settings.clone());
        assert_eq!(pace.interval(), settings.least_interval);
        look_after(&mut pace, &hub, 1);
        assert_eq!(pace.interval(), settings.max_interval);
        tell(&hub, vec![Entry::Remembered(flows(100_000))]);
        look_after(&mut pace, &hub, 1);
        let busy = pace.interval();
        assert!(settings.least_interval <= busy && busy < settings.max_interval / 2, "{busy:?}");
    }

    #[test]
    fn a_configured_interval_is_kept_and_a_reload_taken_over() {
        let fixed = |seconds| CheckpointInterval::Fixed(Duration::from_secs(seconds));
        let (hub, mut pace) = leading(CheckpointSettings { interval: fixed(5), ..settings() });
        look_after(&mut pace, &hub, 1);
        assert_eq!(pace.interval(), Duration::from_secs(5));
        let new = CheckpointSettings { interval: fixed(6), ..settings() };
        Teller::new(hub.into(), Box::new(|_| true)).set(&new);
        assert_eq!(pace.interval(), Duration::from_secs(6));
    }

    #[test]
    fn the_processors_time_grows_with_work_alone() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() < before + Duration::from_millis(1) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
