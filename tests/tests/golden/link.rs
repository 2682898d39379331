//! What is not for the load balancer, and frames that contradict themselves.

use lb_common::DropReason;
use lb_tests::packet::{ACK, ETHERTYPE_ARP, ETHERTYPE_V4, ETHERTYPE_V6, Extension, Layer, Packet, SYN};

use crate::case::{Case, Expect, case, drop, pass, pass_for_vip, tx};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    let mut cases = passed();
    cases.extend(passed_for_vip());
    cases.extend(malformed_v4());
    cases.extend(malformed_v6());
    cases
}

fn one(name: &str, packet: Packet, expect: Expect) -> Case {
    case(name, world()).send(&packet, expect)
}

/// Not for a VIP: the kernel's, and nothing is counted.
fn passed() -> Vec<Case> {
    let tcp = || to_vip().tcp(CLIENT_PORT, DSR_PORT, SYN);
    let tcp6 = || to_vip6().tcp(CLIENT_PORT, DSR_PORT, SYN);
    vec![
        one("an Ethernet header and nothing else", Packet::ethernet(ETHERTYPE_V4), pass()),
        one("an IPv6 EtherType and nothing else", Packet::ethernet(ETHERTYPE_V6), pass()),
        one("ARP", Packet::ethernet(ETHERTYPE_ARP).payload(46), pass()),
        one("LLDP", Packet::ethernet(0x88cc).payload(46), pass()),
        one("ARP with a tag", Packet::ethernet(ETHERTYPE_ARP).vlan(5).payload(46), pass()),
        one("an IPv4 packet of an unknown EtherType", Packet { ethertype: Some(0x1234), ..tcp() }, pass()),
        one("three tags", tcp().vlan(1).vlan(2).vlan(3), pass()),
        one("three tags, IPv6", tcp6().service_vlan(1).vlan(2).vlan(3), pass()),
        one("an old Q-in-Q EtherType is no tag", Packet { ethertype: Some(0x9100), ..tcp() }, pass()),
        one("IPv4 to no VIP", Packet::v4(CLIENT, NO_VIP).tcp(CLIENT_PORT, DSR_PORT, SYN), pass()),
        one("IPv6 to no VIP", Packet::v6(CLIENT6, NO_VIP6).tcp(CLIENT_PORT, DSR_PORT, SYN), pass()),
        one("from a VIP to a client", Packet::v4(VIP, CLIENT).tcp(DSR_PORT, CLIENT_PORT, SYN | ACK), pass()),
        one("a ping to no VIP", Packet::v4(CLIENT, NO_VIP).icmp(8, 0, [0; 4]), pass()),
        one("broadcast", Packet::v4(CLIENT, [255; 4].into()).udp(68, 67), pass()),
        one(
            "neighbour solicitation",
            Packet::v6(CLIENT6, "ff02::1:ff00:10".parse().unwrap_or(NO_VIP6)).icmp6(135, 0, [0; 4]),
            pass(),
        ),
        one("IPv4 EtherType, version 6", Packet { ethertype: Some(ETHERTYPE_V4), ..tcp6() }, pass()),
        one("IPv6 EtherType, version 4", Packet { ethertype: Some(ETHERTYPE_V6), ..tcp() }, pass()),
        one("IPv4, version 5", tcp().edit_v4(|ip| ip.version = 5), pass()),
        one("IPv6, version 7", tcp6().edit_v6(|ip| ip.version = 7), pass()),
        one("malformed to no VIP", Packet::v4(CLIENT, NO_VIP).edit_v4(|ip| ip.ihl = Some(1)).udp(1, 2), pass()),
        one(
            "truncated to no VIP",
            Packet::v6(CLIENT6, NO_VIP6).edit_v6(|ip| ip.payload_length = Some(900)).udp(1, 2),
            pass(),
        ),
    ]
}

