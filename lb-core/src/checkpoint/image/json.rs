//! An image as JSON, for people and their tools: ids are the owner's, addresses are text. docs/reference/checkpoint.md describes it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{FlowKey, NO_REAL, RING_SLOTS, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, ServiceKey, Slot};
use serde::{Deserialize, Serialize};

use super::Image;
use crate::{
    checkpoint::{self, Entry, FlowEntry, RealEntry, RingEntry, ServiceEntry},
    monitoring::Scheduling,
    rows::{address_bytes, address_of},
    service::{PortsError, Protocol, is_name},
    table::{AdminState, Fallback, Learned, RealPlan, ServicePlan},
};

/// All of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Which instant it shows, in milliseconds since 1970.
    pub unix_ms: u64,
    /// By id.
    pub services: Vec<Service>,
    /// By id.
    pub reals: Vec<Real>,
    /// By service.
    pub rings: Vec<Ring>,
    /// Sorted.
    pub flows: Vec<Flow>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its VIP.
    pub vip: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its ports: `443`, `8000-8099`, `any`.
    pub ports: String,
    /// What becomes of a packet that no real is there for.
    #[serde(with = "FallbackForm")]
    pub fallback: Fallback,
    /// Whether factors count.
    #[serde(with = "SchedulingForm")]
    pub scheduling: Scheduling,
    /// Members that get no new flows of it.
    pub without: BTreeSet<String>,
}

/// A real.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Real {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// What the operator wants of it.
    pub admin: AdminState,
    /// The operator's weight for it.
    pub weight: Option<u32>,
    /// What is planned of it.
    #[serde(with = "PlanForm")]
    pub plan: RealPlan,
    /// What was learned of it.
    pub learned: Learned,
    /// Its smoothed load.
    pub load: Option<Load>,
}

/// How loaded a real is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// 1 is all that it can do.
    pub utilisation: f32,
    /// Hits a second.
    pub hits: Option<f32>,
}

/// A ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ring {
    /// The service's id.
    pub service: u16,
    /// Of each slot the id of its real; 0: none.
    pub slots: Vec<u16>,
    /// The slots that are not clean, by rising index.
    pub exceptions: Vec<Exception>,
}

/// A slot that is not clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its index.
    pub index: u32,
    /// What it is.
    #[serde(flatten)]
    pub state: State,
    /// For how long, in milliseconds.
    pub age_ms: u64,
}

/// What a slot is that is not clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Older flows go to its previous real.
    Remembers {
        /// That one's id.
        previous: u16,
    },
    /// The flow table is asked.
    Marked,
}

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// The service's id.
    pub service: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Client and port.
    pub client: SocketAddr,
    /// VIP and port.
    pub vip: SocketAddr,
    /// Where its packets go.
    pub real: u16,
}

