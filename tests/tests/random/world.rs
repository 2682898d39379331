//! Random states of the maps, around a pool of flows that the random frames come back to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use fastrand::Rng;
use lb_common::{
    FALLBACK_RESET, FAMILY_V4, FAMILY_V6, FragmentKey, FragmentValue, MODE_DSR, MODE_GUE, MODE_IPIP, MODE_NAT, NO_REAL,
    NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO, NODE_TELLS_FLOWS, NodeState, PROTOCOL_SCTP, PROTOCOL_TCP,
    PROTOCOL_UDP, REAL_ALIVE, REAL_HOT, REAL_RESOLVED, RING_SLOTS, RealValue, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS,
    ServiceOptions, Slot,
};
use lb_tests::harness::LOOPBACK;
use lb_tests::model::{JIFFIES, Limits, State, WAY_IFINDEX};
use lb_tests::world::{Ports, address_of, clean, flow_key, real};

use crate::prefixes::Prefix;
use crate::{flags, nat, prefixes, quic};

/// Sizes of the maps; the flow table is small enough to run full.
pub const LIMITS: Limits = Limits { max_reals: 32, max_flows: 256, flow_events_size: 4_096 };

/// Client addresses of a family.
pub const CLIENTS: u16 = 3;
/// Client ports, from [`FIRST_CLIENT_PORT`] on.
pub const CLIENT_PORTS: u16 = 6;
pub const FIRST_CLIENT_PORT: u16 = 40_000;
/// Port of the services that are always in `nat` mode.
pub const NAT_PORT: u16 = 82;
/// Identifications of fragmented packets are below it, mostly.
pub const FRAGMENT_IDS: u32 = 6;

/// IPv4 reals have ids 1 to 6, IPv6 reals 7 to 12.
pub const REALS_OF_A_FAMILY: u16 = 6;
const UNUSED_REAL: u16 = 20;
const MTUS: [u32; 9] = [80, 120, 300, 576, 1_280, 1_320, 1_400, 1_500, 9_000];

/// A service of the world.
#[derive(Clone, Copy)]
pub struct Front {
    pub id: u32,
    pub vip: IpAddr,
    pub protocol: u8,
    pub ports: Ports,
    /// A port that is the service's.
    pub port: u16,
    /// The mode; of some it is random.
    mode: Option<u8>,
    pub has_ring: bool,
    /// The prefix whose services it is of, where its VIP is one.
    pub prefix: Option<Prefix>,
}

impl Front {
    /// An address that packets for the service go to.
    pub fn destination(&self, rng: &mut Rng) -> IpAddr {
        self.prefix.map_or(self.vip, |prefix| prefix.any_address(rng, family_of(self.vip)))
    }
}

/// Every service, IPv4 and IPv6.
pub static FRONTS: LazyLock<Vec<Front>> = LazyLock::new(|| [fronts_of(FAMILY_V4), fronts_of(FAMILY_V6)].concat());

fn fronts_of(family: u8) -> Vec<Front> {
    let first = if family == FAMILY_V4 { 1 } else { 21 };
    let front = |offset: u32, n, protocol, ports, port, mode, has_ring| Front {
        id: first + offset,
        vip: vip(family, n),
        protocol,
        ports,
        port,
        mode,
        has_ring,
        prefix: None,
    };
    let of_prefix = |offset, prefix: Prefix, protocol, ports, port| Front {
        vip: prefix.of(family).0,
        prefix: Some(prefix),
        ..front(offset, 0, protocol, ports, port, None, true)
    };
    let single = Ports::Single;
    vec![
        front(0, 0, PROTOCOL_TCP, single(80), 80, Some(MODE_DSR), true),
        front(1, 0, PROTOCOL_UDP, single(80), 80, Some(MODE_DSR), true),
        front(2, 0, PROTOCOL_TCP, single(81), 81, Some(MODE_IPIP), true),
        front(3, 0, PROTOCOL_UDP, single(81), 81, Some(MODE_IPIP), true),
        front(4, 1, PROTOCOL_TCP, Ports::Range(8_000, 8_010), 8_003, None, true),
        front(5, 1, PROTOCOL_UDP, Ports::Any, 53, None, true),
        front(6, 1, PROTOCOL_TCP, single(8_005), 8_005, None, true),
        front(7, 0, PROTOCOL_TCP, single(90), 90, None, false),
        front(8, 0, PROTOCOL_TCP, single(NAT_PORT), NAT_PORT, Some(MODE_NAT), true),
        front(9, 0, PROTOCOL_UDP, single(NAT_PORT), NAT_PORT, Some(MODE_NAT), true),
        front(10, 0, PROTOCOL_TCP, single(83), 83, Some(MODE_GUE), true),
        front(11, 0, PROTOCOL_UDP, single(83), 83, Some(MODE_GUE), true),
        front(12, 0, PROTOCOL_SCTP, single(80), 80, Some(MODE_DSR), true),
        front(13, 0, PROTOCOL_SCTP, single(83), 83, Some(MODE_GUE), true),
        front(14, 1, PROTOCOL_SCTP, Ports::Any, 99, None, true),
        of_prefix(15, Prefix::Wide, PROTOCOL_TCP, single(80), 80),
        of_prefix(16, Prefix::Wide, PROTOCOL_UDP, Ports::Any, 53),
        of_prefix(17, Prefix::Wide, PROTOCOL_TCP, Ports::Range(8_000, 8_010), 8_003),
        of_prefix(18, Prefix::Narrow, PROTOCOL_TCP, single(80), 80),
        of_prefix(19, Prefix::Narrow, PROTOCOL_UDP, single(443), 443),
    ]
}

