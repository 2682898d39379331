//! The owner, as its follower sees it.

use super::Progress;
use crate::checkpoint::Sequence;

/// Why a follower cannot take what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The node does not follow, or was not told everything first.
    #[error("this node has not been told everything yet, or does not follow any more")]
    Duty,
    /// The node holds batches of another owner, or other ones of this.
    #[error("this node holds nothing of this owner: it has to be told everything")]
    Origin,
    /// A batch is missing, or came again.
    #[error("batch {got} came where {wanted} was due")]
    Sequence {
        /// The number of the one that was due.
        wanted: Sequence,
        /// Its own.
        got: Sequence,
    },
}

/// Whom the node follows.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nobody, and why.
    Absent(String),
    /// It tells everything.
    Filling(Progress),
    /// It has told everything, and tells what changes.
    Here,
}

impl Owner {
    pub(super) fn absent(why: &str) -> Self {
        Self::Absent(why.to_owned())
    }

    pub(super) fn filling() -> Self {
        Self::Filling(Progress::default())
    }

    pub(super) fn here() -> Self {
        Self::Here
    }

    pub(super) fn is_filling(&self) -> bool {
        matches!(self, Self::Filling(_))
    }

    pub(super) fn progresses(&mut self, now_at: Progress) {
        if let Self::Filling(progress) = self {
            *progress = now_at;
        }
    }
}
