//! What the tests of several modules share.

pub(crate) mod page;

use std::{collections::HashMap, sync::Arc};

use lb_common::{Guard, ServiceOptions};
use proptest::test_runner::{Config, RngSeed};

use crate::rows::{MapWrite, Rows};

/// Settings of a property test: so many cases, the same ones each time.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(0x756e_6465_7273_7475), failure_persistence: None, ..Config::default() }
}

/// Applies one write. What a write says of a row that is not there is a mistake.
pub(crate) fn apply(maps: &mut Rows, write: &MapWrite) {
    fn set<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, value: Option<V>) {
        match value {
            Some(value) => {
                map.insert(key, value);
            }
            None => assert!(map.remove(&key).is_some(), "a row is removed that is not there"),
        }
    }
    match write {
        MapWrite::Real { id, value: Some(row) } => {
            maps.reals.insert(*id, *row);
        }
        MapWrite::Real { id, value: None } => {
            assert!(maps.reals.remove(id).is_some(), "real {id} is removed and is not there");
        }
        MapWrite::NewRing { service, slots, like: _ } => {
            maps.rings.insert(*service, slots.clone());
        }
        MapWrite::RemoveRing { service } => {
            assert!(maps.rings.remove(service).is_some(), "ring {service} is removed and is not there");
        }
        MapWrite::Slots { service, changes } => {
            let ring = Arc::make_mut(maps.rings.get_mut(service).unwrap());
            assert!(changes.is_sorted_by_key(|(i, _)| *i) && !changes.is_empty());
            changes.iter().for_each(|&(i, slot)| ring[i as usize] = slot);
        }
        MapWrite::Vip { key, value } => set(&mut maps.vips, *key, *value),
        MapWrite::VipPrefix { bits, key, value } => set(&mut maps.vip_prefixes, (*bits, *key), *value),
        MapWrite::Service { key, value } => set(&mut maps.services, *key, *value),
        MapWrite::PortRange { bits, key, value } => set(&mut maps.port_ranges, (*bits, *key), *value),
        MapWrite::ServiceOptions { service, value } if *value == ServiceOptions::default() => {
            assert!(
                maps.service_options.remove(service).is_some(),
                "options of {service} are removed and are not there"
            );
        }
        MapWrite::ServiceOptions { service, value } => {
            maps.service_options.insert(*service, *value);
        }
        MapWrite::Guard { service, value } if *value == Guard::default() => {
            assert!(maps.guards.remove(service).is_some(), "the guard of {service} is removed and is not there");
        }
        MapWrite::Guard { service, value } => {
            maps.guards.insert(*service, *value);
        }
        MapWrite::Access { bits, key, value } => set(&mut maps.access, (*bits, *key), *value),
        MapWrite::Quic { key, value } => set(&mut maps.quic, *key, *value),
        MapWrite::QuicServer { key, value } => set(&mut maps.quic_servers, *key, *value),
        MapWrite::Nat { value } => maps.nat = *value,
        MapWrite::NatPort { key, value } => set(&mut maps.nat_ports, *key, *value),
        MapWrite::NatReply { key, value } => set(&mut maps.nat_replies, *key, *value),
        MapWrite::ResetServiceCounters { .. } | MapWrite::ResetRealCounters { .. } => {}
    }
}

/// The writes one by one, those of slots too.
pub(crate) fn steps(writes: &[MapWrite]) -> Vec<MapWrite> {
    let split = |write: &MapWrite| match write {
        MapWrite::Slots { service, changes } => {
            changes.iter().map(|&change| MapWrite::Slots { service: *service, changes: [change].into() }).collect()
        }
        other => vec![other.clone()],
    };
    writes.iter().flat_map(split).collect()
}
