//! How checkpoints go from the active node to its standby: what comes back gets everything first, a path that dies gives way to another one, and
//! where none is left both nodes say so, and the serial line carries the scheduling table alone. The VIPs may move meanwhile. Needs root.

use anyhow::{Context, Result, ensure};
use lb_lab::{Cut, KEYS, Link, Node, key_file, write_keys};
use lb_tests::pair::{PairSetting, PairStage, close_unbroken};
use serde_json::Value;

/// The NICs that connect the nodes.
const NICS: [Link; 2] = [Link::Service, Link::Heartbeat];
/// Keys that are none of the peer's.
const OTHER_KEYS: &str = "1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const HANDOVERS: usize = 4;

fn set(more: &str) -> Result<PairStage> {
    let stage = PairStage::set_as(PairSetting { more: more.to_string(), ..PairSetting::default() })?;
    stage.be_known()?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    Ok(stage)
}

#[test]
fn the_stream_takes_another_path_when_its_own_is_cut_and_goes_on_where_it_was() -> Result<()> {
    let stage = set("")?;
    let owner = &stage.nodes[0];
    for _ in 0..2 {
        let before = stream(owner)?;
        let link = link_of(&before)?;
        stage.network.cut(&Cut::path(link))?;
        owner.wait_for("another path to carry the stream", |node| {
            let now = stream(node)?;
            Ok(now["connected"] == true && link_of(&now)? != link)
        })?;
        owner.lbd.lbctl(&["weight", "real-1", "40"])?;
        stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
        ensure!(stream(owner)?["fulls"] == before["fulls"], "everything was sent anew: {}", stage.story());
        stage.network.mend_all()?;
        stage.wait_for_owner(0)?;
    }
    Ok(())
}

#[test]
fn with_both_nics_cut_the_nodes_say_that_they_are_not_in_sync_until_one_is_back() -> Result<()> {
    let stage = set("")?;
    let start = stage.mark()?;
    let cuts: Vec<Cut> = NICS.iter().flat_map(|link| Cut::path(*link)).collect();
    stage.network.cut(&cuts)?;
    for (node, word) in stage.nodes.iter().zip(["no standby follows this node", "do not come in"]) {
        node.wait_for(&format!("{} to say why it is not in sync", node.name()), |node| {
            let status = node.lbd.lbctl_json(&["status"])?;
            let why = status["checkpoint"]["sync"]["why"].as_str().unwrap_or_default().to_string();
            Ok(why.contains(word))
        })?;
    }
    // The table goes on to change meanwhile.
    stage.nodes[0].lbd.lbctl(&["weight", "real-1", "30"])?;
    stage.nothing_moved(&start)?;
    stage.network.mend_all()?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    stage.wait_for_owner(0)?;
    stage.nodes[1].wait_for("the weight to be known", |node| {
        Ok(node.lbd.lbctl_json(&["reals"])?["reals"][0]["weight_override"] == 30)
    })
}

#[test]
fn with_both_nics_cut_the_scheduling_table_goes_over_the_serial_line_and_a_takeover_has_it() -> Result<()> {
    let stage = set("")?;
    let [owner, standby] = &stage.nodes;
    let cuts: Vec<Cut> = NICS.iter().flat_map(|link| Cut::path(*link)).collect();
    for weight in [30, 70] {
        let start = stage.mark()?;
        stage.network.cut(&cuts)?;
        for (node, words) in stage.nodes.iter().zip(["goes to it", "comes"]) {
            let words = format!("only the scheduling table {words}, over the serial line");
            node.wait_for("the serial line to be named", |node| {
                let why = node.checkpoint()?["sync"]["why"].as_str().unwrap_or_default().to_string();
                Ok(why.contains(&words))
            })?;
        }
        owner.lbd.lbctl(&["drain", "real-1"])?;
        owner.lbd.lbctl(&["weight", "real-2", &weight.to_string()])?;
        standby.wait_for("the drain and the weight", |node| has_drain_and_weight(node, weight))?;
        ensure!(stream(standby)?["connected"] == false, "the stream has a way: {}", stage.story());
        stage.nothing_moved(&start)?;
        if weight == 30 {
            stage.network.mend_all()?;
            stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
            stage.wait_for_owner(0)?;
            ensure!(has_drain_and_weight(standby, weight)?, "the stream has taken it back: {}", stage.story());
        }
    }
    stage.network.cut(&Cut::node(0))?;
    standby.wait_for_state("active")?;
    ensure!(has_drain_and_weight(standby, 70)?, "the takeover has lost it: {}", stage.story());
    Ok(())
}

fn has_drain_and_weight(node: &Node, weight: u64) -> Result<bool> {
    let reals = node.lbd.lbctl_json(&["reals"])?;
    let real = |name: &str| reals["reals"].as_array().and_then(|all| all.iter().find(|real| real["name"] == name));
    let (drained, weighed) = (real("real-1").context("no real-1")?, real("real-2").context("no real-2")?);
    Ok(drained["admin"] == "drained" && weighed["weight_override"] == weight)
}

