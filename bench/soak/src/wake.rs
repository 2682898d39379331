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
    };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        wait_readable(&[], PERIOD);
        late.note(begun.elapsed().saturating_sub(PERIOD));
    }
    late
}

impl Lateness {
    fn note(&mut self, late: Duration) {
        let us = late.as_micros() as u64;
        self.wakes[CLASSES.partition_point(|class| *class < us)] += 1;
        self.max_ms = self.max_ms.max(us as f64 / 1e3);
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
        let mut late = Lateness { up_to_ms: vec![0.1], wakes: vec![0; CLASSES.len() + 1], max_ms: 0.0 };
        [0, 100, 101, 2_500, 20_001].into_iter().for_each(|us| late.note(Duration::from_micros(us)));
        assert_eq!(late.wakes, [2, 1, 0, 1, 0, 0, 0, 1]);
        assert_eq!(late.max_ms, 20.001);
    }
}
