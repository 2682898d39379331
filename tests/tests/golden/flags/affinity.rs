//! Services that send all flows of a client to the same real.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    ACCESS_DENY, DropReason, Event, FALLBACK_RESET, FLOW_EVENT_REMEMBERED, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey,
    GUARD_ACCESS, GUARD_FLOOD, GUARD_RATE, Guard, MODE_DSR, NODE_TELLS_FLOWS, REAL_HOT, SERVICE_AFFINITY,
    SERVICE_GUARDED, ServiceKey, ServiceOptions, Slot,
};
use lb_tests::model::{COARSE_NOW, State};
use lb_tests::packet::{ACK, FIN, PSH, Packet, RST, SYN};
use lb_tests::world::{address_of, clean, flow_key, marked, remembers, source_key};

use super::guard;
use crate::case::{Case, Expect, drop, tx};
use crate::services::*;
use crate::too_big::{needed, too_big};
use crate::world::*;

/// Ports in the key of a client: the first and the last of the service.
const FIRST_PORT: u16 = 7_000;
const LAST_PORT: u16 = 7_009;
/// Another service's id: its ring is the one that counts.
const SHARED: u32 = 60;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(clients(family));
        cases.extend(slots(family));
        cases.extend(lives(family));
        cases.extend(shared(family));
        cases.extend(told(family));
        cases.extend(errors(family));
        cases.extend(guards(family));
        cases.extend(ends(family));
    }
    cases.extend(keys());
    cases
}

fn service(family: u8) -> u32 {
    if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP }
}

/// A VIP of the group that is not the packet's.
fn group_vip(family: u8) -> IpAddr {
    wide_vip(family)
}

fn bits(family: u8) -> u8 {
    if family == V4 { 24 } else { 64 }
}

fn network(family: u8) -> IpAddr {
    if family == V4 {
        Ipv4Addr::new(203, 0, 113, 0).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0).into()
    }
}

/// Another address of the client's network.
fn neighbour(family: u8) -> IpAddr {
    if family == V4 {
        Ipv4Addr::new(203, 0, 113, 250).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0xffff, 0, 0, 1).into()
    }
}

fn options(family: u8, affinity_service: u32) -> ServiceOptions {
    ServiceOptions {
        vip: address_of(group_vip(family)).0,
        affinity_service,
        affinity_port: FIRST_PORT,
        affinity_client_port: LAST_PORT,
        affinity_protocol: SCTP,
        affinity_bits: bits(family),
        ..ServiceOptions::default()
    }
}

/// The key of the clients of a network.
fn key_of(client: IpAddr, family: u8) -> FlowKey {
    flow_key((client, LAST_PORT), (group_vip(family), FIRST_PORT), SCTP)
}

fn key(family: u8) -> FlowKey {
    key_of(network(family), family)
}

/// The service has affinity, and the slot of the client is this.
fn affine(family: u8, slot: Slot) -> impl Fn(&mut State) {
    move |world| {
        world.set_flags(service(family), SERVICE_AFFINITY);
        world.service_options.insert(service(family), options(family, service(family)));
        world.fill_ring(service(family), clean(dead(family)));
        world.set_slot_of(service(family), &key(family), slot);
    }
}

fn packet(family: u8, flags: u8) -> Packet {
    Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, flags)
}

/// The packet goes there, with its flags counted.
fn to(family: u8, real: u16, flags: u8) -> Expect {
    counts_flags(sent(&dsr(&packet(family, flags), real), service(family), real, ip_header(family) + 20), flags)
}

fn counts_flags(mut sent: Expect, flags: u8) -> Expect {
    if flags & (SYN | ACK) == SYN {
        sent = sent.syn();
    }
    if flags & FIN != 0 {
        sent = sent.fin();
    }
    if flags & RST != 0 {
        sent = sent.rst();
    }
    sent
}

