//! The plan by what is known.

use super::*;

fn plan(monitor: &Monitor) -> Plan {
    monitor.plan(&BTreeMap::new(), |_, _| true)
}

fn without(plan: &Plan, service: &str) -> BTreeSet<String> {
    plan.services.get(service).map(|own| own.without.clone()).unwrap_or_default()
}

fn dead() -> RealPlan {
    RealPlan { alive: false, ..RealPlan::default() }
}

fn all_fail(monitor: &mut Monitor, service: &str, reals: &[&str]) {
    for real in reals {
        fail(monitor, service, real, FALL);
    }
}

#[test]
fn who_is_down_in_one_service_serves_the_others_and_keeps_its_flows() {
    let mut monitor = monitor();
    fail(&mut monitor, "web", "a", FALL);
    assert_eq!((without(&plan(&monitor), "web"), without(&plan(&monitor), "mail")), (names(&["a"]), names(&[])));
    assert_eq!(plan(&monitor).reals, BTreeMap::new());
}

#[test]
fn who_is_down_in_every_service_is_dead() {
    let mut monitor = monitor();
    all_fail(&mut monitor, "web", &["a", "c"]);
    fail(&mut monitor, "mail", "a", FALL);
    let plan = plan(&monitor);
    assert_eq!(plan.reals, BTreeMap::from([("a".to_owned(), dead()), ("c".to_owned(), dead())]));
    assert_eq!((without(&plan, "web"), without(&plan, "mail")), (names(&["a", "c"]), names(&["a"])));
}

#[test]
fn a_service_without_checks_goes_by_those_of_others() {
    let mut monitor = monitor_of(&monitoring(&[("web", &["tcp"]), ("mail", &[])], AllDown::Reset));
    fail(&mut monitor, "web", "a", FALL);
    assert_eq!((without(&plan(&monitor), "mail"), plan(&monitor).reals["a"]), (names(&["a"]), dead()));
}

#[test]
fn with_all_down_packets_are_dropped_or_reset_as_configured() {
    for (all_down, fallback) in [(AllDown::Drop, Fallback::Drop), (AllDown::Reset, Fallback::Reset)] {
        let mut monitor = monitor_of(&monitoring(&[("web", &["tcp"]), ("mail", &["tcp"])], all_down));
        all_fail(&mut monitor, "web", &["a", "b", "c"]);
        let plan = plan(&monitor);
        assert_eq!((plan.services["web"].fallback, without(&plan, "web")), (fallback, names(&["a", "b", "c"])));
        assert_eq!(plan.reals.get("c"), Some(&dead()));
    }
}

#[test]
fn last_known_sends_flows_on_as_if_nobody_was_down() {
    let mut monitor = monitor_of(&monitoring(&[("web", &["tcp"]), ("mail", &["tcp"])], AllDown::LastKnown));
    all_fail(&mut monitor, "web", &["a", "b"]);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "b"]));
    all_fail(&mut monitor, "web", &["c"]);
    assert_eq!(plan(&monitor), Plan::default());
    all_fail(&mut monitor, "mail", &["a"]);
    // Dead, but for the service that has no other.
    assert_eq!((without(&plan(&monitor), "mail"), plan(&monitor).reals), (names(&["a"]), BTreeMap::new()));
    pass(&mut monitor, "web", "b", RISE);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "c"]));
    assert_eq!(plan(&monitor).reals, BTreeMap::from([("a".to_owned(), dead()), ("c".to_owned(), dead())]));
}

/// `web` of `a`, `b` and the fallback `c`.
fn with_fallback(all_down: AllDown) -> Monitor {
    let mut web = service("web", 80, &["a", "b", "c"]);
    web.reals[2].fallback = true;
    let cluster = Cluster::new(vec![web], vec![real("a", 1), real("b", 2), real("c", 3)]).unwrap();
    let mut monitor = Monitor::default();
    monitor.configure(&cluster, &monitoring(&[("web", &["tcp"])], all_down));
    monitor
}

#[test]
fn a_fallback_gets_flows_only_while_no_other_real_can() {
    let mut monitor = with_fallback(AllDown::Drop);
    assert_eq!(without(&plan(&monitor), "web"), names(&["c"]));
    fail(&mut monitor, "web", "a", FALL);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "c"]));
    fail(&mut monitor, "web", "b", FALL);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "b"]));
    assert_eq!(plan(&monitor).reals.get("c"), None, "it is well");
    fail(&mut monitor, "web", "c", FALL);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "b", "c"]));
    pass(&mut monitor, "web", "c", RISE);
    pass(&mut monitor, "web", "b", RISE);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "c"]));
}

