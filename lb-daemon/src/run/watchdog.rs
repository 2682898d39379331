//! systemd's watchdog: it hears that `lbd` lives only while the engine and the heartbeat thread really come round.

use std::time::Duration;

use lb_config::service::{notify_alive, watchdog};
use tracing::warn;

use crate::engine::TICK;

/// A heartbeat thread that has not come round for so long stands still. It comes round each tenth of a second.
const STILL: Duration = Duration::from_secs(2);
/// With fewer ticks than these between two barks, one that is late would end the daemon.
const LEAST_TICKS: u32 = 3;

/// Tells systemd, where it wants to know.
#[derive(Debug)]
pub(super) struct Watchdog {
    is_wanted: bool,
}

impl Watchdog {
    /// As the environment says.
    pub(super) fn new() -> Self {
        let limit = watchdog();
        if let Some(limit) = limit.filter(|limit| *limit < TICK * LEAST_TICKS) {
            warn!(
                "WatchdogSec is {limit:?}: lbd tells systemd each {TICK:?} that it lives, so give it {:?}",
                TICK * 10
            );
        }
        Self { is_wanted: limit.is_some() }
    }

    /// The engine has just done its tick; the heartbeat thread came round so long ago. A solo node has none.
    pub(super) fn tick(&self, heartbeat: Option<Duration>) {
        if self.is_wanted && all_turn(heartbeat) {
            notify_alive();
        }
    }
}

fn all_turn(heartbeat: Option<Duration>) -> bool {
    heartbeat.is_none_or(|since| since < STILL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_thread_that_stands_still_is_not_alive() {
        assert!(all_turn(None), "a solo node has none");
        assert!(all_turn(Some(Duration::from_millis(100))));
        assert!(!all_turn(Some(STILL)));
    }
}
