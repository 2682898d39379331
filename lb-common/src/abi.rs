//! Map keys, values, names and limits.
//!
//! Addresses are bytes in network order: an IPv4 address fills the first four of the sixteen bytes and the rest
//! are zero; `family` says which it is. Ports and all other integers are in host order, so that
//! `bpftool map dump` prints what a person expects.

mod guard;
mod quic;
mod trace;

pub use guard::*;
pub use quic::*;
pub use trace::*;

/// Raised by every change that an older program or daemon would misread.
pub const ABI_VERSION: u32 = 8;

/// Slots of a ring: the prime of the Maglev paper (Eisenbud et al., NSDI 2016, section 3.4).
pub const RING_SLOTS: u32 = 65_537;
/// Most services; a service id is below it.
pub const MAX_SERVICES: u32 = 4_096;
/// Rows of the index of services: a power of two, and enough for most of [`MAX_SERVICES`] to have one of their own.
pub const SERVICE_INDEX_ROWS: u32 = 16_384;
/// Real ids are below it. Id 0 is no real ([`NO_REAL`]).
pub const DEFAULT_MAX_REALS: u32 = 4_096;
/// The most reals that a 16-bit id can name, plus one for [`NO_REAL`].
pub const LIMIT_MAX_REALS: u32 = 65_536;
/// Entries of the LPM trie for port ranges and any-port services (a range needs at most 30).
pub const MAX_PORT_RANGES: u32 = 65_536;
/// Rows of `vip_prefixes`: VIPs that are whole prefixes.
pub const MAX_VIP_PREFIXES: u32 = 4_096;
/// Flows that the flow table holds unless the configuration says otherwise.
pub const DEFAULT_MAX_FLOWS: u32 = 262_144;
/// Half-open TCP flows that are remembered; the oldest go first.
pub const MAX_HALF_OPEN: u32 = 65_536;
/// Fragmented packets whose first fragment is remembered; the oldest go first.
pub const MAX_FRAGMENTS: u32 = 16_384;
/// Rows of `nat_replies`: reals' ports from which replies come.
pub const MAX_NAT_REPLIES: u32 = 65_536;
/// Rows of `nat_ports`: reals with a port of their own.
pub const MAX_NAT_PORTS: u32 = 65_536;
/// Bytes of the ring buffer of [`WantedNeighbour`]s.
pub const WANTED_NEIGHBOURS_SIZE: u32 = 1 << 14;
/// Bytes of the ring buffer of [`FlowEvent`]s unless the configuration says otherwise: a power of two, and no less than a page.
pub const DEFAULT_FLOW_EVENTS_SIZE: u32 = 1 << 20;
/// Bytes that a [`FlowEvent`] takes in its ring buffer: the kernel puts a header before each.
pub const FLOW_EVENT_RECORD: u32 = 8 + size_of::<FlowEvent>() as u32;
/// VLAN tags that are parsed; a packet with more goes to the kernel.
pub const MAX_VLAN_TAGS: usize = 2;
/// IPv6 extension headers that are walked; a packet for a VIP with more is dropped.
pub const MAX_EXTENSION_HEADERS: usize = 6;

/// TTL or hop limit of every IP header that the program makes.
pub const DEFAULT_TTL: u8 = 64;
/// Bytes of the offending IPv4 packet that a fragmentation-needed message quotes: the longest header and 8 more.
pub const ICMP_QUOTE_V4: u32 = 68;
/// Bytes of the offending IPv6 packet that a packet-too-big message quotes.
pub const ICMP_QUOTE_V6: u32 = 232;
/// The least MTU of IPv6 (RFC 8200 section 5): no packet-too-big message names less.
pub const IPV6_MIN_MTU: u32 = 1_280;

/// `family` of an IPv4 address.
pub const FAMILY_V4: u8 = 4;
/// `family` of an IPv6 address.
pub const FAMILY_V6: u8 = 6;
/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// IP protocol number of SCTP.
pub const PROTOCOL_SCTP: u8 = 132;

/// The id of no real.
pub const NO_REAL: u16 = 0;

