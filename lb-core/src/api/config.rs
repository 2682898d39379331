//! `GET /v1/config`, and what changes services and reals beside the file.

use serde::{Deserialize, Serialize};

words! {
    /// What can be added and removed while the daemon runs.
    #[derive(PartialOrd, Ord)]
    ConfigItemKind {
        /// A real server.
        Real = "real",
        /// A service.
        Service = "service",
    }
}

words! {
    /// How something differs from the file.
    ConfigChangeKind {
        /// The file does not have it.
        Added = "added",
        /// The file has it otherwise.
        Replaced = "replaced",
        /// The file alone has it.
        Removed = "removed",
    }
}

/// A service or real as in the configuration: a `[[service]]` or `[[real]]`, as JSON.
pub type ConfigItem = serde_json::Value;

/// The configuration that is in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigInUse {
    /// The configuration file.
    pub file: String,
    /// The configuration as TOML: the file's own text where nothing was changed beside it.
    pub text: String,
    /// The reals.
    pub reals: Vec<ConfigItem>,
    /// The services.
    pub services: Vec<ConfigItem>,
}

/// What differs from the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigDiff {
    /// The configuration file.
    pub file: String,
    /// The file is not what it was when it was taken over: a reload would take over what it says now.
    pub file_edited: bool,
    /// Why changes that should persist are not in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// Each service and real that is not as the file said.
    pub changes: Vec<ConfigChange>,
}

/// A service or real that is not as the file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// What it is.
    pub kind: ConfigItemKind,
    /// Its name.
    pub name: String,
    /// How it differs.
    pub change: ConfigChangeKind,
    /// It outlives restarts and reloads.
    pub persistent: bool,
    /// What the file says: lines of TOML, a key each. Empty: nothing.
    pub before: Vec<String>,
    /// What is in use. Empty: nothing.
    pub after: Vec<String>,
}

/// The outcome of a change of a service or real.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanged {
    /// The generation after it.
    pub generation: u64,
    /// Something is different now.
    pub changed: bool,
    /// It outlives restarts and reloads.
    pub persistent: bool,
    /// What to know: that the peer does not have the change, say.
    pub warnings: Vec<String>,
}
