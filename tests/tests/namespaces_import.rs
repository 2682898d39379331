//! Configurations of keepalived and IPVS, 50 services each, are imported, pass `lbd check`, and serve. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_core::api::Health;
use lb_lab::{Connection, Lbd, Network, Plan, Run, WebServer, output, tool, write_key_file};
use lb_tests::stage::{ECHO, Stage, real_name};
use lb_tests::traffic::echo_datagrams;
use serde_json::Value;

const REALS: u8 = 3;
const VIPS: u8 = 5;
const SERVICES: usize = 50;
/// The sorry server of the example.
const SORRY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
/// Those of them that are persistent.
const PERSISTENT: usize = 5;
/// Reals, and one more where there is a sorry server.
const REAL_ADDRESSES: usize = 2 * REALS as usize;
/// Ports of the TCP services.
const PORTS: std::ops::RangeInclusive<u16> = 8001..=8008;
/// New flows after which each of three reals of weights 3, 2 and 1 must have got one: the chance that the third has not is
/// below 10^-7.
const ENOUGH: usize = 100;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

/// What `lbctl import` writes.
fn import(kind: &str, file: &Path) -> Result<Value> {
    let text = output(tool(lb_lab::lbctl()?).args(["import", kind, "--json"]).arg(file))?;
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}

/// The imported configuration, which has to say what has no counterpart. Clients that stay at their real have one.
fn config_of(imported: &Value) -> Result<&str> {
    assert_eq!(imported["services"], SERVICES);
    let remarks = imported["remarks"].as_array().context("no remarks")?;
    assert!(remarks.iter().any(|remark| remark["text"].as_str().is_some_and(|text| text.contains("scheduler"))));
    let config = imported["config"].as_str().context("no config")?;
    assert_eq!(config.matches("affinity = { prefix = 32, timeout = \"300s\" }").count(), PERSISTENT);
    Ok(config)
}

/// A daemon with the imported configuration, in a network that has its VIPs and reals.
fn stage(config: &str) -> Result<Stage> {
    let network = Network::build(Plan { reals: REALS, vips: VIPS, ..Plan::default() })?;
    // The first real is the sorry server, too.
    network.reals[0].add_address("eth0", SORRY.into(), 24)?;
    let ports: Vec<u16> = PORTS.collect();
    let mut web = Vec::new();
    for (index, namespace) in (0..).zip(&network.reals) {
        web.push(WebServer::start(&network.run, namespace, &real_name(index), &ports)?);
    }
    let lbd = Lbd::prepare(&network.run, &network.lb, config)?;
    Ok(Stage { lbd, web, servers: Vec::new(), network })
}

/// Starts what was imported, and asks every service.
fn check_and_serve(config: &str, reals: usize) -> Result<()> {
    let mut stage = stage(config)?;
    let (status, said) = stage.run_lbd(&["check"])?;
    assert!(status.success() && said.contains(&format!("services: 50, reals: {reals}")), "{said}");
    stage.start_echoes()?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    for index in 0..REALS {
        let name = format!("real-{}", stage.network.plan.real_addresses(index)[0]);
        // ipvsadm has no health checks, and nor has what is imported from it.
        stage.wait_for_real(&name, "up", |real| matches!(real.health, Health::Up | Health::Unchecked))?;
    }
    for vip in 0..VIPS {
        let [v4, v6] = stage.network.plan.vip_addresses(vip);
        PORTS.map(|port| SocketAddr::new(v4, port)).try_for_each(|service| serves(&stage, service))?;
        serves(&stage, SocketAddr::new(v6, *PORTS.start()))?;
        echo_datagrams(&stage.network.client.handle(), SocketAddr::new(v4, ECHO), 1, 8)?;
    }
    all_reals_serve(&stage, SocketAddr::new(stage.network.plan.vip_addresses(0)[0], *PORTS.start()))
}

fn serves(stage: &Stage, service: SocketAddr) -> Result<()> {
    let answer = stage.network.client.run(|| Connection::open_here(service)?.get("/"));
    answer.map(drop).with_context(|| format!("{service} does not serve"))
}

fn all_reals_serve(stage: &Stage, service: SocketAddr) -> Result<()> {
    let answers = stage
        .network
        .client
        .run(|| (0..ENOUGH).map(|_| Connection::open_here(service)?.get("/")).collect::<Result<BTreeSet<String>>>())?;
    assert_eq!(answers.len(), usize::from(REALS), "{answers:?}");
    Ok(())
}

#[test]
fn fifty_services_of_keepalived_serve() {
    let imported = import("keepalived", &example("keepalived.conf")).unwrap();
    check_and_serve(config_of(&imported).unwrap(), REAL_ADDRESSES + 1).unwrap();
}

#[test]
fn fifty_services_of_ipvs_serve() {
    let imported = import("ipvsadm", &example("ipvsadm.rules")).unwrap();
    check_and_serve(config_of(&imported).unwrap(), REAL_ADDRESSES).unwrap();
}

/// A VRRP instance with addresses becomes a pair that `lbd check` takes.
#[test]
fn a_pair_of_keepalived_passes_the_check() {
    let run = Run::start().unwrap();
    let file = run.dir().join("keepalived.conf");
    let text = fs::read_to_string(example("keepalived.conf")).unwrap();
    let unicast = "    unicast_src_ip 192.0.2.2\n    unicast_peer {\n        192.0.2.3\n    }\n    advert_int 0.2\n";
    fs::write(&file, text.replacen("    advert_int 1\n", unicast, 1)).unwrap();
    let imported = import("keepalived", &file).unwrap();
    let keys = run.dir().join("keys");
    write_key_file(&keys, lb_lab::KEYS).unwrap();
    let pair = format!("[pair]\nkey_file = \"{}\"\n", keys.display());
    let config = run.dir().join("lbd.toml");
    fs::write(&config, config_of(&imported).unwrap().replacen("[pair]\n", &pair, 1)).unwrap();
    let said = output(tool(lb_lab::lbd().unwrap()).args(["check", "--config"]).arg(&config)).unwrap();
    assert!(said.contains("services: 50, reals: 7") && said.contains("pair: "), "{said}");
}
