//! Any entries: what the round trips of all formats are tried with.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{
    FAMILY_V4, FAMILY_V6, FlowKey, NO_REAL, RING_SLOTS, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, ServiceKey, Slot,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::super::FORMAT_VERSION;
use crate::{
    agent_check::{Admin, Health},
    checkpoint::{Entry, FlowEntry, Load, RealEntry, RingEntry, ServiceEntry, SlotChange},
    monitor::SavedAgent,
    monitoring::Scheduling,
    report::{Availability, Mark},
    service::{Ports, Protocol},
    table::{AdminState, Fallback, Learned, RealPlan, ServicePlan},
};

/// What a reader of the oldest version learns of this entry.
pub(in crate::checkpoint) fn in_oldest_version(entry: &Entry) -> Option<Entry> {
    assert_eq!(FORMAT_VERSION, 2, "another version knows more, or otherwise");
    match entry {
        Entry::HalfOpen(_) => None,
        Entry::Real(real) => Some(Entry::Real(RealEntry { load: None, ..real.clone() })),
        other => Some(other.clone()),
    }
}

pub(in crate::checkpoint) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), 0..12)
}

pub(in crate::checkpoint) fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        service().prop_map(Entry::Service),
        id().prop_map(Entry::ServiceGone),
        real().prop_map(Entry::Real),
        id().prop_map(Entry::RealGone),
        ring().prop_map(Entry::Ring),
        (id(), changes()).prop_map(|(service, changes)| Entry::Slots { service, changes }),
        vec(flow(), 1..20).prop_map(Entry::Remembered),
        vec(key(), 1..20).prop_map(Entry::Forgotten),
        vec(flow(), 1..20).prop_map(Entry::HalfOpen),
    ]
}

/// Few, so that they meet; and the greatest.
fn id() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 1u16..6, 1 => any::<u16>()]
}

fn service() -> impl Strategy<Value = ServiceEntry> {
    let ports = prop_oneof![
        Just(Ports::Any),
        any::<u16>().prop_map(Ports::Single),
        (any::<u16>(), any::<u16>()).prop_map(|(first, last)| Ports::Range(first, last)),
    ];
    let plan = (select(&[Fallback::Drop, Fallback::Reset]), select(&[Scheduling::Load, Scheduling::Static]), names())
        .prop_map(|(fallback, scheduling, without)| ServicePlan { fallback, scheduling, without });
    (id(), name(), address(), select(&[Protocol::Tcp, Protocol::Udp]), ports, plan)
        .prop_map(|(id, name, vip, protocol, ports, plan)| ServiceEntry { id, name, vip, protocol, ports, plan })
}

fn real() -> impl Strategy<Value = RealEntry> {
    let admin = select(&[AdminState::Enabled, AdminState::Drained, AdminState::Disabled]);
    (id(), name(), address(), admin, option::of(any::<u32>()), plan(), learned(), option::of(load())).prop_map(
        |(id, name, address, admin, weight, plan, learned, load)| RealEntry {
            id,
            name,
            address,
            admin,
            weight,
            plan,
            learned,
            load,
        },
    )
}

fn plan() -> impl Strategy<Value = RealPlan> {
    any::<(u32, u32, bool, bool, bool)>().prop_map(|(factor, eased, alive, hot, no_new_flows)| RealPlan {
        factor,
        eased,
        alive,
        hot,
        no_new_flows,
    })
}

fn learned() -> impl Strategy<Value = Learned> {
    let availability = select(&[Availability::Alive, Availability::Drain, Availability::Stop]);
    let admin = option::of(select(&[Admin::Ready, Admin::Drain, Admin::Maint]));
    let health = option::of(select(&[Health::Up, Health::Down, Health::Failed, Health::Stopped]));
    let agent = (admin, health, option::of(any::<u32>())).prop_map(|(admin, health, percent)| SavedAgent {
        admin,
        health,
        percent,
    });
    let mark = any::<(u64, u64)>().prop_map(|(generation, sequence)| Mark { generation, sequence });
    (any::<u32>(), names(), availability, option::of(agent), option::of(mark))
        .prop_map(|(factor, down, availability, agent, report)| Learned { factor, down, availability, agent, report })
}

