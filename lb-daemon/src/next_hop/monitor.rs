//! Hears from the kernel what changes: neighbours, routes, rules, links and addresses.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};

use super::decide::NeighbourKey;

/// Bytes of news that the kernel holds for us; what does not fit costs a look at everything.
const RECEIVE_BUFFER: i32 = 1 << 20;

const GROUPS: [MulticastGroup; 9] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A neighbour entry.
    Neighbour(NeighbourKey),
    /// A route for these addresses.
    Route { prefix: IpAddr, length: u8 },
    /// An interface, by index.
    Link(u32),
    /// An address of an interface.
    Address(u32),
    /// Perhaps everything: rules, next-hop objects, or news that was lost or not understood.
    Everything,
}

/// The socket that the kernel's news comes in by.
pub(super) struct Monitor {
    socket: TokioSocket,
    heard: VecDeque<Event>,
}

impl Monitor {
    /// Begins to listen, in the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.socket_ref().add_membership(group as u32)?;
        }
        Ok(Self { socket, heard: VecDeque::new() })
    }

    /// Waits for the next change. Nothing is lost when the wait is cut off.
    ///
    /// # Errors
    ///
    /// The socket is of no use any more: open another and look at everything.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Ok(event);
            }
            match poll_fn(|context| self.socket.poll_recv_from_full(context)).await {
                // Only the kernel has port 0.
                Ok((datagram, sender)) if sender.port_number() == 0 => self.heard.extend(events(&datagram)),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Event::Everything),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The events in one datagram.
fn events(mut datagram: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !datagram.is_empty() {
        let length = match NetlinkBuffer::new_checked(datagram) {
            Ok(message) => message.length() as usize,
            Err(_) => {
                events.push(Event::Everything);
                break;
            }
        };
        let (message, rest) = datagram.split_at(length);
        events.extend(event(message));
        // Messages are aligned to four bytes.
        datagram = rest.get(length.wrapping_neg() % 4..).unwrap_or_default();
    }
    events
}

/// What a message says, if it matters here.
fn event(message: &[u8]) -> Option<Event> {
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else {
        return Some(Event::Everything);
    };
    let NetlinkPayload::InnerMessage(message) = message.payload else { return None };
    match message {
        RouteNetlinkMessage::NewNeighbour(neighbour) | RouteNetlinkMessage::DelNeighbour(neighbour) => {
            neighbour_key(&neighbour).map(Event::Neighbour)
        }
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => route_prefix(&route),
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => Some(Event::Link(link.header.index)),
        RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
            Some(Event::Address(address.header.index))
        }
        _ => Some(Event::Everything),
    }
}

fn neighbour_key(message: &NeighbourMessage) -> Option<NeighbourKey> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    Some(NeighbourKey { ifindex: message.header.ifindex, address })
}

/// A default route names no destination.
fn route_prefix(message: &RouteMessage) -> Option<Event> {
    let default = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    Some(Event::Route { prefix: destination.unwrap_or(default), length: message.header.destination_prefix_length })
}

#[cfg(test)]
mod tests;
