//! Noise, forged frames and recorded ones on the paths of a pair: each is counted, and nothing moves. Needs root.

use anyhow::Result;
use lb_lab::{Cut, Link, wait_for};
use lb_tests::pair::{Caught, LIMIT, PairStage, Stranger, TTL, close_unbroken, forged, one_owner_at_a_time};

/// Frames of a noisy serial line that each node must have refused.
const NOISE: u64 = 200;
/// All bytes, for the rates of a serial line's faults.
const MILLION: u32 = 1_000_000;
/// How often a forged frame is sent.
const FORGED: usize = 20;
/// The secret of nobody, by the number of the true key, and by another one.
const FALSE_KEYS: [(&str, &str); 2] = [
    ("1 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "bad_tag"),
    ("2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "unknown_key"),
];

fn frames(caught: &[Caught]) -> Vec<Vec<u8>> {
    caught.iter().map(|caught| caught.frame.clone()).collect()
}

#[test]
fn recorded_frames_are_counted_and_move_nothing() -> Result<()> {
    let stage = PairStage::set("")?;
    let (pinned, watch, before) = (stage.pin()?, stage.watch()?, stage.mark()?);
    let stranger = Stranger::appear(&stage)?;
    for node in 0..2 {
        let (own, others) = (frames(&stranger.record(node)?), frames(&stranger.record(1 - node)?));
        stranger.send(node, &others, TTL, "replayed")?;
        stranger.send(node, &own, TTL, "own_direction")?;
        stranger.send(node, &others, TTL - 1, "forwarded")?;
        stranger.send_by_serial(node, &stranger.record_serial(1 - node)?, "replayed")?;
    }
    stage.nothing_moved(&before)?;
    // Held back, and delivered when they are too old.
    stage.network.cut(&Cut::path(Link::Service))?;
    let held_back = [frames(&stranger.record(0)?), frames(&stranger.record(1)?)];
    stage.wait_for_alarm(Link::Service, &before)?;
    for node in 0..2 {
        stranger.send(node, &held_back[1 - node], TTL, "stale")?;
        assert_eq!(stage.path_state(Link::Service, node)?, "down");
    }
    stage.network.mend_all()?;
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&before)?;
    one_owner_at_a_time(watch, &[0])?;
    close_unbroken(pinned)
}

#[test]
fn forged_frames_are_counted_and_move_nothing() -> Result<()> {
    let stage = PairStage::set("")?;
    let (pinned, watch, before) = (stage.pin()?, stage.watch()?, stage.mark()?);
    let stranger = Stranger::appear(&stage)?;
    for node in 0..2 {
        for (key, reason) in FALSE_KEYS {
            stranger.send(node, &vec![forged(node, 0, key)?; FORGED], TTL, reason)?;
            stranger.send_by_serial(node, &vec![forged(node, 2, key)?; FORGED], reason)?;
        }
        stranger.send(node, &vec![b"are you there?".to_vec(); FORGED], TTL, "malformed")?;
    }
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&before)?;
    one_owner_at_a_time(watch, &[0])?;
    close_unbroken(pinned)
}

#[test]
fn noise_on_the_serial_line_moves_nothing() -> Result<()> {
    let stage = PairStage::set("")?;
    let (pinned, watch, before) = (stage.pin()?, stage.watch()?, stage.mark()?);
    let refused = |node| -> Result<u64> {
        ["malformed", "garbage"].iter().try_fold(0, |sum, reason| Ok(sum + stage.refused(node, Link::Serial, reason)?))
    };
    for node in 0..2 {
        stage.network.serial.sent_by(node).fill_with_garbage(true);
    }
    for node in 0..2 {
        wait_for("noise on the serial line", LIMIT, || Ok((refused(node)? >= NOISE).then_some(())))?;
    }
    stage.nothing_moved(&before)?;
    for node in 0..2 {
        stage.network.serial.sent_by(node).set_rates(0, 0, MILLION);
    }
    stage.wait_for_alarm(Link::Serial, &before)?;
    stage.nothing_moved(&before)?;
    for node in 0..2 {
        stage.network.serial.sent_by(node).clear();
    }
    stage.wait_for_owner(0)?;
    stage.nothing_moved(&before)?;
    one_owner_at_a_time(watch, &[0])?;
    close_unbroken(pinned)
}
