//! What comes before connection ids and what comes after: guards, rings, tables, affinity, one packet; and lives of connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, DropReason, FALLBACK_RESET, FLOW_OPEN, FlowKey, GUARD_ACCESS, GUARD_FLOOD,
    GUARD_LISTED_ONLY, GUARD_RATE, Guard, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_TELLS_FLOWS, NodeState,
    RING_SLOTS, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET,
};
use lb_tests::model::{JIFFIES, one_packet_hash, slot_of};
use lb_tests::world::{address_of, clean, flow_key, marked, remembers};

use super::*;
use crate::case::{drop, pass_for_vip};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(flags(family));
        cases.extend(guards(family));
        cases.extend(rings(family));
        cases.extend(affinity(family));
        cases.extend(one_packet(family));
        cases.extend(errors(family));
        cases.extend(nodes(family));
        cases.extend(ranges(family));
        cases.push(migration(family));
    }
    cases
}

fn flow(family: u8) -> FlowKey {
    flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), UDP)
}

/// Two datagrams: one that names the far real, and one that names nobody.
fn known(family: u8) -> Packet {
    packet(family, &short(&usual_id()))
}

fn unknown(family: u8) -> Packet {
    packet(family, &short(&[7; 8]))
}

fn near_of(family: u8, packet: &Packet) -> Expect {
    goes(packet, service(family), near(family))
}

fn flags(family: u8) -> Vec<Case> {
    let service = service(family);
    let with = |flags: u8| {
        move |world: &mut State| {
            usual(family)(world);
            world.set_flags(service, flags);
        }
    };
    let known = known(family);
    let cases = [0, SERVICE_GUARDED, 0xf0].into_iter().map(|flags| {
        quic_case(&format!("flags {flags}: no connection id is looked at"), family, with(flags))
            .send(&known, near_of(family, &known))
    });
    let mut cases: Vec<Case> = cases.collect();
    cases.push(
        quic_case("flags that nobody knows, too", family, with(SERVICE_QUIC | 0xf0))
            .send(&known, routed(family, &known)),
    );
    // The same bytes for another service of the VIP.
    let tcp = if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP };
    let segment = from_client(family, TCP, DSR_PORT).data(&short(&usual_id()));
    let other = from_client(family, UDP, NO_PORT).data(&short(&usual_id()));
    cases.push(
        quic_case("other services", family, usual(family))
            .send(&segment, goes(&segment, tcp, near(family)))
            .send(&other, pass_for_vip()),
    );
    cases
}

fn guards(family: u8) -> Vec<Case> {
    let service = service(family);
    let bits = if family == V4 { 32 } else { 128 };
    let guarded = |guard: Guard, access: Option<u32>| {
        move |world: &mut State| {
            usual(family)(world);
            world.set_flags(service, SERVICE_QUIC | SERVICE_GUARDED);
            world.guards.insert(service, guard);
            if let Some(verdict) = access {
                world.add_access(service, (client(family), bits), verdict);
            }
        }
    };
    let with = |flags| Guard { flags, source_bits: bits as u8, interval_ns: 1_000, burst_ns: 0, ..Guard::default() };
    let (known, unknown) = (known(family), unknown(family));
    let denied = || drop(DropReason::AccessDenied);
    let taken = |name: &str, change: &dyn Fn(&mut State)| {
        quic_case(&format!("guards, {name}"), family, change)
            .send(&known, routed(family, &known))
            .send(&unknown, unrouted(family, &unknown))
    };
    let refused = |name: &str, change: &dyn Fn(&mut State)| {
        quic_case(&format!("guards, {name}"), family, change).send(&known, denied()).send(&unknown, denied())
    };
    vec![
        refused("denied", &guarded(with(GUARD_ACCESS), Some(ACCESS_DENY))),
        refused("not listed", &guarded(with(GUARD_ACCESS | GUARD_LISTED_ONLY), None)),
        taken("allowed", &guarded(with(GUARD_ACCESS | GUARD_LISTED_ONLY), Some(ACCESS_ALLOW))),
        taken("not listed, and taken", &guarded(with(GUARD_ACCESS), None)),
        taken("a limit of new flows", &guarded(with(GUARD_RATE), None)),
        taken("a flood", &|world| {
            guarded(with(GUARD_FLOOD), None)(world);
        }),
    ]
}

