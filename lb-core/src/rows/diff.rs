//! The writes that lead from one state of the maps to another, in an order that is safe for packets in between.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use lb_common::{
    AccessKey, Guard, MAX_PORT_RANGES, MAX_SERVICES, MAX_VIP_PREFIXES, NatPortKey, NatState, PortRangeKey, QuicKey,
    QuicServerKey, REAL_ALIVE, RealValue, ServiceKey, ServiceOptions, Slot, VipKey, VipPrefixKey, VipPrefixValue,
    VipValue,
};

use super::{MapWrite, Rows};

/// The writes that turn maps that hold `old` into maps that hold `new`. Empty when the two are equal.
///
/// First comes what others will point at (reals, new rings, options, which may name another service's ring, guards, slots), then what points at it (VIPs, services), then what
/// nothing points at any more. A real that is alive no more is made so after the slots have left it.
#[must_use]
pub fn diff(old: &Rows, new: &Rows) -> Vec<MapWrite> {
    let mut writes = Vec::new();
    reset_counters(old, new, &mut writes);
    let (dying, living) = changed_reals(old, new).partition::<Vec<_>, _>(|write| is_dying(write, &old.reals));
    writes.extend(living);
    new_rings(old, new, &mut writes);
    set_nat_ports(old, new, &mut writes);
    set_quic(old, new, &mut writes);
    set_options(old, new, &mut writes);
    set_guards(old, new, &mut writes);
    set_nat(old, new, &mut writes);
    changed_slots(old, new, &mut writes);
    writes.extend(dying);
    if !have_room(old, new) {
        remove_gone_services(old, new, &mut writes);
        remove_gone_vips(old, new, &mut writes);
    }
    add_fronts(old, new, &mut writes);
    remove_fronts(old, new, &mut writes);
    end_options(old, new, &mut writes);
    remove_targets(old, new, &mut writes);
    writes
}

/// An id that was in no use has just been handed out, and so has one that now stands for another address.
fn reset_counters(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    let new_services = new.rings.keys().filter(|id| !old.rings.contains_key(id));
    writes.extend(new_services.map(|&service| MapWrite::ResetServiceCounters { service }));
    let is_same = |id: &u16, row: &RealValue| {
        old.reals.get(id).is_some_and(|was| was.address == row.address && was.family == row.family)
    };
    let new_reals = new.reals.iter().filter(|&(id, row)| !is_same(id, row));
    writes.extend(new_reals.map(|(&real, _)| MapWrite::ResetRealCounters { real }));
}

fn changed_reals<'a>(old: &'a Rows, new: &'a Rows) -> impl Iterator<Item = MapWrite> {
    let changed = new.reals.iter().filter(|(id, row)| old.reals.get(id) != Some(row));
    changed.map(|(&id, &row)| MapWrite::Real { id, value: Some(row) })
}

fn is_dying(write: &MapWrite, old: &BTreeMap<u16, RealValue>) -> bool {
    let MapWrite::Real { id, value: Some(row) } = write else { return false };
    let was_alive = old.get(id).is_some_and(|was| was.flags & REAL_ALIVE != 0);
    was_alive && row.flags & REAL_ALIVE == 0
}

fn set_options(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (&service, value) in &new.service_options {
        let was = old.service_options.get(&service).copied().unwrap_or_default();
        let value = with_flags_of(&was, *value);
        if value != was {
            writes.push(MapWrite::ServiceOptions { service, value });
        }
    }
}

/// A service with affinity or QUIC has its options for as long as its rows say that it has: what goes, goes in [`end_options`].
fn with_flags_of(was: &ServiceOptions, value: ServiceOptions) -> ServiceOptions {
    with_affinity_of(was, ServiceOptions { quic: was.quic | value.quic, ..value })
}

fn with_affinity_of(was: &ServiceOptions, value: ServiceOptions) -> ServiceOptions {
    if was.affinity_bits == 0 || value.affinity_bits != 0 {
        return value;
    }
    ServiceOptions {
        vip: was.vip,
        affinity_service: was.affinity_service,
        affinity_port: was.affinity_port,
        affinity_client_port: was.affinity_client_port,
        affinity_protocol: was.affinity_protocol,
        affinity_bits: was.affinity_bits,
        ..value
    }
}

