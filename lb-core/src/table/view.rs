//! What the table shows to people and to the API.

use std::collections::BTreeMap;

use lb_common::NO_REAL;

use super::{AdminState, NextHop, RealPlan, SchedulingTable, ServiceEntry, plan::in_weights};
use crate::{
    monitoring::Scheduling,
    ring::Tally,
    service::{Member, Real, Service},
};

/// A service as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView<'a> {
    /// Its id.
    pub id: u32,
    /// What is configured.
    pub service: &'a Service,
    /// Its reals, in configured order.
    pub members: Vec<MemberView<'a>>,
    /// Its slots, counted.
    pub tally: &'a Tally,
}

/// A real in a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberView<'a> {
    /// The real.
    pub real: &'a Real,
    /// Its id.
    pub id: u16,
    /// The port at which it serves the service; `None`: the one that the client used, in a service of several.
    pub port: Option<u16>,
    /// What the operator wants of it.
    pub admin: AdminState,
    /// The weight by which it gets new flows of this service, the load factor counted and rounded; 0: it gets none.
    pub weight: u32,
    /// What is planned of it.
    pub plan: RealPlan,
    /// The plan excludes it from new flows of this service.
    pub excluded: bool,
    /// The service's slots that it holds.
    pub slots: u32,
}

/// A real as it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealView<'a> {
    /// Its id.
    pub id: u16,
    /// What is configured.
    pub real: &'a Real,
    /// What the operator wants of it.
    pub admin: AdminState,
    /// The operator's weight, in place of all configured ones.
    pub weight_override: Option<u32>,
    /// The weight by which it gets new flows of services that set none of their own and go by load, the load factor counted
    /// and rounded; 0: it gets none.
    pub weight: u32,
    /// What is planned of it.
    pub plan: RealPlan,
    /// The way to it, when known.
    pub next_hop: Option<&'a NextHop>,
}

impl SchedulingTable {
    /// The services, in configured order.
    pub fn services(&self) -> impl Iterator<Item = ServiceView<'_>> {
        self.configured_services().map(|(service, entry)| ServiceView {
            id: entry.id,
            service,
            members: service.reals.iter().filter_map(|member| self.member(service, member, entry)).collect(),
            tally: entry.ring.tally(),
        })
    }

    fn member(&self, service: &Service, member: &Member, served: &ServiceEntry) -> Option<MemberView<'_>> {
        let real = self.cluster.real(&member.real)?;
        let entry = self.reals.get(&member.real)?;
        let share = entry.share(member.weight.unwrap_or(real.weight), &member.real, &served.plan);
        Some(MemberView {
            real,
            id: entry.id,
            port: service.real_port(member),
            admin: entry.admin,
            weight: in_weights(share),
            plan: entry.plan,
            excluded: served.plan.without.contains(&member.real),
            slots: served.ring.tally().of_real(entry.id),
        })
    }

    /// The reals, in configured order.
    pub fn reals(&self) -> impl Iterator<Item = RealView<'_>> {
        self.configured_reals().map(|(real, entry)| RealView {
            id: entry.id,
            real,
            admin: entry.admin,
            weight_override: entry.weight,
            weight: in_weights(entry.share_at_large(real.weight, Scheduling::Load)),
            plan: entry.plan,
            next_hop: entry.next_hop.as_ref(),
        })
    }

    /// The slots that each real holds in all services together, by its id. Who holds none is not listed.
    #[must_use]
    pub fn slots_held(&self) -> BTreeMap<u16, u64> {
        let mut held = BTreeMap::new();
        for (&id, &count) in self.services.values().flat_map(|service| &service.ring.tally().held) {
            *held.entry(id).or_default() += u64::from(count);
        }
        held.remove(&NO_REAL);
        held
    }
}
