//! A new configuration: who keeps an id and a ring, who gets new ones.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    AdminState, Adopted, IdCursor, Plan, RealEntry, RealPlan, SchedulingTable, ServiceEntry, TableError,
    rings::{Edits, Heat, claims, in_line, shares},
};
use crate::{
    ring::{RealIds, Ring},
    service::{Cluster, Real, Service},
};

impl SchedulingTable {
    /// Takes over a configuration. Services and reals that keep their names keep their ids, rings and administrative
    /// state; a real whose address differs is a new one, but for what the operator wants of it. Rings are edited with
    /// the fewest moves; new ones are filled with Maglev. The plan in use stays, for those who stay.
    ///
    /// # Errors
    ///
    /// [`TableError::TooManyReals`], [`TableError::TooManyServices`].
    pub fn replace(&mut self, cluster: Cluster, now_ms: u64) -> Result<(), TableError> {
        self.replace_with_plan(cluster, Self::plan, now_ms)
    }

    /// [`replace`](Self::replace) and [`set_plan`](Self::set_plan) in one: no slot goes to a real first that the plan then takes it
    /// from. `plan` is given the table as it is with the new configuration, but for its rings, which are edited by what it returns.
    ///
    /// # Errors
    ///
    /// As those of [`replace`](Self::replace); `plan` is not called then.
    pub fn replace_with_plan(
        &mut self,
        cluster: Cluster,
        plan: impl FnOnce(&Self) -> Plan,
        now_ms: u64,
    ) -> Result<(), TableError> {
        let adopted = self.adopted.clone();
        let adopted = adopted.as_deref();
        let (mut real_ids, mut service_ids) = (self.real_ids, self.service_ids);
        let reals = self.next_reals(&cluster, adopted, &mut real_ids)?;
        let services = self.next_services(&cluster, adopted, &mut service_ids)?;
        let known = self.known_ids(&reals, adopted);
        let before = adopted.map_or_else(|| Cow::Owned(self.rows()), |adopted| Cow::Borrowed(adopted.rows()));

        let configured_before = std::mem::replace(&mut self.cluster, Arc::new(cluster));
        self.reals = reals;
        self.services = services;
        self.real_ids = real_ids;
        self.service_ids = service_ids;
        self.adopted = None;
        self.hand_rings_on(&configured_before);
        self.find_former(&before);
        let plan = plan(self);
        let cooled = self.take_plan(&plan).cooled;
        let heat = Heat { hot: self.hot_ids(), cooled };
        self.edit_all_rings(&known, &heat, now_ms);
        self.follow_leaders();
        self.generation += 1;
        Ok(())
    }

    fn next_reals(
        &self,
        cluster: &Cluster,
        adopted: Option<&Adopted>,
        cursor: &mut IdCursor,
    ) -> Result<BTreeMap<String, RealEntry>, TableError> {
        let is_same = |entry: &RealEntry, real: &Real| {
            entry.address == real.address && adopted.is_none_or(|maps| maps.has_real(entry.id, entry.address))
        };
        let mut next = BTreeMap::new();
        let mut newcomers: Vec<&Real> = Vec::new();
        for real in cluster.reals() {
            match self.reals.get(&real.name).filter(|entry| is_same(entry, real)) {
                Some(entry) => {
                    next.insert(real.name.clone(), entry.clone());
                }
                None => newcomers.push(real),
            }
        }
        let in_maps = adopted.into_iter().flat_map(Adopted::real_ids);
        let earlier = self.reals.values().map(|entry| entry.id).chain(in_maps).map(u32::from);
        let mut ids = Ids::new(cursor, next.values().map(|entry| entry.id.into()), earlier);
        // By name, so that ids do not depend on the order of the file.
        newcomers.sort_unstable_by_key(|real| &real.name);
        for real in newcomers {
            let entry = self.new_real(real, adopted, &mut ids)?;
            next.insert(real.name.clone(), entry);
        }
        Ok(next)
    }

    /// A real that is not known to be the same as before. What the operator wants of its name still counts. At a
    /// restart the maps may know it by its address, or else its saved id can be used.
    fn new_real(&self, real: &Real, adopted: Option<&Adopted>, ids: &mut Ids<'_>) -> Result<RealEntry, TableError> {
        let saved = self.reals.get(&real.name);
        let (admin, weight) = saved.map_or((AdminState::Enabled, None), |entry| (entry.admin, entry.weight));
        let plan =
            saved.filter(|entry| entry.address == real.address).map_or_else(RealPlan::default, |entry| entry.plan);
        let in_maps = adopted.and_then(|maps| maps.real_at(real.address)).filter(|(id, _)| ids.claim((*id).into()));
        let at_rest = saved.filter(|entry| adopted.is_some() && entry.address == real.address);
        let (id, next_hop) = match (in_maps, at_rest) {
            (Some(found), _) => found,
            (None, Some(entry)) if ids.claim(entry.id.into()) => (entry.id, None),
            // Real ids are below LIMIT_MAX_REALS, so they fit.
            _ => (ids.hand_out().map_err(|max| TableError::TooManyReals { max })? as u16, None),
        };
        Ok(RealEntry { id, address: real.address, admin, weight, next_hop, plan })
    }

