//! Services with flags (docs/reference/forwarding.md sections 13 and 14): guards, QUIC, one packet, affinity. All of it is out of line: a packet gets here only
//! where its service has a flag.

use aya_ebpf::bindings::xdp_md;
use lb_common::{
    DropReason, Event, FAMILY_V4, FlowKey, NO_REAL, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET,
    SERVICE_QUIC, SLOT_CLEAN, ServiceOptions, Slot, one_packet_hash, slot_of,
};

use super::{
    count::{drop, event},
    flow,
    frame::Frame,
    guard,
    header::{TCP_ACK, TCP_SYN},
    maps::{self, RINGS, SERVICE_COUNTERS, SERVICE_OPTIONS},
    packet::{Packet, flow_hash, key_words, service_end, set_key},
    quic::{self, Place},
};

/// In what a function here gives for a real: it is none, but what has become of the packet.
pub const OUTCOME: u32 = 1 << 31;
/// The flags that have ICMP errors sent another way.
pub const OTHER_SLOT: u8 = SERVICE_AFFINITY | SERVICE_ONE_PACKET;

/// The real of a packet whose service has `flags`; see [`OUTCOME`].
#[inline(always)]
pub fn real(frame: Frame, packet: &mut Packet, flags: u8) -> u32 {
    flags_real(frame.0, packet, u32::from(flags))
}

/// As [`real`]. Global.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flags_real(ctx: *mut xdp_md, packet: *mut Packet, flags: u32) -> u32 {
    // SAFETY: the caller has it on its stack, and does not look at it meanwhile.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return NO_REAL.into() };
    let mut flood = false;
    if has(flags, SERVICE_GUARDED) {
        let said = guard::look(packet);
        if said & OUTCOME != 0 {
            return said;
        }
        flood = said != 0;
    }
    if has(flags, SERVICE_QUIC) {
        let real = quic::named(Frame(ctx), packet.service, Place::of(packet));
        if real != NO_REAL {
            event(Event::QuicRouted);
            return real.into();
        }
        event(Event::QuicUnrouted);
    }
    if has(flags, SERVICE_ONE_PACKET) {
        return one_packet(packet);
    }
    if has(flags, SERVICE_AFFINITY) {
        return client_real(packet);
    }
    packet.slot = slot_of(flow_hash(&packet.key, is_v4(&packet.key)));
    let Some(slot) = slot(packet.service, packet.slot) else { return no_ring() };
    if slot.state == SLOT_CLEAN {
        return slot.real.into();
    }
    if flood && packet.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN {
        event(Event::SynUnnoted);
        return flow::peek_packet(packet, slot).into();
    }
    flow::decide(packet, slot).into()
}

/// The real of a packet that goes by itself.
#[inline(always)]
fn one_packet(packet: &mut Packet) -> u32 {
    let Some(counters) = SERVICE_COUNTERS.get_ptr_mut(packet.service) else { return no_ring() };
    // SAFETY: the entry is this CPU's own, and the program is not preempted by itself.
    let count = unsafe { (*counters).packets };
    let hash = flow_hash(&packet.key, is_v4(&packet.key));
    packet.slot = slot_of(one_packet_hash(hash, count));
    slot(packet.service, packet.slot).map_or_else(no_ring, |slot| slot.real.into())
}

/// The real of a client. For the decision the client's key takes the place of the packet's own.
#[inline(always)]
fn client_real(packet: &mut Packet) -> u32 {
    let Some(options) = SERVICE_OPTIONS.get(packet.service) else { return no_ring() };
    let (key, service, tcp_flags) = (key_words(&packet.key), packet.service, packet.tcp_flags);
    set_key(&mut packet.key, client_key(key, options));
    packet.service = options.affinity_service;
    packet.tcp_flags = 0;
    packet.of_client = true;
    packet.slot = slot_of(flow_hash(&packet.key, is_v4(&packet.key)));
    let real = match slot(packet.service, packet.slot) {
        Some(slot) if slot.state == SLOT_CLEAN => slot.real.into(),
        Some(slot) => flow::decide(packet, slot).into(),
        None => no_ring(),
    };
    set_key(&mut packet.key, key);
    packet.service = service;
    packet.tcp_flags = tcp_flags;
    real
}