fn load() -> impl Strategy<Value = Load> {
    (0.0f32..1e9, option::of(0.0f32..1e9)).prop_map(|(utilisation, hits)| Load { utilisation, hits })
}

/// A ring of any length, with few reals or many, and any slots that are not clean.
fn ring() -> impl Strategy<Value = RingEntry> {
    let length = prop_oneof![8 => 0usize..70, 1 => Just(RING_SLOTS as usize)];
    (id(), 1u16..600, length, any::<u64>(), 0u8..=100).prop_map(|(service, reals, length, seed, clean)| {
        let mut random = fastrand::Rng::with_seed(seed);
        let slots: Vec<Slot> = (0..length).map(|_| random_slot(reals, clean, &mut random)).collect();
        let exceptions = (0..).zip(&slots).filter(|(_, slot)| slot.state != SLOT_CLEAN);
        let ages_ms = exceptions.map(|(index, _)| (index, random_age(&mut random))).collect();
        RingEntry { service, slots: slots.into(), ages_ms }
    })
}

fn random_slot(reals: u16, percent_clean: u8, random: &mut fastrand::Rng) -> Slot {
    let state = if random.u8(0..100) < percent_clean { SLOT_CLEAN } else { random.u16(SLOT_REMEMBERS..=SLOT_MARKED) };
    let previous = if state == SLOT_REMEMBERS { random.u16(..) } else { NO_REAL };
    Slot { real: random.u16(0..reals), previous, state, reserved: 0 }
}

fn random_age(random: &mut fastrand::Rng) -> u64 {
    random.u64(..) >> random.u32(0..u64::BITS)
}

fn changes() -> impl Strategy<Value = Vec<SlotChange>> {
    (vec(0..RING_SLOTS, 0..20), any::<u64>()).prop_map(|(indices, seed)| {
        let mut random = fastrand::Rng::with_seed(seed);
        let indices: BTreeSet<u32> = indices.into_iter().collect();
        let change = |index| {
            let slot = random_slot(u16::MAX, 30, &mut random);
            SlotChange { index, slot, age_ms: if slot.state == SLOT_CLEAN { 0 } else { random_age(&mut random) } }
        };
        indices.into_iter().map(change).collect()
    })
}

pub(in crate::checkpoint) fn flow() -> impl Strategy<Value = FlowEntry> {
    (key(), id(), id()).prop_map(|(key, service, real)| FlowEntry { key, service, real })
}

/// A key with few or many different values of each field.
fn key() -> impl Strategy<Value = FlowKey> {
    let port = || prop_oneof![Just(443u16), any::<u16>()];
    (any::<bool>(), any::<[u8; 16]>(), 0u8..3, port(), port(), prop_oneof![Just(6u8), Just(17)]).prop_map(
        |(is_v4, client, vip, client_port, port, protocol)| {
            let (family, length) = if is_v4 { (FAMILY_V4, 4) } else { (FAMILY_V6, 16) };
            let filled = |bytes: [u8; 16]| std::array::from_fn(|i| if i < length { bytes[i] } else { 0 });
            let service = ServiceKey { vip: filled([vip; 16]), port, protocol, family };
            FlowKey { client: filled(client), service, client_port, reserved: 0 }
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(name(), 0..4)
}

fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

/// A real with nothing special, and a load without hits.
pub(super) fn plain_real() -> RealEntry {
    RealEntry {
        id: 7,
        name: "web1".into(),
        address: IpAddr::from([198, 51, 100, 7]),
        admin: AdminState::Enabled,
        weight: None,
        plan: RealPlan::default(),
        learned: Learned::default(),
        load: Some(Load { utilisation: 0.5, hits: None }),
    }
}
