//! Faults that are planted between the nodes of a pair, each of which `doctor` names with the fix that mends it. Needs root.

use anyhow::Result;
use lb_lab::{Cut, Link, write_key_file};
use lb_tests::doctor::{complaints, named};
use lb_tests::pair::PairStage;

/// A key that only one of the nodes has.
const OTHER_KEY: &str = "1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

#[test]
fn a_cut_path_and_a_strict_rp_filter() -> Result<()> {
    let stage = PairStage::set("")?;
    let [first, second] = &stage.nodes;
    let well = first.lbd.lbctl_json(&["doctor"])?;
    assert_eq!(complaints(&well), Vec::<String>::new());

    stage.network.cut(&Cut::path(Link::Heartbeat))?;
    named(&first.lbd, "path", "path udp eth1", "no ack", "look at the cable and the switch")?;
    named(&second.lbd, "path", "path udp eth1", "down", "look at the cable and the switch")?;
    stage.network.mend(&Cut::path(Link::Heartbeat))?;
    stage.wait_for_owner(0)?;

    // The routes lead to the peer's address on the other interface, and what comes from there is not believed.
    let peer = stage.network.plan.heartbeat_addresses(1)[0];
    stage.network.lbs[0].ip(&format!("route add {peer}/32 dev eth0"))?;
    stage.network.lbs[0].sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    stage.network.lbs[0].sysctl("net/ipv4/conf/eth1/rp_filter", "1")?;
    named(
        &first.lbd,
        "rp-filter",
        "path udp eth1",
        "rp_filter of eth1 is 1",
        "sysctl -w net.ipv4.conf.eth1.rp_filter=2",
    )?;
    named(&first.lbd, "path", "path udp eth1", "down", "look at the cable and the switch")?;
    stage.network.lbs[0].sysctl("net/ipv4/conf/eth1/rp_filter", "2")?;
    stage.wait_for_owner(0)
}

#[test]
fn a_wrong_key() -> Result<()> {
    let mut stage = PairStage::prepare("")?;
    let keys = stage.network.node_dir(1).join("keys");
    write_key_file(&keys, OTHER_KEY)?;
    let shared = lb_lab::key_file(&stage.network.run);
    stage.configure(1, &[(&format!("{shared:?}"), &format!("{keys:?}"))])?;
    stage.start(0)?;
    stage.start(1)?;
    for node in &stage.nodes {
        named(
            &node.lbd,
            "keys",
            "the keys of the pair",
            "not signed with this node's keys",
            "the same `key_file` on both nodes",
        )?;
    }
    Ok(())
}
