//! What the maps hold: services of every mode, their reals and rings.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, Result, anyhow};
use lb_common::{
    ACCESS_ALLOW, ACCESS_FIXED_BITS, AccessKey, FAMILY_V4, GUARD_ACCESS, GUARD_LISTED_ONLY, GUARD_RATE, Guard,
    NAT_VIP_PREFIXES, NO_REAL, NatState, PROTOCOL_TCP, SERVICE_AFFINITY, SERVICE_GUARDED, SLOT_MARKED, SLOT_REMEMBERS,
    ServiceOptions, Slot, VipPrefixKey, VipPrefixValue, VipValue,
};
use lb_core::{
    pair,
    rows::{MapWrite, Rows, diff},
    service::{Cluster, Guards, Member, Ports, Real, Service},
    table::{NextHop, SchedulingTable, TableOptions},
};
use lb_daemon::dataplane::{Dataplane, FlowEvents, LeaseMap};
use lb_tests::{
    kernel::Kernel,
    model::{Leads, Only, Route, Ways},
};

use crate::{
    case::{Extra, FRONTS, Front, PREFIX, Slots},
    frame::{PORT, client},
    quic::Cid,
    state::FIRST_PORT,
};

/// Reals of each family; all of them serve every service of that family.
pub const REALS: u8 = 100;
/// The interface that BPF_PROG_TEST_RUN takes frames to come in by: they leave by it too.
const LOOPBACK: u32 = 1;
const MTU: u32 = 1_500;
/// The prefixes of a service with such: one that all clients are in, and others.
const PREFIXES: u16 = 1_000;
/// The clients' addresses.
const CLIENTS_V4: ([u8; 16], u32) = ([198, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 15);
/// The router's MAC address on the way of replies.
const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 3, 0, 0];

/// Which ids the bench's services and reals got, and the lease.
pub struct World {
    services: HashMap<String, u32>,
    /// Every real's id.
    pub reals: Vec<u16>,
    lease: LeaseMap,
    flow_events: FlowEvents,
    nat: NatState,
}

/// Moves this thread to a network namespace of its own, in which replies have a way to the first client.
///
/// # Errors
/// No privilege, or a kernel without veths.
pub fn enter() -> Result<Kernel> {
    let mut kernel = Kernel::of_this_thread()?;
    let leads = Leads::Out { gateway: None, mac: Some(ROUTER_MAC), mtu: MTU };
    let replied = FRONTS.iter().filter(|front| front.extra == Extra::Reply);
    let routes = replied.map(|front| Route { to: client(front.vip, 0).0, only: Only::default(), leads }).collect();
    kernel.set(&Ways { forwards_v4: true, forwards_v6: true, routes })?;
    Ok(kernel)
}

impl World {
    /// Fills the maps.
    ///
    /// # Errors
    /// The kernel refuses a row.
    pub fn fill(dataplane: &mut Dataplane) -> Result<Self> {
        let table = table()?;
        let services: HashMap<_, _> = table.services().map(|view| (view.service.name.clone(), view.id)).collect();
        let mut rows = table.rows();
        for front in &FRONTS {
            change_slots(&mut rows, services[front.service], front.slots);
            add_extra(&mut rows, services[front.service], front);
        }
        dataplane.apply(&diff(&Rows::default(), &rows)).context("cannot fill the maps")?;
        add_prefix(dataplane)?;
        let reals = table.reals().map(|view| view.id).collect();
        let (lease, flow_events) = (dataplane.lease_map()?, dataplane.flow_events()?);
        Ok(Self { services, reals, lease, flow_events, nat: rows.nat })
    }

    /// Tells the program whether there is a VIP that is a whole prefix.
    ///
    /// # Errors
    /// The kernel refuses the row.
    pub fn prefixes(&self, dataplane: &mut Dataplane, there: bool) -> Result<()> {
        let flag = if there { NAT_VIP_PREFIXES } else { 0 };
        let value = NatState { flags: self.nat.flags | flag };
        dataplane.apply(&[MapWrite::Nat { value }]).context("cannot tell of VIP prefixes")
    }

