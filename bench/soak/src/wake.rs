//! How late a thread is woken that wants to be woken each millisecond: with the real-time priority of the heartbeats, and without.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use lb_lab::{Rank, prefer, wait_readable};
use serde::Serialize;

const PERIOD: Duration = Duration::from_millis(1);
/// Upper ends of the classes, in microseconds; the last class has none.
const CLASSES: [u64; 7] = [100, 300, 1_000, 2_500, 5_000, 10_000, 20_000];

/// How late, how often.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lateness {
    /// Upper ends of the classes, in milliseconds.
    pub up_to_ms: Vec<f64>,
    /// Wakes in each class; one more, for those that were later than all.
    pub wakes: Vec<u64>,
    /// The latest, in milliseconds.
    pub max_ms: f64,
    /// By how much the kernel's tick was behind its time at most, in milliseconds, less the tick that it may be: leases end by it.
    pub tick_late_ms: f64,
}

/// A thread that is woken again and again.
pub struct Sleeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Lateness>,
}

impl Sleeper {
    /// Starts one of the heartbeats' priority, or of none.
    pub fn start(rank: Option<Rank>) -> Sleeper {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            if let Some(rank) = rank {
                prefer(rank);
            }
            sleep_again_and_again(&seen)
        });
        Sleeper { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Result<Lateness> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a sleeping thread has panicked"))
    }
}

fn sleep_again_and_again(stop: &AtomicBool) -> Lateness {
    let mut late = Lateness {
        up_to_ms: CLASSES.iter().map(|us| *us as f64 / 1e3).collect(),
        wakes: vec![0; CLASSES.len() + 1],
        max_ms: 0.0,
        tick_late_ms: 0.0,
    };
    let tick = tick();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        wait_readable(&[], PERIOD);
        late.note(begun.elapsed().saturating_sub(PERIOD));
        late.note_tick(since_the_tick().saturating_sub(tick));
    }
    late
}

/// How long ago the kernel ticked last.
fn since_the_tick() -> Duration {
    // The coarse clock last: who is held up in between sees too little, and never too much.
    let now = clock(libc::CLOCK_MONOTONIC);
    now.saturating_sub(clock(libc::CLOCK_MONOTONIC_COARSE))
}

fn clock(which: libc::clockid_t) -> Duration {
    read_clock(which, libc::clock_gettime)
}

/// From one tick to the next.
fn tick() -> Duration {
    read_clock(libc::CLOCK_MONOTONIC_COARSE, libc::clock_getres)
}

fn read_clock(
    which: libc::clockid_t,
    read: unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int,
) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write one timespec, which outlives them. Linux has both clocks, so they cannot fail.
    unsafe { read(which, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

impl Lateness {
    fn note(&mut self, late: Duration) {
        let us = late.as_micros() as u64;
        self.wakes[CLASSES.partition_point(|class| *class < us)] += 1;
        self.max_ms = self.max_ms.max(us as f64 / 1e3);
    }

    fn note_tick(&mut self, late: Duration) {
        self.tick_late_ms = self.tick_late_ms.max(late.as_micros() as f64 / 1e3);
    }
}

/// `99.1% to 0.1 ms, 0.9% to 0.3 ms, at most 0.2 ms`.
impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.wakes.iter().sum();
        let share = |wakes: u64| 100.0 * wakes as f64 / all.max(1) as f64;
        for (wakes, class) in self.wakes.iter().zip(&self.up_to_ms).filter(|(wakes, _)| **wakes > 0) {
            write!(f, "{:.3}% to {class} ms, ", share(*wakes))?;
        }
        if let Some(wakes) = self.wakes.get(self.up_to_ms.len()).filter(|wakes| **wakes > 0) {
            write!(f, "{:.3}% later, ", share(*wakes))?;
        }
        write!(f, "at most {:.1} ms", self.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_are_put_into_classes() {
        let mut late = Lateness { up_to_ms: vec![0.1], wakes: vec![0; CLASSES.len() + 1], ..Lateness::default() };
        [0, 100, 101, 2_500, 20_001].into_iter().for_each(|us| late.note(Duration::from_micros(us)));
        assert_eq!(late.wakes, [2, 1, 0, 1, 0, 0, 0, 1]);
        assert_eq!(late.max_ms, 20.001);
    }

    #[test]
    fn the_coarse_clock_is_behind_by_a_tick_or_more_and_never_ahead() {
        assert!((1..=10).contains(&tick().as_millis()), "{:?}", tick());
        let (before, coarse) = (clock(libc::CLOCK_MONOTONIC), clock(libc::CLOCK_MONOTONIC_COARSE));
        assert!(coarse <= clock(libc::CLOCK_MONOTONIC) && before > Duration::ZERO);
        let mut late = Lateness::default();
        [3, 9, 4].into_iter().for_each(|ms| late.note_tick(Duration::from_millis(ms)));
        assert_eq!(late.tick_late_ms, 9.0);
    }
}
