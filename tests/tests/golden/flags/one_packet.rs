//! Services of which each packet goes by itself.

use lb_common::{
    ACCESS_DENY, DropReason, Event, FALLBACK_RESET, FLOW_FIN, FLOW_OPEN, FlowKey, GUARD_ACCESS, GUARD_FLOOD, Guard,
    MODE_DSR, REAL_HOT, RING_SLOTS, SERVICE_GUARDED, SERVICE_ONE_PACKET, ServiceOptions, Slot, TrafficCounters,
};
use lb_tests::model::{State, one_packet_hash, slot_of};
use lb_tests::packet::Packet;
use lb_tests::world::{clean, flow_key, marked, remembers};

use crate::case::{Case, Expect, case_with, drop};
use crate::services::*;
use crate::too_big::{needed, too_big};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![by_hand()];
    for family in FAMILIES {
        cases.extend(counts(family));
        cases.extend(states(family));
        cases.extend(others(family));
        cases.extend(tunnels(family));
    }
    cases.push(a_range());
    cases
}

fn service(family: u8) -> u32 {
    if family == V4 { DSR_V4_UDP } else { DSR_V6_UDP }
}

fn flow(family: u8) -> FlowKey {
    flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), UDP)
}

/// The slot of the packet when `count` were counted before it.
fn slot(family: u8, port: u16, count: u64) -> usize {
    slot_of(one_packet_hash(hash_of(family, UDP, port), count)) as usize
}

/// Packets go to the near real, but for those that come after so many: they go to the far one.
fn far_after(counts: &'static [u64], family: u8) -> impl Fn(&mut State) {
    move |world| {
        let mut ring = vec![clean(near(family)); RING_SLOTS as usize];
        for count in counts {
            ring[slot(family, DSR_PORT, *count)] = clean(far(family));
        }
        world.rings.insert(service(family), ring.into());
        world.set_flags(service(family), SERVICE_ONE_PACKET);
    }
}

fn counted(world: &mut State, service: u32, packets: u64) {
    let counters = TrafficCounters { packets, bytes: 1_000, ..TrafficCounters::default() };
    world.effects.service_counters.insert(service, counters);
}

fn packet(family: u8) -> Packet {
    from_client(family, UDP, DSR_PORT).payload(9)
}

fn to(family: u8, real: u16) -> Expect {
    sent(&dsr(&packet(family), real), service(family), real, ip_header(family) + 17)
}

/// A flow of the page's tables: UDP from 203.0.113.7 port 40000 to 192.0.2.1 port 80, after no packet and after 41.
fn by_hand() -> Case {
    let vip = std::net::Ipv4Addr::new(192, 0, 2, 1);
    let packet = Packet::v4(CLIENT, vip).udp(40_000, 80);
    let mut case = case_with("one packet: slots of the page", |world| {
        world.add_service(50, vip.into(), UDP, lb_tests::world::Ports::Single(80), MODE_DSR);
        let mut ring = vec![clean(NEAR_V4); RING_SLOTS as usize];
        (ring[50_451], ring[61_663]) = (clean(FAR_V4), clean(OLD_V4));
        world.rings.insert(50, ring.into());
        world.set_flags(50, SERVICE_ONE_PACKET);
    });
    for count in 0..43 {
        let real = match count {
            0 => FAR_V4,
            41 => OLD_V4,
            _ => NEAR_V4,
        };
        case = case.send(&packet, sent(&dsr(&packet, real), 50, real, 28));
    }
    case
}

fn counts(family: u8) -> Vec<Case> {
    let [near, far] = [near(family), far(family)];
    let mut every = more_case(format!("one packet v{family}, one after the other"), far_after(&[1, 4, 5], family));
    for count in 0..7 {
        every = every.send(&packet(family), to(family, if [1, 4, 5].contains(&count) { far } else { near }));
    }
    let started = |name: &str, packets: u64, far_counts: &'static [u64]| {
        more_case(format!("one packet v{family}, {name}"), |world| {
            far_after(far_counts, family)(world);
            counted(world, service(family), packets);
        })
    };
    // What does not leave is not counted.
    let dropped = more_case(format!("one packet v{family}, what does not leave does not count"), |world| {
        far_after(&[1], family)(world);
        let at = slot(family, DSR_PORT, 0);
        let ring = world.rings.get_mut(&service(family)).expect("a ring");
        std::sync::Arc::make_mut(ring)[at] = clean(dead(family));
    });
    let gone = || drop(DropReason::RealDown);
    let other = from_client(family, TCP, DSR_PORT);
    let tcp = if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP };
    vec![
        every,
        started("after 41 packets", 41, &[41, 43])
            .send(&packet(family), to(family, far))
            .send(&packet(family), to(family, near))
            .send(&packet(family), to(family, far)),
        started("after more packets than 32 bits have", (1 << 32) + 7, &[(1 << 32) + 7])
            .send(&packet(family), to(family, far))
            .send(&packet(family), to(family, near)),
        dropped.send(&packet(family), gone()).send(&packet(family), gone()),
        // Another service's packets do not count, and another flow's do.
        started("another service's packets do not count", 0, &[1])
            .send(&other, sent(&dsr(&other, near), tcp, near, ip_header(family) + 20))
            .send(&packet(family), to(family, near))
            .send(&packet(family), to(family, far)),
        {
            let other = transport(Packet::ip(client(family), vip(family)), UDP, CLIENT_PORT + 1, DSR_PORT);
            let hash = hash_between((client(family), CLIENT_PORT + 1), (vip(family), DSR_PORT), UDP);
            let at = slot_of(one_packet_hash(hash, 1)) as usize;
            more_case(format!("one packet v{family}, another flow's packets count"), |world| {
                far_after(&[0, 2], family)(world);
                let ring = world.rings.get_mut(&service(family)).expect("a ring");
                std::sync::Arc::make_mut(ring)[at] = clean(old(family));
            })
            .send(&packet(family), to(family, far))
            .send(&other, sent(&dsr(&other, old(family)), service(family), old(family), ip_header(family) + 8))
            .send(&packet(family), to(family, far))
        },
    ]
}