/// Options that [`set_options`] has left more in than there is to be.
fn end_options(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (&service, &value) in &new.service_options {
        let was = old.service_options.get(&service).copied().unwrap_or_default();
        if with_flags_of(&was, value) != value {
            writes.push(MapWrite::ServiceOptions { service, value });
        }
    }
}

/// Prefixes are there before a guard says that others are denied.
fn set_guards(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for ((bits, key), value) in news(&old.access, copied(&new.access), access_order) {
        writes.push(MapWrite::Access { bits, key, value: Some(value) });
    }
    let changed = new.guards.iter().filter(|(service, value)| old.guards.get(service) != Some(value));
    writes.extend(changed.map(|(&service, &value)| MapWrite::Guard { service, value }));
}

fn remove_guards(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    let guards = old.guards.keys().filter(|id| !new.guards.contains_key(id));
    writes.extend(guards.map(|&service| MapWrite::Guard { service, value: Guard::default() }));
    for (bits, key) in gone(&old.access, &new.access, access_order) {
        writes.push(MapWrite::Access { bits, key, value: None });
    }
}

/// Which reals are named is known before it is read who is.
fn set_quic(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (key, value) in news(&old.quic_servers, copied(&new.quic_servers), quic_server_order) {
        writes.push(MapWrite::QuicServer { key, value: Some(value) });
    }
    for (key, value) in news(&old.quic, copied(&new.quic), quic_order) {
        writes.push(MapWrite::Quic { key, value: Some(value) });
    }
}

fn remove_quic(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for key in gone(&old.quic, &new.quic, quic_order) {
        writes.push(MapWrite::Quic { key, value: None });
    }
    for key in gone(&old.quic_servers, &new.quic_servers, quic_server_order) {
        writes.push(MapWrite::QuicServer { key, value: None });
    }
}

/// The ports that the reals' own go before may change with the options, and no real's port with them.
fn set_nat_ports(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (key, value) in news(&old.nat_ports, copied(&new.nat_ports), nat_port_order) {
        writes.push(MapWrite::NatPort { key, value: Some(value) });
    }
}

/// Replies are told from the first packet to a real on.
fn set_nat(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (key, value) in news(&old.nat_replies, copied(&new.nat_replies), service_order) {
        writes.push(MapWrite::NatReply { key, value: Some(value) });
    }
    let value = NatState { flags: old.nat.flags | new.nat.flags };
    if value != old.nat {
        writes.push(MapWrite::Nat { value });
    }
}

fn new_rings(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    // Who has a ring that stays as it is: others may share it.
    let mut kept: HashMap<*const Slot, u32> = HashMap::new();
    for (&service, slots) in &new.rings {
        if old.rings.get(&service).is_some_and(|was| Arc::ptr_eq(was, slots)) {
            kept.entry(slots.as_ptr()).or_insert(service);
        }
    }
    for (&service, slots) in &new.rings {
        let fits = old.rings.get(&service).is_some_and(|was| was.len() == slots.len());
        if !fits {
            let like = kept.get(&slots.as_ptr()).copied();
            writes.push(MapWrite::NewRing { service, slots: slots.clone(), like });
        }
    }
}

/// What leads from one ring to another, by where their slots are.
type Differences = HashMap<(*const Slot, *const Slot), Arc<[(u32, Slot)]>>;

/// Rings are compared once for all services that share them, before and after.
fn changed_slots(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    let mut known = Differences::new();
    for (&service, slots) in &new.rings {
        let Some(was) = old.rings.get(&service).filter(|was| was.len() == slots.len()) else { continue };
        if Arc::ptr_eq(was, slots) {
            continue;
        }
        let changes = known.entry((was.as_ptr(), slots.as_ptr())).or_insert_with(|| differing(was, slots));
        if !changes.is_empty() {
            writes.push(MapWrite::Slots { service, changes: changes.clone() });
        }
    }
}

