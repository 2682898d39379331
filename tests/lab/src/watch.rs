//! Who owns a VIP, asked each millisecond from the client's side: who answers ARP for it, and which node forwards what is
//! sent to its very MAC address. Two at once is what must never be.

mod frames;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::namespace::Namespace;
use crate::realtime::{self, Rank};
use frames::{Mac, arp_answer, arp_question, datagram};

/// From one look to the next.
pub const WATCH_PERIOD: Duration = Duration::from_millis(1);
/// How long answers are awaited after the last look.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// A look is taken no more after so many: half an hour.
const MAX_LOOKS: usize = 1_800_000;
const MAX_FRAME: usize = 256;
/// The port that the client's datagrams come from.
const CLIENT_PORT: u16 = 6999;
/// Length of what a datagram says: the look's number and the node.
const PAYLOAD: usize = 5;

/// Whom to watch, and from where.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The VIP and the port of a UDP echo on it.
    pub service: SocketAddrV4,
    /// The MAC addresses of the two nodes.
    pub nodes: [Mac; 2],
    /// The address of the client.
    pub client: Ipv4Addr,
}

/// One look: the nodes that answered ARP, and those that forwarded. Bit 0 is the first node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Since the first look.
    pub at: Duration,
    /// The nodes that answered ARP for the VIP.
    pub answered: u8,
    /// The nodes that forwarded a datagram that was sent to their own MAC address.
    pub forwarded: u8,
}

/// Both nodes.
pub const BOTH: u8 = 0b11;

/// The watching thread. Dropped, it stops.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    began: Instant,
    thread: Option<JoinHandle<Result<Vec<Look>>>>,
}

/// What the thread is told, and what it tells.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The nodes that any look so far found to answer ARP.
    answered: AtomicU8,
    /// The same, to forward.
    forwarded: AtomicU8,
}

impl Watch {
    /// Starts to watch from a namespace's `eth0`.
    pub fn start(from: &Namespace, watched: Watched) -> Result<Watch> {
        let own = from.mac("eth0")?;
        let interface = from.ifindex("eth0")?;
        let packets = from.run(|| open_packet_socket(interface).context("cannot open a packet socket"))?;
        let datagrams = from.run(|| {
            let socket = UdpSocket::bind((watched.client, CLIENT_PORT)).context("cannot open a socket")?;
            socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
            Ok(socket)
        })?;
        let shared = Arc::new(Shared::default());
        let began = Instant::now();
        let watcher = Watcher { watched, own, packets, datagrams, looks: Vec::new(), began };
        let seen = shared.clone();
        Ok(Watch { shared, began, thread: Some(std::thread::spawn(move || watcher.run(&seen))) })
    }

    /// Whether a node, counted from 0, has been seen to answer ARP and to forward, by now.
    pub fn has_seen(&self, node: usize) -> bool {
        let seen = self.shared.answered.load(Ordering::Relaxed) & self.shared.forwarded.load(Ordering::Relaxed);
        seen & (1 << node) != 0
    }

    /// Since the first look: for comparison with [`Look::at`].
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends it, and returns all looks in order.
    pub fn stop(mut self) -> Result<Vec<Look>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the watch has been stopped before")?;
        thread.join().map_err(|_| anyhow!("the watching thread has panicked"))?
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The longest time in which every look found both nodes, by `nodes` of a look: from the first of these looks until the next
/// that did not. Zero when none did.
pub fn longest_both(looks: &[Look], nodes: impl Fn(&Look) -> u8) -> Duration {
    let (mut longest, mut began) = (Duration::ZERO, None);
    for (index, look) in looks.iter().enumerate() {
        if nodes(look) != BOTH {
            began = None;
            continue;
        }
        let start = *began.get_or_insert(look.at);
        let end = looks.get(index + 1).map_or(look.at + WATCH_PERIOD, |next| next.at);
        longest = longest.max(end.saturating_sub(start));
    }
    longest
}

struct Watcher {
    watched: Watched,
    own: Mac,
    packets: OwnedFd,
    datagrams: UdpSocket,
    looks: Vec<Look>,
    began: Instant,
}

impl Watcher {
    fn run(mut self, shared: &Shared) -> Result<Vec<Look>> {
        realtime::prefer(Rank::Probe);
        let mut next = Duration::ZERO;
        while !shared.stop.load(Ordering::Relaxed) {
            let now = self.began.elapsed();
            if now >= next {
                self.look(now)?;
                next = (next + WATCH_PERIOD).max(now);
            }
            self.listen(next.saturating_sub(now), shared);
        }
        let end = Instant::now() + LAST_ANSWERS;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.listen(left, shared);
        }
        Ok(self.looks)
    }

