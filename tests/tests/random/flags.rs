//! What random states have of services with flags: guards, sources, one packet, affinity and groups.

use fastrand::Rng;
use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, FAMILY_V4, FLOW_RST, FlowKey, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE,
    Guard, MODE_DSR, PROTOCOL_UDP, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET, ServiceKey, Slot, SourceKey,
    SourceValue, TrafficCounters,
};
use lb_tests::model::{COARSE_NOW, State};
use lb_tests::world::address_of;

use crate::world::{CLIENTS, FRONTS, Front, LIMITS, client, family_of, pick_real, pick_service, slot_state};

/// Longer than any round takes: ten hours in nanoseconds.
const INTERVAL: u64 = 1 << 45;
const BURSTS: [u64; 4] = [0, INTERVAL, 4 * INTERVAL, 40 * INTERVAL];

/// Adds it all to a state that has everything else.
pub fn add(rng: &mut Rng, state: &mut State) {
    for front in FRONTS.iter() {
        let mut flags = [0, 0, SERVICE_GUARDED][rng.usize(..3)];
        if rng.u8(..3) == 0 {
            let by_itself = front.protocol == PROTOCOL_UDP && rng.bool();
            flags |= if by_itself { SERVICE_ONE_PACKET } else { SERVICE_AFFINITY };
        }
        state.set_flags(front.id, flags);
        // What has no flag has rows all the same: nobody looks at them.
        if flags != 0 || rng.u8(..4) == 0 {
            add_guard(rng, state, front);
            add_affinity(rng, state, front);
            add_count(rng, state, front);
        }
    }
}

fn add_guard(rng: &mut Rng, state: &mut State, front: &Front) {
    let family = family_of(front.vip);
    let one_of = |rng: &mut Rng, flag: u32, of: u8| if rng.u8(..of) == 0 { flag } else { 0 };
    let flags = one_of(rng, GUARD_ACCESS, 2)
        | one_of(rng, GUARD_LISTED_ONLY, 3)
        | one_of(rng, GUARD_RATE, 2)
        | one_of(rng, GUARD_FLOOD, 2)
        | (rng.u32(..) & !15);
    let lengths: &[u8] = if family == FAMILY_V4 { &[1, 8, 24, 30, 31, 32] } else { &[1, 32, 64, 126, 127, 128] };
    let source_bits = lengths[rng.usize(..lengths.len())];
    let burst_ns = BURSTS[rng.usize(..BURSTS.len())];
    state.guards.insert(front.id, Guard { interval_ns: INTERVAL, burst_ns, flags, source_bits, reserved: [0; 3] });
    for _ in 0..rng.usize(..5) {
        let lengths: &[u8] = if family == FAMILY_V4 { &[0, 8, 30, 31, 32] } else { &[0, 48, 126, 127, 128] };
        let bits = lengths[rng.usize(..lengths.len())];
        let address = first_bits(random_client(rng, family), bits);
        let verdict = [ACCESS_ALLOW, ACCESS_ALLOW, ACCESS_DENY, ACCESS_DENY, rng.u32(..)][rng.usize(..5)];
        let key = lb_common::AccessKey { service: front.id.to_be_bytes(), address };
        state.access.insert((bits.into(), key), verdict);
    }
    for n in 0..CLIENTS {
        if rng.u8(..5) < 3 {
            let address = first_bits(address_of(client(family, n)).0, source_bits);
            let ahead = [0, INTERVAL, burst_ns, burst_ns + INTERVAL, rng.u64(..1 << 60)][rng.usize(..5)];
            let due_ns = [0, COARSE_NOW - 1, COARSE_NOW + ahead, COARSE_NOW + ahead, u64::MAX][rng.usize(..5)];
            state.effects.sources.insert(SourceKey { service: front.id, address }, SourceValue { due_ns });
        }
    }
}

fn random_client(rng: &mut Rng, family: u8) -> [u8; 16] {
    address_of(client(family, rng.u16(..CLIENTS + 2))).0
}

/// The service's part of clients' keys, and the slots of clients in the ring that it has.
fn add_affinity(rng: &mut Rng, state: &mut State, front: &Front) {
    let family = family_of(front.vip);
    let of_family: Vec<&Front> = FRONTS.iter().filter(|other| family_of(other.vip) == family).collect();
    let ring = if rng.u8(..3) == 0 { of_family[rng.usize(..of_family.len())] } else { front };
    let lengths: &[u8] = if family == FAMILY_V4 { &[8, 30, 31, 32] } else { &[64, 126, 127, 128] };
    let options = state.service_options.entry(front.id).or_default();
    options.affinity_service = ring.id;
    options.affinity_port = ring.port;
    options.affinity_client_port = [ring.port, ring.port, rng.u16(..)][rng.usize(..3)];
    options.affinity_protocol = ring.protocol;
    options.affinity_bits = lengths[rng.usize(..lengths.len())];
    let options = *options;
    for n in 0..CLIENTS {
        let service =
            ServiceKey { vip: options.vip, port: options.affinity_port, protocol: options.affinity_protocol, family };
        let client = first_bits(address_of(client(family, n)).0, options.affinity_bits);
        let key = FlowKey { client, service, client_port: options.affinity_client_port, reserved: 0 };
        add_client(rng, state, ring, &key);
    }
}

fn add_client(rng: &mut Rng, state: &mut State, ring: &Front, key: &FlowKey) {
    let family = key.service.family;
    let mut real = || pick_real(rng, family, MODE_DSR);
    let (to, previous, known, half) = (real(), real(), real(), real());
    state.set_slot_of(ring.id, key, Slot { real: to, previous, state: slot_state(rng), reserved: 0 });
    let has_room = state.effects.flows.len() < LIMITS.max_flows as usize;
    if has_room && rng.u8(..3) == 0 {
        let flow_state = if rng.u8(..4) == 0 { FLOW_RST } else { 0 };
        state.put_flow(*key, pick_service(rng, ring), known, flow_state);
    }
    if rng.u8(..4) == 0 {
        state.put_half_open(*key, pick_service(rng, ring), half);
    }
}

/// Some packets before the first.
fn add_count(rng: &mut Rng, state: &mut State, front: &Front) {
    if rng.bool() {
        let counters = TrafficCounters { packets: rng.u64(..1 << 40), ..TrafficCounters::default() };
        state.effects.service_counters.insert(front.id, counters);
    }
}

fn first_bits(mut address: [u8; 16], bits: u8) -> [u8; 16] {
    for (at, byte) in address.iter_mut().enumerate() {
        let left = usize::from(bits).saturating_sub(8 * at).min(8);
        *byte &= (0xff00_u16 >> left) as u8;
    }
    address
}