    fn next_services(
        &self,
        cluster: &Cluster,
        adopted: Option<&Adopted>,
        cursor: &mut IdCursor,
    ) -> Result<BTreeMap<String, ServiceEntry>, TableError> {
        let mut next = BTreeMap::new();
        let mut newcomers: Vec<&Service> = Vec::new();
        for service in cluster.services() {
            let is_same = adopted.is_none_or(|maps| maps.has_service(&service.name));
            match self.services.get(&service.name).filter(|_| is_same) {
                Some(entry) => {
                    next.insert(service.name.clone(), entry.clone());
                }
                None => newcomers.push(service),
            }
        }
        let in_maps = adopted.into_iter().flat_map(Adopted::service_ids);
        let earlier = self.services.values().map(|entry| entry.id).chain(in_maps);
        let mut ids = Ids::new(cursor, next.values().map(|entry| entry.id), earlier);
        newcomers.sort_unstable_by_key(|service| &service.name);
        for service in newcomers {
            let entry = self.new_service(service, adopted, &mut ids)?;
            next.insert(service.name.clone(), entry);
        }
        Ok(next)
    }

    /// A service that is not known to be the same as before. At a restart the maps may know it by its VIP, protocol and
    /// ports, or else its saved id can be used.
    fn new_service(
        &self,
        service: &Service,
        adopted: Option<&Adopted>,
        ids: &mut Ids<'_>,
    ) -> Result<ServiceEntry, TableError> {
        let in_maps = adopted.and_then(|maps| maps.service_behind(service)).filter(|entry| ids.claim(entry.id));
        if let Some(entry) = in_maps {
            return Ok(entry);
        }
        let id = match self.services.get(&service.name) {
            Some(saved) if ids.claim(saved.id) => saved.id,
            _ => ids.hand_out().map_err(|max| TableError::TooManyServices { max })?,
        };
        Ok(ServiceEntry::new(id, self.blank.clone()))
    }

    /// The ids that stand for the same server as when the slots were written.
    fn known_ids(&self, next: &BTreeMap<String, RealEntry>, adopted: Option<&Adopted>) -> RealIds {
        let is_known = |name: &str, entry: &RealEntry| match adopted {
            Some(maps) => maps.has_real(entry.id, entry.address),
            None => self.reals.get(name).is_some_and(|was| was.id == entry.id && was.address == entry.address),
        };
        next.iter().filter(|(name, entry)| is_known(name, entry)).map(|(_, entry)| entry.id).collect()
    }

    fn edit_all_rings(&mut self, known: &RealIds, heat: &Heat, now_ms: u64) {
        let cluster = self.cluster.clone();
        let timeouts = self.idle_timeouts_ms();
        let (mut purged, mut edits) = (Edits::default(), Edits::default());
        // Services with the same reals and weights have the same first filling, and share it, also with those that have been left with it.
        let mut fillings: HashMap<_, Arc<Ring>> = HashMap::new();
        let mut blank = Vec::new();
        for service in cluster.services() {
            let Some(entry) = self.services.get_mut(&service.name) else { continue };
            purged.make(&mut entry.ring, (), |ring| ring.without_strangers(known, now_ms));
            let shares = shares(&cluster, &self.reals, service, &entry.plan);
            let kind = (claims(&shares), timeouts.get(&entry.id).copied());
            if entry.ring.is_blank() {
                blank.push((service, kind));
                continue;
            }
            edits.make(&mut entry.ring, kind.clone(), |ring| in_line(ring, &shares, heat, now_ms));
            fillings.entry(kind).or_insert_with(|| entry.ring.clone());
        }
        // Whole rings are compared once for all services that would share them. They are kept, so that none that is made meanwhile has the
        // address of one.
        let mut compared: HashMap<(*const Ring, *const Ring), (Arc<Ring>, bool)> = HashMap::new();
        for (service, kind) in blank {
            let Some(entry) = self.services.get_mut(&service.name) else { continue };
            let shares = shares(&cluster, &self.reals, service, &entry.plan);
            let was = entry.ring.clone();
            edits.make(&mut entry.ring, kind.clone(), |ring| in_line(ring, &shares, heat, now_ms));
            let shared = fillings.entry(kind).or_insert_with(|| entry.ring.clone());
            if Arc::ptr_eq(shared, &entry.ring) || Arc::ptr_eq(&was, &entry.ring) {
                continue;
            }
            let pair = (Arc::as_ptr(shared), Arc::as_ptr(&entry.ring));
            let (_, is_equal) = compared.entry(pair).or_insert_with(|| (entry.ring.clone(), **shared == *entry.ring));
            if *is_equal {
                entry.ring = shared.clone();
            }
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
        let avoid = used.iter().copied().chain(earlier).filter(|id| cursor.covers(*id)).collect();
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
