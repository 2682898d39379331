//! The files of checkpoints, and what can be done with a checkpoint: list, verify, make one now, take one in.

use serde::{Deserialize, Serialize};

use super::CheckpointOrigin;

words! {
    /// What a file of the store is.
    CheckpointFileKind {
        /// Says who writes to a shared disk.
        Owner = "owner",
        /// A snapshot that is being written.
        Unfinished = "unfinished",
        /// All that was known at an instant.
        Snapshot = "snapshot",
        /// What changed since.
        Log = "log",
        /// Something else: `lbd` leaves it alone.
        Other = "other",
    }
}

/// `GET /v1/checkpoint/list`: the files of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointFiles {
    /// Where they are.
    pub directory: String,
    /// The other node has this disk, too.
    pub shared: bool,
    /// The newest first.
    pub files: Vec<CheckpointFile>,
}

/// A file of the store, as its name and its first record have it: its content is not verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: CheckpointFileKind,
    /// Whose it is, where that is known.
    pub origin: Option<CheckpointOrigin>,
    /// Its size.
    pub bytes: u64,
    /// When it was last written, in milliseconds since 1970, where that is known.
    pub unix_ms: Option<u64>,
    /// It is among those that a start would read.
    pub in_use: bool,
}

/// Body of `POST /v1/checkpoint/verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyCheckpoint {
    /// The absolute path of a file on the daemon's host; none: all files of the store.
    #[serde(default)]
    pub path: Option<String>,
}

/// Every record of some files, looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointVerified {
    /// Nothing was refused.
    pub ok: bool,
    /// Each file.
    pub files: Vec<VerifiedFile>,
}

/// A file, looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifiedFile {
    /// Its path.
    pub file: String,
    /// Whose it is, when a good record says so.
    pub origin: Option<CheckpointOrigin>,
    /// Good records.
    pub records: u64,
    /// Bytes of good records.
    pub bytes: u64,
    /// Entries in good records.
    pub entries: u64,
    /// Entries of kinds that this version does not know.
    pub skipped: u64,
    /// The oldest batch in good records.
    pub first: Option<u64>,
    /// The newest batch in good records.
    pub last: Option<u64>,
    /// What was refused; nothing behind it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedCheckpoint>,
}

/// What cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCheckpoint {
    /// The file.
    pub file: String,
    /// Where in it the refused record begins, in bytes.
    pub offset: u64,
    /// Why, and what to do.
    pub reason: String,
}

/// After `POST /v1/checkpoint/now`: what is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointTaken {
    /// The newest batch in it.
    pub sequence: u64,
    /// The generation of the scheduling table that goes with it.
    pub generation: u64,
    /// How long it took until it was durable, in milliseconds.
    pub took_ms: f64,
    /// What it wrote, in bytes; 0 when nothing had changed.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// The peer's disk has it, too.
    pub peer_durable: bool,
}

/// After `POST /v1/checkpoint/import`: what was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointImported {
    /// The scheduling table's generation after it.
    pub generation: u64,
    /// Services that were found here.
    pub services: u32,
    /// Reals that were found here.
    pub reals: u32,
    /// Slots that are not clean.
    pub slots: u64,
    /// Flows that are remembered now.
    pub flows: u64,
    /// Services and reals that are not configured here: what was said of them is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
}
