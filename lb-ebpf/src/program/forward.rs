//! From a real to the wire (docs/reference/forwarding.md section 5).

use aya_ebpf::{bindings::xdp_action::XDP_TX, helpers::bpf_redirect};
use lb_common::{
    DropReason, Event, FAMILY_V4, FAMILY_V6, FragmentKey, FragmentValue, MODE_NAT, NO_REAL, REAL_ALIVE, REAL_RESOLVED,
    RealValue,
};

use super::{
    count::{drop, event, forwarded},
    frame::{Bounds, Frame},
    maps::{FRAGMENTS, REALS},
    nat,
    packet::{Kind, Packet},
    reset, too_big, tunnel,
};

/// Sends the packet to the real, or drops it. `l3` and `v4` are the packet's: most callers know them for constants. `bounds` are
/// the frame's.
#[inline(always)]
pub fn send(frame: Frame, bounds: Bounds, packet: &Packet, l3: usize, v4: bool, id: u16) -> u32 {
    let Some(real) = REALS.get(u32::from(id)) else { return drop(DropReason::NoReal) };
    let tunnel = tunnel::is_one(packet.mode);
    let fits = real.family == if v4 { FAMILY_V4 } else { FAMILY_V6 } || (tunnel && v4);
    if real.flags & READY != READY || !fits {
        // The row of no real is all zero.
        return if id == NO_REAL { reset::answer(frame, packet, l3) } else { drop(refusal(real.flags, fits)) };
    }
    let nat = packet.mode == MODE_NAT;
    if tunnel || nat {
        let outer = if tunnel { tunnel::outer_length(packet.mode, real) } else { 0 };
        if packet.length + outer > real.mtu {
            return too_big::answer(frame, packet, l3, real.mtu.saturating_sub(outer));
        }
    }
    if packet.kind == Kind::FIRST_FRAGMENT {
        note_fragment(packet, id);
    }
    let written = if tunnel {
        tunnel::encapsulate(frame, packet, l3, v4, real)
    } else if nat {
        nat::to_real(frame, packet, id, real) && write_macs(frame.bounds(), real)
    } else {
        write_macs(bounds, real)
    };
    if !written {
        return drop(DropReason::NoHeadroom);
    }
    forwarded(packet, id);
    if packet.kind != Kind::WHOLE {
        count_kind(packet.kind);
    }
    if real.ifindex == frame.ingress_ifindex() {
        return XDP_TX;
    }
    // SAFETY: the helper has no precondition.
    unsafe { bpf_redirect(real.ifindex, 0) as u32 }
}

/// What a real that may be sent to has.
pub const READY: u32 = REAL_ALIVE | REAL_RESOLVED;

/// Why the real is not sent the packet.
#[inline(always)]
fn refusal(flags: u32, fits: bool) -> DropReason {
    if flags & REAL_ALIVE == 0 {
        DropReason::RealDown
    } else if !fits {
        DropReason::FamilyMismatch
    } else {
        DropReason::NoNextHop
    }
}

/// Counts what is special about a packet that was forwarded.
#[inline(always)]
fn count_kind(kind: Kind) {
    if kind == Kind::LATER_FRAGMENT {
        event(Event::FragmentForwarded);
    } else if kind == Kind::ICMP_ERROR {
        event(Event::IcmpErrorForwarded);
    }
}

/// The key of a fragment's packet.
#[inline(always)]
pub fn fragment_key(packet: &Packet) -> FragmentKey {
    let family = packet.key.service.family;
    FragmentKey {
        source: packet.key.client,
        destination: packet.key.service.vip,
        id: packet.fragment_id,
        protocol: if family == FAMILY_V4 { packet.key.service.protocol } else { 0 },
        family,
        reserved: 0,
    }
}

/// Lets the later fragments follow this first one.
#[inline(never)]
pub fn note_fragment(packet: &Packet, real: u16) {
    let value = FragmentValue { service: packet.service, real, mode: packet.mode, reserved: 0 };
    // The LRU makes room by itself; should it fail under contention, the later fragments are dropped and counted.
    let _ = FRAGMENTS.insert(fragment_key(packet), value, 0);
}

/// Addresses the frame to the real's next hop.
#[inline(always)]
pub fn write_macs(frame: Bounds, real: &RealValue) -> bool {
    let Some(macs) = frame.at::<[u32; 3]>(0) else { return false };
    let (macs, source): (*mut u32, *const u32) = (macs.cast(), (&raw const real.next_hop_mac).cast());
    for word in 0..3 {
        // SAFETY: `at` has checked the destination. The source is the row's two MAC addresses, twelve bytes side by side (an
        // assert in lb-common) at a multiple of four. Volatile, since LLVM makes a plain copy a call of memmove.
        unsafe { macs.add(word).write_volatile(source.add(word).read_volatile()) };
    }
    true
}
