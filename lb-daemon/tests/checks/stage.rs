//! What the tests have in common: a namespace with a real's addresses, targets, and the checks' first results.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_core::check::{Check, CheckResult, Kind, Outcome, Target, Via};
use lb_core::service::{Mode, Protocol, Tunnel};
use lb_daemon::checks::Checks;
use lb_lab::{Namespace, Run};
use tokio::sync::mpsc::Receiver;

/// A test that waits longer than this has failed; none waits by design.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The time limit, in milliseconds, of checks that shall not meet it.
pub const LONG: u64 = 20_000;
/// The time limit, in milliseconds, of checks that shall meet it.
pub const SHORT: u64 = 1_000;

pub const REAL: &str = "192.0.2.21";
pub const REAL_V6: &str = "2001:db8::21";
pub const VIP: &str = "192.0.2.101";

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace whose loopback has the real's addresses: servers and checks are both inside.
pub struct Stage {
    pub namespace: Namespace,
    pub run: Run,
}

impl Stage {
    pub fn new() -> Self {
        let run = Run::start().unwrap();
        let namespace = Namespace::new(&run, "checks").unwrap();
        namespace.add_address("lo", ip(REAL), 32).unwrap();
        namespace.add_address("lo", ip(REAL_V6), 128).unwrap();
        Self { namespace, run }
    }

    /// Runs a future inside, on a runtime of one thread, as lbd does.
    pub fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        block_on(&self.namespace, future)
    }

    /// The first result of one check made inside.
    pub fn check(&self, target: Target) -> Outcome {
        self.block_on(check(target))
    }
}

/// Runs a future in a namespace, on a runtime of one thread, as lbd does.
pub fn block_on<T: Send>(namespace: &Namespace, future: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await })?)
    };
    namespace.run(run).expect("the checks take too long")
}

/// The first result of one check.
pub async fn check(target: Target) -> Outcome {
    let name = target.check.name.clone();
    check_all(vec![target]).await.remove(&name).unwrap()
}

/// The first result of each check, by its name.
pub async fn check_all(targets: Vec<Target>) -> BTreeMap<String, Outcome> {
    let wanted = targets.len();
    let (checks, mut results) = Checks::start();
    checks.watch(targets);
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < wanted {
        let CheckResult { check, outcome, .. } = next(&mut results).await;
        outcomes.entry(check).or_insert(outcome);
    }
    outcomes
}

pub async fn next(results: &mut Receiver<CheckResult>) -> CheckResult {
    results.recv().await.expect("checks are made while they are watched")
}

/// A check of the real at its address and port 80, with a long time limit and every 20 ms.
pub fn target(kind: Kind) -> Target {
    let check = Check {
        name: "alive".to_string(),
        kind,
        port: None,
        interval_ms: 20,
        timeout_ms: LONG,
        rise: 2,
        fall: 3,
        via: Via::Address,
        source: None,
    };
    Target {
        check: Arc::new(check),
        service: "web".to_string(),
        real: "web1".to_string(),
        address: ip(REAL),
        vip: ip(VIP),
        port: 80,
        protocol: Protocol::Tcp,
        mode: Mode::Dsr,
        next_hop: None,
        tunnel: Tunnel::default(),
    }
}

/// Another spelling of a target's check.
pub trait With: Sized {
    fn with(self, change: impl FnOnce(&mut Check)) -> Self;
    fn named(self, name: &str) -> Self {
        self.with(|check| check.name = name.to_string())
    }
    fn within(self, timeout_ms: u64) -> Self {
        self.with(|check| check.timeout_ms = timeout_ms)
    }
}

impl With for Target {
    fn with(mut self, change: impl FnOnce(&mut Check)) -> Self {
        change(Arc::make_mut(&mut self.check));
        self
    }
}

#[track_caller]
pub fn assert_passed(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Passed { .. }), "{outcome:?}");
}

#[track_caller]
pub fn assert_failed(outcome: &Outcome, wanted: &str) {
    let Outcome::Failed { reason } = outcome else { panic!("it passed, which should fail with `{wanted}`") };
    assert_eq!(reason, wanted);
}
