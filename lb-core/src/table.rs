//! The scheduling table: every service and real with its id, administrative state, weight, next hop and ring.
//!
//! A change is made on a clone, so that all of it happens or nothing:
//!
//! ```text
//! let mut next = table.clone();
//! next.set_admin("web1", AdminState::Drained, now_ms)?;
//! dataplane.apply(&diff(&table.rows(), &next.rows()))?;
//! table = next;
//! ```
//!
//! Services and reals are known by name. What keeps its name keeps its id, and with it its counters and its place in the
//! flow table and the rings, over reloads and restarts. A real whose address changes is another server, though: it gets a new id,
//! and only the operator's wishes (administrative state, weight) stay with the name.

mod checkpoint;
mod group;
mod guards;
mod ids;
mod nat;
mod plan;
mod quic;
mod replace;
mod restore;
mod rings;
mod view;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use lb_common::{DEFAULT_MAX_REALS, RING_SLOTS, ServiceOptions, Slot, VipValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use checkpoint::{Followed, RealKnown, Translation};
pub use plan::{Fallback, Plan, RealPlan, ServicePlan};
pub use restore::{Learned, RestoreError, SAVED_STATE_VERSION, SavedReal, SavedService, SavedState};
pub use view::{MemberView, RealView, ServiceView};

use crate::{
    ring::Ring,
    rows::{Rows, real_row, vip_key},
    service::{Cluster, MAX_WEIGHT, Real, Service},
};
use ids::IdCursor;
use restore::Adopted;

/// `flow_idle_timeout` unless configured: as long as IPVS keeps an idle TCP connection.
pub const DEFAULT_FLOW_IDLE_TIMEOUT_MS: u64 = 15 * 60 * 1_000;
/// How long a TCP handshake may take: longer than Linux repeats its SYN-ACK.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 65_000;

/// What bounds a scheduling table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Real ids are below it; at most [`lb_common::LIMIT_MAX_REALS`]. Id 0 is no real.
    pub max_reals: u32,
    /// A flow that is silent this long may be forgotten, in milliseconds.
    pub flow_idle_timeout_ms: u64,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { max_reals: DEFAULT_MAX_REALS, flow_idle_timeout_ms: DEFAULT_FLOW_IDLE_TIMEOUT_MS }
    }
}

/// What an operator wants of a real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// Serves flows.
    #[default]
    Enabled,
    /// Gets no new flows, keeps those that it has.
    Drained,
    /// Gets no packets at all.
    Disabled,
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enabled => "enabled",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
        })
    }
}

/// The way to a real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The interface that packets leave by.
    pub ifindex: u32,
    /// MAC address of the real, or of the gateway towards it.
    pub next_hop_mac: [u8; 6],
    /// MAC address of the interface.
    pub source_mac: [u8; 6],
    /// Outer source address in the tunnel modes, unless it differs by flow: of the real's family, or unspecified where no tunnel is needed.
    pub tunnel_source: IpAddr,
    /// The largest IP packet that the way carries, in bytes, outer headers counted.
    pub mtu: u32,
}

/// Why a change of the table was refused. The table is as before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// No real has the name.
    #[error("there is no real {name:?}")]
    UnknownReal {
        /// The name.
        name: String,
    },
    /// The weight is too great.
    #[error("weight {weight} for real {name:?} is too great; give one from 0 to {MAX_WEIGHT}")]
    Weight {
        /// The real's name.
        name: String,
        /// The weight.
        weight: u32,
    },
    /// The tunnel's source has not the real's family.
    #[error("real {name:?} has the address {address}, and a tunnel cannot lead there from {tunnel_source}")]
    TunnelSource {
        /// The real's name.
        name: String,
        /// Its address.
        address: IpAddr,
        /// The source.
        tunnel_source: IpAddr,
    },
    /// More reals than ids.
    #[error("there are more than {max} reals; remove some, or raise max_reals")]
    TooManyReals {
        /// How many ids there are.
        max: u32,
    },
    /// More services than ids.
    #[error("there are more than {max} services; remove some")]
    TooManyServices {
        /// How many ids there are.
        max: u32,
    },
}

/// Services and reals with what is decided about them. See the module's own page.
#[derive(Clone, Debug)]
pub struct SchedulingTable {
    options: TableOptions,
    generation: u64,
    cluster: Arc<Cluster>,
    services: BTreeMap<String, ServiceEntry>,
    reals: BTreeMap<String, RealEntry>,
    service_ids: IdCursor,
    real_ids: IdCursor,
    /// What the maps held at a restart, until the first configuration says what of it is still wanted.
    adopted: Option<Arc<Adopted>>,
    /// [`RING_SLOTS`], but in tests.
    ring_slots: u32,
    /// The ring that a service begins with.
    blank: Arc<Ring>,
}

