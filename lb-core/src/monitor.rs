//! The monitor: which reals are well, by checks, by what they say of themselves, and by what their agents say; and the
//! [`Plan`](crate::table::Plan) for the scheduling table that follows.
//!
//! A check counts for a real in one service. A real's own words count in all its services: they can keep new flows from it and never
//! raise one that a check says is down. Nobody's silence changes anything: a real that said that it stops, and is heard of no more,
//! has stopped.
//!
//! | what is known | new flows | old flows |
//! | --- | --- | --- |
//! | down in a service by a check | none of that service | stay |
//! | down in every service that checks it | none | go on to other reals |
//! | joining: came by a reload, not checked yet | none, but where no other real of the service is up | stay |
//! | down, or joining, in one service of an affinity group | as if it were so in all of them, since a client has one real there | |
//! | it says `drain` or `stop`; its agent says `drain`, `maint`, `down`, `fail`, `stopped` or 0% | none | stay |

mod agent;
mod member;
mod plan;
mod saved;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

pub use agent::{Agent, SavedAgent};
pub use member::{CheckHistory, Health, Member};

use crate::{
    agent_check::Answer,
    check::{CheckResult, Outcome},
    monitoring::{AllDown, Monitoring, Scheduling, ServiceMonitoring},
    report::{Availability, Report},
    service::{Cluster, Real, Service},
};

/// A real that has not reported for so many of its intervals is silent.
const SILENT_AFTER: u64 = 3;

/// What is known of the reals. See the module's own page.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    services: BTreeMap<String, WatchedService>,
    reals: BTreeMap<String, WatchedReal>,
    is_configured: bool,
}

#[derive(Clone, Debug, Default)]
struct WatchedService {
    all_down: AllDown,
    scheduling: Scheduling,
    /// By the real's name.
    members: BTreeMap<String, Member>,
    /// Those that get flows only while the others cannot.
    fallbacks: BTreeSet<String>,
    /// Names of the services of its affinity group, its own too; empty without one.
    group: Vec<String>,
}

#[derive(Clone, Debug)]
struct WatchedReal {
    address: IpAddr,
    /// Names of the services that list it.
    services: Vec<String>,
    /// Those of them that check it, counted, an affinity group as one: so that a result costs the same in however many services it is.
    checked: Checked,
    /// What it said of itself last.
    availability: Availability,
    /// Its newest report, and when that came. None while only what it said before a restart is known.
    report: Option<(Report, u64)>,
    /// Where one is configured.
    agent: Option<Agent>,
}

/// Services that check a real, by what they say of it.
#[derive(Clone, Copy, Debug, Default)]
struct Checked {
    all: u32,
    serving: u32,
    down: u32,
}

impl Checked {
    fn add(&mut self, health: Health) {
        self.all += 1;
        self.serving += u32::from(health.may_serve());
        self.down += u32::from(health == Health::Down);
    }

    fn remove(&mut self, health: Health) {
        self.all -= 1;
        self.serving -= u32::from(health.may_serve());
        self.down -= u32::from(health == Health::Down);
    }

    /// No service checks it, or one has it up, or not checked yet.
    fn is_up_somewhere(self) -> bool {
        self.all == 0 || self.serving > 0
    }

    /// Checks are made of it, and in every service that makes any it is down.
    fn is_dead(self) -> bool {
        self.all > 0 && self.down == self.all
    }
}

/// What is different now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Checks have come to another result.
    Health {
        /// The service's name.
        service: String,
        /// The real's name.
        real: String,
        /// What it is now.
        health: Health,
        /// Why the last check failed, where one did.
        reason: Option<String>,
    },
    /// The real, or its agent, wants new flows or does not.
    Wish {
        /// The real's name.
        real: String,
        /// Why it wants none; `None`: it takes them.
        refuses: Option<String>,
    },
    /// The real can be sent new flows again, or for the first time, and is to be eased in.
    Returned {
        /// The real's name.
        real: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Health { service, real, health, reason: Some(reason) } => {
                write!(f, "real {real} is {health} in service {service}: {reason}")
            }
            Self::Health { service, real, health, reason: None } => {
                write!(f, "real {real} is {health} in service {service}")
            }
            Self::Wish { real, refuses: Some(why) } => write!(f, "real {real} takes no new flows: {why}"),
            Self::Wish { real, refuses: None } => write!(f, "real {real} takes new flows"),
            Self::Returned { real } => write!(f, "real {real} is eased in"),
        }
    }
}

