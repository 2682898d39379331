//! What the maps hold, for the model.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lb_common::{
    AccessKey, Event, FlowEvent, FlowKey, Guard, NAT_VIP_PREFIXES, NatPortKey, NatReplyValue, NatState, NodeState,
    PortRangeKey, QuicKey, QuicServerKey, REAL_ALIVE, REAL_HOT, RealValue, ServiceKey, ServiceOptions, ServiceValue,
    Slot, VIP_HAS_PORT_RANGES, VipKey, VipPrefixKey, VipPrefixValue, VipValue, WantedNeighbour,
};

use super::guard::first_bits;
use super::{Branch, Effects, QuicRow, Ways};

/// Bytes before a frame that a header can be put into, where a test does not take them away.
pub const HEADROOM: usize = 192;

/// How many entries the bounded maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Real ids are below it.
    pub max_reals: u32,
    /// Entries of `flows`.
    pub max_flows: u32,
    /// Bytes of `flow_events`.
    pub flow_events_size: u32,
}

/// A port range's entry: how many of the port's leading bits count, and the key.
pub type PortRangeEntry = (u32, PortRangeKey);

/// A row of `access`: how many of the address's leading bits count, and the key.
pub type AccessEntry = (u32, AccessKey);

/// A row of `vip_prefixes`: how many of the address's leading bits count, and the key.
pub type VipPrefixEntry = (u32, VipPrefixKey);

/// The maps, and what a frame finds around itself.
#[derive(Clone, Debug)]
pub struct State {
    /// Sizes of the maps.
    pub limits: Limits,
    /// Bytes before the frame that a header can be put into.
    pub headroom: usize,
    /// `node`: solo, where a test says nothing.
    pub node: NodeState,
    /// `vips`.
    pub vips: HashMap<VipKey, VipValue>,
    /// `vip_prefixes`.
    pub vip_prefixes: HashMap<VipPrefixEntry, VipPrefixValue>,
    /// `services`.
    pub services: HashMap<ServiceKey, ServiceValue>,
    /// `port_ranges`.
    pub port_ranges: HashMap<PortRangeEntry, ServiceValue>,
    /// `rings`.
    pub rings: BTreeMap<u32, Arc<[Slot]>>,
    /// `service_options`; a service that is missing has a row of zeros.
    pub service_options: BTreeMap<u32, ServiceOptions>,
    /// `guards`; a service that is missing has a row of zeros.
    pub guards: BTreeMap<u32, Guard>,
    /// `access`.
    pub access: HashMap<AccessEntry, u32>,
    /// `quic`, with the keys themselves.
    pub quic: HashMap<QuicKey, QuicRow>,
    /// `quic_servers`.
    pub quic_servers: HashMap<QuicServerKey, u32>,
    /// `nat`.
    pub nat: NatState,
    /// `nat_ports`.
    pub nat_ports: HashMap<NatPortKey, u32>,
    /// `nat_replies`.
    pub nat_replies: HashMap<ServiceKey, NatReplyValue>,
    /// The kernel's tables of routes and neighbours.
    pub ways: Ways,
    /// `reals`; an id that is missing has a row of zeros.
    pub reals: BTreeMap<u16, RealValue>,
    /// What packets change.
    pub effects: Effects,
    /// Records of `flow_events` that nobody has read.
    pub unread: Vec<FlowEvent>,
    /// Records of `wanted_neighbours` that nobody has read.
    pub wanted: Vec<WantedNeighbour>,
    /// The flow of the last frame that came as far as a slot, and the slot: for failure messages.
    pub last_place: Option<(FlowKey, Slot)>,
    /// How often each branch of the page was taken, by [`Branch`].
    pub branches: [u64; Branch::COUNT],
}

