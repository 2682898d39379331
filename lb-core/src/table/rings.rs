//! The rings of the table's services, brought in line with weights and plan.

use std::{collections::BTreeMap, sync::Arc};

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
        for service in cluster.services().iter().filter(|service| which(service)) {
            let Some(entry) = self.services.get_mut(&service.name) else { continue };
            let shares = shares(&cluster, &self.reals, service, &entry.plan);
            if let Some(ring) = in_line(&entry.ring, &shares, &heat, now_ms) {
                entry.ring = Arc::new(ring);
            }
        }
    }

    pub(super) fn hot_ids(&self) -> RealIds {
        self.reals.values().filter(|entry| entry.plan.hot).map(|entry| entry.id).collect()
    }

    /// Puts new rings in place of those for which `change` gives one; returns the sum of what it counts.
    pub(super) fn change_rings(&mut self, change: impl Fn(u32, &Ring) -> Option<(u32, Ring)>) -> u32 {
        let mut total = 0;
        for entry in self.services.values_mut() {
            if let Some((count, ring)) = change(entry.id, &entry.ring) {
                entry.ring = Arc::new(ring);
                total += count;
            }
        }
        self.generation += u64::from(total > 0);
        total
    }
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
