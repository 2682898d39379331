//! Ethernet -> IP -> service -> slot -> (flow) -> real -> forward.

mod count;
mod exception;
mod flow;
mod forward;
mod frame;
mod header;
mod icmp;
mod ipv4;
mod ipv6;
mod maps;
mod packet;
mod service;
mod too_big;

use core::mem::MaybeUninit;

use aya_ebpf::bindings::{xdp_action::XDP_PASS, xdp_md};
use lb_common::{SLOT_CLEAN, flow_hash, slot_of};

use count::drop;
use frame::Frame;
use packet::{Class, Packet};

/// The verdict on one frame.
#[inline(always)]
pub fn run(ctx: *mut xdp_md) -> u32 {
    let frame = Frame(ctx);
    let Some((l3, ether_type)) = header::ethernet(frame) else { return XDP_PASS };
    let mut place = MaybeUninit::uninit();
    let packet = Packet::begin(&mut place, l3);
    let class = match ether_type {
        header::ETHER_TYPE_IPV4 => ipv4::parse(frame, packet),
        header::ETHER_TYPE_IPV6 => ipv6::parse(frame, packet),
        _ => return XDP_PASS,
    };
    if class != Class::FLOW {
        return exception::handle(frame, packet, class);
    }
    let Some(service) = service::find(&packet.key) else { return exception::no_service(&packet.key) };
    packet.service = service.id;
    packet.mode = service.mode;
    let Some(ring) = maps::RINGS.get(service.id) else { return drop(lb_common::DropReason::NoRing) };
    packet.slot = slot_of(flow_hash(&packet.key));
    let Some(slot) = ring.get(packet.slot) else { return drop(lb_common::DropReason::NoRing) };
    let real = if slot.state == SLOT_CLEAN { slot.real } else { flow::decide(packet, *slot) };
    forward::send(frame, packet, real)
}
