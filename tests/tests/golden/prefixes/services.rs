//! Services of prefixes: each address has flows of its own.

use std::net::IpAddr;

use lb_common::{
    ACCESS_DENY, Event, FLOW_EVENT_REMEMBERED, FLOW_FIN, FLOW_OPEN, GUARD_ACCESS, GUARD_FLOOD, GUARD_RATE, Guard,
    NODE_TELLS_FLOWS, QUIC_CLEAR, REAL_HOT, RING_SLOTS, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET,
    SERVICE_QUIC,
};
use lb_tests::model::{COARSE_NOW, QuicRow, one_packet_hash, slot_of};
use lb_tests::packet::{FIN, SYN};
use lb_tests::world::{address_of, marked, remembers, source_key};

use super::*;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(ports(family));
        cases.extend(flows(family));
        cases.extend(flags(family));
        cases.extend(tunnels(family));
    }
    cases
}

/// Single ports, ranges, any port, and what no service claims.
fn ports(family: u8) -> Vec<Case> {
    let mut taken = prefix_case("ports", family, nothing);
    let mut none = prefix_case("ports of no service", family, nothing);
    for host in [0, ONE, 0x7fff] {
        let to = |protocol, port| transport(to(family, host), protocol, CLIENT_PORT, port);
        for (protocol, port, service) in [
            (TCP, DSR_PORT, WIDE_TCP),
            (TCP, 8_000, WIDE_RANGE),
            (TCP, 8_005, WIDE_RANGE),
            (TCP, 8_010, WIDE_RANGE),
            (UDP, 1, WIDE_ANY),
            (UDP, DSR_PORT, WIDE_ANY),
            (UDP, 65_535, WIDE_ANY),
            (SCTP, DSR_PORT, WIDE_SCTP),
        ] {
            let packet = to(protocol, port);
            taken = taken.send(&packet, goes(&packet, family, service, near(family)));
        }
        for (protocol, port) in [(TCP, 79), (TCP, 7_999), (TCP, 8_011), (TCP, 0), (SCTP, 81), (SCTP, 8_000)] {
            none = none.send(&to(protocol, port), no_service());
        }
    }
    vec![taken, none]
}

