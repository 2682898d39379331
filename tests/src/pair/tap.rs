//! The heartbeats on a wire, caught; and those that a third host would send.

use std::io::Read;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_lab::Namespace;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use crate::packet::Packet;

/// Where the nodes listen for each other.
const PORT: u16 = 6721;
/// The TTL that a heartbeat must come with.
pub const TTL: u8 = 255;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const MAX_FRAME: usize = 2048;
/// How long the next packet is awaited before the limit is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A heartbeat that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Who has sent it.
    pub from: Ipv4Addr,
    /// To whom.
    pub to: Ipv4Addr,
    /// What the datagram holds.
    pub frame: Vec<u8>,
}

/// A packet socket on an interface.
#[derive(Debug)]
pub struct Tap {
    socket: Socket,
}

impl Tap {
    /// Listens on an interface, to all that goes by it either way.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Tap> {
        let socket = packet_socket(namespace, interface)?;
        socket.set_read_timeout(Some(LOOK_AGAIN)).context("cannot set a time limit")?;
        Ok(Tap { socket })
    }

    /// Waits until so many heartbeats from a node have gone by, and returns them.
    pub fn catch(&self, count: usize, from: Ipv4Addr, limit: Duration) -> Result<Vec<Caught>> {
        let (mut caught, end) = (Vec::new(), Instant::now() + limit);
        let mut buffer = [0; MAX_FRAME];
        while caught.len() < count {
            ensure!(
                Instant::now() < end,
                "{} of {count} heartbeats from {from} have gone by in {limit:?}",
                caught.len()
            );
            let Ok(length) = (&self.socket).read(&mut buffer) else { continue };
            caught.extend(heartbeat_in(&buffer[..length]).filter(|caught| caught.from == from));
        }
        Ok(caught)
    }

    /// Sends a frame as it is.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        match self.socket.send(frame).context("cannot send a frame")? {
            sent if sent == frame.len() => Ok(()),
            sent => bail!("{sent} of {} bytes of a frame were sent", frame.len()),
        }
    }
}

/// A heartbeat in an Ethernet frame, as a host with the first MAC address would send it to one with the second.
pub fn heartbeat(caught: &Caught, ttl: u8, from_mac: [u8; 6], to_mac: [u8; 6]) -> Vec<u8> {
    let packet = Packet::v4(caught.from, caught.to).edit_v4(|ip| ip.ttl = ttl).udp(PORT, PORT);
    packet.data(&caught.frame).macs(to_mac, from_mac).bytes()
}

fn heartbeat_in(packet: &[u8]) -> Option<Caught> {
    let ip = packet.get(ETHERNET..)?;
    let (udp, frame) = (ip.get(IPV4..)?, ip.get(IPV4 + UDP..)?);
    let is_heartbeat = packet[12..14] == [8, 0] && ip[0] == 0x45 && ip[9] == 17 && udp[2..4] == PORT.to_be_bytes();
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
    is_heartbeat.then(|| Caught { from: address(12), to: address(16), frame: frame.to_vec() })
}

/// A socket for all that goes by an interface either way.
pub(super) fn packet_socket(namespace: &Namespace, interface: &str) -> Result<Socket> {
    let index = namespace.ifindex(interface)?;
    let open = || -> Result<Socket> {
        let every = libc::ETH_P_ALL.to_be() >> 16;
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(every)))?;
        socket.bind(&link_address(index))?;
        Ok(socket)
    };
    namespace.run(open).with_context(|| format!("cannot open a packet socket on {interface}"))
}

/// The address of an interface, for all protocols.
fn link_address(index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large enough for every kind of address, and sockaddr_ll is one.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    link.sll_ifindex = index as i32;
    // SAFETY: the storage holds an address of this length.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_found_in_its_packet() {
        let caught =
            Caught { from: Ipv4Addr::new(192, 0, 2, 2), to: Ipv4Addr::new(192, 0, 2, 3), frame: b"frame".to_vec() };
        let packet = heartbeat(&caught, TTL, [2; 6], [4; 6]);
        assert_eq!((&packet[..6], &packet[6..12], packet[22]), (&[4; 6][..], &[2; 6][..], TTL));
        assert_eq!(heartbeat_in(&packet), Some(caught));
        assert_eq!(heartbeat_in(&packet[..40]), None);
    }
}
