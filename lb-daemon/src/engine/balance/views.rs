//! The scheduling table, the explanation of one real, and what became of reports, as the API shows them.

use std::collections::HashMap;

use lb_core::agent_check::{self, Answer};
use lb_core::api;
use lb_core::check::Outcome;
use lb_core::monitor::{CheckHistory, Health, Member};
use lb_core::report::{Availability, Refusal, Report, Share};
use lb_core::scheduler::{Decision, NEUTRAL_FACTOR, Why};
use lb_core::service::Service;
use lb_core::table::RealView;

use super::{why, words};
use crate::engine::Engine;
use crate::engine::views::api_admin_state;

impl Engine {
    /// The scheduling table.
    #[must_use]
    pub fn table_report(&self) -> api::TableReport {
        let mut services: HashMap<&str, Vec<api::TableService>> = HashMap::new();
        for view in self.table.services() {
            for member in &view.members {
                let row = self.table_service(view.service, &member.real.name, member.slots);
                services.entry(&member.real.name).or_default().push(row);
            }
        }
        let real = |view: RealView<'_>| {
            let services = services.remove(view.real.name.as_str()).unwrap_or_default();
            self.table_real(&view, services)
        };
        api::TableReport { generation: self.table.generation(), reals: self.table.reals().map(real).collect() }
    }

    /// Why a real has its weight; none where there is no such real.
    #[must_use]
    pub fn explain(&self, name: &str) -> Option<api::Explanation> {
        let table = self.table_report();
        let real = table.reals.iter().find(|real| real.name == name)?;
        let serves_with_it = |other: &&api::TableReal| {
            let is_shared =
                |service: &api::TableService| real.services.iter().any(|own| own.service == service.service);
            other.name != name && other.services.iter().any(is_shared)
        };
        let others: Vec<&api::TableReal> = table.reals.iter().filter(serves_with_it).collect();
        let mut lines = why::lines(real, &others);
        lines.extend(real.services.iter().filter_map(|service| self.group_line(&service.service, name)));
        lines.extend(self.balance.monitor.agent(name).and_then(why::agent_line));
        Some(api::Explanation { real: name.to_owned(), lines })
    }

    /// Why a real gets no flows of a service whose own checks say nothing against it.
    fn group_line(&self, service: &str, real: &str) -> Option<String> {
        let other = self.balance.monitor.down_in_group(service, real)?;
        let group = self.table.cluster().service(service)?.group()?;
        Some(format!(
            "affinity group {group}: it is down in service {other}, so it gets no flows of service {service} either"
        ))
    }

    /// What became of reports and agent-checks.
    #[must_use]
    pub fn reports(&self) -> api::Reports {
        let (counters, listen) = self.watchers.report_counters();
        let refused = |refusal: &Refusal| api::Count {
            name: refusal.name().to_owned(),
            count: counters.refused(*refusal),
            explanation: refusal.explanation().to_owned(),
        };
        let names = || self.table.cluster().reals().iter().map(|real| real.name.as_str());
        api::Reports {
            listen,
            accepted: counters.accepted,
            refused: Refusal::ALL.iter().map(refused).collect(),
            senders: names().filter_map(|real| self.sender(real)).collect(),
            agent_checks: names().filter_map(|real| self.agent(real)).collect(),
        }
    }

    fn sender(&self, real: &str) -> Option<api::Sender> {
        let (report, at_ms) = self.balance.monitor.newest_report(real)?;
        Some(api::Sender {
            real: real.to_owned(),
            generation: report.generation,
            sequence: report.sequence,
            interval_seconds: f64::from(report.interval_ms) / 1_000.0,
            age_seconds: self.age_seconds(at_ms),
        })
    }

    fn agent(&self, real: &str) -> Option<api::AgentCheck> {
        let configured = self.balance.monitoring.reals.get(real)?.agent_check.as_ref()?;
        let agent = self.balance.monitor.agent(real)?;
        let said = |answer: &Answer| agent_check::format(answer).trim_end().to_owned();
        Some(api::AgentCheck {
            real: real.to_owned(),
            address: configured.address,
            answer: agent.last().map(|(answer, _)| said(answer)),
            error: agent.error().map(str::to_owned),
            failures: agent.failures(),
            age_seconds: agent.last().map(|(_, at_ms)| self.age_seconds(at_ms)),
        })
    }

    fn table_real(&self, view: &RealView<'_>, services: Vec<api::TableService>) -> api::TableReal {
        let name = view.real.name.as_str();
        let monitor = &self.balance.monitor;
        let newest = monitor.newest_report(name);
        let heard_ms = newest.map(|(_, at_ms)| at_ms);
        let heard_ms = heard_ms.or_else(|| monitor.agent(name)?.last().map(|(_, at_ms)| at_ms));
        let load = newest.map(|(report, _)| report.load).unwrap_or_default();
        let decision = self.balance.decisions.get(name);
        let configured = view.weight_override.unwrap_or(view.real.weight);
        let (health, health_reason) = self.real_health(name, services.iter().map(|service| service.service.as_str()));
        let (weight, next_weight) = weights(view, decision, configured);
        let decided = decision.map_or(Why::NoReports, |decision| decision.why);
        api::TableReal {
            name: name.to_owned(),
            admin: api_admin_state(view.admin),
            health,
            health_reason,
            report_age_seconds: heard_ms.map(|at_ms| self.age_seconds(at_ms)),
            availability: newest.map(|(report, _)| availability(report)),
            cpu: load.cpu.map(Share::fraction),
            memory: load.memory.map(Share::fraction),
            network_in: load.network.and_then(|network| network.received_share()),
            network_out: load.network.and_then(|network| network.sent_share()),
            custom: load.custom.map(Share::fraction),
            hits: decision.and_then(|decision| decision.hits),
            utilisation: decision.and_then(|decision| decision.utilisation),
            capacity: decision.and_then(|decision| decision.capacity),
            configured_weight: configured,
            weight,
            next_weight,
            hot: view.plan.hot,
            why: why_word(decided),
            why_text: why::sentence(decided, &self.balance.monitoring.scheduler),
            services,
        }
    }

    fn table_service(&self, service: &Service, real: &str, slots: u32) -> api::TableService {
        let checks = self.balance.monitor.member(&service.name, real).map(Member::checks).unwrap_or_default();
        api::TableService {
            service: service.name.clone(),
            health: self.checked_health(&service.name, real),
            slots,
            checks: checks.iter().map(|check| self.check_state(check)).collect(),
        }
    }

    fn check_state(&self, check: &CheckHistory) -> api::CheckState {
        let latency = |outcome: &Outcome| match outcome {
            Outcome::Passed { took_us } => Some(*took_us as f64 / 1e6),
            Outcome::Failed { .. } => None,
        };
        api::CheckState {
            name: check.check().name.clone(),
            up: match check.health() {
                Health::Up => Some(true),
                Health::Down => Some(false),
                Health::Unchecked | Health::Joining => None,
            },
            passed: check.passed(),
            reason: check.reason().map(str::to_owned),
            in_a_row: check.in_a_row(),
            age_seconds: check.last().map(|(_, at_ms)| self.age_seconds(at_ms)),
            latency_seconds: check.last().and_then(|(outcome, _)| latency(outcome)),
        }
    }

    /// Whether a real can serve, over all these services, and why it cannot where it cannot.
    pub(in crate::engine) fn real_health<'a>(
        &self,
        real: &str,
        services: impl Iterator<Item = &'a str>,
    ) -> (api::Health, Option<String>) {
        let refuses = self.balance.monitor.refuses(real);
        if refuses.is_some() {
            return (api::Health::Down, refuses);
        }
        let healths: Vec<(&str, api::Health)> =
            services.map(|service| (service, self.checked_health(service, real))).collect();
        let down = healths.iter().find(|(_, health)| *health == api::Health::Down);
        let reason = down.and_then(|(service, _)| words::reason(self.balance.monitor.member(service, real)?));
        (overall(&healths), reason)
    }

    /// What the checks of a service say of a real.
    fn checked_health(&self, service: &str, real: &str) -> api::Health {
        self.balance.monitor.member(service, real).map_or(api::Health::Unchecked, |member| health(member.health()))
    }

    fn age_seconds(&self, at_ms: u64) -> f64 {
        self.now_ms().saturating_sub(at_ms) as f64 / 1_000.0
    }
}