#[derive(Clone, Debug)]
struct ServiceEntry {
    id: u32,
    ring: Arc<Ring>,
    plan: ServicePlan,
    /// In `nat` mode: reals that were members, and their ports in the rows.
    former: Arc<BTreeMap<String, u16>>,
    /// It is under a SYN flood.
    flooded: bool,
}

impl ServiceEntry {
    fn new(id: u32, ring: Arc<Ring>) -> Self {
        Self { id, ring, plan: ServicePlan::default(), former: Arc::default(), flooded: false }
    }
}

#[derive(Clone, Debug)]
struct RealEntry {
    id: u16,
    address: IpAddr,
    admin: AdminState,
    /// Stands in for every configured weight of the real.
    weight: Option<u32>,
    next_hop: Option<NextHop>,
    plan: RealPlan,
}

impl SchedulingTable {
    /// A table without services and reals, of generation 0.
    #[must_use]
    pub fn new(options: TableOptions) -> Self {
        Self::with_ring_slots(options, RING_SLOTS)
    }

    pub(crate) fn with_ring_slots(options: TableOptions, ring_slots: u32) -> Self {
        Self {
            options,
            generation: 0,
            cluster: Arc::default(),
            services: BTreeMap::new(),
            reals: BTreeMap::new(),
            service_ids: IdCursor::services(),
            real_ids: IdCursor::reals(options.max_reals),
            adopted: None,
            ring_slots,
            blank: Arc::new(Ring::blank(ring_slots)),
        }
    }

    /// Grows with each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is configured.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What bounds the table.
    #[must_use]
    pub fn options(&self) -> &TableOptions {
        &self.options
    }

    /// Changes `flow_idle_timeout`, in milliseconds. It counts for slots that remember already, too.
    pub fn set_flow_idle_timeout(&mut self, timeout_ms: u64) {
        if self.options.flow_idle_timeout_ms != timeout_ms {
            self.options.flow_idle_timeout_ms = timeout_ms;
            self.generation += 1;
        }
    }

    /// Sets what the operator wants of a real.
    ///
    /// # Errors
    ///
    /// [`TableError::UnknownReal`].
    pub fn set_admin(&mut self, real: &str, admin: AdminState, now_ms: u64) -> Result<(), TableError> {
        let entry = self.entry(real)?;
        if entry.admin != admin {
            entry.admin = admin;
            self.edit_rings_with(real, now_ms);
            self.generation += 1;
        }
        Ok(())
    }

    /// Sets the weight of a real in all services, in place of those that are configured; `None`: the configured ones.
    ///
    /// # Errors
    ///
    /// [`TableError::UnknownReal`], [`TableError::Weight`].
    pub fn set_weight(&mut self, real: &str, weight: Option<u32>, now_ms: u64) -> Result<(), TableError> {
        let entry = self.entry(real)?;
        if let Some(weight) = weight.filter(|&weight| weight > MAX_WEIGHT) {
            return Err(TableError::Weight { name: real.to_owned(), weight });
        }
        if entry.weight != weight {
            entry.weight = weight;
            self.edit_rings_with(real, now_ms);
            self.generation += 1;
        }
        Ok(())
    }

    /// Sets the way to a real; `None`: there is none.
    ///
    /// # Errors
    ///
    /// [`TableError::UnknownReal`], [`TableError::TunnelSource`].
    pub fn set_next_hop(&mut self, real: &str, next_hop: Option<NextHop>) -> Result<(), TableError> {
        let entry = self.entry(real)?;
        let address = entry.address;
        let fits = |source: IpAddr| source.is_unspecified() || source.is_ipv4() == address.is_ipv4();
        if let Some(NextHop { tunnel_source, .. }) = next_hop.filter(|hop| !fits(hop.tunnel_source)) {
            return Err(TableError::TunnelSource { name: real.to_owned(), address, tunnel_source });
        }
        if entry.next_hop != next_hop {
            entry.next_hop = next_hop;
            self.generation += 1;
        }
        Ok(())
    }

    /// After how long without a packet the flows of services with a timeout of their own are forgotten, in milliseconds, by service id.
    #[must_use]
    pub fn idle_timeouts_ms(&self) -> BTreeMap<u32, u64> {
        let own = |service: &Service| service.affinity.as_ref()?.timeout_ms;
        self.configured_services().filter_map(|(service, entry)| Some((entry.id, own(service)?))).collect()
    }