/// Names of the maps, as the program declares them and as they are pinned.
pub mod map {
    /// Array of one `u32`: [`super::ABI_VERSION`] of whoever made the maps.
    pub const ABI: &str = "abi";
    /// Array of one [`super::NodeState`].
    pub const NODE: &str = "node";
    /// Hash of [`super::VipKey`] to [`super::VipValue`].
    pub const VIPS: &str = "vips";
    /// LPM trie of [`super::VipPrefixKey`] to [`super::VipPrefixValue`]: VIPs that are whole prefixes.
    pub const VIP_PREFIXES: &str = "vip_prefixes";
    /// Hash of [`super::ServiceKey`] to [`super::ServiceValue`]: services of a single port.
    pub const SERVICES: &str = "services";
    /// Array of [`super::IndexedService`], indexed by [`crate::service_row`]: most of `services`, for a quicker look.
    pub const SERVICE_INDEX: &str = "service_index";
    /// LPM trie of [`super::PortRangeKey`] to [`super::ServiceValue`]: port ranges and any-port services.
    pub const PORT_RANGES: &str = "port_ranges";
    /// Array of maps, indexed by service id; each inner map is an array of [`super::RING_SLOTS`] [`super::Slot`]s.
    pub const RINGS: &str = "rings";
    /// Array of [`super::ServiceOptions`], indexed by service id.
    pub const SERVICE_OPTIONS: &str = "service_options";
    /// Array of [`super::Guard`], indexed by service id.
    pub const GUARDS: &str = "guards";
    /// LPM trie of [`super::AccessKey`] to `u32`: [`super::ACCESS_ALLOW`] or [`super::ACCESS_DENY`].
    pub const ACCESS: &str = "access";
    /// LRU hash of [`super::SourceKey`] to [`super::SourceValue`].
    pub const SOURCES: &str = "sources";
    /// Hash of [`super::QuicKey`] to [`super::QuicValue`]: how connection ids of a service are read.
    pub const QUIC: &str = "quic";
    /// Hash of [`super::QuicServerKey`] to `u32`: the real's id.
    pub const QUIC_SERVERS: &str = "quic_servers";
    /// Array of one [`super::NatState`].
    pub const NAT: &str = "nat";
    /// Hash of [`super::NatPortKey`] to `u32`: the port of a real that has another than its service's other reals.
    pub const NAT_PORTS: &str = "nat_ports";
    /// Hash of [`super::ServiceKey`], of a real and its port in place of a VIP and its, to [`super::NatReplyValue`].
    pub const NAT_REPLIES: &str = "nat_replies";
    /// Ring buffer of [`super::WantedNeighbour`]s.
    pub const WANTED_NEIGHBOURS: &str = "wanted_neighbours";
    /// Array of [`super::RealValue`], indexed by real id.
    pub const REALS: &str = "reals";
    /// Hash of [`super::FlowKey`] to [`super::FlowValue`]: flows of slots that remember or are marked.
    pub const FLOWS: &str = "flows";
    /// LRU hash of [`super::FlowKey`] to [`super::HalfOpenValue`].
    pub const HALF_OPEN: &str = "half_open";
    /// Ring buffer of [`super::FlowEvent`]s.
    pub const FLOW_EVENTS: &str = "flow_events";
    /// Array of one [`super::TraceFilter`].
    pub const TRACE_FILTER: &str = "trace_filter";
    /// Per-CPU array of one [`super::TraceEvent`]: the packet that the CPU is at.
    pub const TRACE_PACKET: &str = "trace_packet";
    /// Ring buffer of [`super::TraceEvent`]s.
    pub const TRACE_EVENTS: &str = "trace_events";
    /// LRU hash of [`super::FragmentKey`] to [`super::FragmentValue`].
    pub const FRAGMENTS: &str = "fragments";
    /// Per-CPU array of [`super::TrafficCounters`], indexed by service id.
    pub const SERVICE_COUNTERS: &str = "service_counters";
    /// Per-CPU array of [`super::TrafficCounters`], indexed by real id.
    pub const REAL_COUNTERS: &str = "real_counters";
    /// Per-CPU array of `u64`, indexed by [`crate::DropReason`].
    pub const DROPS: &str = "drops";
    /// Per-CPU array of `u64`, indexed by [`crate::Event`].
    pub const EVENTS: &str = "events";

