//! Real servers die, are drained, come back, and are all gone at once, and a real `lbd` sends new flows to none that cannot
//! take them. Needs root.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_core::api::{Health, TableReal};
use lb_lab::{Agent, KEYS, Namespace, Plan, WebServer, takes_reports, wait_for, write_keys};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_name, real_names, real_names_v6};
use lb_tests::traffic::{Arrival, Arrivals, Flows, Transfer, write_pattern};

const REALS: u8 = 3;
/// Index and name of the real that something happens to.
const SECOND: usize = 1;
const VICTIM: &str = "real-2";
const FLOWS: usize = 300;
/// Tm, in milliseconds.
const INTERVAL_MS: u64 = 500;
const FALL: u64 = 3;
const SLOTS: u32 = 65_537;
/// New flows that must have come after a change, to show that none goes where it should not.
const MANY: usize = 200;
const FILE: &str = "long";
/// Bytes of a download that lasts: much more than the sockets of both ends hold.
const DOWNLOAD: u64 = 60_000_000;
const PIECE: u64 = 1_000_000;
/// A port that only the checks use, so that all reals can be down for `lbd` while their servers serve.
const CHECKED: u16 = 8080;
/// How long a client waits that shall get no answer: less than until its kernel tries again.
const PATIENCE: Duration = Duration::from_millis(500);

fn plan() -> Plan {
    Plan { reals: REALS, vips: 1, ..Plan::default() }
}

fn service() -> SocketAddr {
    SocketAddr::new(plan().vip_addresses(0)[0], HTTP)
}

/// A check by name, and what is particular about it.
fn check(name: &str, particular: &str) -> String {
    format!(
        "[[check]]\nname = \"{name}\"\ntype = \"http\"\ninterval = \"{INTERVAL_MS}ms\"\nfall = {FALL}\n{particular}"
    )
}

/// A stage with a service whose reals are checked by HTTP.
fn set(slow_start: &str) -> Result<Stage> {
    let stage = Stage::set(plan(), |network| {
        let config = Config::of(network)
            .top(&format!("[scheduler]\ninterval = \"100ms\"\nslow_start = \"{slow_start}\""))
            .top(&check("alive", ""));
        config.service("web", service(), Kind::TcpDsr, &real_names(REALS)).line("checks = [\"alive\"]")
    })?;
    for name in real_names(REALS) {
        stage.wait_for_real(&name, "up", |real| real.health == Health::Up)?;
    }
    Ok(stage)
}

fn flows(stage: &Stage) -> Result<Flows> {
    let flows =
        Flows::open(&stage.network.client.handle(), stage.network.plan.client_addresses()[0], service(), FLOWS)?;
    assert_eq!(flows.by_real().len(), usize::from(REALS), "{:?}", flows.by_real());
    Ok(flows)
}

/// Waits until the table shows that a real is down and gets no new flows. Returns when that was seen.
fn wait_until_down(stage: &Stage) -> Result<Instant> {
    let is_out = |real: &TableReal| real.health == Health::Down && real.services.iter().all(|own| own.slots == 0);
    stage.wait_for_real(VICTIM, "down", is_out)?;
    Ok(Instant::now())
}

/// The new flows that have begun since, once there are many.
fn arrived_since(arrivals: Arrivals, since: Instant) -> Result<(Vec<Arrival>, Vec<Arrival>)> {
    arrivals.wait_for_more(MANY)?;
    Ok(arrivals.stop()?.into_iter().partition(|arrival| arrival.began < since))
}

/// All were answered, and none by the real that is out.
fn none_for_the_victim(arrivals: &[Arrival]) {
    assert!(arrivals.len() >= MANY, "{} flows are too few to show anything", arrivals.len());
    let bad = |arrival: &&Arrival| arrival.answer.as_deref().map_or(true, |real| real == VICTIM);
    assert_eq!(arrivals.iter().find(bad), None, "a new flow was sent to a real that the table shows down");
}

/// A real dies in the middle of new and old flows. `die` returns when it did.
fn dies(die: impl FnOnce(&mut Stage) -> Result<Instant>) -> Result<()> {
    let mut stage = set("30s")?;
    let mut flows = flows(&stage)?;
    let of_victim = flows.by_real()[VICTIM];
    let arrivals = Arrivals::start(&stage.network.client.handle(), service());
    arrivals.wait_for_more(MANY)?;

    let died = die(&mut stage)?;
    let down = wait_until_down(&stage)?;
    let (before, after) = arrived_since(arrivals, down)?;
    none_for_the_victim(&after);
    tell_how_fast(&before, died);

    let broken = flows.ask_all()?;
    let other = broken.iter().find(|broken| broken.real != VICTIM);
    assert_eq!(other, None, "a flow of a real that lives broke");
    assert_eq!(broken.len(), of_victim, "flows of the real that died");
    Ok(())
}