/// The weight in use and the one that it is on its way to, in units of the configured weight.
fn weights(view: &RealView<'_>, decision: Option<&Decision>, configured: u32) -> (f64, f64) {
    if view.weight == 0 {
        return (0.0, 0.0);
    }
    if view.weight_override.is_some() {
        return (f64::from(configured), f64::from(configured));
    }
    let in_weights = |factor: u32| f64::from(configured) * f64::from(factor) / f64::from(NEUTRAL_FACTOR);
    let goal = decision.map_or(view.plan.factor, |decision| decision.goal);
    (in_weights(view.plan.factor), in_weights(goal))
}

/// Over all services.
fn overall(services: &[(&str, api::Health)]) -> api::Health {
    let any = |health: api::Health| services.iter().any(|(_, found)| *found == health);
    let any_up = any(api::Health::Up) || any(api::Health::Unchecked);
    match (any(api::Health::Down), any_up) {
        (true, true) => api::Health::Partly,
        (true, false) => api::Health::Down,
        (false, _) if any(api::Health::Joining) => api::Health::Joining,
        (false, _) if any(api::Health::Up) => api::Health::Up,
        (false, _) => api::Health::Unchecked,
    }
}

fn health(health: Health) -> api::Health {
    match health {
        Health::Unchecked => api::Health::Unchecked,
        Health::Joining => api::Health::Joining,
        Health::Up => api::Health::Up,
        Health::Down => api::Health::Down,
    }
}

fn availability(report: &Report) -> api::Availability {
    match report.availability {
        Availability::Alive => api::Availability::Alive,
        Availability::Drain => api::Availability::Drain,
        Availability::Stop => api::Availability::Stop,
    }
}

fn why_word(why: Why) -> api::Why {
    match why {
        Why::Steady => api::Why::Steady,
        Why::Moving => api::Why::Moving,
        Why::Floor => api::Why::Floor,
        Why::Idle => api::Why::Idle,
        Why::Held => api::Why::Held,
        Why::Expired => api::Why::Expired,
        Why::NoReports => api::Why::NoReports,
        Why::SlowStart(_) => api::Why::SlowStart,
        Why::Asked(_) => api::Why::Asked,
        Why::Static => api::Why::Static,
        Why::NotEligible => api::Why::NotEligible,
    }
}
