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
//! | `POST /v1/reals/NAME/admin` with [`SetAdmin`] | [`RealChanged`] |
//! | `POST /v1/reals/NAME/weight` with [`SetWeight`] | [`RealChanged`] |
//! | `POST /v1/reload` (no body) | [`Reloaded`] |

use core::net::IpAddr;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where `lbd` listens unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/understudy/lbd.sock";
/// Flows that `GET /v1/flows` answers with when the request names no limit.
pub const DEFAULT_FLOW_LIMIT: u32 = 100;
/// The highest limit that `GET /v1/flows` takes.
pub const MAX_FLOW_LIMIT: u32 = 100_000;

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
    /// [`super::Reloaded`].
    pub const RELOAD: &str = "/v1/reload";

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

/// Names, in JSON and in print, of an enum's values.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word that JSON has for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// A service's transport protocol.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

words! {
    /// How a service's packets reach their real.
    Mode {
        /// The MAC addresses are rewritten.
        Dsr = "dsr",
        /// The packet gets an outer IP header.
        Ipip = "ipip",
    }
}

words! {
    /// What the operator says of a real.
    AdminState {
        /// Takes new flows by its weight.
        Enabled = "enabled",
        /// Takes no new flows and keeps its old ones.
        Drained = "drained",
        /// Is sent no packet.
        Disabled = "disabled",
    }
}

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

words! {
    /// What the last packets of a remembered flow were.
    FlowState {
        /// The flow is in use.
        Open = "open",
        /// The client has sent a FIN.
        Fin = "fin",
        /// The client's last packet was a RST.
        Rst = "rst",
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

/// Every service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceList {
    /// The scheduling table's generation.
    pub generation: u64,
    /// The services, in the order of the configuration file.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Index of its ring and counters in the maps. Stays the same over reload and restart.
    pub id: u32,
    /// The address clients use.
    pub vip: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports clients use.
    pub ports: Ports,
    /// How packets reach the reals.
    pub mode: Mode,
    /// The states of its slots.
    pub slots: SlotStates,
    /// What it has been sent.
    pub counters: Counters,
    /// Its reals, in the order of the configuration file.
    pub reals: Vec<ServiceReal>,
}

/// Ports of a service: the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ports {
    /// The lowest port.
    pub first: u16,
    /// The highest port; equal to `first` for a single port.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };
}

/// `80`, `8000-8099` or `any`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.pad("any"),
            Self { first, last } if first == last => f.pad(&first.to_string()),
            Self { first, last } => f.pad(&format!("{first}-{last}")),
        }
    }
}

/// How many slots of a ring are in which state. They add up to the ring's 65,537.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotStates {
    /// Every flow goes to the slot's real.
    pub clean: u32,
    /// Moved lately: older flows go to the previous real.
    pub remembering: u32,
    /// Moved a while ago: flows that are in the flow table go where that says.
    pub marked: u32,
}

/// A real as a member of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceReal {
    /// The real's name.
    pub name: String,
    /// The real's address.
    pub address: IpAddr,
    /// The weight that the configuration gives it in this service.
    pub weight: u32,
    /// The weight in use: the operator's override where there is one, and 0 while drained or disabled.
    pub effective_weight: u32,
    /// Slots of this service that send new flows to it.
    pub slots: u32,
    /// What the operator says of it.
    pub admin: AdminState,
    /// Whether its next hop is known.
    pub next_hop_resolved: bool,
}

/// Every real.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealList {
    /// The scheduling table's generation.
    pub generation: u64,
    /// The reals, in the order of the configuration file.
    pub reals: Vec<Real>,
}

/// One real server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Real {
    /// Its name.
    pub name: String,
    /// Its id in the maps. Stays the same over reload and restart.
    pub id: u32,
    /// Its address.
    pub address: IpAddr,
    /// The weight that the configuration gives it.
    pub weight: u32,
    /// The operator's weight, which goes before the configuration's in every service.
    pub weight_override: Option<u32>,
    /// What the operator says of it.
    pub admin: AdminState,
    /// The services that it is a member of.
    pub services: Vec<String>,
    /// Slots, of all services, that send new flows to it.
    pub slots: u32,
    /// The way to it; none while it is not known.
    pub next_hop: Option<NextHop>,
    /// What the search for the next hop last found, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_note: Option<String>,
    /// What it has been sent.
    pub counters: Counters,
}

