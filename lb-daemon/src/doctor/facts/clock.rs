//! The wall clock, beside the clock that nobody sets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The kernel's word for a clock that nobody keeps right (adjtimex(2)).
const NOT_SYNCHRONISED: i32 = 5;

/// How far apart the two clocks were when `lbd` started. Whoever keeps the wall clock right by degrees moves both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartClock {
    apart_seconds: f64,
}

impl StartClock {
    /// The clocks as they are now.
    pub(crate) fn now() -> Self {
        Self { apart_seconds: apart_seconds() }
    }

    /// By how many seconds the wall clock was set since.
    pub(super) fn stepped_seconds(self) -> f64 {
        apart_seconds() - self.apart_seconds
    }
}

fn apart_seconds() -> f64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    wall.as_secs_f64() - up.as_secs_f64()
}

/// Whether somebody keeps the wall clock right.
pub(super) fn is_synchronised() -> Option<bool> {
    // SAFETY: all zeros is a `timex` that asks and changes nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the kernel's own and outlives the call.
    match unsafe { libc::adjtimex(&raw mut asked) } {
        ..0 => None,
        NOT_SYNCHRONISED => Some(false),
        _ => Some(true),
    }
}
