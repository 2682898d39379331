//! What an operator should know of health and reports: services without reals, reals that are silent while others report,
//! agents that do not answer.

use lb_core::monitor::Health;
use lb_core::monitoring::{AllDown, Monitoring};
use lb_core::service::Service;
use lb_core::table::AdminState;

use crate::engine::Engine;

/// An agent that has not answered so often in a row is told of.
const FAILURES_TOLD: u32 = 3;

/// What the alarms of this module begin with, each followed by a name.
const SERVICE: &str = "service ";
const REPORTS: &str = "reports of ";
const AGENT: &str = "agent of ";

impl Engine {
    /// Looks what there is to tell by now.
    pub(in crate::engine) fn look_for_alarms(&mut self) {
        self.raise(SERVICE, true, self.dead_services());
        self.raise(REPORTS, false, self.silent_reals());
        self.raise(AGENT, false, self.silent_agents());
    }

    /// These are the troubles of this kind, by name, and there are no others.
    fn raise(&mut self, kind: &str, degraded: bool, found: Vec<(String, String)>) {
        let mut over = self.troubles.subjects(kind);
        for (name, message) in found {
            let subject = format!("{kind}{name}");
            over.retain(|known| *known != subject);
            if degraded {
                self.troubles.degraded(subject, message);
            } else {
                self.troubles.warning(subject, message);
            }
        }
        over.iter().for_each(|subject| self.troubles.clear(subject));
    }

    /// Services of which no real is up, though the operator lets some serve.
    fn dead_services(&self) -> Vec<(String, String)> {
        let services = self.table.cluster().services().iter().filter(|service| self.is_dead(service));
        let told = |service: &Service| {
            let message = format!(
                "no real of it is up: {}; `lbctl table` says what is wrong with each",
                all_down(&self.balance.monitoring, service)
            );
            (service.name.clone(), message)
        };
        services.map(told).collect()
    }

    fn is_dead(&self, service: &Service) -> bool {
        let names = service.reals.iter().map(|member| member.real.as_str());
        let mut candidates = names.filter(|real| self.table.may_serve(&service.name, real)).peekable();
        candidates.peek().is_some() && !candidates.any(|real| self.takes_flows(service, real))
    }

    fn takes_flows(&self, service: &Service, real: &str) -> bool {
        let monitor = &self.balance.monitor;
        let is_up = monitor.member(&service.name, real).is_none_or(|member| member.health() != Health::Down);
        is_up && monitor.is_available(real)
    }

    /// Reals that do not report, where others do.
    fn silent_reals(&self) -> Vec<(String, String)> {
        let limit_ms = self.balance.monitoring.scheduler.expire_ms;
        let is_silent = |real: &str| self.silent_for_ms(real) > limit_ms;
        let names = || self.table.reals().map(|view| view.real.name.as_str());
        if !names().any(|real| self.balance.monitor.newest_report(real).is_some() && !is_silent(real)) {
            return Vec::new();
        }
        let expected = self.table.reals().filter(|view| view.admin != AdminState::Disabled);
        let expected = expected.filter(|view| self.balance.monitor.agent(&view.real.name).is_none());
        let told = |real: &str| {
            let message = format!(
                "none for more than {} s, while others report; it has the mean weight: see that lb-agent runs there and \
                 reaches this host (`lbctl reports` counts what is refused)",
                limit_ms / 1_000
            );
            (real.to_owned(), message)
        };
        expected.map(|view| view.real.name.as_str()).filter(|real| is_silent(real)).map(told).collect()
    }

    /// Time since the newest report of the real, or since reports have been waited for.
    fn silent_for_ms(&self, real: &str) -> u64 {
        let newest_ms = self.balance.monitor.newest_report(real).map(|(_, at_ms)| at_ms);
        self.now_ms().saturating_sub(newest_ms.unwrap_or(self.balance.since_ms))
    }

    /// Agents that do not answer.
    fn silent_agents(&self) -> Vec<(String, String)> {
        let told = |name: &str| {
            let agent = self.balance.monitor.agent(name).filter(|agent| agent.failures() >= FAILURES_TOLD)?;
            let error = agent.error()?;
            Some((name.to_owned(), format!("{error}; what it said last still counts")))
        };
        self.table.cluster().reals().iter().filter_map(|real| told(&real.name)).collect()
    }
}

/// What becomes of the packets of a service without reals.
fn all_down(monitoring: &Monitoring, service: &Service) -> &'static str {
    match monitoring.services.get(&service.name).map(|own| own.all_down).unwrap_or_default() {
        AllDown::Drop => "its packets are dropped",
        AllDown::Reset => "TCP is answered with RST, the rest is dropped",
        AllDown::LastKnown => "its packets go where they went before, since checks may be wrong",
    }
}
