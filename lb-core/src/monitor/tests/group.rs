//! Services of an affinity group: what one of them knows of a real counts in all.

use super::*;
use crate::service::Affinity;

/// `web` and `tls` of group `shop`, and `mail` of none; all of `a`, `b` and the fallback `c`.
fn cluster_of(group: Option<&str>) -> Cluster {
    let affinity = group.map(|group| Affinity { prefix: 32, timeout_ms: None, group: Some(group.to_owned()) });
    let mut services = [service("web", 80, &["a", "b", "c"]), service("tls", 443, &["a", "b", "c"])];
    for service in &mut services {
        service.affinity = affinity.clone();
        service.reals[2].fallback = true;
    }
    let mail = service("mail", 25, &["a"]);
    let services = services.into_iter().chain([mail]).collect();
    Cluster::new(services, vec![real("a", 1), real("b", 2), real("c", 3)]).unwrap()
}

fn monitor_with(services: &[(&str, &[&str])], all_down: AllDown) -> Monitor {
    let mut monitor = Monitor::default();
    monitor.configure(&cluster_of(Some("shop")), &monitoring(services, all_down));
    monitor
}

fn both() -> Monitor {
    monitor_with(&[("web", &["tcp"]), ("tls", &["tcp"])], AllDown::Drop)
}

fn plan(monitor: &Monitor) -> Plan {
    monitor.plan(&BTreeMap::new(), |_, _| true)
}

fn without(monitor: &Monitor) -> [String; 2] {
    let services = plan(monitor).services;
    let of = |service: &str| services.get(service).map(|own| own.without.iter().cloned().collect::<Vec<_>>().join(" "));
    ["web", "tls"].map(|service| of(service).unwrap_or_default())
}

fn dead(monitor: &Monitor) -> String {
    let dead = plan(monitor).reals.into_iter().filter(|(_, real)| !real.alive).map(|(name, _)| name);
    dead.collect::<Vec<_>>().join(" ")
}

#[test]
fn who_is_down_in_one_is_out_of_all_and_dead() {
    let mut monitor = both();
    assert_eq!(without(&monitor), ["c", "c"], "the fallback");
    let changes = fail(&mut monitor, "tls", "a", FALL);
    assert_eq!(changes, [became("tls", "a", Health::Down, Some("connection refused"))], "of web nobody says so");
    assert_eq!((health(&monitor, "web", "a"), monitor.health("web", "a")), (Health::Unchecked, Some(Health::Down)));
    assert_eq!(without(&monitor), ["a c", "a c"]);
    assert_eq!(dead(&monitor), "a", "its clients go elsewhere at once, with all that they have");
    assert_eq!((monitor.down_in_group("web", "a"), monitor.down_in_group("tls", "a")), (Some("tls"), None));

    let changes = pass(&mut monitor, "tls", "a", RISE);
    assert!(changes.contains(&Change::Returned { real: "a".to_owned() }), "it is eased in: {changes:?}");
    assert_eq!((without(&monitor), dead(&monitor).as_str()), (["c", "c"].map(str::to_owned), ""));
}

#[test]
fn a_real_that_serves_elsewhere_too_lives_on() {
    let mut monitor = monitor_with(&[("web", &["tcp"]), ("tls", &["tcp"]), ("mail", &["tcp"])], AllDown::Drop);
    fail(&mut monitor, "web", "a", FALL);
    fail(&mut monitor, "tls", "a", FALL);
    assert_eq!((without(&monitor), dead(&monitor).as_str()), (["a c", "a c"].map(str::to_owned), ""));
    fail(&mut monitor, "mail", "a", FALL);
    assert_eq!(dead(&monitor), "a");
    pass(&mut monitor, "web", "a", RISE);
    assert_eq!(dead(&monitor), "a", "tls still says so");
    pass(&mut monitor, "tls", "a", RISE);
    assert_eq!((dead(&monitor).as_str(), monitor.is_available("a")), ("", true));
}

#[test]
fn the_fallback_stands_in_for_all_when_no_real_is_up_in_all() {
    let mut monitor = both();
    fail(&mut monitor, "web", "a", FALL);
    fail(&mut monitor, "tls", "b", FALL);
    assert_eq!(without(&monitor), ["a b", "a b"]);
    fail(&mut monitor, "tls", "c", FALL);
    assert_eq!(without(&monitor), ["a b c", "a b c"]);

    let mut kept = monitor_with(&[("web", &["tcp"]), ("tls", &["tcp"])], AllDown::LastKnown);
    fail(&mut kept, "web", "a", FALL);
    fail(&mut kept, "tls", "b", FALL);
    fail(&mut kept, "tls", "c", FALL);
    assert_eq!((without(&kept), dead(&kept).as_str()), (["c", "c"].map(str::to_owned), "c"));
}

#[test]
fn a_service_that_checks_nothing_goes_by_the_others_checks() {
    let mut monitor = monitor_with(&[("web", &[]), ("tls", &["tcp"]), ("mail", &["tcp"])], AllDown::Drop);
    fail(&mut monitor, "tls", "b", FALL);
    assert_eq!(without(&monitor), ["b c", "b c"]);
}

#[test]
fn a_reload_counts_anew_whom_groups_make_of_services() {
    let mut monitor = both();
    fail(&mut monitor, "web", "a", FALL);
    assert_eq!(dead(&monitor), "a");
    let checks = monitoring(&[("web", &["tcp"]), ("tls", &["tcp"])], AllDown::Drop);
    monitor.configure(&cluster_of(None), &checks);
    assert_eq!((without(&monitor), dead(&monitor).as_str()), (["a c", "c"].map(str::to_owned), ""));
    monitor.configure(&cluster_of(Some("shop")), &checks);
    assert_eq!((without(&monitor), dead(&monitor).as_str()), (["a c", "a c"].map(str::to_owned), "a"));
}
