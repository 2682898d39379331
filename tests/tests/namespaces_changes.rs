//! Weights changed, and reals drained, added, disabled, removed and killed, while thousands of flows are open: none breaks
//! but those of the real that is gone. Needs root.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use lb_lab::{Network, Plan, Shape};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
use lb_tests::traffic::Flows;

const FLOWS: usize = 10_000;
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
