//! The rows that the scheduling table decides: read at adoption, and written as `lb_core::rows::diff` lists them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use aya::{
    Pod,
    maps::{Array, MapData, MapError, PerCpuArray, PerCpuValues, lpm_trie::Key},
    util::nr_cpus,
};
use lb_common::{
    AccessKey, Guard, LIMIT_MAX_REALS, MAX_SERVICES, NO_REAL, NatState, PORT_RANGE_FIXED_BITS, PortRangeKey, RealValue,
    ServiceOptions, ServiceValue, TrafficCounters, VIP_PREFIX_FIXED_BITS, VipPrefixKey, VipPrefixValue, map,
};
use lb_core::rows::{MapWrite, Rows};

use super::{
    Dataplane, DataplaneError, Maps,
    ring::{ChangedSlots, NewRing},
};

impl Dataplane {
    /// What the maps hold. Of the rings only those of services: a ring that a crash has left without its service is
    /// replaced when its id is given out again.
    ///
    /// # Errors
    /// The kernel refuses to read a map.
    pub fn rows(&self) -> Result<Rows, DataplaneError> {
        let maps = &self.maps;
        let services = collect(maps.services.iter(), map::SERVICES)?;
        let port_ranges = maps.read_port_ranges()?;
        let rings = maps.read_rings(services.values().chain(port_ranges.values()).map(|value| value.id));
        let vips = collect(maps.vips.iter(), map::VIPS)?;
        let service_options = read_array(&maps.service_options, map::SERVICE_OPTIONS, 0..MAX_SERVICES)?;
        Ok(Rows {
            vips,
            vip_prefixes: maps.read_vip_prefixes()?,
            services,
            port_ranges,
            reals: self.read_reals()?,
            rings,
            service_options,
            guards: read_array(&maps.guards, map::GUARDS, 0..MAX_SERVICES)?,
            access: maps.read_access()?,
            quic: collect(maps.quic.iter(), map::QUIC)?,
            quic_servers: collect(maps.quic_servers.iter(), map::QUIC_SERVERS)?,
            nat: self.maps.read_nat()?,
            nat_ports: collect(maps.nat_ports.iter(), map::NAT_PORTS)?,
            nat_replies: collect(maps.nat_replies.iter(), map::NAT_REPLIES)?,
        })
    }

    /// Makes the changes, in order. On an error those before it stay made.
    ///
    /// # Errors
    /// An id outside its map, a full map, or the kernel's refusal, naming the map.
    pub fn apply(&mut self, writes: &[MapWrite]) -> Result<(), DataplaneError> {
        let mut runs = writes.chunk_by(are_made_at_once);
        let written = runs.try_for_each(|run| self.write_run(run));
        let indexed = if self.maps.index_is_due { self.maps.index_services() } else { Ok(()) };
        written.and(indexed)
    }

    /// How many maps the rings of all services take: equal ones are shared.
    #[must_use]
    pub fn rings(&self) -> usize {
        self.maps.count_rings()
    }

    /// Makes changes of which [`are_made_at_once`] says that they are, or a single one.
    fn write_run(&mut self, run: &[MapWrite]) -> Result<(), DataplaneError> {
        match run {
            [MapWrite::NewRing { .. }, ..] => self.maps.new_rings(&run.iter().filter_map(new_ring).collect::<Vec<_>>()),
            [MapWrite::Slots { .. }, ..] => {
                self.maps.write_slots(&run.iter().filter_map(changed_slots).collect::<Vec<_>>())
            }
            [MapWrite::RemoveRing { .. }, ..] => {
                let services: Vec<u32> = run.iter().filter_map(removed_ring).collect();
                self.maps.remove_rings(&services)?;
                self.forget_services(&services.into_iter().collect())
            }
            [MapWrite::Guard { .. }, ..] => self.write_guards(run),
            run => run.iter().try_for_each(|write| self.write(write)),
        }
    }

    fn write_guards(&mut self, run: &[MapWrite]) -> Result<(), DataplaneError> {
        let mut unguarded = HashSet::new();
        for write in run {
            let MapWrite::Guard { service, value } = write else { continue };
            write_guard(&mut self.maps, *service, *value)?;
            unguarded.extend((*value == Guard::default()).then_some(*service));
        }
        if unguarded.is_empty() { Ok(()) } else { self.forget_sources(&unguarded) }
    }

