//! What checkpoints take of the CPU while flows come and go: the daemon's own thread hears of each as the program tells it, and what it has
//! told the ledger is committed each second.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lb_common::{FLOW_EVENT_FORGOTTEN, FLOW_EVENT_REMEMBERED, FlowEvent};
use lb_daemon::checkpoint::flows::{Listener, Source};
use lb_daemon::dataplane::DataplaneError;

use crate::owner::{CHANGES, Owner};
use crate::usage;
use crate::world::key;

/// Tc.
const INTERVAL: Duration = Duration::from_secs(1);
/// Events come so often.
const BEAT: Duration = Duration::from_millis(10);
/// So many a second.
const RATE: u32 = CHANGES;
/// The first flow of those that come and go: none of a case.
const FIRST: u32 = 16_000_000;

/// Events at a steady rate: flows are remembered, and forgotten in the next beat.
struct Steady {
    began: Instant,
    told: u32,
}

impl Source for Steady {
    fn wait(&self, timeout: Duration) -> Result<bool, DataplaneError> {
        thread::sleep(BEAT.min(timeout));
        Ok(true)
    }

    fn drain(&mut self, told: &mut dyn FnMut(&FlowEvent)) -> Result<usize, DataplaneError> {
        let due = (self.began.elapsed().as_secs_f64() * f64::from(RATE)) as u32;
        for number in self.told..due {
            let kind = if number.is_multiple_of(2) { FLOW_EVENT_REMEMBERED } else { FLOW_EVENT_FORGOTTEN };
            let key = key(FIRST + number / 2 - if kind == FLOW_EVENT_FORGOTTEN { RATE } else { 0 });
            told(&FlowEvent { key, kind, real: 1, ..FlowEvent::default() });
        }
        let count = due.saturating_sub(self.told);
        self.told = due;
        Ok(count as usize)
    }

    fn lost(&self) -> Result<u64, DataplaneError> {
        Ok(0)
    }
}

/// Milliseconds of CPU time a second.
pub fn cpu_ms_a_second(owner: &mut Owner, watched: Duration) -> Result<f64> {
    let began = Instant::now();
    let before = usage::cpu()?;
    let source = Steady { began, told: 0 };
    let listener = Listener::start(Box::new(source), Arc::clone(&owner.hub)).context("cannot start the thread")?;
    while began.elapsed() < watched {
        thread::sleep(INTERVAL);
        owner.append()?;
    }
    listener.end();
    let used = usage::cpu()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e3 / began.elapsed().as_secs_f64())
}
