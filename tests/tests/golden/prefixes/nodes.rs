//! Nodes that serve, drain and are silent, whose kernels are asked for an address of a prefix, and replies in `nat` mode to one.

use lb_common::{NAT_VIP_PREFIXES, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO, NodeState};
use lb_tests::model::JIFFIES;
use lb_tests::packet::SYN;

use super::*;
use crate::case::pass;
use crate::nat::{self, nat_case};

const PAST: u64 = 1;
const FUTURE: u64 = 1_000 * JIFFIES;

pub fn cases() -> Vec<Case> {
    let mut cases = asked();
    for family in FAMILIES {
        cases.extend(packets(family));
        cases.extend(replies(family));
    }
    cases
}

/// What the node is, in words, and the reason for which it is silent.
const NODES: [(&str, u32, u64, Option<DropReason>); 8] = [
    ("solo", NODE_SOLO, 0, None),
    ("serving", NODE_SERVING, FUTURE, None),
    ("draining", NODE_DRAINING, FUTURE, None),
    ("silent", NODE_SILENT, 0, Some(DropReason::Standby)),
    ("silent with a lease that is left", NODE_SILENT, FUTURE, Some(DropReason::Standby)),
    ("a value that means nothing", 4, FUTURE, Some(DropReason::Standby)),
    ("serving, ended", NODE_SERVING, PAST, Some(DropReason::LeaseExpired)),
    ("draining, ended", NODE_DRAINING, PAST, Some(DropReason::LeaseExpired)),
];

fn node(service: u32, lease_until: u64) -> impl Fn(&mut State) {
    move |state| state.node = NodeState { service, lease_until, flags: 0 }
}

/// Packets for addresses of prefixes.
fn packets(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    let syn = to(family, ONE).tcp(CLIENT_PORT, DSR_PORT, SYN);
    let tagged = syn.clone().service_vlan(1).vlan(2);
    let unclaimed = to(family, 0x4001).udp(1, 9);
    let bad = if family == V4 {
        to(V4, ONE).edit_v4(|ip| ip.ihl = Some(1)).udp(1, 2)
    } else {
        (0..7).fold(to(V6, ONE), |packet, _| packet.extension(60, 1)).udp(1, 53)
    };
    let broken = if family == V4 { DropReason::Malformed } else { DropReason::ExtensionHeaders };
    for (name, service, until, silent) in NODES {
        let expect = |served: Expect| silent.map_or(served, drop);
        cases.push(
            prefix_case(&format!("a node {name}"), family, node(service, until))
                .send(&syn, expect(goes(&syn, family, WIDE_TCP, near(family)).syn()))
                .send(&tagged, expect(goes(&tagged, family, WIDE_TCP, near(family)).syn()))
                .send(&unclaimed, expect(no_service()))
                .send(&bad, expect(drop(broken)))
                .send(&segment(family, 0x8000), pass()),
        );
        let without = |state: &mut State| {
            node(service, until)(state);
            state.nat.flags &= !NAT_VIP_PREFIXES;
        };
        cases.push(
            prefix_case(&format!("a node {name}, prefixes not looked at"), family, without)
                .send(&syn, pass())
                .send(&unclaimed, pass())
                .send(&bad, pass()),
        );
    }
    cases
}

/// ARP requests and neighbour solicitations.
fn asked() -> Vec<Case> {
    let arp = |host| {
        let IpAddr::V4(target) = address(V4, host) else { unreachable!("an IPv4 address") };
        Packet::arp(1, CLIENT, target)
    };
    let solicitation = |host, to: Option<u32>| {
        let IpAddr::V6(target) = address(V6, host) else { unreachable!("an IPv6 address") };
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, target.segments()[7]);
        let to = to.map_or(group.into(), |to| address(V6, to));
        (Packet::ip(CLIENT6.into(), to), target)
    };
    let multicast = |host| {
        let (packet, target) = solicitation(host, None);
        packet.solicitation(target)
    };
    let behind = |host| {
        let (packet, target) = solicitation(host, None);
        packet.extension(0, 2).solicitation(target)
    };
    let unicast = |host, to| {
        let (packet, target) = solicitation(host, Some(to));
        packet.solicitation(target)
    };
    let mut cases = Vec::new();
    for (name, service, until, silent) in NODES {
        let asks = |served: Expect| match (silent, service) {
            (Some(reason), _) => drop(reason),
            (None, NODE_DRAINING) => drop(DropReason::Standby),
            _ => served,
        };
        let for_vip = |served: Expect| silent.map_or(served, drop);
        let mut case = prefix_case(&format!("a node {name} is asked"), V4, node(service, until));
        for host in [0, ONE, 0x4001, 0x7fff] {
            case = case
                .send(&arp(host), asks(pass()))
                .send(&arp(host).vlan(3), asks(pass()))
                .send(&multicast(host), asks(pass()))
                .send(&behind(host).service_vlan(2).vlan(3), asks(pass()))
                .send(&unicast(host, host), asks(no_service()))
                // To an address of the prefix about one that is none.
                .send(&unicast(0x8000, host), for_vip(no_service()));
        }
        for host in [0x8000, 0xffff] {
            case = case
                .send(&arp(host), pass())
                .send(&multicast(host), pass())
                .send(&unicast(host, host), pass())
                // To none about an address of the prefix.
                .send(&unicast(ONE, host), asks(pass()));
        }
        cases.push(case);
        let without = |state: &mut State| {
            node(service, until)(state);
            state.nat.flags &= !NAT_VIP_PREFIXES;
        };
        cases.push(
            prefix_case(&format!("a node {name} is asked, prefixes not looked at"), V4, without)
                .send(&arp(ONE), pass())
                .send(&multicast(ONE), pass())
                .send(&unicast(ONE, ONE), pass()),
        );
    }
    cases
}

