//! Time: stalls, the lease, and when to be woken.

use super::Node;
use crate::pair::{Action, Happening, Micros, Peer, detector::Path, peer::Known};

/// A node that is woken later than this was off the CPU, on paths with short intervals.
const MIN_STALL_US: Micros = 2_000;
/// The lease is renewed so many times before it would end.
const RENEWALS: Micros = 4;
/// At least so long between two renewals.
const MIN_RENEWAL_US: Micros = 500;
/// At least so long between two events about stalls, but for one that has made the peer take over.
const STALL_EVENTS_US: Micros = 1_000_000;

/// This node was off the CPU, and has not told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    until: Micros,
    late: Micros,
}

impl Node {
    /// Sees whether this node was off the CPU until now: then it knows nothing of the time in between, and must not take the silence of that time
    /// for its peer's. It last looked at the time at `looked_at`.
    pub(super) fn notice_stall(&mut self, looked_at: Micros, now: Micros) {
        let late = now.saturating_sub(self.wake_at);
        if late <= (self.shortest_interval() / 2).max(MIN_STALL_US) {
            return;
        }
        self.stalls.count += 1;
        self.stalls.total_us += late;
        self.stalls.longest_us = self.stalls.longest_us.max(late);
        self.recover(late, now);
        // It was silent for longer than it was late: it slept before.
        if now - looked_at >= self.shortest_silence() {
            self.speech.untold_stall = Some(Stall { until: now, late });
            if self.speech.last_stall_event.is_none_or(|at| now - at >= STALL_EVENTS_US) {
                self.tell_stall(now);
            }
        }
        // The frames that wait to be read belong to the same stall.
        self.wake_at = now;
    }

    fn recover(&mut self, late: Micros, now: Micros) {
        let is_long = late >= self.shortest_death();
        let slowest = self.slowest_ack();
        let was_gone = self.peer.is_dead() && self.is_silent_since_stall();
        for path in &mut self.paths {
            path.stalled(now, is_long, now + slowest - path.options.ack_timeout_us);
        }
        if is_long {
            // By then the first asks have come to the peer, if it lives: it shortens its lease. One that was gone before has not lengthened it
            // meanwhile: so a node that stalls again and again takes over all the same.
            let until = if was_gone { 0 } else { now + 2 * slowest + self.long_lease() };
            self.peer.stalled(until, now);
        }
        if self.keeper.stalled(now) {
            self.speech.at_once = true;
        }
    }

    /// Tells of the last stall, if it has not been told and the peer may have noticed it just now.
    pub(super) fn tell_stall(&mut self, now: Micros) {
        let Some(Stall { until, late }) = self.speech.untold_stall.take() else { return };
        if now - until > self.window() {
            return;
        }
        self.speech.last_stall_event = Some(until);
        let reason = format!("this node was off the CPU for {} ms", late / 1_000);
        self.tell(Happening::Stalled { for_us: late }, reason, until);
    }

    /// (n-1) Tb: a shorter silence of this node is never n misses for its peer.
    fn shortest_silence(&self) -> Micros {
        let silences = self.paths.iter().map(|path| path.quiet_after() - path.options.interval_us);
        silences.max().unwrap_or(0)
    }

    /// After how long without a sign of life the peer may call this node dead.
    fn shortest_death(&self) -> Micros {
        self.paths.iter().map(|path| path.window() - path.options.interval_us).max().unwrap_or(0)
    }

    /// Asks whose time is over are decided.
    pub(super) fn settle(&mut self, now: Micros) {
        for id in 0..self.paths.len() {
            if let Some(up) = self.paths[id].settle(now) {
                self.tell_path(id, up, now);
            }
        }
        self.judge_peer(false, now);
        if self.may_confirm_alone(now) {
            self.confirm(now);
        }
    }

    /// Whether the lease may run again without a word of the peer.
    fn may_confirm_alone(&self, now: Micros) -> bool {
        let is_dead_since = self.peer.is_dead() && self.is_silent_since_stall();
        match self.keeper.reconfirming_since() {
            Some(_) => is_dead_since || self.still_alone_at().is_some_and(|at| now >= at && self.is_alone(now)),
            None => false,
        }
    }

    /// When a node that was alone before it was off the CPU knows that it still is, where its lease runs until then: what a peer has sent that
    /// started meanwhile has come by then, and such a peer waits for longer than the long lease.
    fn still_alone_at(&self) -> Option<Micros> {
        let at = self.keeper.reconfirming_since()? + self.slowest_ack();
        (at < self.keeper.lease().until).then_some(at)
    }

