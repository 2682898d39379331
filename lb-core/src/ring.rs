//! The ring of one service, and the editor that turns new weights into the fewest slot moves.
//!
//! A slot is clean, remembers its previous real, or is marked; see `docs/reference/forwarding.md` section 4 for what a
//! packet makes of each. The two kinds that are not clean are the *exceptions*. What a move does:
//!
//! | slot | becomes | why |
//! | --- | --- | --- |
//! | clean | remembers its old real, from now on | flows older than the move are in no table |
//! | remembers | remembers the same previous real, since the same time | every flow begun in between is in the table |
//! | marked | remembers its old real, from now on | flows begun while it was marked are in no table |
//! | clean or marked, and its real is gone | stays what it is | the flows older than the move are gone too |
//!
//! Slots of a hot real are never clean: they are marked when it becomes hot ([`Ring::heated`]), and their time begins anew when
//! it is hot no more ([`Ring::cooled`]).
//!
//! Methods take a ring and give a new one, or `None` where nothing changes, so that a caller (and a comparison by
//! pointer) can tell.

mod apportion;
mod edit;
mod told;

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{NO_REAL, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, Slot};

pub use apportion::apportion;
use edit::Draft;

use crate::maglev;

/// A real's claim on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The real's name: it decides the first filling, and who gets the odd slots.
    pub name: &'a str,
    /// The real's id, not [`NO_REAL`].
    pub real: u16,
    /// Its weight; 0: no new flows.
    pub weight: u32,
}

/// A set of real ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealIds(Vec<bool>);

impl RealIds {
    /// Whether the id is in the set.
    #[must_use]
    pub fn contains(&self, id: u16) -> bool {
        self.0.get(usize::from(id)).copied().unwrap_or(false)
    }
}

impl FromIterator<u16> for RealIds {
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> Self {
        let mut set = Vec::new();
        for id in ids.into_iter().map(usize::from) {
            if set.len() <= id {
                set.resize(id + 1, false);
            }
            set[id] = true;
        }
        Self(set)
    }
}

/// How many slots are in which state, and who holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Slots that are clean.
    pub clean: u32,
    /// Slots that remember.
    pub remembers: u32,
    /// Slots that are marked.
    pub marked: u32,
    /// Slots by real id; those without a real under [`NO_REAL`]. Who holds none is not listed.
    pub held: BTreeMap<u16, u32>,
}

impl Tally {
    fn of(slots: &[Slot]) -> Self {
        let mut held: Vec<u32> = Vec::new();
        let mut tally = Self::default();
        for slot in slots {
            let id = usize::from(slot.real);
            if held.len() <= id {
                held.resize(id + 1, 0);
            }
            held[id] += 1;
            match slot.state {
                SLOT_REMEMBERS => tally.remembers += 1,
                SLOT_MARKED => tally.marked += 1,
                _ => tally.clean += 1,
            }
        }
        tally.held = (0..).zip(held).filter(|&(_, count)| count > 0).collect();
        tally
    }

    /// Slots that a real holds.
    #[must_use]
    pub fn of_real(&self, id: u16) -> u32 {
        self.held.get(&id).copied().unwrap_or(0)
    }
}

/// When the oldest exception of each kind began, in milliseconds; none is `u64::MAX`. While that is not due, nobody need look at
/// all slots for one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Oldest {
    remembers_ms: u64,
    marked_ms: u64,
}

impl Oldest {
    fn of(slots: &[Slot], since_ms: &[u64]) -> Self {
        let mut oldest = Self { remembers_ms: u64::MAX, marked_ms: u64::MAX };
        for (slot, &since) in slots.iter().zip(since_ms) {
            match slot.state {
                SLOT_REMEMBERS => oldest.remembers_ms = oldest.remembers_ms.min(since),
                SLOT_MARKED => oldest.marked_ms = oldest.marked_ms.min(since),
                _ => {}
            }
        }
        oldest
    }
}

/// The lookup table of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    slots: Arc<[Slot]>,
    /// By slot, when its exception began: to remember, or to be only marked. Empty while there is no exception.
    since_ms: Vec<u64>,
    oldest: Oldest,
    tally: Tally,
}

impl Ring {
    /// A ring of clean slots without a real. The first [`edited`](Self::edited) with a weight fills it.
    #[must_use]
    pub fn blank(slots: u32) -> Self {
        Self::from_parts(vec![Slot::default(); slots as usize], Vec::new())
    }

    /// A ring read back from the maps. What each exception has lasted is not known there, so all begin now.
    ///
    /// `None` when it does not have so many slots, or one of them has an unknown state.
    #[must_use]
    pub fn adopted(slots: &Arc<[Slot]>, count: u32, now_ms: u64) -> Option<Self> {
        let known = |slot: &Slot| matches!(slot.state, SLOT_CLEAN | SLOT_REMEMBERS | SLOT_MARKED);
        if slots.len() != count as usize || !slots.iter().all(known) {
            return None;
        }
        let tally = Tally::of(slots);
        let exceptions = tally.remembers + tally.marked;
        let since_ms = if exceptions > 0 { vec![now_ms; slots.len()] } else { Vec::new() };
        Some(Self { slots: slots.clone(), oldest: Oldest::of(slots, &since_ms), since_ms, tally })
    }

    fn from_parts(slots: Vec<Slot>, since_ms: Vec<u64>) -> Self {
        let tally = Tally::of(&slots);
        let since_ms = if tally.remembers + tally.marked > 0 { since_ms } else { Vec::new() };
        Self { oldest: Oldest::of(&slots, &since_ms), slots: slots.into(), since_ms, tally }
    }

    /// The slots, as the maps hold them.
    #[must_use]
    pub fn slots(&self) -> &Arc<[Slot]> {
        &self.slots
    }

