//! `GET /v1/trace`: packets for a VIP as they come, one JSON line each.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How long a trace lasts when the request does not say, in seconds.
pub const DEFAULT_TRACE_SECONDS: u32 = 60;
/// The longest trace, in seconds.
pub const MAX_TRACE_SECONDS: u32 = 3_600;
/// Most packets that a trace can be asked for.
pub const MAX_TRACE_COUNT: u64 = 1_000_000;

words! {
    /// What became of a packet.
    TraceVerdict {
        /// Out of the interface that it came in by.
        Tx = "tx",
        /// Out of another interface.
        Redirect = "redirect",
        /// It was dropped.
        Drop = "drop",
        /// The kernel got it.
        Pass = "pass",
        /// The program failed.
        Aborted = "aborted",
    }
}

/// A line of a trace: a packet, or what else there is to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceLine {
    /// A packet.
    Packet(Box<TracedPacket>),
    /// So many packets were not shown, since they came faster than they were read. They were forwarded all the same.
    Lost(u64),
}

/// A packet, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedPacket {
    /// When it came, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// What became of it.
    pub verdict: TraceVerdict,
    /// The drop reason or the event that was counted, when one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its source.
    pub client: IpAddr,
    /// Its source port; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
    /// Its destination.
    pub vip: IpAddr,
    /// Its destination port; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_port: Option<u16>,
    /// Number of its IP protocol.
    pub protocol: u8,
    /// TCP flags as tcpdump has them: `S`, `.`, `P`, `F`, `R`; empty where it is not TCP.
    pub flags: String,
    /// Its frame's length in bytes.
    pub length: u32,
    /// The service; none where none was looked for, or none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its QUIC connection id has named the real: there is no slot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_connection_id: bool,
    /// The flow's slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The real that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
    /// The interface that it came in by.
    pub ingress: String,
    /// The interface that it left by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// The first bytes of its frame as it came, in hex; where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}
