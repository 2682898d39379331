//! What random states have of NAT: ports of reals, replies, and the kernel's ways to clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use lb_common::{
    FAMILY_V4, FAMILY_V6, FragmentKey, FragmentValue, MODE_NAT, NAT_REPLIES, NAT_REPLY_RANGES, NO_REAL, NatPortKey,
    NatReplyValue, NatState, OPTION_REAL_PORTS, PROTOCOL_SCTP, PROTOCOL_UDP, ServiceKey,
};
use lb_tests::harness::LOOPBACK;
use lb_tests::model::{Leads, Only, Route, State, Ways};
use lb_tests::world::address_of;

use crate::world::{CLIENTS, FRAGMENT_IDS, FRONTS, Front, NAT_PORT, client, family_of, real_address, reals_of, vip};

/// The port of most reals.
pub const REAL_PORT: u16 = 8_082;
/// Ports of reals.
pub const REAL_PORTS: [u16; 5] = [REAL_PORT, REAL_PORT, NAT_PORT, 8_003, 53];

/// Clients that there is something special about, behind the others.
pub const UNKNOWN_CLIENT: u16 = CLIENTS;
/// A client that the kernel forwards some replies to only.
const PARTED_CLIENT: u16 = CLIENTS + 9;
/// Clients of all kinds are below it: the last one has no route.
pub const ALL_CLIENTS: u16 = CLIENTS + 11;

/// Adds it all to a state that has its services and reals.
pub fn add(rng: &mut Rng, state: &mut State) {
    let other_flags = rng.u32(..) & !(NAT_REPLIES | NAT_REPLY_RANGES);
    let flags = [0, NAT_REPLIES, NAT_REPLIES, NAT_REPLIES | NAT_REPLY_RANGES][rng.usize(..4).max(rng.usize(..4))];
    state.nat = NatState { flags: flags | other_flags };
    for front in FRONTS.iter() {
        add_options(rng, state, front);
        for real in reals_of(family_of(front.vip)) {
            if rng.u8(..3) == 0 {
                let port = if rng.u8(..8) == 0 { 0 } else { REAL_PORTS[rng.usize(..REAL_PORTS.len())] };
                state.nat_ports.insert(NatPortKey { service: front.id, real: real.into() }, port.into());
            }
            add_reply(rng, state, front, real);
        }
    }
    add_fragments(rng, state);
    state.ways = Ways { forwards_v4: rng.u8(..8) != 0, forwards_v6: rng.u8(..8) != 0, routes: routes() };
}

fn add_options(rng: &mut Rng, state: &mut State, front: &Front) {
    let options = state.service_options.entry(front.id).or_default();
    options.flags = if rng.bool() { OPTION_REAL_PORTS | rng.u32(..) } else { rng.u32(..) & !OPTION_REAL_PORTS };
    options.vip = address_of(front.vip).0;
    options.vip_port = if rng.u8(..3) == 0 { 0 } else { front.port };
    options.real_port = if rng.u8(..3) == 0 { 0 } else { REAL_PORT };
}

/// A row for a port of the real, or for all of them. Services share reals, so that one row may take the place of another.
fn add_reply(rng: &mut Rng, state: &mut State, front: &Front, real: u16) {
    let always = front.port == NAT_PORT;
    if front.protocol == PROTOCOL_SCTP || front.prefix.is_some() || !always && rng.u8(..3) != 0 {
        return;
    }
    let port = if always { REAL_PORT } else { [0, 0, NAT_PORT, 8_003, 53][rng.usize(..5)] };
    let (first_port, last_port) = match rng.u8(..10) {
        0 => (rng.u16(..), rng.u16(..)),
        1 => (8_000, 8_010),
        2..=3 if port == 0 => (8_000, 8_010),
        4..=6 if port == 0 => (0, u16::MAX),
        _ => (port, port),
    };
    let (vip, family) = address_of(real_address(real));
    let key = ServiceKey { vip, port, protocol: front.protocol, family };
    state.nat_replies.insert(key, NatReplyValue { service: front.id, first_port, last_port });
}

/// Replies of which the first fragment has come.
fn add_fragments(rng: &mut Rng, state: &mut State) {
    for family in [FAMILY_V4, FAMILY_V6] {
        for real in reals_of(family) {
            let fronts: Vec<_> = FRONTS.iter().filter(|front| front.prefix.is_none()).collect();
            let front = fronts[rng.usize(..fronts.len())];
            let key = FragmentKey {
                source: address_of(real_address(real)).0,
                destination: address_of(client(family, rng.u16(..CLIENTS))).0,
                id: rng.u32(..FRAGMENT_IDS),
                protocol: if family == FAMILY_V4 { front.protocol } else { 0 },
                family,
                reserved: 0,
            };
            let mode = if rng.u8(..5) == 0 { rng.u8(..4) } else { MODE_NAT };
            let value = FragmentValue { service: front.id, real: NO_REAL, mode, reserved: 0 };
            state.effects.fragments.insert(key, value);
        }
    }
}

/// The ways to the clients, the same in every state, so that putting a state in changes no route.
fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for family in [FAMILY_V4, FAMILY_V6] {
        let gateway = |n: u8| -> Option<IpAddr> {
            Some(match family {
                FAMILY_V4 => Ipv4Addr::new(198, 18, 1, n).into(),
                _ => Ipv6Addr::new(0x2001, 0xdb8, 0xf, 1, 0, 0, 0, n.into()).into(),
            })
        };
        let out = |gateway, mac, mtu| Leads::Out { gateway, mac, mtu };
        let near = |n: u16| out(None, Some([2, 0, 0, 1, family, n as u8]), 1_500);
        routes.extend((0..CLIENTS).map(|n| Route::to(client(family, n), near(n))));
        let special = [
            out(None, None, 1_500),
            out(gateway(1), None, 1_500),
            out(gateway(2), Some([2, 0, 0, 2, family, 2]), 9_000),
            out(gateway(3), Some([2, 0, 0, 2, family, 3]), 1_300),
            out(None, Some([2, 0, 0, 3, family, 0]), if family == FAMILY_V4 { 300 } else { 1_280 }),
            Leads::Own,
            Leads::Blackhole,
            Leads::Unreachable,
            Leads::Prohibit,
        ];
        // Datagrams of the first VIP that came in by loopback. It shows what the kernel is asked.
        let only = Only {
            source: Some(vip(family, 0)),
            protocol: Some(PROTOCOL_UDP),
            ingress: Some(LOOPBACK),
            ..Only::default()
        };
        routes.insert(0, Route { to: client(family, PARTED_CLIENT), only, leads: near(PARTED_CLIENT) });
        routes.push(Route::to(client(family, PARTED_CLIENT), Leads::Unreachable));
        let clients = (UNKNOWN_CLIENT..).map(|n| client(family, n));
        routes.extend(clients.zip(special).map(|(to, leads)| Route::to(to, leads)));
    }
    routes
}
