//! Whether pinned maps are what this version would make.

use std::{fs, io, path::Path};

use aya::maps::{Array, Map, MapData, MapInfo};
use lb_common::{
    ABI_VERSION, AccessKey, DropReason, Event, FlowKey, FlowValue, FragmentKey, FragmentValue, Guard, HalfOpenValue,
    IndexedService, MAX_ACCESS_PREFIXES, MAX_FRAGMENTS, MAX_HALF_OPEN, MAX_NAT_PORTS, MAX_NAT_REPLIES, MAX_PORT_RANGES,
    MAX_QUIC_ENCODINGS, MAX_QUIC_SERVERS, MAX_SERVICES, MAX_SOURCES, MAX_VIP_PREFIXES, NatPortKey, NatReplyValue,
    NatState, NodeState, PortRangeKey, QuicKey, QuicServerKey, QuicValue, RealValue, SERVICE_INDEX_ROWS, ServiceKey,
    ServiceOptions, ServiceValue, SourceKey, SourceValue, TRACE_EVENTS_SIZE, TraceEvent, TraceFilter, TrafficCounters,
    VipKey, VipPrefixKey, VipPrefixValue, VipValue, WANTED_NEIGHBOURS_SIZE, map,
};

use super::{DataplaneError, Options};

/// Key size, value size and entries of one map.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: &'static str,
    key: u32,
    value: u32,
    entries: u32,
}

/// What lies at the pin directory.
pub(super) enum Found {
    /// No map.
    Nothing,
    /// Every map, as this version would make it.
    Usable,
    /// Something else, and why it cannot be used.
    Unusable(String),
}

/// Compares the pinned maps with what this version would make.
pub(super) fn check(dir: &Path, options: &Options) -> Result<Found, DataplaneError> {
    let mut missing = Vec::new();
    for name in map::ALL {
        let path = dir.join(name);
        let there = fs::exists(&path).map_err(|source| DataplaneError::Pin { action: "look at", path, source })?;
        if !there {
            missing.push(name);
        }
    }
    if missing.len() == map::ALL.len() {
        return Ok(Found::Nothing);
    }
    if !missing.is_empty() {
        return Ok(Found::Unusable(format!("pinned map {} is missing", missing.join(", "))));
    }
    let version = abi_version(dir)?;
    if version != ABI_VERSION {
        return Ok(Found::Unusable(format!("the pinned maps have ABI version {version}, this lbd has {ABI_VERSION}")));
    }
    for wanted in shapes(options) {
        if let Some(difference) = difference(dir, &wanted)? {
            return Ok(Found::Unusable(difference));
        }
    }
    Ok(Found::Usable)
}

fn abi_version(dir: &Path) -> Result<u32, DataplaneError> {
    let error = |source| DataplaneError::Map { action: "read", map: map::ABI, source };
    let data = MapData::from_pin(dir.join(map::ABI)).map_err(error)?;
    let Ok(array) = Map::from_map_data(data).and_then(Array::<_, u32>::try_from) else { return Ok(0) };
    // A map of another type or width is of no version that this one knows.
    Ok(array.get(&0, 0).unwrap_or(0))
}

fn difference(dir: &Path, wanted: &Shape) -> Result<Option<String>, DataplaneError> {
    let info = MapInfo::from_pin(dir.join(wanted.name)).map_err(|source| DataplaneError::Map {
        action: "look at pinned",
        map: wanted.name,
        source,
    })?;
    let found =
        Shape { name: wanted.name, key: info.key_size(), value: info.value_size(), entries: info.max_entries() };
    if found == *wanted {
        return Ok(None);
    }
    Ok(Some(format!(
        "pinned map {} has {}-byte keys, {}-byte values and {} entries where {}, {} and {} are wanted",
        wanted.name, found.key, found.value, found.entries, wanted.key, wanted.value, wanted.entries
    )))
}

fn shapes(options: &Options) -> Vec<Shape> {
    fn shape<K, V>(name: &'static str, entries: u32) -> Shape {
        Shape { name, key: size_of::<K>() as u32, value: size_of::<V>() as u32, entries }
    }
    let lpm_key = size_of::<u32>() as u32;
    let mut port_ranges = shape::<PortRangeKey, ServiceValue>(map::PORT_RANGES, MAX_PORT_RANGES);
    port_ranges.key += lpm_key;
    let mut access = shape::<AccessKey, u32>(map::ACCESS, MAX_ACCESS_PREFIXES);
    access.key += lpm_key;
    let mut vip_prefixes = shape::<VipPrefixKey, VipPrefixValue>(map::VIP_PREFIXES, MAX_VIP_PREFIXES);
    vip_prefixes.key += lpm_key;
    vec![
        shape::<u32, NodeState>(map::NODE, 1),
        shape::<VipKey, VipValue>(map::VIPS, MAX_SERVICES),
        vip_prefixes,
        shape::<ServiceKey, ServiceValue>(map::SERVICES, MAX_SERVICES),
        shape::<u32, IndexedService>(map::SERVICE_INDEX, SERVICE_INDEX_ROWS),
        port_ranges,
        shape::<u32, u32>(map::RINGS, MAX_SERVICES),
        shape::<u32, ServiceOptions>(map::SERVICE_OPTIONS, MAX_SERVICES),
        shape::<u32, Guard>(map::GUARDS, MAX_SERVICES),
        access,
        shape::<SourceKey, SourceValue>(map::SOURCES, MAX_SOURCES),
        shape::<QuicKey, QuicValue>(map::QUIC, MAX_QUIC_ENCODINGS),
        shape::<QuicServerKey, u32>(map::QUIC_SERVERS, MAX_QUIC_SERVERS),
        shape::<u32, NatState>(map::NAT, 1),
        shape::<NatPortKey, u32>(map::NAT_PORTS, MAX_NAT_PORTS),
        shape::<ServiceKey, NatReplyValue>(map::NAT_REPLIES, MAX_NAT_REPLIES),
        shape::<(), ()>(map::WANTED_NEIGHBOURS, WANTED_NEIGHBOURS_SIZE),
        shape::<u32, RealValue>(map::REALS, options.max_reals),
        shape::<FlowKey, FlowValue>(map::FLOWS, options.max_flows),
        shape::<FlowKey, HalfOpenValue>(map::HALF_OPEN, MAX_HALF_OPEN),
        shape::<(), ()>(map::FLOW_EVENTS, options.flow_events_bytes()),
        shape::<u32, TraceFilter>(map::TRACE_FILTER, 1),
        shape::<u32, TraceEvent>(map::TRACE_PACKET, 1),
        shape::<(), ()>(map::TRACE_EVENTS, TRACE_EVENTS_SIZE),
        shape::<FragmentKey, FragmentValue>(map::FRAGMENTS, MAX_FRAGMENTS),
        shape::<u32, TrafficCounters>(map::SERVICE_COUNTERS, MAX_SERVICES),
        shape::<u32, TrafficCounters>(map::REAL_COUNTERS, options.max_reals),
        shape::<u32, u64>(map::DROPS, DropReason::COUNT),
        shape::<u32, u64>(map::EVENTS, Event::COUNT),
    ]
}

/// Removes the pins of the maps; what uses the maps goes on using them.
pub(super) fn unpin_maps(dir: &Path) -> Result<Vec<String>, DataplaneError> {
    let mut removed = Vec::new();
    for name in map::ALL {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Ok(()) => removed.push(format!("map {name}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DataplaneError::Pin { action: "remove", path, source }),
        }
    }
    Ok(removed)
}