    /// Every map that is pinned.
    pub const ALL: [&str; 30] = [
        ABI,
        NODE,
        VIPS,
        VIP_PREFIXES,
        SERVICES,
        SERVICE_INDEX,
        PORT_RANGES,
        RINGS,
        SERVICE_OPTIONS,
        GUARDS,
        ACCESS,
        SOURCES,
        QUIC,
        QUIC_SERVERS,
        NAT,
        NAT_PORTS,
        NAT_REPLIES,
        WANTED_NEIGHBOURS,
        REALS,
        FLOWS,
        HALF_OPEN,
        FLOW_EVENTS,
        TRACE_FILTER,
        TRACE_PACKET,
        TRACE_EVENTS,
        FRAGMENTS,
        SERVICE_COUNTERS,
        REAL_COUNTERS,
        DROPS,
        EVENTS,
    ];
}

/// What this node is to the VIPs, and for how long at most. A map that nobody has written says solo.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeState {
    /// The lease: the kernel's 64-bit jiffies from which on the node is silent. Counts while it serves or drains.
    pub lease_until: u64,
    /// [`NODE_SOLO`], [`NODE_SERVING`], [`NODE_SILENT`] or [`NODE_DRAINING`]; any other value is as silent.
    pub service: u32,
    /// [`NODE_TELLS_FLOWS`], [`NODE_TRACES`].
    pub flags: u32,
}

/// The program writes a [`FlowEvent`] for what becomes of exceptions.
pub const NODE_TELLS_FLOWS: u32 = 1;
/// The program looks at `trace_filter`, and writes a [`TraceEvent`] for each packet that fits.
pub const NODE_TRACES: u32 = 2;

/// The node has no peer, and no lease: it serves.
pub const NODE_SOLO: u32 = 0;
/// The node serves, as long as its lease runs.
pub const NODE_SERVING: u32 = 1;
/// The node drops all packets for VIPs, and all that asks for the MAC address of one.
pub const NODE_SILENT: u32 = 2;
/// The node forwards as long as its lease runs, and drops what asks for the MAC address of a VIP.
pub const NODE_DRAINING: u32 = 3;

/// A VIP.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VipKey {
    /// The address.
    pub address: [u8; 16],
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// What a VIP has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VipValue {
    /// [`VIP_HAS_PORT_RANGES`].
    pub flags: u32,
}

/// The VIP has services with a port range or any port: the LPM trie is worth a look.
pub const VIP_HAS_PORT_RANGES: u32 = 1;

/// The data of a VIP prefix's key in the LPM trie. `prefix_len` is [`VIP_PREFIX_FIXED_BITS`] and the prefix's own length.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VipPrefixKey {
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The address; zero beyond the prefix.
    pub address: [u8; 16],
}

/// Bits of a [`VipPrefixKey`] before the address.
pub const VIP_PREFIX_FIXED_BITS: u32 = 32;

/// What a VIP that is a whole prefix has.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VipPrefixValue {
    /// The prefix's first address: the VIP in the keys of its services.
    pub vip: [u8; 16],
    /// As of a single VIP.
    pub value: VipValue,
}

/// A service of a single port. Also the middle part of a [`FlowKey`], so that one fill serves both lookups.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceKey {
    /// The VIP.
    pub vip: [u8; 16],
    /// The port that clients use.
    pub port: u16,
    /// [`PROTOCOL_TCP`], [`PROTOCOL_UDP`] or [`PROTOCOL_SCTP`].
    pub protocol: u8,
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
}

/// The data of a port range's key in the LPM trie. `prefix_len` is [`PORT_RANGE_FIXED_BITS`] and the port's leading
/// bits that the entry fixes: 16 of them for one port, none for any port.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortRangeKey {
    /// The VIP.
    pub vip: [u8; 16],
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
    /// [`PROTOCOL_TCP`], [`PROTOCOL_UDP`] or [`PROTOCOL_SCTP`].
    pub protocol: u8,
    /// First port of the block, in network order: a prefix is matched from the first byte's highest bit.
    pub port: [u8; 2],
}

/// Bits of a [`PortRangeKey`] before the port.
pub const PORT_RANGE_FIXED_BITS: u32 = 16 * 8 + 8 + 8;

