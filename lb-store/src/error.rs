//! Why a checkpoint could not be written, and why content was refused.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use lb_core::{
    checkpoint::{
        Sequence,
        record::{EncodeError, Refusal},
    },
    pair::{Epoch, Role},
};

/// Why the store could not do what it was asked to. What was acknowledged before stays on the disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot {action} {}: {source}; {}", .path.display(), advice(.source))]
    Disk {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The files would be larger than they may be.
    #[error("{} would hold {needed} bytes of checkpoints and may hold {limit}; raise `max_size`", .directory.display())]
    TooLarge {
        /// The store's directory.
        directory: PathBuf,
        /// How much it would hold, in bytes.
        needed: u64,
        /// How much it may hold, in bytes.
        limit: u64,
    },
    /// Another node owns the shared disk by now.
    #[error(
        "{} says that another start of a node owns the shared disk, in epoch {epoch}; this one may not write there before it serves in a newer epoch",
        .path.display()
    )]
    Superseded {
        /// The owner's file.
        path: PathBuf,
        /// The owner's epoch.
        epoch: Epoch,
    },
    /// What another node owns was to be written to a shared disk.
    #[error(
        "a shared disk is written by the owner of a checkpoint alone, and this one's owner is the other node; write it to a disk of this node's own"
    )]
    NotOwner {
        /// The owner's configured role.
        owner: Role,
    },
    /// It is of another cluster than the store.
    #[error("the checkpoint is of cluster {found:016x} and the store of {expected:016x}; give both the same `cluster`")]
    OtherCluster {
        /// The store's.
        expected: u64,
        /// The checkpoint's.
        found: u64,
    },
    /// What was to be written could not be had to its end.
    #[error("a snapshot would lack something, and is not made: {0}")]
    NotWhole(String),
    /// There is no snapshot to which something could be added.
    #[error("no log is open for what has changed; begin a new snapshot")]
    NotBegun,
    /// What has changed does not follow what is there.
    #[error("batch {last} cannot follow batch {before} of the log; begin a new snapshot")]
    OutOfOrder {
        /// The last one in the log.
        before: Sequence,
        /// The one that was given.
        last: Sequence,
    },
    /// It cannot be written as a record.
    #[error("cannot write a checkpoint as a record: {0}")]
    Record(#[from] EncodeError),
    /// What had been written cannot be read.
    #[error("what was written reads otherwise now: {0}; begin a new snapshot, and look after the disk")]
    Damaged(Refused),
}

impl StoreError {
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { action, path, source }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on that disk, or name another directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "`dmesg` says why the kernel made the disk read-only; mount it to be written again"
        }
        io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => "see that the disk is mounted",
        io::ErrorKind::PermissionDenied => "see that lbd may write there",
        io::ErrorKind::AlreadyExists => "see that no other lbd writes there",
        _ => "`dmesg` says what is wrong with the disk",
    }
}

/// Content that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes: nothing from here on is used.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.path.display(), self.offset, self.reason)
    }
}

/// Why content is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A record is not good.
    #[error(transparent)]
    Record(#[from] Refusal),
    /// It cannot be read.
    #[error("it cannot be read: {0}; see that the disk is there and lbd may read it")]
    Unreadable(String),
    /// A record is of another owner than the file's name says.
    #[error(
        "a record is not of the owner, epoch and start that the name says: the file was renamed or copied; remove it"
    )]
    OtherOrigin,
    /// A snapshot has a change in it, or a log a snapshot.
    #[error("a record is not of the kind that the file is: the file was renamed or copied; remove it")]
    OtherKind,
    /// Records do not follow one another.
    #[error("batch {found} stands where batch {expected} should: what is between is lost")]
    Gap {
        /// Which batch should begin here.
        expected: Sequence,
        /// Which one does.
        found: Sequence,
    },
    /// The parts of what was written as one do not follow one another.
    #[error("part {found} stands where part {expected} should: it is not whole")]
    PartMissing {
        /// Which part should be here.
        expected: u32,
        /// Which one is.
        found: u32,
    },
    /// The last parts are not there.
    #[error("it ends after {parts} parts, before its last one: it was not written to its end")]
    Incomplete {
        /// How many parts are there.
        parts: u32,
    },
    /// The snapshot that a log continues is not there, or not good.
    #[error("the snapshot that this log continues is not there or is refused")]
    NoSnapshot,
    /// A newer one is used.
    #[error("a newer checkpoint is used")]
    Older,
    /// A snapshot was not finished.
    #[error("it was not finished")]
    Unfinished,
}

impl Reason {
    /// It is what crashes, and new checkpoints, leave behind.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Older | Self::Unfinished | Self::Record(Refusal::Torn { .. }))
    }
}
