//! The writes, applied to a model of the maps: they lead where they should, and on the way there nothing is pointed at that is
//! not there.

use std::collections::HashSet;

use lb_common::{
    ACCESS_ALLOW, FALLBACK_RESET, GUARD_ACCESS, GUARD_LISTED_ONLY, MODE_DSR, NAT_REPLIES, NAT_VIP_PREFIXES,
    OPTION_REAL_PORTS, PROTOCOL_TCP, REAL_ALIVE, SLOT_CLEAN, SLOT_REMEMBERS,
};
use proptest::prelude::*;

use super::*;
use crate::testing::{apply, cases, steps};

const SLOTS: usize = 7;

/// Whether everything that is pointed at is there.
fn check_sound(maps: &Rows) -> Result<(), TestCaseError> {
    for (key, value) in &maps.services {
        let vip = VipKey { address: key.vip, family: key.family, reserved: [0; 3] };
        prop_assert!(maps.vips.contains_key(&vip));
        prop_assert!(maps.rings.contains_key(&value.id), "no ring for {:?}", key);
    }
    for ((_, key), value) in &maps.port_ranges {
        let vip = VipKey { address: key.vip, family: key.family, reserved: [0; 3] };
        prop_assert!(maps.vips.get(&vip).is_some_and(|vip| vip.flags & VIP_HAS_PORT_RANGES != 0));
        prop_assert!(maps.rings.contains_key(&value.id), "no ring for {:?}", key);
    }
    for slot in maps.rings.values().flat_map(|ring| ring.iter()) {
        for id in [slot.real, slot.previous] {
            prop_assert!(id == 0 || maps.reals.contains_key(&id), "a slot points at real {}", id);
        }
    }
    Ok(())
}

fn a_real() -> impl Strategy<Value = RealValue> {
    (0..3u8, 0..4u32).prop_map(|(last, flags)| {
        let mut address = [0; 16];
        address[3] = last;
        RealValue { address, family: FAMILY_V4, flags, ..RealValue::default() }
    })
}

