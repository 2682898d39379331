//! Real servers report, and a real `lbd` follows: weights, drain, restart. Needs root.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_core::api::{TableReal, TableReport};
use lb_core::auth::Keys;
use lb_core::report::{Availability, Load, Report, Share, encode};
use lb_lab::{KEYS, Plan, takes_reports, wait_for, write_keys};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_name, real_names};

const INTERVAL: Duration = Duration::from_millis(100);
const REALS: u8 = 3;

fn plan() -> Plan {
    Plan { reals: REALS, vips: 1, ..Plan::default() }
}

fn service() -> SocketAddr {
    SocketAddr::new(plan().vip_addresses(0)[0], HTTP)
}

/// A stage whose service is checked by TCP and follows reports, both in tenths of seconds.
fn set() -> Result<Stage> {
    let mut stage = Stage::prepare(plan(), |network| {
        let config = Config::of(network)
            .top("[scheduler]\ninterval = \"100ms\"\nsmoothing = \"500ms\"\nslow_start = \"2s\"")
            .top(&takes_reports(&network.run))
            .top("[[check]]\nname = \"alive\"\ntype = \"tcp\"\ninterval = \"200ms\"");
        config.service("web", service(), Kind::TcpDsr, &real_names(REALS)).line("checks = [\"alive\"]")
    })?;
    write_keys(&stage.network.run, KEYS)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    Ok(stage)
}

/// Reports for one real until it is dropped.
struct Agent {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

struct Shared {
    /// In ten-thousandths.
    cpu: AtomicU16,
    availability: AtomicU8,
    sent: AtomicU64,
    stop: AtomicBool,
}

impl Agent {
    /// Reports from a real's own namespace a CPU share, and a hundred hits a second.
    fn start(stage: &Stage, index: u8, cpu: f64) -> Result<Self> {
        let shared = Arc::new(Shared {
            cpu: AtomicU16::new(Share::of(cpu).0),
            availability: AtomicU8::new(0),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let keys = Keys::parse(KEYS)?;
        let to = stage.network.plan.report_address();
        let namespace = stage.network.reals[usize::from(index)].handle();
        let socket = namespace.run(|| UdpSocket::bind("0.0.0.0:0").context("no socket"))?;
        let own = shared.clone();
        let thread = std::thread::spawn(move || own.report(&socket, to, &real_name(index), &keys));
        Ok(Self { shared, thread: Some(thread) })
    }

    fn say(&self, availability: Availability) {
        self.shared.availability.store(availability as u8, Ordering::Relaxed);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("an agent failed").expect("an agent could not send");
        }
    }
}

impl Shared {
    fn report(&self, socket: &UdpSocket, to: SocketAddr, real: &str, keys: &Keys) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let report = Report {
                real: real.to_owned(),
                generation: 1,
                sequence: self.sent.fetch_add(1, Ordering::Relaxed) + 1,
                interval_ms: INTERVAL.as_millis() as u32,
                availability: match self.availability.load(Ordering::Relaxed) {
                    1 => Availability::Drain,
                    2 => Availability::Stop,
                    _ => Availability::Alive,
                },
                load: Load {
                    cpu: Some(Share(self.cpu.load(Ordering::Relaxed))),
                    hits: Some(100_000),
                    ..Load::default()
                },
            };
            // While lbd does not run, the kernel may refuse to send.
            let _ = socket.send_to(&encode(&report, keys)?, to);
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }
}

/// Waits until the table is so.
fn wait(stage: &Stage, what: &str, is_so: impl Fn(&BTreeMap<&str, &TableReal>) -> bool) -> Result<TableReport> {
    let outcome = wait_for(what, LIMIT, || {
        let table = stage.table()?;
        let by_name = table.reals.iter().map(|real| (real.name.as_str(), real)).collect();
        Ok(is_so(&by_name).then_some(table))
    });
    outcome.with_context(|| {
        format!("the table: {:#?}; the log of lbd: {}", stage.table().map(|table| table.reals), stage.lbd.log().trim())
    })
}

#[test]
fn weights_follow_reports_and_a_restart_goes_on_with_them() {
    let mut stage = set().unwrap();
    let agents: Vec<Agent> =
        [0.8, 0.4, 0.2].into_iter().zip(0..).map(|(cpu, index)| Agent::start(&stage, index, cpu).unwrap()).collect();
    let is_settled = |reals: &BTreeMap<&str, &TableReal>| {
        let weight = |name: &str| reals[name].weight;
        weight("real-2") > 1.7 * weight("real-1") && weight("real-3") > 3.4 * weight("real-1")
    };
    wait(&stage, "weights of 1 to 2 to 4", is_settled).unwrap();
    let words = stage.lbd.lbctl_json(&["explain", "real-3"]).unwrap().to_string();
    assert!(words.contains("utilisation 0.20 (cpu)") && words.contains("x the mean of"), "{words}");
    stage.lbd.stop().unwrap();
    drop(agents);
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    let after = wait(&stage, "a decision", |reals| reals["real-3"].next_weight > 0.0).unwrap();
    assert!(is_settled(&after.reals.iter().map(|real| (real.name.as_str(), real)).collect()), "{after:#?}");
    // Replays of what the daemon before it has taken.
    let replayed = Agent::start(&stage, 0, 0.01).unwrap();
    let old = || {
        let refused = stage.refused()?;
        anyhow::Ok(["stale", "replayed"].map(|name| refused.get(name).copied().unwrap_or(0)).iter().sum::<u64>())
    };
    wait_for("replays to be refused", LIMIT, || Ok((old()? > 3).then_some(()))).unwrap();
    drop(replayed);
    assert_eq!(stage.reports().unwrap().accepted, 0);
    stage.expect_no_drops().unwrap();
}

#[test]
fn a_real_that_wants_none_gets_no_new_flows_and_comes_back_eased_in() {
    let stage = set().unwrap();
    let agents: Vec<Agent> = (0..REALS).map(|index| Agent::start(&stage, index, 0.5).unwrap()).collect();
    wait(&stage, "reports", |reals| reals.values().filter(|real| real.cpu.is_some()).count() == 3).unwrap();
    for word in [Availability::Drain, Availability::Stop] {
        agents[1].say(word);
        wait(&stage, "real-2 to be let go", |reals| reals["real-2"].services[0].slots == 0).unwrap();
        assert!(!stage.ask(service()).unwrap().contains_key("real-2"));
        agents[1].say(Availability::Alive);
        let back = wait(&stage, "real-2 to be back", |reals| reals["real-2"].services[0].slots > 0).unwrap();
        let held = |table: &TableReport, name: &str| {
            table.reals.iter().find(|real| real.name == name).map_or(0, |real| real.services[0].slots)
        };
        assert!(held(&back, "real-2") < held(&back, "real-1"), "not eased in: {back:#?}");
        wait(&stage, "its whole share", |reals| {
            reals["real-2"].services[0].slots + 2_000 > reals["real-1"].services[0].slots
        })
        .unwrap();
    }
    stage.expect_no_drops().unwrap();
}
