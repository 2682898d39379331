//! `GET /v1/table` and `GET /v1/reals/NAME/explain`: the scheduling table, and why it is as it is.

use serde::{Deserialize, Serialize};

use super::AdminState;

words! {
    /// Whether a real can serve.
    Health {
        /// Its checks succeed.
        Up = "up",
        /// It is up in some of its services and down in others.
        Partly = "partly",
        /// It gets no new flows: a check or an agent says that it is down.
        Down = "down",
        /// It came by a reload and has not been checked yet.
        Joining = "joining",
        /// Nothing checks it, or nothing has yet: it counts as up.
        Unchecked = "unchecked",
    }
}

/// What a client takes for the health that an older daemon does not tell.
impl Default for Health {
    fn default() -> Self {
        Self::Unchecked
    }
}

words! {
    /// What a real said of itself last.
    Availability {
        /// It serves.
        Alive = "alive",
        /// It wants no new flows and keeps those that it has.
        Drain = "drain",
        /// It is about to stop.
        Stop = "stop",
    }
}

words! {
    /// Why a real has its weight.
    Why {
        /// By its load, and there is nothing to move.
        Steady = "steady",
        /// By its load, on its way to another weight.
        Moving = "moving",
        /// By its load, as low as it gets.
        Floor = "floor",
        /// It has too little to do to tell its capacity.
        Idle = "idle",
        /// Reports are missing: the weight is held.
        Held = "held",
        /// It has not reported for so long that the mean weight is used.
        Expired = "expired",
        /// It has never reported.
        NoReports = "no-reports",
        /// It has come lately, and is eased in.
        SlowStart = "slow-start",
        /// An agent-check asks for it.
        Asked = "asked",
        /// It is configured, or set by an operator, and load does not move it.
        Static = "static",
        /// It gets no new flows.
        NotEligible = "not-eligible",
    }
}

/// The scheduling table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// Grows with each change.
    pub generation: u64,
    /// The reals, in the order of the configuration file.
    pub reals: Vec<TableReal>,
}

/// What is known of one real, and what follows. What is not known is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableReal {
    /// Its name.
    pub name: String,
    /// What the operator says of it.
    pub admin: AdminState,
    /// Whether it can serve, over all its services.
    pub health: Health,
    /// Why it is not up, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_reason: Option<String>,
    /// Seconds since its newest report, or its agent's newest answer.
    pub report_age_seconds: Option<f64>,
    /// What it said of itself.
    pub availability: Option<Availability>,
    /// CPU time used, as a share: 1.0 is all of it.
    pub cpu: Option<f64>,
    /// Time for which some task waited for memory, as a share.
    pub memory: Option<f64>,
    /// Traffic received, as a share of what the link carries.
    pub network_in: Option<f64>,
    /// Traffic sent, as a share of what the link carries.
    pub network_out: Option<f64>,
    /// The measure of the operator's own, as a share.
    pub custom: Option<f64>,
    /// Hits per second, smoothed: reported, or else new flows as counted here.
    pub hits: Option<f64>,
    /// Utilisation of the busiest resource, smoothed; 1.0 is all of it.
    pub utilisation: Option<f64>,
    /// Hits per second that it could serve.
    pub capacity: Option<f64>,
    /// The real's weight by the configuration, or the operator's in its place.
    pub configured_weight: u32,
    /// The weight in use, in the same unit; 0 while it gets no new flows.
    pub weight: f64,
    /// The weight that it is on its way to.
    pub next_weight: f64,
    /// It is overloaded for the moment: new flows take their second slot where they can.
    pub hot: bool,
    /// Why it has its weight.
    pub why: Why,
    /// The same in words.
    pub why_text: String,
    /// The services that it is a member of.
    pub services: Vec<TableService>,
}

/// A real in one of its services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableService {
    /// The service's name.
    pub service: String,
    /// Whether the real can serve it.
    pub health: Health,
    /// Slots of the service that send new flows to the real.
    pub slots: u32,
    /// What the checks say.
    pub checks: Vec<CheckState>,
}

/// One check of a real in a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckState {
    /// The check's name.
    pub name: String,
    /// What its last outcomes come to, by `rise` and `fall`; none before the first.
    pub up: Option<bool>,
    /// Whether the last one succeeded; none before the first.
    pub passed: Option<bool>,
    /// Why the last one failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// So many outcomes in a row were the same.
    pub in_a_row: u32,
    /// Seconds since the last one.
    pub age_seconds: Option<f64>,
    /// How long the last success took, in seconds.
    pub latency_seconds: Option<f64>,
}

/// Why a real has its weight, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The real's name.
    pub real: String,
    /// One fact each, the most important first.
    pub lines: Vec<String>,
}