/// Any rows at all, from few keys, so that two of them have much in common.
fn any_rows() -> impl Strategy<Value = Rows> {
    let vip = |last: u8| VipKey { address: [last; 16], family: FAMILY_V6, reserved: [0; 3] };
    let value = |id: u32| ServiceValue { id, mode: MODE_DSR, ..ServiceValue::default() };
    let reply = |service: u32| NatReplyValue { service, first_port: 80, last_port: 80 };
    let single =
        move |(last, port): (u8, u16)| ServiceKey { vip: [last; 16], port, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
    let range = move |(last, bits): (u8, u32)| {
        (bits, PortRangeKey { vip: [last; 16], family: FAMILY_V6, protocol: PROTOCOL_TCP, port: [last, 0] })
    };
    let slot =
        (0..5u16, 0..5u16, 0..3u16).prop_map(|(real, previous, state)| Slot { real, previous, state, reserved: 0 });
    let ring = prop::collection::vec(slot, SLOTS).prop_map(Arc::from);
    (
        prop::collection::hash_map((0..4u8).prop_map(vip), (0..2u32).prop_map(|flags| VipValue { flags }), 0..4),
        prop::collection::hash_map((0..4u8, 1..4u16).prop_map(single), (0..5u32).prop_map(value), 0..6),
        prop::collection::hash_map((0..4u8, 0..4u32).prop_map(range), (0..5u32).prop_map(value), 0..6),
        prop::collection::btree_map(1..6u16, a_real(), 0..5),
        prop::collection::btree_map(0..5u32, ring, 0..5),
        prop::collection::btree_map(
            0..5u32,
            (1..3u32).prop_map(|fallback| ServiceOptions { fallback, ..ServiceOptions::default() }),
            0..5,
        ),
        (0..4u32).prop_map(|flags| NatState { flags }),
        prop::collection::hash_map(
            (0..3u32, 0..3u32).prop_map(|(service, real)| NatPortKey { service, real }),
            1..4u32,
            0..5,
        ),
        prop::collection::hash_map((0..4u8, 1..4u16).prop_map(single), (0..5u32).prop_map(reply), 0..6),
        any_guards(),
    )
        .prop_map(
            |(vips, services, port_ranges, reals, rings, service_options, nat, nat_ports, nat_replies, guarded)| {
                let (guards, access, quic, quic_servers, vip_prefixes) = guarded;
                Rows {
                    vips,
                    vip_prefixes,
                    services,
                    port_ranges,
                    reals,
                    rings,
                    service_options,
                    guards,
                    access,
                    quic,
                    quic_servers,
                    nat,
                    nat_ports,
                    nat_replies,
                }
            },
        )
}

type Guarded = (
    BTreeMap<u32, Guard>,
    HashMap<(u32, AccessKey), u32>,
    HashMap<QuicKey, QuicValue>,
    HashMap<QuicServerKey, u32>,
    HashMap<(u32, VipPrefixKey), VipPrefixValue>,
);

fn any_guards() -> impl Strategy<Value = Guarded> {
    let prefix =
        |(last, bits): (u8, u32)| (bits, VipPrefixKey { family: FAMILY_V6, reserved: [0; 3], address: [last; 16] });
    let row = |(last, flags): (u8, u32)| VipPrefixValue { vip: [last; 16], value: VipValue { flags } };
    let guard = (1..4u32).prop_map(|flags| Guard { flags, ..Guard::default() });
    let key = |(service, last): (u8, u8)| {
        (32 + u32::from(last), AccessKey { service: [0, 0, 0, service], address: [last; 16] })
    };
    (
        prop::collection::btree_map(0..5u32, guard, 0..5),
        prop::collection::hash_map((0..4u8, 0..4u8).prop_map(key), 1..3u32, 0..5),
        prop::collection::hash_map(
            (0..3u32, 0..3u32).prop_map(|(service, config)| QuicKey { service, config }),
            (0..3u32).prop_map(|word| QuicValue { schedule: [word; 44], ..QuicValue::default() }),
            0..5,
        ),
        prop::collection::hash_map(
            (0..3u32, 1..3u8).prop_map(|(service, length)| QuicServerKey { service, length, id: [length; 15] }),
            1..4u32,
            0..5,
        ),
        prop::collection::hash_map((0..4u8, 20..23u32).prop_map(prefix), (0..4u8, 0..4u32).prop_map(row), 0..5),
    )
}

/// Rows in which all that is pointed at is there, as those of a scheduling table are.
fn sound_rows() -> impl Strategy<Value = Rows> {
    any_rows().prop_map(|mut rows| {
        rows.services.retain(|_, value| rows.rings.contains_key(&value.id));
        rows.port_ranges.retain(|_, value| rows.rings.contains_key(&value.id));
        for key in rows.services.keys() {
            rows.vips.entry(VipKey { address: key.vip, family: key.family, reserved: [0; 3] }).or_default();
        }
        for (_, key) in rows.port_ranges.keys() {
            let vip = VipKey { address: key.vip, family: key.family, reserved: [0; 3] };
            rows.vips.entry(vip).or_default().flags |= VIP_HAS_PORT_RANGES;
        }
        let reals = &rows.reals;
        let there = |id: u16| if reals.contains_key(&id) { id } else { 0 };
        for ring in rows.rings.values_mut() {
            for slot in Arc::make_mut(ring) {
                *slot = Slot { real: there(slot.real), previous: there(slot.previous), ..*slot };
            }
        }
        rows
    })
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn the_writes_lead_from_old_to_new(old in any_rows(), new in any_rows()) {
        let mut maps = old.clone();
        diff(&old, &new).iter().for_each(|write| apply(&mut maps, write));
        prop_assert_eq!(maps, new);
    }

    #[test]
    fn equal_rows_need_no_write(rows in any_rows()) {
        let mut copy = rows.clone();
        prop_assert_eq!(diff(&rows, &copy), []);
        copy.rings.values_mut().for_each(|ring| *ring = ring.to_vec().into());
        prop_assert_eq!(diff(&rows, &copy), []);
    }

    #[test]
    fn nothing_is_pointed_at_that_is_not_there(old in sound_rows(), new in sound_rows()) {
        let mut maps = old.clone();
        check_sound(&maps)?;
        for step in steps(&diff(&old, &new)) {
            apply(&mut maps, &step);
            check_sound(&maps)?;
        }
        prop_assert_eq!(maps, new);
    }

    #[test]
    fn a_key_in_both_is_there_all_the_time(old in sound_rows(), new in sound_rows()) {
        let mut maps = old.clone();
        for step in steps(&diff(&old, &new)) {
            apply(&mut maps, &step);
            for key in old.services.keys().filter(|key| new.services.contains_key(key)) {
                prop_assert!(maps.services.contains_key(key));
            }
            for key in old.port_ranges.keys().filter(|key| new.port_ranges.contains_key(key)) {
                prop_assert!(maps.port_ranges.contains_key(key));
            }
        }
    }

    #[test]
    fn counters_are_reset_of_ids_that_are_new(old in any_rows(), new in any_rows()) {
        let writes = diff(&old, &new);
        for (id, row) in &new.reals {
            let is_new = old.reals.get(id).is_none_or(|was| was.address != row.address);
            prop_assert_eq!(writes.contains(&MapWrite::ResetRealCounters { real: *id }), is_new);
        }
        for &service in new.rings.keys() {
            let is_new = !old.rings.contains_key(&service);
            prop_assert_eq!(writes.contains(&MapWrite::ResetServiceCounters { service }), is_new);
        }
        let resets = writes.iter().filter(|write| {
            matches!(write, MapWrite::ResetRealCounters { .. } | MapWrite::ResetServiceCounters { .. })
        });
        prop_assert_eq!(resets.count(), resets_wanted(&old, &new));
    }

    #[test]
    fn writes_touch_only_what_changed(old in any_rows(), new in any_rows()) {
        let mut seen = HashSet::new();
        for write in steps(&diff(&old, &new)) {
            let changed = match &write {
                MapWrite::Real { id, value } => old.reals.get(id) != value.as_ref(),
                MapWrite::NewRing { service, .. } => !old.rings.contains_key(service),
                MapWrite::RemoveRing { service } => old.rings.contains_key(service),
                MapWrite::Slots { service, changes } => {
                    changes.iter().all(|&(i, slot)| old.rings[service][i as usize] != slot)
                }
                MapWrite::Service { key, value } => old.services.get(key) != value.as_ref(),
                MapWrite::PortRange { bits, key, value } => old.port_ranges.get(&(*bits, *key)) != value.as_ref(),
                MapWrite::ServiceOptions { service, value } => {
                    old.service_options.get(service).copied().unwrap_or_default() != *value
                }
                MapWrite::Guard { service, value } => {
                    old.guards.get(service).copied().unwrap_or_default() != *value
                }
                MapWrite::Access { bits, key, value } => old.access.get(&(*bits, *key)) != value.as_ref(),
                MapWrite::Quic { key, value } => old.quic.get(key) != value.as_ref(),
                MapWrite::QuicServer { key, value } => old.quic_servers.get(key) != value.as_ref(),
                MapWrite::Nat { value } => old.nat != *value,
                MapWrite::NatPort { key, value } => old.nat_ports.get(key) != value.as_ref(),
                MapWrite::NatReply { key, value } => old.nat_replies.get(key) != value.as_ref(),
                MapWrite::Vip { key, value } => old.vips.get(key) != value.as_ref(),
                MapWrite::VipPrefix { bits, key, value } => {
                    old.vip_prefixes.get(&(*bits, *key)) != value.as_ref()
                }
                MapWrite::ResetServiceCounters { .. } | MapWrite::ResetRealCounters { .. } => true,
            };
            prop_assert!(changed, "{:?} changes nothing", write);
            prop_assert!(seen.insert(format!("{write:?}")), "{:?} comes twice", write);
        }
    }
}

fn resets_wanted(old: &Rows, new: &Rows) -> usize {
    let rings = new.rings.keys().filter(|id| !old.rings.contains_key(id)).count();
    let is_same = |id: &u16, row: &RealValue| old.reals.get(id).is_some_and(|was| was.address == row.address);
    rings + new.reals.iter().filter(|(id, row)| !is_same(id, row)).count()
}

fn one_real(flags: u32) -> BTreeMap<u16, RealValue> {
    let row = |last: u8| RealValue { address: [last; 16], family: FAMILY_V6, flags, ..RealValue::default() };
    BTreeMap::from([(1, row(1)), (2, RealValue { flags: REAL_ALIVE, ..row(2) })])
}

fn ring_of(real: u16, previous: u16, state: u16) -> BTreeMap<u32, Arc<[Slot]>> {
    BTreeMap::from([(0, vec![Slot { real, previous, state, reserved: 0 }; 2].into())])
}

#[test]
fn a_real_dies_after_the_slots_have_left_it() {
    let old = Rows { reals: one_real(REAL_ALIVE), rings: ring_of(1, 0, SLOT_CLEAN), ..Rows::default() };
    let new = Rows { reals: one_real(0), rings: ring_of(2, 1, SLOT_REMEMBERS), ..Rows::default() };
    let order = |writes: &[MapWrite]| {
        let real = writes.iter().position(|write| matches!(write, MapWrite::Real { id: 1, .. })).unwrap();
        let slots = writes.iter().position(|write| matches!(write, MapWrite::Slots { .. })).unwrap();
        (real, slots)
    };
    let (real, slots) = order(&diff(&old, &new));
    assert!(slots < real, "disabled before the slots have left");
    let (real, slots) = order(&diff(&new, &old));
    assert!(real < slots, "slots arrive before it is enabled");
}

#[test]
fn a_service_has_its_options_from_its_first_packet_to_its_last() {
    let key = ServiceKey { vip: [1; 16], port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
    let options = ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() };
    let with = Rows {
        vips: HashMap::from([(
            VipKey { address: [1; 16], family: FAMILY_V6, reserved: [0; 3] },
            VipValue { flags: 0 },
        )]),
        services: HashMap::from([(key, ServiceValue::default())]),
        rings: ring_of(0, 0, SLOT_CLEAN),
        service_options: BTreeMap::from([(0, options)]),
        ..Rows::default()
    };
    let without = Rows::default();
    for (old, new) in [(&without, &with), (&with, &without)] {
        let mut maps = old.clone();
        for write in diff(old, new) {
            apply(&mut maps, &write);
            let is_served = maps.services.contains_key(&key);
            assert!(!is_served || maps.service_options.get(&0) == Some(&options), "after {write:?}");
        }
    }
}

/// A service at port 80 of a /8, and one of a /16 in it where `narrow` says so. `flags` are those of both VIPs.
fn with_prefixes(narrow: bool, flags: u32) -> Rows {
    let mut rows =
        Rows { nat: NatState { flags: NAT_VIP_PREFIXES }, rings: ring_of(0, 0, SLOT_CLEAN), ..Rows::default() };
    for (bits, vip) in [(8, [1; 16]), (16, [2; 16])].into_iter().take(1 + usize::from(narrow)) {
        let key = VipPrefixKey { family: FAMILY_V6, reserved: [0; 3], address: vip };
        rows.vip_prefixes.insert((bits, key), VipPrefixValue { vip, value: VipValue { flags } });
        let service = ServiceKey { vip, port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
        rows.services.insert(service, ServiceValue::default());
    }
    rows
}

#[test]
fn a_prefix_has_its_services_for_as_long_as_it_is_there() {
    let (wide, both) = (with_prefixes(false, 0), with_prefixes(true, VIP_HAS_PORT_RANGES));
    for (old, new) in [(&wide, &both), (&both, &wide), (&Rows::default(), &both), (&both, &Rows::default())] {
        let mut maps = old.clone();
        for write in diff(old, new) {
            apply(&mut maps, &write);
            for row in maps.vip_prefixes.values() {
                assert!(maps.services.keys().any(|key| key.vip == row.vip), "after {write:?}");
                assert_eq!(maps.nat.flags, NAT_VIP_PREFIXES, "after {write:?}");
            }
            let has_ranges = |maps: &Rows| maps.vip_prefixes.values().any(|row| row.value.flags != 0);
            let is_last = maps == *new;
            assert!(is_last || !has_ranges(old) || has_ranges(&maps) || !has_ranges(new), "after {write:?}");
        }
        assert_eq!(&maps, new);
    }
}

/// Rows of a service with a guard and affinity, or without.
fn with_extras(flags: u8, guard: Option<Guard>, prefixes: &[u8], bits: u8) -> Rows {
    let key = ServiceKey { vip: [1; 16], port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
    let options = ServiceOptions {
        fallback: FALLBACK_RESET,
        vip: if bits > 0 { [1; 16] } else { [0; 16] },
        affinity_service: u32::from(bits > 0),
        affinity_bits: bits,
        ..ServiceOptions::default()
    };
    let access = |last: &u8| ((40, AccessKey { service: [0; 4], address: [*last; 16] }), ACCESS_ALLOW);
    Rows {
        services: HashMap::from([(key, ServiceValue { flags, ..ServiceValue::default() })]),
        rings: ring_of(0, 0, SLOT_CLEAN),
        service_options: BTreeMap::from([(0, options)]),
        guards: guard.map(|guard| (0, guard)).into_iter().collect(),
        access: prefixes.iter().map(access).collect(),
        ..Rows::default()
    }
}

#[test]
fn what_flags_want_is_there_before_them_and_goes_after() {
    let listed = Guard { flags: GUARD_ACCESS | GUARD_LISTED_ONLY, ..Guard::default() };
    let flags = SERVICE_GUARDED | SERVICE_AFFINITY;
    let worlds = [
        Rows::default(),
        with_extras(0, None, &[], 0),
        with_extras(flags, Some(listed), &[1, 2], 128),
        with_extras(flags, Some(listed), &[2, 3], 64),
        with_extras(SERVICE_GUARDED, Some(Guard { flags: GUARD_ACCESS, ..listed }), &[1], 0),
    ];
    for (old, new) in worlds.iter().flat_map(|old| worlds.iter().map(move |new| (old, new))) {
        let mut maps = old.clone();
        for write in diff(old, new) {
            apply(&mut maps, &write);
            let Some(service) = maps.services.values().next() else { continue };
            let affinity = maps.service_options.get(&0).map_or(0, |options| options.affinity_bits);
            assert!(service.flags & SERVICE_AFFINITY == 0 || affinity > 0, "after {write:?}");
            assert!(service.flags & SERVICE_GUARDED == 0 || maps.guards.contains_key(&0), "after {write:?}");
            // Who is let in before and after is never kept out.
            let lists = |rows: &Rows, last: u8| {
                with_extras(0, None, &[last], 0).access.keys().all(|key| rows.access.contains_key(key))
            };
            let is_listed_only = maps.guards.get(&0).is_some_and(|guard| guard.flags & GUARD_LISTED_ONLY != 0);
            for last in [1, 2, 3] {
                let stays = lists(old, last) && lists(new, last);
                assert!(!is_listed_only || !stays || lists(&maps, last), "after {write:?}");
            }
        }
        assert_eq!(maps, *new);
    }
}

/// Rows of a service with QUIC connection ids of these configs, whose key is `word`, or without.
fn with_quic(configs: &[u32], word: u32) -> Rows {
    let key = ServiceKey { vip: [1; 16], port: 443, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
    let flags = if configs.is_empty() { 0 } else { SERVICE_QUIC };
    let options = ServiceOptions {
        fallback: FALLBACK_RESET,
        quic: configs.iter().map(|config| 1 << config).sum(),
        ..ServiceOptions::default()
    };
    let value = QuicValue { schedule: [word; 44], ..QuicValue::default() };
    let server = |config: &u32| (QuicServerKey { service: 0, length: 1 + *config as u8, id: [0; 15] }, 1);
    Rows {
        services: HashMap::from([(key, ServiceValue { flags, ..ServiceValue::default() })]),
        rings: ring_of(0, 0, SLOT_CLEAN),
        service_options: BTreeMap::from([(0, options)]),
        quic: configs.iter().map(|&config| (QuicKey { service: 0, config }, value)).collect(),
        quic_servers: configs.iter().map(server).collect(),
        ..Rows::default()
    }
}

#[test]
fn connection_ids_are_read_from_a_services_first_packet_to_its_last() {
    let worlds = [
        Rows::default(),
        with_quic(&[], 0),
        with_quic(&[0], 1),
        with_quic(&[0], 2),
        with_quic(&[0, 2, 6], 1),
        with_quic(&[2, 3], 2),
        with_quic(&[7], 0),
    ];
    for (old, new) in worlds.iter().flat_map(|old| worlds.iter().map(move |new| (old, new))) {
        let mut maps = old.clone();
        for write in diff(old, new) {
            apply(&mut maps, &write);
            if maps.services.values().all(|service| service.flags & SERVICE_QUIC == 0) {
                continue;
            }
            let bits = maps.service_options.get(&0).map_or(0, |options| options.quic);
            assert!(bits != 0, "after {write:?}");
            for config in (0..8).filter(|config| bits >> config & 1 != 0) {
                let server = QuicServerKey { service: 0, length: 1 + config as u8, id: [0; 15] };
                assert!(maps.quic.contains_key(&QuicKey { service: 0, config }), "after {write:?}");
                assert!(maps.quic_servers.contains_key(&server), "after {write:?}");
            }
        }
        assert_eq!(maps, *new);
    }
}

#[test]
fn replies_are_known_from_a_services_first_packet_to_its_last() {
    let key = ServiceKey { vip: [1; 16], port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V6 };
    let reply = ServiceKey { vip: [2; 16], ..key };
    let with = Rows {
        services: HashMap::from([(key, ServiceValue::default())]),
        rings: ring_of(0, 0, SLOT_CLEAN),
        nat: NatState { flags: NAT_REPLIES },
        nat_ports: HashMap::from([(NatPortKey { service: 0, real: 1 }, 8_080)]),
        nat_replies: HashMap::from([(reply, NatReplyValue { service: 0, first_port: 80, last_port: 80 })]),
        ..Rows::default()
    };
    let without = Rows::default();
    for (old, new) in [(&without, &with), (&with, &without)] {
        let mut maps = old.clone();
        for write in diff(old, new) {
            apply(&mut maps, &write);
            let is_served = maps.services.contains_key(&key);
            let is_whole = maps.nat == with.nat && maps.nat_ports == with.nat_ports;
            assert!(!is_served || is_whole && maps.nat_replies == with.nat_replies, "after {write:?}");
            assert!(maps.nat == NatState::default() || maps.nat_replies == with.nat_replies, "after {write:?}");
        }
    }
}

#[test]
fn a_real_keeps_its_port_while_the_usual_one_changes() {
    let rows = |usual: u16, (real, own): (u32, u32)| Rows {
        rings: ring_of(1, 0, SLOT_CLEAN),
        service_options: BTreeMap::from([(
            0,
            ServiceOptions { flags: OPTION_REAL_PORTS, real_port: usual, ..ServiceOptions::default() },
        )]),
        nat_ports: HashMap::from([(NatPortKey { service: 0, real }, own)]),
        ..Rows::default()
    };
    let (old, new) = (rows(80, (2, 8_080)), rows(8_080, (1, 80)));
    let port = |maps: &Rows, real: u32| {
        let own = maps.nat_ports.get(&NatPortKey { service: 0, real }).copied();
        own.unwrap_or(maps.service_options[&0].real_port.into())
    };
    let mut maps = old.clone();
    for write in diff(&old, &new) {
        apply(&mut maps, &write);
        assert_eq!((port(&maps, 1), port(&maps, 2)), (80, 8_080), "after {write:?}");
    }
    assert_eq!(maps, new);
}

#[test]
fn a_vip_keeps_its_range_flag_until_its_ranges_are_gone() {
    let vip = vip_key("192.0.2.1".parse().unwrap());
    let key = PortRangeKey { vip: vip.address, family: FAMILY_V4, protocol: PROTOCOL_TCP, port: [0, 0] };
    let old = Rows {
        vips: HashMap::from([(vip, VipValue { flags: VIP_HAS_PORT_RANGES })]),
        port_ranges: HashMap::from([((0, key), ServiceValue::default())]),
        rings: ring_of(0, 0, SLOT_CLEAN),
        ..Rows::default()
    };
    let new = Rows { vips: HashMap::from([(vip, VipValue { flags: 0 })]), ..Rows::default() };
    let range_gone = MapWrite::PortRange { bits: 0, key, value: None };
    let flag_gone = MapWrite::Vip { key: vip, value: Some(VipValue { flags: 0 }) };
    assert_eq!(diff(&old, &new), [range_gone, flag_gone, MapWrite::RemoveRing { service: 0 }]);
}

#[test]
fn addresses_and_back() {
    for text in ["192.0.2.1", "2001:db8::1"] {
        let address: IpAddr = text.parse().unwrap();
        let (bytes, family) = address_bytes(address);
        assert_eq!(address_of(&bytes, family), Some(address));
    }
    assert_eq!(address_bytes("192.0.2.1".parse().unwrap()).0[..6], [192, 0, 2, 1, 0, 0]);
    assert_eq!(address_of(&[0; 16], 5), None);
}
