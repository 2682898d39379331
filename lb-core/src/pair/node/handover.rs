//! Handovers: the active node offers, the standby claims, the active yields.

use super::{Node, Stop};
use crate::pair::{Answer, Fitness, Happening, Micros, Role, State, failover::Cause, peer::Word, sync::Sync};

/// A peer that is fitter by so much can serve clients that this node cannot: the VIPs move to it of need. A gateway that answers one node alone makes
/// as much.
pub const NEED: Fitness = 40;
/// How long it has to be so. What fails both nodes is seen by both within that time, and then nothing is gained.
const NEED_AFTER_US: Micros = 2_000_000;

/// A handover that this active node has begun, or has yielded for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    pub why: Why,
    /// Although the standby is not in sync.
    pub force: bool,
    /// By then the peer has to have claimed, and then to serve.
    pub until: Micros,
    /// The peer has claimed.
    pub is_claimed: bool,
}

/// Why the VIPs are to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Operator,
    Stop,
    Forbidden,
    /// This node cannot serve at all, and the peer can; or the peer reaches what this node does not.
    Unfit,
    /// The peer has been fitter for long enough.
    LessFit,
    /// The peer wants the VIPs.
    Wanted,
}

impl Why {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Operator => "an operator wants the VIPs to move",
            Self::Stop => "the daemon ends",
            Self::Forbidden => "this node must not serve any more",
            Self::Unfit => "the peer can serve, and this node cannot or not all",
            Self::LessFit => "the peer has been fitter for a while",
            Self::Wanted => "the peer wants the VIPs",
        }
    }
}

/// This standby would like the VIPs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub force: bool,
    pub until: Micros,
    /// Somebody waits for an answer; else it prefers itself.
    pub is_order: bool,
}

impl Node {
    pub(super) fn while_active(&mut self, now: Micros) -> bool {
        if let Some(errand) = self.errand {
            return self.pursue(errand, now);
        }
        if self.forbidden.is_some() {
            return self.begin(Why::Forbidden, true, now);
        }
        if self.is_stopping() {
            return self.begin(Why::Stop, true, now);
        }
        self.offer_without_need(now)
    }

    fn pursue(&mut self, errand: Errand, now: Micros) -> bool {
        // Sync is looked at when the offer is made; the standby looks again.
        if let Some(obstacle) = self.obstacle(true) {
            return self.abandon(errand.why, &obstacle, now);
        }
        now >= errand.until && self.abandon(errand.why, "the peer did not take the VIPs in time", now)
    }

    /// Offers where the peer is better or wants the VIPs.
    fn offer_without_need(&mut self, now: Micros) -> bool {
        let Some(word) = self.peer.live().filter(|word| word.is_able()) else {
            self.better_since = None;
            return false;
        };
        let is_fitter = word.fitness > self.fitness;
        self.better_since = if is_fitter { self.better_since.or(Some(now)) } else { None };
        if now < self.no_offer_before {
            return false;
        }
        let has_been_fitter = |delay: Micros| self.better_since.is_some_and(|since| now >= since + delay);
        let is_needed = word.fitness >= self.fitness.saturating_add(NEED)
            && has_been_fitter(NEED_AFTER_US.min(self.options.failback_delay_us));
        let is_due = has_been_fitter(self.options.failback_delay_us);
        if is_needed || self.fitness == 0 && is_fitter {
            self.begin(Why::Unfit, true, now)
        } else if word.flags.want {
            self.begin(Why::Wanted, word.flags.force, now)
        } else {
            // What it lacks, healthy reals say, makes its slots differ, too.
            is_due && self.obstacle(true).is_none() && self.begin(Why::LessFit, true, now)
        }
    }

    /// Offers the VIPs; where that cannot be, does what is left.
    pub(super) fn begin(&mut self, why: Why, force: bool, now: Micros) -> bool {
        if let Some(obstacle) = self.obstacle(force) {
            return self.abandon(why, &obstacle, now);
        }
        self.errand = Some(Errand { why, force, until: now + self.options.handover_timeout_us, is_claimed: false });
        self.speech.at_once = true;
        self.tell(Happening::Notice, format!("it offers the VIPs to the peer: {}", why.words()), now);
        false
    }

    /// The VIPs do not move. True where this node gives them up all the same.
    fn abandon(&mut self, why: Why, obstacle: &str, now: Micros) -> bool {
        self.errand = None;
        self.speech.at_once = true;
        match why {
            Why::Operator => self.answer(Answer::Refused(obstacle.to_owned())),
            Why::Stop | Why::Forbidden => {
                let reason = format!("{}, and {obstacle}", self.forbidden.as_deref().unwrap_or(why.words()));
                return self.give_way(Cause::Relinquished, &reason, false, now);
            }
            Why::Unfit | Why::LessFit | Why::Wanted => {
                self.no_offer_before = now + self.options.failback_delay_us;
                self.tell(Happening::Notice, format!("{}, but {obstacle}", why.words()), now);
            }
        }
        false
    }