/// What the program does with a service's packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceValue {
    /// Index of the service's ring and counters.
    pub id: u32,
    /// [`MODE_DSR`], [`MODE_IPIP`], [`MODE_NAT`] or [`MODE_GUE`].
    pub mode: u8,
    /// [`SERVICE_GUARDED`], [`SERVICE_AFFINITY`], [`SERVICE_ONE_PACKET`], [`SERVICE_QUIC`].
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// The service's row in `guards` counts.
pub const SERVICE_GUARDED: u8 = 1;
/// All flows of a client go to the same real: the slot is that of the client's address, as `service_options` says.
pub const SERVICE_AFFINITY: u8 = 2;
/// Each packet goes by itself to a slot of its own. Only of UDP services without [`SERVICE_AFFINITY`].
pub const SERVICE_ONE_PACKET: u8 = 4;
/// A packet goes to the real that its QUIC connection id names, where it names one. Only of UDP services.
pub const SERVICE_QUIC: u8 = 8;

/// A row of the index of services. A free one is all zero: no service has family 0.
///
/// Two services may want the same row. One of them gets it, the other is found in `services`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IndexedService {
    /// The service.
    pub key: ServiceKey,
    /// As in `services`.
    pub value: ServiceValue,
}

/// Forward mode: rewrite the MAC addresses only.
pub const MODE_DSR: u8 = 1;
/// Forward mode: put the packet in an outer IPv4 or IPv6 header.
pub const MODE_IPIP: u8 = 2;
/// Forward mode: rewrite the destination's address and port; the reply comes back through the node, which rewrites its source.
pub const MODE_NAT: u8 = 3;
/// Forward mode: put the packet in an outer IPv4 or IPv6 header and a UDP header (GUE variant 1, draft-ietf-intarea-gue-09 section 4).
pub const MODE_GUE: u8 = 4;

/// One slot of a ring. Eight bytes, so that one store changes it whole.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Where new flows go; [`NO_REAL`] while there is none.
    pub real: u16,
    /// In a slot that remembers: where flows older than the move go. [`NO_REAL`] elsewhere.
    pub previous: u16,
    /// [`SLOT_CLEAN`], [`SLOT_REMEMBERS`] or [`SLOT_MARKED`].
    pub state: u16,
    /// Zero.
    pub reserved: u16,
}

/// Every flow of the slot goes to `real`; no flow table is read or written.
pub const SLOT_CLEAN: u16 = 0;
/// The flow table decides; on a miss a SYN goes to `real`, any other packet to `previous`; either is remembered.
pub const SLOT_REMEMBERS: u16 = 1;
/// The flow table decides; a miss goes to `real` and nothing is added.
pub const SLOT_MARKED: u16 = 2;

/// A real server and the next hop towards it: one cache line.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RealValue {
    /// The real's address; in the tunnel modes the outer destination.
    pub address: [u8; 16],
    /// In the tunnel modes the outer source, of the same family as `address`.
    pub tunnel_source: [u8; 16],
    /// MAC address of the next hop. Followed by `source_mac` as in an Ethernet header, so that one copy writes both.
    pub next_hop_mac: [u8; 6],
    /// MAC address of the interface that the packet leaves by.
    pub source_mac: [u8; 6],
    /// The interface that the packet leaves by.
    pub ifindex: u32,
    /// The largest IP packet that the way to the real carries, the outer header counted.
    pub mtu: u32,
    /// [`REAL_ALIVE`], [`REAL_RESOLVED`], [`REAL_HOT`].
    pub flags: u32,
    /// [`FAMILY_V4`] or [`FAMILY_V6`]: the family of `address`.
    pub family: u8,
    /// In the tunnel modes: so many of the outer source's lowest bits are the flow's, [`MAX_SOURCE_BITS`] at most.
    pub source_bits: u8,
    /// In `gue` mode: the outer destination port.
    pub gue_port: u16,
    /// Zero.
    pub reserved: [u8; 4],
}

/// The most bits of the outer source that differ by flow: as many as a flow's hash has.
pub const MAX_SOURCE_BITS: u8 = 32;
/// The UDP port of GUE (IANA).
pub const GUE_PORT: u16 = 6_080;