/// Which packets are one client's.
fn clients(family: u8) -> Vec<Case> {
    let [near, far] = [near(family), far(family)];
    let goes = |packet: &Packet, real: u16| sent(&dsr(packet, real), service(family), real, packet.ip_length() as u64);
    let mut together = more_case(format!("affinity v{family}, all flows of a client"), affine(family, clean(near)));
    for (from, port) in
        [(client(family), 1), (client(family), 40_000), (neighbour(family), 2), (network(family), 65_535)]
    {
        let packet = Packet::ip(from, vip(family)).tcp(port, DSR_PORT, ACK);
        together = together.send(&packet, goes(&packet, near));
    }
    let outside: IpAddr = if family == V4 {
        Ipv4Addr::new(203, 0, 112, 7).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xc, 1, 0, 0, 0, 7).into()
    };
    let outside_network: IpAddr = if family == V4 {
        Ipv4Addr::new(203, 0, 112, 0).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xc, 1, 0, 0, 0, 0).into()
    };
    let other = Packet::ip(outside, vip(family)).tcp(CLIENT_PORT, DSR_PORT, ACK);
    let mut cases = vec![
        together,
        more_case(format!("affinity v{family}, another client"), |world| {
            affine(family, clean(near))(world);
            world.set_slot_of(service(family), &key_of(outside_network, family), clean(far));
        })
        .send(&other, goes(&other, far))
        .send(&packet(family, ACK), to(family, near, ACK)),
    ];
    let lengths: &[u8] = if family == V4 { &[1, 8, 9, 23, 31, 32] } else { &[1, 8, 47, 63, 65, 96, 127, 128] };
    for bits in lengths {
        let network = first_bits(client(family), *bits);
        cases.push(
            more_case(format!("affinity v{family}, a client is {bits} bits"), |world| {
                affine(family, clean(dead(family)))(world);
                world.fill_ring(service(family), clean(dead(family)));
                let options = ServiceOptions { affinity_bits: *bits, ..options(family, service(family)) };
                world.service_options.insert(service(family), options);
                world.set_slot_of(service(family), &key_of(network, family), remembers(far, near));
            })
            .send(
                &packet(family, ACK),
                to(family, near, ACK).remembers(key_of(network, family), service(family), near),
            ),
        );
    }
    let without = |world: &mut State| {
        affine(family, clean(far))(world);
        world.fill_ring(service(family), clean(near));
        world.set_slot_of(service(family), &key(family), clean(far));
        world.set_flags(service(family), 0);
    };
    cases.push(
        more_case(format!("affinity v{family}, a service without it"), without)
            .send(&packet(family, ACK), to(family, near, ACK)),
    );
    cases
}

fn first_bits(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & (u32::MAX << (32 - bits))).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - bits))).into(),
    }
}