/// Every slot is this, and more of the world is changed.
fn ring(family: u8, slot: Slot, before: impl Fn(&mut State)) -> impl Fn(&mut State) {
    move |world| {
        world.fill_ring(service(family), slot);
        world.set_flags(service(family), SERVICE_ONE_PACKET);
        before(world);
    }
}

/// No flow table is read or written.
fn states(family: u8) -> Vec<Case> {
    let [near, far, old, dead] = [near(family), far(family), old(family), dead(family)];
    let nothing = |_: &mut State| {};
    let known = |world: &mut State| {
        world.put_flow(flow(family), service(family), old, FLOW_FIN);
        world.put_half_open(flow(family), service(family), old);
    };
    let hot = |world: &mut State| world.reals.get_mut(&near).expect("a real of the world").flags |= REAL_HOT;
    let resets = |world: &mut State| {
        let options = ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() };
        world.service_options.insert(service(family), options);
    };
    let one = |name: &str, change: &dyn Fn(&mut State), expect: Expect| {
        more_case(format!("one packet v{family}, {name}"), change).send(&packet(family), expect)
    };
    vec![
        one("a slot that remembers", &ring(family, remembers(near, old), nothing), to(family, near)),
        one("a marked slot", &ring(family, marked(far), nothing), to(family, far)),
        one("a known flow", &ring(family, remembers(near, far), known), to(family, near)),
        one("a known flow, marked", &ring(family, marked(near), known), to(family, near)),
        one("a known flow, clean", &ring(family, clean(near), known), to(family, near)),
        one("a hot real", &ring(family, marked(near), hot), to(family, near)),
        one(
            "a dead real, and the previous one lives",
            &ring(family, remembers(dead, old), nothing),
            drop(DropReason::RealDown),
        ),
        one("no real", &ring(family, remembers(0, old), nothing), drop(DropReason::NoReal)),
        one("no real, and the service resets", &ring(family, clean(0), resets), drop(DropReason::NoReal)),
        one(
            "no ring",
            &|world| {
                world.set_flags(service(family), SERVICE_ONE_PACKET);
                world.rings.remove(&service(family));
            },
            drop(DropReason::NoRing),
        ),
    ]
}

