//! Health by rise and fall, the reals' own words, and the plans that follow.

use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::{
    agent_check,
    check::{Check, Kind, Via},
    monitoring::{AgentCheck, RealMonitoring},
    report::Load,
    scheduler::{Decision, NEUTRAL_FACTOR, Why},
    service::{Guards, Member as Listed, Mode, Ports, Protocol},
    table::{Fallback, Plan, RealPlan},
};

mod group;
mod noticing;
mod plans;
mod random;
mod saving;
mod words;

const RISE: u32 = 2;
const FALL: u32 = 3;

fn real(name: &str, last: u8) -> Real {
    Real { name: name.to_owned(), address: [198, 51, 100, last].into(), weight: 100 }
}

fn service(name: &str, port: u16, reals: &[&str]) -> Service {
    let reals = reals.iter().map(|real| Listed { real: (*real).to_owned(), ..Listed::default() }).collect();
    let (vip, ports) = ([192, 0, 2, 1].into(), Ports::Single(port));
    Service {
        name: name.to_owned(),
        vip,
        protocol: Protocol::Tcp,
        ports,
        mode: Mode::Dsr,
        reals,
        vip_prefix: None,
        one_packet: false,
        affinity: None,
        guards: Guards::default(),
        quic: Vec::new(),
    }
}