/// The decision is that for a packet without flags.
fn slots(family: u8) -> Vec<Case> {
    let [near, far, old, dead] = [near(family), far(family), old(family), dead(family)];
    let (service, key) = (service(family), key(family));
    let slot = remembers(near, old);
    let one = |name: String, slot: Slot, before: &dyn Fn(&mut State), flags: u8, expect: Expect| {
        more_case(format!("affinity v{family}, {name}"), |world| {
            affine(family, slot)(world);
            before(world);
        })
        .send(&packet(family, flags), expect)
    };
    let nothing = |_: &mut State| {};
    let known = |real, state| move |world: &mut State| world.put_flow(key, service, real, state);
    let half = |real| move |world: &mut State| world.put_half_open(key, service, real);
    let own = flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), TCP);
    let hot = |world: &mut State| {
        world.set_second_slot_of(service, &key, clean(far));
        world.reals.get_mut(&near).expect("a real of the world").flags |= REAL_HOT;
    };
    let mut cases = Vec::new();
    for (name, flags) in
        [("SYN", SYN), ("ACK", ACK), ("FIN", FIN | ACK), ("RST", RST), ("SYN ACK", SYN | ACK), ("data", PSH | ACK)]
    {
        let remembered = |real| to(family, real, flags).remembers(key, service, real);
        cases.extend([
            one(format!("{name}: clean"), clean(near), &known(far, FLOW_OPEN), flags, to(family, near, flags)),
            one(format!("{name}: an unknown client is an old one"), slot, &nothing, flags, remembered(old)),
            one(format!("{name}: previous dead"), remembers(near, dead), &nothing, flags, remembered(near)),
            one(format!("{name}: a known client"), slot, &known(far, FLOW_OPEN), flags, to(family, far, flags)),
            one(format!("{name}: a known client, FIN"), slot, &known(far, FLOW_FIN), flags, to(family, far, flags)),
            one(
                format!("{name}: a known client, RST"),
                slot,
                &known(far, FLOW_RST),
                flags,
                to(family, far, flags).flow(key, service, far, FLOW_OPEN),
            ),
            one(format!("{name}: marked"), marked(near), &nothing, flags, to(family, near, flags)),
            one(format!("{name}: marked, known"), marked(near), &known(far, FLOW_OPEN), flags, to(family, far, flags)),
            one(format!("{name}: half-open flows are not looked at"), slot, &half(far), flags, remembered(old)),
            one(
                format!("{name}: marked, half-open flows are not looked at"),
                marked(near),
                &half(far),
                flags,
                to(family, near, flags),
            ),
        ]);
    }
    let known_own = |world: &mut State| {
        world.put_flow(own, service, far, FLOW_OPEN);
        world.put_half_open(own, service, far);
    };
    let of_another = |world: &mut State| world.put_flow(key, service + 1, far, FLOW_OPEN);
    cases.extend([
        one("the packet's own flow does not count".into(), slot, &known_own, ACK, {
            to(family, old, ACK).remembers(key, service, old)
        }),
        one(
            "the packet's own slot does not count".into(),
            clean(near),
            &|world| {
                world.set_slot_of(service, &own, remembers(far, old));
            },
            SYN,
            to(family, near, SYN),
        ),
        one("a hot real".into(), slot, &hot, SYN, to(family, old, SYN).remembers(key, service, old)),
        one("a hot real, marked".into(), marked(near), &hot, SYN, to(family, near, SYN)),
        one("a known client, real dead".into(), slot, &known(dead, FLOW_OPEN), SYN, {
            to(family, old, SYN).remembers(key, service, old)
        }),
        one("a known client, real dead, marked".into(), marked(near), &known(dead, FLOW_OPEN), SYN, {
            to(family, near, SYN).forgets(key)
        }),
        one("another service's entry".into(), slot, &of_another, SYN, {
            to(family, old, SYN).remembers(key, service, old)
        }),
        one("another service's entry, marked".into(), marked(near), &of_another, ACK, {
            to(family, near, ACK).forgets(key)
        }),
        one("both dead".into(), remembers(dead, dead), &nothing, ACK, drop(DropReason::RealDown)),
        one(
            "a full table".into(),
            slot,
            &|world| {
                for port in 0..LIMITS.max_flows as u16 {
                    world.put_flow(flow_v4(TCP, port), 1, NEAR_V4, FLOW_OPEN);
                }
            },
            ACK,
            to(family, old, ACK).event(Event::FlowTableFull),
        ),
    ]);
    cases
}

/// A client's packets one after the other.
fn lives(family: u8) -> Vec<Case> {
    let [near, old] = [near(family), old(family)];
    let (service, key) = (service(family), key(family));
    let other = Packet::ip(neighbour(family), vip(family)).tcp(5, DSR_PORT, SYN);
    let others = counts_flags(sent(&dsr(&other, old), service, old, ip_header(family) + 20), SYN);
    vec![
        more_case(format!("affinity v{family}, a client's life"), affine(family, remembers(near, old)))
            .send(&packet(family, SYN), to(family, old, SYN).remembers(key, service, old))
            .send(&packet(family, ACK), to(family, old, ACK))
            .send(&packet(family, FIN | ACK), to(family, old, FIN | ACK))
            .send(&packet(family, RST), to(family, old, RST))
            .send(&packet(family, SYN), to(family, old, SYN))
            .send(&other, others),
    ]
}

