//! `GET /v1/simulate`: which real a packet would go to, and why.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Mode, NextHop, Protocol};

words! {
    /// What would become of a packet.
    Fate {
        /// It goes to a real.
        Forward = "forward",
        /// The program answers it.
        Answer = "answer",
        /// It is dropped.
        Drop = "drop",
        /// The kernel gets it.
        Pass = "pass",
    }
}

words! {
    /// How the real of a packet is found.
    FoundBy {
        /// The slot is clean: its real.
        Slot = "slot",
        /// The flow table has the flow.
        FlowTable = "flow-table",
        /// The flow is half-open.
        HalfOpen = "half-open",
        /// The slot's real is hot: the real of the flow's second slot.
        SecondSlot = "second-slot",
        /// The slot has moved lately, and the flow begins: the slot's real.
        Moved = "moved",
        /// The slot has moved lately, and the flow may be older: the slot's previous real.
        Previous = "previous",
        /// The slot has moved a while ago, and the flow table does not have the flow: the slot's real.
        Marked = "marked",
        /// Each packet goes by itself: the real of the packet's own slot.
        OnePacket = "one-packet",
    }
}

/// A packet that was not sent, and what would become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// The client's address.
    pub client: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The packet's destination.
    pub vip: IpAddr,
    /// Its port.
    pub vip_port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// It asks for a connection.
    pub syn: bool,
    /// What would become of it.
    pub fate: Fate,
    /// The drop reason or the event that would be counted, when one would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The service; none when no service has the destination.
    pub service: Option<String>,
    /// The service's mode.
    pub mode: Option<Mode>,
    /// The flow's slot in the service's ring.
    pub slot: Option<u32>,
    /// How the real is found.
    pub found_by: Option<FoundBy>,
    /// The real.
    pub real: Option<String>,
    /// The real's address.
    pub address: Option<IpAddr>,
    /// The way to the real.
    pub next_hop: Option<NextHop>,
    /// All of it in words: one fact a line.
    pub lines: Vec<String>,
}