    fn is_silent_since_stall(&self) -> bool {
        self.paths.iter().all(Path::is_silent_since_stall)
    }

    /// The peer is dead, and that is no old verdict.
    pub(super) fn is_peer_gone(&self) -> bool {
        self.peer.is_dead() && (!self.peer.is_doubtful || self.is_silent_since_stall())
    }

    /// What has called the peer dead says nothing any more.
    pub(super) fn doubt_death(&mut self) {
        self.peer.is_doubtful = true;
        self.paths.iter_mut().for_each(Path::forget_misses);
    }

    pub(super) fn tell_path(&mut self, id: usize, up: bool, now: Micros) {
        let path = &self.paths[id];
        let (n, what) = if up { (path.options.rise, "acks") } else { (path.options.fall, "misses") };
        let reason = format!("{n} {what} in a row");
        self.tell(Happening::Path { path: path.id, up }, reason, now);
    }

    /// Puts together what the paths say of the peer.
    pub(super) fn judge_peer(&mut self, is_new_start: bool, now: Micros) {
        let (was, is) = (self.peer.health, Known::judge(&self.paths));
        if was == is {
            return;
        }
        self.peer.health = is;
        if is == Peer::Dead {
            self.peer.quality.suspect(self.peer.fresh_at, now);
        } else if was == Peer::Dead {
            self.peer.quality.trust(is_new_start, now);
        }
        let silent = self.paths.iter().filter(|path| path.is_silent()).map(|path| path.id.to_string());
        let silent: Vec<String> = silent.collect();
        let reason = match is {
            Peer::Alive => "heard on all paths".to_owned(),
            Peer::Dead => "silent on all paths".to_owned(),
            Peer::Degraded if silent.is_empty() => "not all paths can be used".to_owned(),
            Peer::Degraded | Peer::Unknown => format!("silent on path {}", silent.join(", ")),
        };
        self.tell(Happening::Peer(is), reason, now);
    }

    /// Renews the lease, unless this node has reason to ask first.
    pub(super) fn renew(&mut self, now: Micros) {
        let until = self.keeper.lease().until;
        if self.keeper.renew(self.lease_length(now), now) {
            self.restart = None;
            self.speech.at_once = true;
            self.paths.iter_mut().for_each(Path::forget_misses);
        }
        if self.keeper.lease().until < until {
            self.actions.push_back(Action::Lease);
        }
    }

    /// The peer is known not to serve: the lease runs again.
    pub(super) fn confirm(&mut self, now: Micros) {
        self.keeper.confirm(self.lease_length(now), now);
        self.actions.push_back(Action::Lease);
        if std::mem::take(&mut self.acquires_when_confirmed) {
            self.acquire(false);
        }
    }

    /// The lease is long as long as nothing at all is heard of a dead peer, or of a start after the one that has left. Its first frame shortens it,
    /// before it is answered.
    pub(super) fn lease_length(&self, now: Micros) -> Micros {
        if self.is_alone(now) { self.long_lease() } else { self.options.lease_us }
    }

    /// The peer has left, or is dead and nothing at all is heard of it.
    pub(super) fn is_alone(&self, now: Micros) -> bool {
        self.peer.has_left() || (self.peer.is_dead() && !self.paths.iter().any(|path| path.hears(now)))
    }

    /// When something is due next.
    pub(super) fn plan(&self, now: Micros) -> Micros {
        let renewal = self.keeper.is_serving().then(|| now + (self.lease_length(now) / RENEWALS).max(MIN_RENEWAL_US));
        let better = self.better_since.map(|since| (since + self.options.failback_delay_us).max(self.no_offer_before));
        let times = [
            renewal,
            better,
            self.still_alone_at().filter(|_| self.is_alone(now)),
            self.deadline,
            Some(self.peer.not_gone_before()),
            self.errand.as_ref().map(|errand| errand.until),
            self.want.as_ref().map(|want| want.until),
            self.restart.as_ref().map(|restart| restart.until),
            self.peer.has_same_role_until(),
        ];
        // What is past here has been looked at; only what paths wait for is left to a wake.
        let later = times.into_iter().flatten().filter(|at| *at > now);
        let paths = self.paths.iter().map(|path| path.next_wake().max(now));
        later.chain(paths).min().unwrap_or(now + MIN_STALL_US)
    }
}