/// The ring of another service.
fn shared(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let (service, key) = (service(family), key(family));
    let shares = |slot: Slot| {
        move |world: &mut State| {
            affine(family, clean(dead(family)))(world);
            world.service_options.insert(service, options(family, SHARED));
            world.fill_ring(SHARED, clean(dead(family)));
            world.set_slot_of(SHARED, &key, slot);
        }
    };
    let one = |name: &str, slot: Slot, before: &dyn Fn(&mut State), expect: Expect| {
        more_case(format!("affinity v{family}, another service's ring, {name}"), |world| {
            shares(slot)(world);
            before(world);
        })
        .send(&packet(family, ACK), expect)
    };
    let nothing = |_: &mut State| {};
    let slot = remembers(near, old);
    vec![
        one("clean", clean(near), &nothing, to(family, near, ACK)),
        one("remembers", slot, &nothing, to(family, old, ACK).remembers(key, SHARED, old)),
        one("marked", marked(far), &nothing, to(family, far, ACK)),
        one("its own entry", slot, &|world| world.put_flow(key, SHARED, far, FLOW_OPEN), to(family, far, ACK)),
        one("an entry of the packet's service", slot, &|world| world.put_flow(key, service, far, FLOW_OPEN), {
            to(family, old, ACK).remembers(key, SHARED, old)
        }),
        one(
            "marked, an entry of the packet's service",
            marked(near),
            &|world| {
                world.put_flow(key, service, far, FLOW_OPEN);
            },
            to(family, near, ACK).forgets(key),
        ),
        one(
            "no ring",
            slot,
            &|world| {
                world.rings.remove(&SHARED);
            },
            drop(DropReason::NoRing),
        ),
        one(
            "the packet's service has no ring",
            clean(near),
            &|world| {
                world.rings.remove(&service);
            },
            to(family, near, ACK),
        ),
        one(
            "the fallback is the packet's service's",
            clean(0),
            &|world| {
                world
                    .service_options
                    .insert(SHARED, ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() });
            },
            drop(DropReason::NoReal),
        ),
        one(
            "the mode is the packet's service's",
            clean(near),
            &|world| {
                world.add_service(SHARED, group_vip(family), SCTP, lb_tests::world::Ports::Single(FIRST_PORT), 2);
            },
            to(family, near, ACK),
        ),
    ]
}

/// What is told has the client's key.
fn told(family: u8) -> Vec<Case> {
    let [near, old, dead] = [near(family), old(family), dead(family)];
    let (service, key) = (service(family), key(family));
    let one = |name: &str, id: u32, slot: Slot, before: &dyn Fn(&mut State), flags: u8, expect: Expect| {
        more_case(format!("affinity v{family}, told, {name}"), |world| {
            affine(family, slot)(world);
            world.service_options.insert(service, options(family, id));
            world.fill_ring(id, slot);
            world.node.flags = NODE_TELLS_FLOWS;
            before(world);
        })
        .send(&packet(family, flags), expect)
    };
    let nothing = |_: &mut State| {};
    let slot = remembers(near, old);
    vec![
        one("a client", service, slot, &nothing, SYN, {
            to(family, old, SYN).remembers(key, service, old).tells(FLOW_EVENT_REMEMBERED, key, service, old)
        }),
        one("a client of a group", SHARED, slot, &nothing, ACK, {
            to(family, old, ACK).remembers(key, SHARED, old).tells(FLOW_EVENT_REMEMBERED, key, SHARED, old)
        }),
        one(
            "a client that is forgotten",
            service,
            marked(near),
            &|world| {
                world.put_flow(key, service, dead, FLOW_OPEN);
            },
            ACK,
            to(family, near, ACK).forgets(key).tells_forgotten(key),
        ),
    ]
}

