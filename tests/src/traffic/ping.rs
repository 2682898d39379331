//! Echo requests (`ping`).

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::NamespaceHandle;
use socket2::{Domain, Protocol, Socket, Type};

use crate::packet::checksum;

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const IPV4_HEADER: usize = 20;

/// Sends an echo request with this payload from a namespace and waits for its answer.
///
/// # Errors
/// No answer with the same payload comes from `target`.
pub fn ping(from: &NamespaceHandle, target: IpAddr, payload: &[u8]) -> Result<()> {
    from.run(|| {
        let (domain, protocol) = match target {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let mut socket = Socket::new(domain, Type::RAW, Some(protocol)).context("cannot open a raw socket")?;
        // A connected raw socket takes packets from the VIP only.
        socket.connect(&SocketAddr::new(target, 0).into()).with_context(|| format!("cannot connect to {target}"))?;
        socket.set_read_timeout(Some(ANSWER_LIMIT)).context("cannot set a time limit")?;
        socket.send(&request(target, payload)).with_context(|| format!("cannot send to {target}"))?;
        wait_for_answer(&mut socket, target, payload)
    })
}

fn request(target: IpAddr, payload: &[u8]) -> Vec<u8> {
    let kind = if target.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    message.extend_from_slice(payload);
    if target.is_ipv4() {
        // The kernel writes the checksum of ICMPv6 by itself.
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    message
}

fn wait_for_answer(socket: &mut Socket, target: IpAddr, payload: &[u8]) -> Result<()> {
    let (kind, header) = if target.is_ipv4() { (0, IPV4_HEADER) } else { (129, 0) };
    let wanted = [&[0x12, 0x34, 0, 1], payload].concat();
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut buffer = vec![0; 65_535];
    while Instant::now() < deadline {
        let length = socket.read(&mut buffer).with_context(|| format!("no echo reply from {target}"))?;
        let Some(message) = buffer.get(header..length) else { continue };
        if message.first() != Some(&kind) {
            continue;
        }
        if message.get(4..) != Some(&wanted[..]) {
            bail!("the echo reply of {target} is not what was sent");
        }
        return Ok(());
    }
    bail!("no echo reply from {target} within {ANSWER_LIMIT:?}")
}
