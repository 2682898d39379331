//! The VIPs move from node to node as planned: by an operator's word, at a stop, to the fitter node, and back. No packet is lost and no
//! connection breaks; and where it cannot be so, nothing moves, and it is said why. Needs root.

use anyhow::{Context, Result, ensure};
use lb_lab::{Link, Node, output};
use lb_tests::pair::{PairStage, answered, one_answers_at_a_time};

const HANDOVERS: usize = 20;
/// A move without need comes soon; a node that has yielded forwards for no longer than it has to.
const QUICK: &str = "failback_delay = \"1s\"\ndrain = \"300ms\"\n";

#[test]
fn twenty_handovers_under_load_lose_no_packet_and_break_no_connection() -> Result<()> {
    let stage = PairStage::set(QUICK)?;
    let (traffic, watch, epoch) = (stage.traffic()?, stage.watch()?, stage.nodes[0].epoch()?);
    for round in 0..HANDOVERS {
        let (owner, standby) = (round % 2, (round + 1) % 2);
        // Each node is asked as the active one and as the standby.
        let asked = if round % 4 < 2 { owner } else { standby };
        stage.nodes[asked].lbd.lbctl(&["handover"]).with_context(|| stage.story())?;
        stage.nodes[standby].wait_for_state("active")?;
        traffic.flows()?;
        stage.nodes[owner].wait_for_state("standby")?;
    }
    assert_eq!(stage.nodes[0].epoch()?, epoch + HANDOVERS as u64, "one takeover for each handover, and no other");
    one_answers_at_a_time(watch, &[0, 1])?;
    traffic.lost_nothing().with_context(|| stage.story())
}

#[test]
fn a_handover_that_cannot_go_well_is_refused_and_it_is_said_why() -> Result<()> {
    let stage = PairStage::set(&format!("{QUICK}[pair.track]\ngateway_interval = \"100ms\"\n"))?;
    let (traffic, start) = (stage.traffic()?, stage.mark()?);

    stage.nodes[1].lbd.lbctl(&["hold", "on"])?;
    stage.nodes[0].wait_for("the peer to be known as held", |node| Ok(node.pair()?["peer"]["says"]["held"] == true))?;
    refused(&stage.nodes[0], &["handover"], "holds the peer back")?;
    refused(&stage.nodes[0], &["handover", "--force"], "holds the peer back")?;
    refused(&stage.nodes[1], &["handover"], "held back")?;
    stage.nodes[1].lbd.lbctl(&["hold", "off"])?;

    stage.network.unplug(Link::Service, 1)?;
    stage.nodes[0].wait_for("the peer to be unfit", |node| Ok(node.pair()?["peer"]["says"]["fitness"] == 0))?;
    refused(&stage.nodes[0], &["handover"], "not fit to serve")?;
    refused(&stage.nodes[1], &["handover", "--force"], "not able to serve")?;
    stage.network.plug_in(Link::Service, 1)?;
    stage.wait_for_owner(0)?;

    let more = format!(
        "[[service]]\nname = \"more\"\nvip = \"{}\"\nport = 9\nprotocol = \"udp\"\nmode = \"dsr\"\nreals = [\"real-1\"]\n",
        stage.network.plan.vip_v4(0)
    );
    stage.nodes[1].lbd.write_config(&(stage.config.text(&stage.network, 1) + &more))?;
    stage.nodes[1].lbd.lbctl(&["reload"])?;
    wait_for_sync(&stage, "services-differ")?;
    refused(&stage.nodes[0], &["handover"], "not in sync: the nodes have different services")?;
    refused(&stage.nodes[1], &["handover"], "not in sync")?;
    stage.nothing_moved(&start)?;
    traffic.lost_nothing()?;
    stage.nodes[0].lbd.lbctl(&["handover", "--force"])?;
    stage.wait_for_owner(1)
}

#[test]
fn nodes_with_different_vips_hand_nothing_over_and_take_over_of_need() -> Result<()> {
    let mut stage = PairStage::set(QUICK)?;
    stage.nodes[1].lbd.stop()?;
    stage.nodes[0].wait_for("the peer to be dead", |node| Ok(node.pair()?["peer"]["health"] == "dead"))?;
    refused(&stage.nodes[0], &["handover", "--force"], "the peer is not heard")?;

    let more = "[[service]]\nname = \"more\"\nvip = \"192.0.2.199\"\nport = 7\nprotocol = \"udp\"\nmode = \"dsr\"\nreals = [\"real-1\"]\n";
    stage.nodes[1].lbd.write_config(&(stage.config.text(&stage.network, 1) + more))?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    wait_for_sync(&stage, "vips-differ")?;
    for node in &stage.nodes {
        refused(node, &["handover"], "different VIPs")?;
        refused(node, &["handover", "--force"], "different VIPs")?;
        let warning = node.lbd.lbctl(&["status"])?;
        ensure!(warning.contains("the nodes have different VIPs"), "{warning}");
        ensure!(node.lbd.log().contains("the nodes have different VIPs"), "{}", node.lbd.log());
    }
    stage.nodes[0].lbd.kill()?;
    stage.nodes[1].wait_for_state("active")
}

#[test]
fn a_node_that_is_held_takes_nothing_over_until_it_is_let_go() -> Result<()> {
    let mut stage = PairStage::set(QUICK)?;
    stage.nodes[1].lbd.lbctl(&["hold", "on"])?;
    stage.nodes[0].wait_for("the peer to be known as held", |node| Ok(node.pair()?["peer"]["says"]["held"] == true))?;
    stage.nodes[0].lbd.kill()?;
    stage.nodes[1].wait_for("the peer to be dead", |node| Ok(node.pair()?["peer"]["health"] == "dead"))?;
    // A restart does not let go of it.
    stage.nodes[1].lbd.stop()?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].wait_for_state("standby")?;
    ensure!(stage.nodes[1].lbd.lbctl(&["status"])?.contains("hold off"));
    stage.nodes[1].lbd.lbctl(&["hold", "off"])?;
    stage.nodes[1].wait_for_state("active")
}

