//! Services of one port and of ranges, slots of each state, and what keeps a packet from its real. `tests/tests/simulate.rs` holds all of
//! it to the XDP program.

use std::net::IpAddr;
use std::sync::Arc;

use lb_common::{
    ACCESS_ALLOW, FLOW_FIN, MODE_DSR, RING_SLOTS, SLOT_REMEMBERS, ServiceOptions, VipPrefixValue, VipValue,
};

use super::*;
use crate::rows::{address_bytes, vip_key};

const READY: u32 = REAL_ALIVE | REAL_RESOLVED;
const VIP: [u8; 4] = [192, 0, 2, 1];

fn key(port: u16) -> FlowKey {
    let (client, family) = address_bytes(IpAddr::from([203, 0, 113, 7]));
    let (vip, _) = address_bytes(IpAddr::from(VIP));
    let service = ServiceKey { vip, port, protocol: PROTOCOL_TCP, family };
    FlowKey { client, service, client_port: 40_000, reserved: 0 }
}

fn value(id: u32) -> ServiceValue {
    ServiceValue { id, mode: MODE_DSR, ..ServiceValue::default() }
}

/// Port 80 is service 1, 8000 to 8063 service 2, and any other port service 3; reals 1 to 3 are ready.
fn rows(slot: Slot) -> Rows {
    let mut rows = Rows::default();
    rows.vips.insert(vip_key(IpAddr::from(VIP)), VipValue { flags: 1 });
    rows.services.insert(key(80).service, value(1));
    for (bits, port, id) in [(10, 8000_u16, 2), (0, 0, 3)] {
        let ServiceKey { vip, protocol, family, .. } = key(0).service;
        rows.port_ranges.insert((bits, PortRangeKey { vip, family, protocol, port: port.to_be_bytes() }), value(id));
    }
    for id in 1..=3 {
        rows.rings.insert(id, Arc::from(vec![slot; RING_SLOTS as usize]));
        rows.reals.insert(id as u16, RealValue { flags: READY, family: 4, ..RealValue::default() });
    }
    rows
}

fn remembers() -> Slot {
    Slot { real: 1, previous: 2, state: SLOT_REMEMBERS, reserved: 0 }
}

fn found(rows: &Rows, syn: bool, known: &Known) -> (u16, FoundBy) {
    let decision = decide(rows, &key(80), syn, known);
    (decision.real, decision.found_by.unwrap())
}

#[test]
fn the_narrowest_range_wins() {
    let rows = rows(Slot::default());
    for (port, id) in [(80, 1), (7999, 3), (8000, 2), (8063, 2), (8064, 3), (65_535, 3)] {
        assert_eq!(decide(&rows, &key(port), true, &Known::default()).service, Some(value(id)), "{port}");
    }
}

#[test]
fn what_is_not_served_goes_to_the_kernel() {
    let mut rows = rows(Slot::default());
    rows.port_ranges.clear();
    assert_eq!(decide(&rows, &key(81), true, &Known::default()).fate, Fate::NoService);
    rows.vips.clear();
    assert_eq!(decide(&rows, &key(80), true, &Known::default()).fate, Fate::NoVip);
}

#[test]
fn the_longest_prefix_has_the_service() {
    let row = |first: [u8; 4], flags| {
        let (vip, family) = address_bytes(IpAddr::from(first));
        let key = VipPrefixKey { family, reserved: [0; 3], address: vip };
        (key, VipPrefixValue { vip, value: VipValue { flags } })
    };
    let to = |address: [u8; 4]| {
        let (vip, _) = address_bytes(IpAddr::from(address));
        FlowKey { service: ServiceKey { vip, ..key(80).service }, ..key(80) }
    };
    let mut rows = rows(Slot { real: 1, ..Slot::default() });
    for (bits, first, id) in [(16, [198, 51, 0, 0], 2), (24, [198, 51, 100, 0], 3)] {
        let (prefix, row) = row(first, 0);
        rows.vip_prefixes.insert((bits, prefix), row);
        rows.services.insert(to(first).service, value(id));
    }
    let decide = |rows: &Rows, key: &FlowKey| decide(rows, key, true, &Known::default());
    assert_eq!(decide(&rows, &to([198, 51, 100, 7])).fate, Fate::NoVip, "the flag is not set");
    rows.nat.flags |= NAT_VIP_PREFIXES;
    assert_eq!(decide(&rows, &to([198, 51, 100, 7])).service, Some(value(3)));
    assert_eq!(decide(&rows, &to([198, 51, 100, 7])).fate, Fate::Forward);
    assert_eq!(decide(&rows, &to([198, 51, 99, 7])).service, Some(value(2)));
    assert_eq!(decide(&rows, &to([198, 52, 0, 0])).fate, Fate::NoVip);
    assert_eq!(decide(&rows, &key(80)).service, Some(value(1)), "a single address");
    let other = FlowKey { service: ServiceKey { port: 81, ..to([198, 51, 99, 7]).service }, ..key(81) };
    assert_eq!(decide(&rows, &other).fate, Fate::Drop(DropReason::NoService));
    assert_eq!(keys(&rows, &to([198, 51, 99, 7])).ring, Some(2));
}

