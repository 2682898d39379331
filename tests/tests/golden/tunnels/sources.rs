//! Outer sources of which the lowest bits are the flow's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{Event, FragmentValue, MODE_IPIP, MODE_NAT, ServiceOptions};
use lb_tests::model::State;
use lb_tests::packet::Packet;
use lb_tests::world::{Ports, address_of, clean};

use super::{WAYS, Way};
use crate::case::{Case, tx};
use crate::nat::destined;
use crate::services::*;
use crate::world::*;

/// What the bits that are not the flow's are.
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0xa5, 0x5a);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 1, 0xa5a5, 0x5a5a, 0x1234, 0xa55a);
/// The number of bits, and the mask that is theirs.
const BITS: [(u8, u32); 10] = [
    (0, 0),
    (1, 1),
    (8, 0xff),
    (15, 0x7fff),
    (16, 0xffff),
    (24, 0x00ff_ffff),
    (31, 0x7fff_ffff),
    (32, 0xffff_ffff),
    (33, 0xffff_ffff),
    (255, 0xffff_ffff),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        for (bits, mask) in BITS {
            cases.extend([ipip_of(way, bits, mask), gue_of(way, bits, mask)]);
        }
        cases.push(a_flow_each(way));
        cases.push(packets_without_ports(way));
    }
    cases.extend(other_modes());
    cases
}

fn with_bits(world: &mut State, real: u16, bits: u8) {
    let row = world.reals.get_mut(&real).expect("a real of the world");
    row.tunnel_source = address_of(source(row.family)).0;
    row.source_bits = bits;
}

fn source(family: u8) -> IpAddr {
    if family == V4 { SOURCE.into() } else { SOURCE6.into() }
}

/// The source with bits of a hash.
fn mixed(family: u8, mask: u32, hash: u32) -> IpAddr {
    if family == V4 {
        return Ipv4Addr::from((u32::from(SOURCE) & !mask) | (hash & mask)).into();
    }
    let (all, mask, hash) = (u128::from(SOURCE6), u128::from(mask), u128::from(hash));
    Ipv6Addr::from((all & !mask) | (hash & mask)).into()
}

fn ipip_of(way: &Way, bits: u8, mask: u32) -> Case {
    let service = if way.family == V4 { IPIP_V4_UDP } else { IPIP_V6_UDP };
    let packet = from_client(way.family, UDP, IPIP_PORT).payload(3);
    let hash = hash_of(way.family, UDP, IPIP_PORT);
    let out = from_source(ipip(&packet, way.near(), 0), mixed(way.outer, mask, hash));
    more_case(format!("outer source, ipip {}, {bits} bits", way.name), |world| {
        world.fill_ring(service, clean(way.near()));
        with_bits(world, way.near(), bits);
    })
    .send(&packet, sent(&out, service, way.near(), packet.ip_length() as u64))
}

fn gue_of(way: &Way, bits: u8, mask: u32) -> Case {
    let service = gue_service(way.family, SCTP);
    let packet = from_client(way.family, SCTP, GUE_SERVICE_PORT).payload(3).vlan(9);
    let hash = hash_of(way.family, SCTP, GUE_SERVICE_PORT);
    let out = from_source(gue(&packet, way.near(), 0, hash), mixed(way.outer, mask, hash));
    more_case(format!("outer source, gue {}, {bits} bits", way.name), |world| {
        world.fill_ring(service, clean(way.near()));
        with_bits(world, way.near(), bits);
    })
    .send(&packet, sent(&out, service, way.near(), packet.ip_length() as u64))
}

/// Flows that differ in one port, one address, or the protocol.
fn a_flow_each(way: &Way) -> Case {
    let (family, real) = (way.family, way.near());
    let [tcp, udp] = if family == V4 { [IPIP_V4_TCP, IPIP_V4_UDP] } else { [IPIP_V6_TCP, IPIP_V6_UDP] };
    let other: IpAddr = if family == V4 {
        Ipv4Addr::new(203, 0, 113, 8).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 1, 0, 0, 7).into()
    };
    let mut case = more_case(format!("outer source, ipip {}, one for each flow", way.name), |world| {
        for service in [tcp, udp] {
            world.fill_ring(service, clean(real));
        }
        with_bits(world, real, 16);
    });
    for (from, port, protocol) in
        [(client(family), 1, UDP), (client(family), 2, UDP), (other, 1, UDP), (client(family), 1, TCP)]
    {
        let packet = transport(Packet::ip(from, vip(family)), protocol, port, IPIP_PORT);
        let hash = hash_between((from, port), (vip(family), IPIP_PORT), protocol);
        let out = from_source(ipip(&packet, real, 0), mixed(way.outer, 0xffff, hash));
        let service = if protocol == TCP { tcp } else { udp };
        case = case.send(&packet, sent(&out, service, real, packet.ip_length() as u64));
    }
    case
}

/// A later fragment and an ICMP error: their addresses count.
fn packets_without_ports(way: &Way) -> Case {
    let (family, real) = (way.family, way.near());
    let service = if family == V4 { IPIP_V4_UDP } else { IPIP_V6_UDP };
    let about = Packet::ip(vip(family), client(family)).udp(IPIP_PORT, CLIENT_PORT);
    let error = Packet::ip(router(family), vip(family));
    let error = if family == V4 { error.icmp(3, 1, [0; 4]) } else { error.icmp6(1, 0, [0; 4]) }.quote(&about, 60);
    let (later, key) = if family == V4 {
        let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (5, 9, Some(UDP))).payload(30);
        (later, fragment_v4(5, UDP))
    } else {
        let later = to_vip6().fragment6(5, 9, false).udp(1, 2).payload(30);
        (later, fragment_v6(5))
    };
    let out = |packet: &Packet, from: IpAddr| {
        let hash = hash_without_ports(from, vip(family));
        from_source(ipip(packet, real, 0), mixed(way.outer, 0xff_ffff, hash))
    };
    more_case(format!("outer source, ipip {}, packets without ports", way.name), |world| {
        world.fill_ring(service, clean(real));
        world.effects.fragments.insert(key, FragmentValue { service, real, mode: MODE_IPIP, reserved: 0 });
        with_bits(world, real, 24);
    })
    .send(
        &error,
        sent(&out(&error, router(family)), service, real, error.ip_length() as u64).event(Event::IcmpErrorForwarded),
    )
    .send(
        &later,
        sent(&out(&later, client(family)), service, real, later.ip_length() as u64).event(Event::FragmentForwarded),
    )
}

/// Other modes have no outer source.
fn other_modes() -> Vec<Case> {
    let udp = to_vip().udp(CLIENT_PORT, DSR_PORT).payload(2);
    let to_real = destined(&udp, real_address(NEAR_V4), None);
    let with_bits = |world: &mut State| with_bits(world, NEAR_V4, 32);
    let nat = |world: &mut State| {
        with_bits(world);
        world.services.retain(|_, row| row.id != DSR_V4_UDP);
        world.add_service(DSR_V4_UDP, VIP.into(), UDP, Ports::Single(DSR_PORT), MODE_NAT);
        world.service_options.insert(DSR_V4_UDP, ServiceOptions::default());
    };
    vec![
        more_case("outer source, dsr has none", with_bits)
            .send(&udp, tx(&dsr(&udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 30)),
        more_case("outer source, nat has none", nat)
            .send(&udp, tx(&dsr(&to_real, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 30)),
    ]
}