/// By the client that they quote.
fn errors(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let (service, key) = (service(family), key(family));
    let slot = remembers(near, old);
    let about =
        |protocol: u8, to: IpAddr| transport(Packet::ip(vip(family), to), protocol, DSR_PORT, CLIENT_PORT).payload(20);
    let error = |about: &Packet| {
        let error = Packet::ip(router(family), vip(family));
        let error = if family == V4 { error.icmp(3, 4, [0; 4]) } else { error.icmp6(2, 0, [0; 4]) };
        error.quote(about, 60)
    };
    let one = |name: &str, slot: Slot, before: &dyn Fn(&mut State), packet: &Packet, real: u16| {
        let expect = sent(&dsr(packet, real), service, real, packet.ip_length() as u64);
        more_case(format!("affinity v{family}, an error, {name}"), |world| {
            affine(family, slot)(world);
            before(world);
        })
        .send(packet, expect.event(Event::IcmpErrorForwarded))
    };
    let nothing = |_: &mut State| {};
    let known = |state| move |world: &mut State| world.put_flow(key, service, far, state);
    let own = flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), TCP);
    let tcp = error(&about(TCP, client(family)));
    let other = error(&about(TCP, neighbour(family)));
    let to_group = |world: &mut State| {
        world.service_options.insert(service, options(family, SHARED));
        world.fill_ring(SHARED, slot);
    };
    vec![
        one("clean", clean(near), &known(FLOW_OPEN), &tcp, near),
        one("clean, another address of the client's", clean(near), &nothing, &other, near),
        one("nothing known", slot, &nothing, &tcp, old),
        one("a known client", slot, &known(FLOW_OPEN), &tcp, far),
        one("a known client, RST", slot, &known(FLOW_RST), &other, far),
        one("a known client, marked", marked(near), &known(FLOW_FIN), &tcp, far),
        one("marked", marked(near), &nothing, &tcp, near),
        one("previous dead", remembers(near, dead(family)), &nothing, &tcp, near),
        one("half-open flows are not looked at", slot, &|world| world.put_half_open(key, service, far), &tcp, old),
        one(
            "the quoted flow does not count",
            slot,
            &|world| {
                world.put_flow(own, service, far, FLOW_OPEN);
                world.put_half_open(own, service, far);
            },
            &tcp,
            old,
        ),
        one(
            "a dead real's entry stays",
            slot,
            &|world| world.put_flow(key, service, dead(family), FLOW_OPEN),
            &tcp,
            old,
        ),
        one(
            "another service's ring and entry",
            clean(near),
            &|world| {
                to_group(world);
                world.put_flow(key, SHARED, far, FLOW_OPEN);
            },
            &tcp,
            far,
        ),
        one(
            "another service's ring, an entry of its own",
            clean(near),
            &|world| {
                to_group(world);
                world.put_flow(key, service, far, FLOW_OPEN);
            },
            &tcp,
            old,
        ),
        more_case(format!("affinity v{family}, an error, no ring"), |world| {
            affine(family, clean(near))(world);
            to_group(world);
            world.rings.remove(&SHARED);
        })
        .send(&tcp, drop(DropReason::NoRing)),
    ]
}

