//! The network between the two nodes: each path is two lines, one for each direction, with faults of its own.

use fastrand::Rng;

use super::clock::Instant;
use crate::pair::{MAX_PATHS, PathId, PathKind, Role};

/// So much may wait in front of a serial line; a frame that would have to wait longer is lost.
const LONGEST_BACKLOG_US: u64 = 50_000;
/// Bits of a byte on a serial line: a start bit and a stop bit beside the eight.
const BITS_A_BYTE: u64 = 10;

/// Which frames a line swallows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// Each with this probability.
    Random(f64),
    /// Gilbert's model: a line that is good or bad, and swallows this share of the frames while it is bad.
    Bursts { to_bad: f64, to_good: f64, loss: f64 },
}

/// One direction of a path.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) is_cut: bool,
    pub(super) loss: Loss,
    pub(super) delay_us: u64,
    pub(super) jitter_us: u64,
    /// Later frames may overtake earlier ones.
    pub(super) reorders: bool,
    /// Share of the frames that arrive twice.
    pub(super) doubles: f64,
    /// Bits a second of a serial line.
    baud: Option<u64>,
    is_bad: bool,
    free_at: Instant,
    last_arrival: Instant,
}

impl Line {
    pub(super) fn new(kind: PathKind, baud: u64, delay_us: u64, jitter_us: u64) -> Self {
        Self {
            is_cut: false,
            loss: Loss::Random(0.0),
            delay_us,
            jitter_us,
            reorders: false,
            doubles: 0.0,
            baud: (kind == PathKind::Serial).then_some(baud),
            is_bad: false,
            free_at: 0,
            last_arrival: 0,
        }
    }

    /// The longest that a frame of this many bytes is on its way when no other is in front of it.
    pub(super) fn longest_us(&self, bytes: usize) -> u64 {
        self.delay_us + self.jitter_us + self.on_the_wire_us(bytes)
    }

    pub(super) fn loses_nothing(&self) -> bool {
        !self.is_cut && matches!(self.loss, Loss::Random(share) if share == 0.0)
    }

    /// What was sent so far has arrived by then.
    pub(super) fn last_arrival(&self) -> Instant {
        self.last_arrival
    }

    /// When a frame of this many bytes arrives: never, once, or twice.
    fn carry(&mut self, now: Instant, bytes: usize, rng: &mut Rng) -> [Option<Instant>; 2] {
        let lost = self.swallows(rng);
        let sent = self.free_at.max(now) + self.on_the_wire_us(bytes);
        if self.baud.is_some() {
            if sent > now + LONGEST_BACKLOG_US {
                return [None, None];
            }
            self.free_at = sent;
        }
        if lost || self.is_cut {
            return [None, None];
        }
        let first = self.arrival(sent, rng);
        let second = (self.doubles > 0.0 && rng.f64() < self.doubles).then(|| self.arrival(sent, rng));
        [Some(first), second]
    }

    fn arrival(&mut self, sent: Instant, rng: &mut Rng) -> Instant {
        let mut at = sent + self.delay_us + rng.u64(0..=self.jitter_us);
        if !self.reorders {
            at = at.max(self.last_arrival);
        }
        self.last_arrival = self.last_arrival.max(at);
        at
    }

    fn swallows(&mut self, rng: &mut Rng) -> bool {
        match self.loss {
            Loss::Random(0.0) => false,
            Loss::Random(share) => rng.f64() < share,
            Loss::Bursts { to_bad, to_good, loss } => {
                let turns = rng.f64() < if self.is_bad { to_good } else { to_bad };
                self.is_bad ^= turns;
                self.is_bad && rng.f64() < loss
            }
        }
    }

    fn on_the_wire_us(&self, bytes: usize) -> u64 {
        self.baud.map_or(0, |baud| (bytes as u64 * BITS_A_BYTE * 1_000_000).div_ceil(baud))
    }
}

/// All lines.
pub(super) struct Network {
    /// By path, then by who sends.
    lines: Vec<[Line; 2]>,
}

impl Network {
    pub(super) fn new(lines: Vec<[Line; 2]>) -> Self {
        debug_assert!(lines.len() <= MAX_PATHS);
        Self { lines }
    }

    pub(super) fn line(&self, path: PathId, from: Role) -> &Line {
        &self.lines[usize::from(path)][from as usize]
    }

    pub(super) fn line_mut(&mut self, path: PathId, from: Role) -> &mut Line {
        &mut self.lines[usize::from(path)][from as usize]
    }

    pub(super) fn carry(
        &mut self,
        path: PathId,
        from: Role,
        bytes: usize,
        now: Instant,
        rng: &mut Rng,
    ) -> [Option<Instant>; 2] {
        self.line_mut(path, from).carry(now, bytes, rng)
    }
}
