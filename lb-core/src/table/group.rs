//! Affinity groups: the first service of a group leads, and its ring serves all. The others have the same ring, so that any of them can lead
//! next, and show what is so.

use std::{collections::BTreeMap, sync::Arc};

use super::SchedulingTable;
use crate::{
    ring::Ring,
    service::{Cluster, Service},
};

impl SchedulingTable {
    /// The id under which the flows of a service's clients are remembered: its own, or its leader's.
    pub(super) fn leader_id(&self, service: &Service) -> Option<u32> {
        self.services.get(&self.cluster.leader(service).name).map(|entry| entry.id)
    }

    /// Gives the services of each group the ring of their leader. Says whether one has another ring now.
    pub(super) fn follow_leaders(&mut self) -> bool {
        let cluster = self.cluster.clone();
        let mut changed = false;
        for (_, services) in cluster.groups() {
            let [leader, others @ ..] = &services[..] else { continue };
            let Some(ring) = self.services.get(&leader.name).map(|entry| entry.ring.clone()) else { continue };
            for service in others {
                let Some(entry) = self.services.get_mut(&service.name) else { continue };
                if !Arc::ptr_eq(&entry.ring, &ring) {
                    changed |= entry.ring != ring;
                    entry.ring = ring.clone();
                }
            }
        }
        changed
    }

    /// Gives each leader the ring that its group had under the configuration `before`, whoever led then: clients of the group stay where they are.
    /// A group that is new has its leader's ring, or that of the first of its services that has one.
    pub(super) fn hand_rings_on(&mut self, before: &Cluster) {
        let cluster = self.cluster.clone();
        for (group, services) in cluster.groups() {
            let was_in_it =
                |service: &&&Service| before.service(&service.name).is_some_and(|was| was.group() == Some(group));
            let heirs = services.iter().filter(was_in_it).chain(&services);
            let mut rings = heirs.filter_map(|service| self.services.get(&service.name)).map(|entry| &entry.ring);
            let Some(ring) = rings.find(|ring| !ring.is_blank()).cloned() else { continue };
            self.lead_with(services.first().map(|leader| leader.name.as_str()), ring);
        }
    }

    fn lead_with(&mut self, leader: Option<&str>, ring: Arc<Ring>) {
        if let Some(entry) = leader.and_then(|leader| self.services.get_mut(leader)) {
            entry.ring = ring;
        }
    }

    /// What a change of the configuration does to the clients of affinity groups, in words, for those of which it does anything.
    #[must_use]
    pub fn group_changes(before: &Cluster, after: &Cluster) -> Vec<String> {
        let leaders: BTreeMap<&str, &Service> =
            before.groups().filter_map(|(group, services)| Some((group, *services.first()?))).collect();
        let mut changes = Vec::new();
        for service in after.services() {
            let Some(was) = before.service(&service.name) else { continue };
            if was.group() != service.group() {
                changes.push(format!("{}: its clients begin anew", moved(service, was)));
            }
        }
        for (group, services) in after.groups() {
            let Some((leader, was)) = services.first().zip(leaders.get(group)) else { continue };
            if leader.name != was.name {
                changes.push(format!(
                    "service {} leads affinity group {group} in place of {}: clients stay at their reals, but for those that \
                     were kept for longer than the timeout at a real which their slot has left",
                    leader.name, was.name
                ));
            }
        }
        changes
    }
}

fn moved(service: &Service, was: &Service) -> String {
    match (was.group(), service.group()) {
        (_, Some(group)) => format!("service {} is in affinity group {group} now", service.name),
        (group, None) => format!("service {} has left affinity group {}", service.name, group.unwrap_or_default()),
    }
}
