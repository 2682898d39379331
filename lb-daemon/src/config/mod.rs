//! The configuration file: read, checked whole, and turned into a [`Config`] that cannot be wrong.
//!
//! `raw` reads values of the right type out of the TOML, `validate` decides what they mean together. Both go on after an
//! error, so that one `lbd check` shows everything that is wrong. docs/reference/config.md is the reference.

pub mod keys;
mod raw;
#[cfg(test)]
mod tests;
mod validate;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use lb_config::logging::LogLevel;
use lb_config::{ConfigError, Problems, read_file};
use lb_core::service::Cluster;

/// Most interfaces.
pub const MAX_INTERFACES: usize = 64;
/// The highest weight.
pub const MAX_WEIGHT: u32 = lb_core::service::MAX_WEIGHT;
/// What `limits.reals` can be: an id has 16 bits, and id 0 is no real.
pub const REALS_RANGE: RangeInclusive<u32> = 1..=lb_common::LIMIT_MAX_REALS - 1;
/// What `limits.flows` can be.
pub const FLOWS_RANGE: RangeInclusive<u32> = 1_024..=16_777_216;
/// What `flow_idle_timeout` can be.
pub const FLOW_IDLE_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// `flow_idle_timeout` unless the file says otherwise; as IPVS has it.
pub const DEFAULT_FLOW_IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// `limits.reals` unless the file says otherwise.
pub const DEFAULT_REALS: u32 = lb_common::DEFAULT_MAX_REALS - 1;
/// `state_dir` unless the file says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/understudy";
/// `run_dir` unless the file says otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/understudy";
/// `bpf_dir` unless the file says otherwise.
pub const DEFAULT_BPF_DIR: &str = "/sys/fs/bpf/understudy";
/// The API's socket, in `run_dir`.
pub const SOCKET_NAME: &str = "lbd.sock";

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The services and the reals.
    pub cluster: Cluster,
    /// Everything else.
    pub settings: Settings,
}

/// What a configuration says beside services and reals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Interfaces that get the XDP program; at least one, none twice.
    pub interfaces: Vec<String>,
    /// How the program is attached.
    pub attach_mode: AttachMode,
    /// Where the administrative state is kept.
    pub state_dir: PathBuf,
    /// Where the socket and the lock are.
    pub run_dir: PathBuf,
    /// Where the maps, the program and its links are pinned.
    pub bpf_dir: PathBuf,
    /// How long a flow without packets is remembered.
    pub flow_idle_timeout: Duration,
    /// The limits of the maps.
    pub limits: Limits,
    /// Who may use the API beside root.
    pub api_group: Option<Group>,
    /// What is logged.
    pub log: LogLevel,
    /// The XDP program logs its own decisions.
    pub bpf_log: bool,
}

impl Settings {
    /// The API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join(SOCKET_NAME)
    }
}

/// The limits of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most reals.
    pub reals: u32,
    /// Most flows in the flow table.
    pub flows: u32,
}

/// A group of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub gid: u32,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver where it can, else in the kernel's generic path.
    Auto,
    /// In the driver or not at all.
    Driver,
    /// In the kernel's generic path.
    Generic,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file cannot be read, or it is wrong; the error's text shows everything that is.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &read_file(path)?, &group_id)
    }

    /// Checks a file's text. `path` is for messages only; `group_id` finds a group of the host by its name.
    ///
    /// # Errors
    /// The text is wrong.
    pub fn parse(path: &Path, source: &str, group_id: &dyn Fn(&str) -> Option<u32>) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let raw = raw::read(source, &mut problems);
        let config = validate::validate(raw, group_id, &mut problems);
        problems.refuse(path, source, config)
    }
}

fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}
