//! What is watched, and how often.

use std::collections::BTreeSet;

use lb_core::check::{CheckResult, Kind, Outcome, Target, Via};
use lb_core::table::NextHop;
use lb_daemon::checks::Checks;

use crate::servers;
use crate::stage::{Stage, With as _, ip, next, target};

fn names(results: &[CheckResult]) -> BTreeSet<(&str, &str, &str)> {
    results.iter().map(|one| (one.service.as_str(), one.real.as_str(), one.check.as_str())).collect()
}

#[test]
fn checks_are_made_again_and_again_and_told_by_name() {
    Stage::new().block_on(async {
        let port = servers::tcp(servers::closing).await;
        let one = Target { port, ..target(Kind::Tcp) };
        let other = Target { real: "web2".into(), port: servers::closed_tcp().await, ..one.clone() };
        let deep = one.clone().named("deep");
        let (checks, mut results) = Checks::start();
        checks.watch(vec![one, other, deep]);
        let mut seen = Vec::new();
        for _ in 0..30 {
            seen.push(next(&mut results).await);
        }
        let all = [("web", "web1", "alive"), ("web", "web1", "deep"), ("web", "web2", "alive")];
        assert_eq!(names(&seen), all.into());
        for result in seen {
            let passed = matches!(result.outcome, Outcome::Passed { .. });
            assert_eq!(passed, result.real == "web1", "{result:?}");
        }
    });
}

#[test]
fn what_is_watched_no_more_is_checked_no_more() {
    Stage::new().block_on(async {
        let port = servers::tcp(servers::closing).await;
        let one = Target { port, ..target(Kind::Tcp) };
        let other = Target { real: "web2".into(), ..one.clone() };
        let (checks, mut results) = Checks::start();
        checks.watch(vec![one, other.clone()]);
        while next(&mut results).await.real != "web1" {}
        checks.watch(vec![other]);
        // Results that were under way may still come; then come those of the other alone.
        for _ in 0..2 {
            while results.try_recv().is_ok() {}
            next(&mut results).await;
        }
        for _ in 0..20 {
            assert_eq!(next(&mut results).await.real, "web2");
        }
        drop(checks);
        while results.recv().await.is_some() {}
    });
}

#[test]
fn real_at_another_address_is_checked_there() {
    Stage::new().block_on(async {
        let port = servers::tcp(servers::closing).await;
        let there = Target { port, ..target(Kind::Tcp) };
        let gone = Target { port: servers::closed_tcp().await, ..there.clone() };
        let (checks, mut results) = Checks::start();
        checks.watch(vec![gone]);
        assert!(matches!(next(&mut results).await.outcome, Outcome::Failed { .. }));
        checks.watch(vec![there]);
        while !matches!(next(&mut results).await.outcome, Outcome::Passed { .. }) {}
    });
}

#[test]
fn new_next_hop_reaches_a_check_that_runs() {
    Stage::new().block_on(async {
        let carried = target(Kind::Icmp).with(|check| {
            check.via = Via::Service;
            check.source = Some(ip("198.51.100.1"));
            check.timeout_ms = 20;
        });
        let (checks, mut results) = Checks::start();
        checks.watch(vec![carried.clone()]);
        let reason = |result: CheckResult| match result.outcome {
            Outcome::Failed { reason } => reason,
            Outcome::Passed { .. } => panic!("nobody is there"),
        };
        assert_eq!(reason(next(&mut results).await), "the next hop to the real is not known");
        let hop = NextHop {
            ifindex: 4_000_000,
            next_hop_mac: [2, 0, 0, 0, 0, 1],
            source_mac: [2, 0, 0, 0, 0, 2],
            tunnel_source: ip("0.0.0.0"),
            mtu: 1500,
        };
        checks.watch(vec![Target { next_hop: Some(hop), ..carried }]);
        while reason(next(&mut results).await) != "no such device or address" {}
    });
}
