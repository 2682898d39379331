//! From what is known of the reals to the plan for the scheduling table.

use std::collections::{BTreeMap, BTreeSet};

use super::{Health, Member, Monitor, WatchedService};
use crate::{
    monitoring::AllDown,
    scheduler::{Decision, NEUTRAL_FACTOR, Why},
    table::{Fallback, Plan, RealPlan, ServicePlan},
};

impl Monitor {
    /// What the table is to make of all this and of the scheduler's `decisions`. A real without a decision counts with its
    /// configured weight.
    ///
    /// `may_serve` says of a service and a real whether operator and configuration let the real get new flows there
    /// ([`SchedulingTable::may_serve`](crate::table::SchedulingTable::may_serve)): one that may not is no reason to think that the service has a real left.
    #[must_use]
    pub fn plan(&self, decisions: &BTreeMap<String, Decision>, may_serve: impl Fn(&str, &str) -> bool) -> Plan {
        let mut services = BTreeMap::new();
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for (name, service) in &self.services {
            let is_candidate = |real: &str| may_serve(name, real) && self.refuses(real).is_none();
            let is_fallback = |real: &str| service.fallbacks.contains(real);
            let standing = self.standing(service, |real| !is_fallback(real) && is_candidate(real));
            let in_reserve = self.standing(service, |real| is_fallback(real) && is_candidate(real));
            let is_down = standing.max(in_reserve) == Standing::AllDown;
            let is_kept = is_down && service.all_down == AllDown::LastKnown;
            if is_kept {
                kept.extend(service.members.keys().map(String::as_str).filter(|real| !is_fallback(real)));
            }
            let plan = ServicePlan {
                fallback: if service.all_down == AllDown::Reset { Fallback::Reset } else { Fallback::Drop },
                scheduling: service.scheduling,
                without: if is_kept { service.fallbacks.clone() } else { self.without(service, standing, in_reserve) },
            };
            if plan != ServicePlan::default() {
                services.insert(name.clone(), plan);
            }
        }
        let plans = self.reals.keys().map(|name| {
            let alive = kept.contains(name.as_str()) || !self.is_dead(name);
            (name, real_plan(decisions.get(name), alive, self.refuses(name).is_some()))
        });
        let reals = plans.filter(|(_, plan)| *plan != RealPlan::default()).map(|(name, plan)| (name.clone(), plan));
        Plan { reals: reals.collect(), services }
    }

    /// Checks are made of the real, and in every service that makes any it is down.
    fn is_dead(&self, real: &str) -> bool {
        self.reals.get(real).is_some_and(|known| known.checked.is_dead())
    }

    /// A real that is dead elsewhere is down in a service that makes no checks, too.
    fn health_in(&self, service: &WatchedService, real: &str, member: &Member) -> Health {
        let unchecked = || if self.is_dead(real) { Health::Down } else { member.health() };
        self.checked(service, real).unwrap_or_else(unchecked)
    }

    fn standing(&self, service: &WatchedService, is_candidate: impl Fn(&str) -> bool) -> Standing {
        let candidates = service.members.iter().filter(|(real, _)| is_candidate(real));
        candidates
            .map(|(real, member)| Standing::of(self.health_in(service, real, member)))
            .max()
            .unwrap_or(Standing::AllDown)
    }

    /// Who gets no new flows of the service; `in_reserve` is how its fallbacks stand, `standing` how the others do.
    fn without(&self, service: &WatchedService, standing: Standing, in_reserve: Standing) -> BTreeSet<String> {
        let is_out = |real: &str, member: &Member| {
            let is_fallback = service.fallbacks.contains(real);
            let peers = if is_fallback { in_reserve } else { standing };
            match self.health_in(service, real, member) {
                _ if is_fallback && standing != Standing::AllDown => true,
                Health::Down => true,
                Health::Joining => peers != Standing::SomeJoining,
                Health::Up | Health::Unchecked => false,
            }
        };
        service.members.iter().filter(|(real, member)| is_out(real, member)).map(|(real, _)| real.clone()).collect()
    }
}

/// The best that a service has among its reals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    AllDown,
    SomeJoining,
    SomeUp,
}

impl Standing {
    fn of(health: Health) -> Self {
        match health {
            Health::Down => Self::AllDown,
            Health::Joining => Self::SomeJoining,
            Health::Up | Health::Unchecked => Self::SomeUp,
        }
    }
}

fn real_plan(decision: Option<&Decision>, alive: bool, no_new_flows: bool) -> RealPlan {
    let neutral = RealPlan { alive, no_new_flows, ..RealPlan::default() };
    let Some(decision) = decision else { return neutral };
    let eased = match decision.why {
        // At least one: a real that is eased in gets some flows.
        Why::SlowStart(share) => ((share * f64::from(NEUTRAL_FACTOR)) as u32).clamp(1, NEUTRAL_FACTOR),
        _ => NEUTRAL_FACTOR,
    };
    RealPlan { factor: decision.factor, eased, hot: decision.hot && alive, ..neutral }
}
