//! Tells user space what becomes of exceptions, by a ring buffer (docs/reference/forwarding.md section 4, "Told").
//!
//! Each function is called after the change that it tells of, and looks only then whether anybody wants to know: who asks for events and
//! then reads the whole flow table misses none.

use core::mem::transmute;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::bpf_ringbuf_query,
};
use lb_common::{Event, FLOW_EVENT_FORGOTTEN, FLOW_EVENT_HALF_OPEN, FLOW_EVENT_REMEMBERED, FlowEvent, NO_REAL};

use super::{
    count::event,
    maps::FLOW_EVENTS,
    node,
    packet::{Packet, key_words},
};

/// The flow has been written to the flow table.
#[inline(always)]
pub fn remembered(packet: &Packet, real: u16) {
    if node::tells_flows() && !told(packet, real, FLOW_EVENT_REMEMBERED) {
        event(Event::FlowEventLost);
    }
}

/// The flow has been deleted from the flow table.
#[inline(always)]
pub fn forgotten(packet: &Packet) {
    if node::tells_flows() && !told(packet, NO_REAL, FLOW_EVENT_FORGOTTEN) {
        event(Event::FlowEventLost);
    }
}

/// The flow has become half-open.
#[inline(always)]
pub fn half_open(packet: &Packet, real: u16) {
    if node::tells_flows() && has_room_to_spare() {
        told(packet, real, FLOW_EVENT_HALF_OPEN);
    }
}

/// The flow is half-open no more, and the flow table has not got it.
#[inline(always)]
pub fn given_up(packet: &Packet) {
    if node::tells_flows() && has_room_to_spare() {
        told(packet, NO_REAL, FLOW_EVENT_FORGOTTEN);
    }
}

/// Whether less than half of the buffer waits to be read. The rest is for what must not be lost: a SYN flood has no claim to it.
#[inline(always)]
fn has_room_to_spare() -> bool {
    let ring = (&raw const FLOW_EVENTS).cast_mut().cast();
    // SAFETY: the map is a ring buffer; the helper only reads.
    let (unread, size) = unsafe {
        (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into()), bpf_ringbuf_query(ring, BPF_RB_RING_SIZE.into()))
    };
    unread < size / 2
}

const _: () = {
    use core::mem::offset_of;
    assert!(
        offset_of!(FlowEvent, key) == 0 && offset_of!(FlowEvent, service) == 40 && offset_of!(FlowEvent, real) == 42
    );
    assert!(offset_of!(FlowEvent, slot) == 44 && offset_of!(FlowEvent, kind) == 48);
};

/// Writes the event; false where the buffer is full.
#[inline(never)]
fn told(packet: &Packet, real: u16, kind: u16) -> bool {
    let Some(mut entry) = FLOW_EVENTS.reserve(0) else { return false };
    let known = u64::from(packet.service as u16) | u64::from(real) << 16 | u64::from(packet.slot) << 32;
    let known = if kind == FLOW_EVENT_FORGOTTEN { 0 } else { known };
    let [client, client_end, vip, vip_end, ports] = key_words(&packet.key);
    let event = [client, client_end, vip, vip_end, ports, known, kind.into()];
    // SAFETY: as many words, and any bytes are a record. By words, since LLVM makes zeros in fields a call of memset, which has a stack of its own.
    entry.write(unsafe { transmute::<[u64; 7], FlowEvent>(event) });
    entry.submit(0);
    true
}
