//! `GET /v1/status`: how the daemon is.

use serde::{Deserialize, Serialize};

use super::{CheckpointStatus, PairStatus};

words! {
    /// How the XDP program runs on an interface.
    AttachMode {
        /// In the driver, before the kernel makes a socket buffer.
        Driver = "driver",
        /// In the kernel's generic path: works with every driver, and is slower.
        Generic = "generic",
    }
}

words! {
    /// What the daemon found in the BPF directory when it started.
    Adoption {
        /// Nothing: the maps are new.
        Fresh = "fresh",
        /// Maps that fit: they are used on, with their flows and counters.
        Adopted = "adopted",
        /// Maps that do not fit this version or configuration: they were replaced.
        Replaced = "replaced",
    }
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// The scheduling table's generation: grows with each change.
    pub generation: u64,
    /// The configuration file.
    pub config_path: String,
    /// Seconds since the configuration in use was loaded.
    pub config_age_seconds: u64,
    /// Something that should work does not: [`Status::warnings`] says what.
    pub degraded: bool,
    /// What an operator should know, each in one line that says what to do.
    pub warnings: Vec<Warning>,
    /// The interfaces of the configuration.
    pub interfaces: Vec<Interface>,
    /// What was found in the BPF directory at the start.
    pub adoption: Adoption,
    /// Why the maps were replaced, when they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption_reason: Option<String>,
    /// Where the maps are pinned.
    pub bpf_dir: String,
    /// Whether the administrative state is on disk.
    pub state: StateFile,
    /// Number of services.
    pub services: u32,
    /// Number of reals.
    pub reals: u32,
    /// Flows in the flow table, as counted by the last sweep.
    pub flows: u64,
    /// Flows that the flow table can hold.
    pub flow_limit: u64,
    /// The pair that the node is in; none when it is solo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairStatus>,
    /// Checkpoints; none where none are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about: an interface, a VIP, a real or a file.
    pub subject: String,
    /// What is wrong and what to do.
    pub message: String,
    /// It makes the daemon degraded: packets are lost, or a change would not survive.
    pub degraded: bool,
}

/// An interface of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How the program runs on it; none while it is not attached.
    pub mode: Option<AttachMode>,
    /// Why the program is not attached, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether the administrative state is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// The file.
    pub path: String,
    /// The newest state is in the file.
    pub saved: bool,
    /// Why it is not, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
