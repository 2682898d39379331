//! NAT (docs/reference/forwarding.md section 12): the destination is rewritten on the way to the real, and the source on the way back.

mod rewrite;
mod way;

use aya_ebpf::{
    bindings::{
        xdp_action::{XDP_PASS, XDP_TX},
        xdp_md,
    },
    helpers::bpf_redirect,
};
use lb_common::{
    DropReason, Event, MODE_NAT, NAT_REPLIES, NAT_REPLY_RANGES, NAT_VIP_PREFIXES, NO_REAL, NatPortKey,
    OPTION_REAL_PORTS, RealValue, ServiceKey, ServiceOptions,
};

use super::{
    count::{drop, event},
    exception::is_icmp_error,
    forward,
    frame::Frame,
    icmp,
    maps::{FRAGMENTS, NAT, NAT_PORTS, REPLIES, SERVICE_OPTIONS},
    node,
    packet::{Class, Kind, Packet},
};
use rewrite::{End, Side};

/// Whether a service is in `nat` mode, so that packets for others than VIPs may be replies.
#[inline(always)]
pub fn has_replies() -> bool {
    flags() & NAT_REPLIES != 0
}

/// Whether whole prefixes are VIPs.
#[inline(always)]
pub fn has_vip_prefixes() -> bool {
    flags() & NAT_VIP_PREFIXES != 0
}

#[inline(always)]
fn flags() -> u32 {
    NAT.get(0).map_or(0, |nat| nat.flags)
}

/// Makes the real the packet's destination. False where a header is not inside the frame, which the parser has seen to.
#[inline(always)]
pub fn to_real(frame: Frame, packet: &Packet, id: u16, real: &RealValue) -> bool {
    let end = End::new(&real.address, real_port(packet.service, id));
    rewrite::end(frame, packet, &end, Side::DESTINATION)
}

/// The port of a service's real; 0 where it is the packet's own.
#[inline(always)]
fn real_port(service: u32, real: u16) -> u16 {
    let Some(options) = SERVICE_OPTIONS.get(service) else { return 0 };
    if options.flags & OPTION_REAL_PORTS != 0 {
        let key = NatPortKey { service, real: u32::from(real) };
        // SAFETY: the value is copied at once.
        if let Some(port) = unsafe { NAT_PORTS.get(key) } {
            return *port as u16;
        }
    }
    options.real_port
}

/// The verdict on a packet that is for no VIP. Where the node serves, a reply goes to its client.
#[inline(always)]
pub fn reply(frame: Frame, packet: &mut Packet, class: Class) -> u32 {
    nat_reply(frame.0, packet, class.number())
}

/// As [`reply`]. A global function: the verifier looks at it once, and not for each way that a packet gets here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nat_reply(ctx: *mut xdp_md, packet: *mut Packet, class: u32) -> u32 {
    // SAFETY: the caller's packet. The verifier wants to see the null pointer ruled out.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return XDP_PASS };
    reply_of(Frame(ctx), packet, Class::of(class))
}

#[inline(always)]
fn reply_of(frame: Frame, packet: &mut Packet, class: Class) -> u32 {
    let service = replying_service(frame, packet, class);
    if service == NO_SERVICE {
        return XDP_PASS;
    }
    let Some(options) = SERVICE_OPTIONS.get(service) else { return XDP_PASS };
    let mut way = way::wanted(frame, packet, &options.vip);
    let outcome = way::find(frame, &mut way);
    if outcome != way::FOUND {
        return outcome;
    }
    if let Some(reason) = node::refusal() {
        return drop(reason);
    }
    packet.service = service;
    packet.mode = MODE_NAT;
    if packet.kind == Kind::FIRST_FRAGMENT {
        forward::note_fragment(packet, NO_REAL);
    }
    to_client(frame, packet, options, &way)
}

/// No service's id.
const NO_SERVICE: u32 = u32::MAX;

/// The service whose reply the packet is.
#[inline(never)]
fn replying_service(frame: Frame, packet: &mut Packet, class: Class) -> u32 {
    if class == Class::FLOW {
        let key = &packet.key;
        return service_of(ServiceKey { vip: key.client, port: key.client_port, ..key.service });
    }
    if class == Class::LATER_FRAGMENT {
        // SAFETY: the value is copied at once.
        let first = unsafe { FRAGMENTS.get(forward::fragment_key(packet)) };
        return first.filter(|first| first.mode == MODE_NAT).map_or(NO_SERVICE, |first| first.service);
    }
    if class != Class::ICMP || !is_icmp_error(frame, packet) {
        return NO_SERVICE;
    }
    // The quoted packet is one that the client seemed to send: its destination is in the place of a VIP's client.
    let Some(key) = icmp::quoted_flow(frame, packet) else { return NO_SERVICE };
    packet.kind = Kind::ICMP_ERROR;
    service_of(ServiceKey { vip: key.client, port: key.client_port, ..key.service })
}

/// The service whose replies come from a real's port.
#[inline(always)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
fn service_of(mut real: ServiceKey) -> u32 {
    let port = real.port;
    // SAFETY: the value is copied at once.
    let mut row = unsafe { REPLIES.get(&real) }.copied();
    if row.is_none() && flags() & NAT_REPLY_RANGES != 0 {
        real.port = 0;
        // SAFETY: as above.
        row = unsafe { REPLIES.get(&real) }.copied();
    }
    match row {
        Some(row) if row.first_port <= port && port <= row.last_port => row.service,
        _ => NO_SERVICE,
    }
}

/// Makes the VIP the reply's source, and sends it on its way.
#[inline(always)]
fn to_client(frame: Frame, packet: &Packet, options: &ServiceOptions, way: &way::Way) -> u32 {
    let vip = End::new(&options.vip, options.vip_port);
    if !rewrite::end(frame, packet, &vip, Side::SOURCE) || !way::write_macs(frame, way) {
        return drop(DropReason::Truncated);
    }
    event(Event::ReplyForwarded);
    let interface = way::interface(way);
    if interface == frame.ingress_ifindex() {
        return XDP_TX;
    }
    // SAFETY: the helper has no precondition.
    unsafe { bpf_redirect(interface, 0) as u32 }
}
