//! The configuration file: read, checked whole, and turned into a [`Config`] that cannot be wrong. docs/reference/agent.md is
//! the reference.

pub mod keys;
mod read;
mod sources;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use lb_config::logging::LogLevel;
use lb_config::{ConfigError, Problems, read_file};

use crate::measure;

/// Most load balancers.
pub const MAX_LOAD_BALANCERS: usize = 64;
/// Most interfaces.
pub const MAX_INTERFACES: usize = 64;
/// What `report_interval` can be.
pub const REPORT_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// What `stop_delay` can be.
pub const STOP_DELAY_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
/// What `source_timeout` can be.
pub const SOURCE_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);
/// The fastest link, in Mbit/s.
pub const MAX_LINK_SPEED: u64 = 10_000_000;

/// Where the configuration file is expected.
pub const DEFAULT_CONFIG: &str = "/etc/understudy/agent.toml";
/// `key_file` unless the file says otherwise.
pub const DEFAULT_KEY_FILE: &str = "/etc/understudy/keys";
/// `report_interval` unless the file says otherwise.
pub const DEFAULT_REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// `source_timeout` unless the file says otherwise.
pub const DEFAULT_SOURCE_TIMEOUT: Duration = Duration::from_secs(2);
/// `state_dir` unless the file says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/understudy-agent";
/// `run_dir` unless the file says otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/understudy-agent";
/// The control socket, in `run_dir`.
pub const SOCKET_NAME: &str = "lb-agent.sock";

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The real's name, as the load balancers have it.
    pub name: String,
    /// Who is told, each once.
    pub load_balancers: Vec<SocketAddr>,
    /// The keys that reports are signed with.
    pub key_file: PathBuf,
    /// From one report to the next.
    pub report_interval: Duration,
    /// From the word that this real stops to its end.
    pub stop_delay: Duration,
    /// What is measured.
    pub measure: measure::Options,
    /// What takes a restart to change.
    pub fixed: Fixed,
}

/// What takes a restart to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Where load balancers that ask are answered.
    pub agent_check_listen: Option<SocketAddr>,
    /// Where the generation is kept.
    pub state_dir: PathBuf,
    /// Where the control socket is.
    pub run_dir: PathBuf,
    /// What is logged.
    pub log: LogLevel,
}

impl Fixed {
    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join(SOCKET_NAME)
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file cannot be read, or it is wrong; the error's text shows everything that is.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &read_file(path)?)
    }

    /// Checks a file's text. `path` is for messages only.
    ///
    /// # Errors
    /// The text is wrong.
    pub fn parse(path: &Path, source: &str) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let config = read::read(source, &mut problems);
        problems.refuse(path, source, config)
    }
}
