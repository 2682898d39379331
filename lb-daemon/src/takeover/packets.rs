//! Sockets for whole frames of all interfaces (AF_PACKET). They are opened ahead and stay of use when interfaces come and go.

use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{LinkAddr, MsgFlags, SockaddrLike as _, recvfrom, sendto};
use socket2::{Domain, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::frames::{Claim, claim};

/// Bytes of the largest frame that is looked at: ARP and neighbour discovery are far shorter.
const MAX_FRAME: usize = 512;
/// The most addresses that the kernel picks frames by. With more of one family they are picked here.
const MAX_PICKED: usize = 1000;

/// Where the sender's address is in an ARP frame.
const ARP_SENDER: u32 = 28;
/// Where the next header, the ICMPv6 type, and the last four bytes of the target are in an advertisement.
const IPV6_NEXT_HEADER: u32 = 20;
const ICMPV6_TYPE: u32 = 54;
const NDP_TARGET_END: u32 = 74;
const ICMPV6: u32 = 58;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;

/// Sends frames, and takes none.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: Socket,
}

impl Sender {
    /// Opens the socket, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The process may not (CAP_NET_RAW).
    pub(crate) fn open() -> io::Result<Self> {
        // Without a protocol it takes no frames.
        Ok(Self { socket: Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)? })
    }

    /// Sends a frame out of an interface, or says why it cannot be sent.
    ///
    /// # Errors
    /// The interface is down or gone, or has no room.
    pub(crate) fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let to = link_address(ifindex, 0)?;
        sendto(self.socket.as_raw_fd(), frame, &to, MsgFlags::empty())?;
        Ok(())
    }
}

fn link_address(ifindex: u32, protocol: u16) -> io::Result<LinkAddr> {
    // SAFETY: all bits zero are a valid sockaddr_ll.
    let mut raw: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    raw.sll_family = libc::AF_PACKET as u16;
    raw.sll_protocol = protocol.to_be();
    raw.sll_ifindex = ifindex as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a whole sockaddr_ll of that length, whose family says so.
    let address = unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) };
    address.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// A claim that has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ifindex: u32,
    pub(crate) claim: Claim,
}

/// Hears who claims one of some addresses. The kernel throws away all other frames, so a busy link costs nothing.
#[derive(Debug)]
pub(crate) struct Listener {
    arp: AsyncFd<Socket>,
    ipv6: AsyncFd<Socket>,
    addresses: Vec<IpAddr>,
}

impl Listener {
    /// Begins to listen on all interfaces, in the network namespace of the calling thread. Must be called inside the runtime.
    ///
    /// # Errors
    /// The process may not (CAP_NET_RAW).
    pub(crate) fn open(addresses: &[IpAddr]) -> io::Result<Self> {
        let arp = listening(libc::ETH_P_ARP, &arp_filter(addresses))?;
        let ipv6 = listening(libc::ETH_P_IPV6, &advertisement_filter(addresses))?;
        Ok(Self { arp, ipv6, addresses: addresses.to_vec() })
    }

    /// The next claim of one of the addresses. Nothing is lost when the wait is cut off.
    ///
    /// # Errors
    /// A socket is of no use any more.
    pub(crate) async fn next(&self) -> io::Result<Heard> {
        loop {
            let heard = tokio::select! {
                heard = receive(&self.arp) => heard?,
                heard = receive(&self.ipv6) => heard?,
            };
            if let Some(heard) = heard.filter(|heard| self.addresses.contains(&heard.claim.address)) {
                return Ok(heard);
            }
        }
    }
}

/// One frame; none where it claims nothing.
async fn receive(socket: &AsyncFd<Socket>) -> io::Result<Option<Heard>> {
    let mut buffer = [0; MAX_FRAME];
    loop {
        let mut ready = socket.readable().await?;
        let received = ready.try_io(|socket| Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer)?));
        let Ok(received) = received else { continue };
        return match received {
            Ok((length, from)) => Ok(heard(&buffer[..length.min(MAX_FRAME)], from)),
            // The interface has just gone down; the others go on.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(None),
            Err(error) => Err(error),
        };
    }
}

fn heard(frame: &[u8], from: Option<LinkAddr>) -> Option<Heard> {
    let ifindex = u32::try_from(from?.ifindex()).ok()?;
    Some(Heard { ifindex, claim: claim(frame)? })
}

/// A socket for frames of one protocol that pass the filter.
fn listening(protocol: i32, filter: &[SockFilter]) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    socket.attach_filter(filter)?;
    // With the filter in place no other frame ever comes in.
    let protocol = u16::try_from(protocol).map_err(io::Error::other)?;
    nix::sys::socket::bind(socket.as_raw_fd(), &link_address(0, protocol)?)?;
    // SAFETY: the socket owns its descriptor, and is neither closed nor replaced while it is in the AsyncFd.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}

fn arp_filter(addresses: &[IpAddr]) -> Vec<SockFilter> {
    let words: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        })
        .collect();
    pick(vec![load_word(ARP_SENDER)], &words)
}

fn advertisement_filter(addresses: &[IpAddr]) -> Vec<SockFilter> {
    let words: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V6(v6) => Some(v6.to_bits() as u32),
            IpAddr::V4(_) => None,
        })
        .collect();
    let begin = vec![
        load_byte(IPV6_NEXT_HEADER),
        skip_unless_differs(ICMPV6),
        take(0),
        load_byte(ICMPV6_TYPE),
        skip_unless_differs(NEIGHBOUR_ADVERTISEMENT),
        take(0),
        load_word(NDP_TARGET_END),
    ];
    pick(begin, &words)
}

/// Ends a filter: takes frames whose loaded word is one of these.
fn pick(mut filter: Vec<SockFilter>, words: &[u32]) -> Vec<SockFilter> {
    if words.len() > MAX_PICKED {
        filter.push(take(MAX_FRAME as u32));
        return filter;
    }
    for word in words {
        filter.push(jump_if_equal(*word, 0, 1));
        filter.push(take(MAX_FRAME as u32));
    }
    filter.push(take(0));
    filter
}

fn load_byte(at: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, at)
}

fn load_word(at: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, at)
}

/// Skips the next instruction where the loaded value is this one.
fn skip_unless_differs(value: u32) -> SockFilter {
    jump_if_equal(value, 1, 0)
}

fn jump_if_equal(value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, then, otherwise, value)
}

/// Ends with so many bytes of the frame; 0 throws it away.
fn take(bytes: u32) -> SockFilter {
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes)
}
