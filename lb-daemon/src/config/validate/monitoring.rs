//! Checks, agent-checks and the law of weights: what fits together, and what the file leaves to the defaults.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lb_config::{Diagnostic, Problems, Spanned, duration_text, refuse_repeated, suggestion};
use lb_core::check::{Check, Kind, Via};
use lb_core::monitoring::{AgentCheck, Monitoring, RealMonitoring, ServiceMonitoring};
use lb_core::scheduler::SchedulerOptions;
use lb_core::service::{MAX_NAME_LENGTH, Ports, Protocol, is_name};

use super::super::raw::{RawCheck, RawConfig, RawScheduler, RawService};
use super::super::{
    DEFAULT_CHECK_TIMEOUT_PERCENT, DEFAULT_FALL, DEFAULT_MONITOR_INTERVAL, DEFAULT_RISE, MAX_CHECKED, MAX_CHECKS,
    MAX_CHECKS_OF_SERVICE,
};

/// How the reals are watched, unless something is wrong with it, which is then among the problems.
pub(super) fn monitoring(raw: &RawConfig, problems: &mut Problems) -> Option<Monitoring> {
    let monitor_interval = raw.monitor_interval.unwrap_or(DEFAULT_MONITOR_INTERVAL);
    let checks = checks(&raw.checks, monitor_interval, problems);
    let services = raw.services.iter().map(|service| {
        let monitoring = service_monitoring(service, &checks, problems);
        (service.name.get_ref().clone(), monitoring)
    });
    let services = services.collect();
    refuse_too_many_checked(&raw.services, problems);
    refuse_groups_that_differ(&raw.services, problems);
    let scheduler = scheduler(&raw.scheduler, problems);
    problems.is_empty().then(|| Monitoring { services, reals: reals(raw, monitor_interval), scheduler })
}

type Checks<'a> = BTreeMap<&'a str, Arc<Check>>;

fn checks<'a>(raw: &'a [RawCheck], monitor_interval: Duration, problems: &mut Problems) -> Checks<'a> {
    let mut checks = Checks::new();
    let mut places: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for check in raw {
        let name = check.name.get_ref().as_str();
        refuse_name(&check.name, problems);
        if let Some(first) = places.get(name) {
            let title = format!("check {name:?}: the name is given twice");
            let diagnostic = Diagnostic::new(check.name.span(), title, "here", "rename one of the two");
            problems.add(diagnostic.with_context(first.clone(), "first here"));
            continue;
        }
        places.insert(name, check.name.span());
        checks.insert(name, Arc::new(one_check(check, monitor_interval, problems)));
    }
    if let Some(surplus) = raw.get(MAX_CHECKS) {
        let title = format!("there are {} checks", raw.len());
        problems.add(Diagnostic::new(surplus.name.span(), title, "one too many", format!("{MAX_CHECKS} can be")));
    }
    checks
}

fn refuse_name(name: &Spanned<String>, problems: &mut Problems) {
    if !is_name(name.get_ref()) {
        let rule = format!("the name must be 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens");
        let title = format!("check {:?}: {rule}", name.get_ref());
        problems.add(Diagnostic::new(name.span(), title, "here", "choose another name"));
    }
}

fn one_check(raw: &RawCheck, monitor_interval: Duration, problems: &mut Problems) -> Check {
    let interval = raw.interval.unwrap_or(monitor_interval);
    let good_timeout = interval * DEFAULT_CHECK_TIMEOUT_PERCENT / 100;
    let timeout = raw.timeout.unwrap_or(good_timeout);
    if timeout >= interval {
        problems.add(Diagnostic::new(
            raw.timing_span.clone().unwrap_or_else(|| raw.name.span()),
            format!("check {:?}: its timeout is not shorter than its interval", raw.name.get_ref()),
            format!("timeout {}, interval {}", duration_text(timeout), duration_text(interval)),
            format!("a good timeout is {}", duration_text(good_timeout)),
        ));
    }
    Check {
        name: raw.name.get_ref().clone(),
        kind: raw.kind.clone(),
        port: raw.port,
        interval_ms: milliseconds(interval),
        timeout_ms: milliseconds(timeout),
        rise: raw.rise.unwrap_or(DEFAULT_RISE),
        fall: raw.fall.unwrap_or(DEFAULT_FALL),
        via: raw.via,
        source: raw.source.as_ref().map(|source| *source.get_ref()),
    }
}

fn service_monitoring(raw: &RawService, checks: &Checks<'_>, problems: &mut Problems) -> ServiceMonitoring {
    if raw.checks.len() > MAX_CHECKS_OF_SERVICE {
        let title = format!("service {:?} has {} checks", raw.name.get_ref(), raw.checks.len());
        let span = raw.checks[MAX_CHECKS_OF_SERVICE].span();
        problems.add(Diagnostic::new(span, title, "one too many", format!("it can have {MAX_CHECKS_OF_SERVICE}")));
    }
    refuse_repeated("check", &raw.checks, problems);
    let found = raw.checks.iter().filter_map(|name| {
        let Some(check) = checks.get(name.get_ref().as_str()) else {
            problems.add(unknown_check(raw, name, checks));
            return None;
        };
        refuse_misfit(raw, name, check, problems);
        Some(check.clone())
    });
    ServiceMonitoring { checks: found.collect(), all_down: raw.all_down, scheduling: raw.scheduling }
}

