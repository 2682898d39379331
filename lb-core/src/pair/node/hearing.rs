//! Frames that come in: what they prove, what they claim, and what they say of the peer.

use super::{Node, index};
use crate::pair::{
    Frame, Happening, Kind, Micros, PathId, Role, State, detector::Worth, failover::Cause, peer::claims, sync::Sync,
};

/// An ask that wants its ack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub path: usize,
    pub frame: Frame,
    pub is_proven: bool,
}

impl Node {
    /// Takes in an authentic frame; gives back the ask that has to be acked when all that follows from it is done.
    pub(super) fn hear(&mut self, path: PathId, frame: &Frame, now: Micros) -> Option<Ask> {
        let id = index(path);
        let (worth, went_up) = self.paths.get_mut(id)?.hear(frame, self.options.boot, now);
        if worth == Worth::Replayed {
            return None;
        }
        self.peer.hear_start(frame.boot);
        if let Some(up) = went_up {
            self.tell_path(id, up, now);
        }
        if self.state == State::Starting && self.peer.first_epoch.is_none() {
            self.peer.first_epoch = Some(frame.epoch);
        }
        self.meet(frame, worth, now);
        if let Worth::Fresh { echoed_at, said_at } = worth {
            self.learn(frame, echoed_at, said_at, now);
            self.finish_restart(id, frame, echoed_at, now);
        } else if claims(frame.state) && frame.epoch >= self.epoch {
            self.give_time(id, now);
        }
        (frame.kind != Kind::Ack).then_some(Ask { path: id, frame: *frame, is_proven: worth != Worth::Unproven })
    }

    /// The peer claims and proves nothing: it is asked, and has the time to answer before it is called dead. Not for ever, since a third host could
    /// send frames that it held back.
    fn give_time(&mut self, id: usize, now: Micros) {
        let known = self.peer.lease_until().max(self.since);
        let patience = self.options.failback_delay_us.max(2 * self.window());
        if now < known + patience {
            self.peer.may_prove_until(now + self.paths[id].window());
            self.speech.at_once |= self.peer.live().is_none() && !self.keeper.is_serving();
        }
    }

    /// Compares claims, and takes over the higher epoch.
    fn meet(&mut self, frame: &Frame, worth: Worth, now: Micros) {
        let is_winning = self.is_winning(frame, worth);
        self.epoch = self.epoch.max(frame.epoch);
        self.reserve_ahead();
        if !claims(frame.state) || !claims(self.state) {
            return;
        }
        if !is_winning {
            // It has to hear of this node's claim soon.
            self.speech.at_once = true;
            return;
        }
        self.doubt_death();
        self.tell_stall(now);
        if self.keeper.is_serving() {
            let reason = format!("the peer claims the VIPs with epoch {}", frame.epoch);
            // After a takeover of need nobody would miss what this node forwards.
            let has_offered = self.errand.is_some();
            self.give_way(Cause::Outclaimed, &reason, has_offered, now);
        } else {
            self.turn(Cause::Conceded, "the peer's claim wins", now);
        }
    }

    /// Whether a frame's claim beats this node's. Of equal epochs the primary's wins, unless the frame has been overtaken by newer ones.
    fn is_winning(&self, frame: &Frame, worth: Worth) -> bool {
        if frame.epoch != self.epoch || self.options.role == Role::Primary {
            return frame.epoch > self.epoch;
        }
        match (worth, self.peer.live()) {
            (_, None) => true,
            (Worth::Fresh { said_at, .. }, Some(word)) => said_at >= word.said_at,
            // What the peer has proved to have said before it had heard of this epoch is older than the claim.
            (Worth::Unproven, Some(word)) => frame.epoch > word.epoch,
            (Worth::Replayed, Some(_)) => false,
        }
    }

    /// Learns from a fresh frame.
    fn learn(&mut self, frame: &Frame, echoed_at: Micros, said_at: Micros, now: Micros) {
        let is_new_start = self.peer.word.is_some_and(|word| word.boot != frame.boot);
        self.peer.hear(frame, echoed_at, said_at, self.window(), now);
        self.judge_peer(is_new_start, now);
        if let Kind::Facts(facts) = frame.kind {
            self.peer.facts = Some(facts);
            self.compare(now);
        }
        let is_asked_for = self.keeper.reconfirming_since().is_some_and(|since| echoed_at >= since);
        if is_asked_for && !claims(frame.state) {
            self.confirm(now);
        }
    }

    /// Compares both nodes' facts, and tells what an operator has to mend.
    pub(super) fn compare(&mut self, now: Micros) {
        let is = Sync::of(self.facts.as_ref(), self.peer.facts.as_ref(), self.remembers, self.carried);
        let was = std::mem::replace(&mut self.sync, is);
        if was != is && matches!(is, Sync::VipsDiffer | Sync::ServicesDiffer) {
            self.tell(Happening::Notice, is.reason().to_owned(), now);
        }
        let (Some(mine), Some(theirs)) = (self.facts, self.peer.facts) else { return };
        let differs = (mine.interval_us, mine.missed_limit) != (theirs.interval_us, theirs.missed_limit);
        if differs && !std::mem::replace(&mut self.speech.told_pace, differs) {
            let reason = format!(
                "the peer has heartbeat_interval {} us and missed_limit {}, this node {} us and {}: make them alike",
                theirs.interval_us, theirs.missed_limit, mine.interval_us, mine.missed_limit
            );
            self.tell(Happening::Notice, reason, now);
        }
        self.speech.told_pace &= differs;
    }
}