/// What is measured, beside what is documented. A busy host makes it longer, so it is told and not asserted.
fn tell_how_fast(arrivals: &[Arrival], died: Instant) {
    let lost = arrivals.iter().filter(|arrival| arrival.answer.is_err() && arrival.began >= died);
    let after = lost.map(|arrival| (arrival.began - died).as_millis()).max().unwrap_or(0);
    println!("noticed after {after} ms of fall x Tm = {} ms", FALL * INTERVAL_MS);
}

#[test]
fn a_killed_real_gets_no_new_flow_once_it_is_down_and_the_others_keep_theirs() {
    let killed = dies(|stage| {
        let died = Instant::now();
        stage.web.remove(SECOND).kill();
        Ok(died)
    });
    killed.unwrap();
}

#[test]
fn a_real_whose_link_is_cut_gets_no_new_flow_once_it_is_down_and_the_others_keep_theirs() {
    let cut = dies(|stage| {
        let died = Instant::now();
        stage.network.switch.ip(&format!("link set dev {VICTIM} down"))?;
        Ok(died)
    });
    cut.unwrap();
}

#[test]
fn a_sorry_server_answers_while_no_other_real_is_up() {
    let mut stage = Stage::set(plan(), |network| {
        let mut reals = real_names(REALS);
        let sorry = reals.pop().unwrap_or_default();
        let config = Config::of(network).top("[scheduler]\ninterval = \"100ms\"\nslow_start = \"0s\"");
        let config = config.top(&check("alive", ""));
        let config = config.service("web", service(), Kind::TcpDsr, &reals);
        config.line("checks = [\"alive\"]").fallback(&sorry)
    })
    .unwrap();
    let sorry = real_name(REALS - 1);
    let has_slots = |real: &TableReal| real.services.iter().any(|own| own.slots > 0);
    stage.wait_for_real(&sorry, "up", |real| real.health == Health::Up).unwrap();
    stage.wait_for_real(VICTIM, "up", |real| real.health == Health::Up && has_slots(real)).unwrap();
    let client = stage.network.client.handle();
    let ask = || {
        let arrivals = Arrivals::start(&client, service());
        arrivals.wait_for_more(MANY).unwrap();
        arrivals.stop().unwrap()
    };
    let by_sorry = |arrivals: &[Arrival]| arrivals.iter().filter(|one| one.answer.as_deref() == Ok(&sorry)).count();
    let while_up = ask();
    assert_eq!(by_sorry(&while_up), 0);

    for server in stage.web.drain(..usize::from(REALS) - 1) {
        server.kill();
    }
    stage.wait_for_real(&sorry, "in use", has_slots).unwrap();
    let while_down = ask();
    assert_eq!(by_sorry(&while_down), while_down.len(), "{while_down:?}");
    let status = stage.lbd.lbctl_json(&["status"]).unwrap().to_string();
    assert!(status.contains("fallback of web") && status.contains(&format!("but {sorry}")), "{status}");
}

/// Slots of the victim, as `lbctl services` has them.
fn slots(stage: &Stage) -> Result<u32> {
    let services = stage.lbd.lbctl_json(&["services"])?;
    let reals = services["services"][0]["reals"].as_array().context("no reals")?;
    let slots = reals.iter().find(|real| real["name"] == VICTIM).and_then(|real| real["slots"].as_u64());
    Ok(u32::try_from(slots.with_context(|| format!("no slots of {VICTIM} in {services}"))?)?)
}

#[test]
fn a_returning_real_is_eased_in_step_by_step() {
    let mut stage = set("5s").unwrap();
    stage.web.remove(SECOND).kill();
    wait_until_down(&stage).unwrap();
    stage.log_line(0, "real real-2 is down in service web: alive: connection refused").unwrap();
    let namespace = &stage.network.reals[SECOND];
    let server = WebServer::start(&stage.network.run, namespace, VICTIM, &[HTTP]).unwrap();

    let mut seen = vec![0];
    let share = SLOTS / u32::from(REALS);
    wait_for("the whole share of the real that is back", LIMIT, || {
        let now = slots(&stage)?;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        Ok((now >= share).then_some(()))
    })
    .unwrap();
    assert!(seen.is_sorted(), "its slots became fewer in between: {seen:?}");
    assert!(seen[1] < share / 2 && seen.len() > 5, "not step by step: {seen:?}");
    let up = stage.table_real(VICTIM).unwrap();
    assert_eq!(up.health, Health::Up, "{up:#?}");
    assert!(stage.ask(service()).unwrap().contains_key(VICTIM));
    drop(server);
}

