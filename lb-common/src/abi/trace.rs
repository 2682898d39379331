//! Packets that an operator wants to see.

use super::FlowKey;

/// Bytes of a frame that a [`TraceEvent`] has at most.
pub const TRACE_FRAME: usize = 128;
/// Bytes of the ring buffer of [`TraceEvent`]s.
pub const TRACE_EVENTS_SIZE: u32 = 1 << 19;
/// `slot` of a packet that goes by its QUIC connection id.
pub const NO_SLOT: u32 = u32::MAX;

/// Which packets are traced.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFilter {
    /// From when on no packet is traced, in nanoseconds of CLOCK_MONOTONIC: a daemon that has gone takes nothing back.
    pub until_ns: u64,
    /// The packet's destination.
    pub vip: [u8; 16],
    /// The packet's source, as far as `client_mask` has bits.
    pub client: [u8; 16],
    /// The bits of `client` that count.
    pub client_mask: [u8; 16],
    /// The destination port, or 0: any, and packets without ports too.
    pub port: u16,
    /// [`FAMILY_V4`] or [`FAMILY_V6`]: of `vip` and `client`.
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

/// A packet that was traced: a record of `trace_events`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceEvent {
    /// When it came, in nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// The packets that this CPU has traced before: where one is missing, the buffer was full.
    pub sequence: u64,
    /// The flow; without ports where `has_ports` is 0.
    pub key: FlowKey,
    /// The CPU.
    pub cpu: u32,
    /// The interface that it came in by.
    pub ingress_ifindex: u32,
    /// The flow's slot, where `has_slot` is not 0; may be [`NO_SLOT`].
    pub slot: u32,
    /// The frame's length in bytes as it came.
    pub length: u32,
    /// The service, where `has_slot` is not 0.
    pub service: u16,
    /// The real that it was for, where `has_slot` is not 0.
    pub real: u16,
    /// What the program has returned: an XDP action.
    pub action: u8,
    /// 1 more than the [`crate::DropReason`]; 0 where it was not dropped.
    pub drop_reason: u8,
    /// 1 more than the [`crate::Event`] that ended its way; 0 where none did.
    pub event: u8,
    /// TCP flags; zero where it is not TCP.
    pub tcp_flags: u8,
    /// It is a TCP, UDP or SCTP packet with ports.
    pub has_ports: u8,
    /// A service has it, and a slot.
    pub has_slot: u8,
    /// Bytes of `frame` that are the frame's.
    pub captured: u16,
    /// Zero.
    pub reserved: u32,
    /// The frame's first bytes, as it came.
    pub frame: [u8; TRACE_FRAME],
}

const _: () = {
    assert!(size_of::<TraceFilter>() == 64);
    assert!(size_of::<TraceEvent>() == 88 + TRACE_FRAME);
};
