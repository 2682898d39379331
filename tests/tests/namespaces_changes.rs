//! Weights changed, and reals drained, added, disabled, removed and killed, while thousands of flows are open: none breaks
//! but those of the real that is gone. Needs root.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use lb_lab::{Network, Plan, Shape, wait_for};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, Stage, real_names, real_names_v6};
use lb_tests::traffic::{Flows, UdpFlows};

const FLOWS: usize = 10_000;
/// Where the number of flows matters less.
const FEW_FLOWS: usize = 2_000;
const UDP_FLOWS: usize = 200;
/// Flows opened after a change. Of 1000, a real with 3 of 5 shares gets 600, with a standard deviation of 15.
const NEW_FLOWS: usize = 1_000;
const REALS: u8 = 4;
/// The client's address on the real servers' network.
const INNER_CLIENT: &str = "192.0.2.10";

/// One test at a time: together they would have more sockets than a process may.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn service() -> SocketAddr {
    SocketAddr::new(plan().vip_addresses(0)[0], HTTP)
}

fn plan() -> Plan {
    Plan { shape: Shape::TwoArm, reals: REALS, vips: 1, ..Plan::default() }
}

/// The service with the first `reals` of the real servers.
fn config(network: &Network, reals: &[String]) -> Config {
    Config::of(network).service("web", service(), Kind::TcpDsr, reals)
}

/// A stage with three of the four reals in the service, and the open flows.
fn set() -> Result<(Stage, Flows)> {
    let stage = Stage::set(plan(), |network| config(network, &real_names(3)))?;
    add_second_client(&stage)?;
    let [client, _] = stage.network.plan.client_addresses();
    let flows = Flows::open(&stage.network.client.handle(), client, service(), FLOWS)?;
    let by_real = flows.by_real();
    assert!(by_real.len() == 3 && by_real.values().all(|count| *count > FLOWS / 4), "{by_real:?}");
    Ok((stage, flows))
}

/// Those of one real break, and no others.
fn only_those_of_break(flows: &mut Flows, real: &str) -> Result<()> {
    let of_real = flows.by_real().get(real).copied().unwrap_or(0);
    let broken = flows.ask_all()?;
    if let Some(other) = broken.iter().find(|broken| broken.real != real) {
        bail!("a flow of another real broke: {other:?}");
    }
    assert_eq!(broken.len(), of_real, "flows of {real} that broke");
    flows.ask_whole()
}

/// An address that new flows come from: a port of the first one may have belonged to a flow that broke, which is
/// remembered for a while.
fn add_second_client(stage: &Stage) -> Result<()> {
    let network = &stage.network;
    network.client.add_address("eth0", second_client(), 32)?;
    for real in &network.reals {
        real.ip(&format!("route add {} via {INNER_CLIENT}", second_client()))?;
    }
    Ok(())
}

fn second_client() -> IpAddr {
    IpAddr::from([198, 51, 100, 11])
}

/// New flows that a real gets, of [`NEW_FLOWS`].
fn new_flows(stage: &Stage, real: &str) -> Result<usize> {
    let flows = Flows::open(&stage.network.client.handle(), second_client(), service(), NEW_FLOWS)?;
    Ok(flows.by_real().get(real).copied().unwrap_or(0))
}

fn slots(stage: &Stage, real: &str) -> Result<u64> {
    let list = stage.lbd.lbctl_json(&["reals"])?;
    let found = list["reals"].as_array().context("no reals")?.iter().find(|one| one["name"] == real);
    found.and_then(|one| one["slots"].as_u64()).with_context(|| format!("no slots of {real} in {list}"))
}