/// Two addresses of a prefix have two flows, in slots, tables and what is told.
fn flows(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let service = id(WIDE_TCP, family);
    let keys = [ONE, TWO].map(|host| flow_to(family, host, TCP, DSR_PORT));
    let packet = |host, flags| to(family, host).tcp(CLIENT_PORT, DSR_PORT, flags);
    let sent = |host, flags, real| goes(&packet(host, flags), family, WIDE_TCP, real);
    let ring = |slots: [lb_common::Slot; 2]| {
        move |state: &mut State| {
            state.fill_ring(service, clean(dead(family)));
            state.set_slot_of(service, &keys[0], slots[0]);
            state.set_slot_of(service, &keys[1], slots[1]);
        }
    };
    let slot = remembers(near, old);
    let both = |before: &'static dyn Fn(&mut State, u8)| {
        move |state: &mut State| {
            ring([slot, slot])(state);
            before(state, family);
        }
    };
    let known: &dyn Fn(&mut State, u8) = &|state, family| {
        let key = flow_to(family, ONE, TCP, DSR_PORT);
        state.put_flow(key, id(WIDE_TCP, family), self::far(family), FLOW_OPEN);
    };
    let half: &dyn Fn(&mut State, u8) = &|state, family| {
        state.put_half_open(flow_to(family, ONE, TCP, DSR_PORT), id(WIDE_TCP, family), self::far(family));
    };
    // By the first address, which is in the keys of services, and by no other.
    let of_first: &dyn Fn(&mut State, u8) = &|state, family| {
        let key = flow_to(family, 0, TCP, DSR_PORT);
        state.put_flow(key, id(WIDE_TCP, family), self::far(family), FLOW_OPEN);
        state.put_half_open(key, id(WIDE_TCP, family), self::far(family));
    };
    let told: &dyn Fn(&mut State, u8) = &|state, _| state.node.flags = NODE_TELLS_FLOWS;
    let remembered = |at: usize, real| sent([ONE, TWO][at], ACK, real).remembers(keys[at], service, real);
    let hot = |state: &mut State| {
        ring([marked(near), marked(near)])(state);
        state.set_second_slot_of(service, &keys[0], clean(far));
        state.set_second_slot_of(service, &keys[1], clean(old));
        state.reals.get_mut(&near).expect("a real of the world").flags |= REAL_HOT;
    };
    let diverted = |at: usize, real| {
        let sent = sent([ONE, TWO][at], SYN, real).syn();
        sent.half_open(keys[at], service, real).event(Event::HotDiverted)
    };
    vec![
        prefix_case("slots", family, ring([clean(far), clean(old)]))
            .send(&packet(ONE, ACK), sent(ONE, ACK, far))
            .send(&packet(TWO, ACK), sent(TWO, ACK, old)),
        prefix_case("remembered", family, both(&|_, _| {}))
            .send(&packet(ONE, ACK), remembered(0, old))
            .send(&packet(TWO, ACK), remembered(1, old))
            .send(&packet(ONE, FIN | ACK), sent(ONE, FIN | ACK, old).fin().flow(keys[0], service, old, FLOW_FIN))
            .send(&packet(TWO, ACK), sent(TWO, ACK, old)),
        prefix_case("a known flow is one address's", family, both(known))
            .send(&packet(ONE, ACK), sent(ONE, ACK, far))
            .send(&packet(TWO, ACK), remembered(1, old)),
        prefix_case("a half-open flow is one address's", family, both(half))
            .send(&packet(TWO, SYN), sent(TWO, SYN, near).syn().half_open(keys[1], service, near))
            .send(&packet(ONE, ACK), remembered(0, far).half_open_gone(keys[0]))
            .send(&packet(TWO, ACK), remembered(1, near).half_open_gone(keys[1])),
        prefix_case("the first address's flows are its own", family, both(of_first))
            .send(&packet(ONE, ACK), remembered(0, old)),
        prefix_case("told", family, both(told))
            .send(&packet(ONE, ACK), remembered(0, old).tells(FLOW_EVENT_REMEMBERED, keys[0], service, old)),
        prefix_case("hot reals", family, hot)
            .send(&packet(ONE, SYN), diverted(0, far))
            .send(&packet(TWO, SYN), diverted(1, old)),
    ]
}

