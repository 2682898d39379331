//! Mode `gue`: each way, protocol and kind of packet, and what is too big.

use std::net::Ipv4Addr;

use lb_common::{DropReason, Event, FLOW_OPEN, FragmentKey, FragmentValue, MODE_GUE};
use lb_tests::model::State;
use lb_tests::packet::{ACK, FragmentHeader, Ipv4, Layer, Packet, SYN, Udp};
use lb_tests::world::{Ports, clean, flow_key, real, remembers};

use super::{WAYS, Way};
use crate::case::{Case, drop};
use crate::services::*;
use crate::too_big::{needed, too_big};
use crate::world::*;

const ID: u16 = 0x4242;
const NARROW: u16 = 20;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![by_hand()];
    cases.extend(every_way());
    cases.extend(tags_and_the_rest());
    cases.extend(ports());
    cases.extend(fragments());
    cases.extend(errors());
    cases.extend(sizes());
    cases.extend(ends());
    cases
}

/// A flow of the page's table, with numbers that were worked out from the page alone.
fn by_hand() -> Case {
    let vip = Ipv4Addr::new(192, 0, 2, 1);
    let packet = Packet::v4(CLIENT, vip).tcp(40_000, 80, ACK).payload(3);
    let udp = Udp { source: 53_469, destination: 6_080, length: Some(51), checksum: Some(0) };
    let outer = Ipv4 {
        id: 0,
        dont_fragment: true,
        ttl: 64,
        total_length: Some(71),
        protocol: Some(17),
        ..Ipv4::new(Ipv4Addr::new(198, 18, 16, 221), Ipv4Addr::new(198, 51, 100, 1))
    };
    let out = dsr(&packet, NEAR_V4).wrap(Layer::Udp(udp)).wrap(Layer::V4(outer));
    more_case("gue: a flow of the page, by hand", |world| {
        world.add_service(50, vip.into(), TCP, Ports::Single(80), MODE_GUE);
        world.fill_ring(50, clean(NEAR_V4));
        let row = world.reals.get_mut(&NEAR_V4).expect("a real of the world");
        row.tunnel_source[..4].copy_from_slice(&[198, 18, 0, 0]);
        row.source_bits = 16;
    })
    .send(&packet, sent(&out, 50, NEAR_V4, 43))
}

fn one(way: &Way, what: &str, protocol: u8, real: u16, packet: &Packet, out: &Packet) -> Case {
    let service = gue_service(way.family, protocol);
    let bytes = packet.ip_length() as u64;
    more_case(format!("gue {}, {}, {what}", way.name, word(protocol)), |world| world.fill_ring(service, clean(real)))
        .send(packet, sent(out, service, real, bytes))
}

/// The packet to the near real, of a flow of the client.
fn out(way: &Way, packet: &Packet, protocol: u8) -> Packet {
    gue(packet, way.near(), 0, hash_of(way.family, protocol, GUE_SERVICE_PORT))
}

fn every_way() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        for protocol in PROTOCOLS {
            let packet = from_client(way.family, protocol, GUE_SERVICE_PORT).payload(11);
            cases.push(one(way, "same interface", protocol, way.near(), &packet, &out(way, &packet, protocol)));
            let hash = hash_of(way.family, protocol, GUE_SERVICE_PORT);
            let far = gue(&packet, way.far(), 0, hash);
            cases.push(one(way, "another interface", protocol, way.far(), &packet, &far));
        }
        // Another flow has another source port.
        let packet = transport(Packet::ip(client(way.family), vip(way.family)), UDP, CLIENT_PORT + 1, GUE_SERVICE_PORT);
        let (from, to) = ((client(way.family), CLIENT_PORT + 1), (vip(way.family), GUE_SERVICE_PORT));
        let hash = hash_between(from, to, UDP);
        assert_ne!(hash & 0x3fff, hash_of(way.family, UDP, GUE_SERVICE_PORT) & 0x3fff);
        cases.push(one(way, "another flow", UDP, way.near(), &packet, &gue(&packet, way.near(), 0, hash)));
    }
    cases
}