    /// Counts of the slots.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// When the slot's exception began, in milliseconds; `None` for a clean one.
    #[must_use]
    pub fn since_ms(&self, slot: u32) -> Option<u64> {
        let is_exception = self.slots.get(slot as usize).is_some_and(|slot| slot.state != SLOT_CLEAN);
        if is_exception { self.since_ms.get(slot as usize).copied() } else { None }
    }

    /// Gives the slots out anew, in proportion to weight, with the fewest moves: each real above its target gives as
    /// many slots as it has too many. Slots that remember go first (their clock runs on), then marked ones, then clean
    /// ones. A ring on which no flow can have left a trace (all clean, no real) is filled with Maglev instead.
    ///
    /// A real that is not in `shares` has target 0. Where no share has a weight the slots have no real. `shares` must
    /// be sorted by name and name each real once.
    #[must_use]
    pub fn edited(&self, shares: &[Share<'_>], now_ms: u64) -> Option<Self> {
        let weights: Vec<u32> = shares.iter().map(|share| share.weight).collect();
        let targets = apportion(&weights, self.slots.len() as u32);
        let targets: BTreeMap<u16, u32> =
            shares.iter().map(|share| share.real).zip(targets).filter(|&(_, target)| target > 0).collect();
        if targets == self.tally.held || (targets.is_empty() && self.is_without_reals()) {
            return None;
        }
        if self.is_blank() {
            return Some(self.filled(shares));
        }
        let order: Vec<u16> = shares.iter().map(|share| share.real).collect();
        let mut draft = Draft::of(self, now_ms);
        draft.give_out(&self.tally.held, &targets, &order);
        Some(draft.finish())
    }

    /// Forgets every real whose id is not in `known`, because its server is gone for good: slots that it holds have no
    /// real, and slots that remember it are only marked, from now on.
    #[must_use]
    pub fn without_strangers(&self, known: &RealIds, now_ms: u64) -> Option<Self> {
        let stranger = |id: u16| id != NO_REAL && !known.contains(id);
        if !self.slots.iter().any(|slot| stranger(slot.real) || stranger(slot.previous)) {
            return None;
        }
        let mut draft = Draft::of(self, now_ms);
        draft.forget(stranger);
        Some(draft.finish())
    }

    /// Marks the slots that have remembered for `timeout_ms` or longer.
    #[must_use]
    pub fn expired(&self, timeout_ms: u64, now_ms: u64) -> Option<Self> {
        let is_due =
            |slot: &Slot, since: u64| slot.state == SLOT_REMEMBERS && since.saturating_add(timeout_ms) <= now_ms;
        if self.oldest.remembers_ms == u64::MAX || self.oldest.remembers_ms.saturating_add(timeout_ms) > now_ms {
            return None;
        }
        let mut draft = Draft::of(self, now_ms);
        draft.mark(is_due);
        Some(draft.finish())
    }

    /// Marks the clean slots of hot reals: only in a slot that is not clean the program looks whether a real is hot, and remembers
    /// the flows that it sends elsewhere for that.
    #[must_use]
    pub fn heated(&self, hot: &RealIds, now_ms: u64) -> Option<Self> {
        let is_due = |slot: &Slot| slot.state == SLOT_CLEAN && hot.contains(slot.real);
        self.marked_where(hot, is_due, now_ms)
    }

    /// Lets the marked slots of reals that are hot no more begin their time anew: flows that were sent elsewhere may have had their
    /// SYN just now.
    #[must_use]
    pub fn cooled(&self, cooled: &RealIds, now_ms: u64) -> Option<Self> {
        let is_due = |slot: &Slot| slot.state == SLOT_MARKED && cooled.contains(slot.real);
        self.marked_where(cooled, is_due, now_ms)
    }

    /// Marks those slots of `reals` that are due, from now on.
    fn marked_where(&self, reals: &RealIds, is_due: impl Fn(&Slot) -> bool, now_ms: u64) -> Option<Self> {
        let holds_any = self.tally.held.keys().any(|&id| reals.contains(id));
        if !holds_any || !self.slots.iter().any(&is_due) {
            return None;
        }
        let mut draft = Draft::of(self, now_ms);
        draft.mark(|slot, _| is_due(slot));
        Some(draft.finish())
    }

    /// Makes those marked slots clean that have been marked at least since `since_ms` and of which `is_needed` does not say that
    /// they must stay, as when a flow of theirs is in the flow table.
    #[must_use]
    pub fn cleaned(&self, is_needed: impl Fn(u32, &Slot) -> bool, since_ms: u64) -> Option<Self> {
        if self.oldest.marked_ms == u64::MAX || self.oldest.marked_ms > since_ms {
            return None;
        }
        let unused: Vec<u32> = self
            .exceptions()
            .filter(|(index, slot, since)| slot.state == SLOT_MARKED && *since <= since_ms && !is_needed(*index, slot))
            .map(|(index, ..)| index)
            .collect();
        if unused.is_empty() {
            return None;
        }
        let mut draft = Draft::of(self, 0);
        draft.clean(&unused);
        Some(draft.finish())
    }

    fn is_without_reals(&self) -> bool {
        self.tally.of_real(NO_REAL) as usize == self.slots.len()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.is_without_reals() && self.since_ms.is_empty()
    }

    fn filled(&self, shares: &[Share<'_>]) -> Self {
        let reals: Vec<(&str, u32)> = shares.iter().map(|share| (share.name, share.weight)).collect();
        let slots = maglev::fill(&reals, self.slots.len() as u32)
            .into_iter()
            .map(|i| Slot { real: shares[i].real, ..Slot::default() })
            .collect();
        Self::from_parts(slots, Vec::new())
    }
}

#[cfg(test)]
mod tests;
