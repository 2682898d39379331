//! Paths, links and whole nodes of a pair are cut: one owner of the VIPs, whatever is left; and no TCP connection breaks. Needs root.

use anyhow::Result;
use lb_lab::{Cut, Link};
use lb_tests::pair::{PairStage, answered, close_unbroken, one_owner_at_a_time};

/// Tracking that is quick to see that the gateway is gone, and to move the VIPs for it.
const TRACK_GATEWAY: &str =
    "failback_delay = \"1s\"\n[pair.track]\ngateway_interval = \"100ms\"\ngateway = [\"192.0.2.1\"]\n";

/// All sets of one or two links.
fn proper_subsets() -> impl Iterator<Item = Vec<Link>> {
    (1..0b111_u8).map(|set| {
        let links = Link::ALL.into_iter().zip(0..);
        links.filter(|(_, bit)| set & (1 << bit) != 0).map(|(link, _)| link).collect()
    })
}

fn paths(links: &[Link]) -> Vec<Cut> {
    links.iter().flat_map(|link| Cut::path(*link)).collect()
}

#[test]
fn one_or_two_cut_paths_are_an_alarm_that_names_them_and_no_takeover() -> Result<()> {
    let stage = PairStage::set("")?;
    let (pinned, watch, start) = (stage.pin()?, stage.watch()?, stage.mark()?);
    for links in proper_subsets() {
        let since = stage.mark()?;
        stage.network.cut(&paths(&links))?;
        links.iter().try_for_each(|link| stage.wait_for_alarm(*link, &since))?;
        stage.nothing_moved(&start)?;
        stage.network.mend(&paths(&links))?;
        stage.wait_for_owner(0)?;
    }
    // The cable pulled, and not only silent.
    let since = stage.mark()?;
    stage.network.unplug(Link::Heartbeat, 0)?;
    stage.wait_for_alarm(Link::Heartbeat, &since)?;
    stage.network.plug_in(Link::Heartbeat, 0)?;
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&start)?;
    one_owner_at_a_time(watch, &[0])?;
    close_unbroken(pinned)
}

#[test]
fn with_every_path_cut_both_may_serve_until_the_first_one_is_back() -> Result<()> {
    let stage = PairStage::set("")?;
    stage.be_known()?;
    let pinned = stage.pin()?;
    // The standby of each round has taken over in the round before.
    for (link, (owner, standby)) in Link::ALL.into_iter().zip([(0, 1), (1, 0), (0, 1)]) {
        let epoch = stage.nodes[owner].epoch()?;
        stage.network.cut(&paths(&Link::ALL))?;
        stage.nodes[standby].wait_for_state("active")?;
        assert_eq!(stage.nodes[owner].state()?, "active", "nobody has told it");
        assert_eq!(stage.nodes[owner].epoch()?, epoch);
        stage.wait_to_be_known(standby)?;
        // Whom client and gateway go by is chance while there are two.
        stage.mislead(owner)?;
        stage.network.mend(&Cut::path(link))?;
        stage.nodes[owner].wait_for_state("standby")?;
        assert_eq!(stage.nodes[standby].state()?, "active");
        let epochs = [stage.nodes[owner].epoch()?, stage.nodes[standby].epoch()?];
        assert_eq!(epochs, [epoch + 1; 2], "{}{}", stage.nodes[owner].story(), stage.nodes[standby].story());
        stage.wait_to_be_known(standby)?;
        stage.network.mend_all()?;
        stage.wait_for_owner(standby)?;
    }
    close_unbroken(pinned)
}

#[test]
fn the_standby_serves_when_the_active_node_is_cut_off() -> Result<()> {
    let stage = PairStage::set("")?;
    stage.be_known()?;
    let (pinned, probe, watch) = (stage.pin()?, stage.probe()?, stage.watch()?);
    stage.network.cut(&Cut::node(0))?;
    stage.nodes[1].wait_for_state("active")?;
    answered(&probe)?;
    stage.wait_to_be_known(1)?;
    one_owner_at_a_time(watch, &[0, 1])?;
    stage.network.mend(&Cut::node(0))?;
    stage.wait_for_owner(1)?;
    stage.wait_to_be_known(1)?;
    answered(&probe)?;
    close_unbroken(pinned)
}

#[test]
fn the_vips_leave_a_node_whose_cable_to_the_clients_is_pulled() -> Result<()> {
    let stage = PairStage::set("")?;
    stage.be_known()?;
    let (pinned, probe, watch) = (stage.pin()?, stage.probe()?, stage.watch()?);
    let cases: [(&[Link], usize); 3] = [(&[], 0), (&[Link::Heartbeat], 1), (&[Link::Serial], 0)];
    for (also_cut, owner) in cases {
        let standby = 1 - owner;
        stage.network.cut(&paths(also_cut))?;
        stage.network.unplug(Link::Service, owner)?;
        stage.nodes[standby].wait_for_state("active")?;
        stage.nodes[owner].wait_for_state("standby")?;
        answered(&probe)?;
        stage.wait_to_be_known(standby)?;
        stage.network.plug_in(Link::Service, owner)?;
        stage.network.mend_all()?;
        stage.wait_for_owner(standby)?;
    }
    one_owner_at_a_time(watch, &[0, 1])?;
    close_unbroken(pinned)
}

#[test]
fn the_vips_leave_a_node_whose_switch_swallows_everything() -> Result<()> {
    let stage = PairStage::set(TRACK_GATEWAY)?;
    stage.be_known()?;
    let (pinned, probe, watch) = (stage.pin()?, stage.probe()?, stage.watch()?);
    let cases: [(&[Link], usize); 2] = [(&[], 0), (&[Link::Heartbeat], 1)];
    for (also_cut, owner) in cases {
        let standby = 1 - owner;
        stage.network.cut(&[paths(also_cut), Cut::link(Link::Service, owner).to_vec()].concat())?;
        stage.nodes[standby].wait_for_state("active")?;
        stage.nodes[owner].wait_for_state("standby")?;
        answered(&probe)?;
        stage.wait_to_be_known(standby)?;
        stage.network.mend_all()?;
        stage.wait_for_owner(standby)?;
    }
    one_owner_at_a_time(watch, &[0, 1])?;
    close_unbroken(pinned)
}
