//! The plans of the simulation: reals that die and live, become hot and cool, get other factors, and refuse new flows; services
//! that exclude members and do one thing or the other without any.

use proptest::prelude::*;

use super::config::{REALS, SERVICES, real_name, service_name};
use crate::{
    monitoring::Scheduling,
    scheduler::NEUTRAL_FACTOR,
    table::{Fallback, Plan, RealPlan, ServicePlan},
};

/// A change of the plan in use.
#[derive(Clone, Debug)]
pub(crate) enum PlanChange {
    Factor(usize, u32),
    Eased(usize, u32),
    Alive(usize, bool),
    Hot(usize, bool),
    NoNewFlows(usize, bool),
    Excluded(usize, usize, bool),
    /// No real is well, in any service.
    AllDown(Fallback),
    Scheduling(usize, Scheduling),
    /// All are well and count with their weights.
    AllWell,
}

pub(crate) fn plan_change() -> impl Strategy<Value = PlanChange> {
    let real = 0..REALS;
    let factor = prop_oneof![1 => Just(0), 4 => 1..4_000u32, 2 => Just(NEUTRAL_FACTOR)];
    let fallback = prop_oneof![Just(Fallback::Drop), Just(Fallback::Reset)];
    let scheduling = prop_oneof![Just(Scheduling::Load), Just(Scheduling::Static)];
    prop_oneof![
        6 => (real.clone(), factor).prop_map(|(real, factor)| PlanChange::Factor(real, factor)),
        1 => (real.clone(), 1..=NEUTRAL_FACTOR).prop_map(|(real, eased)| PlanChange::Eased(real, eased)),
        6 => (real.clone(), any::<bool>()).prop_map(|(real, alive)| PlanChange::Alive(real, alive)),
        12 => (real.clone(), prop::bool::weighted(0.7)).prop_map(|(real, hot)| PlanChange::Hot(real, hot)),
        2 => (real.clone(), any::<bool>()).prop_map(|(real, refuses)| PlanChange::NoNewFlows(real, refuses)),
        4 => (0..SERVICES, real, any::<bool>()).prop_map(|(service, real, out)| PlanChange::Excluded(service, real, out)),
        1 => fallback.prop_map(PlanChange::AllDown),
        1 => (0..SERVICES, scheduling).prop_map(|(service, from)| PlanChange::Scheduling(service, from)),
        1 => Just(PlanChange::AllWell),
    ]
}

pub(crate) fn change(plan: &mut Plan, change: &PlanChange) {
    match *change {
        PlanChange::Factor(real, factor) => of_real(plan, real).factor = factor,
        PlanChange::Eased(real, eased) => of_real(plan, real).eased = eased,
        PlanChange::Alive(real, alive) => of_real(plan, real).alive = alive,
        PlanChange::Hot(real, hot) => of_real(plan, real).hot = hot,
        PlanChange::NoNewFlows(real, refuses) => of_real(plan, real).no_new_flows = refuses,
        PlanChange::Excluded(service, real, true) => drop(of_service(plan, service).without.insert(real_name(real))),
        PlanChange::Excluded(service, real, false) => drop(of_service(plan, service).without.remove(&real_name(real))),
        PlanChange::AllDown(fallback) => {
            (0..REALS).for_each(|real| of_real(plan, real).alive = false);
            (0..SERVICES).for_each(|service| of_service(plan, service).fallback = fallback);
        }
        PlanChange::Scheduling(service, scheduling) => of_service(plan, service).scheduling = scheduling,
        PlanChange::AllWell => *plan = Plan::default(),
    }
}

fn of_real(plan: &mut Plan, real: usize) -> &mut RealPlan {
    plan.reals.entry(real_name(real)).or_default()
}

fn of_service(plan: &mut Plan, service: usize) -> &mut ServicePlan {
    plan.services.entry(service_name(service)).or_default()
}
