//! A new configuration: who keeps an id and a ring, who gets new ones.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{AdminState, Adopted, IdCursor, RealEntry, SchedulingTable, ServiceEntry, TableError, shares};
use crate::{
    ring::{RealIds, Ring},
    service::{Cluster, Real, Service},
};

impl SchedulingTable {
    /// Takes over a configuration. Services and reals that keep their names keep their ids, rings and administrative
    /// state; a real whose address differs is a new one, but for what the operator wants of it. Rings are edited with
    /// the fewest moves; new ones are filled with Maglev.
    ///
    /// # Errors
    ///
    /// [`TableError::TooManyReals`], [`TableError::TooManyServices`].
    pub fn replace(&mut self, cluster: Cluster, now_ms: u64) -> Result<(), TableError> {
        let adopted = self.adopted.clone().unwrap_or_default();
        let (mut real_ids, mut service_ids) = (self.real_ids, self.service_ids);
        let reals = self.next_reals(&cluster, &adopted, &mut real_ids)?;
        let services = self.next_services(&cluster, &adopted, &mut service_ids)?;
        let known = self.known_ids(&reals, &adopted);

        self.cluster = Arc::new(cluster);
        self.reals = reals;
        self.services = services;
        self.real_ids = real_ids;
        self.service_ids = service_ids;
        self.adopted = None;
        self.edit_all_rings(&known, now_ms);
        self.generation += 1;
        Ok(())
    }

    fn next_reals(
        &self,
        cluster: &Cluster,
        adopted: &Adopted,
        cursor: &mut IdCursor,
    ) -> Result<BTreeMap<String, RealEntry>, TableError> {
        let mut next = BTreeMap::new();
        let mut newcomers: Vec<(&Real, AdminState, Option<u32>)> = Vec::new();
        for real in cluster.reals() {
            match self.reals.get(&real.name) {
                Some(entry) if entry.address == real.address => {
                    next.insert(real.name.clone(), entry.clone());
                }
                Some(entry) => newcomers.push((real, entry.admin, entry.weight)),
                None => newcomers.push((real, AdminState::Enabled, None)),
            }
        }
        let earlier = self.reals.values().map(|entry| entry.id).chain(adopted.reals.keys().copied());
        let mut ids = Ids::new(cursor, next.values().map(|entry| entry.id.into()), earlier.map(u32::from));
        // By name, so that ids do not depend on the order of the file.
        newcomers.sort_unstable_by_key(|(real, ..)| &real.name);
        let saved: BTreeSet<u16> = self.reals.values().map(|entry| entry.id).collect();
        for (real, admin, weight) in newcomers {
            let found = adopted.real_at(real.address).filter(|(id, _)| !saved.contains(id) && ids.claim((*id).into()));
            let (id, next_hop) = match found {
                Some(found) => found,
                // Real ids are below LIMIT_MAX_REALS, so they fit.
                None => (ids.hand_out().map_err(|max| TableError::TooManyReals { max })? as u16, None),
            };
            next.insert(real.name.clone(), RealEntry { id, address: real.address, admin, weight, next_hop });
        }
        Ok(next)
    }

    fn next_services(
        &self,
        cluster: &Cluster,
        adopted: &Adopted,
        cursor: &mut IdCursor,
    ) -> Result<BTreeMap<String, ServiceEntry>, TableError> {
        let mut next = BTreeMap::new();
        let mut newcomers: Vec<&Service> = Vec::new();
        for service in cluster.services() {
            match self.services.get(&service.name) {
                Some(entry) => {
                    next.insert(service.name.clone(), entry.clone());
                }
                None => newcomers.push(service),
            }
        }
        let earlier = self.services.values().map(|entry| entry.id).chain(adopted.rings.keys().copied());
        let mut ids = Ids::new(cursor, next.values().map(|entry| entry.id), earlier);
        newcomers.sort_unstable_by_key(|service| &service.name);
        let saved: BTreeSet<u32> = self.services.values().map(|entry| entry.id).collect();
        let blank = Arc::new(Ring::blank(self.ring_slots));
        for service in newcomers {
            let found = adopted.service_behind(service).filter(|(id, _)| !saved.contains(id) && ids.claim(*id));
            let entry = match found {
                Some((id, ring)) => ServiceEntry { id, ring },
                None => {
                    let id = ids.hand_out().map_err(|max| TableError::TooManyServices { max })?;
                    ServiceEntry { id, ring: blank.clone() }
                }
            };
            next.insert(service.name.clone(), entry);
        }
        Ok(next)
    }

    /// The ids that stand for the same server as when the slots were written.
    fn known_ids(&self, next: &BTreeMap<String, RealEntry>, adopted: &Adopted) -> RealIds {
        let is_known = |name: &str, entry: &RealEntry| match self.adopted {
            Some(_) => adopted.agrees(entry.id, entry.address),
            None => self.reals.get(name).is_some_and(|was| was.id == entry.id && was.address == entry.address),
        };
        next.iter().filter(|(name, entry)| is_known(name, entry)).map(|(_, entry)| entry.id).collect()
    }

    fn edit_all_rings(&mut self, known: &RealIds, now_ms: u64) {
        // Services with the same reals and weights have the same first filling, and share it.
        let mut fillings: HashMap<Vec<(u16, u32)>, Arc<Ring>> = HashMap::new();
        let cluster = self.cluster.clone();
        for service in cluster.services() {
            let shares = shares(&cluster, &self.reals, service);
            let Some(entry) = self.services.get_mut(&service.name) else { continue };
            if let Some(ring) = entry.ring.without_strangers(known, now_ms) {
                entry.ring = Arc::new(ring);
            }
            let edit = |ring: &Arc<Ring>| ring.edited(&shares, now_ms).map_or_else(|| ring.clone(), Arc::new);
            entry.ring = if entry.ring.is_blank() {
                let key = shares.iter().map(|share| (share.real, share.weight)).collect();
                fillings.entry(key).or_insert_with(|| edit(&entry.ring)).clone()
            } else {
                edit(&entry.ring)
            };
        }
    }
}

/// The ids of one kind while newcomers get theirs.
struct Ids<'a> {
    cursor: &'a mut IdCursor,
    /// Kept or handed out.
    used: BTreeSet<u32>,
    /// Those, and the ones that this change gives back: they are handed out last.
    avoid: BTreeSet<u32>,
}

impl<'a> Ids<'a> {
    fn new(cursor: &'a mut IdCursor, kept: impl Iterator<Item = u32>, earlier: impl Iterator<Item = u32>) -> Self {
        let used: BTreeSet<u32> = kept.collect();
        let avoid = used.iter().copied().chain(earlier).collect();
        Self { cursor, used, avoid }
    }

    /// Takes this very id; false when it is used already, or not one that can be handed out.
    fn claim(&mut self, id: u32) -> bool {
        self.cursor.covers(id) && self.used.insert(id)
    }

    /// Takes the next free id; the error is how many ids there are.
    fn hand_out(&mut self) -> Result<u32, u32> {
        let id = self.cursor.allocate(&self.used, &self.avoid).ok_or(self.cursor.count())?;
        self.used.insert(id);
        self.avoid.insert(id);
        Ok(id)
    }
}
