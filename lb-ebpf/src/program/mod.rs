//! Ethernet -> lease -> IP -> service -> slot -> (flow) -> real -> forward.
//!
//! Functions that are said to be global are so to the verifier: it looks at each once, by itself, and not anew for all that its callers know. So the
//! program takes a tenth of the million steps that the verifier goes. (Linux 6.1's takes more of them than newer ones, and had given up before.)
//! A global function takes the context, numbers, and pointers that may be null to it, and returns a number. What is behind a pointer is
//! anything to it, and to its caller afterwards. The stacks of all functions on a way, each rounded up to 32 bytes, have 512 bytes together.
//!
//! Other functions that are out of line get the offset of the IP header, `l3`, as an argument, and do not branch on the packet's field: where a number that
//! the verifier knows is read from the caller's stack, Linux 6.1's forgets that it mattered, takes all packets for alike, and cuts off the branches of
//! the others.

mod count;
mod exception;
mod flags;
mod flow;
mod forward;
mod frame;
mod guard;
mod header;
mod icmp;
mod ipv4;
mod ipv6;
mod maps;
mod nat;
pub mod node;
mod packet;
mod quic;
mod reset;
mod service;
mod tell;
mod too_big;
mod trace;
mod tunnel;

use core::mem::MaybeUninit;

use aya_ebpf::bindings::{xdp_action::XDP_PASS, xdp_md};
use lb_common::{SLOT_CLEAN, slot_of};

use count::ACTION;
use frame::Bounds;
pub use frame::Frame;
use packet::{Class, Packet, flow_hash};

/// The verdict on one frame.
#[inline(always)]
pub fn run(ctx: *mut xdp_md) -> u32 {
    let frame = Frame(ctx);
    let mut traced = false;
    if !node::serves_untraced() {
        traced = node::traces() && trace::begin(ctx) && trace::foretell(ctx);
        let outcome = node::outcome(ctx);
        if outcome != node::FORWARD {
            return verdict(outcome, traced);
        }
    }
    verdict(serve(frame), traced)
}

/// The verdict that an outcome has.
#[inline(always)]
pub fn verdict(outcome: u32, traced: bool) -> u32 {
    if traced {
        trace::end(outcome);
    }
    outcome & ACTION
}

/// What becomes of a frame where the node serves: see [`count::ACTION`].
#[inline(always)]
pub fn serve(frame: Frame) -> u32 {
    let bounds = frame.bounds();
    let Some(ether_type) = header::ether_type_before(bounds, header::ETHERNET_LENGTH) else { return XDP_PASS };
    // Most frames have no tags: where headers are at fixed offsets they are read by fewer instructions.
    match ether_type {
        header::ETHER_TYPE_IPV4 => network(frame, bounds, header::ETHERNET_LENGTH, header::ETHER_TYPE_IPV4),
        header::ETHER_TYPE_IPV6 => network(frame, bounds, header::ETHERNET_LENGTH, header::ETHER_TYPE_IPV6),
        header::ETHER_TYPE_VLAN | header::ETHER_TYPE_QINQ => tagged(frame, bounds),
        _ => XDP_PASS,
    }
}

/// The verdict on a frame with VLAN tags.
#[inline(always)]
fn tagged(frame: Frame, bounds: Bounds) -> u32 {
    let Some((l3, ether_type)) = header::ethernet(bounds) else { return XDP_PASS };
    network(frame, bounds, l3, ether_type)
}

/// The verdict on what is behind the Ethernet header.
#[inline(always)]
fn network(frame: Frame, bounds: Bounds, l3: usize, ether_type: u16) -> u32 {
    let mut place = MaybeUninit::uninit();
    let v4 = ether_type == header::ETHER_TYPE_IPV4;
    if !v4 && ether_type != header::ETHER_TYPE_IPV6 {
        return XDP_PASS;
    }
    let parsed =
        if v4 { ipv4::parse(frame, bounds, &mut place, l3) } else { ipv6::parse(frame, bounds, &mut place, l3) };
    let Some((packet, class)) = parsed else { return XDP_PASS };
    if class != Class::FLOW {
        return exception::handle(frame, packet, l3, class);
    }
    let service = match service::find(&packet.key, v4) {
        Ok(service) => service,
        Err(missing) => return exception::no_service(frame, packet, missing),
    };
    packet.service = service.id;
    packet.mode = service.mode;
    let real = if service.flags == 0 { real(packet, v4) } else { flags::real(frame, packet, service.flags) };
    if real & flags::OUTCOME != 0 {
        return real;
    }
    forward::send(frame, bounds, packet, l3, v4, real as u16)
}

/// The packet's real; see [`flags::OUTCOME`].
#[inline(always)]
fn real(packet: &mut Packet, v4: bool) -> u32 {
    let Some(ring) = maps::RINGS.get(packet.service) else { return flags::no_ring() };
    packet.slot = slot_of(flow_hash(&packet.key, v4));
    let Some(slot) = maps::slot(ring, packet.slot) else { return flags::no_ring() };
    if slot.state == SLOT_CLEAN { slot.real.into() } else { flow::decide(packet, *slot).into() }
}
