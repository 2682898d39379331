//! What a node has learned outlives it: weights that operators set, and the flows that are exceptions for them. The standby knows it when
//! the active node is cut off, and the disk when the kernel has forgotten it. Every connection goes on. Needs root.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lb_lab::{Cut, KEYS, Lbd, Node, Pinned, Plan, key_file, output, write_keys};
use lb_tests::pair::PairStage;
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
use lb_tests::traffic::Flows;
use serde_json::Value;

/// Connections that are opened at each of the weights.
const CONNECTIONS: usize = 25;
/// What the first real server weighs, one after the other. Slots go to and fro.
const WEIGHTS: [&str; 4] = ["20", "100", "5", "60"];
const TCP_ECHO: u16 = 7;

#[test]
fn connections_that_began_while_weights_moved_outlive_the_active_node() -> Result<()> {
    let stage = PairStage::set("")?;
    stage.be_known()?;
    let mut pinned = vec![open(&stage)?];
    for weight in WEIGHTS {
        stage.nodes[0].lbd.lbctl(&["weight", "real-1", weight])?;
        pinned.push(open(&stage)?);
    }
    stage.nodes.iter().try_for_each(wait_for_sync)?;
    ensure!(remembered(&stage.nodes[0].lbd)? > 0, "no flow is an exception: nothing is tested");
    stage.network.cut(&Cut::node(0))?;
    stage.nodes[1].wait_for_state("active")?;
    for pinned in pinned {
        whole(&stage, pinned)?;
    }
    let weight = stage.nodes[1].lbd.lbctl_json(&["reals"])?["reals"][0]["weight_override"].clone();
    ensure!(weight == 60, "the new active node has lost the operator's weight: {weight}");
    stage.nodes[1].lbd.lbctl(&["weight", "real-1", "70"]).map(drop)
}

#[test]
fn a_standby_refuses_what_only_the_active_node_may_change_and_says_so() -> Result<()> {
    let stage = PairStage::set("")?;
    stage.nodes.iter().try_for_each(wait_for_sync)?;
    let refused = stage.nodes[1].lbd.lbctl(&["weight", "real-1", "20"]);
    let said = format!("{:#}", refused.err().context("a standby took a weight")?);
    ensure!(said.contains("ask the active node"), "{said}");
    Ok(())
}

#[test]
fn connections_outlive_the_maps_when_the_disk_has_what_they_held() -> Result<()> {
    let plan = Plan { vips: 1, reals: 2, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], HTTP);
    let mut stage = Stage::prepare(plan, |network| {
        let keys = format!("[checkpoint]\nkey_file = {:?}", key_file(&network.run));
        Config::of(network).top(&keys).service("web", service, Kind::TcpDsr, &real_names(2))
    })?;
    write_keys(&stage.network.run, KEYS)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let client = stage.network.client.handle();
    let address = stage.network.plan.client_addresses()[0];
    let mut flows = vec![Flows::open(&client, address, service, CONNECTIONS)?];
    for weight in WEIGHTS {
        stage.lbd.lbctl(&["weight", "real-1", weight])?;
        flows.push(Flows::open(&client, address, service, CONNECTIONS)?);
        flows.iter_mut().try_for_each(Flows::ask_whole)?;
    }
    let before = remembered(&stage.lbd)?;
    ensure!(before > 0, "no flow is an exception: nothing is tested");
    stage.lbd.lbctl(&["checkpoint", "now"])?;
    // A host without power answers nothing; this one's kernel would, in the program's place.
    nft(&stage, "add table ip cut; add chain ip cut output { type filter hook output priority 0; policy drop; }")?;
    stage.lbd.kill()?;
    // What a power cut does to maps and program.
    let (status, said) = stage.run_lbd(&["detach"])?;
    ensure!(status.success(), "{said}");
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    ensure!(stage.status()?["adoption"] == "fresh", "the maps were still there");
    ensure!(remembered(&stage.lbd)? == before, "{} flows of {before} are known", remembered(&stage.lbd)?);
    nft(&stage, "delete table ip cut")?;
    flows.iter_mut().try_for_each(Flows::ask_whole).with_context(|| stage.lbd.log())
}

fn nft(stage: &Stage, rule: &str) -> Result<()> {
    output(stage.network.client.command("nft").arg(rule)).map(drop)
}

fn open(stage: &PairStage) -> Result<Pinned> {
    let service = SocketAddr::new(stage.network.plan.vip_v4(0).into(), TCP_ECHO);
    Pinned::open(&stage.network.client.handle(), service, CONNECTIONS)
}

/// Waits until a node says that the standby has everything.
fn wait_for_sync(node: &Node) -> Result<()> {
    node.wait_for("the checkpoints to be in sync", |node| Ok(checkpoint(node)?["sync"]["in_sync"] == true))
}

fn checkpoint(node: &Node) -> Result<Value> {
    node.lbd.lbctl_json(&["checkpoint", "show"])
}

/// How many flows a node remembers.
fn remembered(lbd: &Lbd) -> Result<usize> {
    let flows = lbd.lbctl_json(&["flows"])?;
    Ok(flows["flows"].as_array().context("`lbctl flows` has no flows")?.len())
}

fn whole(stage: &PairStage, pinned: Pinned) -> Result<()> {
    let talk = pinned.close()?;
    ensure!(
        talk.broken.is_empty() && talk.connections == CONNECTIONS,
        "{} of {} connections broke: {:?}\n{}",
        talk.broken.len(),
        talk.connections,
        talk.broken,
        stage.story()
    );
    Ok(())
}