/// Index and new value of the slots that differ.
fn differing(was: &[Slot], slots: &[Slot]) -> Arc<[(u32, Slot)]> {
    (0..).zip(was.iter().zip(slots)).filter(|(_, (was, is))| was != is).map(|(index, (_, is))| (index, *is)).collect()
}

/// Whether the maps have room for what was and what is to be at once. Where they have not, what goes anyway goes first.
fn have_room(old: &Rows, new: &Rows) -> bool {
    let fits = |room: u32, old: usize, news: usize| old + news <= room as usize;
    let services = new.services.keys().filter(|key| !old.services.contains_key(key)).count();
    let ranges = new.port_ranges.keys().filter(|key| !old.port_ranges.contains_key(key)).count();
    let vips = new.vips.keys().filter(|key| !old.vips.contains_key(key)).count();
    let prefixes = new.vip_prefixes.keys().filter(|key| !old.vip_prefixes.contains_key(key)).count();
    fits(MAX_SERVICES, old.services.len(), services)
        && fits(MAX_VIP_PREFIXES, old.vip_prefixes.len(), prefixes)
        && fits(MAX_PORT_RANGES, old.port_ranges.len(), ranges)
        && fits(MAX_SERVICES, old.vips.len(), vips)
}

/// A VIP gains flags here and loses them in [`remove_fronts`], so that no service is overlooked in between.
fn add_fronts(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    let flags_before = |key: &VipKey| old.vips.get(key).map_or(0, |was| was.flags);
    let with_both = new.vips.iter().map(|(&key, value)| (key, VipValue { flags: value.flags | flags_before(&key) }));
    for (key, value) in news(&old.vips, with_both, vip_order) {
        writes.push(MapWrite::Vip { key, value: Some(value) });
    }
    for (key, value) in news(&old.services, copied(&new.services), service_order) {
        writes.push(MapWrite::Service { key, value: Some(value) });
    }
    for ((bits, key), value) in news(&old.port_ranges, copied(&new.port_ranges), range_order) {
        writes.push(MapWrite::PortRange { bits, key, value: Some(value) });
    }
    // A narrow prefix takes addresses from a wide one: not before it has its services.
    for ((bits, key), value) in news(&old.vip_prefixes, prefixes_with_both(old, new), vip_prefix_order) {
        writes.push(MapWrite::VipPrefix { bits, key, value: Some(value) });
    }
}

fn prefixes_with_both<'a>(
    old: &'a Rows,
    new: &'a Rows,
) -> impl Iterator<Item = ((u32, VipPrefixKey), VipPrefixValue)> + 'a {
    copied(&new.vip_prefixes).map(|(key, mut row)| {
        row.value.flags |= old.vip_prefixes.get(&key).map_or(0, |was| was.value.flags);
        (key, row)
    })
}

fn remove_fronts(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    if have_room(old, new) {
        remove_gone_services(old, new, writes);
    }
    let loses_flags =
        |(key, value): &(VipKey, VipValue)| old.vips.get(key).is_some_and(|was| was.flags & !value.flags != 0);
    for (key, value) in news(&old.vips, copied(&new.vips).filter(loses_flags), vip_order) {
        writes.push(MapWrite::Vip { key, value: Some(value) });
    }
    let loses_flags = |(key, row): &((u32, VipPrefixKey), VipPrefixValue)| {
        old.vip_prefixes.get(key).is_some_and(|was| was.value.flags & !row.value.flags != 0)
    };
    for ((bits, key), row) in news(&old.vip_prefixes, copied(&new.vip_prefixes).filter(loses_flags), vip_prefix_order) {
        writes.push(MapWrite::VipPrefix { bits, key, value: Some(row) });
    }
    if have_room(old, new) {
        remove_gone_vips(old, new, writes);
    }
}

