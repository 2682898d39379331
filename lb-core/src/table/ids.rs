//! Ids are handed out in turn, so that one that was given back is used again as late as possible: entries of the flow
//! table that still hold it have gone by then.

use std::collections::BTreeSet;

use lb_common::{LIMIT_MAX_REALS, MAX_SERVICES};

/// Where the search for a free id begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdCursor {
    first: u32,
    end: u32,
    next: u32,
}

impl IdCursor {
    /// Service ids: from 0 on.
    pub(super) fn services() -> Self {
        Self { first: 0, end: MAX_SERVICES, next: 0 }
    }

    /// Real ids: from 1 on.
    pub(super) fn reals(max_reals: u32) -> Self {
        Self { first: 1, end: max_reals.min(LIMIT_MAX_REALS), next: 1 }
    }

    /// How many ids there are.
    pub(super) fn count(&self) -> u32 {
        self.end.saturating_sub(self.first)
    }

    /// Whether the id is one that can be handed out.
    pub(super) fn covers(&self, id: u32) -> bool {
        (self.first..self.end).contains(&id)
    }

    /// The id that comes next, unless it is taken.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Goes on where another cursor was.
    pub(super) fn resume_at(&mut self, next: u32) {
        self.next = if self.covers(next) { next } else { self.first };
    }

    /// The next id that is not in `avoid`, or else the next one that is not in `used`, which is a part of it.
    pub(super) fn allocate(&mut self, used: &BTreeSet<u32>, avoid: &BTreeSet<u32>) -> Option<u32> {
        // With all of them to be avoided the search would look at each, for each service.
        let fresh = if avoid.len() < self.count() as usize { self.first_outside(avoid) } else { None };
        let id = fresh.or_else(|| self.first_outside(used))?;
        self.next = if id + 1 < self.end { id + 1 } else { self.first };
        Some(id)
    }

    fn first_outside(&self, taken: &BTreeSet<u32>) -> Option<u32> {
        let mut from_here = (self.next..self.end).chain(self.first..self.next);
        from_here.find(|id| !taken.contains(id))
    }
}
