//! Noise, forged frames and recorded ones on the paths of a pair: each is counted, and nothing moves. Needs root.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use lb_core::auth::Keys;
use lb_core::pair::frame::{Flags, Frame, Kind};
use lb_core::pair::serial::{Deframer, encode_stream};
use lb_core::pair::{FULLY_FIT, PathId, Role, State, wire};
use lb_lab::{Cut, Link, wait_for};
use lb_tests::pair::{Caught, LIMIT, PairStage, TTL, Tap, close_unbroken, heartbeat, one_owner_at_a_time};

/// Frames of a noisy serial line that each node must have refused.
const NOISE: u64 = 200;
/// All bytes, for the rates of a serial line's faults.
const MILLION: u32 = 1_000_000;
/// How many frames are recorded on a path.
const RECORDED: usize = 20;
/// How often a forged frame is sent.
const FORGED: usize = 20;
/// An epoch that would win against every other one, if anybody believed it.
const WINNING: u32 = 1_000_000;
/// The secret of nobody, by the number of the true key, and by another one.
const FALSE_KEYS: [(&str, &str); 2] = [
    ("1 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "bad_tag"),
    ("2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "unknown_key"),
];

/// A third host: the client, which is on the network of one path, and has got hold of the serial line.
struct Stranger<'a> {
    stage: &'a PairStage,
    tap: Tap,
}

impl Stranger<'_> {
    fn appear(stage: &PairStage) -> Result<Stranger<'_>> {
        Ok(Stranger { stage, tap: Tap::open(&stage.network.client, "eth0")? })
    }

    /// Records what a node sends to its peer by its port of the switch.
    fn record(&self, node: usize) -> Result<Vec<Caught>> {
        let port = format!("lb-{}", node + 1);
        Tap::open(&self.stage.network.switch, &port)?.catch(RECORDED, self.address(node)?, LIMIT)
    }

    /// What has come through the serial line from a node.
    fn record_serial(&self, node: usize) -> Result<Vec<Vec<u8>>> {
        let line = &self.stage.network.serial;
        wait_for("frames on the serial line", LIMIT, || {
            let recorded = Deframer::new().push(&line.heard_from(node));
            Ok((recorded.len() >= RECORDED).then(|| recorded[recorded.len() - RECORDED..].to_vec()))
        })
    }

    /// Sends these to a node, in the name of its peer, and waits until the node has counted them all under `reason`.
    fn send(&self, node: usize, frames: &[Vec<u8>], ttl: u8, reason: &str) -> Result<()> {
        let network = &self.stage.network;
        let (own, to_mac) = (network.client.mac("eth0")?, network.mac(node)?);
        let counted = self.stage.refused(node, Link::Service, reason)?;
        for frame in frames {
            let caught = Caught { from: self.address(1 - node)?, to: self.address(node)?, frame: frame.clone() };
            self.tap.send(&heartbeat(&caught, ttl, own, to_mac))?;
        }
        self.wait_for_refusals(node, Link::Service, reason, counted + frames.len() as u64)
    }

    /// The same on the serial line.
    fn send_by_serial(&self, node: usize, frames: &[Vec<u8>], reason: &str) -> Result<()> {
        let counted = self.stage.refused(node, Link::Serial, reason)?;
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode_stream(frame)).collect();
        self.stage.network.serial.inject(1 - node, &bytes)?;
        self.wait_for_refusals(node, Link::Serial, reason, counted + frames.len() as u64)
    }

    fn wait_for_refusals(&self, node: usize, link: Link, reason: &str, count: u64) -> Result<()> {
        let what = format!("lb-{} to count {count} under {reason}", node + 1);
        wait_for(&what, LIMIT, || Ok((self.stage.refused(node, link, reason)? >= count).then_some(())))
    }

    fn address(&self, node: usize) -> Result<Ipv4Addr> {
        match self.stage.network.plan.lb_addresses(node)[0] {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(address) => bail!("{address} is no IPv4 address"),
        }
    }
}

/// What somebody would send to a node who would like it to yield.
fn forged(to: usize, path: PathId, key: &str) -> Result<Vec<u8>> {
    let frame = Frame {
        kind: Kind::Ask,
        from: if to == 0 { Role::Standby } else { Role::Primary },
        boot: u32::MAX,
        sequence: 1,
        echo_boot: 0,
        echo: 0,
        held: 0,
        epoch: WINNING,
        state: State::Active,
        flags: Flags::default(),
        fitness: FULLY_FIT,
        lease: u16::MAX,
    };
    let keys = Keys::parse(&format!("{key}\n")).context("the false key")?;
    wire::encode(&frame, path, &keys).context("a forged frame")
}

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