#[test]
fn a_fallback_stands_in_for_reals_that_may_not_serve() {
    let monitor = with_fallback(AllDown::Drop);
    let plan = monitor.plan(&BTreeMap::new(), |_, real| real == "c");
    assert_eq!(without(&plan, "web"), names(&[]), "the table leaves the others out");
}

#[test]
fn last_known_comes_after_the_fallbacks_and_does_without_them() {
    let mut monitor = with_fallback(AllDown::LastKnown);
    all_fail(&mut monitor, "web", &["a", "b"]);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "b"]));
    fail(&mut monitor, "web", "c", FALL);
    assert_eq!(without(&plan(&monitor), "web"), names(&["c"]));
    assert_eq!(plan(&monitor).reals, BTreeMap::from([("c".to_owned(), dead())]));
}

#[test]
fn last_known_does_not_ask_those_who_refuse() {
    let mut monitor = monitor_of(&monitoring(&[("mail", &["tcp"])], AllDown::LastKnown));
    fail(&mut monitor, "mail", "a", FALL);
    let report = Report {
        real: "b".to_owned(),
        generation: 1,
        sequence: 1,
        interval_ms: 1_000,
        availability: Availability::Drain,
        load: Load::default(),
    };
    monitor.report(&report, 5);
    let plan = plan(&monitor);
    // The last that is left is the one of which the checks may be wrong.
    assert_eq!(without(&plan, "mail"), names(&[]));
    assert!(plan.reals["b"].no_new_flows && plan.reals["b"].alive);
    assert!(!plan.reals.contains_key("a"));
}

#[test]
fn a_real_that_the_operator_keeps_out_is_no_real_left() {
    let mut monitor = monitor_of(&monitoring(&[("mail", &["tcp"])], AllDown::LastKnown));
    fail(&mut monitor, "mail", "a", FALL);
    let plan = monitor.plan(&BTreeMap::new(), |service, real| (service, real) != ("mail", "b"));
    assert_eq!(without(&plan, "mail"), names(&[]));
    assert_eq!(without(&monitor.plan(&BTreeMap::new(), |_, _| true), "mail"), names(&["a"]));
}

#[test]
fn who_is_joining_serves_only_where_nobody_else_does() {
    let mut monitor = monitor();
    let services =
        [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b"]), service("new", 26, &["d", "e"])];
    let reals = [real("a", 1), real("b", 2), real("c", 33), real("d", 4), real("e", 5)];
    let checked = monitoring(&[("web", &["tcp"]), ("mail", &["tcp"]), ("new", &["tcp"])], AllDown::Drop);
    monitor.configure(&Cluster::new(services.to_vec(), reals.to_vec()).unwrap(), &checked);
    assert_eq!((without(&plan(&monitor), "web"), without(&plan(&monitor), "new")), (names(&["c"]), names(&[])));
    all_fail(&mut monitor, "web", &["a", "b"]);
    assert_eq!(without(&plan(&monitor), "web"), names(&["a", "b"]));
    pass(&mut monitor, "new", "e", 1);
    assert_eq!(without(&plan(&monitor), "new"), names(&["d"]));
    assert!(!plan(&monitor).reals.contains_key("d"), "its address may answer yet");
}

#[test]
fn decisions_become_factors() {
    let decision =
        |factor, hot, why| Decision { factor, goal: factor, hot, utilisation: None, hits: None, capacity: None, why };
    let mut monitor = monitor();
    let decisions = BTreeMap::from([
        ("a".to_owned(), decision(1_700, true, Why::Moving)),
        ("b".to_owned(), decision(400, false, Why::SlowStart(0.25))),
        ("c".to_owned(), decision(NEUTRAL_FACTOR, true, Why::Steady)),
    ]);
    fail(&mut monitor, "web", "c", FALL);
    let plan = monitor.plan(&decisions, |_, _| true);
    let moving = RealPlan { factor: 1_700, hot: true, ..RealPlan::default() };
    let eased = RealPlan { factor: 400, eased: 250, ..RealPlan::default() };
    let expected = [("a", moving), ("b", eased), ("c", dead())].map(|(name, plan)| (name.to_owned(), plan));
    assert_eq!(plan.reals, BTreeMap::from(expected));
}