    /// Makes the node solo, or gives it a lease that does not end.
    pub fn lease(&self, leased: bool) {
        if leased { self.lease.store(pair::Service::Serving, u64::MAX) } else { self.lease.store_solo() }
    }

    /// Reads what was told of flows. Returns how many records there were.
    ///
    /// # Errors
    /// None so far.
    pub fn read_told(&mut self) -> Result<u64> {
        let mut count = 0;
        loop {
            match self.flow_events.drain_as_told(|_| {})? {
                0 => return Ok(count),
                more => count += more as u64,
            }
        }
    }

    /// The id of the case's service; `None` where its address is no VIP.
    #[must_use]
    pub fn service(&self, front: &Front) -> Option<u32> {
        self.services.get(front.service).copied()
    }
}

fn table() -> Result<SchedulingTable> {
    let reals = SETS.into_iter().flat_map(|set| (1..=REALS).map(move |number| real(set, number)));
    let services = FRONTS.iter().map(service).collect();
    let cluster = Cluster::new(services, reals.collect())
        .map_err(|errors| anyhow!("the bench's services are wrong: {errors:?}"))?;
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(cluster, 0)?;
    for set in SETS {
        for number in 1..=REALS {
            table.set_next_hop(&name(set, number), Some(next_hop(set, number)))?;
        }
    }
    Ok(table)
}

fn service(front: &Front) -> Service {
    let port = (front.extra == Extra::Reply).then_some(FIRST_PORT);
    let quic = if let Extra::Quic(cid) = front.extra { Some(cid) } else { None };
    let member = |number| {
        let quic_server_ids = quic.and_then(|cid| cid.server_id(number)).into_iter().collect();
        Member { real: name(Set::of(front), number), port, quic_server_ids, ..Member::default() }
    };
    Service {
        name: front.service.to_owned(),
        vip: front.service_vip(),
        protocol: front.protocol(),
        ports: Ports::Single(PORT),
        mode: front.mode,
        reals: (1..=REALS).map(member).collect(),
        vip_prefix: None,
        one_packet: front.extra == Extra::OnePacket,
        affinity: None,
        guards: Guards::default(),
        quic: quic.map(Cid::encoding).into_iter().collect(),
    }
}

/// Reals that serve the same services.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    V4,
    V6,
    /// IPv4, and outer sources differ by flow.
    Sources,
}

const SETS: [Set; 3] = [Set::V4, Set::V6, Set::Sources];

impl Set {
    fn of(front: &Front) -> Self {
        match (front.extra, front.reals_v6) {
            (Extra::Sources, _) => Self::Sources,
            (_, true) => Self::V6,
            (_, false) => Self::V4,
        }
    }

    fn address(self, number: u8) -> IpAddr {
        match self {
            Self::Sources => Ipv4Addr::new(203, 0, 113, number).into(),
            Self::V4 | Self::V6 => address(self == Self::V6, number),
        }
    }
}

fn real(set: Set, number: u8) -> Real {
    Real { name: name(set, number), address: set.address(number), weight: lb_core::service::DEFAULT_WEIGHT }
}

fn name(set: Set, number: u8) -> String {
    let set = match set {
        Set::V4 => "v4",
        Set::V6 => "v6",
        Set::Sources => "sources",
    };
    format!("{set}-{number}")
}

/// The address of a real that most services have.
pub fn address(v6: bool, number: u8) -> IpAddr {
    if v6 {
        return Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number.into()).into();
    }
    Ipv4Addr::new(198, 51, 100, number).into()
}

fn next_hop(set: Set, number: u8) -> NextHop {
    NextHop {
        ifindex: LOOPBACK,
        next_hop_mac: [0x02, 0, 0, 1, set as u8, number],
        source_mac: [0x02, 0, 0, 2, 0, 0],
        tunnel_source: set.address(u8::MAX),
        mtu: MTU,
    }
}