/// The real may be sent packets: it is configured and not disabled.
pub const REAL_ALIVE: u32 = 1;
/// `next_hop_mac`, `source_mac`, `ifindex`, `mtu` and `tunnel_source` are known.
pub const REAL_RESOLVED: u32 = 2;
/// The real is overloaded for the moment: a SYN whose slot is not clean and leads to it takes its second slot.
pub const REAL_HOT: u32 = 4;

/// What the program needs of few services' packets: a row of `service_options`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceOptions {
    /// What becomes of a packet that no real is there for: [`FALLBACK_DROP`] or [`FALLBACK_RESET`].
    pub fallback: u32,
    /// [`OPTION_REAL_PORTS`].
    pub flags: u32,
    /// In `nat` mode the VIP, the source of replies. With affinity the VIP in the keys of clients.
    pub vip: [u8; 16],
    /// In `nat` mode: the port that replies come from; 0 where a service of several ports leaves it as it is.
    pub vip_port: u16,
    /// In `nat` mode: the port of the reals; 0 where a service of several ports leaves it as it is.
    pub real_port: u16,
    /// With affinity: the service whose ring this one has: its own id, or that of another one of its group.
    pub affinity_service: u32,
    /// With affinity: the port in the keys of clients, the first of that service's.
    pub affinity_port: u16,
    /// With affinity: the client port in the keys of clients, the last of that service's ports.
    pub affinity_client_port: u16,
    /// With affinity: the protocol in the keys of clients, that service's.
    pub affinity_protocol: u8,
    /// With affinity: the leading bits of its address that make a client, 1 to 32 or 128.
    pub affinity_bits: u8,
    /// With [`SERVICE_QUIC`]: bit n for each n that `quic` has a row of the service under.
    pub quic: u8,
    /// Zero.
    pub reserved: u8,
}

/// Some of the service's reals have a row in `nat_ports`, which goes before `real_port`.
pub const OPTION_REAL_PORTS: u32 = 1;

/// What packets have to be looked at for whose destination is not in `vips`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NatState {
    /// [`NAT_REPLIES`], [`NAT_REPLY_RANGES`], [`NAT_VIP_PREFIXES`].
    pub flags: u32,
}

/// `nat_replies` has rows.
pub const NAT_REPLIES: u32 = 1;
/// `nat_replies` has rows with port 0.
pub const NAT_REPLY_RANGES: u32 = 2;
/// `vip_prefixes` has rows.
pub const NAT_VIP_PREFIXES: u32 = 4;

/// A real of a service in `nat` mode.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NatPortKey {
    /// The service's id.
    pub service: u32,
    /// The real's id.
    pub real: u32,
}

/// Whose replies come from a real's port; of a row with port 0, from its ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NatReplyValue {
    /// The service's id.
    pub service: u32,
    /// The first port.
    pub first_port: u16,
    /// The last port.
    pub last_port: u16,
}

/// A neighbour that a reply was for and whose MAC address the kernel does not know: a record of `wanted_neighbours`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WantedNeighbour {
    /// Its address.
    pub address: [u8; 16],
    /// The interface that it is behind.
    pub ifindex: u32,
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// A packet whose slot has no real is dropped.
pub const FALLBACK_DROP: u32 = 0;
/// A TCP packet whose slot has no real is answered with a RST, anything else is dropped.
pub const FALLBACK_RESET: u32 = 1;

/// A client's 5-tuple.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The client's address.
    pub client: [u8; 16],
    /// VIP, port, protocol and family.
    pub service: ServiceKey,
    /// The client's port.
    pub client_port: u16,
    /// Zero.
    pub reserved: u16,
}

/// What is remembered of a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowValue {
    /// When the last packet came, in nanoseconds of CLOCK_MONOTONIC_COARSE.
    pub last_seen_ns: u64,
    /// The flow's slot in its service's ring.
    pub slot: u32,
    /// Where the flow's packets go.
    pub real: u16,
    /// The flow's service.
    pub service: u16,
    /// [`FLOW_OPEN`], [`FLOW_FIN`] or [`FLOW_RST`].
    pub state: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

