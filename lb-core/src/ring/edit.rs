//! A ring being edited: the slots and the clocks of its exceptions, changed in place.

use std::collections::BTreeMap;

use lb_common::{NO_REAL, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, Slot};

use super::Ring;

pub(super) struct Draft {
    slots: Vec<Slot>,
    since_ms: Vec<u64>,
    now_ms: u64,
}

/// Which slots a real gives first: each kind costs more than the one before it.
const PREFERENCE: [fn(&Slot, &Wanted) -> bool; 4] = [
    // Back to the real that it remembers: flows on both sides of the move agree again.
    |slot, wanted| slot.state == SLOT_REMEMBERS && wanted.place_of(slot.previous).is_some(),
    |slot, _| slot.state == SLOT_REMEMBERS,
    |slot, _| slot.state == SLOT_MARKED,
    |_, _| true,
];

impl Draft {
    pub(super) fn of(ring: &Ring, now_ms: u64) -> Self {
        let mut since_ms = ring.since_ms.clone();
        since_ms.resize(ring.slots.len(), 0);
        Self { slots: ring.slots.to_vec(), since_ms, now_ms }
    }

    pub(super) fn finish(self) -> Ring {
        Ring::from_parts(self.slots, self.since_ms)
    }

    /// Moves slots from reals above their target to reals below, `order` saying whose want is met first. Without
    /// any target every slot is left without a real.
    pub(super) fn give_out(&mut self, held: &BTreeMap<u16, u32>, targets: &BTreeMap<u16, u32>, order: &[u16]) {
        let mut spare = Spare::of(held, targets);
        let mut wanted = Wanted::of(held, targets, order);
        for prefers in PREFERENCE {
            if spare.total == 0 {
                return;
            }
            for index in 0..self.slots.len() {
                let slot = self.slots[index];
                if !spare.has(slot.real) || !prefers(&slot, &wanted) {
                    continue;
                }
                let to = wanted.take(slot.previous);
                spare.take(slot.real);
                self.move_slot(index, to);
            }
        }
    }

    fn move_slot(&mut self, index: usize, to: u16) {
        let slot = &mut self.slots[index];
        let had_flows_in_no_table = slot.state != SLOT_REMEMBERS && slot.real != NO_REAL;
        if had_flows_in_no_table {
            slot.previous = slot.real;
            slot.state = SLOT_REMEMBERS;
            self.since_ms[index] = self.now_ms;
        }
        slot.real = to;
    }

    pub(super) fn put(&mut self, index: u32, slot: Slot, since_ms: u64) {
        self.slots[index as usize] = slot;
        self.since_ms[index as usize] = if slot.state == SLOT_CLEAN { 0 } else { since_ms };
    }

    pub(super) fn forget(&mut self, stranger: impl Fn(u16) -> bool) {
        for (slot, since) in self.slots.iter_mut().zip(&mut self.since_ms) {
            if stranger(slot.real) {
                slot.real = NO_REAL;
                if slot.state == SLOT_MARKED {
                    // It may have been hot until now, and its flows sent elsewhere.
                    *since = self.now_ms;
                }
            }
            if stranger(slot.previous) {
                *slot = Slot { previous: NO_REAL, state: SLOT_MARKED, ..*slot };
                *since = self.now_ms;
            }
        }
    }

    pub(super) fn mark(&mut self, is_due: impl Fn(&Slot, u64) -> bool) {
        for (slot, since) in self.slots.iter_mut().zip(&mut self.since_ms) {
            if is_due(slot, *since) {
                *slot = Slot { previous: NO_REAL, state: SLOT_MARKED, ..*slot };
                *since = self.now_ms;
            }
        }
    }

    pub(super) fn clean(&mut self, which: &[u32]) {
        for &index in which {
            let slot = &mut self.slots[index as usize];
            *slot = Slot { previous: NO_REAL, state: SLOT_CLEAN, ..*slot };
        }
    }
}

/// What each real (or [`NO_REAL`]) holds above its target, by id.
struct Spare {
    by_id: Vec<u32>,
    total: u32,
}

impl Spare {
    fn of(held: &BTreeMap<u16, u32>, targets: &BTreeMap<u16, u32>) -> Self {
        let highest = held.last_key_value().map_or(0, |(&id, _)| usize::from(id));
        let mut by_id = vec![0; highest + 1];
        let keeps = |id: u16, count: u32| {
            // Without any target it is a real that a slot must not have, and none that it may.
            if targets.is_empty() && id == NO_REAL { count } else { targets.get(&id).copied().unwrap_or(0) }
        };
        for (&id, &count) in held {
            by_id[usize::from(id)] = count.saturating_sub(keeps(id, count));
        }
        let total = by_id.iter().sum();
        Self { by_id, total }
    }

    fn has(&self, id: u16) -> bool {
        self.by_id.get(usize::from(id)).is_some_and(|&count| count > 0)
    }

    fn take(&mut self, id: u16) {
        self.by_id[usize::from(id)] -= 1;
        self.total -= 1;
    }
}

/// What each real lacks to its target, in the order in which wants are met.
struct Wanted {
    open: Vec<(u16, u32)>,
    /// By id: the place in `open` and one more; 0 for those who never wanted any.
    places: Vec<u32>,
    next: usize,
}

impl Wanted {
    fn of(held: &BTreeMap<u16, u32>, targets: &BTreeMap<u16, u32>, order: &[u16]) -> Self {
        let lack = |id: &u16| {
            let target = targets.get(id).copied().unwrap_or(0);
            target.saturating_sub(held.get(id).copied().unwrap_or(0))
        };
        let open: Vec<(u16, u32)> = order.iter().map(|id| (*id, lack(id))).filter(|&(_, lack)| lack > 0).collect();
        let highest = open.iter().map(|&(id, _)| usize::from(id)).max().unwrap_or(0);
        let mut places = vec![0; highest + 1];
        for (place, &(id, _)) in (1..).zip(&open) {
            places[usize::from(id)] = place;
        }
        Self { open, places, next: 0 }
    }

    /// Where in `open` the real is, if it wants a slot.
    fn place_of(&self, id: u16) -> Option<usize> {
        let place = (*self.places.get(usize::from(id))? as usize).checked_sub(1)?;
        self.open.get(place).is_some_and(|&(_, lack)| lack > 0).then_some(place)
    }

    /// Who gets a slot: `favourite` if it wants one, else the first who does; [`NO_REAL`] when nobody does.
    fn take(&mut self, favourite: u16) -> u16 {
        while self.open.get(self.next).is_some_and(|&(_, lack)| lack == 0) {
            self.next += 1;
        }
        let place = self.place_of(favourite).unwrap_or(self.next);
        match self.open.get_mut(place) {
            Some((id, lack)) => {
                *lack -= 1;
                *id
            }
            None => NO_REAL,
        }
    }
}