/// Why JSON is no image.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// A name is none.
    #[error("{0:?} is no name of a service or real: names are letters, digits, dots, underscores and hyphens")]
    Name(String),
    /// Ports of a service are none.
    #[error("ports of service {service:?}: {error}")]
    Ports {
        /// The service's name.
        service: String,
        /// What is wrong.
        error: PortsError,
    },
    /// A load is none.
    #[error("the load of real {0:?} is less than nothing; leave `load` out where it is not known")]
    Load(String),
    /// A ring is too long.
    #[error("the ring of service {service} has {slots} slots, and rings have {RING_SLOTS} at most")]
    RingLength {
        /// The service's id.
        service: u16,
        /// How many slots.
        slots: usize,
    },
    /// Exceptions of a ring are not in order.
    #[error("exception {index} of the ring of service {service} is beyond its end, or not after the one before it")]
    Exception {
        /// The service's id.
        service: u16,
        /// The slot's index.
        index: u32,
    },
    /// Client and VIP do not fit.
    #[error("a flow from {client} cannot lead to {vip}: the one is IPv4 and the other IPv6")]
    Family {
        /// The client.
        client: SocketAddr,
        /// The VIP.
        vip: SocketAddr,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Fallback", rename_all = "lowercase")]
enum FallbackForm {
    Drop,
    Reset,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scheduling", rename_all = "lowercase")]
enum SchedulingForm {
    Load,
    Static,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RealPlan")]
struct PlanForm {
    factor: u32,
    eased: u32,
    alive: bool,
    hot: bool,
    no_new_flows: bool,
}

impl Image {
    /// The image for JSON.
    #[must_use]
    pub fn to_json(&self) -> Content {
        let mut flows: Vec<Flow> = self.flows().filter_map(|flow| Flow::of(&flow)).collect();
        flows.sort_unstable();
        Content {
            unix_ms: self.unix_ms,
            services: self.services.values().map(Service::of).collect(),
            reals: self.reals.values().map(Real::of).collect(),
            rings: self.rings.iter().map(|(&id, ring)| Ring::of(&ring.entry(id, self.unix_ms))).collect(),
            flows,
        }
    }

    /// The inverse of [`Image::to_json`].
    ///
    /// # Errors
    ///
    /// It is no image: the first thing that cannot be is told.
    pub fn from_json(content: &Content) -> Result<Self, ImportError> {
        let mut image = Self::default();
        image.at(content.unix_ms);
        for service in &content.services {
            image.apply(&Entry::Service(service.entry()?));
        }
        for real in &content.reals {
            image.apply(&Entry::Real(real.entry()?));
        }
        for ring in &content.rings {
            image.apply(&Entry::Ring(ring.entry()?));
        }
        let flows: Vec<FlowEntry> = content.flows.iter().map(Flow::entry).collect::<Result<_, _>>()?;
        image.apply(&Entry::Remembered(flows));
        Ok(image)
    }
}

impl Service {
    fn of(service: &ServiceEntry) -> Self {
        let ServiceEntry { id, name, vip, protocol, ports, plan } = service.clone();
        let ServicePlan { fallback, scheduling, without } = plan;
        Self { id, name, vip, protocol, ports: ports.to_string(), fallback, scheduling, without }
    }

    fn entry(&self) -> Result<ServiceEntry, ImportError> {
        let Self { id, name, vip, protocol, ports, fallback, scheduling, without } = self.clone();
        let ports = ports.parse().map_err(|error| ImportError::Ports { service: name.clone(), error })?;
        let plan = ServicePlan { fallback, scheduling, without: names(without)? };
        Ok(ServiceEntry { id, name: named(name)?, vip, protocol, ports, plan })
    }
}

impl Real {
    fn of(real: &RealEntry) -> Self {
        let RealEntry { id, name, address, admin, weight, plan, learned, load } = real.clone();
        let load = load.map(|checkpoint::Load { utilisation, hits }| Load { utilisation, hits });
        Self { id, name, address, admin, weight, plan, learned, load }
    }

    fn entry(&self) -> Result<RealEntry, ImportError> {
        let Self { id, name, address, admin, weight, plan, learned, load } = self.clone();
        let load = load.map(|Load { utilisation, hits }| checkpoint::Load { utilisation, hits });
        if load.is_some_and(|load| load.in_numbers() != Some(load)) {
            return Err(ImportError::Load(name));
        }
        let learned = Learned { down: names(learned.down)?, ..learned };
        Ok(RealEntry { id, name: named(name)?, address, admin, weight, plan, learned, load })
    }
}

impl Ring {
    fn of(ring: &RingEntry) -> Self {
        let exception = |&(index, age_ms): &(u32, u64)| {
            let slot = ring.slots.get(index as usize)?;
            Some(Exception { index, state: State::of(*slot)?, age_ms })
        };
        Self {
            service: ring.service,
            slots: ring.slots.iter().map(|slot| slot.real).collect(),
            exceptions: ring.ages_ms.iter().filter_map(exception).collect(),
        }
    }

    fn entry(&self) -> Result<RingEntry, ImportError> {
        let service = self.service;
        if self.slots.len() > RING_SLOTS as usize {
            return Err(ImportError::RingLength { service, slots: self.slots.len() });
        }
        let clean = |&real: &u16| Slot { real, previous: NO_REAL, state: SLOT_CLEAN, reserved: 0 };
        let mut slots: Vec<Slot> = self.slots.iter().map(clean).collect();
        let mut ages_ms: Vec<(u32, u64)> = Vec::with_capacity(self.exceptions.len());
        for &Exception { index, state, age_ms } in &self.exceptions {
            let is_next = ages_ms.last().is_none_or(|(last, _)| *last < index);
            let slot = slots.get_mut(index as usize).filter(|_| is_next);
            let slot = slot.ok_or(ImportError::Exception { service, index })?;
            (slot.state, slot.previous) = state.numbers();
            ages_ms.push((index, age_ms));
        }
        Ok(RingEntry { service, slots: Arc::from(slots), ages_ms: Arc::from(ages_ms) })
    }
}

impl State {
    fn of(slot: Slot) -> Option<Self> {
        match slot.state {
            SLOT_REMEMBERS => Some(Self::Remembers { previous: slot.previous }),
            SLOT_MARKED => Some(Self::Marked),
            _ => None,
        }
    }

    fn numbers(self) -> (u16, u16) {
        match self {
            Self::Remembers { previous } => (SLOT_REMEMBERS, previous),
            Self::Marked => (SLOT_MARKED, NO_REAL),
        }
    }
}

impl Flow {
    /// Nothing for a key that no packet can have made.
    fn of(flow: &FlowEntry) -> Option<Self> {
        let FlowEntry { key, service, real } = flow;
        let protocol = Protocol::of(key.service.protocol)?;
        let client = SocketAddr::new(address_of(&key.client, key.service.family)?, key.client_port);
        let vip = SocketAddr::new(address_of(&key.service.vip, key.service.family)?, key.service.port);
        Some(Self { service: *service, protocol, client, vip, real: *real })
    }

    fn entry(&self) -> Result<FlowEntry, ImportError> {
        let &Self { service, protocol, client, vip, real } = self;
        let ((client_bytes, family), (vip_bytes, vip_family)) = (address_bytes(client.ip()), address_bytes(vip.ip()));
        if family != vip_family {
            return Err(ImportError::Family { client, vip });
        }
        let front = ServiceKey { vip: vip_bytes, port: vip.port(), protocol: protocol.number(), family };
        let key = FlowKey { client: client_bytes, service: front, client_port: client.port(), reserved: 0 };
        Ok(FlowEntry { key, service, real })
    }
}

fn named(name: String) -> Result<String, ImportError> {
    if is_name(&name) { Ok(name) } else { Err(ImportError::Name(name)) }
}

fn names(names: BTreeSet<String>) -> Result<BTreeSet<String>, ImportError> {
    names.into_iter().map(named).collect()
}