#[test]
fn a_slot_that_remembers_asks_the_tables_first() {
    let mut rows = rows(remembers());
    let nothing = Known::default();
    assert_eq!(found(&rows, true, &nothing), (1, FoundBy::Moved));
    assert_eq!(found(&rows, false, &nothing), (2, FoundBy::Previous));
    let flow = FlowValue { real: 3, service: 1, ..FlowValue::default() };
    let known = Known { flow: Some(flow), ..Known::default() };
    assert_eq!(found(&rows, false, &known), (3, FoundBy::FlowTable));
    let ended = Known { flow: Some(FlowValue { state: FLOW_FIN, ..flow }), ..Known::default() };
    assert_eq!(found(&rows, false, &ended), (3, FoundBy::FlowTable));
    assert_eq!(found(&rows, true, &ended), (1, FoundBy::Moved), "the ports are used anew");
    let strange = Known { flow: Some(FlowValue { service: 2, ..flow }), ..Known::default() };
    assert_eq!(found(&rows, false, &strange), (2, FoundBy::Previous), "of another service");
    let half = HalfOpenValue { real: 3, service: 1, ..HalfOpenValue::default() };
    assert_eq!(found(&rows, true, &Known { half_open: Some(half), ..Known::default() }), (3, FoundBy::HalfOpen));
    rows.reals.remove(&2);
    assert_eq!(found(&rows, false, &nothing), (1, FoundBy::Moved), "the previous real is gone");
}

#[test]
fn a_clean_slot_asks_no_table() {
    let rows = rows(Slot { real: 1, ..Slot::default() });
    let flow = FlowValue { real: 3, service: 1, ..FlowValue::default() };
    assert_eq!(found(&rows, false, &Known { flow: Some(flow), ..Known::default() }), (1, FoundBy::Slot));
}

#[test]
fn a_real_that_cannot_be_sent_to_drops() {
    let clean = Slot { real: 1, ..Slot::default() };
    let fate = |change: fn(&mut Rows)| {
        let mut rows = rows(clean);
        change(&mut rows);
        decide(&rows, &key(80), true, &Known::default()).fate
    };
    let real = |change: fn(&mut RealValue)| {
        let mut rows = rows(clean);
        change(rows.reals.get_mut(&1).unwrap());
        decide(&rows, &key(80), true, &Known::default()).fate
    };
    assert_eq!(fate(|_| ()), Fate::Forward);
    assert_eq!(fate(|rows| rows.rings.clear()), Fate::Drop(DropReason::NoRing));
    assert_eq!(real(|row| row.flags = REAL_RESOLVED), Fate::Drop(DropReason::RealDown));
    assert_eq!(real(|row| row.flags = REAL_ALIVE), Fate::Drop(DropReason::NoNextHop));
    assert_eq!(real(|row| row.family = 6), Fate::Drop(DropReason::FamilyMismatch));
}

#[test]
fn a_service_without_reals_drops_or_resets() {
    let mut rows = rows(Slot::default());
    assert_eq!(decide(&rows, &key(80), true, &Known::default()).fate, Fate::Drop(DropReason::NoReal));
    rows.service_options.insert(1, ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() });
    assert_eq!(decide(&rows, &key(80), true, &Known::default()).fate, Fate::Answer(Event::ResetAnswered));
    let mut udp = key(80);
    udp.service.protocol = lb_common::PROTOCOL_UDP;
    rows.services.insert(udp.service, value(1));
    assert_eq!(decide(&rows, &udp, false, &Known::default()).fate, Fate::Drop(DropReason::NoReal));
}

/// The same with flags, a guard and options of service 1.
fn flagged(slot: Slot, flags: u8) -> Rows {
    let mut rows = rows(slot);
    rows.services.insert(key(80).service, ServiceValue { flags, ..value(1) });
    rows
}

fn access_key(bits: u8, address: [u8; 4]) -> (u32, AccessKey) {
    let (address, _) = address_bytes(IpAddr::from(address));
    (ACCESS_FIXED_BITS + u32::from(bits), AccessKey { service: 1_u32.to_be_bytes(), address })
}

