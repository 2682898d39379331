//! The configuration file: read, checked whole, and turned into a [`Config`] that cannot be wrong.
//!
//! `raw` reads values of the right type out of the TOML, `validate` decides what they mean together. Both go on after an
//! error, so that one `lbd check` shows everything that is wrong. docs/reference/config.md is the reference.

mod bounds;
pub mod checkpoint;
mod files;
pub mod keys;
pub mod live;
pub mod manual;
pub mod pair;
mod raw;
#[cfg(test)]
mod tests;
mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use lb_config::logging::LogLevel;
use lb_config::{ConfigError, Problems, keys as key_files, read_file};
use lb_core::monitoring::Monitoring;
use lb_core::service::Cluster;

pub use bounds::*;
pub use checkpoint::{CheckpointInterval, CheckpointPlace, CheckpointSettings};
pub use live::Origin;
pub use pair::{HookSettings, PairSettings, PathSettings, SerialWay, TrackSettings, UdpWay, VipGroup, Way};

/// The API's socket, in `run_dir`.
pub const SOCKET_NAME: &str = "lbd.sock";

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The services and the reals.
    pub cluster: Cluster,
    /// How the reals are watched.
    pub monitoring: Monitoring,
    /// Everything else.
    pub settings: Settings,
    /// What all of it was made of.
    pub origin: Origin,
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
    /// How often reals are checked where a check does not say otherwise.
    pub monitor_interval: Duration,
    /// Reports of reals; `None`: none are taken.
    pub reports: Option<ReportSettings>,
    /// The pair that this node is in; `None`: it is solo.
    pub pair: Option<PairSettings>,
    /// Checkpoints of what the node has learned; `None`: none are kept. A pair always has them.
    pub checkpoint: Option<CheckpointSettings>,
    /// The limits of the maps.
    pub limits: Limits,
    /// Who may use the API beside root.
    pub api_group: Option<Group>,
    /// Members of this group may look at the API, and change nothing.
    pub api_readers: Option<Group>,
    /// Where the status page and the metrics are served over TCP; empty: nowhere.
    pub http: Vec<SocketAddr>,
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

/// How reports of reals come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// Where they are waited for; at least one address, none twice.
    pub listen: Vec<SocketAddr>,
    /// The keys that authenticate them.
    pub key_file: PathBuf,
    /// Most reports that are taken from one real in a second.
    pub rate_limit: u32,
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
        Self::parse_on(path, &read_file(path)?, &Host::THIS)
    }

    /// Checks a file's text. `path` is for messages only; `group_id` finds a group of the host by its name. Keys of QUIC services are not read: they
    /// are zero.
    ///
    /// # Errors
    /// The text is wrong.
    pub fn parse(path: &Path, source: &str, group_id: &dyn Fn(&str) -> Option<u32>) -> Result<Self, ConfigError> {
        Self::parse_on(path, source, &Host { group_id, quic_key: &|_| Ok([0; key_files::AES_KEY_SIZE]) })
    }

    fn parse_on(path: &Path, source: &str, host: &Host<'_>) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let raw = raw::read(source, &mut problems);
        let config = validate::validate(raw, host, &mut problems);
        let origin = Origin { file: source.to_owned(), ..Origin::default() };
        problems.refuse(path, source, config.map(|config| Self { origin, ..config }))
    }
}

/// What a configuration asks its host for.
struct Host<'a> {
    /// The id of a group by its name.
    group_id: &'a dyn Fn(&str) -> Option<u32>,
    /// The key in the file of a QUIC service.
    quic_key: validate::ReadKey<'a>,
}

impl Host<'static> {
    /// The one that this process is on.
    const THIS: Self = Self { group_id: &group_id, quic_key: &quic_key };
}

fn quic_key(file: &Path) -> Result<[u8; key_files::AES_KEY_SIZE], String> {
    key_files::read_aes128(file).map_err(|error| error.to_string())
}

fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}