#[test]
fn a_primary_that_preempts_takes_the_vips_back() -> Result<()> {
    let stage = PairStage::set(&format!("preempt = true\n{QUICK}"))?;
    let (traffic, epoch) = (stage.traffic()?, stage.nodes[0].epoch()?);
    stage.nodes[0].lbd.lbctl(&["handover"])?;
    stage.nodes[1].wait_for("the VIPs to come and to go again", |node| {
        Ok(node.state()? == "standby" && node.epoch()? == epoch + 2)
    })?;
    stage.wait_for_owner(0)?;
    traffic.lost_nothing()?;
    assert_eq!(stage.nodes[0].epoch()?, epoch + 2);
    Ok(())
}

#[test]
fn a_node_that_is_stopped_hands_over_and_comes_back_as_the_standby() -> Result<()> {
    let mut stage = PairStage::set(QUICK)?;
    let traffic = stage.traffic()?;
    for owner in [0, 1] {
        stage.nodes[owner].lbd.stop()?;
        stage.nodes[1 - owner].wait_for_state("active")?;
        traffic.flows()?;
        stage.nodes[owner].lbd.start_again()?;
        stage.nodes[owner].lbd.wait_until_ready()?;
        stage.wait_for_owner(1 - owner)?;
        wait_for_sync(&stage, "in-sync")?;
    }
    // A standby that is stopped is missed by nobody.
    let epoch = stage.nodes[0].epoch()?;
    stage.nodes[1].lbd.stop()?;
    stage.nodes[0].wait_for("the peer to be dead", |node| Ok(node.pair()?["peer"]["health"] == "dead"))?;
    stage.nodes[1].lbd.start_again()?;
    stage.nodes[1].lbd.wait_until_ready()?;
    stage.wait_for_owner(0)?;
    assert_eq!(stage.nodes[0].epoch()?, epoch);
    traffic.lost_nothing()
}

#[test]
fn the_fitter_node_serves() -> Result<()> {
    let more = "[pair.track]\ngateway = [\"192.0.2.1\"]\ngateway_interval = \"100ms\"\nmin_healthy_reals = 4\n";
    let stage = PairStage::set(&format!("{QUICK}{more}"))?;
    let (traffic, epoch) = (stage.traffic()?, stage.nodes[0].epoch()?);
    // The gateway answers everybody but the active node.
    nft(&stage, "add rule bridge cuts input iifname lb-1 ether type arp drop")?;
    stage.nodes[1].wait_for_state("active")?;
    stage.nodes[0].wait_for_state("standby")?;
    traffic.flows()?;
    nft(&stage, "flush chain bridge cuts input")?;
    stage.wait_for_owner(1)?;
    ensure!(stage.nodes[1].epoch()? == epoch + 1, "of two that are equally fit the one that serves goes on");
    traffic.lost_nothing()
}

#[test]
fn a_node_that_finds_too_few_reals_healthy_hands_over() -> Result<()> {
    let check = "[[check]]\nname = \"alive\"\ntype = \"icmp\"\ninterval = \"100ms\"\n";
    let mut stage = PairStage::prepare(&format!("{QUICK}[pair.track]\nmin_healthy_reals = 4\n{check}"))?;
    for node in 0..2 {
        stage.configure(node, &[("mode = \"dsr\"", "mode = \"dsr\"\nchecks = [\"alive\"]")])?;
    }
    stage.start_both()?;
    let (probe, epoch) = (stage.probe()?, stage.nodes[0].epoch()?);
    // The active node's checks of one real get nowhere. It forwards as ever.
    let real = stage.network.plan.real_addresses(0)[0];
    let rule = format!("ip daddr {real} ip protocol icmp drop");
    let rules = format!("table inet lost {{ chain out {{ type filter hook output priority 0; {rule}; }}; }}");
    output(stage.network.lbs[0].command("nft").arg(rules))?;
    stage.nodes[1].wait_for_state("active")?;
    stage.nodes[0].wait_for("too few reals", |node| {
        let pair = node.pair()?;
        Ok(pair["state"] == "standby" && pair["lacks"] == "healthy reals: 3, wanted: 4 or more")
    })?;
    answered(&probe)?;
    output(stage.network.lbs[0].command("nft").arg("delete table inet lost"))?;
    stage.wait_for_owner(1)?;
    ensure!(stage.nodes[1].epoch()? == epoch + 1, "of two that are equally fit the one that serves goes on");
    Ok(())
}

fn nft(stage: &PairStage, rule: &str) -> Result<()> {
    output(stage.network.switch.command("nft").arg(rule)).map(drop)
}

/// An order that fails at once, with this in its reason.
fn refused(node: &Node, order: &[&str], why: &str) -> Result<()> {
    match node.lbd.lbctl(order) {
        Ok(said) => anyhow::bail!("`lbctl {order:?}` on {} was not refused: {said}; {}", node.name(), node.story()),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains(why), "`lbctl {order:?}` on {} was refused otherwise: {said}", node.name());
            Ok(())
        }
    }
}

/// Waits until both nodes say this of what they have.
fn wait_for_sync(stage: &PairStage, state: &str) -> Result<()> {
    let is = |node: &Node| Ok(node.pair()?["sync"]["state"] == state);
    stage.nodes.iter().try_for_each(|node| node.wait_for(&format!("the nodes to be {state}"), is))
}
