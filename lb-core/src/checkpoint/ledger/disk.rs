//! How far the node's own disk has got.

use std::sync::Arc;

use crate::checkpoint::{Batch, Entry, Origin, Sequence};

/// The disk, as the ledger sees it.
#[derive(Debug)]
pub(super) struct Disk {
    /// Up to where it has everything.
    committed: Option<Sequence>,
}

impl Disk {
    /// It has nothing of this owner.
    pub(super) fn new() -> Self {
        Self { committed: None }
    }

    pub(super) fn sequence(&self) -> Option<Sequence> {
        self.committed
    }

    pub(super) fn committed(&mut self, sequence: Sequence) {
        self.committed = self.committed.max(Some(sequence));
    }
}

/// Batches that the disk does not have yet.
#[derive(Clone, Debug)]
pub struct Uncommitted {
    /// Whose they are.
    pub origin: Origin,
    /// At least one, by rising number, without a gap.
    batches: Vec<Arc<Batch>>,
}

impl Uncommitted {
    pub(super) fn new(origin: Origin, batches: Vec<Arc<Batch>>) -> Self {
        Self { origin, batches }
    }

    /// The number of the first batch.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.batches.first().map_or(0, |batch| batch.sequence)
    }

    /// The number of the last one.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.batches.last().map_or(0, |batch| batch.sequence)
    }

    /// The scheduling table's generation after it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.generation)
    }

    /// What they say, in their order, as few entries: half-open flows are not for a disk.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for entry in self.batches.iter().flat_map(|batch| &batch.entries) {
            match (entries.last_mut(), entry) {
                (_, Entry::HalfOpen(_)) => {}
                (Some(Entry::Remembered(before)), Entry::Remembered(flows)) => before.extend_from_slice(flows),
                (Some(Entry::Forgotten(before)), Entry::Forgotten(keys)) => before.extend_from_slice(keys),
                (_, entry) => entries.push(entry.clone()),
            }
        }
        entries
    }
}