impl Monitor {
    /// Takes over a configuration. What is known of a real stays, unless its address is another one. The first configuration's reals
    /// count as up until they have been checked; those that come later are [`Health::Joining`].
    pub fn configure(&mut self, cluster: &Cluster, monitoring: &Monitoring) -> Vec<Change> {
        let mut services = services_by_real(cluster);
        let reals = cluster.reals().iter().map(|real| {
            let services = services.remove(real.name.as_str()).unwrap_or_default();
            (real.name.clone(), self.next_real(real, services, monitoring))
        });
        let reals: BTreeMap<String, WatchedReal> = reals.collect();
        let is_known = |name: &str| self.reals.get(name).is_some_and(|was| was.address == reals[name].address);
        let newcomers: Vec<String> = reals.keys().filter(|name| !is_known(name)).cloned().collect();
        let services = cluster.services().iter().map(|service| {
            let configured = monitoring.services.get(&service.name).cloned().unwrap_or_default();
            let group = cluster.group_of(service).map(|service| service.name.clone()).collect();
            (service.name.clone(), WatchedService { group, ..self.next_service(service, configured, is_known) })
        });
        self.services = services.collect();
        self.reals = reals;
        self.count_checked();
        if !std::mem::replace(&mut self.is_configured, true) {
            return Vec::new();
        }
        newcomers.into_iter().filter(|real| self.is_available(real)).map(|real| Change::Returned { real }).collect()
    }

    fn next_real(&self, real: &Real, services: Vec<String>, monitoring: &Monitoring) -> WatchedReal {
        let known = self.reals.get(&real.name).filter(|was| was.address == real.address);
        let has_agent = monitoring.reals.get(&real.name).is_some_and(|own| own.agent_check.is_some());
        WatchedReal {
            address: real.address,
            services,
            checked: Checked::default(),
            availability: known.map_or(Availability::Alive, |was| was.availability),
            report: known.and_then(|was| was.report.clone()),
            agent: has_agent.then(|| known.and_then(|was| was.agent.clone()).unwrap_or_default()),
        }
    }

    fn next_service(
        &self,
        service: &Service,
        configured: ServiceMonitoring,
        is_known: impl Fn(&str) -> bool,
    ) -> WatchedService {
        let was = self.services.get(&service.name);
        let at_first = if self.is_configured { Health::Joining } else { Health::Unchecked };
        let member = |name: &str| {
            let known = was.and_then(|was| was.members.get(name)).filter(|_| is_known(name));
            known.map_or_else(
                || Member::new(&configured.checks, at_first),
                |known| known.with_checks(&configured.checks),
            )
        };
        let members = service.reals.iter().map(|own| (own.real.clone(), member(&own.real)));
        let fallbacks = service.reals.iter().filter(|own| own.fallback).map(|own| own.real.clone());
        WatchedService {
            members: members.collect(),
            fallbacks: fallbacks.collect(),
            all_down: configured.all_down,
            scheduling: configured.scheduling,
            group: Vec::new(),
        }
    }

    fn count_checked(&mut self) {
        self.reals.values_mut().for_each(|real| real.checked = Checked::default());
        // A group is counted with the first of its services.
        let counted =
            self.services.iter().filter(|(name, service)| service.group.first().is_none_or(|first| first == *name));
        let members = counted.flat_map(|(_, service)| service.members.keys().map(move |real| (service, real)));
        let healths: Vec<_> =
            members.filter_map(|(service, real)| Some((real.clone(), self.checked(service, real)?))).collect();
        for (name, health) in healths {
            if let Some(real) = self.reals.get_mut(&name) {
                real.checked.add(health);
            }
        }
    }

    /// What the checks of a service say of a real, with those of all services of its affinity group: the worst counts. None where no check is made.
    fn checked(&self, service: &WatchedService, real: &str) -> Option<Health> {
        let group = service.group.iter().filter_map(|name| self.services.get(name));
        let services = group.chain(service.group.is_empty().then_some(service));
        let members = services.filter_map(|service| service.members.get(real)).filter(|member| member.is_checked());
        members.map(Member::health).reduce(Health::worse)
    }

    /// How a real is in a service, by the checks of the service and of its affinity group. None where it is not known.
    #[must_use]
    pub fn health(&self, service: &str, real: &str) -> Option<Health> {
        let service = self.services.get(service)?;
        let member = service.members.get(real)?;
        Some(self.checked(service, real).unwrap_or_else(|| member.health()))
    }

    /// The service of the affinity group of `service` whose checks say that a real is down, where those of the service itself do not.
    #[must_use]
    pub fn down_in_group(&self, service: &str, real: &str) -> Option<&str> {
        let is_down = |name: &str| self.member(name, real).is_some_and(|member| member.health() == Health::Down);
        let group = || self.services.get(service).map(|service| service.group.as_slice()).unwrap_or_default();
        if is_down(service) { None } else { group().iter().map(String::as_str).find(|name| is_down(name)) }
    }

    /// Takes in what came of a check. One that is not configured any more is ignored.
    pub fn check(&mut self, result: &CheckResult, now_ms: u64) -> Vec<Change> {
        let CheckResult { service, real, check, outcome } = result;
        let together = |monitor: &Self| monitor.checked(monitor.services.get(service)?, real);
        let was = together(self);
        let Some(member) = self.services.get_mut(service).and_then(|known| known.members.get_mut(real)) else {
            return Vec::new();
        };
        let before = member.health();
        member.take(check, outcome, now_ms);
        let health = member.health();
        if health == before {
            return Vec::new();
        }
        let was_available = self.is_available(real);
        if let Some((was, is)) = was.zip(together(self))
            && let Some(known) = self.reals.get_mut(real)
        {
            known.checked.remove(was);
            known.checked.add(is);
        }
        let reason = match outcome {
            Outcome::Failed { reason } => Some(reason.clone()),
            Outcome::Passed { .. } => None,
        };
        let mut changes = vec![Change::Health { service: service.clone(), real: real.clone(), health, reason }];
        if before == Health::Down {
            changes.extend(self.forget_old_words(real, now_ms));
        }
        changes.extend(self.returned(real, was_available));
        changes
    }

