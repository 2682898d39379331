//! How many bytes entries take.

use lb_common::{
    FAMILY_V4, FAMILY_V6, FlowKey, PROTOCOL_TCP, RING_SLOTS, SLOT_CLEAN, SLOT_REMEMBERS, ServiceKey, Slot,
};

use super::*;
use crate::checkpoint::{FlowEntry, RingEntry, SlotChange};

/// Bytes that entries of one front have beside the flows.
const GROUP_SIZE: usize = 32;

fn size(entry: Entry) -> usize {
    encoded(FORMAT_VERSION, &[entry]).len()
}

fn flow(family: u8, number: u16) -> FlowEntry {
    let client = std::array::from_fn(|i| if family == FAMILY_V6 || i < 4 { i as u8 ^ number as u8 } else { 0 });
    let service = ServiceKey { vip: client, port: 443, protocol: PROTOCOL_TCP, family };
    let service = ServiceKey { vip: if family == FAMILY_V4 { [0; 16] } else { [7; 16] }, ..service };
    FlowEntry { key: FlowKey { client, service, client_port: number, reserved: 0 }, service: 3, real: 9 }
}

#[test]
fn a_flow_takes_no_more_than_its_exception() {
    for (family, most) in [(FAMILY_V4, 10), (FAMILY_V6, 22)] {
        let flows: Vec<FlowEntry> = (0..1_000).map(|number| flow(family, number)).collect();
        let keys: Vec<FlowKey> = flows.iter().map(|flow| flow.key).collect();
        assert!(size(Entry::Remembered(flows)) <= 1_000 * most + GROUP_SIZE);
        assert!(size(Entry::Forgotten(keys)) <= 1_000 * (most - 2) + GROUP_SIZE);
    }
}

#[test]
fn many_services_cost_a_flow_two_bytes_more() {
    let flows = |services: u16| -> Vec<FlowEntry> {
        (0..10_000).map(|number| FlowEntry { service: number % services, ..flow(FAMILY_V4, number) }).collect()
    };
    assert!(size(Entry::Remembered(flows(256))) <= 10_000 * 11 + 256 * 8 + GROUP_SIZE);
    assert!(size(Entry::Remembered(flows(257))) <= 10_000 * 12 + 257 * 8 + GROUP_SIZE);
    assert!(size(Entry::Remembered(flows(256))) > 10_000 * 11);
}

fn ring(service: u16, reals: u16, exceptions: u32) -> RingEntry {
    let slot = |index: u32| {
        let remembers = index < exceptions;
        let (state, previous) = if remembers { (SLOT_REMEMBERS, 1) } else { (SLOT_CLEAN, 0) };
        Slot { real: (index % u32::from(reals)) as u16 + 1, previous, state, reserved: 0 }
    };
    let slots = (0..RING_SLOTS).map(slot).collect();
    RingEntry { service, slots, ages_ms: (0..exceptions).map(|index| (index, 5_000)).collect() }
}

#[test]
fn a_ring_takes_a_few_bits_a_slot() {
    let kibibytes = |reals| size(Entry::Ring(ring(1, reals, 0))) as f64 / 1_024.0;
    assert!((16.0..16.2).contains(&kibibytes(3)), "{}", kibibytes(3));
    assert!((8.0..8.2).contains(&kibibytes(1)), "{}", kibibytes(1));
    assert!((56.0..56.5).contains(&kibibytes(100)), "{}", kibibytes(100));
    let (clean, with_exceptions) = (size(Entry::Ring(ring(1, 3, 0))), size(Entry::Ring(ring(1, 3, 1_000))));
    assert!(with_exceptions - clean <= 1_000 * 5 + 1);
}

#[test]
fn a_ring_like_another_is_a_reference() {
    let (one, other) = (ring(1, 3, 10), ring(2, 3, 10));
    let different_age = RingEntry { service: 3, ages_ms: (0..10).map(|index| (index, 5_001)).collect(), ..one.clone() };
    let different_slots = ring(4, 3, 11);
    let alone = size(Entry::Ring(one.clone()));
    let both =
        |other: &RingEntry| encoded(FORMAT_VERSION, &[Entry::Ring(one.clone()), Entry::Ring(other.clone())]).len();
    assert_eq!(both(&other), alone + HEAD_SIZE + 4);
    assert!(both(&different_age) > 2 * alone - 100);
    assert!(both(&different_slots) > 2 * alone - 100);
}

/// A reference is to the newest ring of its service.
#[test]
fn a_ring_that_has_changed_is_not_referred_to() {
    let rings = [ring(1, 3, 0), ring(1, 2, 0), ring(2, 3, 0), ring(3, 2, 0), ring(2, 3, 0)].map(Entry::Ring);
    let bytes = encoded(FORMAT_VERSION, &rings);
    assert_eq!(decode_entries(&bytes).unwrap(), rings);
    let distinct = [ring(1, 3, 0), ring(1, 2, 0), ring(2, 3, 0)].map(Entry::Ring);
    assert_eq!(bytes.len(), encoded(FORMAT_VERSION, &distinct).len() + 2 * (HEAD_SIZE + 4));
}

#[test]
fn a_moved_slot_takes_a_few_bytes() {
    let change = |index: u32| {
        let slot = Slot { real: 4_095, previous: 4_094, state: SLOT_REMEMBERS, reserved: 0 };
        SlotChange { index: index * 65, slot, age_ms: 2_000 }
    };
    let changes: Vec<SlotChange> = (0..1_000).map(change).collect();
    assert!(size(Entry::Slots { service: 9, changes }) <= 1_000 * 8 + 10);
}
