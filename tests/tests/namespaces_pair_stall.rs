//! The active daemon of a pair is stopped, killed, restarted and ended: never two owners of the VIPs, and no packet lost
//! where it was planned. Needs root.

use std::time::{Duration, Instant};

use anyhow::Result;
use lb_lab::lost;
use lb_tests::pair::{LIMIT, PairStage, answered, close_unbroken, one_owner_at_a_time};

/// Stops a node's daemon for as long as `meanwhile` takes, and says how long that was.
fn stopped_during(
    stage: &mut PairStage,
    node: usize,
    meanwhile: impl FnOnce(&PairStage) -> Result<()>,
) -> Result<Duration> {
    stage.nodes[node].lbd.running()?.signal(libc::SIGSTOP)?;
    let begun = Instant::now();
    let outcome = meanwhile(stage);
    stage.nodes[node].lbd.running()?.signal(libc::SIGCONT)?;
    outcome.map(|()| begun.elapsed())
}

#[test]
fn a_daemon_that_was_stopped_never_serves_beside_its_successor() -> Result<()> {
    let mut stage = PairStage::set("")?;
    let (pinned, watch) = (stage.pin()?, stage.watch()?);
    let least = Duration::from_secs_f64(stage.nodes[0].detection_ms()?[0] / 1e3);
    let mut owner = 0;
    // A part of the shortest detection time: before the lease ends, between that and a takeover, and just about one.
    for percent in [40, 95, 110, 125] {
        let before = stage.mark()?;
        let stopped = stopped_during(&mut stage, owner, |_| {
            // How long the daemon stands still is what the test is about.
            std::thread::sleep(least * percent / 100);
            Ok(())
        })?;
        let now = stage.wait_for_any_owner()?;
        if stopped < least / 2 {
            stage.nothing_moved(&before)?;
        }
        owner = now;
    }
    // Until the other one serves, and for a while longer.
    for _ in 0..2 {
        stopped_during(&mut stage, owner, |stage| {
            stage.nodes[1 - owner].wait_for_state("active")?;
            answered(&stage.probe()?)
        })?;
        owner = 1 - owner;
        stage.wait_for_owner(owner)?;
    }
    one_owner_at_a_time(watch, &[0, 1])?;
    close_unbroken(pinned)
}

#[test]
fn a_killed_daemon_comes_back_as_the_standby() -> Result<()> {
    let mut stage = PairStage::set("")?;
    stage.be_known()?;
    let (pinned, probe, watch) = (stage.pin()?, stage.probe()?, stage.watch()?);
    for owner in [0, 1] {
        stage.nodes[owner].lbd.kill()?;
        stage.nodes[1 - owner].wait_for_state("active")?;
        answered(&probe)?;
        stage.wait_to_be_known(1 - owner)?;
        stage.nodes[owner].lbd.start_again()?;
        stage.nodes[owner].lbd.wait_until_ready()?;
        stage.wait_for_owner(1 - owner)?;
    }
    one_owner_at_a_time(watch, &[0, 1])?;
    close_unbroken(pinned)
}

#[test]
fn an_announced_restart_keeps_the_vips_and_loses_nothing() -> Result<()> {
    let mut stage = PairStage::set("")?;
    let (pinned, probe, watch) = (stage.pin()?, stage.probe()?, stage.watch()?);
    let (before, epoch) = (stage.mark()?, stage.nodes[0].epoch()?);
    stage.nodes[0].lbd.lbctl(&["restart", "--grace", "10s"])?;
    let status = stage.nodes[0].lbd.running()?.wait(LIMIT)?;
    assert!(status.success(), "{status}: {}", stage.nodes[0].story());
    answered(&probe)?;
    stage.nodes[0].lbd.start_again()?;
    stage.nodes[0].lbd.wait_until_ready()?;
    stage.wait_for_owner(0)?;
    answered(&probe)?;
    assert_eq!([stage.nodes[0].epoch()?, stage.nodes[1].epoch()?], [epoch; 2]);
    stage.never_left(1, &before, "standby")?;
    assert_eq!(lost(&probe.stop()?), 0, "probes were lost");
    one_owner_at_a_time(watch, &[0])?;
    close_unbroken(pinned)
}

#[test]
fn a_clean_stop_hands_the_vips_over_and_loses_nothing() -> Result<()> {
    let mut stage = PairStage::set("")?;
    stage.be_known()?;
    let (pinned, probe) = (stage.pin()?, stage.probe()?);
    for owner in [0, 1] {
        stage.nodes[owner].lbd.stop()?;
        assert_eq!(stage.nodes[1 - owner].state()?, "active");
        stage.wait_to_be_known(1 - owner)?;
        answered(&probe)?;
        stage.nodes[owner].lbd.start_again()?;
        stage.nodes[owner].lbd.wait_until_ready()?;
        stage.wait_for_owner(1 - owner)?;
    }
    assert_eq!(lost(&probe.stop()?), 0, "probes were lost");
    close_unbroken(pinned)
}
