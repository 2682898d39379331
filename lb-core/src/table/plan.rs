//! The plan: what follows for the table from how the reals are. Health says who may get new flows and packets at all,
//! the law of scheduling by what factor a configured weight counts, and the configuration what becomes of a service without reals.
//!
//! A plan comes every second. Only rings of services in which some real's share differs are edited, and
//! the editor moves the fewest slots.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lb_common::{FALLBACK_DROP, FALLBACK_RESET, REAL_ALIVE, REAL_HOT, ServiceOptions};

use super::{AdminState, RealEntry, SchedulingTable};
use crate::{
    monitoring::Scheduling,
    ring::RealIds,
    scheduler::{MAX_FACTOR, NEUTRAL_FACTOR},
    service::Service,
};

/// What the table is to make of each real and service. Who is missing gets the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By name.
    pub reals: BTreeMap<String, RealPlan>,
    /// By name.
    pub services: BTreeMap<String, ServicePlan>,
}

/// What is planned of a real. The default is one that is well and counts with its configured weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealPlan {
    /// Multiplies its configured weights, in services that go by load; [`NEUTRAL_FACTOR`] is 1, more than [`MAX_FACTOR`] is that.
    /// 0: no new flows.
    pub factor: u32,
    /// Multiplies its weights that load does not move, the operator's and those of static services: less than [`NEUTRAL_FACTOR`]
    /// while it is eased in.
    pub eased: u32,
    /// It may be sent packets. One that is not alive gets none, and its flows go on to others.
    pub alive: bool,
    /// It is overloaded for the moment: a SYN that would begin at it takes its second slot.
    pub hot: bool,
    /// It gets no new flows in any service and keeps those that it has.
    pub no_new_flows: bool,
}

impl Default for RealPlan {
    fn default() -> Self {
        Self { factor: NEUTRAL_FACTOR, eased: NEUTRAL_FACTOR, alive: true, hot: false, no_new_flows: false }
    }
}

/// What is planned of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePlan {
    /// What becomes of a packet that no real is there for.
    pub fallback: Fallback,
    /// Whether factors count.
    pub scheduling: Scheduling,
    /// Members that get no new flows of this service, by name.
    pub without: BTreeSet<String>,
}

/// What becomes of a packet that no real is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// It is dropped.
    #[default]
    Drop,
    /// TCP is answered with a RST, the rest is dropped.
    Reset,
}

impl ServicePlan {
    /// The service's row in the map `service_options`.
    pub(super) fn options(&self) -> ServiceOptions {
        let fallback = match self.fallback {
            Fallback::Drop => FALLBACK_DROP,
            Fallback::Reset => FALLBACK_RESET,
        };
        ServiceOptions { fallback, ..ServiceOptions::default() }
    }
}

impl RealEntry {
    /// The real's claim on a ring, in units of 1/[`NEUTRAL_FACTOR`] of a weight; `configured` is what the configuration says.
    pub(super) fn share(&self, configured: u32, name: &str, service: &ServicePlan) -> u32 {
        if service.without.contains(name) { 0 } else { self.share_at_large(configured, service.scheduling) }
    }

    /// [`share`](Self::share) in a service that excludes nobody.
    pub(super) fn share_at_large(&self, configured: u32, scheduling: Scheduling) -> u32 {
        let RealPlan { factor, eased, alive, hot: _, no_new_flows } = self.plan;
        if self.admin != AdminState::Enabled || !alive || no_new_flows {
            return 0;
        }
        let (weight, factor) = match (self.weight, scheduling) {
            (Some(weight), _) => (weight, eased),
            (None, Scheduling::Load) => (configured, factor),
            (None, Scheduling::Static) => (configured, eased),
        };
        // Weights are at most MAX_WEIGHT, so nothing is lost.
        weight.saturating_mul(factor.min(MAX_FACTOR))
    }

    /// The flags of its row.
    pub(super) fn flags(&self) -> u32 {
        let alive = if self.admin != AdminState::Disabled && self.plan.alive { REAL_ALIVE } else { 0 };
        let hot = if self.plan.hot { REAL_HOT } else { 0 };
        alive | hot
    }
}

/// A share in the units of configured weights: rounded, and 0 only where there is none.
pub(super) fn in_weights(share: u32) -> u32 {
    let rounded = (u64::from(share) + u64::from(NEUTRAL_FACTOR / 2)) / u64::from(NEUTRAL_FACTOR);
    // Not above a u32, since the share is one.
    if share == 0 { 0 } else { rounded.max(1) as u32 }
}

/// What taking over a plan has changed.
#[derive(Default)]
pub(super) struct PlanChange {
    /// Names of the reals that are planned otherwise now.
    reals: HashSet<String>,
    /// Names of such services.
    services: HashSet<String>,
    /// Ids of the reals that were hot and are not any more.
    pub(super) cooled: RealIds,
}

impl SchedulingTable {
    /// Takes over a plan, in place of the one before. What names no real or service of the configuration is ignored.
    pub fn set_plan(&mut self, plan: &Plan, now_ms: u64) {
        let PlanChange { reals, services, cooled } = self.take_plan(plan);
        if reals.is_empty() && services.is_empty() {
            return;
        }
        let lists_one = |service: &Service| service.reals.iter().any(|member| reals.contains(&member.real));
        self.edit_rings(|service| services.contains(&service.name) || lists_one(service), cooled, now_ms);
        self.generation += 1;
    }

    /// Whether operator and weights let a real get new flows of a service. What is not known, as before a reload, may.
    #[must_use]
    pub fn may_serve(&self, service: &str, real: &str) -> bool {
        let Some(entry) = self.reals.get(real) else { return true };
        let own = self.cluster.member(service, real).and_then(|member| member.weight);
        let configured = own.or_else(|| self.cluster.real(real).map(|real| real.weight));
        entry.admin == AdminState::Enabled && entry.weight.or(configured) != Some(0)
    }

    /// The plan in use, without what is as in the default.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let reals = self.configured_reals().map(|(real, entry)| (&real.name, entry.plan));
        let services = self.configured_services().map(|(service, entry)| (&service.name, &entry.plan));
        Plan {
            reals: reals
                .filter(|(_, plan)| *plan != RealPlan::default())
                .map(|(name, plan)| (name.clone(), plan))
                .collect(),
            services: services
                .filter(|(_, plan)| **plan != ServicePlan::default())
                .map(|(name, plan)| (name.clone(), plan.clone()))
                .collect(),
        }
    }

    /// Writes the plan into the entries; the rings are as before.
    pub(super) fn take_plan(&mut self, plan: &Plan) -> PlanChange {
        let mut change = PlanChange::default();
        let mut cooled = Vec::new();
        for (name, entry) in &mut self.reals {
            let next = plan.reals.get(name).copied().unwrap_or_default();
            if entry.plan == next {
                continue;
            }
            if entry.plan.hot && !next.hot {
                cooled.push(entry.id);
            }
            entry.plan = next;
            change.reals.insert(name.clone());
        }
        for (name, entry) in &mut self.services {
            let next = plan.services.get(name);
            if next.map_or(entry.plan != ServicePlan::default(), |next| entry.plan != *next) {
                entry.plan = next.cloned().unwrap_or_default();
                change.services.insert(name.clone());
            }
        }
        change.cooled = cooled.into_iter().collect();
        change
    }
}