/// For a VIP, and not for a service.
fn passed_for_vip() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, protocol) in [
        ("IGMP", 2),
        ("IPIP", 4),
        ("GRE", 47),
        ("ESP", 50),
        ("ICMPv6 in IPv4", 58),
        ("OSPF", 89),
        ("VRRP", 112),
        ("UDP-Lite", 136),
    ] {
        let packet = to_vip().edit_v4(|ip| ip.protocol = Some(protocol)).payload(24);
        cases.push(one(&format!("v4 to a VIP: {name}"), packet, pass_for_vip()));
    }
    for (name, next) in [
        ("IPv4", 4),
        ("ICMP in IPv6", 1),
        ("GRE", 47),
        ("ESP", 50),
        ("AH", 51),
        ("nothing", 59),
        ("UDP-Lite", 136),
        ("HIP", 139),
    ] {
        let packet = to_vip6().edit_v6(|ip| ip.next_header = Some(next)).payload(24);
        cases.push(one(&format!("v6 to a VIP: {name}"), packet, pass_for_vip()));
    }
    let nothing = to_vip6().layer(Layer::Extension(Extension { next_header: Some(59), ..Extension::new(60, 1) }));
    cases.push(one("v6 to a VIP: nothing after an extension header", nothing, pass_for_vip()));
    let no_payload = to_vip().edit_v4(|ip| ip.protocol = Some(47));
    cases.push(one("v4 to a VIP: GRE without payload", no_payload, pass_for_vip()));
    let fragment = to_vip()
        .edit_v4(|ip| {
            ip.protocol = Some(50);
            ip.offset = 3;
        })
        .payload(24);
    cases.push(one("v4 to a VIP: a later fragment of ESP", fragment, pass_for_vip()));
    cases
}

