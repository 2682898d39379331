//! Packets that are no whole TCP, UDP or SCTP packet of a service: not for a VIP, broken, fragments, ICMP.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use lb_common::{DropReason, Event, FAMILY_V4};

use super::{
    count::{drop, ended},
    forward,
    frame::Frame,
    header::IcmpHeader,
    icmp,
    maps::FRAGMENTS,
    nat,
    packet::{Class, Packet},
    service::{self, Missing},
};

/// The verdict on a packet of any class but [`Class::FLOW`].
#[inline(never)]
pub fn handle(frame: Frame, packet: &mut Packet, l3: usize, class: Class) -> u32 {
    if service::is_for_vip(&packet.key) { for_vip(frame, packet, l3, class) } else { for_others(frame, packet, class) }
}

/// The verdict where the packet is for a VIP. Out of line, so that others do without its part of the stack.
#[inline(never)]
fn for_vip(frame: Frame, packet: &mut Packet, l3: usize, class: Class) -> u32 {
    if class == Class::MALFORMED {
        return drop(DropReason::Malformed);
    }
    if class == Class::TRUNCATED {
        return drop(DropReason::Truncated);
    }
    if class == Class::EXTENSION_HEADERS {
        return drop(DropReason::ExtensionHeaders);
    }
    if class == Class::LATER_FRAGMENT {
        return later_fragment(frame, packet, l3);
    }
    if class == Class::ICMP {
        return icmp(frame, packet, l3);
    }
    unclaimed(packet)
}

/// The verdict on a TCP, UDP or SCTP packet that no service claims.
#[inline(always)]
pub fn no_service(frame: Frame, packet: &mut Packet, missing: Missing) -> u32 {
    if missing == Missing::VIP { for_others(frame, packet, Class::FLOW) } else { unclaimed(packet) }
}

/// The verdict on a packet that is for no VIP.
#[inline(always)]
fn for_others(frame: Frame, packet: &mut Packet, class: Class) -> u32 {
    if nat::has_replies() { nat::reply(frame, packet, class) } else { XDP_PASS }
}

/// The verdict on what is for a VIP and no service's: the kernel gets it, but for what is for a VIP of a prefix, which the kernel would send back to where it
/// came from.
#[inline(always)]
pub fn unclaimed(packet: &Packet) -> u32 {
    if nat::has_vip_prefixes() && !service::is_single(&packet.key) {
        return drop(DropReason::NoService);
    }
    ended(Event::VipPassed, XDP_PASS)
}

/// Sends a fragment without ports after its first fragment.
#[inline(always)]
fn later_fragment(frame: Frame, packet: &mut Packet, l3: usize) -> u32 {
    // SAFETY: the value is copied at once.
    let Some(first) = unsafe { FRAGMENTS.get(forward::fragment_key(packet)) }.copied() else {
        return drop(DropReason::FragmentUnknown);
    };
    packet.service = first.service;
    packet.mode = first.mode;
    forward::send(frame, frame.bounds(), packet, l3, packet.key.service.family == FAMILY_V4, first.real)
}

#[inline(always)]
fn icmp(frame: Frame, packet: &mut Packet, l3: usize) -> u32 {
    let Some(header) = frame.load::<IcmpHeader>(packet.l4) else { return unclaimed(packet) };
    let v4 = packet.key.service.family == FAMILY_V4;
    if header.kind == icmp::echo_request(v4) && header.code == 0 && !packet.extended {
        return icmp::answer_echo(frame, packet, l3);
    }
    if icmp::is_error(v4, header.kind) {
        return icmp::follow_flow(frame, packet, l3);
    }
    unclaimed(packet)
}

/// Whether an ICMP packet reports an error about a packet that the receiver sent.
#[inline(always)]
pub fn is_icmp_error(frame: Frame, packet: &Packet) -> bool {
    let v4 = packet.key.service.family == FAMILY_V4;
    frame.load::<IcmpHeader>(packet.l4).is_some_and(|header| icmp::is_error(v4, header.kind))
}
