//! Frames that go out.

use super::{MAX_ACTIONS, Node, hearing::Ask, time::Stall};
use crate::pair::{
    Action, Flags, Frame, Kind, Micros, PathKind, State,
    detector::{Path, Stamp},
    peer::LEASE_UNIT_US,
    sync::Sync,
};

/// Facts go out on a UDP path this often.
const FACTS_US: Micros = 1_000_000;
/// And on a serial line, while no UDP path is heard.
const SERIAL_FACTS_US: Micros = 5_000_000;

/// What is to be said, and what has been.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Something has changed that the peer should know: ask on all paths, out of turn.
    pub at_once: bool,
    /// The daemon may end now: the peer is to hear that, however lately it was told something else.
    pub last_words: bool,
    /// An event about a stall went out.
    pub last_stall_event: Option<Micros>,
    /// The last stall that the peer may have noticed.
    pub untold_stall: Option<Stall>,
    /// It was told that the peers' paces differ.
    pub told_pace: bool,
    /// It was told that another node has the same role.
    pub told_same_role: bool,
    /// Grows with each change of this node's facts.
    pub facts_version: u64,
}

impl Node {
    /// Asks where it is time to, and everywhere when something has changed.
    pub(super) fn speak(&mut self, now: Micros) {
        let at_once = std::mem::take(&mut self.speech.at_once);
        let last_words = std::mem::take(&mut self.speech.last_words);
        let hears_udp = self.paths.iter().any(|path| path.options.kind == PathKind::Udp && !path.is_silent());
        for id in 0..self.paths.len() {
            let facts_due = self.has_facts_due(&self.paths[id], hears_udp, now);
            if self.paths[id].is_due(now) {
                self.paths[id].advance(now);
                if facts_due || self.asks_on(&self.paths[id], now) {
                    self.ask(id, facts_due, false, now);
                    continue;
                }
            }
            if last_words || (at_once && self.paths[id].may_ask_extra(now)) {
                self.ask(id, false, true, now);
            }
        }
    }

    /// A node asks, unless it is active and is asked itself. A peer that was last heard to claim has to hear of this node's claim again and
    /// again: one frame may be lost.
    fn asks_on(&self, path: &Path, now: Micros) -> bool {
        let is_asked = path.fresh_ask_at().is_some_and(|at| now - at < path.quiet_after());
        let is_contested = self.peer.word.is_some_and(|word| word.claims());
        self.state != State::Active || !is_asked || is_contested || self.keeper.reconfirming_since().is_some()
    }

    fn has_facts_due(&self, path: &Path, hears_udp: bool, now: Micros) -> bool {
        let (may, every) = match path.options.kind {
            PathKind::Udp => (true, FACTS_US),
            PathKind::Serial => (!hears_udp, SERIAL_FACTS_US),
        };
        let is_news = path.options.kind == PathKind::Udp && path.facts_version != self.speech.facts_version;
        self.facts.is_some() && may && (is_news || path.facts_at.is_none_or(|at| now - at >= every))
    }

    fn ask(&mut self, id: usize, with_facts: bool, extra: bool, now: Micros) {
        let kind = match self.facts {
            Some(facts) if with_facts => Kind::Facts(facts),
            _ => Kind::Ask,
        };
        let path = &mut self.paths[id];
        if with_facts {
            path.facts_at = Some(now);
            path.facts_version = self.speech.facts_version;
        }
        let stamp = path.ask(extra, now);
        self.send(id, kind, stamp, now);
    }

    /// Answers an ask, with what has come of it.
    pub(super) fn ack(&mut self, ask: &Ask, now: Micros) {
        if let Some(stamp) = self.paths[ask.path].ack(&ask.frame, ask.is_proven, now) {
            self.send(ask.path, Kind::Ack, stamp, now);
        }
    }

    fn send(&mut self, id: usize, kind: Kind, stamp: Stamp, now: Micros) {
        if !self.paths[id].usable || self.actions.len() >= MAX_ACTIONS {
            return;
        }
        self.paths[id].stats.counters.sent += 1;
        let frame = Frame {
            kind,
            from: self.options.role,
            boot: self.options.boot,
            sequence: stamp.sequence,
            echo_boot: stamp.echo_boot,
            echo: stamp.echo,
            held: stamp.held,
            epoch: self.epoch,
            state: self.state,
            flags: self.flags(),
            fitness: self.fitness,
            lease: self.announced_lease(now),
        };
        self.actions.push_back(Action::Send { path: self.paths[id].id, frame });
    }

    fn flags(&self) -> Flags {
        let (errand, want) = (self.errand.as_ref(), self.want.as_ref());
        Flags {
            offer: self.state == State::Active && errand.is_some(),
            want: self.state == State::Standby && want.is_some(),
            force: errand.map_or(want.is_some_and(|want| want.force), |errand| errand.force),
            held: self.held,
            in_sync: self.sync == Sync::InSync,
            unable: self.forbidden.is_some() || self.state == State::Fenced || self.is_stopping(),
        }
    }

    /// For how long this node may serve on if it falls silent now, rounded up.
    fn announced_lease(&self, now: Micros) -> u16 {
        if !self.keeper.is_serving() {
            return 0;
        }
        let announced = self.restart.as_ref().map_or(0, |restart| restart.grace_us);
        let units = self.keeper.remaining(now).max(announced).div_ceil(LEASE_UNIT_US);
        u16::try_from(units).unwrap_or(u16::MAX)
    }
}
