//! A new snapshot made of the last one and its logs, beside the commits: on a thread of its own.

use std::sync::Arc;

use crate::{
    directory::Directory,
    error::{Reason, Refused, StoreError},
    name::{FileKind, Name},
    recovery,
    snapshot::{self, Stamp},
};

/// A snapshot to be made. It may be run on any thread, while the store takes commits.
#[derive(Debug)]
pub struct Compaction {
    pub(crate) directory: Arc<Directory>,
    /// The snapshot that it begins with.
    pub(crate) base: Name,
    /// The logs that it adds.
    pub(crate) logs: Vec<Name>,
    /// The state that must come of it.
    pub(crate) stamp: Stamp,
    /// The snapshot's name while it is being written.
    pub(crate) unfinished: Name,
    /// Most bytes of it.
    pub(crate) room: u64,
}

/// What came of a [`Compaction`]. Give it to [`crate::Store::adopt`], also when it failed.
#[derive(Debug)]
pub struct Compacted {
    pub(crate) base: Name,
    pub(crate) unfinished: Name,
    pub(crate) size: Result<u64, StoreError>,
}

impl Compaction {
    /// Reads and writes. Needs about as much memory as the state has.
    #[must_use]
    pub fn run(self) -> Compacted {
        let size = self.write();
        if size.is_err() {
            self.directory.remove(self.unfinished);
        }
        Compacted { base: self.base, unfinished: self.unfinished, size }
    }

    fn write(&self) -> Result<u64, StoreError> {
        let (mut stamp, mut image) = snapshot::read(&self.directory, self.base).map_err(StoreError::Damaged)?;
        recovery::replay(&self.directory, self.base, self.logs.iter().copied(), &mut stamp, &mut image)
            .map_err(StoreError::Damaged)?;
        if stamp != self.stamp {
            return Err(StoreError::Damaged(self.falls_short(&stamp)));
        }
        // Ages are of the image's instant, which is a later one where the clock was set back.
        stamp.unix_ms = image.unix_ms();
        snapshot::write(&self.directory, self.unfinished, &stamp, image.entries(), self.room)
    }

    /// The logs end earlier than they were written.
    fn falls_short(&self, stamp: &Stamp) -> Refused {
        let last = self.logs.last().copied().unwrap_or(self.base.with(FileKind::Log));
        let reason = Reason::Gap { expected: self.stamp.sequence, found: stamp.sequence };
        Refused { path: self.directory.path_of(last), offset: 0, reason }
    }
}
