//! `GET /v1/flows`, `/v1/stats` and `/v1/drops`: what became of packets.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Protocol;

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
    /// Name of the drop reason, event or refusal.
    pub name: String,
    /// How often: packets since the maps were made, or datagrams since the daemon started.
    pub count: u64,
    /// What it means, in one sentence, and what to do where there is something to do.
    pub explanation: String,
}