/// Services `web` of `a`, `b`, `c` and `mail` of `a`, `b`.
fn cluster() -> Cluster {
    let services = [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b"])];
    Cluster::new(services.to_vec(), vec![real("a", 1), real("b", 2), real("c", 3)]).unwrap()
}

fn check(name: &str) -> Arc<Check> {
    let (interval_ms, timeout_ms, port, source) = (1_000, 400, None, None);
    let via = Via::Address;
    let name = name.to_owned();
    Arc::new(Check { name, kind: Kind::Tcp, port, interval_ms, timeout_ms, rise: RISE, fall: FALL, via, source })
}

/// These services with these checks each.
fn monitoring(services: &[(&str, &[&str])], all_down: AllDown) -> Monitoring {
    let service = |&(name, checks): &(&str, &[&str])| {
        let checks = checks.iter().map(|name| check(name)).collect();
        (name.to_owned(), ServiceMonitoring { checks, all_down, ..ServiceMonitoring::default() })
    };
    Monitoring { services: services.iter().map(service).collect(), ..Monitoring::default() }
}

/// Both services checked by `tcp`.
fn usual() -> Monitoring {
    monitoring(&[("web", &["tcp"]), ("mail", &["tcp"])], AllDown::Drop)
}

fn monitor_of(monitoring: &Monitoring) -> Monitor {
    let mut monitor = Monitor::default();
    assert_eq!(monitor.configure(&cluster(), monitoring), []);
    monitor
}

fn monitor() -> Monitor {
    monitor_of(&usual())
}

fn result(service: &str, real: &str, check: &str, outcome: Outcome) -> CheckResult {
    CheckResult { service: service.to_owned(), real: real.to_owned(), check: check.to_owned(), outcome }
}

fn passed() -> Outcome {
    Outcome::Passed { took_us: 250 }
}

fn failed() -> Outcome {
    Outcome::Failed { reason: "connection refused".to_owned() }
}

/// So many failures of the check `tcp`.
fn fail(monitor: &mut Monitor, service: &str, real: &str, times: u32) -> Vec<Change> {
    (0..times).flat_map(|_| monitor.check(&result(service, real, "tcp", failed()), 7)).collect()
}

fn pass(monitor: &mut Monitor, service: &str, real: &str, times: u32) -> Vec<Change> {
    (0..times).flat_map(|_| monitor.check(&result(service, real, "tcp", passed()), 7)).collect()
}

fn health(monitor: &Monitor, service: &str, real: &str) -> Health {
    monitor.member(service, real).unwrap().health()
}

fn became(service: &str, real: &str, health: Health, reason: Option<&str>) -> Change {
    Change::Health { service: service.to_owned(), real: real.to_owned(), health, reason: reason.map(str::to_owned) }
}

fn returned(real: &str) -> Change {
    Change::Returned { real: real.to_owned() }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

mod checks {
    use super::*;

    #[test]
    fn so_many_failures_in_a_row_are_a_real_that_is_down() {
        let mut monitor = monitor();
        pass(&mut monitor, "web", "a", 1);
        assert_eq!(fail(&mut monitor, "web", "a", FALL - 1), []);
        assert_eq!(pass(&mut monitor, "web", "a", 1), []);
        assert_eq!(fail(&mut monitor, "web", "a", FALL - 1), []);
        assert_eq!(health(&monitor, "web", "a"), Health::Up);
        let down = became("web", "a", Health::Down, Some("connection refused"));
        assert_eq!(fail(&mut monitor, "web", "a", 1), [down]);
        let said = became("web", "a", Health::Down, Some("connection refused")).to_string();
        assert_eq!(said, "real a is down in service web: connection refused");
        assert_eq!(monitor.member("web", "a").unwrap().reason(), Some("connection refused"));
        assert_eq!(health(&monitor, "mail", "a"), Health::Unchecked);
    }

    #[test]
    fn so_many_successes_in_a_row_are_a_real_that_is_up_again() {
        let mut monitor = monitor();
        fail(&mut monitor, "web", "c", FALL);
        assert_eq!(pass(&mut monitor, "web", "c", RISE - 1), []);
        assert_eq!(fail(&mut monitor, "web", "c", 1), []);
        assert_eq!(pass(&mut monitor, "web", "c", RISE - 1), []);
        assert_eq!(pass(&mut monitor, "web", "c", 1), [became("web", "c", Health::Up, None), returned("c")]);
    }

    #[test]
    fn who_is_not_checked_yet_counts_as_up_and_needs_one_success() {
        let mut monitor = monitor();
        assert_eq!(health(&monitor, "web", "a"), Health::Unchecked);
        assert!(monitor.is_available("a"));
        assert_eq!(pass(&mut monitor, "web", "a", 1), [became("web", "a", Health::Up, None)]);
        assert_eq!(fail(&mut monitor, "web", "b", FALL - 1), []);
        assert_eq!(fail(&mut monitor, "web", "b", 1).len(), 1);
    }

    #[test]
    fn every_check_must_succeed() {
        let mut monitor = monitor_of(&monitoring(&[("web", &["tcp", "http"])], AllDown::Drop));
        pass(&mut monitor, "web", "a", 1);
        assert_eq!(health(&monitor, "web", "a"), Health::Unchecked);
        monitor.check(&result("web", "a", "http", passed()), 9);
        assert_eq!(health(&monitor, "web", "a"), Health::Up);
        fail(&mut monitor, "web", "a", FALL);
        assert_eq!(health(&monitor, "web", "a"), Health::Down);
        monitor.check(&result("web", "a", "http", passed()), 9);
        assert_eq!(health(&monitor, "web", "a"), Health::Down);
    }

    #[test]
    fn what_is_not_configured_is_ignored() {
        let mut monitor = monitor();
        for (service, real, check) in
            [("none", "a", "tcp"), ("web", "none", "tcp"), ("mail", "c", "tcp"), ("web", "a", "none")]
        {
            for _ in 0..FALL {
                assert_eq!(monitor.check(&result(service, real, check, failed()), 1), []);
            }
        }
        assert_eq!(monitor.plan(&BTreeMap::new(), |_, _| true), Plan::default());
    }

    #[test]
    fn a_history_tells_the_last_outcome() {
        let mut monitor = monitor();
        let of = |monitor: &Monitor| monitor.member("web", "a").unwrap().checks()[0].clone();
        assert_eq!((of(&monitor).passed(), of(&monitor).in_a_row()), (None, 0));
        monitor.check(&result("web", "a", "tcp", failed()), 5);
        monitor.check(&result("web", "a", "tcp", failed()), 6);
        assert_eq!((of(&monitor).passed(), of(&monitor).in_a_row()), (Some(false), 2));
        assert_eq!(of(&monitor).reason(), Some("connection refused"));
        monitor.check(&result("web", "a", "tcp", passed()), 8);
        assert_eq!((of(&monitor).last(), of(&monitor).in_a_row()), (Some((&passed(), 8)), 1));
        assert_eq!((of(&monitor).reason(), of(&monitor).check().name.as_str()), (None, "tcp"));
    }
}

mod reloads {
    use super::*;

    fn with_d(address_of_b: u8) -> Cluster {
        let services = [service("web", 80, &["a", "b", "d"]), service("mail", 25, &["a", "b"])];
        Cluster::new(services.to_vec(), vec![real("a", 1), real("b", address_of_b), real("d", 4)]).unwrap()
    }

    #[test]
    fn keep_what_is_known() {
        let mut monitor = monitor();
        fail(&mut monitor, "web", "a", FALL);
        pass(&mut monitor, "web", "b", 1);
        assert_eq!(monitor.configure(&with_d(2), &usual()), []);
        assert_eq!(health(&monitor, "web", "a"), Health::Down);
        assert_eq!(health(&monitor, "web", "b"), Health::Up);
        assert!(monitor.member("web", "c").is_none() && !monitor.is_available("c"));
    }

    #[test]
    fn let_a_newcomer_serve_after_its_first_success() {
        let mut monitor = monitor();
        monitor.configure(&with_d(22), &usual());
        for real in ["b", "d"] {
            assert_eq!(health(&monitor, "web", real), Health::Joining, "{real}");
            assert!(!monitor.is_available(real));
            assert_eq!(pass(&mut monitor, "web", real, 1), [became("web", real, Health::Up, None), returned(real)]);
        }
        // It is up in one of its services.
        assert_eq!(health(&monitor, "mail", "b"), Health::Joining);
    }

    #[test]
    fn ease_a_newcomer_in_that_nothing_checks() {
        let mut monitor = monitor_of(&Monitoring::default());
        assert_eq!(monitor.configure(&with_d(2), &Monitoring::default()), [returned("d")]);
        assert_eq!(monitor.configure(&with_d(2), &Monitoring::default()), []);
    }

    #[test]
    fn with_another_check_take_nobody_away() {
        let mut monitor = monitor();
        pass(&mut monitor, "web", "a", 1);
        fail(&mut monitor, "web", "b", FALL);
        let more = monitoring(&[("web", &["tcp", "http"]), ("mail", &["tcp"])], AllDown::Drop);
        assert_eq!(monitor.configure(&cluster(), &more), []);
        assert_eq!(health(&monitor, "web", "a"), Health::Unchecked);
        assert_eq!(health(&monitor, "web", "b"), Health::Down);
        monitor.configure(&cluster(), &Monitoring::default());
        assert_eq!(health(&monitor, "web", "b"), Health::Unchecked);
    }
}
