//! What cannot be measured is said once, and again only after it could.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::SourceError;

/// What could not be measured last time.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    failing: BTreeSet<&'static str>,
}

impl Troubles {
    /// Logs what has begun to fail, and what has ended to.
    pub(super) fn note(&mut self, failures: &[(&'static str, SourceError)]) {
        for (what, error) in failures {
            if self.failing.insert(what) {
                match error {
                    SourceError::Absent(_) => info!("{what} is not measured: {error}"),
                    _ => warn!("{what} cannot be measured and is left out of reports: {error}"),
                }
            }
        }
        self.failing.retain(|what| {
            let fails = failures.iter().any(|(failure, _)| failure == what);
            if !fails {
                info!("{what} can be measured again");
            }
            fails
        });
    }
}