/// Guards look at the packet's own source and service.
fn guards(family: u8) -> Vec<Case> {
    let [near, old] = [near(family), old(family)];
    let (service, key) = (service(family), key(family));
    let all = if family == V4 { 32 } else { 128 };
    let guarded = |slot: Slot, row: Guard| {
        move |world: &mut State| {
            affine(family, slot)(world);
            guard(world, service, row);
            world.set_flags(service, SERVICE_AFFINITY | SERVICE_GUARDED);
        }
    };
    let slot = remembers(near, old);
    let flags = |flags: u32| Guard { flags, ..Guard::default() };
    let rate = Guard { interval_ns: 1 << 45, flags: GUARD_RATE, source_bits: all, ..Guard::default() };
    let other = Packet::ip(neighbour(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, SYN);
    let others = tx(&dsr(&other, old)).counts(service, old, ip_header(family) + 20).syn();
    let source = |address| source_key(service, address);
    vec![
        more_case(format!("affinity v{family}, access by the packet's source"), |world| {
            guarded(slot, flags(GUARD_ACCESS))(world);
            world.add_access(service, (client(family), all.into()), ACCESS_DENY);
        })
        .send(&packet(family, SYN), drop(DropReason::AccessDenied))
        .send(&other, others.clone().remembers(key, service, old)),
        more_case(format!("affinity v{family}, the network's address is no source"), |world| {
            guarded(clean(near), flags(GUARD_ACCESS))(world);
            world.add_access(service, (network(family), all.into()), ACCESS_DENY);
        })
        .send(&packet(family, SYN), to(family, near, SYN)),
        more_case(format!("affinity v{family}, a limit by the packet's source"), guarded(slot, rate))
            .send(&packet(family, SYN), {
                let sent = to(family, old, SYN).remembers(key, service, old);
                sent.source(source(client(family)), COARSE_NOW + (1 << 45))
            })
            .send(&packet(family, SYN), drop(DropReason::RateLimited))
            .send(&other, others.source(source(neighbour(family)), COARSE_NOW + (1 << 45))),
        more_case(format!("affinity v{family}, a flood does not count"), guarded(slot, flags(GUARD_FLOOD)))
            .send(&packet(family, SYN), to(family, old, SYN).remembers(key, service, old)),
        more_case(
            format!("affinity v{family}, a flood does not count, marked"),
            guarded(marked(near), flags(GUARD_FLOOD)),
        )
        .send(&packet(family, SYN), to(family, near, SYN)),
    ]
}

/// Fragments, tunnels, resets, too big: by the packet's own flow and service.
fn ends(family: u8) -> Vec<Case> {
    let [near, old] = [near(family), old(family)];
    let service_id = service(family);
    let id = 0x66;
    let (first, later, fragment) = if family == V4 {
        let first = to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (id, true));
        let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (id, 4, Some(TCP)));
        (first, later, fragment_v4(id, TCP))
    } else {
        let header = |offset, more| to_vip6().fragment6(id.into(), offset, more);
        (header(0, true), header(4, false).tcp(1, 2, 3), fragment_v6(id.into()))
    };
    let (first, later) = (first.tcp(CLIENT_PORT, DSR_PORT, ACK).payload(12), later.payload(20));
    let goes = |packet: &Packet| sent(&dsr(packet, old), service_id, old, packet.ip_length() as u64);
    let to_group = |world: &mut State| {
        affine(family, clean(near))(world);
        world.service_options.insert(service_id, options(family, SHARED));
        world.fill_ring(SHARED, remembers(near, old));
    };
    let mut cases = vec![
        more_case(format!("affinity v{family}, fragments"), to_group)
            .send(
                &first,
                goes(&first).remembers(key(family), SHARED, old).fragment(fragment, service_id, old, MODE_DSR),
            )
            .send(&later, goes(&later).event(Event::FragmentForwarded)),
    ];
    // The outer headers are of the packet's own flow.
    let tunnel = gue_service(family, UDP);
    let datagram = from_client(family, UDP, GUE_SERVICE_PORT).payload(5);
    let hash = hash_of(family, UDP, GUE_SERVICE_PORT);
    let in_tunnel = |slot: Slot| {
        move |world: &mut State| {
            world.set_flags(tunnel, SERVICE_AFFINITY);
            world.service_options.insert(tunnel, options(family, tunnel));
            world.fill_ring(tunnel, slot);
        }
    };
    cases.push(
        more_case(format!("affinity v{family}, gue has the flow's hash"), in_tunnel(remembers(near, old))).send(
            &datagram,
            sent(&gue(&datagram, old, 0, hash), tunnel, old, datagram.ip_length() as u64).remembers(
                key(family),
                tunnel,
                old,
            ),
        ),
    );
    let big = from_client(family, UDP, GUE_SERVICE_PORT).payload(1_480);
    let mtu = 1_500 - 8 - ip_header(family) as u32;
    let answered = if family == V4 { needed(&big, mtu as u16) } else { too_big(&big, mtu) };
    cases.push(
        more_case(format!("affinity v{family}, too big"), in_tunnel(remembers(near, old)))
            .send(&big, answered.remembers(key(family), tunnel, old)),
    );
    let empty = |fallback: u32| {
        move |world: &mut State| {
            affine(family, clean(0))(world);
            let options = ServiceOptions { fallback, ..options(family, service_id) };
            world.service_options.insert(service_id, options);
        }
    };
    let reset = {
        let answer = Packet::ip(vip(family), client(family));
        let answer = match family {
            V4 => answer.edit_v4(|ip| (ip.id, ip.ttl) = (0, 64)),
            _ => answer.edit_v6(|ip| (ip.flow_label, ip.hop_limit) = (0, 64)),
        };
        let answer = answer.tcp(DSR_PORT, CLIENT_PORT, RST | ACK).edit_last(|layer| {
            if let lb_tests::packet::Layer::Tcp(tcp) = layer {
                (tcp.sequence, tcp.acknowledgement, tcp.window) = (0, 0x0102_0304 + 1, 0);
            }
        });
        tx(&answer.macs(lb_tests::packet::ROUTER_MAC, lb_tests::packet::BALANCER_MAC)).event(Event::ResetAnswered)
    };
    cases.push(
        more_case(format!("affinity v{family}, a service that resets"), empty(FALLBACK_RESET))
            .send(&packet(family, SYN), reset)
            .send(&packet(family, RST), drop(DropReason::NoReal)),
    );
    cases.push(
        more_case(format!("affinity v{family}, a service that drops"), empty(0))
            .send(&packet(family, SYN), drop(DropReason::NoReal)),
    );
    cases
}

