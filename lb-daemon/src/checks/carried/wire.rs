//! A packet socket: IP packets out to a next hop, and in what a filter lets through.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll};

use lb_core::table::NextHop;
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

use super::super::socket::PacketSocket;
use super::outer::Outer;

/// Bytes of the largest packet that comes in: segments may have been put together.
const MAX_PACKET: usize = 1 << 16;

/// One way out and in.
pub(super) struct Wire {
    socket: PacketSocket,
    to: SockAddr,
    outer: Option<Outer>,
}

impl Wire {
    /// Opens the way to a next hop, through a tunnel or not. `v4`: whether the packets are IPv4.
    pub(super) fn open(hop: &NextHop, v4: bool, outer: Option<Outer>, filter: &[SockFilter]) -> io::Result<Self> {
        // Without a protocol it hears nothing until it is bound, when its filter is in place.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(Protocol::from(0)))?;
        socket.attach_filter(filter)?;
        // The answer may come by any interface.
        socket.bind(&link_address(ethertype(v4), 0, [0; 6])?)?;
        let out_v4 = outer.map_or(v4, |outer| outer.is_v4());
        let to = link_address(ethertype(out_v4), hop.ifindex, hop.next_hop_mac)?;
        Ok(Self { socket: PacketSocket::new(socket, MAX_PACKET)?, to, outer })
    }

    /// Sends an IP packet. One for which there is no room just now is lost, as packets are.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        let sent = match &self.outer {
            Some(outer) => self.socket.send_to(&outer.wrap(packet), &self.to),
            None => self.socket.send_to(packet, &self.to),
        };
        match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            other => other,
        }
    }

    /// The next packet that has come.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        self.socket.poll_receive(cx)
    }
}

fn ethertype(v4: bool) -> u16 {
    (if v4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 }) as u16
}

fn link_address(protocol: u16, ifindex: u32, mac: [u8; 6]) -> io::Result<SockAddr> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    let mut address = [0; 8];
    address[..mac.len()].copy_from_slice(&mac);
    let link = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: ifindex,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: mac.len() as u8,
        sll_addr: address,
    };
    let write = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        // SAFETY: the storage is as large and as aligned as any kind of address needs, and the length is valid to write.
        unsafe {
            storage.cast::<libc::sockaddr_ll>().write(link);
            length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t);
        }
        Ok(())
    };
    // SAFETY: `write` fills the storage with an address of the length that it sets.
    unsafe { SockAddr::try_init(write) }.map(|((), address)| address)
}
