//! What `[pair]` says, checked: with whom this node shares its VIPs, over which paths, and how.

pub(super) mod line;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_core::pair::{Micros, Options, PathKind, PathOptions, Role, detection_time};

/// How this node takes part in a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSettings {
    /// What the configuration makes of this node.
    pub role: Role,
    /// The keys that authenticate the peer's frames; the first signs.
    pub key_file: PathBuf,
    /// Its paths, by [`lb_core::pair::PathId`]: at least one, [`lb_core::pair::MAX_PATHS`] at most.
    pub paths: Vec<PathSettings>,
    /// Where the VIPs are put when this node is active: each VIP of a service is in one group.
    pub vip_groups: Vec<VipGroup>,
    /// What this node's fitness is made of.
    pub track: TrackSettings,
    /// The programs that are run when the state changes.
    pub hooks: HookSettings,
    /// A primary that is standby takes the VIPs back by itself.
    pub preempt: bool,
    /// How long a node must have been fit and in sync before the VIPs move to it without need.
    pub failback_delay: Duration,
    /// How long a node that starts and hears nobody waits before it serves.
    pub start_wait: Duration,
    /// How long the lease runs after each renewal. Shorter than the earliest takeover.
    pub lease: Duration,
    /// How long a yielding node forwards what still comes.
    pub drain: Duration,
    /// How long an offered handover may take.
    pub handover_timeout: Duration,
    /// Whether it is asked at start, before the VIPs are claimed, if another host has one of them.
    pub duplicate_detection: bool,
    /// How often an active node announces its VIPs after the first announcements.
    pub announce_interval: Duration,
}

/// One path to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSettings {
    /// By what the frames go.
    pub way: Way,
    /// Tb: how often the peer is asked.
    pub interval: Duration,
    /// W: after which an ask without its ack is a miss. Shorter than the interval.
    pub ack_timeout: Duration,
    /// n: misses in a row that make the path silent.
    pub missed_limit: u32,
    /// Acks in a row that bring the path up again.
    pub rise: u32,
    /// Misses in a row that bring the path down. Not less than the missed limit.
    pub fall: u32,
}

/// By what a path's frames go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By datagrams.
    Udp(UdpWay),
    /// By a serial line.
    Serial(SerialWay),
}

/// Datagrams on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpWay {
    /// The only interface that they go by.
    pub interface: String,
    /// This node's address and port, of the peer's family.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
}

/// A serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialWay {
    /// The device.
    pub device: PathBuf,
    /// Bits per second; a byte takes ten of them.
    pub baud: u32,
}

/// VIPs that are on one interface. All groups move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipGroup {
    /// What messages call the group.
    pub name: String,
    /// The interface that gets the addresses, and on which they are announced.
    pub interface: String,
    /// The addresses, VIPs of services and then gateways, each with a prefix of its full length; none twice.
    pub vips: Vec<IpAddr>,
}

/// What a node's fitness is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSettings {
    /// Interfaces that must have a carrier.
    pub interfaces: Vec<String>,
    /// Addresses that must answer; empty: none is asked.
    pub gateways: Vec<IpAddr>,
    /// How often they are asked.
    pub gateway_interval: Duration,
    /// The node is less fit with fewer healthy reals than this; 0: they do not count.
    pub min_healthy_reals: u32,
}

/// The programs that are run when the state changes, each with its arguments and without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// Run after each change of state; `None`: none is.
    pub notify: Option<Vec<String>>,
    /// Run before the VIPs are taken from a peer that could not be asked; `None`: none is.
    pub fence: Option<Vec<String>>,
    /// After which a program is killed.
    pub timeout: Duration,
    /// No takeover without a `fence` that has succeeded.
    pub fence_required: bool,
}

impl PairSettings {
    /// How each path is watched.
    #[must_use]
    pub fn path_options(&self) -> Vec<PathOptions> {
        self.paths.iter().map(PathSettings::options).collect()
    }

    /// How the node takes part, started as generation `boot`.
    #[must_use]
    pub fn options(&self, boot: u32) -> Options {
        Options {
            role: self.role,
            boot,
            paths: self.path_options(),
            preempt: self.preempt,
            failback_delay_us: micros(self.failback_delay),
            start_wait_us: micros(self.start_wait),
            lease_us: micros(self.lease),
            drain_us: micros(self.drain),
            handover_timeout_us: micros(self.handover_timeout),
        }
    }

    /// In what time a dead peer is found out without loss, in one line.
    #[must_use]
    pub fn detection(&self) -> String {
        let (min, mean, max) = detection_time(&self.path_options());
        let ms = |us: Micros| us as f64 / 1e3;
        format!("a dead peer is found out in {:.1} to {:.1} ms, in the mean {:.1} ms", ms(min), ms(max), ms(mean))
    }

    /// What is right and not good, a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        if let [path] = self.paths.as_slice() {
            let end = "when it fails, each node takes the other for dead; add a path on another device";
            warnings.push(format!("{} is the only path: {end}", path.way));
        }
        for (second, path) in self.paths.iter().enumerate() {
            let Some(interface) = path.way.interface() else { continue };
            let first = self.paths.iter().take(second).position(|path| path.way.interface() == Some(interface));
            warnings.extend(first.map(|first| {
                let end = "when it fails, both do; have each path on an interface of its own";
                format!("paths {first} and {second} are both on {interface}: {end}")
            }));
        }
        warnings
    }

    /// All VIPs, of all groups.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        self.vip_groups.iter().flat_map(|group| group.vips.iter().copied())
    }
}

impl PathSettings {
    /// How the path is watched.
    #[must_use]
    pub fn options(&self) -> PathOptions {
        PathOptions {
            kind: self.way.kind(),
            interval_us: micros(self.interval),
            ack_timeout_us: micros(self.ack_timeout),
            missed_limit: self.missed_limit,
            rise: self.rise,
            fall: self.fall,
        }
    }
}

impl Way {
    /// The interface that it needs, if any.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Udp(way) => Some(&way.interface),
            Self::Serial(_) => None,
        }
    }

    /// What kind of path it makes.
    #[must_use]
    pub fn kind(&self) -> PathKind {
        match self {
            Self::Udp(_) => PathKind::Udp,
            Self::Serial(_) => PathKind::Serial,
        }
    }
}

/// What people call the path: `udp eth1`, `serial /dev/ttyS0`.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(way) => write!(f, "udp {}", way.interface),
            Self::Serial(SerialWay { device, .. }) => write!(f, "serial {}", Path::display(device)),
        }
    }
}

/// Durations of a configuration are bounded far below what does not fit.
pub(super) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