/// Tags, padding, type of service; what is in the packet stays there.
fn tags_and_the_rest() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let plain = from_client(way.family, TCP, GUE_SERVICE_PORT);
        let packets = [
            ("one tag", plain.clone().vlan(0x2007)),
            ("a service tag", plain.clone().service_vlan(7)),
            ("two tags", plain.clone().service_vlan(0x6064).vlan(5)),
            ("padding", plain.clone().pad_to(90)),
            ("two tags and padding", plain.clone().vlan(1).vlan(2).pad_to(99)),
        ];
        for (what, packet) in packets {
            cases.push(one(way, what, TCP, way.near(), &packet, &out(way, &packet, TCP)));
        }
        let classy = if way.family == V4 {
            plain.edit_v4(|ip| ip.tos = 0xb9)
        } else {
            plain.edit_v6(|ip| ip.traffic_class = 0xb9)
        };
        let hash = hash_of(way.family, TCP, GUE_SERVICE_PORT);
        cases.push(one(way, "type of service 0xb9", TCP, way.near(), &classy, &gue(&classy, way.near(), 0xb9, hash)));
    }
    for way in &WAYS[..2] {
        let options =
            transport(to_vip().edit_v4(|ip| ip.options = vec![1; 24]), UDP, CLIENT_PORT, GUE_SERVICE_PORT).payload(5);
        cases.push(one(way, "options", UDP, way.near(), &options, &out(way, &options, UDP)));
    }
    let extended = to_vip6().extension(0, 1).extension(60, 2).udp(CLIENT_PORT, GUE_SERVICE_PORT);
    cases.push(one(&WAYS[2], "extension headers", UDP, NEAR_V6, &extended, &out(&WAYS[2], &extended, UDP)));
    let atomic = to_vip6().fragment6(1, 0, false).udp(CLIENT_PORT, GUE_SERVICE_PORT);
    cases.push(one(&WAYS[2], "an atomic fragment", UDP, NEAR_V6, &atomic, &out(&WAYS[2], &atomic, UDP)));
    cases
}

/// The outer destination port is the real's.
fn ports() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        for port in [1, 6_081, 65_535] {
            let packet = from_client(way.family, UDP, GUE_SERVICE_PORT).payload(1);
            let service = gue_service(way.family, UDP);
            let out = gue_to(&packet, way.near(), 0, hash_of(way.family, UDP, GUE_SERVICE_PORT), port);
            cases.push(
                more_case(format!("gue {}, to port {port}", way.name), |world| {
                    world.fill_ring(service, clean(way.near()));
                    world.reals.get_mut(&way.near()).expect("a real of the world").gue_port = port;
                })
                .send(&packet, sent(&out, service, way.near(), packet.ip_length() as u64)),
            );
        }
    }
    cases
}

fn first(family: u8) -> Packet {
    match family {
        V4 => to_vip().edit_v4(|ip| (ip.id, ip.more_fragments, ip.dont_fragment) = (ID, true, false)),
        _ => to_vip6().fragment6(ID.into(), 0, true),
    }
}

fn later(family: u8, protocol: u8, payload: usize) -> Packet {
    if family == V4 {
        let ip = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (ID, 7, Some(protocol)));
        return ip.payload(payload);
    }
    let (next_header, id) = (Some(protocol), ID.into());
    to_vip6()
        .layer(Layer::Fragment(FragmentHeader { next_header, reserved: 0, offset: 7, more_fragments: false, id }))
        .payload(payload)
}

fn key(family: u8, protocol: u8) -> FragmentKey {
    if family == V4 { fragment_v4(ID, protocol) } else { fragment_v6(ID.into()) }
}

/// A first fragment's ports count, a later one has none.
fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        for protocol in PROTOCOLS {
            let service = gue_service(way.family, protocol);
            let first = transport(first(way.family), protocol, CLIENT_PORT, GUE_SERVICE_PORT).payload(36);
            let later = later(way.family, protocol, 30);
            let without = hash_without_ports(client(way.family), vip(way.family));
            let follows = sent(&gue(&later, way.near(), 0, without), service, way.near(), later.ip_length() as u64);
            cases.push(
                more_case(format!("gue {}, {}, fragments", way.name, word(protocol)), |world| {
                    world.fill_ring(service, clean(way.near()));
                })
                .send(
                    &first,
                    sent(&out(way, &first, protocol), service, way.near(), first.ip_length() as u64).fragment(
                        key(way.family, protocol),
                        service,
                        way.near(),
                        MODE_GUE,
                    ),
                )
                .send(&later, follows.event(Event::FragmentForwarded)),
            );
        }
        let noted = |world: &mut State| {
            let (service, real) = (gue_service(way.family, UDP), way.near());
            let value = FragmentValue { service, real, mode: MODE_GUE, reserved: 0 };
            world.effects.fragments.insert(key(way.family, UDP), value);
        };
        let room = 1_500 - 8 - ip_header(way.outer) as usize;
        let own = ip_header(way.family) as usize + if way.family == V6 { 8 } else { 0 };
        let fits = later(way.family, UDP, room - own);
        let without = hash_without_ports(client(way.family), vip(way.family));
        let service = gue_service(way.family, UDP);
        let follows = sent(&gue(&fits, way.near(), 0, without), service, way.near(), room as u64);
        cases.push(
            more_case(format!("gue {}, a later fragment that just fits", way.name), noted)
                .send(&fits, follows.event(Event::FragmentForwarded)),
        );
        cases.push(
            more_case(format!("gue {}, a later fragment too big", way.name), noted)
                .send(&later(way.family, UDP, room - own + 1), drop(DropReason::TooBig)),
        );
    }
    cases
}

