//! Who serves: what follows from all that is known, in each state.

use super::{Node, role_word};
use crate::pair::{Action, Micros, Role, State, detector::Path, failover::Cause, peer::Word, sync::Sync};

/// Most transitions of one input.
const MAX_TURNS: usize = 8;

impl Node {
    /// Does what follows, until nothing more does.
    pub(super) fn decide(&mut self, now: Micros) {
        for _ in 0..MAX_TURNS {
            let turned = match self.state {
                State::Starting => self.while_starting(now),
                State::Standby => self.while_standby(now),
                State::TakingOver => self.while_taking_over(now),
                State::Active => self.while_active(now),
                State::Yielding => self.while_yielding(now),
                State::Fenced => {
                    self.forbids().is_none() && self.turn(Cause::Allowed, "nothing forbids it any more", now)
                }
            };
            if !turned {
                break;
            }
        }
        self.finish_orders(now);
    }

    fn while_starting(&mut self, now: Micros) -> bool {
        if let Some(reason) = self.forbids() {
            return self.turn(Cause::Forbidden, &reason, now);
        }
        if self.is_stopping() {
            return self.turn(Cause::Stopped, "the daemon ends", now);
        }
        if self.peer.live().is_some_and(|word| word.claims()) {
            return self.turn(Cause::PeerServes, "the peer serves", now);
        }
        if self.is_chosen() {
            return self.claim(Cause::Chosen, "neither node serves, and this one is the better", now);
        }
        if self.deadline.is_some_and(|deadline| now < deadline) {
            return false;
        }
        let is_deaf = !self.paths.iter().any(Path::was_used);
        let reason = if is_deaf {
            "no path to the peer can be used: this node cannot know whether it is alone"
        } else {
            "it has waited for its peer"
        };
        self.take_over_of_need(now) || self.turn(Cause::Waited, reason, now)
    }

    fn while_standby(&mut self, now: Micros) -> bool {
        if let Some(reason) = self.forbids() {
            return self.turn(Cause::Forbidden, &reason, now);
        }
        if self.take_over_of_need(now) {
            return true;
        }
        if self.is_offered() {
            return self.claim(Cause::Offered, "the active node offers the VIPs", now);
        }
        if self.is_chosen() {
            return self.claim(Cause::Chosen, "neither node serves, and this one is the better", now);
        }
        self.prefer_itself(now);
        false
    }

    fn while_taking_over(&mut self, now: Micros) -> bool {
        if self.keeper.is_serving() {
            return self.while_acquiring(now);
        }
        if let Some(reason) = self.forbids() {
            return self.turn(Cause::Forbidden, &reason, now);
        }
        if !self.is_able() {
            return self.turn(Cause::Withdrawn, "it is no longer able to serve", now);
        }
        if self.is_peer_gone() && now >= self.peer.not_gone_before() {
            self.peer.quality.take_over();
            self.serve(true, now);
            return true;
        }
        if self.peer.live().is_some_and(|word| !word.claims() && word.epoch >= self.epoch) {
            self.serve(false, now);
            return true;
        }
        self.deadline.is_some_and(|deadline| now >= deadline)
            && self.turn(Cause::Withdrawn, "the peer did not consent in time", now)
    }

    fn while_acquiring(&mut self, now: Micros) -> bool {
        if self.forbidden.is_some() {
            // By what says the line that follows, when it is fenced.
            return self.give_way(Cause::Relinquished, "it is forbidden to serve", false, now);
        }
        if self.is_stopping() {
            return self.give_way(Cause::Relinquished, "the daemon ends", false, now);
        }
        self.acquiring == 0 && self.turn(Cause::Acquired, "it has the VIPs", now)
    }

    fn while_yielding(&mut self, now: Micros) -> bool {
        let is_drained = self.deadline.is_none_or(|deadline| now >= deadline) || self.is_peer_gone();
        if is_drained {
            self.fall_silent();
            self.turn(Cause::Drained, "it has forwarded what still came", now);
        }
        is_drained
    }

    /// Takes over from a dead peer, where this node may.
    fn take_over_of_need(&mut self, now: Micros) -> bool {
        if !self.is_peer_gone() || !self.is_able() || now < self.peer.not_gone_before() {
            return false;
        }
        self.epoch = self.next_claim();
        self.peer.quality.take_over();
        self.paths.iter_mut().for_each(|path| path.quality.take_over());
        self.serve(true, now);
        self.turn(Cause::PeerDead, "the peer is silent on all paths", now)
    }