#[test]
fn a_standby_that_was_killed_gets_everything_and_can_take_over() -> Result<()> {
    let mut stage = set("")?;
    let weights = stage.move_weights(0);
    let pinned = stage.pin()?;
    let fulls = number(&stream(&stage.nodes[0])?, "fulls")?;
    stage.nodes[1].lbd.kill()?;
    stage.nodes[0].wait_for("the standby to be missed", |node| Ok(node.checkpoint()?["sync"]["in_sync"] == false))?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    stage.wait_for_owner(0)?;
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    let now = number(&stream(&stage.nodes[0])?, "fulls")?;
    ensure!(now > fulls, "a daemon that has just started was not sent everything: {}", stage.story());
    ensure!(weights.stop()? > 0, "no weight has changed");
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    stage.network.cut(&Cut::node(0))?;
    stage.nodes[1].wait_for_state("active")?;
    close_unbroken(pinned).with_context(|| stage.story())
}

#[test]
fn an_active_node_that_is_killed_follows_when_it_is_back() -> Result<()> {
    let mut stage = set("")?;
    let pinned = stage.pin()?;
    stage.nodes[0].lbd.lbctl(&["weight", "real-1", "10"])?;
    for owner in [0, 1] {
        stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
        stage.nodes[owner].lbd.kill()?;
        stage.nodes[1 - owner].wait_for_state("active")?;
        stage.nodes[owner].lbd.start_again()?;
        stage.nodes[owner].lbd.wait_until_ready()?;
        stage.wait_for_owner(1 - owner)?;
    }
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
    close_unbroken(pinned).with_context(|| stage.story())
}

#[test]
fn the_vips_may_be_handed_over_while_weights_move() -> Result<()> {
    let stage = set("[checkpoint]\nwrite_ahead_timeout = \"5s\"\n")?;
    let weights = stage.move_weights(0);
    let pinned = stage.pin()?;
    for round in 0..HANDOVERS {
        let (owner, standby) = (round % 2, (round + 1) % 2);
        weights.follow(owner);
        let changes = weights.changes();
        stage.nodes[owner].wait_for("weights to move", |_| Ok(weights.changes() > changes))?;
        stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)?;
        stage.nodes[owner].lbd.lbctl(&["handover"]).with_context(|| stage.story())?;
        stage.wait_for_owner(standby)?;
    }
    weights.stop()?;
    close_unbroken(pinned).with_context(|| stage.story())
}

#[test]
fn a_standby_with_another_key_is_refused_and_says_why() -> Result<()> {
    let mut stage = set("")?;
    stage.nodes[1].lbd.stop()?;
    let other = stage.network.run.dir().join("other-keys");
    write_keys(&stage.network.run, OTHER_KEYS)?;
    std::fs::rename(key_file(&stage.network.run), &other).context("cannot move the keys")?;
    write_keys(&stage.network.run, KEYS)?;
    let text = stage.config.text(&stage.network, 1) + &format!("[checkpoint]\nkey_file = {other:?}\n");
    stage.nodes[1].lbd.write_config(&text)?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    stage.nodes[1].wait_for_state("standby")?;
    stage.nodes[1].wait_for("the key to be named", |node| {
        let why = stream(node)?["last_error"].as_str().unwrap_or_default().to_lowercase();
        Ok(why.contains("key"))
    })?;
    ensure!(stage.nodes[0].checkpoint()?["sync"]["in_sync"] == false, "a stranger is in sync");
    Ok(())
}

#[test]
fn files_of_checkpoints_are_made_listed_verified_and_carried() -> Result<()> {
    let stage = set("")?;
    let lbd = &stage.nodes[0].lbd;
    lbd.lbctl(&["weight", "real-1", "25"])?;
    let taken = lbd.lbctl_json(&["checkpoint", "now"])?;
    ensure!(number(&taken, "sequence")? > 0, "nothing was taken: {taken}");
    let listed = lbd.lbctl_json(&["checkpoint", "list"])?;
    ensure!(listed["files"].as_array().is_some_and(|files| !files.is_empty()), "no files: {listed}");
    let verified = lbd.lbctl_json(&["checkpoint", "verify"])?;
    ensure!(verified["ok"] == true, "{verified}");
    let (dir, name) = (listed["directory"].as_str().context("no directory")?, listed["files"][0]["name"].as_str());
    let file = std::path::Path::new(dir).join(name.context("a file has no name")?);
    let mut bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let broken = stage.network.run.dir().join("broken");
    std::fs::write(&broken, &bytes).context("cannot write a file")?;
    let said = lbd.lbctl_command(&["checkpoint", "verify"])?.arg(&broken).output().context("cannot run lbctl")?;
    ensure!(said.status.code() == Some(1), "a flipped bit was not refused: {said:?}");

    let file = stage.network.run.dir().join("exported.json");
    let path = file.display().to_string();
    lbd.lbctl(&["checkpoint", "export", &path])?;
    lbd.lbctl(&["weight", "real-1", "75"])?;
    lbd.lbctl(&["checkpoint", "import", &path])?;
    let weight = lbd.lbctl_json(&["reals"])?["reals"][0]["weight_override"].clone();
    ensure!(weight == 25, "the weight of the import is {weight}");
    let refused = stage.nodes[1].lbd.lbctl(&["checkpoint", "import", &path]);
    ensure!(refused.is_err(), "a standby took an import");
    stage.nodes.iter().try_for_each(Node::wait_for_checkpoints)
}

fn stream(node: &Node) -> Result<Value> {
    Ok(node.checkpoint()?["stream"].clone())
}

/// The link that carries the stream.
fn link_of(stream: &Value) -> Result<Link> {
    let path = stream["path"].as_str().with_context(|| format!("no path in {stream}"))?;
    Ok(if path.ends_with("eth0") { Link::Service } else { Link::Heartbeat })
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value[key].as_u64().with_context(|| format!("no {key} in {value}"))
}