/// A real, and in the upper half the slot, or an [`OUTCOME`], which is not counted.
pub struct Peeked(u64);

impl Peeked {
    const NO_RING: Self = Self(OUTCOME as u64);

    #[inline(always)]
    fn new(real: u16, slot: u32) -> Self {
        Self(u64::from(real) | u64::from(slot) << 32)
    }

    /// The real, where the service has a ring.
    #[inline(always)]
    pub fn real(&self) -> Option<u16> {
        if self.0 & u64::from(OUTCOME) == 0 { Some(self.0 as u16) } else { None }
    }

    /// The slot.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The slot and the real of a flow that another packet quotes, where its service has one of [`OTHER_SLOT`]: only reads.
#[inline(always)]
pub fn peek(key: &FlowKey, service: u32, flags: u8) -> Peeked {
    Peeked(flags_peek(key, service, u32::from(flags)))
}

/// As [`peek`]. Global.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flags_peek(key: *const FlowKey, service: u32, flags: u32) -> u64 {
    // SAFETY: the caller has it on its stack, and does not look at it meanwhile.
    let Some(key) = (unsafe { key.as_ref() }) else { return Peeked::NO_RING.0 };
    // On this stack: Linux 6.1 looks keys up from nowhere else.
    let mut key = *key;
    let mut ring = service;
    let of_client = !has(flags, SERVICE_ONE_PACKET);
    if of_client {
        let Some(options) = SERVICE_OPTIONS.get(service) else { return Peeked::NO_RING.0 };
        let words = client_key(key_words(&key), options);
        set_key(&mut key, words);
        ring = options.affinity_service;
    }
    let index = slot_of(flow_hash(&key, is_v4(&key)));
    let Some(slot) = slot(ring, index) else { return Peeked::NO_RING.0 };
    let settled = slot.state == SLOT_CLEAN || !of_client;
    let real = if settled { slot.real } else { flow::peek_client(&key, ring, slot) };
    Peeked::new(real, index).0
}

/// The words of the key of a flow's client.
#[inline(always)]
fn client_key([client, client_end, _, _, ports]: [u64; 5], options: &ServiceOptions) -> [u64; 5] {
    let family = (ports >> 24) as u8;
    let bits = u32::from(options.affinity_bits);
    let vip: *const u64 = (&raw const options.vip).cast();
    // SAFETY: both words are inside the address; their alignment does not matter to BPF.
    let [vip, vip_end] = unsafe { [vip.read_unaligned(), vip.add(1).read_unaligned()] };
    let end = service_end(family, options.affinity_protocol)
        | u64::from(options.affinity_port)
        | u64::from(options.affinity_client_port) << 32;
    [client & first_bits(bits), client_end & first_bits(bits.saturating_sub(u64::BITS)), vip, vip_end, end]
}

/// The mask of the first bits of an address's word.
#[inline(always)]
pub fn first_bits(bits: u32) -> u64 {
    if bits >= u64::BITS { u64::MAX } else { (!(u64::MAX >> bits)).to_be() }
}

#[inline(always)]
fn slot(service: u32, index: u32) -> Option<Slot> {
    maps::slot(RINGS.get(service)?, index).copied()
}

#[inline(always)]
fn is_v4(key: &FlowKey) -> bool {
    key.service.family == FAMILY_V4
}

#[inline(always)]
fn has(flags: u32, flag: u8) -> bool {
    flags & u32::from(flag) != 0
}

/// What becomes of a packet whose service has no ring.
#[inline(always)]
pub fn no_ring() -> u32 {
    OUTCOME | drop(DropReason::NoRing)
}