/// A prefix goes before its services: what a wider one has of its addresses is that one's from then on.
fn remove_gone_services(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for (bits, key) in gone(&old.vip_prefixes, &new.vip_prefixes, vip_prefix_order) {
        writes.push(MapWrite::VipPrefix { bits, key, value: None });
    }
    for key in gone(&old.services, &new.services, service_order) {
        writes.push(MapWrite::Service { key, value: None });
    }
    for (bits, key) in gone(&old.port_ranges, &new.port_ranges, range_order) {
        writes.push(MapWrite::PortRange { bits, key, value: None });
    }
}

fn remove_gone_vips(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    for key in gone(&old.vips, &new.vips, vip_order) {
        writes.push(MapWrite::Vip { key, value: None });
    }
}

fn remove_targets(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    remove_nat(old, new, writes);
    remove_guards(old, new, writes);
    remove_quic(old, new, writes);
    let options = old.service_options.keys().filter(|id| !new.service_options.contains_key(id));
    writes.extend(options.map(|&service| MapWrite::ServiceOptions { service, value: ServiceOptions::default() }));
    let rings = old.rings.keys().filter(|id| !new.rings.contains_key(id));
    writes.extend(rings.map(|&service| MapWrite::RemoveRing { service }));
    let reals = old.reals.keys().filter(|id| !new.reals.contains_key(id));
    writes.extend(reals.map(|&id| MapWrite::Real { id, value: None }));
}

fn remove_nat(old: &Rows, new: &Rows, writes: &mut Vec<MapWrite>) {
    if old.nat.flags & !new.nat.flags != 0 {
        writes.push(MapWrite::Nat { value: new.nat });
    }
    for key in gone(&old.nat_replies, &new.nat_replies, service_order) {
        writes.push(MapWrite::NatReply { key, value: None });
    }
    for key in gone(&old.nat_ports, &new.nat_ports, nat_port_order) {
        writes.push(MapWrite::NatPort { key, value: None });
    }
}

fn quic_order(key: &QuicKey) -> impl Ord + use<> {
    (key.service, key.config)
}

fn quic_server_order(key: &QuicServerKey) -> impl Ord + use<> {
    (key.service, key.length, key.id)
}

fn nat_port_order(key: &NatPortKey) -> impl Ord + use<> {
    (key.service, key.real)
}

fn access_order((bits, key): &(u32, AccessKey)) -> impl Ord + use<> {
    (key.service, *bits, key.address)
}

fn vip_order(key: &VipKey) -> impl Ord + use<> {
    (key.family, key.address)
}

fn vip_prefix_order((bits, key): &(u32, VipPrefixKey)) -> impl Ord + use<> {
    (key.family, *bits, key.address)
}

fn service_order(key: &ServiceKey) -> impl Ord + use<> {
    (key.family, key.vip, key.protocol, key.port)
}

fn range_order((bits, key): &(u32, PortRangeKey)) -> impl Ord + use<> {
    (key.family, key.vip, key.protocol, *bits, key.port)
}

fn copied<K: Copy, V: Copy>(map: &HashMap<K, V>) -> impl Iterator<Item = (K, V)> {
    map.iter().map(|(&key, &value)| (key, value))
}

/// Those of `rows` that `old` does not hold like this, sorted.
fn news<K: Eq + Hash, V: PartialEq, O: Ord>(
    old: &HashMap<K, V>,
    rows: impl Iterator<Item = (K, V)>,
    order: impl Fn(&K) -> O,
) -> Vec<(K, V)> {
    let mut news: Vec<(K, V)> = rows.filter(|(key, value)| old.get(key) != Some(value)).collect();
    news.sort_by_key(|(key, _)| order(key));
    news
}

/// The keys of `old` that `new` does not have, sorted.
fn gone<K: Copy + Eq + Hash, V, O: Ord>(old: &HashMap<K, V>, new: &HashMap<K, V>, order: impl Fn(&K) -> O) -> Vec<K> {
    let mut keys: Vec<K> = old.keys().filter(|key| !new.contains_key(key)).copied().collect();
    keys.sort_by_key(|key| order(key));
    keys
}