    fn write(&mut self, write: &MapWrite) -> Result<(), DataplaneError> {
        let maps = &mut self.maps;
        match write {
            MapWrite::Real { id, value } => write_real(maps, self.options.max_reals, *id, value.unwrap_or_default()),
            MapWrite::ServiceOptions { service, value } => write_options(maps, *service, *value),
            MapWrite::NewRing { .. }
            | MapWrite::Slots { .. }
            | MapWrite::RemoveRing { .. }
            | MapWrite::Guard { .. } => self.write_run(std::slice::from_ref(write)),
            MapWrite::Vip { key, value: Some(value) } => written(maps.vips.insert(key, value, 0), map::VIPS),
            MapWrite::Vip { key, value: None } => gone(maps.vips.remove(key), map::VIPS),
            MapWrite::VipPrefix { bits, key, value: Some(value) } => {
                written(maps.vip_prefixes.insert(&vip_prefix(*bits, *key), value, 0), map::VIP_PREFIXES)
            }
            MapWrite::VipPrefix { bits, key, value: None } => {
                gone(maps.vip_prefixes.remove(&vip_prefix(*bits, *key)), map::VIP_PREFIXES)
            }
            MapWrite::Service { key, value: Some(value) } => maps.set_service(key, *value),
            MapWrite::Service { key, value: None } => maps.remove_service(key),
            MapWrite::PortRange { bits, key, value: Some(value) } => {
                written(maps.port_ranges.insert(&prefix(*bits, *key), value, 0), map::PORT_RANGES)
            }
            MapWrite::PortRange { bits, key, value: None } => {
                gone(maps.port_ranges.remove(&prefix(*bits, *key)), map::PORT_RANGES)
            }
            MapWrite::Access { bits, key, value: Some(value) } => {
                written(maps.access.insert(&Key::new(*bits, *key), value, 0), map::ACCESS)
            }
            MapWrite::Access { bits, key, value: None } => {
                gone(maps.access.remove(&Key::new(*bits, *key)), map::ACCESS)
            }
            MapWrite::Quic { key, value: Some(value) } => written(maps.quic.insert(key, value, 0), map::QUIC),
            MapWrite::Quic { key, value: None } => gone(maps.quic.remove(key), map::QUIC),
            MapWrite::QuicServer { key, value: Some(real) } => {
                written(maps.quic_servers.insert(key, real, 0), map::QUIC_SERVERS)
            }
            MapWrite::QuicServer { key, value: None } => gone(maps.quic_servers.remove(key), map::QUIC_SERVERS),
            MapWrite::Nat { value } => written(maps.nat.set(0, value, 0), map::NAT),
            MapWrite::NatPort { key, value: Some(port) } => {
                written(maps.nat_ports.insert(key, port, 0), map::NAT_PORTS)
            }
            MapWrite::NatPort { key, value: None } => gone(maps.nat_ports.remove(key), map::NAT_PORTS),
            MapWrite::NatReply { key, value: Some(value) } => {
                written(maps.nat_replies.insert(key, value, 0), map::NAT_REPLIES)
            }
            MapWrite::NatReply { key, value: None } => gone(maps.nat_replies.remove(key), map::NAT_REPLIES),
            MapWrite::ResetServiceCounters { service } => {
                reset(&mut maps.service_counters, map::SERVICE_COUNTERS, *service)
            }
            MapWrite::ResetRealCounters { real } => {
                reset(&mut maps.real_counters, map::REAL_COUNTERS, u32::from(*real))
            }
        }
    }

    fn read_reals(&self) -> Result<BTreeMap<u16, RealValue>, DataplaneError> {
        let ids = u32::from(NO_REAL) + 1..self.options.max_reals.min(LIMIT_MAX_REALS);
        let rows = read_array(&self.maps.reals, map::REALS, ids)?;
        // A real's id is below LIMIT_MAX_REALS, so it fits.
        Ok(rows.into_iter().map(|(id, row)| (id as u16, row)).collect())
    }
}

/// Rings, slots and guards of many services are written by few calls.
fn are_made_at_once(one: &MapWrite, next: &MapWrite) -> bool {
    matches!(
        (one, next),
        (MapWrite::NewRing { .. }, MapWrite::NewRing { .. })
            | (MapWrite::Slots { .. }, MapWrite::Slots { .. })
            | (MapWrite::RemoveRing { .. }, MapWrite::RemoveRing { .. })
            | (MapWrite::Guard { .. }, MapWrite::Guard { .. })
    )
}

fn new_ring(write: &MapWrite) -> Option<NewRing<'_>> {
    let MapWrite::NewRing { service, slots, like } = write else { return None };
    Some(NewRing { service: *service, slots, like: *like })
}

fn changed_slots(write: &MapWrite) -> Option<ChangedSlots<'_>> {
    let MapWrite::Slots { service, changes } = write else { return None };
    Some(ChangedSlots { service: *service, changes })
}

fn removed_ring(write: &MapWrite) -> Option<u32> {
    let MapWrite::RemoveRing { service } = write else { return None };
    Some(*service)
}

impl Maps {
    /// Ids that services have.
    pub(super) fn service_ids(&self) -> Result<Vec<u32>, DataplaneError> {
        let services = collect(self.services.iter(), map::SERVICES)?;
        let ranges = self.read_port_ranges()?;
        Ok(services.values().chain(ranges.values()).map(|value| value.id).collect())
    }

    fn read_nat(&self) -> Result<NatState, DataplaneError> {
        self.nat.get(&0, 0).map_err(|source| DataplaneError::Map { action: "read", map: map::NAT, source })
    }

