//! What the maps hold: services of every mode, their reals and rings.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context, Result, anyhow};
use lb_common::{NO_REAL, SLOT_MARKED, SLOT_REMEMBERS, Slot};
use lb_core::{
    pair,
    rows::{Rows, diff},
    service::{Cluster, Member, Ports, Protocol, Real, Service},
    table::{NextHop, SchedulingTable, TableOptions},
};
use lb_daemon::dataplane::{Dataplane, FlowEvents, LeaseMap};

use crate::{
    case::{FRONTS, Front, Slots},
    frame::PORT,
};

/// Reals of each family; all of them serve every service of that family.
const REALS: u8 = 100;
/// The interface that BPF_PROG_TEST_RUN takes frames to come in by: they leave by it too.
const LOOPBACK: u32 = 1;
const MTU: u32 = 1_500;

/// Which ids the bench's services and reals got, and the lease.
pub struct World {
    services: HashMap<String, u32>,
    /// Every real's id.
    pub reals: Vec<u16>,
    lease: LeaseMap,
    flow_events: FlowEvents,
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
        }
        dataplane.apply(&diff(&Rows::default(), &rows)).context("cannot fill the maps")?;
        let reals = table.reals().map(|view| view.id).collect();
        Ok(Self { services, reals, lease: dataplane.lease_map()?, flow_events: dataplane.flow_events()? })
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
    let reals = [false, true].into_iter().flat_map(|v6| (1..=REALS).map(move |number| real(v6, number)));
    let services = FRONTS.iter().map(service).collect();
    let cluster = Cluster::new(services, reals.collect())
        .map_err(|errors| anyhow!("the bench's services are wrong: {errors:?}"))?;
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(cluster, 0)?;
    for v6 in [false, true] {
        for number in 1..=REALS {
            table.set_next_hop(&name(v6, number), Some(next_hop(v6, number)))?;
        }
    }
    Ok(table)
}

fn service(front: &Front) -> Service {
    let member = |number| Member { real: name(front.reals_v6, number), weight: None, port: None };
    Service {
        name: front.service.to_owned(),
        vip: front.vip,
        protocol: Protocol::Tcp,
        ports: Ports::Single(PORT),
        mode: front.mode,
        reals: (1..=REALS).map(member).collect(),
    }
}

fn real(v6: bool, number: u8) -> Real {
    Real { name: name(v6, number), address: address(v6, number), weight: lb_core::service::DEFAULT_WEIGHT }
}

fn name(v6: bool, number: u8) -> String {
    format!("{}-{number}", if v6 { "v6" } else { "v4" })
}

fn address(v6: bool, number: u8) -> IpAddr {
    if v6 {
        return Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number.into()).into();
    }
    Ipv4Addr::new(198, 51, 100, number).into()
}

fn next_hop(v6: bool, number: u8) -> NextHop {
    NextHop {
        ifindex: LOOPBACK,
        next_hop_mac: [0x02, 0, 0, 1, u8::from(v6), number],
        source_mac: [0x02, 0, 0, 2, 0, 0],
        tunnel_source: address(v6, u8::MAX),
        mtu: MTU,
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