/// A VIP. `n` 0 has single ports only, 1 has ranges too, others are no VIPs.
pub fn vip(family: u8, n: u8) -> IpAddr {
    match family {
        FAMILY_V4 => Ipv4Addr::new(192, 0, 2, 10 + n).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10 + u16::from(n)).into(),
    }
}

/// A client.
pub fn client(family: u8, n: u16) -> IpAddr {
    match family {
        FAMILY_V4 => Ipv4Addr::new(203, 0, 113, 1 + n as u8).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1 + n).into(),
    }
}

/// A real.
pub fn real_address(id: u16) -> IpAddr {
    if id <= REALS_OF_A_FAMILY {
        return Ipv4Addr::new(198, 51, 100, id as u8).into();
    }
    Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, id).into()
}

/// The reals of a family.
pub fn reals_of(family: u8) -> RangeInclusive<u16> {
    if family == FAMILY_V4 { 1..=REALS_OF_A_FAMILY } else { REALS_OF_A_FAMILY + 1..=2 * REALS_OF_A_FAMILY }
}

pub fn family_of(address: IpAddr) -> u8 {
    address_of(address).1
}

/// A random state.
pub fn random_state(rng: &mut Rng) -> State {
    let mut state = State::new(LIMITS);
    for id in 1..=2 * REALS_OF_A_FAMILY {
        state.reals.insert(id, random_real(rng, id));
    }
    for front in FRONTS.iter() {
        let mode = front.mode.unwrap_or_else(|| random_mode(rng, front));
        match front.prefix.map(|prefix| prefix.of(family_of(front.vip))) {
            Some(prefix) => state.add_prefix_service(front.id, prefix, front.protocol, front.ports, mode),
            None => state.add_service(front.id, front.vip, front.protocol, front.ports, mode),
        }
        if rng.bool() {
            state
                .service_options
                .insert(front.id, ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() });
        }
        if front.has_ring {
            state.rings.insert(front.id, base_ring(family_of(front.vip)));
            random_flows(rng, &mut state, front, mode);
        }
    }
    random_fragments(rng, &mut state);
    nat::add(rng, &mut state);
    flags::add(rng, &mut state);
    prefixes::add(rng, &mut state);
    quic::add(rng, &mut state);
    state
}

/// SCTP has not the mode `nat`, nor have prefixes.
fn random_mode(rng: &mut Rng, front: &Front) -> u8 {
    let modes = [MODE_DSR, MODE_IPIP, MODE_GUE, MODE_NAT];
    modes[rng.usize(..if front.protocol == PROTOCOL_SCTP || front.prefix.is_some() { 3 } else { 4 })]
}

/// What a node is to the VIPs: serving, most often. Its lease ends long ago or in a long time, since jiffies cannot be set.
pub fn random_node(rng: &mut Rng) -> NodeState {
    let service = match rng.u8(..16) {
        0..=4 => NODE_SOLO,
        5..=11 => NODE_SERVING,
        12..=13 => NODE_DRAINING,
        14 => NODE_SILENT,
        _ => rng.u32(..),
    };
    let ended = rng.u8(..6) == 0;
    let lease_until = if ended { rng.u64(..=1_000) } else { rng.u64(2 * JIFFIES..) };
    let flags = if rng.bool() { NODE_TELLS_FLOWS | rng.u32(..) } else { rng.u32(..) & !NODE_TELLS_FLOWS };
    NodeState { lease_until, service, flags }
}

/// A ring of clean slots, the same in every state, so that putting a state in writes little.
fn base_ring(family: u8) -> Arc<[Slot]> {
    static RINGS: LazyLock<[Arc<[Slot]>; 2]> = LazyLock::new(|| {
        [1, 1 + REALS_OF_A_FAMILY].map(|first| {
            (0..RING_SLOTS).map(|index| clean(first + (index % u32::from(REALS_OF_A_FAMILY)) as u16)).collect()
        })
    });
    RINGS[usize::from(family == FAMILY_V6)].clone()
}