    /// Claims the VIPs from a peer that lives: it serves when the peer consents.
    fn claim(&mut self, cause: Cause, reason: &str, now: Micros) -> bool {
        self.epoch = self.next_claim();
        self.reserve_ahead();
        self.turn(cause, reason, now)
    }

    fn serve(&mut self, fence: bool, now: Micros) {
        self.keeper.serve(self.lease_length(now), now);
        self.actions.push_back(Action::Lease);
        self.acquire(fence);
        self.reserve_ahead();
        self.speech.at_once = true;
    }

    pub(super) fn acquire(&mut self, fence: bool) {
        self.acquiring += 1;
        self.actions.push_back(Action::Acquire { epoch: self.epoch, fence });
    }

    /// Gives the VIPs up, and forwards for a moment what still comes if somebody takes them.
    pub(super) fn give_way(&mut self, cause: Cause, reason: &str, drains: bool, now: Micros) -> bool {
        let drain = if drains { self.options.drain_us } else { 0 };
        self.keeper.drain(drain, now);
        self.actions.extend([Action::Lease, Action::Release]);
        self.acquires_when_confirmed = false;
        self.restart_is_off();
        self.was_claimed(now);
        let turned = self.turn(cause, reason, now);
        self.deadline = Some(now + drain);
        turned
    }

    fn fall_silent(&mut self) {
        self.keeper = super::Keeper::silent();
        self.actions.push_back(Action::Lease);
    }

    /// Goes on as active after a restart that was announced.
    pub(super) fn resume(&mut self, until: Micros, now: Micros) {
        self.keeper = super::Keeper::resumed(until, now);
        self.acquires_when_confirmed = true;
        self.actions.push_back(Action::Lease);
        self.turn(Cause::Resumed, "it is back within the time of its restart", now);
        self.paths.iter_mut().for_each(Path::forget_misses);
    }

    /// Whether this node is to serve, of two that do not.
    fn is_chosen(&self) -> bool {
        let Some(word) = self.peer.live() else { return false };
        let is_free = !word.claims() && word.epoch >= self.epoch;
        is_free && self.is_able() && (!word.is_able() || self.is_better_than(&word))
    }

    /// Of two able nodes the fitter one, then the one that knew the higher epoch when both started, then the primary.
    fn is_better_than(&self, word: &Word) -> bool {
        let known = match self.state {
            State::Starting => (self.first_epoch, self.peer.first_epoch.unwrap_or(word.epoch)),
            _ => (0, 0),
        };
        let mine = (self.fitness, known.0, self.options.role == Role::Primary);
        mine > (word.fitness, known.1, self.options.role != Role::Primary)
    }

    /// It may become active by itself.
    pub(super) fn is_able(&self) -> bool {
        self.fitness > 0 && !self.held && !self.is_stopping() && self.forbids().is_none()
    }

    /// Why this node must not become active at all. Two nodes of one role come first: of the other's VIPs it is only what follows.
    pub(super) fn forbids(&self) -> Option<String> {
        let same_role = || {
            let until = self.peer.has_same_role_until().filter(|until| self.now < *until);
            until.map(|_| {
                let role = role_word(self.options.role);
                format!("another node has the role {role}, too: give one of them the other role")
            })
        };
        same_role().or_else(|| self.forbidden.clone())
    }

    /// The peer is active and offers the VIPs, and this node may take them.
    fn is_offered(&self) -> bool {
        let Some(word) = self.peer.live() else { return false };
        let is_alike = match self.sync {
            Sync::VipsDiffer => false,
            Sync::InSync => true,
            Sync::Unknown | Sync::ServicesDiffer | Sync::SlotsDiffer | Sync::FlowsApart => word.flags.force,
        };
        word.state == State::Active && word.flags.offer && is_alike && self.is_able()
    }

    fn next_claim(&self) -> u32 {
        self.epoch.max(self.floor).saturating_add(1)
    }

    /// Has the next claim's epoch put on disk before it is needed.
    pub(super) fn reserve_ahead(&mut self) {
        let next = self.next_claim();
        if next > self.reserved {
            self.reserved = next;
            self.actions.push_back(Action::Reserve(next));
        }
    }
}
