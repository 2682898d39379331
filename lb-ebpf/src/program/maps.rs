//! The maps. Their keys and values are described in lb-common; sizes marked "default" are set anew by the daemon.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use lb_common::{
    AccessKey, DEFAULT_FLOW_EVENTS_SIZE, DEFAULT_MAX_FLOWS, DEFAULT_MAX_REALS, DropReason, Event, FlowEvent, FlowKey,
    FlowValue, FragmentKey, FragmentValue, Guard, HalfOpenValue, IndexedService, MAX_ACCESS_PREFIXES, MAX_FRAGMENTS,
    MAX_HALF_OPEN, MAX_NAT_PORTS, MAX_NAT_REPLIES, MAX_PORT_RANGES, MAX_QUIC_ENCODINGS, MAX_QUIC_SERVERS, MAX_SERVICES,
    MAX_SOURCES, MAX_VIP_PREFIXES, NatPortKey, NatReplyValue, NatState, NodeState, PortRangeKey, QuicKey,
    QuicServerKey, QuicValue, RING_SLOTS, RealValue, SERVICE_INDEX_ROWS, ServiceKey, ServiceOptions, ServiceValue,
    Slot, SourceKey, SourceValue, TRACE_EVENTS_SIZE, TraceEvent, TraceFilter, TrafficCounters, VipKey, VipPrefixKey,
    VipPrefixValue, VipValue, WANTED_NEIGHBOURS_SIZE, WantedNeighbour,
};

/// Lets the daemon write a map by mmap.
const BPF_F_MMAPABLE: usize = 1 << 10;
/// Makes a hash take the memory for a row when the row comes.
const BPF_F_NO_PREALLOC: usize = 1;

/// The ABI version of whoever made the maps; the program does not read it.
#[btf_map(name = "abi")]
pub static ABI: Array<u32, 1> = Array::new();
#[btf_map(name = "node")]
pub static NODE: Array<NodeState, 1, BPF_F_MMAPABLE> = Array::new();
#[btf_map(name = "vips")]
pub static VIPS: HashMap<VipKey, VipValue, { MAX_SERVICES as usize }> = HashMap::new();
/// Takes memory for the rows that there are only, as all tries do.
#[btf_map(name = "vip_prefixes")]
pub static VIP_PREFIXES: LpmTrie<VipPrefixKey, VipPrefixValue, { MAX_VIP_PREFIXES as usize }> = LpmTrie::new();
#[btf_map(name = "services")]
pub static SERVICES: HashMap<ServiceKey, ServiceValue, { MAX_SERVICES as usize }> = HashMap::new();
#[btf_map(name = "service_index")]
pub static SERVICE_INDEX: Array<IndexedService, { SERVICE_INDEX_ROWS as usize }> = Array::new();
#[btf_map(name = "port_ranges")]
pub static PORT_RANGES: LpmTrie<PortRangeKey, ServiceValue, { MAX_PORT_RANGES as usize }> = LpmTrie::new();
/// One ring: the template of the inner maps. Its values are slots, declared as words: Linux 6.1 takes no ring without BTF, as
/// the daemon makes them, where the template's BTF says that the values are structs.
pub type Ring = Array<u64, { RING_SLOTS as usize }, BPF_F_MMAPABLE>;
#[btf_map(name = "rings")]
pub static RINGS: ArrayOfMaps<Ring, { MAX_SERVICES as usize }> = ArrayOfMaps::new();
#[btf_map(name = "service_options")]
pub static SERVICE_OPTIONS: Array<ServiceOptions, { MAX_SERVICES as usize }> = Array::new();
#[btf_map(name = "guards")]
pub static GUARDS: Array<Guard, { MAX_SERVICES as usize }> = Array::new();
#[btf_map(name = "access")]
pub static ACCESS: LpmTrie<AccessKey, u32, { MAX_ACCESS_PREFIXES as usize }> = LpmTrie::new();
#[btf_map(name = "sources")]
pub static SOURCES: LruHashMap<SourceKey, SourceValue, { MAX_SOURCES as usize }> = LruHashMap::new();
/// Takes memory for the rows that there are only.
#[btf_map(name = "quic")]
pub static QUIC: HashMap<QuicKey, QuicValue, { MAX_QUIC_ENCODINGS as usize }, BPF_F_NO_PREALLOC> = HashMap::new();
/// Takes memory for the rows that there are only.
#[btf_map(name = "quic_servers")]
pub static QUIC_SERVERS: HashMap<QuicServerKey, u32, { MAX_QUIC_SERVERS as usize }, BPF_F_NO_PREALLOC> = HashMap::new();
#[btf_map(name = "nat")]
pub static NAT: Array<NatState, 1> = Array::new();
/// Takes memory for the rows that there are only.
#[btf_map(name = "nat_ports")]
pub static NAT_PORTS: HashMap<NatPortKey, u32, { MAX_NAT_PORTS as usize }, BPF_F_NO_PREALLOC> = HashMap::new();
#[btf_map(name = "nat_replies")]
pub static REPLIES: HashMap<ServiceKey, NatReplyValue, { MAX_NAT_REPLIES as usize }, BPF_F_NO_PREALLOC> =
    HashMap::new();