/// Services of an affinity group have one ring, so the same has to decide it in each.
fn refuse_groups_that_differ(services: &[RawService], problems: &mut Problems) {
    let mut first: BTreeMap<&str, &RawService> = BTreeMap::new();
    for service in services {
        let affinity = service.extras.affinity.as_ref().map(Spanned::get_ref);
        let Some(group) = affinity.and_then(|affinity| affinity.group.as_ref()) else { continue };
        let other = *first.entry(group.get_ref()).or_insert(service);
        let differs =
            [("scheduling", service.scheduling != other.scheduling), ("all_down", service.all_down != other.all_down)];
        for (key, _) in differs.iter().filter(|(_, differs)| *differs) {
            let (name, other) = (service.name.get_ref(), other.name.get_ref());
            let title = format!(
                "service {name:?}: service {other:?} is of affinity group {:?} too, and has another `{key}`",
                group.get_ref()
            );
            let help = "make the two alike in this, or give one of them another group";
            problems.add(Diagnostic::new(group.span(), title, "here", help));
        }
    }
}

fn unknown_check(service: &RawService, name: &Spanned<String>, checks: &Checks<'_>) -> Diagnostic {
    let names: Vec<&str> = checks.keys().copied().collect();
    let help = suggestion(name.get_ref(), &names).unwrap_or_else(|| "define it, or correct the name".to_owned());
    Diagnostic::new(name.span(), format!("{}: no such check is defined", subject(service, name)), "here", help)
}

/// Notes where a check cannot be made of the service's reals.
fn refuse_misfit(service: &RawService, name: &Spanned<String>, check: &Check, problems: &mut Problems) {
    let add_port = format!("add a `port` to the check {:?}", name.get_ref());
    let mut refuse = |problem: &str, help: String| {
        problems.add(Diagnostic::new(name.span(), format!("{}: {problem}", subject(service, name)), "here", help));
    };
    if needs_port(&check.kind) && check.port.is_none() && service.protocol == Protocol::Sctp {
        refuse("the service's port is one of SCTP, which no check speaks", add_port);
    } else if needs_port(&check.kind) && check.port.is_none() {
        match (service.ports.get_ref(), check.via) {
            (Ports::Any, _) => refuse("the service has no port of its own to be checked", add_port),
            (Ports::Range(..), Via::Service) => refuse("the service has more than one port", add_port),
            _ => {}
        }
    }
    let vip = *service.vip.get_ref();
    match check.source {
        Some(source) if source.is_ipv4() != vip.address().is_ipv4() => {
            let help = "give this service a check whose `source` is of the VIP's family".to_owned();
            refuse(&format!("no packet can go from {source} to the VIP {}", vip.brief()), help);
        }
        Some(source) if vip.contains(source) => {
            refuse("its `source` is the VIP: answers would not come back", "name another address".to_owned());
        }
        _ => {}
    }
}

fn needs_port(kind: &Kind) -> bool {
    match kind {
        Kind::Tcp | Kind::Http(_) | Kind::Https(..) | Kind::Udp { .. } => true,
        Kind::Icmp | Kind::Exec { .. } => false,
    }
}

fn subject(service: &RawService, check: &Spanned<String>) -> String {
    format!("check {:?} of service {:?}", check.get_ref(), service.name.get_ref())
}

fn refuse_too_many_checked(services: &[RawService], problems: &mut Problems) {
    let mut checked = 0;
    for service in services {
        checked += service.reals.len() * service.checks.len();
        if checked > MAX_CHECKED {
            let title = format!("services before and at {:?} have {checked} checks of reals", service.name.get_ref());
            let help = format!("there can be {MAX_CHECKED}: the reals of each service times its checks");
            problems.add(Diagnostic::new(service.name.span(), title, "too many", help));
            return;
        }
    }
}

fn reals(raw: &RawConfig, monitor_interval: Duration) -> BTreeMap<String, RealMonitoring> {
    let asked = raw.reals.iter().filter_map(|real| {
        let agent = real.agent_check.as_ref()?;
        let interval_ms = milliseconds(agent.interval.unwrap_or(monitor_interval));
        let agent_check = Some(AgentCheck { address: agent.address, interval_ms });
        Some((real.name.get_ref().clone(), RealMonitoring { agent_check }))
    });
    asked.collect()
}

fn scheduler(raw: &RawScheduler, problems: &mut Problems) -> SchedulerOptions {
    let default = SchedulerOptions::default();
    let value = |duration: &Option<Spanned<Duration>>| duration.as_ref().map(|duration| *duration.get_ref());
    let time = |duration: Option<Duration>, default| duration.map_or(default, milliseconds);
    let part = |percent: Option<u32>, default| percent.map_or(default, fraction);
    let options = SchedulerOptions {
        interval_ms: time(value(&raw.interval), default.interval_ms),
        smoothing_ms: time(raw.smoothing, default.smoothing_ms),
        step: part(raw.step_percent, default.step),
        dead_band: part(raw.dead_band_percent, default.dead_band),
        floor: part(raw.floor_percent, default.floor),
        hold_after: raw.hold_after.unwrap_or(default.hold_after),
        expire_ms: time(value(&raw.expire), default.expire_ms),
        slow_start_ms: time(raw.slow_start, default.slow_start_ms),
        hot_above: raw.hot_above_percent.map(fraction).or(default.hot_above),
    };
    if let Some(span) = raw.expire.as_ref().or(raw.interval.as_ref()).map(Spanned::span)
        && options.expire_ms <= options.interval_ms
    {
        let interval = duration_text(Duration::from_millis(options.interval_ms));
        problems.add(Diagnostic::new(
            span,
            "`expire` is not longer than the interval of the scheduler",
            "reports would expire before they are used",
            format!("the interval is {interval}; a good `expire` is 30 times as long"),
        ));
    }
    options
}

fn fraction(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
