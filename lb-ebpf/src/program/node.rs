//! What the node is to the VIPs (docs/reference/forwarding.md section 10).

use aya_ebpf::{
    bindings::{xdp_action::XDP_PASS, xdp_md},
    helpers::bpf_jiffies64,
};
use lb_common::{
    DropReason, FAMILY_V4, FAMILY_V6, MAX_EXTENSION_HEADERS, NODE_DRAINING, NODE_SERVING, NODE_SOLO, NODE_TELLS_FLOWS,
    NODE_TRACES, NodeState,
};

use super::{
    count::drop,
    frame::{Bounds, Frame},
    header::{
        self, ArpPacket, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ipv4Header, Ipv6Header,
        NeighbourSolicitation, PROTOCOL_ICMPV6, address4, address16,
    },
    ipv6,
    maps::NODE,
    nat, service,
};

/// No outcome: the frame is for the forwarder.
pub const FORWARD: u32 = u32::MAX;
/// All flags but the one that sends a packet out of line, where they are in the word of service and flags.
const OTHER_FLAGS: u64 = (!NODE_TRACES as u64) << 32;

/// Whether the node serves and no packet is traced: the state of nearly every packet. The flags are looked at with the service, in one word.
#[inline(always)]
pub fn serves_untraced() -> bool {
    let Some(node) = NODE.get_ptr(0) else { return false };
    // SAFETY: the row is there as long as the program is, and both fields are in that word (asserted below).
    let word = unsafe { (&raw const (*node).service).cast::<u64>().read_volatile() } & !OTHER_FLAGS;
    word == u64::from(NODE_SOLO) || word == u64::from(NODE_SERVING) && in_time(node)
}

/// Whether the node serves: what [`serves_untraced`] asks, without a look at the flags. For the bench, which measures what that look costs.
#[inline(always)]
#[allow(dead_code)]
pub fn serves() -> bool {
    let Some(node) = NODE.get_ptr(0) else { return false };
    let service = service(node);
    service == NODE_SOLO || service == NODE_SERVING && in_time(node)
}

/// What becomes of a frame where the node does not serve; [`FORWARD`] where it serves, for what it forwards while it drains, and for what may be a reply. Out of line:
/// it costs the others nothing. Global.
#[unsafe(export_name = "node_outcome")]
#[inline(never)]
pub extern "C" fn outcome(ctx: *mut xdp_md) -> u32 {
    let Some(node) = NODE.get_ptr(0) else { return XDP_PASS };
    let service = service(node);
    if service == NODE_SOLO || service == NODE_SERVING && in_time(node) {
        return FORWARD;
    }
    let runs_out = service == NODE_SERVING || service == NODE_DRAINING;
    let silent = !runs_out || !in_time(node);
    let reason = if silent && runs_out { DropReason::LeaseExpired } else { DropReason::Standby };
    if concerns_vip(Frame(ctx), silent) {
        return drop(reason);
    }
    // What is for no VIP may be a reply still, which the forwarder finds out, and asks again.
    if silent && !nat::has_replies() { XDP_PASS } else { FORWARD }
}

/// Why the node forwards no replies, where it does not.
#[inline(always)]
pub fn refusal() -> Option<DropReason> {
    let Some(node) = NODE.get_ptr(0) else { return Some(DropReason::Standby) };
    let service = service(node);
    if service == NODE_SOLO {
        return None;
    }
    if service != NODE_SERVING && service != NODE_DRAINING {
        return Some(DropReason::Standby);
    }
    if in_time(node) { None } else { Some(DropReason::LeaseExpired) }
}

/// Whether the program writes flow events.
#[inline(always)]
pub fn tells_flows() -> bool {
    has_flag(NODE_TELLS_FLOWS)
}

/// Whether packets are traced.
#[inline(always)]
pub fn traces() -> bool {
    has_flag(NODE_TRACES)
}

