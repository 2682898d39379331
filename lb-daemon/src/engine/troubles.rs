//! What does not work right now. Each trouble is logged once when it comes and once when it goes, however often it is
//! found, and stands among the warnings of `lbctl status` in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use lb_core::api::Warning;
use tracing::{info, warn};

/// The troubles of now, by what they are about.
#[derive(Debug, Default)]
pub struct Troubles {
    by_subject: BTreeMap<String, Trouble>,
}

#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    message: String,
    degraded: bool,
}

impl Troubles {
    /// Something does not work, and packets are lost or a change would not survive.
    pub fn degraded(&mut self, subject: impl Into<String>, message: impl Into<String>) {
        self.set(subject.into(), message.into(), true);
    }

    /// Something is not as it should be.
    pub fn warning(&mut self, subject: impl Into<String>, message: impl Into<String>) {
        self.set(subject.into(), message.into(), false);
    }

    /// It works.
    pub fn clear(&mut self, subject: &str) {
        if self.by_subject.remove(subject).is_some() {
            info!("{subject}: all well again");
        }
    }

    /// It is no longer anybody's business: the subject is gone.
    pub fn forget(&mut self, subject: &str) {
        self.by_subject.remove(subject);
    }

    /// The troubles whose subjects begin so.
    pub fn subjects(&self, prefix: &str) -> BTreeSet<String> {
        let from_there =
            self.by_subject.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).map(|(subject, _)| subject);
        from_there.take_while(|subject| subject.starts_with(prefix)).cloned().collect()
    }

    /// What is said of a subject.
    #[must_use]
    pub fn message(&self, subject: &str) -> Option<&str> {
        self.by_subject.get(subject).map(|trouble| trouble.message.as_str())
    }

    /// Something that should work does not.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.by_subject.values().any(|trouble| trouble.degraded)
    }

    /// All of them, for the API.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let warning = |(subject, trouble): (&String, &Trouble)| Warning {
            subject: subject.clone(),
            message: trouble.message.clone(),
            degraded: trouble.degraded,
        };
        self.by_subject.iter().map(warning).collect()
    }

    fn set(&mut self, subject: String, message: String, degraded: bool) {
        let trouble = Trouble { message, degraded };
        if self.by_subject.get(&subject) != Some(&trouble) {
            warn!("{subject}: {}", trouble.message);
            self.by_subject.insert(subject, trouble);
        }
    }
}
