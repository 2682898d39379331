//! The detector of one path: which asks were acked in time, which frames are fresh, and whether the path is silent.
//!
//! An ask is a *hit* when its ack comes within W, else a *miss*. n misses in a row make the path silent, and any fresh frame ends the run.
//! An ask whose ack was due while this node was off the CPU is *void*: neither.
//! A frame is *fresh* when it is newer than all that was heard on the path, and echoes a frame that this node has sent lately: so it was
//! made lately, whatever a third host recorded.

mod log;
mod quality;
mod stats;

use log::{Asks, SentLog, Verdict};
pub(super) use quality::Quality;
pub use stats::LOSS_WINDOW;
use stats::Stats;

use super::{
    Frame, Kind, Micros, PathId, PathOptions,
    view::{Level, PathView},
};

/// A unit of [`Frame::held`].
const HELD_UNIT_US: Micros = 250;
/// Acks that asks which are not fresh may cause in n Tb + W. The peer's own are a handful; more of them are a flood of old frames.
const MAX_UNPROVEN_ACKS: u32 = 32;

/// How a path is watched, and how it is.
#[derive(Debug)]
pub(super) struct Path {
    pub id: PathId,
    pub options: PathOptions,
    pub usable: bool,
    pub stats: Stats,
    pub quality: Quality,
    /// When this node's facts went out here last, and which.
    pub facts_at: Option<Micros>,
    /// See [`Self::facts_at`].
    pub facts_version: u64,
    log: SentLog,
    asks: Asks,
    /// When the next ask is due, if this node asks on this path.
    next_ask: Micros,
    /// When an ask went out of turn last.
    extra_at: Option<Micros>,
    heard: Option<Heard>,
    /// The peer has started anew since the last fresh frame.
    is_new_start: bool,
    fresh_at: Option<Micros>,
    fresh_ask_at: Option<Micros>,
    run: Run,
    hits_in_row: u32,
    silent: bool,
    level: Level,
    was_used: bool,
}

/// The newest authentic frame of a path.
#[derive(Clone, Copy, Debug)]
struct Heard {
    boot: u32,
    sequence: u32,
    at: Micros,
}

/// Misses in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    misses: u32,
    /// When the first ask of them was sent.
    since: Micros,
    /// How many of them were sent after this node had last been off the CPU.
    since_stall: u32,
}

/// What a frame is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing: not newer than what was heard.
    Replayed,
    /// It is authentic and new, and nothing proves that it was made lately.
    Unproven,
    /// Made lately.
    Fresh {
        /// When this node sent the frame that it echoes.
        echoed_at: Micros,
        /// It was made no sooner.
        said_at: Micros,
    },
}

/// What a frame that goes out says of its path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub sequence: u32,
    pub echo_boot: u32,
    pub echo: u32,
    pub held: u8,
}

impl Path {
    /// A path that is asked first at `first_ask`.
    pub(super) fn new(id: PathId, options: PathOptions, first_ask: Micros) -> Self {
        Self {
            id,
            options,
            usable: true,
            stats: Stats::default(),
            quality: Quality::new(first_ask),
            facts_at: None,
            facts_version: 0,
            log: SentLog::default(),
            asks: Asks::default(),
            next_ask: first_ask,
            extra_at: None,
            heard: None,
            is_new_start: false,
            fresh_at: None,
            fresh_ask_at: None,
            run: Run::default(),
            hits_in_row: 0,
            silent: false,
            level: Level::Unknown,
            was_used: false,
        }
    }

    /// n Tb + W: what is older proves nothing.
    pub(super) fn window(&self) -> Micros {
        self.quiet_after() + self.options.ack_timeout_us
    }

    /// n Tb: an active node asks by itself where it was not asked for so long.
    pub(super) fn quiet_after(&self) -> Micros {
        Micros::from(self.options.missed_limit) * self.options.interval_us
    }

