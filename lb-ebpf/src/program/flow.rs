//! The slots that remember: which real an exception's packet goes to (docs/reference/forwarding.md section 4).

use core::mem::transmute;

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::{
    Event, FAMILY_V4, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, FlowValue, HalfOpenValue, NO_REAL, PROTOCOL_TCP,
    REAL_ALIVE, REAL_HOT, SLOT_MARKED, Slot, second_hash, slot_of,
};

use super::{
    count::event,
    forward::READY,
    header::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN},
    maps::{self, FLOWS, HALF_OPEN, REALS, RINGS},
    packet::{Packet, flow_hash},
    tell,
};

/// What a hot real has.
const HOT: u32 = REAL_ALIVE | REAL_HOT;

/// The real of a packet whose slot remembers or is marked.
#[inline(always)]
pub fn decide(packet: &Packet, slot: Slot) -> u16 {
    // SAFETY: a slot has a word's size (asserted in `maps`), and any bytes are a word.
    decide_by_word(packet, unsafe { transmute::<Slot, u64>(slot) })
}

/// As [`decide`], by the word that the slot is. Global.
#[unsafe(export_name = "flow_decide")]
#[inline(never)]
extern "C" fn decide_by_word(packet: *const Packet, slot: u64) -> u16 {
    // SAFETY: the caller has it on its stack.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return NO_REAL };
    // SAFETY: the word was a slot.
    let slot = unsafe { transmute::<u64, Slot>(slot) };
    let syn = packet.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
    if let Some(real) = remembered(packet, syn) {
        return real;
    }
    if packet.key.service.protocol == PROTOCOL_TCP
        && !packet.of_client
        && let Some(real) = half_open(packet, syn)
    {
        return real;
    }
    if syn {
        return begin(packet, slot);
    }
    if slot.state == SLOT_MARKED {
        return slot.real;
    }
    let real = if alive(slot.previous) { slot.previous } else { slot.real };
    if alive(real) && packet.tcp_flags & TCP_RST == 0 {
        remember(packet, real);
    }
    real
}

/// The real of a flow that another packet quotes: as [`decide`], but only reads.
#[inline(never)]
pub fn peek(key: &FlowKey, service: u32, slot: Slot) -> u16 {
    by_slot(known(key, service), slot)
}

/// As [`peek`], of a packet.
#[inline(always)]
pub fn peek_packet(packet: &Packet, slot: Slot) -> u16 {
    // On the stack, as all other keys are.
    let key = packet.key;
    peek(&key, packet.service, slot)
}

/// The real of a client, of which the key is: as [`peek`].
#[inline(always)]
pub fn peek_client(key: &FlowKey, service: u32, slot: Slot) -> u16 {
    by_slot(remembered_real(key, service), slot)
}

/// The real that the tables have, or else the one by the slot.
#[inline(always)]
fn by_slot(known: u16, slot: Slot) -> u16 {
    if known != NO_REAL {
        return known;
    }
    if slot.state != SLOT_MARKED && alive(slot.previous) { slot.previous } else { slot.real }
}

/// The real that [`decide`] is about to find for a packet, or has just found for a SYN: only reads.
#[inline(always)]
pub fn decided(key: &FlowKey, service: u32, slot: Slot, syn: bool) -> u16 {
    let known = known(key, service);
    if known == NO_REAL && syn { slot.real } else { peek(key, service, slot) }
}

/// The real that the tables have for a flow, or no real.
#[inline(never)]
fn known(key: &FlowKey, service: u32) -> u16 {
    let remembered = remembered_real(key, service);
    if remembered != NO_REAL {
        return remembered;
    }
    if key.service.protocol == PROTOCOL_TCP
        // SAFETY: as above.
        && let Some(half) = unsafe { HALF_OPEN.get(key) }
        && u32::from(half.service) == service
        && alive(half.real)
    {
        return half.real;
    }
    NO_REAL
}

/// The real that the flow table has for a flow, or no real.
#[inline(always)]
fn remembered_real(key: &FlowKey, service: u32) -> u16 {
    // SAFETY: the value is read at once; the worst that a reused entry can do is to send one ICMP error astray.
    match unsafe { FLOWS.get(key) } {
        Some(flow) if u32::from(flow.service) == service && alive(flow.real) => flow.real,
        _ => NO_REAL,
    }
}