/// A stage whose reals are checked and report by agents of theirs.
fn set_with_agents() -> Result<(Stage, Vec<Agent>)> {
    let mut stage = Stage::prepare(plan(), |network| {
        let config = Config::of(network)
            .top("[scheduler]\ninterval = \"100ms\"\nslow_start = \"0s\"\n")
            .top(&takes_reports(&network.run))
            .top(&check("alive", ""));
        config.service("web", service(), Kind::TcpDsr, &real_names(REALS)).line("checks = [\"alive\"]")
    })?;
    let run = &stage.network.run;
    write_keys(run, KEYS)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let start = |(index, namespace)| {
        Agent::start(
            run,
            namespace,
            &real_name(index),
            stage.network.plan.report_address(),
            "report_interval = \"200ms\"",
        )
    };
    let agents = (0..).zip(&stage.network.reals).map(start).collect::<Result<Vec<_>>>()?;
    for name in real_names(REALS) {
        stage.wait_for_real(&name, "up, with reports", |real| {
            real.health == Health::Up && real.report_age_seconds.is_some()
        })?;
    }
    Ok((stage, agents))
}

/// A download that the victim serves, and that has begun.
fn download_from_victim(stage: &Stage) -> Result<Transfer> {
    write_pattern(&stage.web[SECOND].files().join(FILE), DOWNLOAD)?;
    wait_for("a download from the real", LIMIT, || {
        // The other reals do not have the file.
        let path = format!("/files/{FILE}");
        let mut download = Transfer::download(&stage.network.client.handle(), service(), &path, DOWNLOAD);
        Ok(download.move_on(PIECE).is_ok().then_some(download))
    })
}

/// A real that wants no new flows gets none, and ends those that it has.
fn is_drained(drain: impl FnOnce(&mut Agent) -> Result<()>) -> Result<()> {
    let (stage, mut agents) = set_with_agents()?;
    let mut flows = flows(&stage)?;
    let mut download = download_from_victim(&stage)?;
    let arrivals = Arrivals::start(&stage.network.client.handle(), service());
    arrivals.wait_for_more(MANY)?;

    drain(&mut agents[SECOND])?;
    let down = wait_until_down(&stage)?;
    download.move_on(PIECE)?;
    let (before, after) = arrived_since(arrivals, down)?;
    none_for_the_victim(&after);
    assert_eq!(before.iter().find(|arrival| arrival.answer.is_err()), None, "a drain cost a flow");

    flows.ask_whole().context("established flows")?;
    assert!(download.moved() < DOWNLOAD, "too short for the test");
    download.finish().context("the download of the drained real")?;
    flows.ask_whole().context("established flows, at the end")?;
    stage.expect_no_drops()
}

#[test]
fn a_real_that_its_agent_drains_finishes_its_flows_and_gets_no_new_ones() {
    is_drained(|agent| agent.say("drain")).unwrap();
}

#[test]
fn a_real_whose_agent_is_stopped_finishes_its_flows_and_gets_no_new_ones() {
    is_drained(Agent::terminate).unwrap();
}

/// A stage whose reals are all down, with a service of each address family. Before that, all were up.
fn all_down(word: &str) -> Result<(Stage, [SocketAddr; 2])> {
    let services = plan().vip_addresses(0).map(|vip| SocketAddr::new(vip, HTTP));
    let mut stage = Stage::prepare(plan(), |network| {
        let lines = format!("checks = [\"alive\"]\nall_down = \"{word}\"");
        let config = Config::of(network).top(&check("alive", &format!("port = {CHECKED}")));
        let config = config.service("web", services[0], Kind::TcpDsr, &real_names(REALS)).line(&lines);
        config.service("web-v6", services[1], Kind::TcpDsr, &real_names_v6(REALS)).line(&lines)
    })?;
    let start = |(name, namespace): (String, &Namespace)| {
        WebServer::start(&stage.network.run, namespace, &format!("checked-{name}"), &[CHECKED])
    };
    let checked: Vec<WebServer> =
        real_names(REALS).into_iter().zip(&stage.network.reals).map(start).collect::<Result<_>>()?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let names = [real_names(REALS), real_names_v6(REALS)].concat();
    names.iter().try_for_each(|name| stage.wait_for_real(name, "up", |real| real.health == Health::Up).map(drop))?;
    for service in services {
        assert_eq!(stage.ask(service)?.len(), usize::from(REALS));
    }
    stage.expect_no_drops()?;
    checked.into_iter().for_each(WebServer::kill);
    names
        .iter()
        .try_for_each(|name| stage.wait_for_real(name, "down", |real| real.health == Health::Down).map(drop))?;
    Ok((stage, services))
}

