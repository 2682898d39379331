//! What an operator should know of health and reports: services without reals, reals that are silent while others report,
//! agents that do not answer or say odd things.

use lb_core::monitor::{Agent, Health};
use lb_core::monitoring::{AllDown, Monitoring};
use lb_core::service::{Member, Service};
use lb_core::table::AdminState;

use crate::engine::Engine;

/// An agent that has not answered so often in a row is told of.
const FAILURES_TOLD: u32 = 3;

/// What the alarms of this module begin with, each followed by a name.
const SERVICE: &str = "service ";
const FALLBACK: &str = "fallback of ";
const REPORTS: &str = "reports of ";
const AGENT: &str = "agent of ";
/// The alarm about reports as such.
const NO_REPORTS: &str = "reports";

impl Engine {
    /// Looks what there is to tell by now.
    pub(in crate::engine) fn look_for_alarms(&mut self) {
        self.raise(SERVICE, true, self.dead_services());
        self.raise(FALLBACK, true, self.services_in_reserve());
        self.raise(REPORTS, false, self.silent_reals());
        self.raise(AGENT, false, self.odd_agents());
        match self.no_reports() {
            Some(message) => self.troubles.warning(NO_REPORTS, message),
            None => self.troubles.clear(NO_REPORTS),
        }
    }

    /// These are the troubles of this kind, by name, and there are no others.
    fn raise(&mut self, kind: &str, degraded: bool, found: Vec<(String, String)>) {
        let mut over = self.troubles.subjects(kind);
        for (name, message) in found {
            let subject = format!("{kind}{name}");
            over.remove(&subject);
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

    /// Services whose fallbacks stand in, though the operator lets others serve.
    fn services_in_reserve(&self) -> Vec<(String, String)> {
        let told = |service: &Service| {
            let fallbacks = self.fallbacks_in_use(service)?.join(", ");
            let message =
                format!("no real of it is up but {fallbacks}; `lbctl table` says what is wrong with the others");
            Some((service.name.clone(), message))
        };
        self.table.cluster().services().iter().filter_map(told).collect()
    }

    /// The fallbacks that stand in for reals which may serve and cannot.
    fn fallbacks_in_use<'a>(&self, service: &'a Service) -> Option<Vec<&'a str>> {
        let may_serve = |member: &&Member| self.table.may_serve(&service.name, &member.real);
        let (fallbacks, others): (Vec<&Member>, Vec<&Member>) =
            service.reals.iter().filter(may_serve).partition(|member| member.fallback);
        let is_up = |member: &&Member| self.takes_flows(service, &member.real);
        let up: Vec<&str> = fallbacks.into_iter().filter(is_up).map(|member| member.real.as_str()).collect();
        (!others.is_empty() && !others.iter().any(is_up) && !up.is_empty()).then_some(up)
    }

    fn is_dead(&self, service: &Service) -> bool {
        let names = service.reals.iter().map(|member| member.real.as_str());
        let mut candidates = names.filter(|real| self.table.may_serve(&service.name, real)).peekable();
        candidates.peek().is_some() && !candidates.any(|real| self.takes_flows(service, real))
    }

    fn takes_flows(&self, service: &Service, real: &str) -> bool {
        let monitor = &self.balance.monitor;
        let is_up = monitor.health(&service.name, real) != Some(Health::Down);
        is_up && monitor.is_available(real)
    }

    /// Reals that do not report, where others do.
    fn silent_reals(&self) -> Vec<(String, String)> {
        let limit_ms = self.balance.monitoring.scheduler.expire_ms;
        let is_silent = |real: &str| self.silent_for_ms(real) > limit_ms;
        let mut reporting = self.table.cluster().reals().iter().filter(|real| self.has_reported(&real.name));
        if reporting.all(|real| is_silent(&real.name)) {
            return Vec::new();
        }
        let told = |real: &str| {
            let message = format!(
                "none for more than {} s, while others report; it has the mean weight: see that lb-agent runs there and \
                 reaches this host (`lbctl reports` counts what is refused)",
                limit_ms / 1_000
            );
            (real.to_owned(), message)
        };
        self.expected().filter(|real| is_silent(real)).map(told).collect()
    }

    /// Reports are waited for, and since the start no real has sent one that was taken.
    fn no_reports(&self) -> Option<String> {
        self.settings.reports.as_ref()?;
        let limit_ms = self.balance.monitoring.scheduler.expire_ms;
        let is_long = self.now_ms().saturating_sub(self.balance.since_ms) > limit_ms;
        let reported = || self.table.cluster().reals().iter().any(|real| self.has_reported(&real.name));
        let is_missed = is_long && self.expected().next().is_some() && !reported();
        let message = || {
            "no real has reported since lbd started: see that lb-agent runs on the reals and names an address of this host, \
             that the key files are the same (`lbctl reports` counts what is refused, and says why), and that no firewall \
             holds up UDP to the port of reports.listen"
                .to_owned()
        };
        is_missed.then(message)
    }

    fn has_reported(&self, real: &str) -> bool {
        self.balance.monitor.newest_report(real).is_some()
    }

    /// The reals whose reports are missed when they do not come.
    fn expected(&self) -> impl Iterator<Item = &str> {
        let enabled = self.table.reals().filter(|view| view.admin != AdminState::Disabled);
        let names = enabled.map(|view| view.real.name.as_str());
        names.filter(|real| self.balance.monitor.agent(real).is_none())
    }

    /// Time since the newest report of the real, or since reports have been waited for.
    fn silent_for_ms(&self, real: &str) -> u64 {
        let newest_ms = self.balance.monitor.newest_report(real).map(|(_, at_ms)| at_ms);
        self.now_ms().saturating_sub(newest_ms.unwrap_or(self.balance.since_ms))
    }

    /// Agents that do not answer, or say what nobody understands.
    fn odd_agents(&self) -> Vec<(String, String)> {
        let told = |name: &str| Some((name.to_owned(), odd(self.balance.monitor.agent(name)?)?));
        self.table.cluster().reals().iter().filter_map(|real| told(&real.name)).collect()
    }
}

/// What is odd about an agent, if anything.
fn odd(agent: &Agent) -> Option<String> {
    if agent.failures() >= FAILURES_TOLD {
        return Some(format!("{}; what it said last still counts", agent.error()?));
    }
    let (answer, _) = agent.last()?;
    // The word itself may be another each time, and would fill the log.
    answer.unknown.as_ref()?;
    Some("it says what is no word of the agent-check protocol (`lbctl explain` shows it); the rest counts".to_owned())
}

/// What becomes of the packets of a service without reals.
fn all_down(monitoring: &Monitoring, service: &Service) -> &'static str {
    match monitoring.services.get(&service.name).map(|own| own.all_down).unwrap_or_default() {
        AllDown::Drop => "its packets are dropped",
        AllDown::Reset => "TCP is answered with RST, the rest is dropped",
        AllDown::LastKnown => "its packets go where they went before, since checks may be wrong",
    }
}
