//! The sockets that reports come in by.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// How much may wait for the thread in the kernel, in bytes: some thousand datagrams.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that does not block, bound to the address. One of IPv6 is for IPv6 alone, so that `0.0.0.0` and `[::]` may
/// both have the same port.
pub(super) fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Only root may go beyond net.core.rmem_max; others get what that allows.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn both_families_may_have_one_port() {
        let six = open("[::]:0".parse().unwrap()).unwrap();
        let port = six.local_addr().unwrap().port();
        let four = open(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        assert_eq!(four.local_addr().unwrap().port(), port);
        assert!(SockRef::from(&six).only_v6().unwrap());
    }

    #[test]
    fn nobody_else_may_have_the_port() {
        let first = open("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = open(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn much_may_wait_in_the_kernel() {
        let socket = open("127.0.0.1:0".parse().unwrap()).unwrap();
        let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
        let size = |socket| SockRef::from(socket).recv_buffer_size().unwrap();
        let least = if nix::unistd::geteuid().is_root() { RECEIVE_BUFFER } else { size(&plain) + 1 };
        assert!(size(&socket) >= least, "{} bytes", size(&socket));
    }
}
