//! Whose the server id is: reals of all kinds, and all forward modes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{DropReason, QuicServerKey};

use super::*;
use crate::case::drop;
use crate::nat::{self, REAL_PORT};
use crate::too_big::{needed, too_big};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(ids(family));
        cases.extend(reals(family));
        cases.extend(tunnels(family));
        cases.extend(nat(family));
    }
    cases
}

fn ids(family: u8) -> Vec<Case> {
    let service = service(family);
    let datagram = short(&usual_id());
    let with = |id: &'static [u8]| quic(service, 0, clear(), &[(id, far(family))]);
    let of_another = |world: &mut State| {
        usual(family)(world);
        world.quic_servers.clear();
        world.add_quic_server(service + 1, &ID, far(family).into());
    };
    let with_key = |length: u8, id: &[u8]| {
        let mut key = QuicServerKey { service, length, ..QuicServerKey::default() };
        key.id[..id.len()].copy_from_slice(id);
        move |world: &mut State| {
            usual(family)(world);
            world.quic_servers.clear();
            world.quic_servers.insert(key, far(family).into());
        }
    };
    let mut cases = vec![
        one_in("another server id", family, with(&[0xed, 0x79, 0x3b]), &datagram, false),
        one_in("a server id that has another byte first", family, with(&[0, 0xed, 0x79]), &datagram, false),
        one_in("a longer server id", family, with(&[0xed, 0x79, 0x3a, 0xee]), &datagram, false),
        one_in("a shorter server id", family, with(&[0xed, 0x79]), &datagram, false),
        one_in("a longer server id that ends with zeros", family, with(&[0xed, 0x79, 0x3a, 0]), &datagram, false),
        one_in("no server ids", family, with(&[]), &datagram, false),
        one_in("another service's server id", family, of_another, &datagram, false),
        one_in("the nonce behind the server id", family, with_key(3, &[0xed, 0x79, 0x3a, 0xee]), &datagram, false),
        one_in("the same bytes by another length", family, with_key(4, &ID), &datagram, false),
    ];
    // Two server ids are two reals', and many are one's.
    let two = |world: &mut State| {
        usual(family)(world);
        world.add_quic_server(service, &[1, 2, 3], far(family).into());
        world.add_quic_server(service, &[1, 2, 4], old(family).into());
    };
    let of = |id: &[u8], nonce| packet(family, &short(&connection_id(&clear(), 0, id, &[nonce; 4])));
    let mut case = quic_case("server ids of two reals", family, two);
    for (id, real) in [([1, 2, 3], far(family)), ([1, 2, 4], old(family)), (ID, far(family))] {
        for nonce in [0, 0x80, 0xff] {
            let packet = of(&id, nonce);
            case = case.send(&packet, goes(&packet, service, real).event(Event::QuicRouted));
        }
    }
    cases.push(case);
    for (name, id) in [("zeros", [0; 3]), ("ones", [0xff; 3])] {
        let world = quic(service, 0, clear(), &[(&id, far(family))]);
        let packet = of(&id, 1);
        let expect = routed(family, &packet);
        cases.push(quic_case(&format!("a server id of {name}"), family, world).send(&packet, expect));
    }
    cases
}

/// What the id's real is.
fn reals(family: u8) -> Vec<Case> {
    let service = service(family);
    let leads_to = |real: u32| {
        move |world: &mut State| {
            usual(family)(world);
            world.add_quic_server(service, &ID, real);
        }
    };
    let datagram = short(&usual_id());
    let packet = packet(family, &datagram);
    let mut cases = Vec::new();
    for (name, real) in [
        ("no real", 0),
        ("a dead real", dead(family).into()),
        ("an id that no real has", UNUSED.into()),
        ("a real outside the table", OUTSIDE.into()),
        ("the last id of 16 bits", 0xffff),
        ("a real of more than 16 bits", 0x1_0000 | u32::from(far(family))),
        ("a real of 32 bits", 0x8000_0000 | u32::from(far(family))),
        ("the last id of 32 bits", u32::MAX),
    ] {
        cases.push(one_in(&format!("{name} is named"), family, leads_to(real), &datagram, false));
    }
    let (unresolved, other) = if family == V4 { (UNRESOLVED_V4, FAR_V6) } else { (UNRESOLVED_V6, FAR_V4) };
    let dropped = |reason| drop(reason).event(Event::QuicRouted);
    cases.push(
        quic_case("a real without a next hop is named", family, leads_to(unresolved.into()))
            .send(&packet, dropped(DropReason::NoNextHop)),
    );
    cases.push(
        quic_case("a real of another family is named", family, leads_to(other.into()))
            .send(&packet, dropped(DropReason::FamilyMismatch)),
    );
    cases.push(
        quic_case("the near real is named", family, leads_to(near(family).into()))
            .send(&packet, goes(&packet, service, near(family)).event(Event::QuicRouted)),
    );
    let hot = |world: &mut State| {
        usual(family)(world);
        world.reals.get_mut(&far(family)).expect("a real of the world").flags |= lb_common::REAL_HOT;
    };
    cases.push(one_in("a hot real is named", family, hot, &datagram, true));
    cases
}

