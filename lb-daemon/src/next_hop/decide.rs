//! From what the kernel says of a route, a link and a neighbour to the next hop of a real. Pure: nothing here asks
//! the kernel, and no clock is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NextHop;

/// A real whose next hop is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The real's name.
    pub real: String,
    /// The real's address.
    pub address: IpAddr,
    /// A service in a tunnel mode uses the real, and no source is configured: its next hop is of use only with a source
    /// address of this host.
    pub needs_tunnel: bool,
    /// A service of mode `dsr` uses the real: it must be on the same link, not behind a gateway.
    pub needs_same_link: bool,
    /// The next hop that is in use already (a daemon that adopts maps finds it there). It stays in use until another
    /// is found.
    pub known: Option<NextHop>,
}

/// The neighbour that frames for a real are sent to: the real itself, or a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeighbourKey {
    /// The interface.
    pub ifindex: u32,
    /// The neighbour's address on that interface.
    pub address: IpAddr,
}

/// What the kernel's route lookup said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There is a way.
    Unicast(Route),
    /// The address is one of this host's own.
    Local,
    /// The address is no unicast address here: a broadcast or multicast address.
    NotUnicast,
    /// No route covers the address.
    NoRoute,
    /// A blackhole, unreachable or prohibit route covers the address.
    Refused,
}

/// A way to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface that packets leave by.
    pub ifindex: u32,
    /// The gateway; none for an address on the link itself. May be of the other family.
    pub gateway: Option<IpAddr>,
    /// The source address that the kernel chooses for packets of its own.
    pub source: Option<IpAddr>,
    /// The MTU of the route, in bytes, where it has one of its own.
    pub mtu: Option<u32>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its kind (`veth`, `vlan`, ...); none for a physical one.
    pub kind: Option<String>,
    /// Its MAC address; none where it is no Ethernet interface.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// It is set up.
    pub up: bool,
    /// It has a carrier.
    pub carrier: bool,
}

/// How far the kernel trusts its neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Usable, and the kernel needs no help: reachable, permanent, or being confirmed at this moment.
    Fresh,
    /// Usable, and not confirmed lately. XDP traffic confirms nothing, so the kernel must be asked to.
    Stale,
    /// Being asked for the first time.
    Incomplete,
    /// Did not answer.
    Failed,
}

/// A neighbour entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// How far the kernel trusts it.
    pub state: NeighbourState,
    /// Its MAC address, where one is known.
    pub mac: Option<[u8; 6]>,
}

/// What the kernel says of the way to one address at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The route lookup.
    pub route: Lookup,
    /// The route's interface; none when it is gone.
    pub link: Option<Link>,
    /// The entry of the gateway, or of the address itself.
    pub neighbour: Option<Neighbour>,
}

/// What the kernel should be asked to do about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// Confirm an entry that is usable, now and then.
    Confirm,
    /// Find the neighbour.
    Resolve,
}

/// What follows from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The next hop, when everything about it is known.
    pub next_hop: Option<NextHop>,
    /// A next hop known from before must not be used any more.
    pub forget: bool,
    /// What an operator should know; empty when all is well.
    pub note: String,
    /// The neighbour that the way leads to.
    pub neighbour: Option<NeighbourKey>,
    /// What the kernel should be asked to do about it.
    pub ask: Ask,
    /// The neighbour has not answered.
    pub silent: bool,
}

/// Decides the next hop of a real. `was_silent` says that the same neighbour did not answer before: it is then said
/// to be silent, not waited for, until it answers.
#[must_use]
pub fn decide(watch: &Watch, snapshot: &Snapshot, was_silent: bool) -> Decision {
    let route = match &snapshot.route {
        Lookup::Unicast(route) => route,
        other => return no_way(watch.address, other),
    };
    let key = NeighbourKey { ifindex: route.ifindex, address: route.gateway.unwrap_or(watch.address) };
    let unresolved = |note: String| Decision {
        next_hop: None,
        forget: false,
        note,
        neighbour: Some(key),
        ask: Ask::Nothing,
        silent: false,
    };
    let Some(link) = &snapshot.link else {
        return unresolved(format!("the interface of the route to {} is gone", watch.address));
    };
    let source_mac = match usable_link(link) {
        Ok(mac) => mac,
        Err(note) => return unresolved(note),
    };
    let tunnel_source = match tunnel_source(watch, route, link) {
        Ok(address) => address,
        Err(note) => return unresolved(note),
    };
    let Some((next_hop_mac, state)) = usable_neighbour(snapshot.neighbour.as_ref()) else {
        let failed = snapshot.neighbour.as_ref().is_some_and(|n| n.state == NeighbourState::Failed);
        let silent = failed || was_silent;
        let note = no_answer(key.address, route.gateway.is_some(), &link.name, silent);
        return Decision { ask: Ask::Resolve, silent, ..unresolved(note) };
    };
    let mtu = route.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu));
    Decision {
        next_hop: Some(NextHop { ifindex: route.ifindex, next_hop_mac, source_mac, tunnel_source, mtu }),
        forget: false,
        note: cautions(watch, route, link),
        neighbour: Some(key),
        ask: if state == NeighbourState::Stale { Ask::Confirm } else { Ask::Nothing },
        silent: false,
    }
}

