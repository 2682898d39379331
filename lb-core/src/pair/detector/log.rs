//! What was sent on a path lately: every frame, so that an echo can be believed or not, and the asks that wait for their acks.

use crate::pair::Micros;

/// Frames that are remembered. In n Tb + W a path carries 2n + 2 of them, and n is 20 at most; some more go out at once.
const SENT: usize = 64;
/// Asks that wait for their ack at one time. W is shorter than Tb, so more than one are asks out of turn.
const MAX_ASKS: usize = 8;

/// The newest frames of a path, by sequence.
#[derive(Debug)]
pub(super) struct SentLog {
    /// Sequence and time, at the sequence modulo [`SENT`]. Sequence 0 is none.
    sent: [(u32, Micros); SENT],
    last: u32,
}

impl Default for SentLog {
    fn default() -> Self {
        Self { sent: [(0, 0); SENT], last: 0 }
    }
}

impl SentLog {
    /// The sequence of a frame that is sent now. 0 is left out: it means that nothing was heard.
    pub(super) fn next(&mut self, now: Micros) -> u32 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.sent[self.last as usize % SENT] = (self.last, now);
        self.last
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// When a frame was sent, where it is remembered.
    pub(super) fn sent_at(&self, sequence: u32) -> Option<Micros> {
        let (found, at) = self.sent[sequence as usize % SENT];
        (sequence != 0 && found == sequence).then_some(at)
    }

    /// Whether `frames` (fewer than are remembered) have been sent since.
    pub(super) fn has_sent_since(&self, frames: u32, since: Micros) -> bool {
        self.sent_at(self.last.wrapping_sub(frames - 1)).is_some_and(|at| at > since)
    }
}

/// What the miss of an ask means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One miss.
    Counts,
    /// Nothing: it went out of turn.
    Extra,
    /// Nothing: this node was off the CPU when its ack was due.
    Void,
}

/// An ask without an ack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    sequence: u32,
    pub at: Micros,
    due: Micros,
    pub counts: Verdict,
}

/// The asks of a path that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Asks {
    waiting: [Option<Ask>; MAX_ASKS],
}

impl Asks {
    /// Where all places are taken the oldest is given up, and counts no way.
    pub(super) fn push(&mut self, sequence: u32, at: Micros, due: Micros, counts: Verdict) {
        let place = self.waiting.iter().position(Option::is_none).unwrap_or_else(|| self.oldest());
        self.waiting[place] = Some(Ask { sequence, at, due, counts });
    }

    fn oldest(&self) -> usize {
        let by_age = |&place: &usize| self.waiting[place].map_or(Micros::MAX, |ask| ask.at);
        (0..MAX_ASKS).min_by_key(by_age).unwrap_or(0)
    }

    pub(super) fn take(&mut self, sequence: u32) -> Option<Ask> {
        self.waiting.iter_mut().find(|place| place.is_some_and(|ask| ask.sequence == sequence))?.take()
    }

    /// The oldest ask that is due by now.
    pub(super) fn take_due(&mut self, now: Micros) -> Option<Ask> {
        let due = |place: &&mut Option<Ask>| place.is_some_and(|ask| ask.due <= now);
        self.waiting.iter_mut().filter(due).min_by_key(|place| place.map(|ask| ask.due))?.take()
    }

    /// Lets all that are due by now mean nothing. Their acks may still wait to be read.
    pub(super) fn void_due(&mut self, now: Micros) {
        for ask in self.waiting.iter_mut().flatten().filter(|ask| ask.due <= now) {
            ask.counts = Verdict::Void;
        }
    }

    pub(super) fn next_due(&self) -> Option<Micros> {
        self.waiting.iter().flatten().map(|ask| ask.due).min()
    }
}
