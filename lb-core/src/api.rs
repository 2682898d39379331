//! The JSON of the daemon's HTTP API, shared by `lbd`, which writes it, and its clients.
//!
//! The API is HTTP over a unix socket. Every path is under `/v1/`; within version 1 fields and enum values are only
//! added, so a client must ignore fields that it does not know. A request that fails has a status of 400 or above and
//! an [`ErrorBody`].
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/services` | [`ServiceList`] |
//! | `GET /v1/reals` | [`RealList`] |
//! | `GET /v1/flows?vip=ADDRESS&limit=N` (both optional) | [`FlowList`] |
//! | `GET /v1/stats` | [`Stats`] |
//! | `GET /v1/drops` | [`Drops`] |
//! | `GET /v1/table` | [`TableReport`] |
//! | `GET /v1/reals/NAME/explain` | [`Explanation`] |
//! | `GET /v1/reports` | [`Reports`] |
//! | `GET /v1/pair` | [`Pair`] |
//! | `GET /v1/paths` | [`Paths`] |
//! | `GET /v1/events?limit=N` (optional) | [`Events`] |
//! | `GET /v1/checkpoint` | [`Checkpoint`] |
//! | `GET /v1/checkpoint/list` | [`CheckpointFiles`] |
//! | `GET /v1/checkpoint/content` | all that the checkpoint says: docs/reference/api.md |
//! | `GET /v1/checkpoint/advise` | [`Advice`] |
//! | `GET /v1/history?since=UNIX_MS` (optional) | [`History`] |
//! | `GET /metrics` | text for Prometheus: docs/reference/metrics.md |
//! | `GET /v1/simulate?from=ADDRESS:PORT&to=VIP:PORT&protocol=P&syn=B` (the last two optional) | [`Simulation`] |
//! | `GET /v1/trace?vip=ADDRESS&port=N&client=PREFIX&count=N&seconds=N&frames=B` (all but `vip` optional) | [`TraceLine`]s |
//! | `GET /v1/doctor` | [`Diagnosis`] |
//! | `POST /v1/reals/NAME/admin` with [`SetAdmin`] | [`RealChanged`] |
//! | `POST /v1/reals/NAME/weight` with [`SetWeight`] | [`RealChanged`] |
//! | `POST /v1/pair/handover` with [`Handover`] | [`PairChanged`] |
//! | `POST /v1/pair/hold` with [`Hold`] | [`PairChanged`] |
//! | `POST /v1/pair/restart` with [`Restart`] | [`PairChanged`] |
//! | `POST /v1/checkpoint/now` (no body) | [`CheckpointTaken`] |
//! | `POST /v1/checkpoint/verify` with [`VerifyCheckpoint`] | [`CheckpointVerified`] |
//! | `POST /v1/checkpoint/import` with what `content` answers | [`CheckpointImported`] |
//! | `GET /v1/config` | [`ConfigInUse`] |
//! | `GET /v1/config/diff` | [`ConfigDiff`] |
//! | `POST /v1/services?persist=B` (optional) with a [`ConfigItem`] | [`ConfigChanged`] |
//! | `POST /v1/reals?persist=B` (optional) with a [`ConfigItem`] | [`ConfigChanged`] |
//! | `DELETE /v1/services/NAME?persist=B` (optional) | [`ConfigChanged`] |
//! | `DELETE /v1/reals/NAME?persist=B` (optional) | [`ConfigChanged`] |
//! | `POST /v1/reload` (no body) | [`Reloaded`] |

/// Names, in JSON and in print, of an enum's values.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that JSON has for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

mod checkpoint;
mod config;
mod doctor;
mod events;
mod history;
mod pair;
mod paths;
mod reals;
mod reports;
mod services;
mod simulate;
mod status;
mod table;
mod trace;
mod traffic;

pub use checkpoint::{
    Advice, AdviceInput, AdvicePoint, Checkpoint, CheckpointFile, CheckpointFileKind, CheckpointFiles,
    CheckpointImported, CheckpointOrigin, CheckpointRole, CheckpointStatus, CheckpointSync, CheckpointTaken,
    CheckpointVerified, Commit, FlowsKept, FullProgress, IntervalInUse, RefusedCheckpoint, RestoredCheckpoint,
    StoreState, StreamState, ValueOrigin, VerifiedFile, VerifyCheckpoint,
};
pub use config::{ConfigChange, ConfigChangeKind, ConfigChanged, ConfigDiff, ConfigInUse, ConfigItem, ConfigItemKind};
pub use doctor::{Diagnosis, Finding, Severity, Skipped};
pub use events::{Event, Events, Happening};
pub use history::{History, Series, SeriesOf};
pub use pair::{
    Detection, Handover, Hold, Lease, LeaseService, NodeState, Pair, PairChanged, PairPeer, PairStatus, PeerHealth,
    PeerSays, Restart, Role, Stalls, Sync, SyncState,
};
pub use paths::{Path, PathCounters, PathKind, PathState, Paths, Quality, Rtt};
pub use reals::{AdminState, NextHop, Real, RealChanged, RealList, SetAdmin, SetWeight};
pub use reports::{AgentCheck, Reports, Sender};
pub use services::{
    Affinity, Guards, Mode, NewFlowLimit, Ports, Protocol, QuicEncoding, Service, ServiceList, ServiceReal, SlotStates,
    SynFlood,
};
pub use simulate::{Fate, FoundBy, Simulation};
pub use status::{Adoption, AttachMode, Interface, StateFile, Status, Warning};
pub use table::{Availability, CheckState, Explanation, Health, TableReal, TableReport, TableService, Why};
pub use trace::{DEFAULT_TRACE_SECONDS, MAX_TRACE_COUNT, MAX_TRACE_SECONDS, TraceLine, TraceVerdict, TracedPacket};
pub use traffic::{Count, Counters, Drops, Flow, FlowList, FlowState, NamedCounters, Stats};

use serde::{Deserialize, Serialize};

/// Where `lbd` listens unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/understudy/lbd.sock";
/// Flows that `GET /v1/flows` answers with when the request names no limit.
pub const DEFAULT_FLOW_LIMIT: u32 = 100;
/// The highest limit that `GET /v1/flows` takes.
pub const MAX_FLOW_LIMIT: u32 = 100_000;
/// Events that `GET /v1/events` answers with when the request names no limit.
pub const DEFAULT_EVENT_LIMIT: u32 = 50;
/// Most events that the daemon keeps at hand: the highest limit that `GET /v1/events` takes.
pub const MAX_EVENT_LIMIT: u32 = 1_000;
/// The longest grace that `POST /v1/pair/restart` takes, in milliseconds.
pub const MAX_RESTART_GRACE_MS: u64 = 60_000;
/// The largest checkpoint that `POST /v1/checkpoint/import` takes, in bytes of JSON.
pub const MAX_CHECKPOINT_CONTENT: usize = 512 << 20;

/// The paths of the API.
pub mod path {
    /// [`super::Status`].
    pub const STATUS: &str = "/v1/status";
    /// [`super::ServiceList`].
    pub const SERVICES: &str = "/v1/services";
    /// [`super::RealList`].
    pub const REALS: &str = "/v1/reals";
    /// [`super::FlowList`].
    pub const FLOWS: &str = "/v1/flows";
    /// [`super::Stats`].
    pub const STATS: &str = "/v1/stats";
    /// [`super::Drops`].
    pub const DROPS: &str = "/v1/drops";
    /// [`super::TableReport`].
    pub const TABLE: &str = "/v1/table";
    /// [`super::Reports`].
    pub const REPORTS: &str = "/v1/reports";
    /// [`super::Pair`].
    pub const PAIR: &str = "/v1/pair";
    /// [`super::Paths`].
    pub const PATHS: &str = "/v1/paths";
    /// [`super::Events`].
    pub const EVENTS: &str = "/v1/events";
    /// [`super::Diagnosis`].
    pub const DOCTOR: &str = "/v1/doctor";
    /// [`super::TraceLine`]s.
    pub const TRACE: &str = "/v1/trace";
    /// [`super::Simulation`].
    pub const SIMULATE: &str = "/v1/simulate";
    /// Where to post a [`super::Handover`].
    pub const HANDOVER: &str = "/v1/pair/handover";
    /// Where to post a [`super::Hold`].
    pub const HOLD: &str = "/v1/pair/hold";
    /// Where to post a [`super::Restart`].
    pub const RESTART: &str = "/v1/pair/restart";
    /// [`super::Checkpoint`].
    pub const CHECKPOINT: &str = "/v1/checkpoint";
    /// [`super::CheckpointFiles`].
    pub const CHECKPOINT_LIST: &str = "/v1/checkpoint/list";
    /// All that the checkpoint says.
    pub const CHECKPOINT_CONTENT: &str = "/v1/checkpoint/content";
    /// [`super::Advice`].
    pub const CHECKPOINT_ADVISE: &str = "/v1/checkpoint/advise";
    /// Where to post for a [`super::CheckpointTaken`].
    pub const CHECKPOINT_NOW: &str = "/v1/checkpoint/now";
    /// Where to post a [`super::VerifyCheckpoint`].
    pub const CHECKPOINT_VERIFY: &str = "/v1/checkpoint/verify";
    /// Where to post what [`CHECKPOINT_CONTENT`] answers.
    pub const CHECKPOINT_IMPORT: &str = "/v1/checkpoint/import";
    /// [`super::ConfigInUse`].
    pub const CONFIG: &str = "/v1/config";
    /// [`super::ConfigDiff`].
    pub const CONFIG_DIFF: &str = "/v1/config/diff";
    /// [`super::History`].
    pub const HISTORY: &str = "/v1/history";
    /// All that is counted and measured, in the text format of Prometheus.
    pub const METRICS: &str = "/metrics";
    /// [`super::Reloaded`].
    pub const RELOAD: &str = "/v1/reload";

    /// One service, to be removed.
    #[must_use]
    pub fn service(name: &str) -> String {
        format!("{SERVICES}/{name}")
    }

    /// One real, to be removed.
    #[must_use]
    pub fn real(name: &str) -> String {
        format!("{REALS}/{name}")
    }

    /// [`super::Explanation`].
    #[must_use]
    pub fn explain(real: &str) -> String {
        format!("{REALS}/{real}/explain")
    }

    /// Where to post a [`super::SetAdmin`]. A valid name of a real needs no escaping.
    #[must_use]
    pub fn admin(real: &str) -> String {
        format!("{REALS}/{real}/admin")
    }

    /// Where to post a [`super::SetWeight`].
    #[must_use]
    pub fn weight(real: &str) -> String {
        format!("{REALS}/{real}/weight")
    }
}

/// What a client gets when its request fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What failed, with which input. May have several lines (a refused configuration file).
    pub error: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The outcome of a reload that was taken over. A refused one is an [`ErrorBody`], and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The generation after it.
    pub generation: u64,
    /// Something did change.
    pub changed: bool,
    /// What to know: a key that only a restart changes, say.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_real() {
        assert_eq!(path::explain("web1"), "/v1/reals/web1/explain");
        assert_eq!(path::admin("web-1"), "/v1/reals/web-1/admin");
        assert_eq!(path::weight("web.1"), "/v1/reals/web.1/weight");
    }
}