/// There is no way to the address that a packet could take.
fn no_way(address: IpAddr, lookup: &Lookup) -> Decision {
    let (ip, length) = match address {
        IpAddr::V4(_) => ("ip", 32),
        IpAddr::V6(_) => ("ip -6", 128),
    };
    let note = match lookup {
        Lookup::Local => format!("{address} is an address of this host: a real must be another host"),
        Lookup::NotUnicast => format!("{address} is a broadcast or multicast address: a real needs one of its own"),
        Lookup::Refused => {
            format!("the route to {address} refuses packets: replace it ({ip} route get {address} shows it)")
        }
        Lookup::NoRoute | Lookup::Unicast(_) => {
            format!("no route to {address}: {ip} route add {address}/{length} dev INTERFACE (or: via GATEWAY)")
        }
    };
    let forget = matches!(lookup, Lookup::Local | Lookup::NotUnicast);
    Decision { next_hop: None, forget, note, neighbour: None, ask: Ask::Nothing, silent: false }
}

/// The MAC address to send from, or why the interface cannot be used.
fn usable_link(link: &Link) -> Result<[u8; 6], String> {
    let name = &link.name;
    if !link.up {
        return Err(format!("{name} is down: ip link set {name} up"));
    }
    if !link.carrier {
        return Err(format!("{name} has no carrier: check its cable or its far end"));
    }
    link.mac.ok_or_else(|| {
        let kind = link.kind.as_deref().unwrap_or("other");
        format!("{name} (kind {kind}) is no Ethernet interface: a real must be reached through one")
    })
}

/// The source of tunnel packets. The unspecified address where none is needed and none is known.
fn tunnel_source(watch: &Watch, route: &Route, link: &Link) -> Result<IpAddr, String> {
    let (family, none) = match watch.address {
        IpAddr::V4(_) => ("IPv4", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(_) => ("IPv6", IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let usable = |source: &IpAddr| {
        source.is_ipv4() == watch.address.is_ipv4()
            && !source.is_unspecified()
            && (!is_link_local(source) || is_link_local(&watch.address))
    };
    match route.source.filter(usable) {
        Some(source) => Ok(source),
        None if watch.needs_tunnel => Err(format!(
            "no {family} address to send tunnel packets from: ip addr add ADDRESS/LENGTH dev {}",
            link.name
        )),
        None => Ok(none),
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The MAC address of a neighbour that can be sent to, and how far it is trusted.
fn usable_neighbour(neighbour: Option<&Neighbour>) -> Option<([u8; 6], NeighbourState)> {
    let neighbour = neighbour?;
    match neighbour.state {
        NeighbourState::Fresh | NeighbourState::Stale => neighbour.mac.map(|mac| (mac, neighbour.state)),
        NeighbourState::Incomplete | NeighbourState::Failed => None,
    }
}

fn no_answer(neighbour: IpAddr, is_gateway: bool, interface: &str, silent: bool) -> String {
    let protocol = if neighbour.is_ipv4() { "ARP" } else { "ND" };
    let who = if is_gateway { format!("the gateway {neighbour}") } else { neighbour.to_string() };
    if silent {
        format!("no {protocol} answer from {who} on {interface}: check that it is up and on that link")
    } else {
        format!("waiting for an {protocol} answer from {who} on {interface}")
    }
}

/// What may go wrong although the next hop is known.
fn cautions(watch: &Watch, route: &Route, link: &Link) -> String {
    let mut notes = Vec::new();
    if let (true, Some(gateway)) = (watch.needs_same_link, route.gateway) {
        notes.push(format!(
            "behind the gateway {gateway}: mode dsr needs the real on the same link, or use mode ipip or gue"
        ));
    }
    if let Some(kind) = link.kind.as_deref().filter(|kind| KINDS_WITHOUT_XDP_SEND.contains(kind)) {
        notes.push(format!("{} is of kind {kind}, to which XDP can redirect in attach mode generic only", link.name));
    }
    notes.join("; ")
}

/// Kinds of link that cannot send the frames of another interface's driver-mode XDP program.
const KINDS_WITHOUT_XDP_SEND: [&str; 6] = ["vlan", "bridge", "macvlan", "dummy", "vxlan", "team"];

#[cfg(test)]
mod tests;
