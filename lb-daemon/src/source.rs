//! The addresses of this host, and which of them packets of its own come from. The kernel's choice may be a VIP, above all in
//! IPv6; and an answer to a VIP never comes back: real servers keep it for themselves.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage};
use tokio::net::{TcpSocket, TcpStream};

/// Any port will do: nothing is sent.
const SOME_PORT: u16 = 9;

/// An address of this host.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The address.
    pub address: IpAddr,
    /// Index of its interface.
    pub ifindex: u32,
    /// It has no network. So VIPs are given to a host.
    pub lone: bool,
}

/// The address to bind a socket to that asks `to`, with any port: unspecified where the kernel chooses well.
#[must_use]
pub fn towards(to: IpAddr) -> SocketAddr {
    let address = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => instead_of_vip(to).unwrap_or(Ipv6Addr::UNSPECIFIED.into()),
    };
    SocketAddr::new(address, 0)
}

/// Connects to `to`, from an address that answers come back to.
///
/// # Errors
/// The connection cannot be made.
pub async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let from = towards(to.ip());
    if from.ip().is_unspecified() {
        return TcpStream::connect(to).await;
    }
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(from)?;
    socket.connect(to).await
}

/// An address in place of the kernel's choice, where that may be a VIP.
fn instead_of_vip(to: IpAddr) -> Option<IpAddr> {
    instead_of_lone(&own_addresses().ok()?, by_routes(to)?)
}

/// An address with a network, of the same interface and family.
fn instead_of_lone(own: &[Own], chosen: IpAddr) -> Option<IpAddr> {
    let chosen = own.iter().find(|own| own.address == chosen).filter(|own| own.lone)?;
    let fits =
        |own: &&Own| !own.lone && own.ifindex == chosen.ifindex && own.address.is_ipv4() == chosen.address.is_ipv4();
    own.iter().find(fits).map(|own| own.address)
}

/// The address that the kernel gives to packets for `to`.
#[must_use]
pub fn by_routes(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, SOME_PORT)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// All addresses of this host that others can reach.
///
/// # Errors
/// The kernel does not list them.
pub fn own_addresses() -> io::Result<Vec<Own>> {
    Ok(getifaddrs()?.filter_map(|entry| own(&entry)).collect())
}

fn own(entry: &InterfaceAddress) -> Option<Own> {
    let address = entry.address.as_ref().and_then(ip_of).filter(is_global)?;
    let ifindex = if_nametoindex(entry.interface_name.as_str()).ok()?;
    Some(Own { address, ifindex, lone: entry.netmask.as_ref().and_then(ip_of).is_none_or(is_full) })
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|v4| v4.ip().into()),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|v6| v6.ip().into()),
        _ => None,
    }
}

fn is_global(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_loopback(),
    }
}

fn is_full(netmask: IpAddr) -> bool {
    match netmask {
        IpAddr::V4(v4) => v4.to_bits() == u32::MAX,
        IpAddr::V6(v6) => v6.to_bits() == u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(address: &str, ifindex: u32, lone: bool) -> Own {
        Own { address: address.parse().unwrap(), ifindex, lone }
    }

    #[test]
    fn an_address_with_a_network_stands_in_for_a_lone_one_of_its_interface() {
        let vip = own("2001:db8::100", 2, true);
        let network = own("2001:db8::2", 2, false);
        let others = [vip, own("192.0.2.2", 2, false), own("2001:db8:1::2", 3, false)];
        assert_eq!(instead_of_lone(&others, vip.address), None);
        let all = [others.as_slice(), &[network]].concat();
        assert_eq!(instead_of_lone(&all, vip.address), Some(network.address));
        assert_eq!(instead_of_lone(&all, network.address), None, "the kernel's choice is good");
        assert_eq!(instead_of_lone(&all, "2001:db8::9".parse().unwrap()), None);
    }

    #[test]
    fn where_nothing_is_wrong_the_kernel_chooses() {
        for loopback in ["127.0.0.1", "::1"] {
            let any = towards(loopback.parse().unwrap());
            assert!(any.ip().is_unspecified() && any.port() == 0, "{any}");
        }
    }
}