    /// Under how many bits of the key count, and the key.
    fn read_access(&self) -> Result<HashMap<(u32, AccessKey), u32>, DataplaneError> {
        let mut access = HashMap::new();
        for entry in self.access.iter() {
            let (key, value) =
                entry.map_err(|source| DataplaneError::Map { action: "read", map: map::ACCESS, source })?;
            access.insert((key.prefix_len(), key.data()), value);
        }
        Ok(access)
    }

    fn read_vip_prefixes(&self) -> Result<HashMap<(u32, VipPrefixKey), VipPrefixValue>, DataplaneError> {
        let mut prefixes = HashMap::new();
        for entry in self.vip_prefixes.iter() {
            let (key, value) =
                entry.map_err(|source| DataplaneError::Map { action: "read", map: map::VIP_PREFIXES, source })?;
            prefixes.insert((key.prefix_len().saturating_sub(VIP_PREFIX_FIXED_BITS), key.data()), value);
        }
        Ok(prefixes)
    }

    fn read_port_ranges(&self) -> Result<HashMap<(u32, PortRangeKey), ServiceValue>, DataplaneError> {
        let mut ranges = HashMap::new();
        for entry in self.port_ranges.iter() {
            let (key, value) =
                entry.map_err(|source| DataplaneError::Map { action: "read", map: map::PORT_RANGES, source })?;
            ranges.insert((key.prefix_len().saturating_sub(PORT_RANGE_FIXED_BITS), key.data()), value);
        }
        Ok(ranges)
    }
}

fn collect<K: Eq + std::hash::Hash, V>(
    entries: impl Iterator<Item = Result<(K, V), MapError>>,
    map: &'static str,
) -> Result<HashMap<K, V>, DataplaneError> {
    entries.collect::<Result<_, _>>().map_err(|source| DataplaneError::Map { action: "read", map, source })
}

/// Those rows of an array that are not all zero, by index.
fn read_array<V: Pod + Default + PartialEq>(
    array: &Array<MapData, V>,
    map: &'static str,
    indices: Range<u32>,
) -> Result<BTreeMap<u32, V>, DataplaneError> {
    let mut rows = BTreeMap::new();
    for index in indices {
        let row = array.get(&index, 0).map_err(|source| DataplaneError::Map { action: "read", map, source })?;
        if row != V::default() {
            rows.insert(index, row);
        }
    }
    Ok(rows)
}

fn write_options(maps: &mut Maps, service: u32, row: ServiceOptions) -> Result<(), DataplaneError> {
    if service >= MAX_SERVICES {
        let (map, size) = (map::SERVICE_OPTIONS, MAX_SERVICES);
        return Err(DataplaneError::OutOfBounds { what: "service", id: service, map, size });
    }
    written(maps.service_options.set(service, row, 0), map::SERVICE_OPTIONS)
}

fn write_guard(maps: &mut Maps, service: u32, row: Guard) -> Result<(), DataplaneError> {
    if service >= MAX_SERVICES {
        return Err(DataplaneError::OutOfBounds { what: "service", id: service, map: map::GUARDS, size: MAX_SERVICES });
    }
    written(maps.guards.set(service, row, 0), map::GUARDS)
}

fn write_real(maps: &mut Maps, max_reals: u32, id: u16, row: RealValue) -> Result<(), DataplaneError> {
    if id == NO_REAL || u32::from(id) >= max_reals {
        let id = u32::from(id);
        return Err(DataplaneError::OutOfBounds { what: "real", id, map: map::REALS, size: max_reals });
    }
    written(maps.reals.set(u32::from(id), row, 0), map::REALS)
}

fn prefix(bits: u32, key: PortRangeKey) -> Key<PortRangeKey> {
    Key::new(PORT_RANGE_FIXED_BITS + bits, key)
}

fn vip_prefix(bits: u32, key: VipPrefixKey) -> Key<VipPrefixKey> {
    Key::new(VIP_PREFIX_FIXED_BITS + bits, key)
}

fn reset(
    counters: &mut PerCpuArray<MapData, TrafficCounters>,
    map: &'static str,
    index: u32,
) -> Result<(), DataplaneError> {
    let cpus = nr_cpus().map_err(|(_, source)| DataplaneError::MapCall { action: "count the CPUs of", map, source })?;
    let zero = PerCpuValues::try_from(vec![TrafficCounters::default(); cpus])
        .map_err(|source| DataplaneError::MapCall { action: "reset", map, source })?;
    counters.set(index, zero, 0).map_err(|source| DataplaneError::Map { action: "reset", map, source })
}

pub(super) fn written(result: Result<(), MapError>, map: &'static str) -> Result<(), DataplaneError> {
    result.map_err(|source| DataplaneError::Map { action: "write", map, source })
}

/// A removal of what is not there is as good.
pub(super) fn gone(result: Result<(), MapError>, map: &'static str) -> Result<(), DataplaneError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(source) => Err(DataplaneError::Map { action: "delete from", map, source }),
    }
}
