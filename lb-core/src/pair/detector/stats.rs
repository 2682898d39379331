//! Loss and round-trip times of a path.

use super::log::Verdict;
use crate::pair::{
    Micros,
    view::{PathCounters, Rtt},
};

/// How many asks the loss figure is of.
pub const LOSS_WINDOW: usize = 512;

/// What is measured on a path.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub rtt: Rtt,
    pub counters: PathCounters,
    window: Window,
}

impl Stats {
    /// An ask was acked before its time was over; `between` ask and ack the peer had `held` it.
    pub(super) fn hit(&mut self, verdict: Verdict, between: Micros, held: Micros) {
        match verdict {
            Verdict::Counts => {
                self.counters.acked += 1;
                self.window.push(false);
            }
            Verdict::Extra | Verdict::Void => self.counters.void += 1,
        }
        // The ack of a void ask waited for this node, not on the path.
        if verdict != Verdict::Void {
            self.rtt_sample(between.saturating_sub(held));
        }
    }

    pub(super) fn miss(&mut self) {
        self.counters.missed += 1;
        self.window.push(true);
    }

    fn rtt_sample(&mut self, took: Micros) {
        let sample = u32::try_from(took).unwrap_or(u32::MAX);
        let rtt = &mut self.rtt;
        let is_first = rtt.max_us == 0;
        rtt.last_us = sample;
        rtt.smoothed_us = if is_first { sample } else { rtt.smoothed_us - rtt.smoothed_us / 8 + sample / 8 };
        rtt.min_us = if is_first { sample } else { rtt.min_us.min(sample) };
        rtt.max_us = rtt.max_us.max(sample);
    }

    /// Misses of the last [`LOSS_WINDOW`] asks, in thousandths.
    pub(super) fn loss_permille(&self) -> u16 {
        self.window.permille()
    }
}

/// The last asks: a bit each, set where it was missed.
#[derive(Debug, Default)]
struct Window {
    bits: [u64; LOSS_WINDOW / 64],
    missed: u16,
    filled: u16,
    next: u16,
}

impl Window {
    fn push(&mut self, missed: bool) {
        let (word, bit) = (usize::from(self.next) / 64, 1 << (self.next % 64));
        let was_missed = self.bits[word] & bit != 0;
        self.bits[word] = if missed { self.bits[word] | bit } else { self.bits[word] & !bit };
        self.missed = self.missed + u16::from(missed) - u16::from(was_missed);
        self.next = (self.next + 1) % LOSS_WINDOW as u16;
        self.filled = (self.filled + 1).min(LOSS_WINDOW as u16);
    }

    fn permille(&self) -> u16 {
        let asks = u32::from(self.filled).max(1);
        // At most 1000, since no more asks are missed than there are.
        (u32::from(self.missed) * 1000).div_euclid(asks) as u16
    }
}