/// Each part of the key is the row's.
fn keys() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let service = service(family);
        let (base, vip_bytes) = (options(family, service), address_of(vip(family)).0);
        let rows = [
            ("the VIP", ServiceOptions { vip: vip_bytes, ..base }),
            ("the port", ServiceOptions { affinity_port: 80, ..base }),
            ("port 0", ServiceOptions { affinity_port: 0, ..base }),
            ("the last port", ServiceOptions { affinity_client_port: 1, ..base }),
            ("the protocol tcp", ServiceOptions { affinity_protocol: TCP, ..base }),
            ("the protocol udp", ServiceOptions { affinity_protocol: UDP, ..base }),
            ("vip_port and real_port do not count", ServiceOptions { vip_port: 9, real_port: 8, ..base }),
        ];
        for (name, row) in rows {
            let key = FlowKey {
                client: address_of(network(family)).0,
                service: ServiceKey { vip: row.vip, port: row.affinity_port, protocol: row.affinity_protocol, family },
                client_port: row.affinity_client_port,
                reserved: 0,
            };
            let [near, old] = [near(family), old(family)];
            cases.push(
                more_case(format!("affinity v{family}, the key has {name}"), |world| {
                    affine(family, clean(dead(family)))(world);
                    world.service_options.insert(service, row);
                    world.fill_ring(service, clean(dead(family)));
                    world.set_slot_of(service, &key, remembers(near, old));
                })
                .send(&packet(family, SYN), to(family, old, SYN).remembers(key, service, old))
                .send(&packet(family, RST), to(family, old, RST)),
            );
        }
    }
    cases
}
