//! A path by datagrams: one socket on one interface, for one peer, one hop away.
//!
//! A datagram that has been forwarded has lost of its hop limit of 255, so that nobody beyond the link can speak for the peer.

#[cfg(test)]
mod tests;

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, RecvMsg, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::device::{Device, Heard, Sent, Watch};
use crate::config::UdpWay;
use crate::source;

/// The hop limit that is sent, and the only one that is taken.
const HOP_LIMIT: u32 = 255;
/// Traffic class CS6, network control: switches and queues let it pass first.
const TRAFFIC_CLASS: u32 = 0xc0;

/// The open socket.
pub(super) struct UdpPath {
    socket: Socket,
    /// Room for one control message, kept so that receiving takes no memory.
    control: Vec<u8>,
}

/// Looks whether the interface of an open socket is still the one that is configured.
pub(super) struct UdpWatch {
    interface: String,
    ifindex: u32,
}

/// Opens the socket of a path.
///
/// # Errors
/// The interface or the address is not there, the port is taken, or the peer's address is this host's. The text names it.
pub(super) fn open(way: &UdpWay) -> Result<(UdpPath, UdpWatch), String> {
    let ifindex = if_nametoindex(way.interface.as_str()).map_err(|_| missing(&way.interface))?;
    refuse_own(way.peer)?;
    let socket = socket(way).map_err(|error| describe(way, &error))?;
    let watch = UdpWatch { interface: way.interface.clone(), ifindex };
    Ok((UdpPath { socket, control: nix::cmsg_space!(i32) }, watch))
}

fn missing(interface: &str) -> String {
    format!("there is no interface {interface}, or it has another name now (`ip link` shows what there is)")
}

fn refuse_own(peer: SocketAddr) -> Result<(), String> {
    // Where the kernel does not list them, the key and the direction of each frame still tell.
    let own = source::own_addresses().unwrap_or_default();
    if own.iter().any(|own| own.address == peer.ip()) {
        return Err(format!("the peer's address {} is this host's own: `peer` names the other node", peer.ip()));
    }
    Ok(())
}

fn socket(way: &UdpWay) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(way.local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(way.interface.as_bytes()))?;
    if way.local.is_ipv4() {
        socket.set_ttl_v4(HOP_LIMIT)?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(HOP_LIMIT)?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&way.local.into())?;
    // The kernel then leaves out what others send, so that a flood of theirs takes no room of the peer's.
    socket.connect(&way.peer.into())?;
    Ok(socket)
}

fn describe(way: &UdpWay, error: &io::Error) -> String {
    let UdpWay { interface, local, peer } = way;
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!("{interface} has no address {}: add it", local.ip()),
        io::ErrorKind::AddrInUse => {
            format!("port {} of {} is taken: `ss -lunp` shows by whom", local.port(), local.ip())
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkDown => {
            format!("no way to {} by {interface}: {error}", peer.ip())
        }
        _ => format!("cannot open a socket from {local} to {peer} on {interface}: {error}"),
    }
}

impl Device for UdpPath {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<Sent> {
        // No buffer, no route, no carrier, nobody there: this frame is lost, and the next may not be. An interface that is
        // gone for good is for the watch to see.
        Ok(if self.socket.send(frame).is_ok() { Sent::Whole } else { Sent::Lost })
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        match recvmsg::<()>(fd, &mut parts, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
            Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => Ok(Heard::Garbage),
            Ok(message) if hop_limit(&message) != Some(HOP_LIMIT as i32) => Ok(Heard::Forwarded),
            Ok(message) => Ok(Heard::Frame(message.bytes)),
            Err(Errno::EAGAIN) => Ok(Heard::Nothing),
            // A signal; or what the network had to say about an earlier datagram of ours.
            Err(_) => Ok(Heard::Again),
        }
    }
}

fn hop_limit(message: &RecvMsg<'_, '_, ()>) -> Option<i32> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4Ttl(limit) | ControlMessageOwned::Ipv6HopLimit(limit) => Some(limit),
        _ => None,
    })
}

impl Watch for UdpWatch {
    fn stale(&self) -> Option<String> {
        match if_nametoindex(self.interface.as_str()) {
            Ok(ifindex) if ifindex == self.ifindex => None,
            Ok(_) => Some(format!("{} is another interface now", self.interface)),
            Err(_) => Some(missing(&self.interface)),
        }
    }
}
