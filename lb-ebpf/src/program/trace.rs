//! Tells user space of packets that an operator wants to see, one record each (docs/reference/forwarding.md section 11).
//!
//! All of it is out of line: a packet gets here only where the row of `node` has `NODE_TRACES`. It reads, and decides nothing.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_RB_NO_WAKEUP, xdp_md},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_ringbuf_output},
};
use lb_common::{
    FAMILY_V4, FlowKey, NO_REAL, NO_SLOT, SERVICE_AFFINITY, SERVICE_ONE_PACKET, SERVICE_QUIC, SLOT_CLEAN, TraceEvent,
    TraceFilter, slot_of,
};

use super::{
    flags, flow,
    frame::Frame,
    header::{self, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, TCP_ACK, TCP_SYN},
    ipv4, ipv6,
    maps::{self, RINGS, TRACE_EVENTS, TRACE_FILTER, TRACE_PACKET},
    packet::{Class, Packet, flow_hash, key_words},
    quic::{self, Place},
    service,
};

/// Notes the packet before anything becomes of it. False where nobody wants to see it. Global.
#[unsafe(export_name = "trace_begin")]
#[inline(never)]
pub extern "C" fn begin(ctx: *mut xdp_md) -> bool {
    let frame = Frame(ctx);
    let Some(filter) = TRACE_FILTER.get(0) else { return false };
    // SAFETY: the helper has no conditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if now_ns >= filter.until_ns {
        return false;
    }
    let bounds = frame.bounds();
    let Some((l3, ether_type)) = header::ethernet(bounds) else { return false };
    let mut place = MaybeUninit::uninit();
    let parsed = if ether_type == ETHER_TYPE_IPV4 {
        ipv4::parse(frame, bounds, &mut place, l3)
    } else if ether_type == ETHER_TYPE_IPV6 {
        ipv6::parse(frame, bounds, &mut place, l3)
    } else {
        return false;
    };
    let Some((packet, class)) = parsed else { return false };
    if !is_wanted(filter, packet, class) {
        return false;
    }
    let Some(event) = TRACE_PACKET.get_ptr_mut(0) else { return false };
    // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
    let event = unsafe { &mut *event };
    event.time_ns = now_ns;
    note(frame, packet, class, event);
    true
}

/// Notes the real that the packet will have by the slot and the tables: what it finds there may be gone after it. Global; not a part of
/// [`begin`], so that their stacks do not add up.
#[unsafe(export_name = "trace_foretell")]
#[inline(never)]
pub extern "C" fn foretell(ctx: *mut xdp_md) -> bool {
    let Some(event) = TRACE_PACKET.get_ptr_mut(0) else { return false };
    // SAFETY: as in `begin`.
    let event = unsafe { &mut *event };
    if event.reserved != 0 {
        let place = Place { udp: event.real.into(), end: event.reserved };
        event.reserved = 0;
        event.real = quic::named(Frame(ctx), event.service.into(), place);
        if event.real != NO_REAL {
            event.has_slot = 1;
            event.slot = NO_SLOT;
            return true;
        }
    }
    event.real = real(event);
    true
}

/// Writes the record of the packet that was noted last. Nobody is woken for it: who traces looks often enough. A full buffer takes none, and
/// the next record's `sequence` says so. Global; such a function has to return something.
#[unsafe(export_name = "trace_end")]
#[inline(never)]
pub extern "C" fn end(outcome: u32) -> u32 {
    let Some(event) = TRACE_PACKET.get_ptr_mut(0) else { return outcome };
    // SAFETY: as in `begin`.
    let event = unsafe { &mut *event };
    [event.action, event.drop_reason, event.event, _] = outcome.to_le_bytes();
    // A SYN that has gone elsewhere than its slot says has left an entry.
    if is_syn(event) {
        event.real = real(event);
    }
    let ring = (&raw const TRACE_EVENTS).cast_mut().cast();
    // SAFETY: the map is a ring buffer, and the record is as long as said.
    unsafe {
        bpf_ringbuf_output(ring, (&raw mut *event).cast(), size_of::<TraceEvent>() as u64, BPF_RB_NO_WAKEUP.into());
    }
    outcome
}