#[inline(always)]
fn has_flag(flag: u32) -> bool {
    // SAFETY: the row is there as long as the program is. Volatile: see `service`.
    NODE.get_ptr(0).is_some_and(|node| unsafe { (&raw const (*node).flags).read_volatile() } & flag != 0)
}

/// The service. Volatile, as the daemon may store meanwhile: each word of the row is read once.
#[inline(always)]
fn service(node: *const NodeState) -> u32 {
    // SAFETY: the row is there as long as the program is.
    unsafe { (&raw const (*node).service).read_volatile() }
}

/// Whether the lease still runs.
#[inline(always)]
fn in_time(node: *const NodeState) -> bool {
    // SAFETY: as above; the helper has no conditions.
    unsafe { bpf_jiffies64() < (&raw const (*node).lease_until).read_volatile() }
}

/// Whether the frame asks for a VIP, or, where all packets count, is for one.
#[inline(always)]
fn concerns_vip(frame: Frame, all: bool) -> bool {
    let bounds = frame.bounds();
    let Some((l3, ether_type)) = header::ethernet(bounds) else { return false };
    if ether_type == ETHER_TYPE_ARP {
        return arp_target(bounds, l3).is_some_and(is_vip4);
    }
    if ether_type == ETHER_TYPE_IPV4 {
        return all && ipv4_destination(bounds, l3).is_some_and(is_vip4);
    }
    if ether_type != ETHER_TYPE_IPV6 {
        return false;
    }
    let Some((destination, next_header)) = ipv6_header(bounds, l3) else { return false };
    all && is_vip6(destination) || solicited(frame, l3, next_header).is_some_and(is_vip6)
}

/// The address that an ARP request asks for.
#[inline(always)]
fn arp_target(bounds: Bounds, l3: usize) -> Option<u32> {
    let arp = bounds.at::<ArpPacket>(l3)?;
    // SAFETY: `at` has checked that the packet is inside the frame.
    let arp = unsafe { &*arp };
    arp.is_request().then_some(arp.target)
}

/// The destination of an IPv4 packet.
#[inline(always)]
fn ipv4_destination(bounds: Bounds, l3: usize) -> Option<u32> {
    let ip = bounds.at::<Ipv4Header>(l3)?;
    // SAFETY: as above.
    let ip = unsafe { &*ip };
    (ip.version_ihl >> 4 == 4).then_some(ip.destination)
}

/// The destination of an IPv6 packet, and what follows its first header.
#[inline(always)]
fn ipv6_header(bounds: Bounds, l3: usize) -> Option<([u32; 4], u8)> {
    let ip = bounds.at::<Ipv6Header>(l3)?;
    // SAFETY: as above.
    let ip = unsafe { &*ip };
    (u32::from_be(ip.version_class_label) >> 28 == 6).then_some((ip.destination, ip.next_header))
}

/// The address that a neighbour solicitation asks for, in an IPv6 packet at `l3`.
#[inline(always)]
fn solicited(frame: Frame, l3: usize, mut next: u8) -> Option<[u32; 4]> {
    let mut at = (l3 + size_of::<Ipv6Header>()) as u32;
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !ipv6::is_option_header(next) {
            break;
        }
        let start: [u8; 8] = frame.load(at)?;
        at += ipv6::option_header_length(start);
        next = start[0];
    }
    if next != PROTOCOL_ICMPV6 {
        return None;
    }
    let message: NeighbourSolicitation = frame.load(at)?;
    message.is_one().then_some(message.target)
}

#[inline(always)]
fn is_vip4(address: u32) -> bool {
    service::is_vip(&service::vip_key(address4(address), FAMILY_V4))
}

#[inline(always)]
fn is_vip6(address: [u32; 4]) -> bool {
    service::is_vip(&service::vip_key(address16(address), FAMILY_V6))
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(NodeState, service).is_multiple_of(8));
    assert!(offset_of!(NodeState, flags) == offset_of!(NodeState, service) + 4);
};