#[btf_map(name = "wanted_neighbours")]
pub static WANTED_NEIGHBOURS: RingBuf<WantedNeighbour, { WANTED_NEIGHBOURS_SIZE as usize }> = RingBuf::new();
/// Default size.
#[btf_map(name = "reals")]
pub static REALS: Array<RealValue, { DEFAULT_MAX_REALS as usize }> = Array::new();
/// Default size.
#[btf_map(name = "flows")]
pub static FLOWS: HashMap<FlowKey, FlowValue, { DEFAULT_MAX_FLOWS as usize }> = HashMap::new();
#[btf_map(name = "half_open")]
pub static HALF_OPEN: LruHashMap<FlowKey, HalfOpenValue, { MAX_HALF_OPEN as usize }> = LruHashMap::new();
/// Default size.
#[btf_map(name = "flow_events")]
pub static FLOW_EVENTS: RingBuf<FlowEvent, { DEFAULT_FLOW_EVENTS_SIZE as usize }> = RingBuf::new();
#[btf_map(name = "trace_filter")]
pub static TRACE_FILTER: Array<TraceFilter, 1> = Array::new();
/// Too large for the stack: the record of the packet that this CPU is at.
#[btf_map(name = "trace_packet")]
pub static TRACE_PACKET: PerCpuArray<TraceEvent, 1> = PerCpuArray::new();
#[btf_map(name = "trace_events")]
pub static TRACE_EVENTS: RingBuf<TraceEvent, { TRACE_EVENTS_SIZE as usize }> = RingBuf::new();
#[btf_map(name = "fragments")]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentValue, { MAX_FRAGMENTS as usize }> = LruHashMap::new();
#[btf_map(name = "service_counters")]
pub static SERVICE_COUNTERS: PerCpuArray<TrafficCounters, { MAX_SERVICES as usize }> = PerCpuArray::new();
/// Default size: that of `reals`.
#[btf_map(name = "real_counters")]
pub static REAL_COUNTERS: PerCpuArray<TrafficCounters, { DEFAULT_MAX_REALS as usize }> = PerCpuArray::new();
#[btf_map(name = "drops")]
pub static DROPS: PerCpuArray<u64, { DropReason::COUNT as usize }> = PerCpuArray::new();
#[btf_map(name = "events")]
pub static EVENTS: PerCpuArray<u64, { Event::COUNT as usize }> = PerCpuArray::new();

/// A slot of the ring.
#[inline(always)]
pub fn slot(ring: &Ring, index: u32) -> Option<&Slot> {
    // SAFETY: a slot has a word's size and alignment (asserted below), and any bytes are a slot.
    ring.get(index).map(|word| unsafe { &*(&raw const *word).cast() })
}

const _: () = assert!(size_of::<Slot>() == size_of::<u64>() && align_of::<Slot>() == align_of::<u64>());
