//! `GET /v1/history`: how the node has been over the last minutes, for plots.

use serde::{Deserialize, Serialize};

/// Samples of the last minutes, one column for each series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Seconds from one sample to the next.
    pub interval_seconds: f64,
    /// How many samples are kept.
    pub capacity: u32,
    /// When each sample was taken, by the wall clock: milliseconds since 1970, the oldest first.
    pub unix_ms: Vec<u64>,
    /// What was sampled.
    pub series: Vec<Series>,
    /// There are more services or reals than are sampled.
    pub truncated: bool,
}

/// One number over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is of.
    pub of: SeriesOf,
    /// The name of the service, real or path; empty for the node and the checkpoint.
    pub name: String,
    /// What is measured, with its unit: `packets_per_second`.
    pub measure: String,
    /// A value for each of [`History::unix_ms`]; null where it was not known.
    pub values: Vec<Option<f32>>,
}

words! {
    /// What a series is of.
    SeriesOf {
        /// The node.
        Node = "node",
        /// A service.
        Service = "service",
        /// A real.
        Real = "real",
        /// A path to the peer.
        Path = "path",
        /// Checkpoints.
        Checkpoint = "checkpoint",
    }
}

impl History {
    /// A series of this history.
    #[must_use]
    pub fn series(&self, of: SeriesOf, name: &str, measure: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.of == of && series.name == name && series.measure == measure)
    }
}