#[test]
fn the_longest_prefix_says_who_is_let_in() {
    let fate = |listed_only: bool, prefixes: &[(u8, [u8; 4], u32)]| {
        let mut rows = flagged(Slot { real: 1, ..Slot::default() }, SERVICE_GUARDED);
        let flags = GUARD_ACCESS | if listed_only { GUARD_LISTED_ONLY } else { 0 };
        rows.guards.insert(1, Guard { flags, ..Guard::default() });
        rows.access.extend(prefixes.iter().map(|(bits, address, verdict)| (access_key(*bits, *address), *verdict)));
        decide(&rows, &key(80), false, &Known::default()).fate
    };
    let denied = Fate::Drop(DropReason::AccessDenied);
    assert_eq!(fate(false, &[]), Fate::Forward);
    assert_eq!(fate(true, &[]), denied);
    assert_eq!(fate(true, &[(24, [203, 0, 113, 0], ACCESS_ALLOW)]), Fate::Forward);
    assert_eq!(fate(false, &[(0, [0; 4], ACCESS_DENY)]), denied);
    let both = [(24, [203, 0, 113, 0], ACCESS_ALLOW), (32, [203, 0, 113, 7], ACCESS_DENY)];
    assert_eq!(fate(true, &both), denied);
    let other_way = [(24, [203, 0, 113, 0], ACCESS_DENY), (32, [203, 0, 113, 7], ACCESS_ALLOW)];
    assert_eq!(fate(false, &other_way), Fate::Forward);
}

#[test]
fn a_source_that_is_too_fast_is_limited() {
    let mut rows = flagged(Slot { real: 1, ..Slot::default() }, SERVICE_GUARDED);
    let guard = Guard { interval_ns: 10, burst_ns: 20, flags: GUARD_RATE, source_bits: 24, ..Guard::default() };
    rows.guards.insert(1, guard);
    let source = keys(&rows, &key(80)).source.unwrap();
    assert_eq!((source.service, &source.address[..4]), (1, &[203, 0, 113, 0][..]));
    let fate = |syn, due_ns: Option<u64>| {
        let source = due_ns.map(|due_ns| SourceValue { due_ns });
        decide(&rows, &key(80), syn, &Known { source, now_ns: 1_000, ..Known::default() }).fate
    };
    assert_eq!(fate(true, None), Fate::Forward);
    assert_eq!(fate(true, Some(0)), Fate::Forward);
    assert_eq!(fate(true, Some(1_020)), Fate::Forward);
    assert_eq!(fate(true, Some(1_021)), Fate::Drop(DropReason::RateLimited));
    assert_eq!(fate(false, Some(1_021)), Fate::Forward);
}

#[test]
fn under_a_flood_a_syn_goes_where_the_rest_of_its_handshake_will() {
    let mut rows = flagged(remembers(), SERVICE_GUARDED);
    rows.guards.insert(1, Guard { flags: GUARD_FLOOD, ..Guard::default() });
    assert_eq!(found(&rows, true, &Known::default()), (2, FoundBy::Previous));
    let ended = FlowValue { real: 3, service: 1, state: FLOW_FIN, ..FlowValue::default() };
    assert_eq!(found(&rows, true, &Known { flow: Some(ended), ..Known::default() }), (3, FoundBy::FlowTable));
}

#[test]
fn with_affinity_the_client_has_the_slot() {
    let mut rows = flagged(remembers(), SERVICE_AFFINITY);
    let options = ServiceOptions {
        vip: key(80).service.vip,
        affinity_service: 2,
        affinity_port: 8_000,
        affinity_client_port: 8_063,
        affinity_protocol: PROTOCOL_TCP,
        affinity_bits: 24,
        ..ServiceOptions::default()
    };
    rows.service_options.insert(1, options);
    let Keys { flow, ring, source } = keys(&rows, &key(80));
    assert_eq!((ring, source, flow.client_port, flow.service.port), (Some(2), None, 8_063, 8_000));
    assert_eq!(flow.client[..4], [203, 0, 113, 0]);
    let decision = decide(&rows, &key(80), true, &Known::default());
    assert_eq!((decision.hash, decision.real), (flow_hash(&flow), 2), "a SYN is no news of a client");
    let known = FlowValue { real: 3, service: 2, state: FLOW_FIN, ..FlowValue::default() };
    assert_eq!(found(&rows, true, &Known { flow: Some(known), ..Known::default() }), (3, FoundBy::FlowTable));
    let strange = FlowValue { service: 1, ..known };
    assert_eq!(found(&rows, true, &Known { flow: Some(strange), ..Known::default() }), (2, FoundBy::Previous));
    rows.rings.remove(&2);
    assert_eq!(decide(&rows, &key(80), true, &Known::default()).fate, Fate::Drop(DropReason::NoRing));
}

#[test]
fn each_packet_may_have_a_slot_of_its_own() {
    let rows = flagged(remembers(), SERVICE_ONE_PACKET);
    let decide = |count| decide(&rows, &key(80), false, &Known { count, ..Known::default() });
    let (one, other) = (decide(0), decide(1));
    assert_eq!((one.real, one.found_by), (1, Some(FoundBy::OnePacket)));
    assert_eq!(one.hash, one_packet_hash(flow_hash(&key(80)), 0));
    assert_ne!(one.slot.unwrap().0, other.slot.unwrap().0);
}