/// No ring and no flow table is looked at where a real is named.
fn rings(family: u8) -> Vec<Case> {
    let service = service(family);
    let [near, far, old, dead] = [near(family), far(family), old(family), dead(family)];
    let (known, unknown) = (known(family), unknown(family));
    let ring = |slot, before: &'static dyn Fn(&mut State, u8)| {
        move |world: &mut State| {
            usual(family)(world);
            world.fill_ring(service, clean(dead));
            world.set_slot_of(service, &flow(family), slot);
            before(world, family);
        }
    };
    let nothing: &dyn Fn(&mut State, u8) = &|_, _| {};
    let of_old: &dyn Fn(&mut State, u8) =
        &|world, family| world.put_flow(flow(family), super::service(family), self::old(family), FLOW_OPEN);
    let half_open: &dyn Fn(&mut State, u8) =
        &|world, family| world.put_half_open(flow(family), super::service(family), self::old(family));
    let no_ring: &dyn Fn(&mut State, u8) = &|world, family| {
        world.rings.remove(&super::service(family));
    };
    let resets: &dyn Fn(&mut State, u8) = &|world, family| {
        world.service_options.entry(super::service(family)).or_default().fallback = FALLBACK_RESET;
    };
    let full: &dyn Fn(&mut State, u8) = &|world, _| {
        (0..LIMITS.max_flows as u16).for_each(|port| world.put_flow(flow_v4(TCP, port), 1, NEAR_V4, FLOW_OPEN));
    };
    let told: &dyn Fn(&mut State, u8) = &|world, _| world.node.flags = NODE_TELLS_FLOWS;
    let by_flow = |real| goes(&unknown, service, real).event(Event::QuicUnrouted);
    let dropped = |reason| drop(reason).event(Event::QuicUnrouted);
    let key = flow(family);
    let one = |name: &str, slot, before, expect: Expect| {
        quic_case(name, family, ring(slot, before)).send(&known, routed(family, &known)).send(&unknown, expect)
    };
    vec![
        one("a clean slot", clean(near), nothing, by_flow(near)),
        one("a slot that remembers", remembers(near, old), nothing, by_flow(old).remembers(key, service, old)),
        one("a marked slot", marked(near), nothing, by_flow(near)),
        one("a known flow", remembers(near, near), of_old, by_flow(old)),
        one("a known flow, marked", marked(near), of_old, by_flow(old)),
        one("a half-open flow", remembers(near, far), half_open, by_flow(far).remembers(key, service, far)),
        one("a full table", remembers(near, old), full, by_flow(old).event(Event::FlowTableFull)),
        one("told", remembers(near, old), told, {
            let told = by_flow(old).remembers(key, service, old);
            told.tells(lb_common::FLOW_EVENT_REMEMBERED, key, service, old)
        }),
        one("no ring", clean(near), no_ring, dropped(DropReason::NoRing)),
        one("a slot without a real", clean(0), nothing, dropped(DropReason::NoReal)),
        one("a slot without a real, and the service resets", clean(0), resets, dropped(DropReason::NoReal)),
        one("a slot with a dead real", clean(dead), nothing, dropped(DropReason::RealDown)),
        one("a slot with a real outside", clean(OUTSIDE), nothing, dropped(DropReason::NoReal)),
    ]
}

fn affinity(family: u8) -> Vec<Case> {
    let service = service(family);
    let [near, old] = [near(family), old(family)];
    let bits = if family == V4 { 32 } else { 128 };
    let key = flow_key((client(family), 9), (wide_vip(family), 8), SCTP);
    let affine = |slot| {
        move |world: &mut State| {
            usual(family)(world);
            world.set_flags(service, SERVICE_QUIC | SERVICE_AFFINITY);
            let options = world.service_options.entry(service).or_default();
            options.vip = address_of(wide_vip(family)).0;
            (options.affinity_service, options.affinity_bits) = (service, bits);
            (options.affinity_port, options.affinity_client_port, options.affinity_protocol) = (8, 9, SCTP);
            world.fill_ring(service, clean(dead(family)));
            world.set_slot_of(service, &key, slot);
        }
    };
    let (known, unknown) = (known(family), unknown(family));
    let by_client = |real| goes(&unknown, service, real).event(Event::QuicUnrouted);
    vec![
        quic_case("affinity, clean", family, affine(clean(near)))
            .send(&known, routed(family, &known))
            .send(&unknown, by_client(near)),
        quic_case("affinity, remembers", family, affine(remembers(near, old)))
            .send(&known, routed(family, &known))
            .send(&unknown, by_client(old).remembers(key, service, old))
            .send(&known, routed(family, &known))
            .send(&unknown, by_client(old)),
    ]
}

