//! Services and reals that come and go by the API while flows are open: none of the others' breaks, and a restart keeps what was
//! to persist and nothing else. Needs root.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lb_lab::{Plan, Shape};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_name, real_names};
use lb_tests::traffic::Flows;
use serde_json::Value;

const FLOWS: usize = 1_000;

fn plan() -> Plan {
    Plan { shape: Shape::TwoArm, reals: 3, vips: 3, ..Plan::default() }
}

fn vip(index: u8) -> SocketAddr {
    SocketAddr::new(plan().vip_addresses(index)[0], HTTP)
}

/// One service of two reals. The third real server is there, and not in the file.
fn set() -> Result<(Stage, Flows)> {
    let stage = Stage::set(plan(), |network| {
        Config::of(network).without_real(&real_name(2)).service("web", vip(0), Kind::TcpDsr, &real_names(2))
    })?;
    let [client, _] = stage.network.plan.client_addresses();
    let flows = Flows::open(&stage.network.client.handle(), client, vip(0), FLOWS)?;
    Ok((stage, flows))
}

fn add_service(stage: &Stage, name: &str, vip: SocketAddr, persist: &[&str]) -> Result<String> {
    let (address, port) = (vip.ip().to_string(), vip.port().to_string());
    let words = ["add", "service", name, "--vip", &address, "--port", &port, "--mode", "dsr", "--real", "real-1"];
    stage.lbd.lbctl(&[&words, persist].concat())
}

/// Names of what differs from the file, each with whether it persists.
fn differences(stage: &Stage) -> Result<Vec<(String, bool)>> {
    let diff = stage.lbd.lbctl_json(&["config", "diff"])?;
    let change = |change: &Value| Some((change["name"].as_str()?.to_owned(), change["persistent"].as_bool()?));
    diff["changes"].as_array().into_iter().flatten().map(|value| change(value).context("no name in a change")).collect()
}

fn expect_differences(stage: &Stage, expected: &[(&str, bool)]) -> Result<()> {
    let found = differences(stage)?;
    let same = found.iter().map(|(name, persistent)| (name.as_str(), *persistent)).eq(expected.iter().copied());
    ensure!(same, "{found:?} differ from the file, not {expected:?}");
    Ok(())
}

#[test]
fn services_and_reals_come_and_go_beside_open_flows_and_a_restart_keeps_what_persists() {
    let (mut stage, mut flows) = set().unwrap();
    let third = stage.network.plan.real_addresses(2)[0].to_string();

    add_service(&stage, "passing", vip(1), &[]).unwrap();
    add_service(&stage, "lasting", vip(2), &["--persist"]).unwrap();
    stage.lbd.lbctl(&["add", "real", "real-3", &third, "--service", "web", "--persist"]).unwrap();
    assert_eq!(stage.ask(vip(1)).unwrap().len(), 1);
    assert_eq!(stage.ask(vip(2)).unwrap().len(), 1);
    assert_eq!(stage.ask(vip(0)).unwrap().len(), 3, "new flows of the service go to the new real, too");
    flows.ask_whole().context("after services and a real were added").unwrap();
    expect_differences(&stage, &[("real-3", true), ("lasting", true), ("passing", false), ("web", true)]).unwrap();

    let refused = stage.lbd.lbctl_command(&["remove", "real", "real-3"]).unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("real-3"), "a real that is in a service stays: {said}");
    expect_differences(&stage, &[("real-3", true), ("lasting", true), ("passing", false), ("web", true)]).unwrap();

    stage.lbd.kill().unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    expect_differences(&stage, &[("real-3", true), ("lasting", true), ("web", true)]).unwrap();
    assert_eq!(stage.ask(vip(2)).unwrap().len(), 1);
    assert!(stage.ask(vip(1)).is_err(), "what was to last until a restart is gone");
    flows.ask_whole().context("after a restart").unwrap();

    stage.lbd.lbctl(&["remove", "service", "lasting"]).unwrap();
    assert!(stage.ask(vip(2)).is_err(), "a service that was removed serves nobody");
    flows.ask_whole().context("after a service was removed").unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    assert_eq!(stage.ask(vip(2)).unwrap().len(), 1, "it was removed until a reload");
    flows.ask_whole().context("after a reload").unwrap();
}
