//! A third host that sends what a node's peer would send, or what nobody should.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use lb_core::auth::{Keys, SHORT_TAG_SIZE};
use lb_core::pair::frame::{Flags, Frame, Kind};
use lb_core::pair::serial::{Deframer, encode_stream};
use lb_core::pair::{FULLY_FIT, PathId, Role, State, wire};
use lb_lab::{Link, wait_for};

use super::{Caught, LIMIT, PairStage, Tap, heartbeat};

/// How many frames are recorded on a path.
const RECORDED: usize = 20;
/// An epoch that would win against every other one, if anybody believed it.
const WINNING: u32 = 1_000_000;

/// The client, which is on the network of one path, and has got hold of the serial line.
pub struct Stranger<'a> {
    stage: &'a PairStage,
    tap: Tap,
}

impl Stranger<'_> {
    /// Opens its socket.
    pub fn appear(stage: &PairStage) -> Result<Stranger<'_>> {
        Ok(Stranger { stage, tap: Tap::open(&stage.network.client, "eth0")? })
    }

    /// Records what a node sends to its peer by its port of the switch.
    pub fn record(&self, node: usize) -> Result<Vec<Caught>> {
        let port = format!("lb-{}", node + 1);
        Tap::open(&self.stage.network.switch, &port)?.catch(RECORDED, self.address(node)?, LIMIT)
    }

    /// What has come through the serial line from a node.
    pub fn record_serial(&self, node: usize) -> Result<Vec<Vec<u8>>> {
        let line = &self.stage.network.serial;
        wait_for("frames on the serial line", LIMIT, || {
            let recorded = Deframer::new().push(&line.heard_from(node));
            Ok((recorded.len() >= RECORDED).then(|| recorded[recorded.len() - RECORDED..].to_vec()))
        })
    }

    /// Sends these to a node, in the name of its peer, and waits until the node has counted them all under `reason`.
    pub fn send(&self, node: usize, frames: &[Vec<u8>], ttl: u8, reason: &str) -> Result<()> {
        let network = &self.stage.network;
        let (own, to_mac) = (network.client.mac("eth0")?, network.mac(node)?);
        let counted = self.stage.refused(node, Link::Service, reason)?;
        for frame in frames {
            let caught = Caught { from: self.address(1 - node)?, to: self.address(node)?, frame: frame.clone() };
            self.tap.send(&heartbeat(&caught, ttl, own, to_mac))?;
        }
        self.wait_for_refusals(node, Link::Service, reason, counted + frames.len() as u64)
    }

    /// The same on the serial line. What finds no room at its ends is lost, so each frame is sent until it is counted.
    pub fn send_by_serial(&self, node: usize, frames: &[Vec<u8>], reason: &str) -> Result<()> {
        let refused = || self.stage.refused(node, Link::Serial, reason);
        for frame in frames {
            let counted = refused()?;
            wait_for(&format!("lb-{} to count a frame of the serial line under {reason}", node + 1), LIMIT, || {
                if refused()? > counted {
                    return Ok(Some(()));
                }
                self.stage.network.serial.inject(1 - node, &encode_stream(frame))?;
                Ok(None)
            })?;
        }
        Ok(())
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

/// What somebody would send to a node who would like it to yield, signed with the first key of a key file.
pub fn forged(to: usize, path: PathId, keys: &str) -> Result<Vec<u8>> {
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
    let keys = Keys::parse(keys).context("the keys of a forged frame")?;
    wire::encode(&frame, path, &keys).context("a forged frame")
}

/// The same as a node of a later version would send it: its form is not to be known, and its signature is right.
pub fn of_another_version(to: usize, path: PathId, keys: &str) -> Result<Vec<u8>> {
    let mut frame = forged(to, path, keys)?;
    frame.truncate(frame.len() - SHORT_TAG_SIZE);
    frame[0] += 1 << 4;
    let keys = Keys::parse(keys).context("the keys of a forged frame")?;
    let tag = wire::signing_key(&keys).context("a key that signs")?.short_tag(&[&frame]);
    frame.extend_from_slice(&tag);
    Ok(frame)
}
