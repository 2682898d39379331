//! What outlives the daemon: the saved state (ids and what the operator wants, by name), and what the maps still hold.
//!
//! The maps may have been written after the state was saved for the last time (on a full disk, say), or the state may be
//! lost. So a saved id counts when the maps agree: a real's row has the saved address, a service's rows lead to
//! the saved id. Where they do not, the maps are asked first, since they are what packets were served by: a real is
//! recognised there by its address, a service by VIP, protocol and ports. Then the saved id is used if it is free.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use lb_common::Slot;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AdminState, NextHop, RealEntry, RealPlan, SchedulingTable, ServiceEntry, TableOptions};
use crate::{
    monitor::SavedAgent,
    report::{Availability, Mark},
    ring::Ring,
    rows::{Rows, address_bytes, address_of, next_hop_of},
    scheduler::NEUTRAL_FACTOR,
    service::{Protocol, Service},
};

/// The version of [`SavedState`] that this program writes and reads.
pub const SAVED_STATE_VERSION: u32 = 1;

/// What a daemon saves for its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// [`SAVED_STATE_VERSION`] of the writer.
    pub version: u32,
    /// Of the table that was saved.
    pub generation: u64,
    /// Where the search for a free service id goes on.
    pub next_service_id: u32,
    /// Where the search for a free real id goes on.
    pub next_real_id: u32,
    /// Every service.
    pub services: Vec<SavedService>,
    /// Every real.
    pub reals: Vec<SavedReal>,
    /// What was learned of the reals, by name. It changes all the time, and what is not the newest does as well.
    #[serde(default)]
    pub learned: BTreeMap<String, Learned>,
}

/// No service and no real: the state of a first start.
impl Default for SavedState {
    fn default() -> Self {
        Self {
            version: SAVED_STATE_VERSION,
            generation: 0,
            next_service_id: 0,
            next_real_id: 1,
            services: Vec::new(),
            reals: Vec::new(),
            learned: BTreeMap::new(),
        }
    }
}

/// A service's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedService {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: u32,
    /// Its VIP.
    pub vip: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its ports, as text: `443`, `8000-8099`, `any`.
    pub ports: String,
}

/// A real's identity, and what the operator wants of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedReal {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: u16,
    /// Its address.
    pub address: IpAddr,
    /// Its administrative state.
    pub admin: AdminState,
    /// The operator's weight for it.
    pub weight: Option<u32>,
}

/// What was learned of a real while it was watched. Another version may not have known all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// Its load factor.
    pub factor: u32,
    /// Names of the services in which checks say that it is down.
    pub down: BTreeSet<String>,
    /// What it said of itself last.
    pub availability: Availability,
    /// What its agent said last.
    pub agent: Option<SavedAgent>,
    /// Its newest report: that one and older ones are not taken again.
    pub report: Option<Mark>,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            factor: NEUTRAL_FACTOR,
            down: BTreeSet::new(),
            availability: Availability::Alive,
            agent: None,
            report: None,
        }
    }
}

/// Why a saved state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Another version wrote it.
    #[error("the saved state has version {found}, and this program reads {SAVED_STATE_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Two services, or two reals, have the same name or id.
    #[error("the saved state contradicts itself: {what} is there twice")]
    Twice {
        /// What is there twice.
        what: String,
    },
}

/// What the maps held when the daemon started.
#[derive(Clone, Debug)]
pub(super) struct Adopted {
    rows: Rows,
    rings: BTreeMap<u32, Arc<Ring>>,
    /// Ids of reals by their addresses as rows have them; none where several have one.
    by_address: HashMap<([u8; 16], u8), Option<u16>>,
    /// Names of the saved services whose rows lead to their ids.
    confirmed: BTreeSet<String>,
}

impl Adopted {
    fn of(rows: &Rows, ring_slots: u32, now_ms: u64) -> Self {
        // Services that share a ring in the maps go on sharing it.
        let mut known: HashMap<*const Slot, Option<Arc<Ring>>> = HashMap::new();
        let mut ring = |slots: &Arc<[Slot]>| {
            let adopt = || Ring::adopted(slots, ring_slots, now_ms).map(Arc::new);
            known.entry(slots.as_ptr()).or_insert_with(adopt).clone()
        };
        let rings = rows.rings.iter().filter_map(|(&id, slots)| Some((id, ring(slots)?))).collect();
        let mut by_address = HashMap::new();
        for (&id, row) in &rows.reals {
            let several = by_address.contains_key(&(row.address, row.family));
            by_address.insert((row.address, row.family), (!several).then_some(id));
        }
        Self { rows: rows.clone(), rings, by_address, confirmed: BTreeSet::new() }
    }

