//! Checkpoints on disk: an append-only log and its snapshots, on a node's own disk or on one that both nodes share.
//!
//! A *snapshot* is all that was known at an instant, in records of kind full. The *log* beside it has a record for each commit
//! since. Both are only ever written at their end, under names that are never used twice. [`Store`] writes them;
//! [`Recovery`] is what it finds when it is opened; docs/checkpoints.md is for operators.
//!
//! What was acknowledged is there after any power cut, and what cannot be read whole is refused with its reason. A disk that
//! is full, read-only, slow or gone gives errors, which are values: the caller serves on, and begins a new snapshot when the
//! disk is back.

mod compaction;
mod directory;
mod error;
mod files;
mod log;
mod name;
mod owner;
mod reader;
mod recovery;
mod snapshot;
mod store;
mod verify;

pub use compaction::{Compacted, Compaction};
pub use directory::Options;
pub use error::{Reason, Refused, StoreError};
pub use files::{Files, Found, HostFiles, Output};
pub use name::{FileKind, Name};
pub use recovery::{Recovery, Restored};
pub use store::{Committed, Store};
pub use verify::{Listed, Report, list, verify};
