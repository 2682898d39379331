//! The XDP program and its maps, and the only module that touches aya: loads or adopts them, attaches the program, writes
//! what the scheduling table says, reads the counters and the flow table, hears what the program tells of flows and of packets that are traced, and writes flows that another
//! node has told of.
//!
//! With a pin directory the maps and the attachment outlive the process, and the next one adopts them; without, they go with it.

mod attach;
mod batch;
mod counters;
mod error;
mod flow_events;
mod flow_table;
mod flows;
mod guarded;
mod index;
mod jiffies;
mod lease;
mod log;
mod open;
mod programs;
mod repeat;
mod ring;
mod rows;
mod shape;
mod sources;
mod sys;
mod test_run;
mod trace;
mod wanted;

use std::{os::fd::OwnedFd, path::PathBuf};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, lpm_trie::LpmTrie},
    programs::Xdp,
};
use lb_common::{
    AccessKey, FlowKey, FlowValue, FragmentKey, FragmentValue, Guard, HalfOpenValue, IndexedService, NatPortKey,
    NatReplyValue, NatState, PortRangeKey, QuicKey, QuicServerKey, QuicValue, RealValue, ServiceKey, ServiceOptions,
    ServiceValue, SourceKey, SourceValue, TrafficCounters, VipKey, VipPrefixKey, VipPrefixValue, VipValue,
};

pub use attach::{AttachMode, Attached};
pub use error::DataplaneError;
pub use flow_events::FlowEvents;
pub use flow_table::{FlowTable, Put};
pub use flows::{FlowTimeouts, Sweep};
pub use jiffies::Jiffies;
pub use lease::LeaseMap;
pub use programs::program_name;
pub use repeat::Repeated;
pub use test_run::Verdict;
pub use trace::{Tracer, captured};
pub use wanted::WantedNeighbours;

/// How to load the program.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where maps and links are pinned, on a bpffs; `None` pins nothing.
    pub pin_dir: Option<PathBuf>,
    /// Rows of `reals`: real ids are below it.
    pub max_reals: u32,
    /// Entries of the flow table.
    pub max_flows: u32,
    /// Bytes of the ring buffer of flow events. Rounded up to a power of two of whole pages.
    pub flow_events_size: u32,
    /// Let the program log its own debug messages through the `log` facade. Off costs a packet nothing.
    pub debug_log: bool,
}

impl Options {
    /// Bytes of the ring buffer as the kernel takes them.
    fn flow_events_bytes(&self) -> u32 {
        self.flow_events_size.clamp(sys::page_size(), MAX_FLOW_EVENTS_SIZE).next_power_of_two()
    }
}

/// What was found at the pin directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Nothing: the maps are new and empty.
    Fresh,
    /// Maps of this ABI and these shapes: they are used as they are.
    Adopted,
    /// Maps that cannot be used: new, empty ones have taken their pins. An attached program goes on with the old ones
    /// until [`Dataplane::attach`] replaces it.
    Replaced {
        /// What did not fit.
        reason: String,
    },
}

/// The loaded program and its maps.
pub struct Dataplane {
    options: Options,
    ebpf: Ebpf,
    maps: Maps,
    attached: Vec<(String, Attached)>,
}

/// The maps, by their names in [`lb_common::map`].
struct Maps {
    vips: HashMap<MapData, VipKey, VipValue>,
    vip_prefixes: LpmTrie<MapData, VipPrefixKey, VipPrefixValue>,
    services: HashMap<MapData, ServiceKey, ServiceValue>,
    service_index: Array<MapData, IndexedService>,
    port_ranges: LpmTrie<MapData, PortRangeKey, ServiceValue>,
    service_options: Array<MapData, ServiceOptions>,
    guards: Array<MapData, Guard>,
    access: LpmTrie<MapData, AccessKey, u32>,
    sources: HashMap<MapData, SourceKey, SourceValue>,
    quic: HashMap<MapData, QuicKey, QuicValue>,
    quic_servers: HashMap<MapData, QuicServerKey, u32>,
    nat: Array<MapData, NatState>,
    nat_ports: HashMap<MapData, NatPortKey, u32>,
    nat_replies: HashMap<MapData, ServiceKey, NatReplyValue>,
    reals: Array<MapData, RealValue>,
    flows: HashMap<MapData, FlowKey, FlowValue>,
    half_open: HashMap<MapData, FlowKey, HalfOpenValue>,
    fragments: HashMap<MapData, FragmentKey, FragmentValue>,
    service_counters: PerCpuArray<MapData, TrafficCounters>,
    real_counters: PerCpuArray<MapData, TrafficCounters>,
    drops: PerCpuArray<MapData, u64>,
    events: PerCpuArray<MapData, u64>,
    abi: Array<MapData, u32>,
    /// The maps that services have in `rings`.
    ring_maps: ring::Rings,
    /// Services have gone from the index, and others may want their rows.
    index_is_due: bool,
    fds: MapFds,
}

/// Descriptors of the maps on which calls are made that aya has not, or that are mapped into memory.
struct MapFds {
    node: OwnedFd,
    rings: OwnedFd,
    sources: OwnedFd,
    flows: OwnedFd,
    half_open: OwnedFd,
    flow_events: OwnedFd,
    trace_filter: OwnedFd,
    trace_events: OwnedFd,
    events: OwnedFd,
    wanted_neighbours: OwnedFd,
}

/// The largest power of two that the kernel's 32-bit size of a ring buffer, mapped twice over, has room for.
const MAX_FLOW_EVENTS_SIZE: u32 = 1 << 30;
/// Name of the program in the object.
const PROGRAM: &str = "understudy";

impl Dataplane {
    /// The id by which the kernel knows the program; none where it does not tell.
    #[must_use]
    pub fn program_id(&mut self) -> Option<u32> {
        self.program().ok()?.info().ok().map(|info| info.id())
    }

    fn program(&mut self) -> Result<&mut Xdp, DataplaneError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(DataplaneError::Object { what: PROGRAM })?;
        program.try_into().map_err(|source| DataplaneError::Program { step: "use", source })
    }
}