/// Looks the flow up in the flow table and notes the packet there.
#[inline(always)]
fn remembered(packet: &Packet, syn: bool) -> Option<u16> {
    let flow = FLOWS.get_ptr_mut(packet.key)?;
    // SAFETY: the entry stays allocated while the program runs. Were it deleted and reused by another CPU in between, one
    // packet would follow the other flow; the sweep deletes idle entries only.
    let flow = unsafe { &mut *flow };
    let reused = syn && flow.state != FLOW_OPEN;
    let real = flow.real;
    if reused || u32::from(flow.service) != packet.service || !alive(real) {
        // It may be gone already, which is as well: whoever removed it has told it.
        if FLOWS.remove(packet.key).is_ok() {
            tell::forgotten(packet);
        }
        return None;
    }
    flow.last_seen_ns = now_ns();
    flow.state = next_state(flow.state, packet.tcp_flags);
    Some(real)
}

/// Looks the flow up among the half-open ones; when its handshake goes on it moves to the flow table.
#[inline(always)]
fn half_open(packet: &Packet, syn: bool) -> Option<u16> {
    let half = HALF_OPEN.get_ptr_mut(packet.key)?;
    // SAFETY: as in `remembered`; an evicted entry is only ever a half-open flow's.
    let half = unsafe { &mut *half };
    let real = half.real;
    let usable = u32::from(half.service) == packet.service && alive(real);
    if usable && syn {
        half.began_ns = now_ns();
        return Some(real);
    }
    let _ = HALF_OPEN.remove(packet.key);
    if usable && packet.tcp_flags & TCP_RST == 0 {
        remember(packet, real);
    } else {
        tell::given_up(packet);
    }
    if usable { Some(real) } else { None }
}

/// The real of a flow's first SYN. It is noted where a later packet would not find it by the slot alone.
#[inline(always)]
fn begin(packet: &Packet, slot: Slot) -> u16 {
    let flags = flags(slot.real);
    if flags & HOT == HOT {
        let second = second_real(packet);
        if second != NO_REAL {
            event(Event::HotDiverted);
            note(packet, second);
            return second;
        }
    }
    if slot.state != SLOT_MARKED && flags & REAL_ALIVE != 0 {
        note(packet, slot.real);
    }
    slot.real
}

/// The real of the flow's second slot, if new flows may be sent to it; else no real.
#[inline(never)]
fn second_real(packet: &Packet) -> u16 {
    let Some(ring) = RINGS.get(packet.service) else { return NO_REAL };
    let hash = flow_hash(&packet.key, packet.key.service.family == FAMILY_V4);
    let Some(slot) = maps::slot(ring, slot_of(second_hash(hash))) else { return NO_REAL };
    let real = slot.real;
    if flags(real) & (READY | HOT) == READY { real } else { NO_REAL }
}

/// Remembers a flow of which only the SYN has come.
#[inline(always)]
fn note(packet: &Packet, real: u16) {
    let value = HalfOpenValue { began_ns: now_ns(), slot: packet.slot, real, service: packet.service as u16 };
    // The LRU makes room by itself; should it fail under contention, the flow's next packet is taken for an old flow's.
    if HALF_OPEN.insert(packet.key, value, 0).is_ok() {
        tell::half_open(packet, real);
    }
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(FlowValue, last_seen_ns) == 0 && offset_of!(FlowValue, slot) == 8);
    assert!(
        offset_of!(FlowValue, real) == 12 && offset_of!(FlowValue, service) == 14 && offset_of!(FlowValue, state) == 16
    );
};

/// Writes the flow to the flow table.
#[inline(never)]
fn remember(packet: &Packet, real: u16) {
    let place = u64::from(packet.slot) | u64::from(real) << 32 | u64::from(packet.service) << 48;
    let state = u64::from(next_state(FLOW_OPEN, packet.tcp_flags));
    // SAFETY: as many words, and any bytes are an entry. By words, since LLVM makes zeros in fields a call of memset, which has a stack of its own.
    let value = unsafe { transmute::<[u64; 3], FlowValue>([now_ns(), place, state]) };
    if FLOWS.insert(packet.key, value, 0).is_ok() {
        event(Event::FlowRemembered);
        tell::remembered(packet, real);
    } else {
        event(Event::FlowTableFull);
    }
}

#[inline(always)]
fn next_state(state: u16, tcp_flags: u8) -> u16 {
    if tcp_flags & TCP_RST != 0 {
        FLOW_RST
    } else if tcp_flags & TCP_FIN != 0 {
        FLOW_FIN
    } else if state == FLOW_RST {
        FLOW_OPEN
    } else {
        state
    }
}

#[inline(always)]
pub fn alive(real: u16) -> bool {
    flags(real) & REAL_ALIVE != 0
}

/// The flags of a real's row; none where it has no row.
#[inline(always)]
fn flags(real: u16) -> u32 {
    match REALS.get(u32::from(real)) {
        Some(row) if real != NO_REAL => row.flags,
        _ => 0,
    }
}

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_ktime_get_coarse_ns() }
}