fn malformed_v4() -> Vec<Case> {
    let udp = || to_vip().udp(CLIENT_PORT, DSR_PORT);
    let tcp = || to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let malformed = || drop(DropReason::Malformed);
    let truncated = || drop(DropReason::Truncated);
    let options = |length: usize| to_vip().edit_v4(|ip| ip.options = vec![1; length]);
    let full_udp = udp().edit_v4(|ip| ip.total_length = Some(28)).payload(30);
    vec![
        one("v4: IHL 4", udp().edit_v4(|ip| ip.ihl = Some(4)), malformed()),
        one("v4: IHL 0", udp().edit_v4(|ip| ip.ihl = Some(0)), malformed()),
        one(
            "v4: IHL 0 of an unknown protocol",
            udp().edit_v4(|ip| {
                ip.ihl = Some(0);
                ip.protocol = Some(47);
            }),
            malformed(),
        ),
        one("v4: total length 0", udp().edit_v4(|ip| ip.total_length = Some(0)), malformed()),
        one("v4: total length below the header's", udp().edit_v4(|ip| ip.total_length = Some(19)), malformed()),
        one(
            "v4: total length below that of a header with options",
            options(40).udp(1, 2).edit_v4(|ip| ip.total_length = Some(59)),
            malformed(),
        ),
        one("v4: IHL 15, total length 28", udp().edit_v4(|ip| ip.ihl = Some(15)), malformed()),
        one("v4: total length one above the frame's", udp().edit_v4(|ip| ip.total_length = Some(29)), truncated()),
        one("v4: total length 65,535", udp().edit_v4(|ip| ip.total_length = Some(65_535)), truncated()),
        one(
            "v4: total length above the frame's, unknown protocol",
            udp().edit_v4(|ip| {
                ip.total_length = Some(99);
                ip.protocol = Some(47);
            }),
            truncated(),
        ),
        one(
            "v4: total length above the frame's, a later fragment",
            udp().edit_v4(|ip| {
                ip.total_length = Some(99);
                ip.offset = 9;
            }),
            truncated(),
        ),
        one(
            "v4: IHL past the frame's end",
            to_vip().edit_v4(|ip| {
                ip.ihl = Some(15);
                ip.total_length = Some(60);
                ip.protocol = Some(17);
            }),
            truncated(),
        ),
        one("v4: an IP header and no UDP", udp().edit_v4(|ip| ip.total_length = Some(20)), malformed()),
        one("v4: 7 bytes of UDP", udp().edit_v4(|ip| ip.total_length = Some(27)), malformed()),
        one("v4: 19 bytes of TCP", tcp().edit_v4(|ip| ip.total_length = Some(39)), malformed()),
        one("v4: 8 bytes of TCP", tcp().edit_v4(|ip| ip.total_length = Some(28)), malformed()),
        one("v4: 7 bytes of ICMP", to_vip().icmp(8, 0, [0; 4]).edit_v4(|ip| ip.total_length = Some(27)), malformed()),
        one("v4: padding is no TCP header", tcp().edit_v4(|ip| ip.total_length = Some(39)).pad_to(80), malformed()),
        one(
            "v4: UDP pushed out by options",
            options(12).udp(1, 2).edit_v4(|ip| ip.total_length = Some(39)),
            malformed(),
        ),
        one(
            "v4: a first fragment of 7 bytes of UDP",
            udp().edit_v4(|ip| {
                ip.more_fragments = true;
                ip.total_length = Some(27);
            }),
            malformed(),
        ),
        one(
            "v4: total length below the frame's is padding",
            full_udp.clone(),
            tx(&dsr(&full_udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 28),
        ),
    ]
}

fn malformed_v6() -> Vec<Case> {
    let udp = || to_vip6().udp(CLIENT_PORT, DSR_PORT);
    let tcp = || to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let malformed = || drop(DropReason::Malformed);
    let truncated = || drop(DropReason::Truncated);
    let headers = |count: usize| (0..count).fold(to_vip6(), |packet, _| packet.extension(60, 1));
    let long =
        |units: u8| to_vip6().layer(Layer::Extension(Extension { length: Some(units), ..Extension::new(60, 1) }));
    let short_udp = udp().payload(20).edit_v6(|ip| ip.payload_length = Some(8));
    vec![
        one("v6: payload length one above the frame's", udp().edit_v6(|ip| ip.payload_length = Some(9)), truncated()),
        one("v6: payload length 65,535", udp().edit_v6(|ip| ip.payload_length = Some(65_535)), truncated()),
        one(
            "v6: payload length above the frame's, nothing inside",
            to_vip6().edit_v6(|ip| ip.payload_length = Some(1)),
            truncated(),
        ),
        one("v6: payload length 0", udp().edit_v6(|ip| ip.payload_length = Some(0)), malformed()),
        one("v6: 7 bytes of UDP", udp().edit_v6(|ip| ip.payload_length = Some(7)), malformed()),
        one("v6: 19 bytes of TCP", tcp().edit_v6(|ip| ip.payload_length = Some(19)), malformed()),
        one(
            "v6: 7 bytes of ICMPv6",
            to_vip6().icmp6(128, 0, [0; 4]).edit_v6(|ip| ip.payload_length = Some(7)),
            malformed(),
        ),
        one("v6: padding is no TCP header", tcp().edit_v6(|ip| ip.payload_length = Some(19)).pad_to(99), malformed()),
        one("v6: seven extension headers", headers(7).udp(CLIENT_PORT, DSR_PORT), drop(DropReason::ExtensionHeaders)),
        one(
            "v6: a seventh extension header that is cut off",
            headers(7).edit_v6(|ip| ip.payload_length = Some(49)),
            drop(DropReason::ExtensionHeaders),
        ),
        one(
            "v6: six extension headers and a fragment header",
            headers(6).fragment6(1, 0, true).udp(CLIENT_PORT, DSR_PORT),
            drop(DropReason::ExtensionHeaders),
        ),
        one(
            "v6: an extension header that is cut off",
            to_vip6().extension(0, 1).edit_v6(|ip| ip.payload_length = Some(7)),
            malformed(),
        ),
        one("v6: an extension header and nothing left", to_vip6().edit_v6(|ip| ip.next_header = Some(43)), malformed()),
        one(
            "v6: an extension header longer than the payload",
            long(1).udp(CLIENT_PORT, DSR_PORT).edit_v6(|ip| ip.payload_length = Some(15)),
            malformed(),
        ),
        one(
            "v6: an extension header of 2,048 bytes in a packet of 56",
            long(255).udp(CLIENT_PORT, DSR_PORT),
            malformed(),
        ),
        one("v6: an extension header that swallows UDP", long(1).udp(CLIENT_PORT, DSR_PORT), malformed()),
        one(
            "v6: a fragment header that is cut off",
            to_vip6().fragment6(1, 0, true).edit_v6(|ip| ip.payload_length = Some(7)),
            malformed(),
        ),
        one(
            "v6: two fragment headers",
            to_vip6().fragment6(1, 0, false).fragment6(2, 0, false).udp(CLIENT_PORT, DSR_PORT),
            malformed(),
        ),
        one(
            "v6: a second fragment header with an offset",
            to_vip6().fragment6(1, 0, true).fragment6(2, 7, false).udp(CLIENT_PORT, DSR_PORT),
            malformed(),
        ),
        one(
            "v6: payload length below the frame's is padding",
            short_udp.clone(),
            tx(&dsr(&short_udp, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 48),
        ),
    ]
}