/// An ICMP error about a packet of the VIP to the client.
fn error(family: u8, protocol: u8, quoted: usize) -> Packet {
    let packet = Packet::ip(vip(family), client(family));
    let about = transport(packet, protocol, GUE_SERVICE_PORT, CLIENT_PORT).payload(1_500);
    let outer = Packet::ip(router(family), vip(family));
    let error = if family == V4 { outer.icmp(3, 4, [0; 4]) } else { outer.icmp6(2, 0, [0; 4]) };
    error.quote(&about, quoted)
}

/// Of an error the outer packet's addresses count, and no ports.
fn errors() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let hash = hash_without_ports(router(way.family), vip(way.family));
        for protocol in PROTOCOLS {
            let service = gue_service(way.family, protocol);
            let error = error(way.family, protocol, 60);
            let follows = sent(&gue(&error, way.far(), 0, hash), service, way.far(), error.ip_length() as u64);
            cases.push(
                more_case(format!("gue {}, an error about {}", way.name, word(protocol)), |world| {
                    world.fill_ring(service, remembers(way.near(), dead(way.outer)));
                    let from = (client(way.family), CLIENT_PORT);
                    let key = flow_key(from, (vip(way.family), GUE_SERVICE_PORT), protocol);
                    world.put_flow(key, service, way.far(), FLOW_OPEN);
                })
                .send(&error, follows.event(Event::IcmpErrorForwarded)),
            );
        }
        let room = 1_500 - 8 - ip_header(way.outer) as usize;
        let quoted = room - ip_header(way.family) as usize - 8;
        let service = gue_service(way.family, UDP);
        let to_near = |world: &mut State| world.fill_ring(service, clean(way.near()));
        let fits = error(way.family, UDP, quoted);
        let follows = sent(&gue(&fits, way.near(), 0, hash), service, way.near(), room as u64);
        cases.push(
            more_case(format!("gue {}, an error that just fits", way.name), to_near)
                .send(&fits, follows.event(Event::IcmpErrorForwarded)),
        );
        cases.push(
            more_case(format!("gue {}, an error too big", way.name), to_near)
                .send(&error(way.family, UDP, quoted + 1), drop(DropReason::TooBig)),
        );
    }
    cases
}

/// A packet of so many bytes.
fn of_length(family: u8, protocol: u8, length: usize) -> Packet {
    let packet = from_client(family, protocol, GUE_SERVICE_PORT);
    let header = packet.ip_length();
    packet.payload(length - header)
}

fn narrow(service: u32, outer: u8, mtu: u32) -> impl FnOnce(&mut State) {
    move |world| {
        world.reals.insert(NARROW, real(real_address(near(outer)), INGRESS, mtu));
        world.fill_ring(service, clean(NARROW));
    }
}

