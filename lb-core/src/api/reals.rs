//! `GET /v1/reals`, and what an operator can do to one.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Counters, Health};

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
    /// Whether it can serve, over all its services.
    #[serde(default)]
    pub health: Health,
    /// Why it is not up, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_reason: Option<String>,
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
