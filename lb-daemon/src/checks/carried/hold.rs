//! A port that the kernel holds for a probe, and on which it neither takes nor refuses anything.

use std::io;
use std::net::{IpAddr, SocketAddr};

use lb_core::service::Protocol;
use socket2::{Domain, Socket, Type};

use super::filter;

/// A port of this host, held until this is dropped.
pub(super) struct Held {
    _socket: Socket,
    port: u16,
}

impl Held {
    /// Takes a free port of an address of this host.
    pub(super) fn new(protocol: Protocol, address: IpAddr) -> io::Result<Self> {
        let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let socket = Socket::new(Domain::for_address(SocketAddr::new(address, 0)), kind, None)?;
        // Before it has a port: a listener without the filter would answer the real's SYN-ACK with a RST.
        socket.attach_filter(&filter::nothing())?;
        socket.bind(&SocketAddr::new(address, 0).into())?;
        if protocol == Protocol::Tcp {
            socket.listen(1)?;
        }
        let bound = socket.local_addr()?.as_socket();
        let port = bound.ok_or_else(|| io::Error::other("the socket has no port"))?.port();
        Ok(Self { _socket: socket, port })
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}
