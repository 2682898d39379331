//! What a real's agent has said by HAProxy's agent-check protocol.
//!
//! As with HAProxy, what an answer does not mention stays as it was, `ready` ends `drain` and `maint`, only `up` ends `down`, `fail` and
//! `stopped`, and an agent that does not answer changes nothing.

use serde::{Deserialize, Serialize};

use crate::agent_check::{Admin, Answer, Health};

/// What is known by the agent-check of one real.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// What counts until it says otherwise.
    said: SavedAgent,
    reason: Option<String>,
    last: Option<(Answer, u64)>,
    error: Option<String>,
    failures: u32,
}

/// The words of a real's agent that count until it says others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedAgent {
    /// Whether it wants new flows.
    pub admin: Option<Admin>,
    /// Whether it serves.
    pub health: Option<Health>,
    /// The share of its weight that it asks for, in percent.
    pub percent: Option<u32>,
}

impl Agent {
    pub(super) fn restored(said: SavedAgent) -> Self {
        Self { said, ..Self::default() }
    }

    pub(super) fn saved(&self) -> SavedAgent {
        self.said
    }

    pub(super) fn take(&mut self, result: Result<&Answer, &str>, now_ms: u64) {
        match result {
            Ok(answer) => {
                let SavedAgent { admin, health, percent } = self.said;
                self.said = SavedAgent {
                    admin: answer.admin.or(admin),
                    health: answer.health.or(health),
                    percent: answer.weight.or(percent),
                };
                if answer.admin.is_some() || answer.health.is_some() {
                    self.reason.clone_from(&answer.reason);
                }
                self.last = Some((answer.clone(), now_ms));
                self.error = None;
                self.failures = 0;
            }
            Err(error) => {
                self.error = Some(error.to_owned());
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// Why the real takes no new flows, by what the agent says; `None`: it takes them.
    pub(super) fn refuses(&self) -> Option<String> {
        let admin = self.said.admin.filter(|admin| *admin != Admin::Ready).map(Admin::word);
        let health = self.said.health.filter(|health| *health != Health::Up).map(Health::word);
        let why = self.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        match health.or(admin) {
            Some(word) => Some(format!("its agent says {word}{why}")),
            None => (self.said.percent == Some(0)).then(|| "its agent asks for 0% of its weight".to_owned()),
        }
    }

    /// The share of its configured weight that the agent asks for; 1.0 is all of it.
    #[must_use]
    pub fn asked(&self) -> Option<f64> {
        self.said.percent.map(|percent| f64::from(percent) / 100.0)
    }

    /// The last answer, and when it came, in milliseconds.
    #[must_use]
    pub fn last(&self) -> Option<(&Answer, u64)> {
        self.last.as_ref().map(|(answer, at_ms)| (answer, *at_ms))
    }

    /// Why the agent did not answer the last time.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}