#[inline(always)]
fn is_wanted(filter: &TraceFilter, packet: &Packet, class: Class) -> bool {
    let [client, client_end, vip, vip_end, _] = key_words(&packet.key);
    let [wanted_vip, wanted_vip_end] = words(&filter.vip);
    let [mask, mask_end] = words(&filter.client_mask);
    let [wanted, wanted_end] = words(&filter.client);
    packet.key.service.family == filter.family
        && vip == wanted_vip
        && vip_end == wanted_vip_end
        && client & mask == wanted
        && client_end & mask_end == wanted_end
        && (filter.port == 0 || class == Class::FLOW && packet.key.service.port == filter.port)
}

/// Fills in all but the real.
#[inline(always)]
fn note(frame: Frame, packet: &mut Packet, class: Class, event: &mut TraceEvent) {
    event.sequence += 1;
    event.key = packet.key;
    // SAFETY: the helper has no conditions.
    event.cpu = unsafe { bpf_get_smp_processor_id() };
    event.ingress_ifindex = frame.ingress_ifindex();
    event.length = frame.len() as u32;
    event.tcp_flags = packet.tcp_flags;
    event.has_ports = u8::from(class == Class::FLOW);
    event.has_slot = 0;
    event.captured = frame.copy(&mut event.frame) as u16;
    if class != Class::FLOW {
        return;
    }
    let v4 = packet.key.service.family == FAMILY_V4;
    let Ok(service) = service::find(&packet.key, v4) else { return };
    event.service = service.id as u16;
    if service.flags & SERVICE_QUIC != 0 {
        // For `foretell`, which has more of the stack left: there both are what they are named for.
        let Place { udp, end } = Place::of(packet);
        event.real = udp as u16;
        event.reserved = end;
    }
    if service.flags & SERVICE_ONE_PACKET != 0 {
        return;
    }
    event.has_slot = 1;
    event.slot = if service.flags & SERVICE_AFFINITY == 0 {
        slot_of(flow_hash(&packet.key, v4))
    } else {
        flags::peek(&packet.key, service.id, service.flags).slot()
    };
}

/// The real of the packet by the slot and the tables as they are.
#[inline(never)]
fn real(event: &TraceEvent) -> u16 {
    if event.has_slot == 0 {
        return NO_REAL;
    }
    let service = u32::from(event.service);
    // On the stack, as all other keys are.
    let key: FlowKey = event.key;
    if let Ok(found) = service::find(&key, key.service.family == FAMILY_V4)
        && found.flags & SERVICE_AFFINITY != 0
    {
        return flags::peek(&key, found.id, found.flags).real().unwrap_or(NO_REAL);
    }
    let Some(ring) = RINGS.get(service) else { return NO_REAL };
    let Some(slot) = maps::slot(ring, event.slot) else { return NO_REAL };
    if slot.state == SLOT_CLEAN {
        return slot.real;
    }
    flow::decided(&key, service, *slot, is_syn(event))
}

#[inline(always)]
fn is_syn(event: &TraceEvent) -> bool {
    event.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN
}

/// The words of an address in a filter.
#[inline(always)]
fn words(address: &[u8; 16]) -> [u64; 2] {
    let words: *const u64 = address.as_ptr().cast();
    // SAFETY: both words are inside the address, which begins at a word's alignment (asserted below).
    unsafe { [words.read(), words.add(1).read()] }
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(TraceFilter, vip).is_multiple_of(8) && offset_of!(TraceFilter, client).is_multiple_of(8));
    assert!(offset_of!(TraceFilter, client_mask).is_multiple_of(8));
};