fn flags(family: u8) -> Vec<Case> {
    let [near, far, old] = [near(family), far(family), old(family)];
    let (service, any) = (id(WIDE_TCP, family), id(WIDE_ANY, family));
    let syn = |host| to(family, host).tcp(CLIENT_PORT, DSR_PORT, SYN);
    let udp = |host| to(family, host).udp(CLIENT_PORT, 53);
    let bits = if family == V4 { 32 } else { 128 };
    let mut cases = Vec::new();

    let guarded = |guard: Guard| {
        move |state: &mut State| {
            state.set_flags(service, SERVICE_GUARDED);
            state.guards.insert(service, Guard { source_bits: bits as u8, ..guard });
        }
    };
    let denied = |state: &mut State| {
        guarded(Guard { flags: GUARD_ACCESS, ..Guard::default() })(state);
        state.add_access(service, (client(family), bits), ACCESS_DENY);
    };
    cases.push(
        prefix_case("access", family, denied)
            .send(&syn(ONE), drop(DropReason::AccessDenied))
            .send(&udp(ONE), goes(&udp(ONE), family, WIDE_ANY, near)),
    );
    // A source has one rate for all addresses of the prefix.
    let rate = guarded(Guard { flags: GUARD_RATE, interval_ns: 1 << 45, burst_ns: 0, ..Guard::default() });
    let counted = goes(&syn(ONE), family, WIDE_TCP, near).syn();
    cases.push(
        prefix_case("rate", family, rate)
            .send(&syn(ONE), counted.source(source_key(service, client(family)), COARSE_NOW + (1 << 45)))
            .send(&syn(TWO), drop(DropReason::RateLimited)),
    );
    let flood = |state: &mut State| {
        guarded(Guard { flags: GUARD_FLOOD, ..Guard::default() })(state);
        state.fill_ring(service, remembers(near, old));
        state.put_flow(flow_to(family, TWO, TCP, DSR_PORT), service, far, FLOW_OPEN);
    };
    cases.push(
        prefix_case("a flood", family, flood)
            .send(&syn(ONE), goes(&syn(ONE), family, WIDE_TCP, old).syn().event(Event::SynUnnoted))
            .send(&syn(TWO), goes(&syn(TWO), family, WIDE_TCP, far).syn().event(Event::SynUnnoted)),
    );

    let one_packet = |state: &mut State| {
        state.set_flags(any, SERVICE_ONE_PACKET);
        let hash = |host| hash_between((client(family), CLIENT_PORT), (address(family, host), 53), UDP);
        let mut ring = vec![clean(near); RING_SLOTS as usize];
        ring[slot_of(one_packet_hash(hash(ONE), 0)) as usize] = clean(far);
        ring[slot_of(one_packet_hash(hash(TWO), 1)) as usize] = clean(old);
        state.rings.insert(any, ring.into());
    };
    let mut case = prefix_case("one packet", family, one_packet);
    for (host, real) in [(ONE, far), (TWO, old), (ONE, near)] {
        case = case.send(&udp(host), goes(&udp(host), family, WIDE_ANY, real));
    }
    cases.push(case);

    let client_key = flow_key((client(family), 9), (wide(family).0, 8), SCTP);
    let affine = |state: &mut State| {
        state.set_flags(any, SERVICE_AFFINITY);
        let options = state.service_options.entry(any).or_default();
        options.vip = address_of(wide(family).0).0;
        (options.affinity_service, options.affinity_bits) = (any, bits as u8);
        (options.affinity_port, options.affinity_client_port, options.affinity_protocol) = (8, 9, SCTP);
        state.fill_ring(any, clean(dead(family)));
        state.set_slot_of(any, &client_key, remembers(near, far));
    };
    cases.push(
        prefix_case("affinity: a client has one real for all addresses", family, affine)
            .send(&udp(ONE), goes(&udp(ONE), family, WIDE_ANY, far).remembers(client_key, any, far))
            .send(&udp(TWO), goes(&udp(TWO), family, WIDE_ANY, far))
            .send(&udp(0), goes(&udp(0), family, WIDE_ANY, far)),
    );

    let quic = |state: &mut State| {
        state.set_flags(any, SERVICE_QUIC);
        let row = QuicRow { encoding: QUIC_CLEAR, offset: 1, server_id_length: 2, nonce_length: 4, key: [0; 16] };
        state.add_quic(any, 0, row);
        state.add_quic_server(any, &[5, 6], old.into());
    };
    let datagram = |host, id: u8| udp(host).data(&[0x40, 6, 5, id, 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    let mut case = prefix_case("quic", family, quic);
    for host in [ONE, TWO, 0] {
        let (named, unknown) = (datagram(host, 6), datagram(host, 7));
        case = case
            .send(&named, goes(&named, family, WIDE_ANY, old).event(Event::QuicRouted))
            .send(&unknown, goes(&unknown, family, WIDE_ANY, near).event(Event::QuicUnrouted));
    }
    cases.push(case);

    let bare = |state: &mut State| {
        state.rings.remove(&service);
    };
    cases.push(prefix_case("no ring", family, bare).send(&syn(ONE), drop(DropReason::NoRing)));
    cases
}

/// The outer headers have the hash of the packet's own addresses.
fn tunnels(family: u8) -> Vec<Case> {
    let real = near(family);
    let mut cases = Vec::new();
    for (name, service, port) in [("ipip", WIDE_IPIP, IPIP_PORT), ("gue", WIDE_GUE, GUE_SERVICE_PORT)] {
        let bits = |state: &mut State| state.reals.get_mut(&real).expect("a real of the world").source_bits = 8;
        let mut case = prefix_case(name, family, bits);
        for host in [ONE, TWO, 0] {
            let packet = to(family, host).udp(CLIENT_PORT, port).payload(30);
            let hash = hash_between((client(family), CLIENT_PORT), (address(family, host), port), UDP);
            let out = if name == "ipip" { ipip(&packet, real, 0) } else { gue(&packet, real, 0, hash) };
            let source: IpAddr = if family == V4 {
                Ipv4Addr::new(198, 51, 100, hash as u8).into()
            } else {
                Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, u16::from(hash as u8)).into()
            };
            let out = from_source(out, source);
            case = case.send(&packet, sent(&out, id(service, family), real, packet.ip_length() as u64));
        }
        cases.push(case);
    }
    cases
}