    /// The rows that the maps held.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(super) fn real_ids(&self) -> impl Iterator<Item = u16> {
        self.rows.reals.keys().copied()
    }

    pub(super) fn service_ids(&self) -> impl Iterator<Item = u32> {
        self.rows.rings.keys().copied()
    }

    /// Whether the id stood for a real of this address.
    pub(super) fn has_real(&self, id: u16, address: IpAddr) -> bool {
        self.rows.reals.get(&id).is_some_and(|row| address_of(&row.address, row.family) == Some(address))
    }

    /// Id and next hop of the only real of this address.
    pub(super) fn real_at(&self, address: IpAddr) -> Option<(u16, Option<NextHop>)> {
        let id = (*self.by_address.get(&address_bytes(address))?)?;
        Some((id, next_hop_of(self.rows.reals.get(&id)?)))
    }

    /// Whether the rows of the saved service of this name led to its saved id.
    pub(super) fn has_service(&self, name: &str) -> bool {
        self.confirmed.contains(name)
    }

    /// The service of this VIP, protocol and ports.
    pub(super) fn service_behind(&self, service: &Service) -> Option<ServiceEntry> {
        let id = self.rows.id_behind(service.vip, service.protocol, service.ports)?;
        Some(ServiceEntry::new(id, self.rings.get(&id)?.clone()))
    }
}

impl SchedulingTable {
    /// The table of a daemon that was started again: `saved` by its predecessor, `adopted` from the maps (empty when
    /// they are new). It has no services or reals before the first [`replace`](Self::replace), which decides what of
    /// all this is still wanted; compare its rows with `adopted` to bring the maps in line.
    ///
    /// What slots that remember have lasted is not known; their time begins anew at `now_ms`.
    ///
    /// # Errors
    ///
    /// The saved state is of another version or contradicts itself. [`SavedState::default`] can be used in its place;
    /// then only what the maps tell is kept.
    pub fn restore(
        options: TableOptions,
        saved: SavedState,
        adopted: &Rows,
        now_ms: u64,
    ) -> Result<Self, RestoreError> {
        check(&saved)?;
        Ok(Self::new(options).with_past(saved, adopted, now_ms))
    }

    /// [`restore`](Self::restore) on an empty table, with a saved state that is known to be sound.
    pub(crate) fn with_past(self, saved: SavedState, adopted: &Rows, now_ms: u64) -> Self {
        let mut table = self;
        let mut adopted = Adopted::of(adopted, table.ring_slots, now_ms);
        table.generation = saved.generation;
        table.service_ids.resume_at(saved.next_service_id);
        table.real_ids.resume_at(saved.next_real_id);
        for real in saved.reals {
            let factor = saved.learned.get(&real.name).map_or(NEUTRAL_FACTOR, |learned| learned.factor);
            table.restore_real(real, factor, &adopted);
        }
        for service in saved.services {
            table.restore_service(service, &mut adopted);
        }
        table.adopted = Some(Arc::new(adopted));
        table
    }

    fn restore_real(&mut self, saved: SavedReal, factor: u32, adopted: &Adopted) {
        let SavedReal { name, id, address, admin, weight } = saved;
        if !self.real_ids.covers(id.into()) {
            return;
        }
        let row = adopted.rows.reals.get(&id).filter(|_| adopted.has_real(id, address));
        let next_hop = row.and_then(next_hop_of);
        let plan = RealPlan { factor, ..RealPlan::default() };
        self.reals.insert(name, RealEntry { id, address, admin, weight, next_hop, plan });
    }

    fn restore_service(&mut self, saved: SavedService, adopted: &mut Adopted) {
        let SavedService { name, id, vip, protocol, ports } = saved;
        if !self.service_ids.covers(id) {
            return;
        }
        let found = ports.parse().ok().and_then(|ports| adopted.rows.id_behind(vip, protocol, ports));
        let ring = match adopted.rings.get(&id).filter(|_| found == Some(id)) {
            Some(ring) => {
                adopted.confirmed.insert(name.clone());
                ring.clone()
            }
            None => self.blank.clone(),
        };
        self.services.insert(name, ServiceEntry::new(id, ring));
    }

    /// What a successor needs to know that the maps do not tell.
    #[must_use]
    pub fn saved(&self) -> SavedState {
        let services = self.configured_services().map(|(service, entry)| SavedService {
            name: service.name.clone(),
            id: entry.id,
            vip: service.vip,
            protocol: service.protocol,
            ports: service.ports.to_string(),
        });
        let reals = self.configured_reals().map(|(real, entry)| SavedReal {
            name: real.name.clone(),
            id: entry.id,
            address: entry.address,
            admin: entry.admin,
            weight: entry.weight,
        });
        let learned = self
            .configured_reals()
            .filter(|(_, entry)| entry.plan.factor != NEUTRAL_FACTOR)
            .map(|(real, entry)| (real.name.clone(), Learned { factor: entry.plan.factor, ..Learned::default() }));
        SavedState {
            version: SAVED_STATE_VERSION,
            generation: self.generation,
            next_service_id: self.service_ids.next(),
            next_real_id: self.real_ids.next(),
            services: services.collect(),
            reals: reals.collect(),
            learned: learned.collect(),
        }
    }
}

fn check(saved: &SavedState) -> Result<(), RestoreError> {
    if saved.version != SAVED_STATE_VERSION {
        return Err(RestoreError::Version { found: saved.version });
    }
    let mut seen = BTreeSet::new();
    let services =
        saved.services.iter().flat_map(|s| [format!("service {:?}", s.name), format!("service id {}", s.id)]);
    let reals = saved.reals.iter().flat_map(|r| [format!("real {:?}", r.name), format!("real id {}", r.id)]);
    match services.chain(reals).find(|what| !seen.insert(what.clone())) {
        Some(what) => Err(RestoreError::Twice { what }),
        None => Ok(()),
    }
}