    /// What keeps the VIPs from moving to the peer.
    fn obstacle(&self, force: bool) -> Option<String> {
        let Some(word) = self.peer.live() else { return Some("the peer is not heard".to_owned()) };
        self.unable_for(&word).or_else(|| self.unlike(force))
    }

    fn unable_for(&self, word: &Word) -> Option<String> {
        let why = match word {
            word if word.flags.unable || word.state == State::Fenced => "the peer is fenced, or its daemon ends",
            word if word.flags.held => "an operator holds the peer back",
            word if word.fitness == 0 => "the peer is not fit to serve",
            word if word.state == State::Active => "the peer is active, too",
            word if word.state == State::Starting => "the peer is still starting",
            _ => return None,
        };
        Some(why.to_owned())
    }

    fn unlike(&self, force: bool) -> Option<String> {
        match self.sync {
            Sync::InSync => None,
            Sync::VipsDiffer => Some(self.sync.reason().to_owned()),
            Sync::Unknown | Sync::ServicesDiffer | Sync::SlotsDiffer | Sync::FlowsApart => {
                (!force).then(|| format!("the standby is not in sync: {}", self.sync.reason()))
            }
        }
    }

    /// This node gives the VIPs up: an errand is now the peer's to finish.
    pub(super) fn was_claimed(&mut self, now: Micros) {
        if let Some(errand) = &mut self.errand {
            errand.is_claimed = true;
            errand.until = now + self.options.handover_timeout_us;
        }
    }

    /// An operator's wish on the standby.
    pub(super) fn want(&mut self, force: bool, now: Micros) -> Result<(), String> {
        let word = self.peer.live().ok_or("the peer is not heard")?;
        if word.state != State::Active {
            return Err("the peer is not active: there is nothing to take from it".to_owned());
        }
        if self.held {
            return Err("this node is held back: let go of the hold first".to_owned());
        }
        if !self.is_able() {
            return Err(format!("this node is not able to serve: {}", self.forbids().unwrap_or(self.lacks.clone())));
        }
        if let Some(obstacle) = self.unlike(force) {
            return Err(obstacle);
        }
        self.want = Some(Want { force, until: now + self.options.handover_timeout_us, is_order: true });
        self.speech.at_once = true;
        Ok(())
    }

    /// A primary that is standby wants the VIPs back when it has been able and in sync for long enough.
    pub(super) fn prefer_itself(&mut self, now: Micros) {
        let prefers = self.options.preempt && self.options.role == Role::Primary && self.is_able();
        let peer = self.peer.live().filter(|word| prefers && word.state == State::Active);
        if peer.is_none_or(|word| self.fitness < word.fitness) {
            self.better_since = None;
            return;
        }
        let since = *self.better_since.get_or_insert(now);
        let is_due = now >= since + self.options.failback_delay_us && now >= self.no_offer_before;
        if is_due && self.sync == Sync::InSync && self.want.is_none() {
            self.want = Some(Want { force: false, until: now + self.options.handover_timeout_us, is_order: false });
            self.speech.at_once = true;
        }
    }

    /// Sees what has come of handovers, wants and a stop.
    pub(super) fn finish_orders(&mut self, now: Micros) {
        self.finish_want(now);
        self.finish_errand(now);
        let is_out = matches!(self.state, State::Standby | State::Fenced) && self.errand.is_none();
        if self.stop == Stop::Asked && is_out {
            self.stop = Stop::Answered;
            self.speech.last_words = true;
            self.answer(Answer::Done);
        }
        self.give_up_restart(now);
    }

    fn finish_want(&mut self, now: Micros) {
        let Some(want) = self.want else { return };
        let is_served = self.state == State::Active;
        let is_over = now >= want.until || !matches!(self.state, State::Standby | State::TakingOver);
        if !is_served && !is_over {
            return;
        }
        self.want = None;
        self.speech.at_once = true;
        if want.is_order && is_served {
            self.answer(Answer::Done);
        } else if want.is_order {
            self.answer(Answer::Refused("the active node has not offered the VIPs in time: see its events".to_owned()));
        } else if !is_served {
            self.no_offer_before = now + self.options.failback_delay_us;
        }
    }

    /// The errand of a node that has yielded ends when the peer serves.
    fn finish_errand(&mut self, now: Micros) {
        let Some(errand) = self.errand.filter(|errand| errand.is_claimed) else { return };
        let is_served = self.peer.live().is_some_and(|word| word.state == State::Active);
        let is_back = matches!(self.state, State::TakingOver | State::Active);
        if !is_served && !is_back && now < errand.until {
            return;
        }
        self.errand = None;
        if errand.why == Why::Operator && is_served && !is_back {
            self.answer(Answer::Done);
        } else if errand.why == Why::Operator {
            let reason = "the peer has claimed the VIPs, and has not said since that it serves: see its events";
            self.answer(Answer::Refused(reason.to_owned()));
        }
    }
}