    /// A real that was down and is up again has been started again. What it said before that counts no more, unless it goes on
    /// saying so.
    fn forget_old_words(&mut self, name: &str, now_ms: u64) -> Option<Change> {
        let real = self.reals.get_mut(name)?;
        let is_silent = real
            .report
            .as_ref()
            .is_none_or(|(report, at_ms)| now_ms.saturating_sub(*at_ms) > SILENT_AFTER * u64::from(report.interval_ms));
        let refused = real.refuses();
        if is_silent {
            real.availability = Availability::Alive;
        }
        wish(name, refused, real.refuses())
    }

    /// Takes in a report. One of a real that is not configured is ignored.
    pub fn report(&mut self, report: &Report, now_ms: u64) -> Vec<Change> {
        self.hear(&report.real, |real| {
            real.availability = report.availability;
            real.report = Some((report.clone(), now_ms));
        })
    }

    /// Takes in what a real's agent has answered, or why it has not; that changes nothing.
    pub fn agent_check(&mut self, real: &str, result: Result<&Answer, &str>, now_ms: u64) -> Vec<Change> {
        self.hear(real, |real| {
            if let Some(agent) = &mut real.agent {
                agent.take(result, now_ms);
            }
        })
    }

    fn hear(&mut self, name: &str, take: impl FnOnce(&mut WatchedReal)) -> Vec<Change> {
        let was_available = self.is_available(name);
        let Some(real) = self.reals.get_mut(name) else { return Vec::new() };
        let refused = real.refuses();
        take(real);
        let mut changes: Vec<Change> = wish(name, refused, real.refuses()).into_iter().collect();
        changes.extend(self.returned(name, was_available));
        changes
    }

    fn returned(&self, real: &str, was_available: bool) -> Option<Change> {
        (!was_available && self.is_available(real)).then(|| Change::Returned { real: real.to_owned() })
    }

    /// Whether the real may get new flows of some service: it wants them, and where checks are made of it one service at
    /// least has it up, or not checked yet.
    #[must_use]
    pub fn is_available(&self, real: &str) -> bool {
        self.reals.get(real).is_some_and(|known| known.checked.is_up_somewhere() && known.refuses().is_none())
    }

    /// Whether any service checks the real.
    #[must_use]
    pub fn is_checked(&self, real: &str) -> bool {
        self.reals.get(real).is_some_and(|known| known.checked.all > 0)
    }

    /// Why the real takes no new flows, by what it or its agent said last; `None`: it takes them.
    #[must_use]
    pub fn refuses(&self, real: &str) -> Option<String> {
        self.reals.get(real).and_then(WatchedReal::refuses)
    }

    /// What is known of a real in a service.
    #[must_use]
    pub fn member(&self, service: &str, real: &str) -> Option<&Member> {
        self.services.get(service)?.members.get(real)
    }

    /// The newest report of a real since the start, and when it came.
    #[must_use]
    pub fn newest_report(&self, real: &str) -> Option<(&Report, u64)> {
        self.reals.get(real)?.report.as_ref().map(|(report, at_ms)| (report, *at_ms))
    }

    /// What a real said of itself last; alive where it never said anything.
    #[must_use]
    pub fn availability(&self, real: &str) -> Availability {
        self.reals.get(real).map(|known| known.availability).unwrap_or_default()
    }

    /// What is known by a real's agent-check; `None` where none is configured.
    #[must_use]
    pub fn agent(&self, real: &str) -> Option<&Agent> {
        self.reals.get(real)?.agent.as_ref()
    }

    /// The services that list a real, and what is known of it there.
    fn memberships(&self, real: &str) -> impl Iterator<Item = (&str, &Member)> {
        let services = self.reals.get(real).map(|known| known.services.as_slice()).unwrap_or_default();
        services.iter().filter_map(move |service| Some((service.as_str(), self.member(service, real)?)))
    }
}

impl WatchedReal {
    fn refuses(&self) -> Option<String> {
        match self.availability {
            Availability::Alive => self.agent.as_ref().and_then(Agent::refuses),
            Availability::Drain => Some("it reports that it wants none".to_owned()),
            Availability::Stop => Some("it reports that it is about to stop".to_owned()),
        }
    }
}

/// Names of the services that list each real.
fn services_by_real(cluster: &Cluster) -> BTreeMap<&str, Vec<String>> {
    let mut services: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for service in cluster.services() {
        for member in &service.reals {
            services.entry(&member.real).or_default().push(service.name.clone());
        }
    }
    services
}

fn wish(real: &str, refused: Option<String>, refuses: Option<String>) -> Option<Change> {
    (refused != refuses).then(|| Change::Wish { real: real.to_owned(), refuses })
}

#[cfg(test)]
mod tests;