    fn look(&mut self, now: Duration) -> Result<()> {
        if self.looks.len() >= MAX_LOOKS {
            bail!("the watch was not stopped: {MAX_LOOKS} looks were taken");
        }
        let number = self.looks.len() as u32;
        self.looks.push(Look { at: now, answered: 0, forwarded: 0 });
        let vip = *self.watched.service.ip();
        self.send(&arp_question(number, self.own, vip));
        for (node, mac) in (0..).zip(self.watched.nodes) {
            let [a, b, c, d] = number.to_be_bytes();
            let client = SocketAddrV4::new(self.watched.client, CLIENT_PORT);
            self.send(&datagram(self.own, mac, client, self.watched.service, &[a, b, c, d, node]));
        }
        Ok(())
    }

    /// A frame that cannot be sent is a frame that is lost.
    fn send(&self, frame: &[u8]) {
        // SAFETY: the buffer is as long as told and outlives the call.
        unsafe { libc::send(self.packets.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    }

    fn listen(&mut self, limit: Duration, shared: &Shared) {
        let descriptors = [self.packets.as_raw_fd(), self.datagrams.as_raw_fd()];
        if !realtime::wait_readable(&descriptors, limit) {
            return;
        }
        shared.answered.fetch_or(self.hear_answers(), Ordering::Relaxed);
        shared.forwarded.fetch_or(self.hear_echoes(), Ordering::Relaxed);
    }

    /// The nodes whose answers have come in.
    fn hear_answers(&mut self) -> u8 {
        let (mut buffer, mut heard) = ([0_u8; MAX_FRAME], 0);
        loop {
            // SAFETY: the buffer is as long as told and outlives the call.
            let length = unsafe { libc::recv(self.packets.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(length) = usize::try_from(length) else { return heard };
            let newest = self.looks.len() as u32;
            let Some((number, who)) = arp_answer(&buffer[..length], *self.watched.service.ip(), newest) else {
                continue;
            };
            let node = self.watched.nodes.iter().position(|mac| *mac == who);
            if let (Some(look), Some(node)) = (self.looks.get_mut(number as usize), node) {
                look.answered |= 1 << node;
                heard |= 1 << node;
            }
        }
    }

    /// The nodes that have forwarded what is answered now.
    fn hear_echoes(&mut self) -> u8 {
        let (mut buffer, mut heard) = ([0_u8; MAX_FRAME], 0);
        while let Ok(length) = self.datagrams.recv(&mut buffer) {
            let Some([a, b, c, d, node]) = buffer[..length].last_chunk::<PAYLOAD>().copied() else { continue };
            let number = u32::from_be_bytes([a, b, c, d]);
            if let Some(look) = self.looks.get_mut(number as usize).filter(|_| node < 2) {
                look.forwarded |= 1 << node;
                heard |= 1 << node;
            }
        }
        heard
    }
}

/// A socket for ARP frames of one interface.
fn open_packet_socket(interface: u32) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ARP as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, protocol.into()) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is of the length told and outlives the call.
    let bound =
        unsafe { libc::bind(descriptor, (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) };
    if bound != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_at_once_is_a_time_and_one_after_the_other_is_none() {
        let look = |(at, answered)| Look { at: Duration::from_millis(at), answered, forwarded: 0 };
        let looks: Vec<Look> = (0..).zip([1, 1, 3, 1, 3, 3, 3, 2, 2]).map(look).collect();
        assert_eq!(longest_both(&looks, |look| look.answered), Duration::from_millis(3));
        assert_eq!(longest_both(&looks[..2], |look| look.answered), Duration::ZERO);
        assert_eq!(longest_both(&looks[2..3], |look| look.answered), WATCH_PERIOD);
        assert_eq!(longest_both(&looks, |look| look.forwarded), Duration::ZERO);
    }
}
