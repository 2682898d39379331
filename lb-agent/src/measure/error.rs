//! Why something could not be measured.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why something could not be measured. Each names the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// This kernel or host does not have it. Nothing is wrong.
    #[error("{0}")]
    Absent(String),
    /// A file could not be read.
    #[error("cannot read {}: {why}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What was read is not what it should be.
    #[error("{origin}: no {expected} in {}", quoted(.found))]
    Garbage {
        /// Where it came from.
        origin: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// There was no answer in time.
    #[error("{origin}: no answer within {limit:?}; look why it is slow, or raise `source_timeout`")]
    Late {
        /// What was asked.
        origin: String,
        /// How long it had.
        limit: Duration,
    },
    /// There was no usable answer.
    #[error("{origin}: {why}")]
    Failed {
        /// What was asked.
        origin: String,
        /// Why not.
        why: String,
    },
}

/// Most characters of something unreadable that are shown.
const MAX_SHOWN: usize = 40;

impl SourceError {
    /// The file could not be read.
    pub(crate) fn read(path: &Path, error: &io::Error) -> Self {
        Self::Read { path: path.to_owned(), why: error.to_string() }
    }

    /// The file's text is not what it should be.
    pub(crate) fn garbage(path: &Path, expected: &'static str, found: &str) -> Self {
        Self::Garbage { origin: path.display().to_string(), expected, found: found.to_owned() }
    }
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}
