//! The follower, as the owner sees it.

use super::Progress;
use crate::checkpoint::Sequence;

/// A follower's coming. What it says counts until another one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit(u64);

/// Who follows, and how far it has got.
#[derive(Debug)]
pub(super) struct Follower {
    visit: Visit,
    presence: Presence,
    applied: Sequence,
    durable: Option<Sequence>,
    /// It did not apply a change in time, and has not caught up since.
    pub(super) is_late: bool,
}

#[derive(Debug)]
enum Presence {
    /// Nobody follows, and why.
    Absent(String),
    /// It is being told everything.
    Refilling(Progress),
    /// It has everything up to where it has applied it.
    Whole,
}

impl Follower {
    pub(super) fn absent(why: &str) -> Self {
        Self { visit: Visit(0), presence: Presence::Absent(why.to_owned()), applied: 0, durable: None, is_late: false }
    }

    /// One comes that has everything up to this batch.
    pub(super) fn resumes(&mut self, applied: Sequence) -> Visit {
        self.comes(Presence::Whole, applied)
    }

    /// One comes that has to be told everything.
    pub(super) fn refills(&mut self) -> Visit {
        self.durable = None;
        self.comes(Presence::Refilling(Progress::default()), 0)
    }

    fn comes(&mut self, presence: Presence, applied: Sequence) -> Visit {
        self.visit = Visit(self.visit.0 + 1);
        self.presence = presence;
        self.applied = applied;
        self.is_late = false;
        self.visit
    }

    pub(super) fn progresses(&mut self, visit: Visit, now_at: Progress) {
        if let Presence::Refilling(progress) = &mut self.presence
            && visit == self.visit
        {
            *progress = now_at;
        }
    }

    /// What it has by now, if it is whole. Whether that counts.
    pub(super) fn acked(&mut self, visit: Visit, applied: Option<Sequence>, durable: Option<Sequence>) -> bool {
        if visit != self.visit || self.absence().is_some() {
            return false;
        }
        self.durable = durable;
        if let Some(applied) = applied {
            self.presence = Presence::Whole;
            self.applied = self.applied.max(applied);
        }
        true
    }

    pub(super) fn goes(&mut self, visit: Visit, why: &str) {
        if visit == self.visit {
            self.presence = Presence::Absent(why.to_owned());
        }
    }

    /// Why there is none.
    pub(super) fn absence(&self) -> Option<&str> {
        match &self.presence {
            Presence::Absent(why) => Some(why),
            Presence::Refilling(_) | Presence::Whole => None,
        }
    }

    /// How far the sending of everything is, while that lasts.
    pub(super) fn refilling(&self) -> Option<Progress> {
        match self.presence {
            Presence::Refilling(progress) => Some(progress),
            Presence::Absent(_) | Presence::Whole => None,
        }
    }

    /// It is here, has everything, and is not late.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.presence, Presence::Whole) && !self.is_late
    }

    /// Up to where it, or the last one there was, has applied everything.
    pub(super) fn applied(&self) -> Sequence {
        self.applied
    }

    /// Up to where its disk has everything, as it said last.
    pub(super) fn durable(&self) -> Option<Sequence> {
        self.durable
    }
}