    /// (n-1) Tb + W: no run of misses is shorter.
    fn shortest_run(&self) -> Micros {
        self.window() - self.options.interval_us
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    pub(super) fn fresh_at(&self) -> Option<Micros> {
        self.fresh_at
    }

    /// Something authentic and new came in lately, fresh or not.
    pub(super) fn hears(&self, now: Micros) -> bool {
        self.heard.is_some_and(|heard| now - heard.at <= self.window())
    }

    pub(super) fn fresh_ask_at(&self) -> Option<Micros> {
        self.fresh_ask_at
    }

    /// An ask really went out on this path, so that its silence says something.
    pub(super) fn was_used(&self) -> bool {
        self.was_used
    }

    /// n asks that were sent after the last stall are misses.
    pub(super) fn is_silent_since_stall(&self) -> bool {
        self.silent && self.run.since_stall >= self.options.missed_limit
    }

    /// A frame has come in. Tells what it is worth, and whether the path went up.
    pub(super) fn hear(&mut self, frame: &Frame, my_boot: u32, now: Micros) -> (Worth, Option<bool>) {
        self.stats.counters.received += 1;
        let echoed_at = (frame.echo_boot == my_boot).then(|| self.log.sent_at(frame.echo)).flatten();
        let echoed_at = echoed_at.filter(|at| now - at <= self.window());
        if !self.is_newer(frame, echoed_at.is_some(), now) {
            self.stats.counters.replayed += 1;
            return (Worth::Replayed, None);
        }
        let is_new_start = self.heard.is_some_and(|heard| heard.boot != frame.boot);
        self.is_new_start |= is_new_start;
        self.heard = Some(Heard { boot: frame.boot, sequence: frame.sequence, at: now });
        let Some(echoed_at) = echoed_at else {
            self.stats.counters.stale += 1;
            return (Worth::Unproven, None);
        };
        let went_up = self.freshen(frame, now);
        let said_at = (echoed_at + Micros::from(frame.held) * HELD_UNIT_US).min(now);
        (Worth::Fresh { echoed_at, said_at }, went_up)
    }

    /// A peer whose boot generation has fallen (it lost its memory) is believed when it proves that it lives and the other one is gone.
    fn is_newer(&self, frame: &Frame, is_proven: bool, now: Micros) -> bool {
        let Some(heard) = self.heard else { return true };
        match frame.boot.cmp(&heard.boot) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => is_after(frame.sequence, heard.sequence),
            std::cmp::Ordering::Less => is_proven && now - heard.at > self.window(),
        }
    }

    fn freshen(&mut self, frame: &Frame, now: Micros) -> Option<bool> {
        self.fresh_at = Some(now);
        self.was_used = true;
        self.run = Run::default();
        self.silent = false;
        self.quality.trust(std::mem::take(&mut self.is_new_start), now);
        if frame.kind == Kind::Ack {
            if let Some(ask) = self.asks.take(frame.echo) {
                self.stats.hit(ask.counts, now - ask.at, Micros::from(frame.held) * HELD_UNIT_US);
            }
        } else {
            self.fresh_ask_at = Some(now);
        }
        self.hits_in_row = self.hits_in_row.saturating_add(1);
        self.rise()
    }

    fn rise(&mut self) -> Option<bool> {
        let rises = self.level != Level::Up && self.hits_in_row >= self.options.rise;
        if rises {
            self.level = Level::Up;
        }
        rises.then_some(true)
    }

    /// Decides about asks whose ack is due by now. Tells whether the path went down.
    pub(super) fn settle(&mut self, now: Micros) -> Option<bool> {
        let mut change = None;
        while let Some(ask) = self.asks.take_due(now) {
            self.was_used |= self.usable;
            match ask.counts {
                Verdict::Counts => change = self.miss(ask.at).or(change),
                Verdict::Extra | Verdict::Void => self.stats.counters.void += 1,
            }
        }
        if self.silent_due().is_some_and(|due| due <= now) {
            self.silent = true;
            self.quality.suspect(self.fresh_at, now);
        }
        change
    }

    fn miss(&mut self, asked_at: Micros) -> Option<bool> {
        self.stats.miss();
        self.hits_in_row = 0;
        // The peer has been heard since: the miss is a loss, and says nothing of now.
        if self.fresh_at.is_some_and(|at| asked_at < at) {
            return None;
        }
        if self.run.misses == 0 {
            self.run.since = asked_at;
        }
        self.run.misses = self.run.misses.saturating_add(1);
        self.run.since_stall = self.run.since_stall.saturating_add(1);
        let falls = self.level != Level::Down && self.run.misses >= self.options.fall;
        if falls {
            self.level = Level::Down;
        }
        falls.then_some(false)
    }

