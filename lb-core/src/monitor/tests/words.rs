//! What a real and its agent say of the real.

use std::slice::from_ref;

use super::*;

fn report(real: &str, availability: Availability) -> Report {
    let (generation, sequence, interval_ms) = (1, 1, 1_000);
    Report { real: real.to_owned(), generation, sequence, interval_ms, availability, load: Load::default() }
}

fn refuses(real: &str, why: &str) -> Change {
    Change::Wish { real: real.to_owned(), refuses: Some(why.to_owned()) }
}

fn takes(real: &str) -> Change {
    Change::Wish { real: real.to_owned(), refuses: None }
}

/// A monitor of an agent of `a`.
fn with_agent() -> Monitor {
    let agent = AgentCheck { address: "192.0.2.11:9777".parse().unwrap(), interval_ms: 1_000 };
    let reals = BTreeMap::from([("a".to_owned(), RealMonitoring { agent_check: Some(agent) })]);
    monitor_of(&Monitoring { reals, ..usual() })
}

fn says(monitor: &mut Monitor, text: &str) -> Vec<Change> {
    monitor.agent_check("a", Ok(&agent_check::parse(text.as_bytes()).unwrap()), 5)
}

#[test]
fn a_report_can_take_a_real_out_and_bring_it_back() {
    let mut monitor = monitor();
    assert_eq!(monitor.report(&report("a", Availability::Alive), 5), []);
    let drains = refuses("a", "it reports that it wants none");
    assert_eq!(monitor.report(&report("a", Availability::Drain), 6), [drains]);
    assert_eq!(
        refuses("a", "it reports that it wants none").to_string(),
        "real a takes no new flows: it reports that it wants none"
    );
    assert_eq!(monitor.report(&report("a", Availability::Drain), 7), []);
    let stops = refuses("a", "it reports that it is about to stop");
    assert_eq!(monitor.report(&report("a", Availability::Stop), 8), [stops]);
    assert!(!monitor.is_available("a"));
    assert_eq!(monitor.availability("a"), Availability::Stop);
    assert_eq!(monitor.report(&report("a", Availability::Alive), 9), [takes("a"), returned("a")]);
    assert_eq!(monitor.newest_report("a"), Some((&report("a", Availability::Alive), 9)));
    assert_eq!(monitor.report(&report("stranger", Availability::Stop), 9), []);
}

#[test]
fn no_word_raises_a_real_that_a_check_says_is_down() {
    let mut monitor = with_agent();
    fail(&mut monitor, "web", "a", FALL);
    fail(&mut monitor, "mail", "a", FALL);
    assert_eq!(monitor.report(&report("a", Availability::Alive), 9), []);
    assert_eq!(says(&mut monitor, "ready up 100%\n"), []);
    assert!(!monitor.is_available("a"));
    assert_eq!(health(&monitor, "web", "a"), Health::Down);
}

#[test]
fn what_a_real_said_before_it_was_started_again_counts_no_more() {
    let mut monitor = monitor();
    monitor.report(&report("c", Availability::Stop), 1_000);
    fail(&mut monitor, "web", "c", FALL);
    let up = became("web", "c", Health::Up, None);
    let pass_at = |monitor: &mut Monitor, now_ms| {
        (0..RISE).flat_map(|_| monitor.check(&result("web", "c", "tcp", passed()), now_ms)).collect::<Vec<_>>()
    };
    // It may still be saying so.
    assert_eq!(pass_at(&mut monitor, 4_000).as_slice(), from_ref(&up));
    fail(&mut monitor, "web", "c", FALL);
    assert_eq!(pass_at(&mut monitor, 4_001), [up, takes("c"), returned("c")]);
}

#[test]
fn silence_changes_nothing() {
    let mut monitor = with_agent();
    says(&mut monitor, "drain");
    assert_eq!(monitor.agent_check("a", Err("connection refused"), 9), []);
    assert_eq!(monitor.agent_check("a", Err("no answer in 400 ms"), 10), []);
    let agent = monitor.agent("a").unwrap();
    assert_eq!((agent.error(), agent.failures()), (Some("no answer in 400 ms"), 2));
    assert_eq!(agent.last().map(|(_, at_ms)| at_ms), Some(5));
    assert!(!monitor.is_available("a"));
    says(&mut monitor, "up");
    assert_eq!((monitor.agent("a").unwrap().error(), monitor.agent("a").unwrap().failures()), (None, 0));
}

#[test]
fn ready_ends_drain_and_maint_only() {
    let mut monitor = with_agent();
    assert_eq!(says(&mut monitor, "drain"), [refuses("a", "its agent says drain")]);
    assert_eq!(says(&mut monitor, "up"), []);
    assert_eq!(says(&mut monitor, "maint #moving house"), [refuses("a", "its agent says maint (moving house)")]);
    assert_eq!(says(&mut monitor, "75%"), []);
    assert_eq!(says(&mut monitor, "ready"), [takes("a"), returned("a")]);
    assert_eq!(says(&mut monitor, "down"), [refuses("a", "its agent says down")]);
    assert_eq!(says(&mut monitor, "ready"), []);
}

#[test]
fn only_up_ends_what_an_agent_says_of_health() {
    let mut monitor = with_agent();
    for (word, says_it) in [("down", "down"), ("failed", "fail"), ("stopped", "stopped")] {
        assert_eq!(says(&mut monitor, word), [refuses("a", &format!("its agent says {says_it}"))]);
        assert_eq!(says(&mut monitor, "50%"), []);
        assert_eq!(pass(&mut monitor, "web", "a", RISE).iter().filter(|change| **change == returned("a")).count(), 0);
        assert_eq!(says(&mut monitor, "up"), [takes("a"), returned("a")]);
    }
}

#[test]
fn a_share_that_is_asked_for_stays_until_another_is() {
    let mut monitor = with_agent();
    let asked = |monitor: &Monitor| monitor.agent("a").unwrap().asked();
    assert_eq!(asked(&monitor), None);
    says(&mut monitor, "75%");
    says(&mut monitor, "up");
    assert_eq!(asked(&monitor), Some(0.75));
    assert_eq!(says(&mut monitor, "0%"), [refuses("a", "its agent asks for 0% of its weight")]);
    assert_eq!(says(&mut monitor, "150%"), [takes("a"), returned("a")]);
    assert_eq!(asked(&monitor), Some(1.5));
}

#[test]
fn an_agent_that_is_not_configured_says_nothing() {
    let mut monitor = monitor();
    assert_eq!(says(&mut monitor, "down"), []);
    assert!(monitor.agent("a").is_none());
    let mut monitor = with_agent();
    says(&mut monitor, "down");
    assert_eq!(monitor.configure(&cluster(), &usual()), []);
    assert!(monitor.agent("a").is_none() && monitor.is_available("a"));
}
