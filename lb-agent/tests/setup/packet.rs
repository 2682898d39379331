//! Packets made and read by hand: what comes out of a tunnel, and what a server answers.

use std::fs::File;
use std::io::{Error, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lb_lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

const TCP: u8 = 6;
const PROTOCOL_IPV4: i32 = 4;
/// Of linux/udp.h.
const UDP_NO_CHECK6_TX: libc::c_int = 101;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
/// The TCP option that says the largest segment.
const MAX_SEGMENT: u8 = 2;

/// A tunnel interface whose packets come from here.
pub struct Tunnel(File);

impl Tunnel {
    /// Makes the interface `name`, which lives as long as this does.
    pub fn new(namespace: &Namespace, name: &str) -> Result<Tunnel> {
        namespace.run(|| {
            let file =
                File::options().read(true).write(true).open("/dev/net/tun").context("cannot open /dev/net/tun")?;
            let request = request(name);
            // SAFETY: the descriptor is open, and the structure is what this request takes and outlives the call.
            let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &request) };
            ensure!(made == 0, "cannot make a tunnel: {}", Error::last_os_error());
            Ok(Tunnel(file))
        })
    }

    /// Lets a SYN come out of the tunnel that offers the client's largest segments.
    pub fn syn(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> Result<()> {
        self.0.write_all(&syn(from, to)).context("cannot send into the tunnel")
    }
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: all bytes of the structure may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    request
}

/// An IPv4 packet with a SYN that offers the client's largest segments.
pub fn syn(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let mut tcp = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 6 << 4, SYN, 0xff, 0xff, 0, 0, 0, 0, MAX_SEGMENT, 4, 0x05, 0xb4]);
    let pseudo = [from.ip().octets(), to.ip().octets(), [0, TCP, 0, tcp.len() as u8]].concat();
    let sum = internet_checksum(&[pseudo, tcp.clone()].concat());
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 1, 0x40, 0, 64, TCP, 0, 0];
    ip.extend(from.ip().octets().into_iter().chain(to.ip().octets()));
    let sum = internet_checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip.extend(tcp);
    ip
}

fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends packets in outer headers from a namespace.
pub struct Sender {
    /// The kernel writes the outer IP header: protocol 4 follows.
    ipip: Socket,
    gue: UdpSocket,
    gue6: UdpSocket,
}

impl Sender {
    pub fn new(namespace: &Namespace) -> Result<Sender> {
        namespace.run(|| {
            let ipip = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL_IPV4)))?;
            let gue = UdpSocket::bind("0.0.0.0:0")?;
            // As load balancers send: without a checksum.
            allow(&gue, libc::SOL_SOCKET, libc::SO_NO_CHECK)?;
            let gue6 = UdpSocket::bind("[::]:0")?;
            allow(&gue6, libc::IPPROTO_UDP, UDP_NO_CHECK6_TX)?;
            Ok(Sender { ipip, gue, gue6 })
        })
    }

    /// In an outer IPv4 header.
    pub fn ipip(&self, to: Ipv4Addr, packet: &[u8]) -> Result<()> {
        self.ipip.send_to(packet, &SocketAddrV4::new(to, 0).into())?;
        Ok(())
    }

    /// In an outer IP and a UDP header.
    pub fn gue(&self, to: SocketAddr, packet: &[u8]) -> Result<()> {
        let socket = if to.is_ipv4() { &self.gue } else { &self.gue6 };
        socket.send_to(packet, to)?;
        Ok(())
    }
}

fn allow(socket: &UdpSocket, level: libc::c_int, option: libc::c_int) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the value is of the size that is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of_val(&on) as libc::socklen_t)
    };
    ensure!(result == 0, "cannot set a socket option: {}", Error::last_os_error());
    Ok(())
}

/// Sees every TCP packet that a namespace gets.
pub struct Ear(UdpSocket);

impl Ear {
    pub fn new(namespace: &Namespace) -> Result<Ear> {
        namespace.run(|| {
            // SAFETY: socket takes no pointers.
            let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_TCP) };
            ensure!(socket >= 0, "cannot open a raw socket: {}", Error::last_os_error());
            // SAFETY: the descriptor was just opened and belongs to nobody else.
            Ok(Ear(UdpSocket::from(unsafe { OwnedFd::from_raw_fd(socket) })))
        })
    }

    /// The largest segment that the next SYN-ACK from an address to a port offers, in bytes.
    pub fn offered(&self, from: Ipv4Addr, to: u16, limit: Duration) -> Result<u16> {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no SYN-ACK from {from} has come");
            self.0.set_read_timeout(Some(left))?;
            let Ok(length) = self.0.recv(&mut buffer) else { continue };
            let packet = &buffer[..length];
            let meant = packet.get(12..16) == Some(&from.octets()) && packet.get(22..24) == Some(&to.to_be_bytes());
            if meant && packet.get(33) == Some(&SYN_ACK) {
                return max_segment(packet);
            }
        }
    }
}

fn max_segment(packet: &[u8]) -> Result<u16> {
    let mut options = packet.get(40..).unwrap_or_default();
    while let [kind, length, rest @ ..] = options {
        match (*kind, rest) {
            (MAX_SEGMENT, [high, low, ..]) => return Ok(u16::from_be_bytes([*high, *low])),
            (0 | 1, _) => options = &options[1..],
            _ => options = options.get(usize::from(*length).max(1)..).unwrap_or_default(),
        }
    }
    bail!("no largest segment is offered")
}
