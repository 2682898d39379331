//! A SYN flood: frames with ever new sources from 198.18.0.0/15, past the network stack of the sender.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use lb_lab::NamespaceHandle;

use super::frames::{open_sender, send_frames};
use crate::packet::{Packet, SYN};

/// Frames of one system call.
const BATCH: usize = 256;
/// The first source: the network of RFC 2544, for tests of devices.
const FIRST_SOURCE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Addresses in 198.18.0.0/15.
const SOURCES: u64 = 1 << 17;
/// Ports below are left out.
const FIRST_PORT: u64 = 1024;
const SEED: u64 = 0x5eed_0f5e_e0f5_5eed;

const ETHERNET: usize = 14;
const IP_CHECKSUM: usize = ETHERNET + 10;
const IP_SOURCE: usize = ETHERNET + 12;
const TCP_PORT: usize = ETHERNET + 20;
const TCP_CHECKSUM: usize = ETHERNET + 20 + 16;

/// Where the flood leaves its namespace.
#[derive(Clone, Copy, Debug)]
pub struct FloodPath {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its MAC address.
    pub from_mac: [u8; 6],
    /// The load balancer's.
    pub to_mac: [u8; 6],
}

/// A flood under way. Dropped, it stops.
#[derive(Debug)]
pub struct SynFlood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl SynFlood {
    /// Starts a flood of at most `most` SYNs to `target`.
    pub fn start(from: &NamespaceHandle, path: FloodPath, target: SocketAddrV4, most: u64) -> Result<SynFlood> {
        let socket = from.run(|| open_sender(path.ifindex))?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            let mut batch = Batch::new(path, target);
            while count.load(Ordering::Relaxed) < most && !stopped.load(Ordering::Relaxed) {
                count.fetch_add(batch.send(&socket)?, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(SynFlood { stop, sent, thread: Some(thread) })
    }

    /// SYNs that have left so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops the flood and returns how many SYNs have left.
    ///
    /// # Errors
    /// Sending has failed.
    pub fn stop(mut self) -> Result<u64> {
        self.join()?;
        Ok(self.sent())
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the thread of the flood has panicked"))?
    }
}

impl Drop for SynFlood {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// The frames of one system call, which are changed and sent again and again.
struct Batch {
    frames: Vec<Vec<u8>>,
    random: u64,
    ip_sum: u32,
    tcp_sum: u32,
}

impl Batch {
    fn new(path: FloodPath, target: SocketAddrV4) -> Batch {
        let blank = Packet::v4(Ipv4Addr::UNSPECIFIED, *target.ip()).tcp(0, target.port(), SYN);
        let frame = blank.macs(path.to_mac, path.from_mac).bytes();
        // A checksum is the complement of a sum; to go on with the sum it is taken back.
        let sum_at = |at: usize| u32::from(!u16::from_be_bytes([frame[at], frame[at + 1]]));
        let (ip_sum, tcp_sum) = (sum_at(IP_CHECKSUM), sum_at(TCP_CHECKSUM));
        Batch { frames: vec![frame; BATCH], random: SEED, ip_sum, tcp_sum }
    }

    /// Sends all frames, each from a new source. Returns how many the kernel took.
    fn send(&mut self, socket: &OwnedFd) -> Result<u64> {
        self.renew();
        send_frames(socket, &mut self.frames)
    }

    /// Gives each frame a new source.
    fn renew(&mut self) {
        for at in 0..self.frames.len() {
            let (source, port) = self.next_source();
            let addresses = (source >> 16) + (source & 0xffff);
            let frame = &mut self.frames[at];
            frame[IP_SOURCE..IP_SOURCE + 4].copy_from_slice(&source.to_be_bytes());
            frame[TCP_PORT..TCP_PORT + 2].copy_from_slice(&port.to_be_bytes());
            let ip_sum = fold(self.ip_sum + addresses);
            let tcp_sum = fold(self.tcp_sum + addresses + u32::from(port));
            frame[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&ip_sum.to_be_bytes());
            frame[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&tcp_sum.to_be_bytes());
        }
    }

    /// An xorshift generator (Marsaglia, 2003).
    fn next_source(&mut self) -> (u32, u16) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let address = FIRST_SOURCE + (self.random % SOURCES) as u32;
        let port = FIRST_PORT + (self.random >> 32) % (65_536 - FIRST_PORT);
        (address, port as u16)
    }
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn frames_of_the_flood_are_sound_and_come_from_different_sources() {
        let path = FloodPath { ifindex: 1, from_mac: [2; 6], to_mac: [4; 6] };
        let target = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 80);
        let mut batch = Batch::new(path, target);
        batch.renew();
        let mut sources = HashSet::new();
        for frame in &batch.frames {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| frame[IP_SOURCE + at]);
            let port = u16::from_be_bytes([frame[TCP_PORT], frame[TCP_PORT + 1]]);
            assert!(a == 198 && (18..20).contains(&b) && port >= 1024, "{a}.{b}.{c}.{d}:{port}");
            let packet = Packet::v4(Ipv4Addr::new(a, b, c, d), *target.ip()).tcp(port, target.port(), SYN);
            assert_eq!(*frame, packet.macs(path.to_mac, path.from_mac).bytes());
            sources.insert((a, b, c, d, port));
        }
        assert_eq!(sources.len(), BATCH);
    }
}