/// `ipip` and `gue`: with the flow's own hash, and the answer where it is too big.
fn tunnels(family: u8) -> Vec<Case> {
    let tunnel = if family == V4 { IPIP_V4_UDP } else { IPIP_V6_UDP };
    let reals: &[u16] = if family == V4 { &[FAR_V4, FAR_V6] } else { &[FAR_V6] };
    let mut cases = Vec::new();
    for (name, service, port) in [("ipip", tunnel, IPIP_PORT), ("gue", gue_service(family, UDP), GUE_SERVICE_PORT)] {
        for real in reals {
            let hash = hash_of(family, UDP, port);
            let packet = |length| from_client(family, UDP, port).data(&filled(long(&usual_id()), length));
            let world = |state: &mut State| {
                quic(service, 0, clear(), &[(&ID, *real)])(state);
                state.reals.get_mut(real).expect("a real of the world").source_bits = 16;
            };
            let small = packet(40);
            let out = if name == "ipip" { ipip(&small, *real, 0) } else { gue(&small, *real, 0, hash) };
            let source: IpAddr = if *real == FAR_V4 {
                Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 0, 0)) | (hash & 0xffff)).into()
            } else {
                let prefix = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0));
                Ipv6Addr::from(prefix | u128::from(hash & 0xffff)).into()
            };
            let out = from_source(out, source);
            let expect = sent(&out, service, *real, small.ip_length() as u64).event(Event::QuicRouted);
            cases.push(quic_case(&format!("{name} to {real}"), family, world).send(&small, expect));
            let outer = if *real == FAR_V4 { 20 } else { 40 } + if name == "gue" { 8 } else { 0 };
            let big = packet(1_500);
            let mtu = MTU - outer;
            let answered = if family == V4 { needed(&big, mtu as u16) } else { too_big(&big, mtu) };
            cases.push(
                quic_case(&format!("{name} to {real}, too big"), family, world)
                    .send(&big, answered.event(Event::QuicRouted)),
            );
        }
    }
    if family == V6 {
        let packet = from_client(V6, UDP, IPIP_PORT).data(&long(&usual_id()));
        cases.push(
            quic_case("ipip to IPv4", V6, quic(tunnel, 0, clear(), &[(&ID, FAR_V4)]))
                .send(&packet, drop(DropReason::FamilyMismatch).event(Event::QuicRouted)),
        );
    }
    cases
}

fn nat(family: u8) -> Vec<Case> {
    let service = nat::service(family, UDP);
    let address = real_address(far(family));
    let packet = |length| from_client(family, UDP, nat::NAT_PORT).data(&filled(short(&usual_id()), length));
    let world = || quic(service, 0, clear(), &[(&ID, far(family))]);
    let [small, big] = [packet(30), packet(1_490)];
    let goes_to = |real: u16, event: Event| {
        let out = nat::destined(&small, real_address(real), Some(REAL_PORT));
        nat::sent(&out, real).counts(service, real, small.ip_length() as u64).event(event)
    };
    let answered = if family == V4 { needed(&big, MTU as u16) } else { too_big(&big, MTU) };
    let unknown = |state: &mut State| {
        world()(state);
        state.quic_servers.clear();
    };
    let own_port = |state: &mut State| {
        world()(state);
        let key = lb_common::NatPortKey { service, real: far(family).into() };
        state.nat_ports.insert(key, 4_433);
        state.service_options.get_mut(&service).expect("options").flags |= lb_common::OPTION_REAL_PORTS;
    };
    let at_own_port = nat::destined(&small, address, Some(4_433));
    let at_own_port = nat::sent(&at_own_port, far(family)).counts(service, far(family), small.ip_length() as u64);
    vec![
        nat::nat_case(format!("quic v{family}"), world()).send(&small, goes_to(far(family), Event::QuicRouted)),
        nat::nat_case(format!("quic v{family}, unknown"), unknown)
            .send(&small, goes_to(near(family), Event::QuicUnrouted)),
        nat::nat_case(format!("quic v{family}, too big"), world()).send(&big, answered.event(Event::QuicRouted)),
        nat::nat_case(format!("quic v{family}, a port of the real's own"), own_port)
            .send(&small, at_own_port.event(Event::QuicRouted)),
    ]
}