/// The way to a real.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Name of the interface that packets leave by; none when it is gone.
    pub interface: Option<String>,
    /// Index of that interface.
    pub ifindex: u32,
    /// MAC address of the next hop, as `02:00:00:00:00:01`.
    pub mac: String,
    /// The largest IP packet that the way carries, in bytes.
    pub mtu: u32,
}

/// What a service or a real has been sent. Counts grow from the making of the maps on, and survive a daemon restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Their IP lengths, without outer headers.
    pub bytes: u64,
    /// TCP packets that ask for a connection: SYN without ACK.
    pub syn: u64,
    /// TCP packets with FIN.
    pub fin: u64,
    /// TCP packets with RST.
    pub rst: u64,
}

/// Flows in the flow table. It holds the exceptions only: flows of slots that were moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowList {
    /// The flows, in no order.
    pub flows: Vec<Flow>,
    /// There are more than the limit allowed.
    pub truncated: bool,
}

/// One remembered flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The client's address.
    pub client: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The VIP.
    pub vip: IpAddr,
    /// The port of the VIP.
    pub vip_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Name of the service; none when it has just been removed.
    pub service: Option<String>,
    /// Name of the real; none when it has just been removed.
    pub real: Option<String>,
    /// Its slot in the service's ring.
    pub slot: u32,
    /// What its last packets were.
    pub state: FlowState,
    /// Seconds since its last packet.
    pub idle_seconds: f64,
}

/// Counters of everything at one instant. Two of them give rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When, in nanoseconds of the host's monotonic clock: comparable until the host reboots.
    pub at_ns: u64,
    /// Sum over all services.
    pub total: Counters,
    /// Each service.
    pub services: Vec<NamedCounters>,
    /// Each real.
    pub reals: Vec<NamedCounters>,
    /// Sum of all drops.
    pub dropped: u64,
}

/// Counters of one service or real.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCounters {
    /// Name of the service or the real.
    pub name: String,
    /// What it has been sent.
    pub counters: Counters,
}

/// Why packets for a VIP were dropped, and what else happened to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// When, in nanoseconds of the host's monotonic clock.
    pub at_ns: u64,
    /// Every drop reason, those with count 0 too.
    pub drops: Vec<Count>,
    /// Every event, those with count 0 too.
    pub events: Vec<Count>,
}

/// One named counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Name of the drop reason or event.
    pub name: String,
    /// Packets since the maps were made.
    pub count: u64,
    /// What it means, in one sentence, and what to do where there is something to do.
    pub explanation: String,
}

/// Drains, enables or disables a real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAdmin {
    /// The state that the real shall have.
    pub state: AdminState,
}

/// Gives a real another weight than its configuration does, or takes that back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWeight {
    /// 0 to 65535; none goes back to the configuration's weight.
    pub weight: Option<u32>,
}

/// The outcome of an administrative action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealChanged {
    /// The generation after it.
    pub generation: u64,
    /// Something did change: false when the real was already so.
    pub changed: bool,
    /// The real after it.
    pub real: Real,
    /// What to know: that the change is not on disk, say.
    pub warnings: Vec<String>,
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
    fn ports_print_as_they_are_configured() {
        assert_eq!(Ports { first: 80, last: 80 }.to_string(), "80");
        assert_eq!(Ports { first: 8000, last: 8099 }.to_string(), "8000-8099");
        assert_eq!(Ports::ANY.to_string(), "any");
        assert_eq!(format!("{:>5}|{:<8}|", Ports { first: 80, last: 80 }, Protocol::Tcp), "   80|tcp     |");
    }

    #[test]
    fn paths_of_a_real() {
        assert_eq!(path::admin("web-1"), "/v1/reals/web-1/admin");
        assert_eq!(path::weight("web.1"), "/v1/reals/web.1/weight");
    }
}
