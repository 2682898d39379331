//! Asks the kernel, by netlink: for the way to an address, and to find or confirm a neighbour.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rtnetlink::Handle;
use rtnetlink::packet_core::{ErrorMessage, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage, neighbour::NeighbourState as Nud};
use tokio::task::JoinHandle;

use super::decide::{Link, Lookup, Neighbour, NeighbourKey, NeighbourState, Route, Snapshot};

/// The kernel answers within microseconds; an answer that could not be read never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Why the kernel did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelError {
    /// The kernel refused the request.
    #[error("{request}: {source}")]
    Refused { request: &'static str, source: io::Error },
    /// The socket is closed, or an answer did not come or could not be read: another connection is needed.
    #[error("{request}: no answer over netlink")]
    Lost { request: &'static str },
}

/// A netlink socket for requests.
pub(super) struct Kernel {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Kernel {
    /// Connects, in the network namespace of the calling thread.
    pub(super) fn connect() -> io::Result<Self> {
        let (connection, handle, _unsolicited) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Everything that decides the next hop of an address.
    pub(super) async fn snapshot(&self, address: IpAddr) -> Result<Snapshot, KernelError> {
        let lookup = self.route(address).await?;
        let Lookup::Unicast(route) = &lookup else {
            return Ok(Snapshot { route: lookup, link: None, neighbour: None });
        };
        let key = NeighbourKey { ifindex: route.ifindex, address: route.gateway.unwrap_or(address) };
        let link = self.link(key.ifindex).await?;
        let neighbour = if link.is_some() { self.neighbour(key).await? } else { None };
        Ok(Snapshot { route: lookup, link, neighbour })
    }

    /// Has the kernel find a neighbour, or confirm what it knows of one. The answer comes as a neighbour event.
    ///
    /// An entry that is permanent must not be asked for: the kernel would take that from it.
    pub(super) async fn ask(&self, key: NeighbourKey) -> Result<(), KernelError> {
        let add = self.handle.neighbours().add(key.ifindex, key.address);
        let request = add.state(Nud::None).flags(NeighbourFlags::Use).replace().execute();
        match tokio::time::timeout(ANSWER_LIMIT, request).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(rtnetlink::Error::NetlinkError(message))) => Err(refused("neighbour request", &message)),
            Ok(Err(_)) | Err(_) => Err(KernelError::Lost { request: "neighbour request" }),
        }
    }

    async fn route(&self, address: IpAddr) -> Result<Lookup, KernelError> {
        let mut request = RouteMessage::default();
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        request.header.address_family = family(address);
        request.header.destination_prefix_length = length;
        request.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
        let answers = self.handle.route().get(request).execute();
        match first("route lookup", answers).await {
            Ok(Some(message)) => Ok(lookup(&message)),
            Ok(None) => Ok(Lookup::NoRoute),
            Err(KernelError::Refused { request, source }) => match source.raw_os_error() {
                Some(libc::ENETUNREACH | libc::ESRCH | libc::ENONET | libc::ENODEV) => Ok(Lookup::NoRoute),
                Some(libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => Ok(Lookup::Refused),
                _ => Err(KernelError::Refused { request, source }),
            },
            Err(lost) => Err(lost),
        }
    }

    async fn link(&self, ifindex: u32) -> Result<Option<Link>, KernelError> {
        let answers = self.handle.link().get().match_index(ifindex).execute();
        match first("link lookup", answers).await {
            Ok(message) => Ok(message.map(|message| link(&message))),
            Err(KernelError::Refused { source, .. }) if source.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn neighbour(&self, key: NeighbourKey) -> Result<Option<Neighbour>, KernelError> {
        let mut request = NeighbourMessage::default();
        request.header.family = family(key.address);
        request.header.ifindex = key.ifindex;
        request.attributes.push(NeighbourAttribute::Destination(key.address.into()));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(request));
        request.header.flags = NLM_F_REQUEST;
        let name = "neighbour lookup";
        let answers = self.handle.clone().request(request).map_err(|_| KernelError::Lost { request: name })?;
        match answer(name, pin!(answers).next()).await?.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) => Ok(Some(neighbour(&message))),
            NetlinkPayload::Error(message) => match refused(name, &message) {
                KernelError::Refused { source, .. } if source.raw_os_error() == Some(libc::ENOENT) => Ok(None),
                error => Err(error),
            },
            _ => Err(KernelError::Lost { request: name }),
        }
    }
}

/// The first answer of a request that has at most one.
async fn first<T>(
    request: &'static str,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Option<T>, KernelError> {
    match tokio::time::timeout(ANSWER_LIMIT, pin!(answers).next()).await {
        Ok(Some(Ok(message))) => Ok(Some(message)),
        Ok(Some(Err(rtnetlink::Error::NetlinkError(message)))) => Err(refused(request, &message)),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) | Err(_) => Err(KernelError::Lost { request }),
    }
}

/// An answer that must come.
async fn answer<T>(request: &'static str, answer: impl Future<Output = Option<T>>) -> Result<T, KernelError> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(_) => Err(KernelError::Lost { request }),
    }
}

fn refused(request: &'static str, message: &ErrorMessage) -> KernelError {
    KernelError::Refused { request, source: message.to_io() }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn lookup(message: &RouteMessage) -> Lookup {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local | RouteType::Anycast => return Lookup::Local,
        RouteType::Broadcast | RouteType::Multicast => return Lookup::NotUnicast,
        _ => return Lookup::Refused,
    }
    let mut route = Route { ifindex: 0, gateway: None, source: None, mtu: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => route.ifindex = *ifindex,
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some(IpAddr::V4(*address)),
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.gateway = Some(IpAddr::V6(*address)),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(metrics),
            _ => {}
        }
    }
    if route.ifindex == 0 { Lookup::NoRoute } else { Lookup::Unicast(route) }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
        _ => None,
    })
}

fn link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        name: format!("interface {}", message.header.index),
        kind: None,
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
    };
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(address) if ethernet => link.mac = mac(address),
            LinkAttribute::LinkInfo(infos) => link.kind = kind(infos),
            _ => {}
        }
    }
    link
}

fn kind(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

fn neighbour(message: &NeighbourMessage) -> Neighbour {
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(address) => mac(address),
        _ => None,
    });
    let state = match message.header.state {
        Nud::Reachable | Nud::Permanent | Nud::Noarp | Nud::Delay | Nud::Probe => NeighbourState::Fresh,
        Nud::Stale => NeighbourState::Stale,
        Nud::Failed => NeighbourState::Failed,
        _ => NeighbourState::Incomplete,
    };
    Neighbour { state, mac }
}

/// A MAC address that a frame can be sent to or from.
fn mac(bytes: &[u8]) -> Option<[u8; 6]> {
    let mac: [u8; 6] = bytes.try_into().ok()?;
    let group = mac[0] & 1 != 0;
    (!group && mac != [0; 6]).then_some(mac)
}