/// Fragments, ICMP errors, guards.
fn others(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let id = 0x91;
    let (first, later, key) = if family == V4 {
        let first = to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (id, true));
        let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (id, 4, Some(UDP)));
        (first, later, fragment_v4(id, UDP))
    } else {
        let header = |offset, more| to_vip6().fragment6(id.into(), offset, more);
        (header(0, true), header(4, false).udp(1, 2), fragment_v6(id.into()))
    };
    let (first, later) = (first.udp(CLIENT_PORT, DSR_PORT).payload(24), later.payload(20));
    let goes = |packet: &Packet, real: u16| sent(&dsr(packet, real), service(family), real, packet.ip_length() as u64);
    let about = Packet::ip(vip(family), client(family)).udp(DSR_PORT, CLIENT_PORT);
    let error = Packet::ip(router(family), vip(family));
    let error = if family == V4 { error.icmp(3, 3, [0; 4]) } else { error.icmp6(1, 4, [0; 4]) }.quote(&about, 48);
    let errors_to = |slot: Slot| {
        move |world: &mut State| {
            far_after(&[0, 1, 2], family)(world);
            world.set_slot_of(service(family), &flow(family), slot);
            world.put_flow(flow(family), service(family), far, FLOW_OPEN);
            counted(world, service(family), 3);
        }
    };
    let follows = |real| goes(&error, real).event(Event::IcmpErrorForwarded);
    let one = |name: &str, change: &dyn Fn(&mut State)| more_case(format!("one packet v{family}, {name}"), change);
    vec![
        // The later fragment is the service's second packet, and follows its first all the same.
        one("fragments", &far_after(&[0, 2], family))
            .send(&first, goes(&first, far).fragment(key, service(family), far, MODE_DSR))
            .send(&later, goes(&later, far).event(Event::FragmentForwarded))
            .send(&packet(family), to(family, far))
            .send(&packet(family), to(family, near)),
        one("an ICMP error, clean", &errors_to(clean(old))).send(&error, follows(old)),
        one("an ICMP error in a slot that remembers", &errors_to(remembers(old, near))).send(&error, follows(old)),
        one("an ICMP error in a marked slot", &errors_to(marked(old))).send(&error, follows(old)),
        one("an ICMP error, real dead", &errors_to(remembers(dead(family), near)))
            .send(&error, drop(DropReason::RealDown)),
        one("an ICMP error, no ring", &|world| {
            world.set_flags(service(family), SERVICE_ONE_PACKET);
            world.rings.remove(&service(family));
        })
        .send(&error, drop(DropReason::NoRing)),
        one("a source is denied", &|world| {
            far_after(&[0], family)(world);
            world.set_flags(service(family), SERVICE_ONE_PACKET | SERVICE_GUARDED);
            world.guards.insert(service(family), Guard { flags: GUARD_ACCESS, ..Guard::default() });
            let bits = if family == V4 { 32 } else { 128 };
            world.add_access(service(family), (client(family), bits), ACCESS_DENY);
        })
        .send(&packet(family), drop(DropReason::AccessDenied)),
        one("a flood is none of its", &|world| {
            far_after(&[0], family)(world);
            world.fill_ring(service(family), remembers(near, old));
            world.set_flags(service(family), SERVICE_ONE_PACKET | SERVICE_GUARDED);
            world.guards.insert(service(family), Guard { flags: GUARD_FLOOD, ..Guard::default() });
        })
        .send(&packet(family), to(family, near)),
        one("tags and padding", &far_after(&[0], family)).send(
            &packet(family).service_vlan(2).vlan(3).pad_to(90),
            sent(
                &dsr(&packet(family).service_vlan(2).vlan(3).pad_to(90), far),
                service(family),
                far,
                ip_header(family) + 17,
            ),
        ),
    ]
}

/// In the tunnel modes the outer headers are those of the flow.
fn tunnels(family: u8) -> Vec<Case> {
    let real = near(family);
    let tunnel = if family == V4 { IPIP_V4_UDP } else { IPIP_V6_UDP };
    let mut cases = Vec::new();
    for (name, service, port) in [("ipip", tunnel, IPIP_PORT), ("gue", gue_service(family, UDP), GUE_SERVICE_PORT)] {
        let packet = from_client(family, UDP, port).payload(1);
        let hash = hash_of(family, UDP, port);
        let out = if name == "ipip" { ipip(&packet, real, 0) } else { gue(&packet, real, 0, hash) };
        let source = if family == V4 {
            std::net::Ipv4Addr::from(u32::from_be_bytes([198, 51, 0, 0]) | (hash & 0xffff)).into()
        } else {
            let prefix = u128::from(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0));
            std::net::Ipv6Addr::from(prefix | u128::from(hash & 0xffff)).into()
        };
        let out = from_source(out, source);
        let expect = sent(&out, service, real, packet.ip_length() as u64);
        let one_packet = |world: &mut State| {
            world.set_flags(service, SERVICE_ONE_PACKET);
            world.fill_ring(service, clean(real));
            world.reals.get_mut(&real).expect("a real of the world").source_bits = 16;
        };
        cases.push(
            more_case(format!("one packet v{family}, {name}: the flow's hash"), one_packet)
                .send(&packet, expect.clone())
                .send(&packet, expect),
        );
        let big = from_client(family, UDP, port).payload(1_490);
        let outer = ip_header(family) + if name == "gue" { 8 } else { 0 };
        let mtu = 1_500 - outer as u32;
        let answered = if family == V4 { needed(&big, mtu as u16) } else { too_big(&big, mtu) };
        cases.push(more_case(format!("one packet v{family}, {name}: too big"), one_packet).send(&big, answered));
    }
    cases
}

/// Any port: the rows of ranges have flags too.
fn a_range() -> Case {
    let packet = Packet::v4(CLIENT, WIDE_VIP).udp(CLIENT_PORT, 53);
    let hash = hash_between((CLIENT.into(), CLIENT_PORT), (WIDE_VIP.into(), 53), UDP);
    case_with("one packet, any port", |world| {
        let mut ring = vec![clean(NEAR_V4); RING_SLOTS as usize];
        ring[slot_of(one_packet_hash(hash, 1)) as usize] = clean(FAR_V4);
        world.rings.insert(ANY_V4, ring.into());
        world.set_flags(ANY_V4, SERVICE_ONE_PACKET);
    })
    .send(&packet, sent(&dsr(&packet, NEAR_V4), ANY_V4, NEAR_V4, 28))
    .send(&packet, sent(&dsr(&packet, FAR_V4), ANY_V4, FAR_V4, 28))
}
