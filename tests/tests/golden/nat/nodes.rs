//! Nodes that are silent, that drain, and whose lease has ended: what becomes of replies.

use lb_common::{DropReason, MODE_NAT, NO_REAL, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NodeState};
use lb_tests::model::{JIFFIES, State};
use lb_tests::packet::{ACK, Packet};

use super::replies::{answer, from_vip};
use super::to_reals::noted_as;
use super::ways::leads_to;
use super::*;
use crate::case::{Case, Expect, drop, pass};

const PAST: u64 = 1;
const FUTURE: u64 = 1_000 * JIFFIES;

const SERVING: [(&str, u32, u64); 2] = [("serving", NODE_SERVING, FUTURE), ("draining", NODE_DRAINING, FUTURE)];
const SILENT: [(&str, u32, u64, DropReason); 4] = [
    ("silent", NODE_SILENT, FUTURE, DropReason::Standby),
    ("a value that means nothing", 9, FUTURE, DropReason::Standby),
    ("serving, ended", NODE_SERVING, PAST, DropReason::LeaseExpired),
    ("draining, ended", NODE_DRAINING, PAST, DropReason::LeaseExpired),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        for (name, packet, forwarded) in replies(family) {
            let words = |node: &str| format!("{node}, {name}, v{family}");
            cases.extend(SERVING.iter().map(|(node, service, until)| {
                nat_case(words(node), |state| is(state, family, *service, *until)).send(&packet, forwarded.clone())
            }));
            cases.extend(SILENT.iter().map(|(node, service, until, reason)| {
                nat_case(words(node), |state| is(state, family, *service, *until)).send(&packet, drop(*reason))
            }));
        }
        cases.extend(ways_not_found(family));
        cases.extend(no_replies(family));
    }
    cases
}

/// What the node is. It knows a packet in fragments.
fn is(state: &mut State, family: u8, service: u32, lease_until: u64) {
    state.node = NodeState { service, lease_until, flags: 0 };
    let key = fragment_key(real_address(near(family)), client(family), 7, UDP);
    noted_as(state, key, super::service(family, UDP), NO_REAL, MODE_NAT);
}

/// Replies whose way is found, and how a node that serves forwards them.
fn replies(family: u8) -> Vec<(&'static str, Packet, Expect)> {
    let (real, client) = (real_address(near(family)), client(family));
    let tcp = answer(family, TCP, ACK);
    let first = first(real, client).udp(REAL_PORT, CLIENT_PORT).payload(40);
    let key = fragment_key(real, client, ID.into(), UDP);
    let later = of_packet_7(later(real, client, UDP));
    let quoted = |destination, port| Packet::ip(client, destination).tcp(CLIENT_PORT, port, ACK);
    let error = |from, quoted: Packet| {
        let ip = Packet::ip(from, client);
        if family == V4 { ip.icmp(3, 1, [0; 4]) } else { ip.icmp6(1, 0, [0; 4]) }.quote(&quoted, 80)
    };
    let [before, after] = [error(real, quoted(real, REAL_PORT)), error(vip(family), quoted(vip(family), NAT_PORT))];
    vec![
        ("a reply", tcp.clone(), replied(&from_vip(&tcp, family))),
        (
            "a first fragment",
            first.clone(),
            replied(&from_vip(&first, family)).fragment(key, service(family, UDP), NO_REAL, MODE_NAT),
        ),
        ("a later fragment", later.clone(), replied(&sourced(&later, vip(family), None))),
        ("an ICMP error", before, replied(&after)),
    ]
}

/// The same of the packet that the node knows.
fn of_packet_7(mut packet: Packet) -> Packet {
    for layer in &mut packet.layers {
        match layer {
            Layer::V4(ip) => ip.id = 7,
            Layer::Fragment(header) => header.id = 7,
            _ => {}
        }
    }
    packet
}

/// Section 12 step 3 goes before the silence.
fn ways_not_found(family: u8) -> Vec<Case> {
    let unknown = Leads::Out { gateway: Some(router(family)), mac: None, mtu: CLIENT_MTU };
    let narrow = Leads::Out { gateway: None, mac: Some(CLIENT_MAC), mtu: 1_280 };
    let long = answer(family, TCP, ACK).payload(1_300);
    let plain = answer(family, TCP, ACK);
    let table = [
        ("no route", None, &plain, pass()),
        ("its own address", Some(Leads::Own), &plain, pass()),
        ("a black hole", Some(Leads::Blackhole), &plain, drop(DropReason::NoRoute)),
        ("no neighbour", Some(unknown), &plain, drop(DropReason::NoNeighbour).wants(router(family))),
        ("too long", Some(narrow), &long, drop(DropReason::TooBig)),
    ];
    let mut cases = Vec::new();
    for (name, leads, packet, expect) in table {
        let lead = |state: &mut State| {
            is(state, family, NODE_SILENT, FUTURE);
            leads_to(state, family, leads);
            // A next hop is known to all routes, or to none.
            state.ways.routes.retain(|route| route.to == client(family));
        };
        cases.push(nat_case(format!("silent, a reply, {name}, v{family}"), lead).send(packet, expect));
    }
    let off = |state: &mut State| {
        is(state, family, NODE_SILENT, FUTURE);
        (state.ways.forwards_v4, state.ways.forwards_v6) = (false, false);
    };
    cases.push(
        nat_case(format!("silent, a reply, no forwarding, v{family}"), off)
            .send(&plain, drop(DropReason::NotForwarding)),
    );
    cases
}

fn no_replies(family: u8) -> Vec<Case> {
    let silent = |state: &mut State| is(state, family, NODE_SILENT, FUTURE);
    let off = |state: &mut State| {
        silent(state);
        state.nat.flags = NAT_REPLY_RANGES;
    };
    let (real, to) = (real_address(near(family)), client(family));
    let other = Packet::ip(real, to).tcp(REAL_PORT + 1, CLIENT_PORT, ACK);
    let to_vip = Packet::ip(real, vip(family)).tcp(REAL_PORT, CLIENT_PORT, ACK);
    let cut = answer(family, TCP, ACK).cut_to(60);
    vec![
        nat_case(format!("silent, no reply, v{family}"), silent).send(&other, pass()),
        nat_case(format!("silent, a broken reply, v{family}"), silent).send(&cut, pass()),
        nat_case(format!("silent, replies are not looked at, v{family}"), off).send(&answer(family, TCP, ACK), pass()),
        nat_case(format!("silent, a real's packet for a VIP, v{family}"), silent)
            .send(&to_vip, drop(DropReason::Standby)),
        nat_case(format!("silent, a later fragment that is not known, v{family}"), silent)
            .send(&later(real, to, UDP), pass()),
    ]
}
