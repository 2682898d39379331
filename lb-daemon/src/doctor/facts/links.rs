//! The interfaces, by netlink, with what their drivers say of themselves.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp, XdpAttached};

use super::{Link, Xdp, ethtool};
use crate::dataplane;
use crate::forwarding::{self, Family};
use crate::source;

/// The kernel answers within microseconds; an answer that could not be read never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// All interfaces of this network namespace.
pub(super) async fn list() -> io::Result<Vec<Link>> {
    let (connection, handle, _unsolicited) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let all = tokio::time::timeout(ANSWER_LIMIT, handle.link().get().execute().try_collect::<Vec<_>>()).await;
    connection.abort();
    let messages = all.map_err(io::Error::other)?.map_err(io::Error::other)?;
    let mut addresses: HashMap<u32, Vec<IpAddr>> = HashMap::new();
    for own in source::own_addresses()? {
        addresses.entry(own.ifindex).or_default().push(own.address);
    }
    Ok(messages.iter().map(|message| link(message, &mut addresses)).collect())
}

/// The IPv4 networks that the interfaces have an address of: that address, and the mask.
pub(super) fn networks() -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let network = |entry: InterfaceAddress| {
        let (address, mask) = (entry.address?, entry.netmask?);
        Some((address.as_sockaddr_in()?.ip(), mask.as_sockaddr_in()?.ip()))
    };
    // Of none nothing is said.
    getifaddrs().map(|entries| entries.filter_map(network).collect()).unwrap_or_default()
}

fn link(message: &LinkMessage, addresses: &mut HashMap<u32, Vec<IpAddr>>) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        addresses: addresses.remove(&message.header.index).unwrap_or_default(),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Xdp(about) => link.xdp = xdp(about),
            _ => {}
        }
    }
    let driver = ethtool::look(&link.name);
    Link {
        driver: driver.name,
        lro: driver.lro,
        gro: driver.gro,
        receive_checksums: driver.receive_checksums,
        rp_filter: rp_filter(&link.name),
        forwards: [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| forwarding::is_on(&link.name, *family) == Some(true))
            .collect(),
        ..link
    }
}

fn xdp(about: &[LinkXdp]) -> Option<Xdp> {
    let id = about.iter().find_map(|one| match one {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    })?;
    let in_driver = about.iter().any(|one| matches!(one, LinkXdp::Attached(XdpAttached::Driver)));
    Some(Xdp { id, name: dataplane::program_name(id), in_driver })
}

/// The kernel takes the greater one.
fn rp_filter(interface: &str) -> u32 {
    let value = |place: &str| -> u32 {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{place}/rp_filter"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    value("all").max(value(interface))
}
