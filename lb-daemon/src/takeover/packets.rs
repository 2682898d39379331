//! A socket for whole frames of all interfaces (AF_PACKET). It is opened ahead and stays of use when interfaces come and go.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{LinkAddr, MsgFlags, SockaddrLike as _, sendto};
use socket2::{Domain, Socket, Type};

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
