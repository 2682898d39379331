//! Ctrl-C and SIGTERM as a flag, so that a command can stop between two steps and take down what it built.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

static REQUESTED: AtomicBool = AtomicBool::new(false);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// From now on SIGINT, SIGTERM and SIGHUP only set the flag.
pub fn install() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, note as extern "C" fn(i32) as libc::sighandler_t) };
    }
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// An error once the user has asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits, and returns early with an error when the user asks to stop.
pub fn pause(duration: Duration) -> Result<()> {
    let deadline = Instant::now() + duration;
    loop {
        check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK_AGAIN));
    }
}

extern "C" fn note(_: i32) {
    REQUESTED.store(true, Ordering::Relaxed);
}