    /// Lets slots that have remembered for `flow_idle_timeout`, or for the timeout of their service's affinity, forget their previous
    /// real: they are only marked from then on. Returns how many.
    pub fn expire(&mut self, now_ms: u64) -> u32 {
        let (timeout_ms, own) = (self.options.flow_idle_timeout_ms, self.idle_timeouts_ms());
        let timeout_of = |id: u32| own.get(&id).copied().unwrap_or(timeout_ms);
        self.change_rings(timeout_of, |timeout_ms, ring| {
            let next = ring.expired(timeout_ms, now_ms)?;
            Some((ring.tally().remembers - next.tally().remembers, next))
        })
    }

    /// Makes marked slots clean that no remembered flow needs any more, but for those of hot reals. Returns how many.
    ///
    /// `in_use` names service id and slot of every entry of the flow table, and `now_ms` is when the look at that table
    /// *began*. A slot must have been marked for as long as a handshake may take before that: a flow whose SYN came while the
    /// slot still remembered is written to the flow table only when its handshake goes on.
    pub fn flows_in_use(&mut self, in_use: &HashSet<(u16, u32)>, now_ms: u64) -> u32 {
        let wait_ms = HANDSHAKE_TIMEOUT_MS.min(self.options.flow_idle_timeout_ms);
        let Some(marked_at_ms) = now_ms.checked_sub(wait_ms) else { return 0 };
        let hot = self.hot_ids();
        // Where services share a ring, a flow of one keeps the slot marked for all: they go on sharing it.
        let marked = self.services.values().filter(|entry| entry.ring.tally().marked > 0);
        let rings: HashMap<u32, *const Ring> = marked.map(|entry| (entry.id, Arc::as_ptr(&entry.ring))).collect();
        if rings.is_empty() {
            return 0;
        }
        let needed: HashSet<(*const Ring, u32)> =
            in_use.iter().filter_map(|&(id, slot)| Some((*rings.get(&id.into())?, slot))).collect();
        self.change_rings(
            |_| (),
            |(), ring| {
                let has_flow = |index| needed.contains(&(std::ptr::from_ref(ring), index));
                let is_needed = |index, slot: &Slot| hot.contains(slot.real) || has_flow(index);
                let next = ring.cleaned(is_needed, marked_at_ms)?;
                Some((ring.tally().marked - next.tally().marked, next))
            },
        )
    }

    /// The slot of a service's ring, by the service's id.
    #[must_use]
    pub fn slot(&self, service: u32, slot: u32) -> Option<Slot> {
        let entry = self.services.values().find(|entry| entry.id == service)?;
        entry.ring.slots().get(slot as usize).copied()
    }

    /// What the maps shall hold.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        for (service, entry) in self.configured_services() {
            rows.add_front(service, entry.id);
            rows.rings.insert(entry.id, entry.ring.slots().clone());
            let leader = self.leader_id(service).unwrap_or(entry.id);
            let options = guards::with_affinity(nat::options(service, entry), service, leader);
            let options = quic::with_quic(options, service);
            if options != ServiceOptions::default() {
                rows.service_options.insert(entry.id, options);
            }
        }
        rows.vips.extend(self.cluster.gateways().iter().map(|gateway| (vip_key(*gateway), VipValue::default())));
        for (_, entry) in self.configured_reals() {
            rows.reals.insert(
                entry.id,
                real_row(entry.address, entry.flags(), entry.next_hop.as_ref(), self.cluster.tunnel()),
            );
        }
        self.add_nat(&mut rows);
        self.add_guards(&mut rows);
        self.add_quic(&mut rows);
        rows
    }

    fn configured_services(&self) -> impl Iterator<Item = (&Service, &ServiceEntry)> {
        let services = self.cluster.services().iter();
        services.filter_map(|service| self.services.get(&service.name).map(|entry| (service, entry)))
    }

    fn configured_reals(&self) -> impl Iterator<Item = (&Real, &RealEntry)> {
        let reals = self.cluster.reals().iter();
        reals.filter_map(|real| self.reals.get(&real.name).map(|entry| (real, entry)))
    }

    fn entry(&mut self, real: &str) -> Result<&mut RealEntry, TableError> {
        let is_configured = self.cluster.real(real).is_some();
        let entry = self.reals.get_mut(real).filter(|_| is_configured);
        entry.ok_or_else(|| TableError::UnknownReal { name: real.to_owned() })
    }
}

#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;