/// A flow in use.
pub const FLOW_OPEN: u16 = 0;
/// The client has sent a FIN.
pub const FLOW_FIN: u16 = 1;
/// The client's last packet was a RST.
pub const FLOW_RST: u16 = 2;

/// What is remembered of a TCP flow of which only the SYN has been seen: in a slot that remembers, or in any that is not clean
/// where a hot real's flow was sent to another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HalfOpenValue {
    /// When the last SYN came, in nanoseconds of CLOCK_MONOTONIC_COARSE.
    pub began_ns: u64,
    /// The flow's slot in its service's ring.
    pub slot: u32,
    /// Where the SYN went.
    pub real: u16,
    /// The flow's service.
    pub service: u16,
}

/// What has become of a flow that is an exception: a record of `flow_events`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowEvent {
    /// The flow.
    pub key: FlowKey,
    /// Its service; of a forgotten flow zero.
    pub service: u16,
    /// Where its packets go; of a forgotten flow zero.
    pub real: u16,
    /// Its slot in its service's ring; of a forgotten flow zero.
    pub slot: u32,
    /// [`FLOW_EVENT_REMEMBERED`], [`FLOW_EVENT_FORGOTTEN`] or [`FLOW_EVENT_HALF_OPEN`].
    pub kind: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

/// The flow table has the flow.
pub const FLOW_EVENT_REMEMBERED: u16 = 1;
/// The flow table has it no more, nor is it half-open.
pub const FLOW_EVENT_FORGOTTEN: u16 = 2;
/// The flow is half-open.
pub const FLOW_EVENT_HALF_OPEN: u16 = 3;

/// The fragments of one packet (RFC 791 section 3.2, RFC 8200 section 4.5).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address: a VIP.
    pub destination: [u8; 16],
    /// The packet's identification.
    pub id: u32,
    /// IPv4: the protocol. IPv6: zero, since only the first fragment names it for certain.
    pub protocol: u8,
    /// [`FAMILY_V4`] or [`FAMILY_V6`].
    pub family: u8,
    /// Zero.
    pub reserved: u16,
}

/// Where the first fragment went.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentValue {
    /// The flow's service.
    pub service: u32,
    /// Where it went; of a reply no real.
    pub real: u16,
    /// The service's forward mode.
    pub mode: u8,
    /// Zero.
    pub reserved: u8,
}

/// What a service or a real has been sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrafficCounters {
    /// Packets forwarded.
    pub packets: u64,
    /// Their IP lengths (outer headers not counted).
    pub bytes: u64,
    /// TCP packets with SYN and without ACK.
    pub syn: u64,
    /// TCP packets with FIN.
    pub fin: u64,
    /// TCP packets with RST.
    pub rst: u64,
}

const _: () = {
    assert!(size_of::<NodeState>() == 16);
    assert!(size_of::<VipKey>() == 20);
    assert!(size_of::<VipValue>() == 4);
    assert!(size_of::<VipPrefixKey>() == 20);
    assert!(size_of::<VipPrefixValue>() == 20);
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<PortRangeKey>() == 20);
    assert!(size_of::<ServiceValue>() == 8);
    assert!(size_of::<IndexedService>() == 28);
    assert!(size_of::<ServiceOptions>() == 40);
    assert!(size_of::<NatState>() == 4);
    assert!(size_of::<NatPortKey>() == 8);
    assert!(size_of::<NatReplyValue>() == 8);
    assert!(size_of::<WantedNeighbour>() == 24);
    assert!(size_of::<Slot>() == 8);
    assert!(size_of::<RealValue>() == 64);
    assert!(size_of::<FlowKey>() == 40);
    assert!(core::mem::offset_of!(FlowKey, service) == 16);
    assert!(size_of::<FlowValue>() == 24);
    assert!(size_of::<HalfOpenValue>() == 16);
    assert!(size_of::<FlowEvent>() == 56 && FLOW_EVENT_RECORD == 64);
    assert!(size_of::<FragmentKey>() == 40);
    assert!(size_of::<FragmentValue>() == 8);
    assert!(size_of::<TrafficCounters>() == 40);
    assert!(core::mem::offset_of!(RealValue, source_mac) == core::mem::offset_of!(RealValue, next_hop_mac) + 6);
};
