//! What the table shows to people and to the API.

use super::{AdminState, NextHop, SchedulingTable};
use crate::{
    ring::Tally,
    service::{Real, Service},
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
    /// What the operator wants of it.
    pub admin: AdminState,
    /// The weight that counts in this service; 0 when it is drained or disabled.
    pub weight: u32,
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
    /// The weight that counts where a service sets none of its own; 0 when it is drained or disabled.
    pub weight: u32,
    /// The way to it, when known.
    pub next_hop: Option<&'a NextHop>,
    /// The slots that it holds, of all services.
    pub slots: u64,
}

impl SchedulingTable {
    /// The services, in configured order.
    pub fn services(&self) -> impl Iterator<Item = ServiceView<'_>> {
        self.configured_services().map(|(service, entry)| {
            let tally = entry.ring.tally();
            ServiceView { id: entry.id, service, members: self.members(service, tally), tally }
        })
    }

    fn members<'a>(&'a self, service: &'a Service, tally: &Tally) -> Vec<MemberView<'a>> {
        let view = |member: &'a crate::service::Member| {
            let real = self.cluster.real(&member.real)?;
            let entry = self.reals.get(&member.real)?;
            let weight = entry.weight(member.weight.unwrap_or(real.weight));
            Some(MemberView { real, id: entry.id, admin: entry.admin, weight, slots: tally.of_real(entry.id) })
        };
        service.reals.iter().filter_map(view).collect()
    }

    /// The reals, in configured order.
    pub fn reals(&self) -> impl Iterator<Item = RealView<'_>> {
        self.configured_reals().map(|(real, entry)| RealView {
            id: entry.id,
            real,
            admin: entry.admin,
            weight_override: entry.weight,
            weight: entry.weight(real.weight),
            next_hop: entry.next_hop.as_ref(),
            slots: self.services.values().map(|service| u64::from(service.ring.tally().of_real(entry.id))).sum(),
        })
    }
}
