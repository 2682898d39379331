//! What the daemon and operators say: fitness, facts, holds, stops, restarts.

use super::{MAX_GRACE_US, Node, Stop, handover::Why, index};
use crate::pair::{Action, Answer, Frame, Happening, Input, MAX_PATHS, Micros, State};

/// A restart that is announced, and not confirmed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    pub grace_us: Micros,
    /// By then the peer has to have heard of it.
    pub until: Micros,
    /// Frames after these, by path, announce it.
    announced_after: [u32; MAX_PATHS],
    /// When the last fresh frame came in, by path: what is sent soon after it is believed.
    fresh_at: [Option<Micros>; MAX_PATHS],
}

impl Node {
    pub(super) fn obey(&mut self, order: Input, now: Micros) {
        match order {
            Input::Wake | Input::Frame { .. } => {}
            Input::Device { path, usable } => self.use_device(index(path), usable, now),
            Input::Fitness { fitness, reason } => self.be_fit(fitness, reason),
            Input::Facts(facts) => {
                self.speech.facts_version += u64::from(self.facts != Some(facts));
                self.facts = Some(facts);
                self.compare(now);
            }
            Input::Remembers(remembers) => {
                self.remembers = remembers;
                self.compare(now);
            }
            Input::Carried(carried) => {
                self.carried = carried;
                self.compare(now);
            }
            Input::Reserved(epoch) => self.reserved = self.reserved.max(epoch),
            Input::Acquired(result) => self.acquired(result, now),
            Input::Forbid(reason) => {
                self.speech.at_once |= self.forbidden != reason;
                self.forbidden = reason;
            }
            Input::Handover { force } => self.hand_over(force, now),
            Input::Hold(held) => {
                self.speech.at_once |= self.held != held;
                self.held = held;
            }
            Input::Stop => self.end(),
            Input::Restart { grace_us } => self.announce_restart(grace_us, now),
            Input::SameRole { boot } if boot != self.options.boot => {
                self.peer.hear_same_role(now);
                self.tell_same_role(now);
            }
            Input::SameRole { .. } => {}
        }
    }

    fn use_device(&mut self, id: usize, usable: bool, now: Micros) {
        if let Some(path) = self.paths.get_mut(id) {
            path.usable = usable;
        }
        self.judge_peer(false, now);
    }

    fn be_fit(&mut self, fitness: u8, lacks: String) {
        self.speech.at_once |= self.fitness != fitness;
        self.fitness = fitness.min(crate::pair::FULLY_FIT);
        self.lacks = lacks;
    }

    fn acquired(&mut self, result: Result<(), String>, now: Micros) {
        self.acquiring = self.acquiring.saturating_sub(1);
        // What forbids it to serve has been told, or is about to be.
        if let Err(what) = result
            && self.forbidden.as_ref() != Some(&what)
        {
            self.tell(Happening::Notice, format!("the takeover is not complete: {what}"), now);
        }
    }

    fn hand_over(&mut self, force: bool, now: Micros) {
        let refusal = match self.state {
            _ if self.errand.is_some() || self.want.is_some() => Some("a handover is under way".to_owned()),
            _ if self.is_stopping() => Some("the daemon ends".to_owned()),
            State::Active => {
                self.begin(Why::Operator, force, now);
                None
            }
            State::Standby => self.want(force, now).err(),
            State::Starting => Some(neither("starting")),
            State::TakingOver => Some(neither("taking-over")),
            State::Yielding => Some(neither("yielding")),
            State::Fenced => Some(neither("fenced")),
        };
        if let Some(refusal) = refusal {
            self.answer(Answer::Refused(refusal));
        }
    }

    fn end(&mut self) {
        if self.is_stopping() {
            return;
        }
        self.stop = Stop::Asked;
        self.speech.at_once = true;
        let waits = self.errand.is_some_and(|errand| errand.why == Why::Operator)
            || self.want.is_some_and(|want| want.is_order)
            || self.restart.is_some();
        if waits {
            self.answer(Answer::Refused("the daemon ends".to_owned()));
        }
        self.want = None;
        self.restart_is_off();
        // What has been offered already goes on, for the stop's sake.
        if let Some(errand) = &mut self.errand {
            errand.why = Why::Stop;
        }
    }