fn sizes() -> Vec<Case> {
    let answered = |packet: &Packet, family: u8, mtu: u32| match family {
        V4 => needed(packet, mtu as u16),
        _ => too_big(packet, mtu),
    };
    let mut cases = Vec::new();
    for way in &WAYS {
        let room = 1_500 - 8 - ip_header(way.outer) as usize;
        let to_near = |service: u32| move |world: &mut State| world.fill_ring(service, clean(way.near()));
        for protocol in PROTOCOLS {
            let service = gue_service(way.family, protocol);
            let (fits, big) = (of_length(way.family, protocol, room), of_length(way.family, protocol, room + 1));
            cases.push(
                more_case(format!("gue {}, {}: {room} bytes fit 1,500", way.name, word(protocol)), to_near(service))
                    .send(&fits, sent(&out(way, &fits, protocol), service, way.near(), room as u64)),
            );
            cases.push(
                more_case(format!("gue {}, {}: one byte more does not", way.name, word(protocol)), to_near(service))
                    .send(&big, answered(&big, way.family, room as u32)),
            );
        }
        let (service, tagged) =
            (gue_service(way.family, UDP), of_length(way.family, UDP, 1_490).service_vlan(3).vlan(0xe004));
        cases.push(
            more_case(format!("gue {}, too big, two tags", way.name), to_near(service))
                .send(&tagged, answered(&tagged, way.family, room as u32)),
        );
        let first = transport(first(way.family), UDP, CLIENT_PORT, GUE_SERVICE_PORT).payload(1_480);
        cases.push(
            more_case(format!("gue {}, a first fragment too big leaves no note", way.name), to_near(service))
                .send(&first, answered(&first, way.family, room as u32)),
        );
    }
    let (v4, v6) = (gue_service(V4, UDP), gue_service(V6, UDP));
    let [small, small6] = [of_length(V4, UDP, 68), of_length(V6, UDP, 232)];
    cases.extend([
        more_case("gue v4 in v4, an MTU of less than the outer headers", narrow(v4, V4, 27))
            .send(&small, needed(&small, 0)),
        more_case("gue v4 in v6, an MTU of less than the outer headers", narrow(v4, V6, 47))
            .send(&small, needed(&small, 0)),
        more_case("gue v4 in v6, an MTU of one byte more", narrow(v4, V6, 49)).send(&small, needed(&small, 1)),
        more_case("gue v4, 67 bytes are too few to quote", narrow(v4, V4, 60))
            .send(&of_length(V4, UDP, 67), drop(DropReason::TooBig)),
        more_case("gue v6, 231 bytes are too few to quote", narrow(v6, V6, 100))
            .send(&of_length(V6, UDP, 231), drop(DropReason::TooBig)),
        more_case("gue v6, the MTU named is never below 1,280", narrow(v6, V6, 1_327))
            .send(&of_length(V6, UDP, 1_280), too_big(&of_length(V6, UDP, 1_280), 1_280)),
        more_case("gue v6, an MTU of just 1,280 + 48", narrow(v6, V6, 1_328))
            .send(&of_length(V6, UDP, 1_281), too_big(&of_length(V6, UDP, 1_281), 1_280)),
        more_case("gue v6, an MTU of one more", narrow(v6, V6, 1_329))
            .send(&of_length(V6, UDP, 1_282), too_big(&of_length(V6, UDP, 1_282), 1_281)),
        more_case("gue v6, a tiny MTU", narrow(v6, V6, 40)).send(&small6, too_big(&small6, 1_280)),
    ]);
    let syn = of_length(V4, TCP, 1_473);
    let tcp = gue_service(V4, TCP);
    let key = flow_v4(TCP, GUE_SERVICE_PORT);
    cases.push(
        more_case("gue, too big: what is remembered stays", |world| world.fill_ring(tcp, remembers(NEAR_V4, OLD_V4)))
            .send(&syn, needed(&syn, 1_472).remembers(key, tcp, OLD_V4)),
    );
    cases
}

/// What does not leave.
fn ends() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let (service, packet) = (gue_service(way.family, UDP), from_client(way.family, UDP, GUE_SERVICE_PORT));
        let no_room = |real: u16| {
            move |world: &mut State| {
                world.headroom = 0;
                world.fill_ring(service, clean(real));
            }
        };
        cases.push(
            more_case(format!("gue {}, no headroom", way.name), no_room(way.near()))
                .send(&packet, drop(DropReason::NoHeadroom)),
        );
        cases.push(
            more_case(format!("gue {}, no headroom for the answer", way.name), no_room(way.near()))
                .send(&of_length(way.family, UDP, 1_490), drop(DropReason::NoHeadroom)),
        );
        let first = transport(first(way.family), UDP, CLIENT_PORT, GUE_SERVICE_PORT).payload(36);
        cases.push(
            more_case(format!("gue {}, no headroom, a first fragment is noted", way.name), no_room(way.near())).send(
                &first,
                drop(DropReason::NoHeadroom).fragment(key(way.family, UDP), service, way.near(), MODE_GUE),
            ),
        );
    }
    let states: [(&str, u8, u16, DropReason); 8] = [
        ("v6 to a v4 real", V6, NEAR_V4, DropReason::FamilyMismatch),
        ("v6 to a v4 real without a next hop", V6, UNRESOLVED_V4, DropReason::FamilyMismatch),
        ("v4, next hop not known", V4, UNRESOLVED_V4, DropReason::NoNextHop),
        ("v4 in v6, next hop not known", V4, UNRESOLVED_V6, DropReason::NoNextHop),
        ("v6, real disabled", V6, DISABLED_V6, DropReason::RealDown),
        ("v4, no real", V4, 0, DropReason::NoReal),
        ("v4, a real id past the end", V4, OUTSIDE, DropReason::NoReal),
        ("v4, a real id that is not in use", V4, UNUSED, DropReason::RealDown),
    ];
    for (name, family, real, reason) in states {
        let service = gue_service(family, TCP);
        cases.push(
            more_case(format!("gue {name}"), |world| world.fill_ring(service, clean(real)))
                .send(&from_client(family, TCP, GUE_SERVICE_PORT), drop(reason)),
        );
    }
    let syn = to_vip().tcp(CLIENT_PORT, GUE_SERVICE_PORT, SYN);
    let service = gue_service(V4, TCP);
    let out = gue(&syn, NEAR_V4, 0, hash_of(V4, TCP, GUE_SERVICE_PORT));
    cases.push(more_case("gue, a SYN counts", |_| ()).send(&syn, sent(&out, service, NEAR_V4, 40).syn()));
    cases
}