fn one_packet(family: u8) -> Vec<Case> {
    let service = service(family);
    let [near, far, old] = [near(family), far(family), old(family)];
    let world = |world: &mut State| {
        usual(family)(world);
        world.set_flags(service, SERVICE_QUIC | SERVICE_ONE_PACKET);
        let mut ring = vec![clean(near); RING_SLOTS as usize];
        let slot = |count| slot_of(one_packet_hash(hash_of(family, UDP, DSR_PORT), count)) as usize;
        ring[slot(2)] = clean(old);
        world.rings.insert(service, ring.into());
    };
    let (known, unknown) = (known(family), unknown(family));
    let by_count = |real| goes(&unknown, service, real).event(Event::QuicUnrouted);
    let named = goes(&known, service, far).event(Event::QuicRouted);
    // Those that are named count for the others.
    vec![
        quic_case("one packet", family, world)
            .send(&unknown, by_count(near))
            .send(&known, named.clone())
            .send(&unknown, by_count(old))
            .send(&known, named)
            .send(&unknown, by_count(near)),
    ]
}

/// ICMP errors and echoes go as ever.
fn errors(family: u8) -> Vec<Case> {
    let service = service(family);
    let datagram = short(&usual_id());
    let about = Packet::ip(vip(family), client(family)).udp(DSR_PORT, CLIENT_PORT).data(&datagram);
    let error = Packet::ip(router(family), vip(family));
    let error = if family == V4 { error.icmp(3, 3, [0; 4]) } else { error.icmp6(1, 4, [0; 4]) }.quote(&about, 80);
    let follows = |real| goes(&error, service, real).event(Event::IcmpErrorForwarded);
    let in_slot = |slot| {
        move |world: &mut State| {
            usual(family)(world);
            world.fill_ring(service, clean(dead(family)));
            world.set_slot_of(service, &flow(family), slot);
        }
    };
    let one = |name: &str, slot, expect: Expect| quic_case(name, family, in_slot(slot)).send(&error, expect);
    vec![
        one("an ICMP error goes by its flow", clean(near(family)), follows(near(family))),
        one("an ICMP error, remembers", remembers(near(family), old(family)), follows(old(family))),
        one("an ICMP error, no real", clean(0), drop(DropReason::NoReal)),
    ]
}

fn nodes(family: u8) -> Vec<Case> {
    let with = |service: u32, lease_until: u64| {
        move |world: &mut State| {
            usual(family)(world);
            world.node = NodeState { service, lease_until, flags: 0 };
        }
    };
    let known = known(family);
    let one = |name: &str, service, until, expect: Expect| {
        quic_case(&format!("a node {name}"), family, with(service, until)).send(&known, expect)
    };
    vec![
        one("that serves", NODE_SERVING, 1_000 * JIFFIES, routed(family, &known)),
        one("that drains", NODE_DRAINING, 1_000 * JIFFIES, routed(family, &known)),
        one("that is silent", NODE_SILENT, 1_000 * JIFFIES, drop(DropReason::Standby)),
        one("whose lease has ended", NODE_SERVING, 1, drop(DropReason::LeaseExpired)),
    ]
}

/// Services of any port have the flag too.
fn ranges(family: u8) -> Vec<Case> {
    let any = if family == V4 { ANY_V4 } else { ANY_V6 };
    let of = |datagram: &[u8]| Packet::ip(client(family), wide_vip(family)).udp(CLIENT_PORT, 4_433).data(datagram);
    let (known, unknown) = (of(&long(&usual_id())), of(&long(&[7; 8])));
    vec![
        quic_case("any port", family, quic(any, 0, clear(), &[(&ID, far(family))]))
            .send(&known, goes(&known, any, far(family)).event(Event::QuicRouted))
            .send(&unknown, goes(&unknown, any, near(family)).event(Event::QuicUnrouted)),
    ]
}

/// A connection from its first packet on, to a client that moves; its ring's slots lead elsewhere all the time.
fn migration(family: u8) -> Case {
    let service = service(family);
    let other: IpAddr = if family == V4 {
        Ipv4Addr::new(198, 18, 7, 7).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 7).into()
    };
    let begins = packet(family, &filled(long(&[0xab; 8]), 1_200));
    let handshake = packet(family, &long(&usual_id()));
    let from = |address, port| Packet::ip(address, vip(family)).udp(port, DSR_PORT).data(&short(&usual_id()));
    let mut case = quic_case("a connection that migrates", family, |world: &mut State| {
        usual(family)(world);
        world.fill_ring(service, remembers(near(family), old(family)));
    });
    let first =
        goes(&begins, service, old(family)).event(Event::QuicUnrouted).remembers(flow(family), service, old(family));
    case = case.send(&begins, first).send(&handshake, routed(family, &handshake));
    for (address, port) in [(client(family), CLIENT_PORT), (client(family), 1), (other, 40_001), (other, 65_535)] {
        let packet = from(address, port);
        case = case.send(&packet, routed(family, &packet));
    }
    case
}
