//! What a node is to the VIPs: solo, serving, silent, draining, and when its lease has ended.

use lb_common::{DropReason, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO, NodeState};
use lb_tests::model::JIFFIES;
use lb_tests::packet::{ACK, ETHERTYPE_ARP, Packet, SYN};

use crate::case::{Case, Expect, case_with, drop, pass, pass_for_vip, tx};
use crate::world::*;

/// A node, in words.
type Node = (&'static str, NodeState);

const PAST: u64 = 1;
const FUTURE: u64 = 1_000 * JIFFIES;

const fn node(service: u32, lease_until: u64) -> NodeState {
    NodeState { lease_until, service, flags: 0 }
}

const SERVING: [Node; 4] = [
    ("solo", node(NODE_SOLO, 0)),
    ("solo with a lease that is left", node(NODE_SOLO, PAST)),
    ("serving", node(NODE_SERVING, FUTURE)),
    ("serving for ever", node(NODE_SERVING, u64::MAX)),
];
const SILENT: [(Node, DropReason); 7] = [
    (("silent", node(NODE_SILENT, 0)), DropReason::Standby),
    (("silent with a lease that is left", node(NODE_SILENT, FUTURE)), DropReason::Standby),
    (("a value that means nothing", node(4, FUTURE)), DropReason::Standby),
    (("serving, ended", node(NODE_SERVING, PAST)), DropReason::LeaseExpired),
    (("serving, never begun", node(NODE_SERVING, 0)), DropReason::LeaseExpired),
    (("draining, ended", node(NODE_DRAINING, PAST)), DropReason::LeaseExpired),
    (("draining, never begun", node(NODE_DRAINING, 0)), DropReason::LeaseExpired),
];
const DRAINING: Node = ("draining", node(NODE_DRAINING, FUTURE));

/// A frame, in words; how a node that serves takes it; and whether it asks for a VIP.
struct Frame {
    name: &'static str,
    packet: Packet,
    served: Expect,
    asks: bool,
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for frame in for_vips().into_iter().chain(asking()) {
        cases.extend(SERVING.iter().map(|node| case_of(node, &frame, frame.served.clone())));
        cases.extend(SILENT.iter().map(|(node, reason)| case_of(node, &frame, drop(*reason))));
        let drained = if frame.asks { drop(DropReason::Standby) } else { frame.served.clone() };
        cases.push(case_of(&DRAINING, &frame, drained));
    }
    for frame in of_no_concern() {
        let nodes = SERVING.iter().chain(SILENT.iter().map(|(node, _)| node)).chain([&DRAINING]);
        cases.extend(nodes.map(|node| case_of(node, &frame, frame.served.clone())));
    }
    cases
}

fn case_of((name, node): &Node, frame: &Frame, expect: Expect) -> Case {
    case_with(format!("{name}: {}", frame.name), |state| state.node = *node).send(&frame.packet, expect)
}

/// Packets whose destination is a VIP. A node that is silent looks at nothing else.
fn for_vips() -> Vec<Frame> {
    let frame = |name, packet, served| Frame { name, packet, served, asks: false };
    let tcp = to_vip().tcp(CLIENT_PORT, DSR_PORT, SYN);
    let tcp6 = to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let later = to_vip().edit_v4(|ip| (ip.offset, ip.protocol) = (7, Some(UDP))).payload(30);
    let later6 = to_vip6().fragment6(1, 7, false).udp(CLIENT_PORT, DSR_PORT);
    let forwarded = |packet: &Packet| tx(&dsr(packet, NEAR_V4)).counts(DSR_V4_TCP, NEAR_V4, 40).syn();
    let forwarded6 = |packet: &Packet| tx(&dsr(packet, NEAR_V6)).counts(DSR_V6_TCP, NEAR_V6, 60);
    let malformed = || drop(DropReason::Malformed);
    vec![
        frame("IPv4 TCP", tcp.clone(), forwarded(&tcp)),
        frame("IPv4 TCP, one tag", tcp.clone().vlan(5), forwarded(&tcp.clone().vlan(5))),
        frame("IPv4 TCP, two tags", tcp.clone().service_vlan(5).vlan(6), forwarded(&tcp.service_vlan(5).vlan(6))),
        frame("IPv6 TCP", tcp6.clone(), forwarded6(&tcp6)),
        frame("IPv6 TCP, one tag", tcp6.clone().vlan(5), forwarded6(&tcp6.clone().vlan(5))),
        frame("IPv6 TCP, two tags", tcp6.clone().service_vlan(5).vlan(6), forwarded6(&tcp6.service_vlan(5).vlan(6))),
        frame("a later fragment", later, drop(DropReason::FragmentUnknown)),
        frame("a later IPv6 fragment", later6, drop(DropReason::FragmentUnknown)),
        frame("a port of no service", to_vip().udp(CLIENT_PORT, NO_PORT), pass_for_vip()),
        frame("GRE", to_vip().edit_v4(|ip| ip.protocol = Some(47)).payload(8), pass_for_vip()),
        frame(
            "an echo request",
            to_vip().icmp(8, 0, [0, 1, 0, 2]),
            crate::icmp::answered(&Packet::v4(VIP, CLIENT).icmp(0, 0, [0, 1, 0, 2])),
        ),
        frame(
            "an IPv6 echo request",
            to_vip6().icmp6(128, 0, [0, 1, 0, 2]),
            crate::icmp::answered(&Packet::v6(VIP6, CLIENT6).icmp6(129, 0, [0, 1, 0, 2])),
        ),
        frame("an ICMP error about nothing", to_vip().icmp(3, 1, [0; 4]), pass_for_vip()),
        frame("a bad IHL", to_vip().edit_v4(|ip| ip.ihl = Some(1)).udp(CLIENT_PORT, DSR_PORT), malformed()),
        frame(
            "an IPv6 packet that is cut off",
            to_vip6().udp(CLIENT_PORT, DSR_PORT).payload(20).cut_to(60),
            drop(DropReason::Truncated),
        ),
        frame("an unicast solicitation for another address", to_vip6().solicitation(NO_VIP6), pass_for_vip()),
    ]
}

/// Frames that the kernel would answer with the node's MAC address.
fn asking() -> Vec<Frame> {
    let frame = |name, packet, served| Frame { name, packet, served, asks: true };
    let arp = || Packet::arp(1, CLIENT, VIP);
    let multicast = || Packet::v6(CLIENT6, solicited_node(VIP6));
    let unspecified = Packet::v6([0; 16].into(), solicited_node(VIP6));
    let six = (0..6).fold(multicast(), |packet, _| packet.extension(60, 1));
    vec![
        frame("ARP", arp(), pass()),
        frame("ARP for the other VIP", Packet::arp(1, CLIENT, WIDE_VIP), pass()),
        frame("ARP, one tag", arp().vlan(5), pass()),
        frame("ARP, two tags", arp().service_vlan(5).vlan(6), pass()),
        frame("ARP with padding", arp().pad_to(60), pass()),
        frame("an ARP probe", Packet::arp(1, [0; 4].into(), VIP), pass()),
        frame("a gratuitous ARP request", Packet::arp(1, VIP, VIP), pass()),
        frame("a solicitation", multicast().solicitation(VIP6), pass()),
        frame("a solicitation for the other VIP", multicast().solicitation(WIDE_VIP6), pass()),
        frame("a solicitation, one tag", multicast().solicitation(VIP6).vlan(5), pass()),
        frame("a solicitation, two tags", multicast().solicitation(VIP6).service_vlan(5).vlan(6), pass()),
        frame("a unicast solicitation", to_vip6().solicitation(VIP6), pass_for_vip()),
        frame("a duplicate address probe", unspecified.solicitation(VIP6), pass()),
        frame("a solicitation behind a header", multicast().extension(0, 2).solicitation(VIP6), pass()),
        frame("a solicitation behind six headers", six.solicitation(VIP6), pass()),
        frame("a solicitation without options", solicitation_of(24), pass()),
    ]
}

/// Frames that a node passes whatever it is.
fn of_no_concern() -> Vec<Frame> {
    let frame = |name, packet| Frame { name, packet, served: pass(), asks: false };
    let multicast = || Packet::v6(CLIENT6, solicited_node(VIP6));
    let arp = |at: usize, value: u8| {
        let mut bytes = Packet::arp(1, CLIENT, VIP).ip_bytes();
        bytes[at] = value;
        Packet::ethernet(ETHERTYPE_ARP).data(&bytes)
    };
    let seven = (0..7).fold(multicast(), |packet, _| packet.extension(60, 1));
    let advertisement = multicast().icmp6(136, 0, [0; 4]).data(&VIP6.octets());
    vec![
        frame("IPv4 to no VIP", Packet::v4(CLIENT, NO_VIP).tcp(CLIENT_PORT, DSR_PORT, SYN)),
        frame("IPv6 to no VIP", Packet::v6(CLIENT6, NO_VIP6).tcp(CLIENT_PORT, DSR_PORT, SYN)),
        frame("IPv4 from a VIP", Packet::v4(VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, ACK)),
        frame("three tags", to_vip().tcp(CLIENT_PORT, DSR_PORT, SYN).vlan(1).vlan(2).vlan(3)),
        frame("IPv4 without a header", to_vip().cut_to(33)),
        frame("IPv6 without a header", to_vip6().cut_to(53)),
        frame("LLDP", Packet::ethernet(0x88cc).payload(46)),
        frame("ARP for no VIP", Packet::arp(1, CLIENT, NO_VIP)),
        frame("ARP by a VIP for no VIP", Packet::arp(1, VIP, NO_VIP)),
        frame("an ARP answer", Packet::arp(2, CLIENT, VIP)),
        frame("a gratuitous ARP answer", Packet::arp(2, VIP, VIP)),
        frame("ARP that is cut off", Packet::arp(1, CLIENT, VIP).cut_to(41)),
        frame("ARP for another protocol", arp(2, 0x86)),
        frame("ARP with another hardware address length", arp(4, 8)),
        frame("ARP with another address length", arp(5, 16)),
        frame("a solicitation for no VIP", multicast().solicitation(NO_VIP6)),
        frame("a solicitation that is cut off", solicitation_of(23)),
        frame("a solicitation behind seven headers", seven.solicitation(VIP6)),
        frame("a solicitation in a fragment", multicast().fragment6(1, 0, false).solicitation(VIP6)),
        frame("an advertisement", advertisement),
    ]
}

/// The multicast address that an address is asked for at (RFC 4291 section 2.7.1).
fn solicited_node(address: std::net::Ipv6Addr) -> std::net::Ipv6Addr {
    let [.., low] = address.segments();
    std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, low)
}

/// A solicitation for the VIP of which `length` bytes are there, and its length field is still right.
fn solicitation_of(length: usize) -> Packet {
    Packet::v6(CLIENT6, solicited_node(VIP6)).solicitation(VIP6).cut_to(14 + 40 + length)
}