fn connect(stage: &Stage, service: SocketAddr) -> Result<ErrorKind> {
    stage.network.client.run(|| match TcpStream::connect_timeout(&service, PATIENCE) {
        Ok(_) => bail!("a connection to {service} though all reals are down"),
        Err(error) => Ok(error.kind()),
    })
}

#[test]
fn with_all_down_and_reset_clients_are_refused_at_once() {
    let (stage, services) = all_down("reset").unwrap();
    for (service, answered) in services.into_iter().zip(1..) {
        assert_eq!(connect(&stage, service).unwrap(), ErrorKind::ConnectionRefused);
        assert_eq!(stage.count("reset_answered").unwrap(), answered, "the first SYN was answered");
    }
    stage.expect_no_drops().unwrap();
}

#[test]
fn with_all_down_and_drop_packets_are_dropped_and_counted() {
    let (stage, services) = all_down("drop").unwrap();
    for service in services {
        let before = stage.count("no_real").unwrap();
        assert_eq!(connect(&stage, service).unwrap(), ErrorKind::TimedOut);
        assert!(stage.count("no_real").unwrap() > before);
    }
    assert_eq!(stage.count("reset_answered").unwrap(), 0);
}

#[test]
fn with_all_down_and_last_known_all_reals_go_on_serving() {
    let (stage, services) = all_down("last-known").unwrap();
    for service in services {
        assert_eq!(stage.ask(service).unwrap().len(), usize::from(REALS));
    }
    stage.expect_no_drops().unwrap();
}

/// One real answers on its own address and not for the VIP. Checks by the service's way see that, checks by address do not.
fn a_deaf_real_is_found_out(kind: Kind) -> Result<()> {
    let plan = Plan { vips: 2, ..plan() };
    let [by_vip, by_address] = [0, 1].map(|index| SocketAddr::new(plan.vip_addresses(index)[0], HTTP));
    let own = SocketAddr::new(plan.real_addresses(SECOND as u8)[0], HTTP);
    let mut stage = Stage::prepare(plan, |network| {
        let config =
            Config::of(network).top(&check("vip", "via = \"service\"")).top(&check("own", "via = \"address\""));
        let config = config.service("by-vip", by_vip, kind, &real_names(REALS)).line("checks = [\"vip\"]");
        config.service("by-address", by_address, kind, &real_names(REALS)).line("checks = [\"own\"]")
    })?;
    stage.web.remove(SECOND).kill();
    let _deaf = WebServer::start_at(&stage.network.run, &stage.network.reals[SECOND], VICTIM, own)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;

    stage.wait_for_real(VICTIM, "down for the VIP and up by its address", |real| {
        let is = |name: &str, health| real.services.iter().any(|own| own.service == name && own.health == health);
        is("by-vip", Health::Down) && is("by-address", Health::Up) && real.health == Health::Partly
    })?;
    for name in [real_name(0), real_name(2)] {
        stage.wait_for_real(&name, "up", |real| real.health == Health::Up)?;
    }
    let served = stage.ask(by_vip)?;
    assert!(served.len() == 2 && !served.contains_key(VICTIM), "{served:?}");
    // The real is deaf indeed: the other service's clients meet it.
    let outcome = stage.ask(by_address).map_err(|error| format!("{error:#}"));
    assert!(outcome.as_ref().is_err_and(|error| error.contains("refused")), "{outcome:?}");
    Ok(())
}

#[test]
fn a_real_that_is_deaf_to_the_vip_is_found_out_by_its_mac_address() {
    a_deaf_real_is_found_out(Kind::TcpDsr).unwrap();
}

#[test]
fn a_real_that_is_deaf_to_the_vip_is_found_out_in_the_tunnel() {
    a_deaf_real_is_found_out(Kind::TcpIpip).unwrap();
}
