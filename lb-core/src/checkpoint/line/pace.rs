//! When the line may carry a frame of the table: behind a heartbeat, and only where it is through before the next one is due.

use crate::pair::{
    Micros,
    serial::{serial_time_us, stream_size},
    wire::{
        FACTS_FRAME_SIZE, FRAME_SIZE, MAX_FRAME_SIZE,
        table::{PART_OVERHEAD, WANT_SIZE},
    },
};

/// The last part of the interval, in which nothing is sent: an ask or an ack may come a little early.
const GUARD_FRACTION: Micros = 10;
/// The same, at least, in microseconds.
const LEAST_GUARD_US: Micros = 1_000;
/// A frame goes when no more than a frame of so many bytes is still ahead of it, here or in the device: a long heartbeat.
pub const MAX_AHEAD: usize = FACTS_FRAME_SIZE;
/// Least bytes of a message that are worth a frame.
const LEAST_PART: usize = 8;
/// Parts that are sent ahead of their acks, at most.
pub(super) const WINDOW: usize = 16;
/// Intervals that go by until the last part of a window is acked: it has to come, and the ack has to wait for its turn.
const ACK_INTERVALS: Micros = 3;

/// What the line leaves beside the heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Most bytes of a message in one frame.
    pub part: usize,
    /// Within what time what is sent ahead is acked, if nothing is lost.
    pub round_us: Micros,
    /// Tb: what is between two heartbeats.
    pub interval_us: Micros,
}

/// The bandwidth of one line that the heartbeats leave. Each heartbeat that goes out opens a gap up to shortly before the next one; a
/// frame goes where all of it fits in. So a heartbeat that is due finds the line free, and one out of turn waits for little.
#[derive(Clone, Debug)]
pub struct Pace {
    interval_us: Micros,
    baud: u32,
    /// Until when the line has bytes to carry.
    busy_until: Micros,
    /// When the gap ends.
    gap_until: Micros,
}

impl Pace {
    /// A line of so many bits a second, which carries a heartbeat each interval. Nothing may go before the first one.
    #[must_use]
    pub fn new(interval_us: Micros, baud: u32) -> Self {
        Self { interval_us, baud, busy_until: 0, gap_until: 0 }
    }

    /// What this leaves for messages; nothing where no gap is long enough.
    #[must_use]
    pub fn timing(&self) -> Option<Timing> {
        let gap = self.gap_us();
        let room = (gap * u64::from(self.baud) / 10_000_000) as usize;
        let frame = room.saturating_sub(stream_size(0)).min(MAX_FRAME_SIZE);
        if frame < WANT_SIZE.max(PART_OVERHEAD + LEAST_PART) {
            return None;
        }
        let each = (gap / self.time_us(frame)).max(1);
        let round_us = self.interval_us * ((WINDOW as u64).div_ceil(each) + ACK_INTERVALS);
        Some(Timing { part: frame - PART_OVERHEAD, round_us, interval_us: self.interval_us })
    }

    /// A heartbeat of so many bytes goes out.
    pub fn heartbeat(&mut self, frame: usize, now: Micros) {
        self.sent(frame, now);
        self.gap_until = now + self.interval_us.saturating_sub(self.guard_us());
    }

    /// A frame of so many bytes goes out.
    pub fn sent(&mut self, frame: usize, now: Micros) {
        self.busy_until = self.busy_until.max(now) + self.time_us(frame);
    }

    /// When a frame of so many bytes may go: now, or when little is ahead of it. Nothing where it has to wait for the next heartbeat.
    #[must_use]
    pub fn start(&self, frame: usize, now: Micros) -> Option<Micros> {
        let at = self.busy_until.saturating_sub(self.time_us(MAX_AHEAD)).max(now);
        (self.busy_until.max(at) + self.time_us(frame) <= self.gap_until).then_some(at)
    }

    /// The line has nothing to carry.
    #[cfg(test)]
    pub(super) fn is_free(&self, now: Micros) -> bool {
        self.busy_until <= now
    }

    fn time_us(&self, frame: usize) -> Micros {
        serial_time_us(self.baud, stream_size(frame))
    }

    fn guard_us(&self) -> Micros {
        (self.interval_us / GUARD_FRACTION).max(LEAST_GUARD_US)
    }

    /// How long the line is free between two heartbeats.
    fn gap_us(&self) -> Micros {
        self.interval_us.saturating_sub(self.guard_us() + self.time_us(FRAME_SIZE))
    }
}