    /// Another node has this node's role. One that is not active keeps out, and says so by that; an active one goes on.
    fn tell_same_role(&mut self, now: Micros) {
        let was_told = std::mem::replace(&mut self.speech.told_same_role, self.peer.has_same_role_until().is_some());
        let is_told = was_told || matches!(self.state, State::Starting | State::Standby);
        if let Some(reason) = self.forbids().filter(|_| !is_told && self.speech.told_same_role) {
            self.tell(Happening::Notice, reason, now);
        }
    }

    fn announce_restart(&mut self, grace_us: Micros, now: Micros) {
        if self.state != State::Active {
            self.answer(Answer::Done);
            return;
        }
        if self.restart.is_some() || self.errand.is_some() || self.keeper.reconfirming_since().is_some() {
            let reason = "a restart or a handover is under way, or the lease has ended: try again";
            self.answer(Answer::Refused(reason.to_owned()));
            return;
        }
        if grace_us > MAX_GRACE_US {
            let reason = format!("a grace of {} ms is too long: at most {}", grace_us / 1_000, MAX_GRACE_US / 1_000);
            self.answer(Answer::Refused(reason));
            return;
        }
        if self.is_alone(now) {
            // Nobody can be asked. A peer that starts meanwhile waits for longer than that.
            return self.end_lease_at(now + grace_us.min(self.long_lease()), now);
        }
        let (mut announced_after, mut fresh_at) = ([0; MAX_PATHS], [None; MAX_PATHS]);
        for (id, path) in self.paths.iter().enumerate() {
            announced_after[id] = path.last_sequence();
            fresh_at[id] = path.fresh_at();
        }
        let until = now + self.options.handover_timeout_us;
        self.restart = Some(Restart { grace_us, until, announced_after, fresh_at });
        self.speech.at_once = true;
    }

    /// The peer has said, by echoing one, that it has heard a frame that announces the restart. It echoes frames that prove nothing to it, too, and
    /// does not believe what they announce: so one counts only that was sent soon after a fresh frame had come in.
    pub(super) fn finish_restart(&mut self, id: usize, frame: &Frame, echoed_at: Micros, now: Micros) {
        let Some(restart) = &mut self.restart else { return };
        let interval = self.paths[id].options.interval_us;
        let fresh_at = restart.fresh_at[id].replace(now);
        let is_believed = fresh_at.is_some_and(|at| at <= echoed_at && echoed_at <= at + interval);
        let restart = *restart;
        let has_heard = is_believed && crate::pair::detector::is_after(frame.echo, restart.announced_after[id]);
        if has_heard && self.state == State::Active && self.keeper.reconfirming_since().is_none() {
            self.end_lease_at(echoed_at + restart.grace_us, now);
        }
    }

    fn end_lease_at(&mut self, until: Micros, now: Micros) {
        self.restart = None;
        self.keeper.end_at(until);
        let reason = format!("the daemon restarts: its lease runs for {} ms more", until.saturating_sub(now) / 1_000);
        self.tell(Happening::Notice, reason, now);
        self.actions.push_back(Action::Lease);
        self.answer(Answer::Done);
    }

    pub(super) fn give_up_restart(&mut self, now: Micros) {
        if self.restart.is_some_and(|restart| now >= restart.until) {
            self.restart = None;
            self.answer(Answer::Refused("the peer has not confirmed the restart in time".to_owned()));
        }
    }

    /// A restart that is still to be confirmed will not be.
    pub(super) fn restart_is_off(&mut self) {
        if self.restart.take().is_some() && self.stop == Stop::No {
            self.answer(Answer::Refused("this node is no longer active".to_owned()));
        }
    }
}

fn neither(state: &str) -> String {
    format!("this node is neither active nor standby, but {state}")
}
