//! `GET /v1/reports`: what was received of what the reals say of themselves.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Count;

/// What came in, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reports {
    /// Where reports are taken; empty when none are.
    pub listen: Vec<SocketAddr>,
    /// Reports that were taken, since the daemon started.
    pub accepted: u64,
    /// Datagrams that were refused, by reason, those with count 0 too. Since the daemon started.
    pub refused: Vec<Count>,
    /// The reals that have reported.
    pub senders: Vec<Sender>,
    /// The agents that are asked.
    pub agent_checks: Vec<AgentCheck>,
}

/// A real that has reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sender {
    /// The real's name.
    pub real: String,
    /// Generation of its newest report: when its agent started, in microseconds since 1970.
    pub generation: u64,
    /// Number of its newest report in that generation.
    pub sequence: u64,
    /// How often it says that it reports, in seconds.
    pub interval_seconds: f64,
    /// Seconds since its newest report.
    pub age_seconds: f64,
}

/// An agent that is asked by HAProxy's agent-check protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentCheck {
    /// The real's name.
    pub real: String,
    /// Where the agent listens.
    pub address: SocketAddr,
    /// What it said last; none before its first answer.
    pub answer: Option<String>,
    /// Why it could not be asked the last time, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Seconds since its last answer.
    pub age_seconds: Option<f64>,
}