/// Makes the VIP a whole prefix that is one: its service is found by the prefix's first address.
fn add_prefix(dataplane: &mut Dataplane) -> Result<()> {
    let (IpAddr::V4(first), bits) = PREFIX else { return Ok(()) };
    let mut address = [0; 16];
    address[..4].copy_from_slice(&first.octets());
    let key = VipPrefixKey { family: FAMILY_V4, reserved: [0; 3], address };
    let value = VipPrefixValue { vip: address, value: VipValue::default() };
    let write = MapWrite::VipPrefix { bits, key, value: Some(value) };
    dataplane.apply(&[write]).context("cannot make a VIP of a prefix")
}

/// Gives a service what it has beside its mode, where the service itself does not say so.
fn add_extra(rows: &mut Rows, service: u32, front: &Front) {
    let flag = match front.extra {
        Extra::Affinity => SERVICE_AFFINITY,
        Extra::Access | Extra::Rate => SERVICE_GUARDED,
        Extra::Sources => return differ_by_flow(rows, service),
        Extra::Plain | Extra::OnePacket | Extra::Sctp | Extra::Udp | Extra::Quic(_) | Extra::Prefix | Extra::Reply => {
            return;
        }
    };
    for (key, value) in rows.services.iter_mut().filter(|(_, value)| value.id == service) {
        value.flags |= flag;
        let options = ServiceOptions {
            vip: key.vip,
            affinity_service: service,
            affinity_port: PORT,
            affinity_client_port: PORT,
            affinity_protocol: PROTOCOL_TCP,
            affinity_bits: 32,
            ..rows.service_options.get(&service).copied().unwrap_or_default()
        };
        rows.service_options.insert(service, options);
    }
    if front.extra == Extra::Rate {
        // Each SYN is looked up, and each is due.
        rows.guards.insert(service, Guard { flags: GUARD_RATE, source_bits: 32, ..Guard::default() });
    }
    if front.extra == Extra::Access {
        rows.guards.insert(service, Guard { flags: GUARD_ACCESS | GUARD_LISTED_ONLY, ..Guard::default() });
        let [service, others] = [service.to_be_bytes(), [10, 0, 0, 0]];
        let (clients, bits) = CLIENTS_V4;
        rows.access.insert((ACCESS_FIXED_BITS + bits, AccessKey { service, address: clients }), ACCESS_ALLOW);
        for number in 1..PREFIXES {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&others);
            address[1..3].copy_from_slice(&number.to_be_bytes());
            rows.access.insert((ACCESS_FIXED_BITS + 24, AccessKey { service, address }), ACCESS_ALLOW);
        }
    }
}

/// Makes the outer sources of a service's reals differ by flow.
fn differ_by_flow(rows: &mut Rows, service: u32) {
    let Some(ring) = rows.rings.get(&service) else { return };
    for slot in ring.iter() {
        if let Some(real) = rows.reals.get_mut(&slot.real) {
            real.source_bits = 8;
        }
    }
}

/// Makes every slot of a ring look moved: its real's flows belonged to the next slot's real before.
fn change_slots(rows: &mut Rows, service: u32, slots: Slots) {
    let state = match slots {
        Slots::Remember => SLOT_REMEMBERS,
        Slots::Marked => SLOT_MARKED,
        Slots::Clean | Slots::None => return,
    };
    if let Some(ring) = rows.rings.get_mut(&service) {
        let next = ring.iter().skip(1).chain(ring.first()).map(|slot| slot.real);
        let changed = ring.iter().zip(next).map(|(slot, next)| Slot {
            real: slot.real,
            previous: if state == SLOT_REMEMBERS { next } else { NO_REAL },
            state,
            reserved: 0,
        });
        *ring = changed.collect::<Vec<_>>().into();
    }
}