/// A packet that a reply would be, but for its destination.
fn replies(family: u8) -> Vec<Case> {
    let real = real_address(near(family));
    let reply = |to: IpAddr, port| Packet::ip(real, to).tcp(nat::REAL_PORT, port, ACK);
    let [no_port, with_port] = [reply(address(family, ONE), 40_000), reply(address(family, ONE), DSR_PORT)];
    let to_client = reply(client(family), CLIENT_PORT);
    let replied = nat::sourced(&to_client, nat::vip(family), Some(nat::NAT_PORT));
    let world = |state: &mut State| {
        let flags = state.nat.flags;
        let prefixes = prefix_world();
        state.services.extend(prefixes.services);
        state.port_ranges.extend(prefixes.port_ranges);
        state.vip_prefixes = prefixes.vip_prefixes;
        state.rings.extend(prefixes.rings.into_iter().filter(|(id, _)| *id >= WIDE_TCP));
        state.nat.flags = flags | NAT_VIP_PREFIXES;
        let out = lb_tests::model::Leads::Out { gateway: None, mac: Some(nat::GATEWAY_MAC), mtu: 1_500 };
        state.ways.routes.push(lb_tests::model::Route::to(address(family, ONE), out));
    };
    let in_node = |service: u32, until: u64| {
        move |state: &mut State| {
            world(state);
            node(service, until)(state);
        }
    };
    let off = |state: &mut State| {
        world(state);
        state.nat.flags &= !NAT_VIP_PREFIXES;
    };
    let taken = goes(&with_port, family, WIDE_TCP, near(family));
    let named = |name: &str| format!("prefixes v{family}, {name}");
    let to_one = nat::sourced(&no_port, nat::vip(family), Some(nat::NAT_PORT));
    let by_route =
        crate::case::redirect(&to_one.macs(nat::GATEWAY_MAC, lb_tests::model::WAY_MAC), lb_tests::model::WAY_IFINDEX);
    // An ICMP error about a client's packet to a real, where the client's address is of the prefix.
    let about = Packet::ip(address(family, ONE), real).tcp(40_000, nat::REAL_PORT, ACK);
    let error = Packet::ip(router(family), address(family, ONE));
    let error = if family == V4 { error.icmp(3, 3, [0; 4]) } else { error.icmp6(1, 4, [0; 4]) }.quote(&about, 60);
    let later = nat::later(real, address(family, ONE), UDP);
    let noted = |state: &mut State| {
        world(state);
        let key = nat::fragment_key(real, address(family, ONE), nat::ID.into(), UDP);
        let value = lb_common::FragmentValue {
            service: nat::service(family, UDP),
            real: 0,
            mode: lb_common::MODE_NAT,
            reserved: 0,
        };
        state.effects.fragments.insert(key, value);
    };
    vec![
        nat_case(named("a reply to an address of a prefix is none"), world).send(&no_port, no_service()),
        nat_case(named("it is a client's packet"), world).send(&with_port, taken),
        nat_case(named("a reply to a client is one"), world).send(&to_client, nat::replied(&replied)),
        nat_case(named("prefixes not looked at: it is a reply"), off)
            .send(&no_port, by_route.event(lb_common::Event::ReplyForwarded)),
        nat_case(named("an ICMP error for a real, to an address of a prefix"), world).send(&error, no_service()),
        nat_case(named("a later fragment of a reply, to an address of a prefix"), noted)
            .send(&later, drop(DropReason::NoReal)),
        nat_case(named("a silent node"), in_node(NODE_SILENT, FUTURE))
            .send(&no_port, drop(DropReason::Standby))
            .send(&to_client, drop(DropReason::Standby))
            .send(&error, drop(DropReason::Standby)),
        nat_case(named("a draining node"), in_node(NODE_DRAINING, FUTURE)).send(&no_port, no_service()),
    ]
}