    /// When the path becomes silent, if n misses say so: an ask that went out late must not make the run shorter than the lease counts on.
    fn silent_due(&self) -> Option<Micros> {
        let is_due = !self.silent && self.run.misses >= self.options.missed_limit;
        is_due.then(|| self.run.since + self.shortest_run())
    }

    /// This node was off the CPU until now: it asks anew, and takes nothing from asks whose ack was due meanwhile. After a `long` stall
    /// the misses from before count no more.
    pub(super) fn stalled(&mut self, now: Micros, long: bool, next_ask: Micros) {
        self.asks.void_due(now);
        self.run.since_stall = 0;
        if long && !self.silent {
            self.run = Run::default();
        }
        self.next_ask = next_ask;
    }

    /// From here on only misses of asks that are sent from now on prove silence.
    pub(super) fn forget_misses(&mut self) {
        self.run.since_stall = 0;
    }

    pub(super) fn is_due(&self, now: Micros) -> bool {
        self.next_ask <= now
    }

    /// Lets the ask that is due be the last, on the grid of intervals.
    pub(super) fn advance(&mut self, now: Micros) {
        let late = now.saturating_sub(self.next_ask);
        let intervals = late / self.options.interval_us + 1;
        self.next_ask += intervals * self.options.interval_us;
    }

    /// The stamp of an ask. One that is `extra` proves nothing by its miss: it did not wait for its interval.
    pub(super) fn ask(&mut self, extra: bool, now: Micros) -> Stamp {
        let sequence = self.log.next(now);
        let counts = if extra { Verdict::Extra } else { Verdict::Counts };
        if extra {
            self.extra_at = Some(now);
        }
        self.asks.push(sequence, now, now + self.options.ack_timeout_us, counts);
        self.stats.counters.asked += 1;
        let (echo_boot, echo, held) = self.heard.map_or((0, 0, 0), |heard| {
            let units = (now - heard.at) / HELD_UNIT_US;
            (heard.boot, heard.sequence, u8::try_from(units).unwrap_or(u8::MAX))
        });
        Stamp { sequence, echo_boot, echo, held }
    }

    /// The stamp of the ack of an ask that has just come in; `None` where too many unproven ones did.
    pub(super) fn ack(&mut self, ask: &Frame, is_proven: bool, now: Micros) -> Option<Stamp> {
        if !is_proven && self.log.has_sent_since(MAX_UNPROVEN_ACKS, now.saturating_sub(self.window())) {
            self.stats.counters.unanswered += 1;
            return None;
        }
        Some(Stamp { sequence: self.log.next(now), echo_boot: ask.boot, echo: ask.sequence, held: 0 })
    }

    /// Whether an ask may go out of turn: one in half an interval, so that a serial line is not overfull.
    pub(super) fn may_ask_extra(&self, now: Micros) -> bool {
        self.extra_at.is_none_or(|at| now - at >= self.options.interval_us / 2)
    }

    /// The number of the last frame that was sent.
    pub(super) fn last_sequence(&self) -> u32 {
        self.log.last()
    }

    /// When [`Self::settle`] or an ask is due.
    pub(super) fn next_wake(&self) -> Micros {
        let settle = self.asks.next_due().into_iter().chain(self.silent_due()).min();
        settle.map_or(self.next_ask, |due| due.min(self.next_ask))
    }

    pub(super) fn view(&self, now: Micros) -> PathView {
        PathView {
            id: self.id,
            kind: self.options.kind,
            interval_us: self.options.interval_us,
            usable: self.usable,
            level: self.level,
            silent: self.silent,
            rtt: self.stats.rtt,
            loss_permille: self.stats.loss_permille(),
            run: self.run.misses,
            heard_us: self.fresh_at.map(|at| now.saturating_sub(at)),
            counters: self.stats.counters,
            quality: self.quality.view(now),
        }
    }
}

/// By RFC 1982: whether `a` comes after `b` where numbers wrap.
pub(super) fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}