impl State {
    /// Empty maps.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            headroom: HEADROOM,
            node: NodeState::default(),
            vips: HashMap::new(),
            vip_prefixes: HashMap::new(),
            services: HashMap::new(),
            port_ranges: HashMap::new(),
            rings: BTreeMap::new(),
            service_options: BTreeMap::new(),
            guards: BTreeMap::new(),
            access: HashMap::new(),
            quic: HashMap::new(),
            quic_servers: HashMap::new(),
            nat: NatState::default(),
            nat_ports: HashMap::new(),
            nat_replies: HashMap::new(),
            ways: Ways::default(),
            reals: BTreeMap::new(),
            effects: Effects::default(),
            unread: Vec::new(),
            wanted: Vec::new(),
            last_place: None,
            branches: [0; Branch::COUNT],
        }
    }

    /// Whether an address is in `vips`, or (section 15) of a prefix.
    pub(super) fn is_vip(&mut self, address: [u8; 16], family: u8) -> bool {
        if self.vips.contains_key(&VipKey { address, family, reserved: [0; 3] }) {
            return true;
        }
        if self.nat.flags & NAT_VIP_PREFIXES == 0 {
            self.saw(Branch::PrefixesOff);
            return false;
        }
        let found = self.vip_row(address, family).is_some();
        self.saw(if found { Branch::PrefixMatch } else { Branch::PrefixMiss });
        found
    }

    /// A VIP's row, and the VIP in the keys of its services.
    fn vip_row(&self, address: [u8; 16], family: u8) -> Option<(VipValue, [u8; 16])> {
        if let Some(value) = self.vips.get(&VipKey { address, family, reserved: [0; 3] }) {
            return Some((*value, address));
        }
        if self.nat.flags & NAT_VIP_PREFIXES == 0 {
            return None;
        }
        let fits = |(bits, key): &VipPrefixEntry| key.family == family && key.address == first_bits(&address, *bits);
        let longest = self.vip_prefixes.iter().filter(|(entry, _)| fits(entry)).max_by_key(|((bits, _), _)| *bits);
        longest.map(|(_, row)| (row.value, row.vip))
    }

    /// The row of a service's options.
    pub(super) fn options(&self, service: u32) -> ServiceOptions {
        self.service_options.get(&service).copied().unwrap_or_default()
    }

    /// The row of a service's guards.
    pub(super) fn guard_row(&self, service: u32) -> Guard {
        self.guards.get(&service).copied().unwrap_or_default()
    }

    /// Whether packets may be sent to a real.
    #[must_use]
    pub fn alive(&self, real: u16) -> bool {
        self.real(real).is_some_and(|row| row.flags & REAL_ALIVE != 0)
    }

    /// Whether a real is alive and overloaded.
    pub(super) fn hot(&self, real: u16) -> bool {
        self.alive(real) && self.real(real).is_some_and(|row| row.flags & REAL_HOT != 0)
    }

    /// The row of a real id that is not 0 and is within `reals`.
    pub(super) fn real(&self, id: u16) -> Option<RealValue> {
        if id == 0 || u32::from(id) >= self.limits.max_reals {
            return None;
        }
        Some(self.reals.get(&id).copied().unwrap_or_default())
    }

    /// Section 4, "Service", for a packet to an address and port.
    pub(super) fn service(&mut self, to: &ServiceKey) -> Option<ServiceValue> {
        let (value, vip) = self.vip_row(to.vip, to.family).unwrap_or((VipValue::default(), to.vip));
        let key = ServiceKey { vip, ..*to };
        if let Some(service) = self.services.get(&key).copied() {
            self.saw(Branch::ServiceSinglePort);
            return Some(service);
        }
        if value.flags & VIP_HAS_PORT_RANGES == 0 {
            self.saw(Branch::ServiceMiss);
            return None;
        }
        let found = self.longest_port_match(&key);
        self.saw(if found.is_some() { Branch::ServicePortRange } else { Branch::ServiceMissRanges });
        found
    }

    fn longest_port_match(&self, key: &ServiceKey) -> Option<ServiceValue> {
        (0..=16).rev().find_map(|bits| {
            let block = if bits == 0 { 0 } else { key.port >> (16 - bits) << (16 - bits) };
            let entry =
                PortRangeKey { vip: key.vip, family: key.family, protocol: key.protocol, port: block.to_be_bytes() };
            self.port_ranges.get(&(bits, entry)).copied()
        })
    }

    pub(super) fn event(&mut self, event: Event) {
        self.effects.events[event as usize] += 1;
    }

    pub(super) fn saw(&mut self, branch: Branch) {
        self.branches[branch as usize] += 1;
    }
}
