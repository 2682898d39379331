//! The frames of synthetic flows: sent from the client's host, and caught where they come to a real server.

use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Namespace, PairNetwork, make_room, wait_readable};
use socket2::{SockFilter, Socket};

use crate::packet::{ACK, PSH, Packet, SYN};
use crate::pair::tap::packet_socket;
use crate::traffic::frames::{open_sender, send_frames};

/// The first source: the network of RFC 2544, for tests of devices.
const FIRST_SOURCE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Addresses in 198.18.0.0/15.
const SOURCES: u32 = 1 << 17;
/// The first client port.
const FIRST_PORT: u16 = 20_000;
/// Where the data of a TCP segment without options is in its frame: a flow's number.
const DATA: usize = 14 + 20 + 20;
const TCP: u32 = 6;
/// Bytes of frames that wait to be read on a real server's host.
const WAITING_ROOM: i32 = 32 << 20;
const MAX_FRAME: usize = 2_048;

/// Where all flows go.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub vip: Ipv4Addr,
    pub port: u16,
}

/// What a frame is of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    Syn,
    Data,
}

/// A frame that has come to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub flow: u32,
    pub segment: Segment,
    /// Counted from 0.
    pub real: usize,
}

/// Sockets where frames leave and where they arrive.
pub struct Wire {
    path: Path,
    from_mac: [u8; 6],
    sender: OwnedFd,
    reals: Vec<Socket>,
}

impl Wire {
    pub fn open(network: &PairNetwork, path: Path) -> Result<Wire> {
        let index = network.client.ifindex("eth0")?;
        let sender = network.client.run(|| open_sender(index))?;
        let reals = network.reals.iter().map(|real| catch(real, path.port)).collect::<Result<_>>()?;
        Ok(Wire { path, from_mac: network.client.mac("eth0")?, sender, reals })
    }

    /// Sends a segment of each of these flows. What the kernel has no room for is lost.
    pub fn send(&self, flows: &[u32], segment: Segment, to_mac: [u8; 6]) -> Result<()> {
        let mut frames: Vec<_> = flows.iter().map(|flow| self.frame(*flow, segment, to_mac)).collect();
        send_frames(&self.sender, &mut frames).map(drop)
    }

    /// Waits for frames, at most so long, and reads all that have come.
    pub fn receive(&mut self, limit: Duration) -> Vec<Arrived> {
        let descriptors: Vec<_> = self.reals.iter().map(AsRawFd::as_raw_fd).collect();
        if !wait_readable(&descriptors, limit) {
            return Vec::new();
        }
        let (mut arrived, mut frame) = (Vec::new(), [0; MAX_FRAME]);
        for (real, socket) in self.reals.iter_mut().enumerate() {
            while let Ok(length) = socket.read(&mut frame) {
                arrived.extend(read(&frame[..length], self.path.port, real));
            }
        }
        arrived
    }

    fn frame(&self, flow: u32, segment: Segment, to_mac: [u8; 6]) -> Vec<u8> {
        let source = Ipv4Addr::from_bits(FIRST_SOURCE + flow % SOURCES);
        let port = FIRST_PORT + (flow / SOURCES) as u16;
        let flags = if segment == Segment::Syn { SYN } else { ACK | PSH };
        let packet = Packet::v4(source, self.path.vip).tcp(port, self.path.port, flags);
        packet.data(&flow.to_be_bytes()).macs(to_mac, self.from_mac).bytes()
    }
}

/// A socket that gets what comes to a host for a TCP port, and nothing else.
fn catch(real: &Namespace, port: u16) -> Result<Socket> {
    let socket = packet_socket(real, "eth0")?;
    socket.attach_filter(&to_port(port)).context("cannot filter what comes")?;
    make_room(&socket, WAITING_ROOM).context("cannot make room for frames")?;
    socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
    Ok(socket)
}

/// A classic BPF program that takes whole frames of IPv4 TCP to a port.
fn to_port(port: u16) -> [SockFilter; 8] {
    let load = |size: u32, at: u32| SockFilter::new((libc::BPF_LD | libc::BPF_ABS | size) as u16, 0, 0, at);
    let unless = |value: u32, skip: u8| SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ) as u16, 0, skip, value);
    let end = |bytes: u32| SockFilter::new(libc::BPF_RET as u16, 0, 0, bytes);
    [
        load(libc::BPF_H, 12),
        unless(libc::ETH_P_IP as u32, 5),
        load(libc::BPF_B, 23),
        unless(TCP, 3),
        load(libc::BPF_H, 36),
        unless(port.into(), 1),
        end(MAX_FRAME as u32),
        end(0),
    ]
}

/// What a frame says that came to a real server. What was caught before the filter was in place may be anything.
fn read(frame: &[u8], port: u16, real: usize) -> Option<Arrived> {
    let is_ours = frame.get(36..38)? == port.to_be_bytes() && frame.get(12..14)? == [8, 0];
    let flow = u32::from_be_bytes(frame.get(DATA..DATA + 4)?.try_into().ok()?);
    let segment = if frame.get(47)? & SYN != 0 { Segment::Syn } else { Segment::Data };
    is_ours.then_some(Arrived { flow, segment, real })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_for_a_flow_is_read_as_of_this_flow() {
        for (segment, flags) in [(Segment::Syn, SYN), (Segment::Data, ACK | PSH)] {
            let packet = Packet::v4(Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(192, 0, 2, 1)).tcp(20_000, 9, flags);
            let frame = packet.data(&77_u32.to_be_bytes()).bytes();
            assert_eq!(read(&frame, 9, 2), Some(Arrived { flow: 77, segment, real: 2 }));
            assert_eq!(read(&frame, 10, 2), None);
            assert_eq!(read(&frame[..DATA + 3], 9, 2), None);
        }
    }
}
