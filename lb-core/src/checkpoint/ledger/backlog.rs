//! The batches that are kept, for a follower or a disk that may still need them.

use std::{collections::VecDeque, mem::size_of, sync::Arc};

use lb_common::{FlowKey, Slot};

use crate::{
    checkpoint::{Batch, Entry, FlowEntry, Sequence, SlotChange},
    pair::Micros,
};

/// Some batches that are wanted are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is missing is not kept any more: everything has to be told anew")]
pub struct Gone;

/// What a batch takes beside its entries, at most, in bytes.
const BATCH_WEIGHT: usize = 96;

/// Batches in a row, bounded by the memory that they take.
#[derive(Debug)]
pub(super) struct Backlog {
    kept: VecDeque<Kept>,
    /// The batch before the oldest that is kept.
    before: Sequence,
    /// When that one was appended.
    before_appended: Micros,
    weight: usize,
}

#[derive(Debug)]
struct Kept {
    batch: Arc<Batch>,
    appended: Micros,
    weight: usize,
}

impl Backlog {
    /// Nothing yet: the next batch is the one after this.
    pub(super) fn new(last: Sequence) -> Self {
        Self { kept: VecDeque::new(), before: last, before_appended: 0, weight: 0 }
    }

    /// Keeps a batch, and as few of the oldest ones less as the limit wants.
    pub(super) fn push(&mut self, batch: Arc<Batch>, now: Micros, max_weight: usize) {
        let weight = weight(&batch);
        self.weight += weight;
        self.kept.push_back(Kept { batch, appended: now, weight });
        self.shrink(max_weight);
    }

    /// Lets go of the oldest until the limit is kept.
    pub(super) fn shrink(&mut self, max_weight: usize) {
        while self.weight > max_weight {
            self.drop_oldest();
        }
    }

    /// Lets go of all up to this batch.
    pub(super) fn drop_to(&mut self, sequence: Sequence) {
        while self.before < sequence && !self.kept.is_empty() {
            self.drop_oldest();
        }
    }

    /// All batches after this one.
    pub(super) fn after(&self, sequence: Sequence) -> Result<Vec<Arc<Batch>>, Gone> {
        Ok(self.kept_after(sequence)?.map(|kept| kept.batch.clone()).collect())
    }

    /// When this batch was appended, where there is such a one; of one that is not kept any more, a time when it had been.
    pub(super) fn appended(&self, sequence: Sequence) -> Option<Micros> {
        if (1..=self.before).contains(&sequence) {
            return Some(self.before_appended);
        }
        let index = usize::try_from(sequence.checked_sub(self.before + 1)?).ok()?;
        self.kept.get(index).map(|kept| kept.appended)
    }

    /// How many flows the batches after this one remember, of those that are kept.
    pub(super) fn flows_after(&self, sequence: Sequence) -> usize {
        let kept = self.kept_after(sequence.max(self.before)).into_iter().flatten();
        kept.flat_map(|kept| &kept.batch.entries)
            .map(|entry| if let Entry::Remembered(flows) = entry { flows.len() } else { 0 })
            .sum()
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    fn kept_after(&self, sequence: Sequence) -> Result<impl Iterator<Item = &Kept>, Gone> {
        let known = sequence.checked_sub(self.before).ok_or(Gone)?;
        Ok(self.kept.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)))
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.before = oldest.batch.sequence;
            self.before_appended = oldest.appended;
            self.weight -= oldest.weight;
        }
    }
}

/// Bytes of memory that a batch takes, about.
fn weight(batch: &Batch) -> usize {
    BATCH_WEIGHT + batch.entries.iter().map(weight_of).sum::<usize>()
}

fn weight_of(entry: &Entry) -> usize {
    let more = match entry {
        Entry::Service(service) => service.name.len(),
        Entry::Real(real) => real.name.len(),
        Entry::ServiceGone(_) | Entry::RealGone(_) => 0,
        Entry::Ring(ring) => size_of::<Slot>() * ring.slots.len() + size_of::<(u32, u64)>() * ring.ages_ms.len(),
        Entry::Slots { changes, .. } => size_of::<SlotChange>() * changes.len(),
        Entry::Remembered(flows) | Entry::HalfOpen(flows) => size_of::<FlowEntry>() * flows.len(),
        Entry::Forgotten(keys) => size_of::<FlowKey>() * keys.len(),
    };
    size_of::<Entry>() + more
}
