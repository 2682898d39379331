//! The rings of the table's services, brought in line with weights and plan.
//!
//! Services whose rings are equal share one, and go on sharing it while all of them are given the same change: an edit is made once for
//! the same ring and the same shares. A ring is never changed in place, so no service gets another's change.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use super::{RealEntry, SchedulingTable, ServicePlan};
use crate::{
    ring::{RealIds, Ring, Share},
    service::{Cluster, Service},
};

impl SchedulingTable {
    /// Brings the rings of all services that list the real in line with the weights.
    pub(super) fn edit_rings_with(&mut self, real: &str, now_ms: u64) {
        let lists_it = |service: &Service| service.reals.iter().any(|member| member.real == real);
        self.edit_rings(lists_it, RealIds::default(), now_ms);
    }

    /// Brings the rings of these services in line with weights and plan. `cooled` are the reals that are hot no more.
    pub(super) fn edit_rings(&mut self, which: impl Fn(&Service) -> bool, cooled: RealIds, now_ms: u64) {
        let cluster = self.cluster.clone();
        let heat = Heat { hot: self.hot_ids(), cooled };
        let mut edits = Edits::default();
        for service in cluster.services().iter().filter(|service| which(service)) {
            let Some(entry) = self.services.get_mut(&service.name) else { continue };
            let shares = shares(&cluster, &self.reals, service, &entry.plan);
            edits.make(&mut entry.ring, claims(&shares), |ring| in_line(ring, &shares, &heat, now_ms));
        }
        self.follow_leaders();
    }

    pub(super) fn hot_ids(&self) -> RealIds {
        self.reals.values().filter(|entry| entry.plan.hot).map(|entry| entry.id).collect()
    }

    /// Puts new rings in place of those for which `change` gives one; returns the sum of what it counts. It is asked once for services
    /// that share a ring and of which `kind` says the same.
    pub(super) fn change_rings<K: Copy + Eq + Hash>(
        &mut self,
        kind: impl Fn(u32) -> K,
        change: impl Fn(K, &Ring) -> Option<(u32, Ring)>,
    ) -> u32 {
        let (mut total, mut edits) = (0, Edits::default());
        for entry in self.services.values_mut() {
            let kind = kind(entry.id);
            let counted = edits.make(&mut entry.ring, kind, |ring| change(kind, ring));
            total += counted.unwrap_or_default();
        }
        self.follow_leaders();
        self.generation += u64::from(total > 0);
        total
    }
}

/// What changing a ring gives: the new one, and what there is to say of the change.
pub(super) trait Edited<T> {
    fn split(self) -> (Ring, T);
}

impl Edited<()> for Ring {
    fn split(self) -> (Self, ()) {
        (self, ())
    }
}

impl<T> Edited<T> for (T, Ring) {
    fn split(self) -> (Ring, T) {
        (self.1, self.0)
    }
}

/// A ring as it was, which is kept so that none that is made later can have its address; and what has become of it.
type Made<T> = (Arc<Ring>, Option<(Arc<Ring>, T)>);

/// Changes that have been made of rings, by ring and kind of change: who shares a ring and is to get the same shares the outcome.
pub(super) struct Edits<K, T> {
    made: HashMap<(*const Ring, K), Made<T>>,
}

impl<K, T> Default for Edits<K, T> {
    fn default() -> Self {
        Self { made: HashMap::new() }
    }
}

impl<K: Eq + Hash, T: Copy> Edits<K, T> {
    /// Changes a ring as `edit` says, or as it said for the same ring and kind before. Returns what it says of the change; none where there
    /// is none.
    pub(super) fn make<E: Edited<T>>(
        &mut self,
        ring: &mut Arc<Ring>,
        kind: K,
        edit: impl FnOnce(&Ring) -> Option<E>,
    ) -> Option<T> {
        let (_, made) = self.made.entry((Arc::as_ptr(ring), kind)).or_insert_with(|| {
            let made = edit(ring).map(Edited::split).map(|(next, said)| (Arc::new(next), said));
            (ring.clone(), made)
        });
        let (next, said) = made.as_ref()?;
        *ring = next.clone();
        Some(*said)
    }
}

/// What decides an edit of a ring: real ids and weights, in the order of names.
pub(super) fn claims(shares: &[Share<'_>]) -> Vec<(u16, u32)> {
    shares.iter().map(|share| (share.real, share.weight)).collect()
}

/// The claims on a service's ring, sorted by name.
pub(super) fn shares<'a>(
    cluster: &Cluster,
    reals: &BTreeMap<String, RealEntry>,
    service: &'a Service,
    plan: &ServicePlan,
) -> Vec<Share<'a>> {
    let mut shares: Vec<Share<'a>> = service
        .reals
        .iter()
        .filter_map(|member| {
            let entry = reals.get(&member.real)?;
            let configured = member.weight.or_else(|| cluster.real(&member.real).map(|real| real.weight))?;
            let weight = entry.share(configured, &member.real, plan);
            Some(Share { name: &member.real, real: entry.id, weight })
        })
        .collect();
    shares.sort_unstable_by_key(|share| share.name);
    shares
}

/// Which reals are hot, and which have been until now.
pub(super) struct Heat {
    pub(super) hot: RealIds,
    pub(super) cooled: RealIds,
}

/// The ring with its slots given out by these shares, and no clean slot with a hot real; `None` where it is so already.
pub(super) fn in_line(ring: &Ring, shares: &[Share<'_>], heat: &Heat, now_ms: u64) -> Option<Ring> {
    let cooled = ring.cooled(&heat.cooled, now_ms);
    let edited = cooled.as_ref().unwrap_or(ring).edited(shares, now_ms).or(cooled);
    let heated = edited.as_ref().unwrap_or(ring).heated(&heat.hot, now_ms);
    heated.or(edited)
}