#[test]
fn weights_drain_and_a_new_real_break_no_flow() {
    let _alone = alone();
    let (stage, mut flows) = set().unwrap();

    stage.lbd.lbctl(&["weight", "real-1", "300"]).unwrap();
    flows.ask_whole().context("after a weight was raised").unwrap();
    let to_heavy = new_flows(&stage, "real-1").unwrap();
    assert!((500..700).contains(&to_heavy), "{to_heavy} of {NEW_FLOWS} new flows, 600 expected");

    stage.lbd.lbctl(&["drain", "real-2"]).unwrap();
    flows.ask_whole().context("after a drain").unwrap();
    assert_eq!((slots(&stage, "real-2").unwrap(), new_flows(&stage, "real-2").unwrap()), (0, 0));

    stage.lbd.write_config(&config(&stage.network, &real_names(4)).text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    flows.ask_whole().context("after a real was added").unwrap();
    let to_added = new_flows(&stage, "real-4").unwrap();
    assert!((130..270).contains(&to_added), "{to_added} of {NEW_FLOWS} new flows, 200 expected");
    assert_eq!(new_flows(&stage, "real-2").unwrap(), 0, "a drained real stays drained over a reload");

    stage.lbd.lbctl(&["enable", "real-2"]).unwrap();
    stage.lbd.lbctl(&["weight", "real-1", "default"]).unwrap();
    flows.ask_whole().context("after all was taken back").unwrap();
    assert!(new_flows(&stage, "real-2").unwrap() > 150);
    assert_eq!(stage.count("flow_table_full").unwrap(), 0);
    stage.expect_no_drops().unwrap();
}

#[test]
fn a_disabled_and_a_removed_real_break_their_own_flows_only() {
    let _alone = alone();
    let (stage, mut flows) = set().unwrap();

    stage.lbd.lbctl(&["disable", "real-3"]).unwrap();
    only_those_of_break(&mut flows, "real-3").unwrap();
    assert_eq!(new_flows(&stage, "real-3").unwrap(), 0);

    // Out of the service the real gets no new flows, and keeps its old ones while it is in the file at all.
    let without = config(&stage.network, &["real-1", "real-3"].map(String::from));
    stage.lbd.write_config(&without.text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    flows.ask_whole().context("after a real was taken out of the service").unwrap();
    assert_eq!(new_flows(&stage, "real-1").unwrap(), NEW_FLOWS);

    stage.lbd.write_config(&without.without_real("real-2").text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    only_those_of_break(&mut flows, "real-2").unwrap();
    assert_eq!(new_flows(&stage, "real-1").unwrap(), NEW_FLOWS);
}

/// The real server's host dies, and the operator disables it.
#[test]
fn a_killed_real_breaks_its_own_flows_only() {
    let _alone = alone();
    let (mut stage, mut flows) = set().unwrap();
    stage.network.reals[1].ip("link set dev eth0 down").unwrap();
    stage.web.remove(1).stop().unwrap();
    stage.lbd.lbctl(&["disable", "real-2"]).unwrap();
    only_those_of_break(&mut flows, "real-2").unwrap();
    assert_eq!(new_flows(&stage, "real-2").unwrap(), 0);
}

/// IPv6 in tunnels, and UDP, which has no SYN to tell a new flow by.
#[test]
fn tunnelled_and_udp_flows_keep_their_reals_too() {
    let _alone = alone();
    let [v4, v6] = plan().vip_addresses(0);
    let (web, echo) = (SocketAddr::new(v6, HTTP), SocketAddr::new(v4, ECHO));
    let stage = Stage::set(plan(), |network| {
        let config = Config::of(network).service("web", web, Kind::TcpIpip, &real_names_v6(3));
        config.service("echo", echo, Kind::UdpDsr, &real_names(3))
    });
    let mut stage = stage.unwrap();
    stage.start_echoes().unwrap();
    let [_, client] = stage.network.plan.client_addresses();
    let mut flows = Flows::open(&stage.network.client.handle(), client, web, FEW_FLOWS).unwrap();
    let udp = UdpFlows::open(&stage.network.client.handle(), echo, UDP_FLOWS).unwrap();
    for words in [["drain", "real-1"], ["drain", "real-1-v6"]] {
        stage.lbd.lbctl(&words).unwrap();
    }
    for (real, weight) in [("real-2", "900"), ("real-2-v6", "10"), ("real-3", "1"), ("real-3-v6", "65535")] {
        stage.lbd.lbctl(&["weight", real, weight]).unwrap();
        flows.ask_whole().unwrap();
        udp.ask_whole().unwrap();
    }
    assert!(flows.by_real()["real-1"] > 0 && udp.of("real-1") > 0, "some flows are of the drained real");
    stage.expect_no_drops().unwrap();
}

/// The daemon dies while it makes changes, and its successor goes on from whatever it left.
#[test]
fn kills_in_the_middle_of_changes_break_no_flow() {
    let _alone = alone();
    let mut stage = Stage::set(plan(), |network| config(network, &real_names(3))).unwrap();
    let [client, _] = stage.network.plan.client_addresses();
    let mut flows = Flows::open(&stage.network.client.handle(), client, service(), FEW_FLOWS).unwrap();
    for (real, weight) in [("real-1", "900"), ("real-2", "0"), ("real-3", "5"), ("real-1", "1"), ("real-2", "70")] {
        let mut change = stage.lbd.lbctl_command(&["weight", real, weight]).unwrap();
        let mut change = change.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let log = stage.network.run.dir().join("state/state.json");
        let before = modified(&log);
        // Half of the kills come as soon as the change is saved, and half wherever it is.
        if weight.len() > 1 {
            wait_for("the change to be saved", LIMIT, || Ok((modified(&log) != before).then_some(()))).unwrap();
        }
        stage.lbd.kill().unwrap();
        change.wait().unwrap();
        flows.ask_whole().with_context(|| format!("without a daemon, {real} {weight}")).unwrap();
        stage.lbd.start_again().unwrap();
        stage.lbd.wait_until_ready().unwrap();
        flows.ask_whole().with_context(|| format!("with its successor, {real} {weight}")).unwrap();
    }
    stage.expect_no_drops().unwrap();
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
