//! A million SYNs from ever new sources while thousands of flows are open: all keep their reals, and the flood leaves
//! nothing in the flow table. Needs root.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use anyhow::{Context, Result, bail};
use lb_lab::{Plan, Shape};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
use lb_tests::traffic::{FloodPath, Flows, SynFlood};

const FLOWS: usize = 10_000;
const SYNS: u64 = 1_000_000;
/// Frames that may be lost between flood and balancer before the test gives up.
const MOST_SYNS: u64 = 5 * SYNS;

#[test]
fn a_million_syns_break_no_flow() {
    let plan = Plan { shape: Shape::TwoArm, vips: 1, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], HTTP);
    let stage = Stage::set(plan, |network| Config::of(network).service("web", service, Kind::TcpDsr, &real_names(3)));
    let stage = stage.unwrap();
    let [client, _] = stage.network.plan.client_addresses();
    let mut flows = Flows::open(&stage.network.client.handle(), client, service, FLOWS).unwrap();
    // A third of the slots remember from now on: there the flood meets the flow table.
    stage.lbd.lbctl(&["drain", "real-3"]).unwrap();
    flows.ask_whole().unwrap();
    let (remembered, before) = (stage.count("flow_remembered").unwrap(), syns(&stage).unwrap());
    assert!(remembered > 0, "no slot remembers");

    let flood = start_flood(&stage, service).unwrap();
    let mut rounds = 0;
    while syns(&stage).unwrap() < before + SYNS {
        assert!(flood.sent() < MOST_SYNS, "too few of {} SYNs arrive", flood.sent());
        flows.ask_whole().context("under the flood").unwrap();
        rounds += 1;
    }
    let sent = flood.stop().unwrap();
    flows.ask_whole().context("after the flood").unwrap();
    println!("{sent} SYNs, {rounds} rounds of requests over {FLOWS} flows meanwhile");
    assert_eq!(flows.len(), FLOWS);
    assert_eq!(stage.count("flow_remembered").unwrap(), remembered, "the flood is in the flow table");
    assert_eq!(stage.count("flow_table_full").unwrap(), 0);
    stage.expect_no_drops().unwrap();
}

fn start_flood(stage: &Stage, service: SocketAddr) -> Result<SynFlood> {
    let (client, lb) = (&stage.network.client, &stage.network.lb);
    let path = FloodPath { ifindex: client.ifindex("eth0")?, from_mac: client.mac("eth0")?, to_mac: lb.mac("eth0")? };
    let IpAddr::V4(vip) = service.ip() else { bail!("{service} is no IPv4 service") };
    SynFlood::start(&client.handle(), path, SocketAddrV4::new(vip, service.port()), MOST_SYNS)
}

/// SYNs that the program has forwarded.
fn syns(stage: &Stage) -> Result<u64> {
    let services = stage.lbd.lbctl_json(&["services"])?;
    services["services"][0]["counters"]["syn"].as_u64().with_context(|| format!("no count of SYNs in {services}"))
}
