//! The disks of a pair's checkpoints: after a power cut of both nodes they hold what operators and flows have made of the table, and a disk that
//! takes nothing more keeps nobody from serving. Needs root.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lb_lab::{Node, lbd, output};
use lb_tests::pair::{PairSetting, PairStage, close_unbroken};
use serde_json::Value;

const WEIGHT: u64 = 35;

#[test]
fn after_a_power_cut_of_both_nodes_the_table_is_as_it_was() -> Result<()> {
    let mut stage = PairStage::set("")?;
    stage.be_known()?;
    let mut pinned = vec![stage.pin()?];
    for words in [&["weight", "real-1", "5"][..], &["weight", "real-1", "35"], &["drain", "real-2-v6"]] {
        stage.nodes[0].lbd.lbctl(words)?;
        pinned.push(stage.pin()?);
    }
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    for node in &stage.nodes {
        node.lbd.lbctl(&["checkpoint", "now"])?;
    }
    let before = remembered(&stage.nodes[0])?;
    ensure!(before > 0, "no flow is an exception: nothing is tested");
    for node in 0..stage.nodes.len() {
        stage.nodes[node].lbd.kill()?;
        forget_what_the_kernel_knows(&stage, node)?;
    }
    for node in &mut stage.nodes {
        node.lbd.start_again()?;
    }
    for node in &mut stage.nodes {
        node.lbd.wait_until_ready()?;
    }
    let owner = stage.wait_for_any_owner()?;
    for node in &stage.nodes {
        node.wait_for_checkpoints()?;
        let reals = node.lbd.lbctl_json(&["reals"])?;
        ensure!(real(&reals, "real-1")?["weight_override"] == WEIGHT, "{} has lost a weight: {reals}", node.name());
        ensure!(real(&reals, "real-2-v6")?["admin"] == "drained", "{} has lost a drain: {reals}", node.name());
    }
    let after = remembered(&stage.nodes[owner])?;
    ensure!(after >= before, "{after} of {before} flows are known: {}", stage.story());
    pinned.into_iter().try_for_each(close_unbroken).with_context(|| stage.story())
}

#[test]
fn a_node_whose_disk_takes_nothing_serves_on_and_says_so() -> Result<()> {
    let mut stage = PairStage::set_as(PairSetting::default())?;
    stage.be_known()?;
    let pinned = stage.pin()?;
    let disk = give_disk(&mut stage)?;
    stage.nodes[1].lbd.lbctl(&["checkpoint", "now"])?;

    let full = fill(&disk)?;
    for weight in ["20", "90", "20", "90"] {
        stage.nodes[0].lbd.lbctl(&["weight", "real-1", weight])?;
    }
    stage.nodes[1].wait_for("the disk to be complained of", |node| is_well(node).map(|well| !well))?;
    stage.nodes[0].lbd.lbctl(&["handover"]).with_context(|| stage.story())?;
    stage.wait_for_owner(1)?;
    stage.nodes[1].lbd.lbctl(&["weight", "real-1", "60"])?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;

    std::fs::remove_file(full).context("cannot remove a file")?;
    stage.nodes[1].wait_for("the disk to be well", is_well)?;
    close_unbroken(pinned).with_context(|| stage.story())
}

#[test]
fn a_node_that_starts_on_a_read_only_disk_serves_and_says_so() -> Result<()> {
    let mut stage = PairStage::set_as(PairSetting::default())?;
    stage.be_known()?;
    let pinned = stage.pin()?;
    let disk = give_disk(&mut stage)?;
    stage.nodes[1].lbd.stop()?;
    mount(&["-o", "remount,ro"], &disk)?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    stage.wait_for_owner(0)?;
    stage.nodes[1].wait_for("the disk to be complained of", |node| is_well(node).map(|well| !well))?;
    let error = stage.nodes[1].checkpoint()?["store"]["error"].to_string();
    ensure!(error.to_lowercase().contains("read-only"), "it does not say what is wrong: {error}");
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    stage.nodes[0].lbd.lbctl(&["handover"]).with_context(|| stage.story())?;
    stage.wait_for_owner(1)?;
    stage.nodes[1].lbd.lbctl(&["weight", "real-1", "60"])?;
    mount(&["-o", "remount,rw"], &disk)?;
    stage.nodes[1].wait_for("the disk to be well", is_well)?;
    close_unbroken(pinned).with_context(|| stage.story())
}

/// Has the standby keep its checkpoints on a small disk of their own; where that is.
fn give_disk(stage: &mut PairStage) -> Result<PathBuf> {
    let disk = stage.network.run.dir().join("disk");
    std::fs::create_dir(&disk).context("cannot make a directory")?;
    mount(&["-t", "tmpfs", "-o", "size=4m", "none"], &disk)?;
    stage.nodes[1].lbd.stop()?;
    // By itself a node that is seldom lost would write once a minute.
    let checkpoint = format!("[checkpoint]\ninterval = \"1100ms\"\ndirectory = \"{}/own\"\n", disk.display());
    let text = stage.config.text(&stage.network, 1) + &checkpoint;
    stage.nodes[1].lbd.write_config(&text)?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    stage.wait_for_owner(0)?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    Ok(disk)
}

fn is_well(node: &Node) -> Result<bool> {
    Ok(node.checkpoint()?["store"]["error"].is_null())
}

/// What a power cut does to maps, program and addresses.
fn forget_what_the_kernel_knows(stage: &PairStage, node: usize) -> Result<()> {
    let namespace = &stage.network.lbs[node];
    let (config, run) = (stage.nodes[node].lbd.config(), lbd()?);
    if node == 0 {
        // A host that has the address without a program resets connections.
        for vip in stage.network.plan.vips() {
            let length = if vip.is_ipv4() { 32 } else { 128 };
            namespace.ip(&format!("address del {vip}/{length} dev eth0"))?;
        }
    }
    output(namespace.command(run).arg("detach").arg("--config").arg(config)).map(drop)
}

/// Writes to a disk until it is full.
fn fill(disk: &Path) -> Result<PathBuf> {
    let path = disk.join("full");
    let mut file = File::create(&path).context("cannot create a file")?;
    while file.write_all(&[0; 4096]).is_ok() {}
    Ok(path)
}

fn mount(words: &[&str], at: &Path) -> Result<()> {
    output(Command::new("mount").args(words).arg(at)).map(drop)
}

/// How many flows a node remembers.
fn remembered(node: &Node) -> Result<usize> {
    let flows = node.lbd.lbctl_json(&["flows"])?;
    Ok(flows["flows"].as_array().context("`lbctl flows` has no flows")?.len())
}

fn real<'a>(reals: &'a Value, name: &str) -> Result<&'a Value> {
    let all = reals["reals"].as_array().context("`lbctl reals` has no reals")?;
    all.iter().find(|real| real["name"] == name).with_context(|| format!("no {name} in {reals}"))
}
