//! The counters.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_log_ebpf::debug;
use lb_common::{DropReason, Event, TrafficCounters};

use super::{
    header::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN},
    maps::{DROPS, EVENTS, REAL_COUNTERS, SERVICE_COUNTERS},
    packet::Packet,
};

/// An outcome is the verdict on a packet in its first byte; then, in a byte each, 1 more than the reason why it was dropped, and 1 more than
/// the event that has ended its way. The mask of the verdict.
pub const ACTION: u32 = 0xff;
const DROP_REASON_SHIFT: u32 = 8;
const EVENT_SHIFT: u32 = 16;

/// Counts a dropped packet; what becomes of it.
#[inline(always)]
pub fn drop(reason: DropReason) -> u32 {
    dropped(reason as u32)
}

/// As [`drop`], by the reason's number. Global.
#[unsafe(export_name = "count_dropped")]
#[inline(never)]
extern "C" fn dropped(index: u32) -> u32 {
    if let Some(count) = DROPS.get_ptr_mut(index) {
        // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
        unsafe { *count += 1 };
    }
    debug!((), "drop reason {}", index);
    XDP_DROP | (index + 1) << DROP_REASON_SHIFT
}

/// Counts the event that ends a packet's way; what becomes of it.
#[inline(always)]
pub fn ended(ending: Event, verdict: u32) -> u32 {
    event(ending);
    verdict | (ending as u32 + 1) << EVENT_SHIFT
}

/// Counts what happened to a packet.
#[inline(always)]
pub fn event(event: Event) {
    if let Some(count) = EVENTS.get_ptr_mut(event as u32) {
        // SAFETY: as in `drop`.
        unsafe { *count += 1 };
    }
}

/// Counts a forwarded packet for its service and its real.
#[inline(always)]
pub fn forwarded(packet: &Packet, real: u16) {
    let flagged = packet.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) != 0;
    if let Some(counters) = SERVICE_COUNTERS.get_ptr_mut(packet.service) {
        add(counters, packet, flagged);
    }
    if let Some(counters) = REAL_COUNTERS.get_ptr_mut(u32::from(real)) {
        add(counters, packet, flagged);
    }
}

#[inline(always)]
fn add(counters: *mut TrafficCounters, packet: &Packet, flagged: bool) {
    // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
    let counters = unsafe { &mut *counters };
    counters.packets += 1;
    counters.bytes += u64::from(packet.length);
    if flagged {
        let flags = packet.tcp_flags;
        if flags & (TCP_SYN | TCP_ACK) == TCP_SYN {
            counters.syn += 1;
        }
        if flags & TCP_FIN != 0 {
            counters.fin += 1;
        }
        if flags & TCP_RST != 0 {
            counters.rst += 1;
        }
    }
}