fn random_real(rng: &mut Rng, id: u16) -> RealValue {
    let ifindex = [LOOPBACK, LOOPBACK, WAY_IFINDEX, rng.u32(2..1_000)][rng.usize(..4)];
    let mtu = MTUS[rng.usize(..MTUS.len())];
    let mut row = real(real_address(id), ifindex, mtu);
    rng.fill(&mut row.next_hop_mac);
    rng.fill(&mut row.source_mac);
    row.flags = match rng.u8(..20) {
        0..=2 => REAL_RESOLVED,
        3..=4 => REAL_ALIVE,
        5 => 0,
        _ => REAL_ALIVE | REAL_RESOLVED,
    };
    if rng.u8(..3) == 0 {
        row.flags |= REAL_HOT;
    }
    row.source_bits = [0, 0, rng.u8(..33), rng.u8(1..32), 32, rng.u8(..)][rng.usize(..6)];
    if rng.bool() {
        row.gue_port = rng.u16(..);
    }
    rng.fill(&mut row.tunnel_source[if row.family == FAMILY_V4 { 0..4 } else { 0..16 }]);
    row
}

/// A real for a service: mostly one that its mode can reach.
pub fn pick_real(rng: &mut Rng, family: u8, mode: u8) -> u16 {
    match rng.u8(..100) {
        0..=3 => NO_REAL,
        4..=5 => UNUSED_REAL,
        6 => LIMITS.max_reals as u16,
        7 => rng.u16(..),
        8..=15 => rng.u16(1..=2 * REALS_OF_A_FAMILY),
        _ if matches!(mode, MODE_IPIP | MODE_GUE) && family == FAMILY_V4 => rng.u16(1..=2 * REALS_OF_A_FAMILY),
        _ => rng.u16(reals_of(family)),
    }
}

/// The slots of the pool's flows, and what is known of the flows.
fn random_flows(rng: &mut Rng, state: &mut State, front: &Front, mode: u8) {
    let family = family_of(front.vip);
    let known = [0, 10, 40, 90][rng.usize(..4)];
    // A few services have hardly a real.
    let without = if rng.u8(..8) == 0 { 80 } else { 4 };
    for n in 0..CLIENTS {
        for port in FIRST_CLIENT_PORT..FIRST_CLIENT_PORT + CLIENT_PORTS {
            let key = flow_key((client(family, n), port), (front.destination(rng), front.port), front.protocol);
            let (mut real, previous) = (pick_real(rng, family, mode), pick_real(rng, family, mode));
            if rng.u8(..100) < without {
                real = NO_REAL;
            }
            let slot = Slot { real, previous, state: slot_state(rng), reserved: 0 };
            state.set_slot_of(front.id, &key, slot);
            if rng.u8(..4) == 0 {
                let slot = Slot { real: pick_real(rng, family, mode), state: rng.u16(..3), ..slot };
                state.set_second_slot_of(front.id, &key, slot);
            }
            let has_room = state.effects.flows.len() < LIMITS.max_flows as usize;
            if has_room && rng.u8(..100) < known {
                // Nothing but a TCP flag makes a flow other than open.
                let flow_state = if front.protocol == PROTOCOL_TCP { rng.u16(..3) } else { 0 };
                state.put_flow(key, pick_service(rng, front), pick_real(rng, family, mode), flow_state);
            }
            if rng.u8(..100) < 25 {
                state.put_half_open(key, pick_service(rng, front), pick_real(rng, family, mode));
            }
        }
    }
}

pub fn slot_state(rng: &mut Rng) -> u16 {
    [SLOT_CLEAN, SLOT_REMEMBERS, SLOT_REMEMBERS, SLOT_MARKED][rng.usize(..4)]
}

/// The service that an entry names: mostly the one that has the port now.
pub fn pick_service(rng: &mut Rng, front: &Front) -> u32 {
    if rng.u8(..100) < 5 { FRONTS[rng.usize(..FRONTS.len())].id } else { front.id }
}

fn random_fragments(rng: &mut Rng, state: &mut State) {
    for front in FRONTS.iter().filter(|front| front.has_ring) {
        for _ in 0..6 {
            let family = family_of(front.vip);
            let key = FragmentKey {
                source: address_of(client(family, rng.u16(..CLIENTS))).0,
                destination: address_of(front.destination(rng)).0,
                id: rng.u32(..FRAGMENT_IDS),
                protocol: if family == FAMILY_V4 { front.protocol } else { 0 },
                family,
                reserved: 0,
            };
            let mode = random_mode(rng, front);
            let real = pick_real(rng, family, mode);
            state.effects.fragments.insert(key, FragmentValue { service: front.id, real, mode, reserved: 0 });
        }
    }
}
