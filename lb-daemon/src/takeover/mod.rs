//! Who owns the VIPs is decided in `lb_core::pair`; this module does it. It is the only one that adds or removes an address.
//!
//! One thread does everything in order: fence the dead peer where that is configured, verify that the XDP program is attached, add
//! the VIPs, announce them, tell the hooks. Its sockets are open before they are needed, and neither the disk nor a program
//! that is run stands between the wish to take over and the first announcement, except the fence. docs/takeover.md
//! is the operators' page.

mod addresses;
mod announce;
mod attachments;
mod clear;
mod duplicate;
mod epochs;
pub(crate) mod frames;
mod hooks;
mod jobs;
pub(crate) mod links;
mod owner;
pub(crate) mod packets;
mod rival;
mod thread;
mod worker;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use lb_core::pair::{Input, Role};

use crate::config::{HookSettings, PairSettings, VipGroup, Way};

pub use clear::take_off_all;
pub use epochs::{Epochs, Loaded, PAIR_FILE, load};
pub use jobs::{Busy, Job, JobQueue, Jobs, channel};
pub use thread::{Takeover, start};

/// What the takeover needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The VIPs and where they live. All groups move together.
    pub groups: Vec<VipGroup>,
    /// Between two announcements of an owner, after the first few that follow each other fast.
    pub announce_interval: Duration,
    /// Ask at the start whether another host has a VIP already.
    pub duplicate_detection: bool,
    /// Programs to run.
    pub hooks: HookSettings,
    /// The configured role, for the hooks.
    pub role: Role,
    /// The peer's addresses, for the hooks.
    pub peer: Vec<IpAddr>,
    /// Id of the XDP program that has to be attached; none: any will do.
    pub program: Option<u32>,
}

impl Settings {
    /// What a pair's configuration says of it; and the id of this daemon's XDP program.
    #[must_use]
    pub fn of(pair: &PairSettings, program: Option<u32>) -> Self {
        let peer = pair.paths.iter().filter_map(|path| match &path.way {
            Way::Udp(udp) => Some(udp.peer.ip()),
            Way::Serial(_) => None,
        });
        Self {
            groups: pair.vip_groups.clone(),
            announce_interval: pair.announce_interval,
            duplicate_detection: pair.duplicate_detection,
            hooks: pair.hooks.clone(),
            role: pair.role,
            peer: peer.collect(),
            program,
        }
    }
}

/// What the takeover asks of the rest of the daemon. No call waits for anything.
pub trait Surroundings: Send + Sync + 'static {
    /// Something for the pair's node: `Acquired`, `Reserved`, `Forbid`.
    fn reply(&self, input: Input);
    /// Attaches the XDP program to these interfaces, where it was found missing.
    fn attach(&self, interfaces: Vec<String>) -> Attaching;
    /// Something does not work, or works again.
    fn trouble(&self, trouble: Trouble);
    /// No other host has a VIP, as far as could be seen: the data plane may serve. Until then it is silent, whatever the node decides;
    /// where nobody looks, it is not waited for.
    fn found_nobody(&self);
    /// The peer is alive, so that the two agree about the VIPs.
    fn peer_is_heard(&self) -> bool;
    /// The peer is alive, and is taking the VIPs or giving them up: an answer for a VIP may be its own.
    fn peer_is_undecided(&self) -> bool;
    /// The peer has served since this daemon started, so the VIPs are the pair's own.
    fn peer_has_served(&self) -> bool;
    /// The node has last asked for the VIPs, not for their release. It may have asked a moment ago, and the job that says so still
    /// waits: what another host sees of this one must not be older than what the peer was told.
    fn is_owner(&self) -> bool;
}

/// An attachment that is being made; the error says what refuses it.
pub type Attaching = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something that does not work, for the log and `lbctl status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about. The newest word about it counts.
    pub subject: String,
    /// What is wrong; none when nothing is any more.
    pub message: Option<String>,
    /// Packets are lost, or a takeover would not work.
    pub degraded: bool,
}
