//! A ring as another node tells it, and what to tell of one.

use lb_common::{SLOT_CLEAN, Slot};

use super::{Draft, Ring};

impl Ring {
    /// The ring with these slots as they are told: index, slot, and when its exception began. What is beyond the ring is left
    /// out. `None` where nothing differs.
    #[must_use]
    pub fn with_slots(&self, told: impl IntoIterator<Item = (u32, Slot, u64)>) -> Option<Self> {
        let mut draft: Option<Draft> = None;
        for (index, slot, since_ms) in told {
            let Some(was) = self.slots.get(index as usize) else { continue };
            let is_same = *was == slot && self.since_ms(index).is_none_or(|since| since == since_ms);
            if !is_same {
                draft.get_or_insert_with(|| Draft::of(self, 0)).put(index, slot, since_ms);
            }
        }
        draft.map(Draft::finish)
    }

    /// The ring with an earlier beginning of those exceptions that are told to have lasted longer: index, slot, and when it began.
    /// What is told of another slot than the one that is there says nothing. `None` where nothing differs.
    #[must_use]
    pub fn recalled(&self, told: impl IntoIterator<Item = (u32, Slot, u64)>) -> Option<Self> {
        let is_there = |index: u32, slot: &Slot| self.slots.get(index as usize) == Some(slot);
        let is_older = |index: u32, since_ms: u64| self.since_ms(index).is_some_and(|since| since_ms < since);
        self.with_slots(
            told.into_iter().filter(|(index, slot, since)| is_there(*index, slot) && is_older(*index, *since)),
        )
    }

    /// The slots that differ from those of an earlier state of the ring, or began at another time. Only `is_other` says of a slot that
    /// looks the same that it is not. The rings are of one size.
    pub fn changes_since<'a>(
        &'a self,
        before: &'a Self,
        is_other: impl Fn(&Slot) -> bool + 'a,
    ) -> impl Iterator<Item = (u32, Slot, Option<u64>)> + 'a {
        (0..).zip(self.slots.iter().zip(before.slots.iter())).filter_map(move |(index, (slot, was))| {
            let since_ms = self.since_ms(index);
            let differs = slot != was || since_ms != before.since_ms(index) || is_other(slot);
            differs.then_some((index, *slot, since_ms))
        })
    }

    /// The slots that are not clean: index, slot, and when the exception began.
    pub fn exceptions(&self) -> impl Iterator<Item = (u32, &Slot, u64)> {
        (0..)
            .zip(self.slots.iter())
            .zip(&self.since_ms)
            .filter(|((_, slot), _)| slot.state != SLOT_CLEAN)
            .map(|((index, slot), &since)| (index, slot, since))
    }
}
