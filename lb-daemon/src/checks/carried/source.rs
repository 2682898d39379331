//! The source address of a carried probe: an address of this host, of the VIP's family, to which the real can answer.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use lb_core::check::Target;
use lb_core::table::NextHop;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{SockaddrLike as _, SockaddrStorage};

use super::super::probe::Failure;

/// Any port will do: nothing is sent.
const SOME_PORT: u16 = 9;

/// The configured address, or the one that the host would use towards the real, or one of the interface towards it.
pub(super) fn choose(target: &Target, hop: &NextHop) -> Result<IpAddr, Failure> {
    if let Some(source) = target.check.source {
        return configured(source, target.vip);
    }
    let fits = |source: &IpAddr| source.is_ipv4() == target.vip.is_ipv4() && *source != target.vip;
    if let Some(source) = towards(target.address).filter(fits) {
        return Ok(source);
    }
    on_interface(hop.ifindex, fits)?.ok_or_else(|| {
        let family = if target.vip.is_ipv4() { "IPv4" } else { "IPv6" };
        Failure::new(format_args!("this host has no {family} address towards the real but the VIP; set `source`"))
    })
}

fn configured(source: IpAddr, vip: IpAddr) -> Result<IpAddr, Failure> {
    if source.is_ipv4() != vip.is_ipv4() {
        return Err(Failure::new(format_args!("the source {source} is not of the family of the VIP {vip}")));
    }
    if source == vip {
        return Err(Failure::new("the source is the VIP itself: no answer would come back"));
    }
    Ok(source)
}

/// The address that the kernel's routes give to packets for `real`.
fn towards(real: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if real.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(real, SOME_PORT)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// The first address of the interface that fits. Those of a network come before lone ones, which are likely VIPs.
fn on_interface(ifindex: u32, fits: impl Fn(&IpAddr) -> bool) -> Result<Option<IpAddr>, Failure> {
    let all = getifaddrs().map_err(|error| Failure::system("cannot list addresses", &error.into()))?;
    let mut found: Vec<(bool, IpAddr)> = Vec::new();
    for entry in all {
        let address = entry.address.as_ref().and_then(ip_of).filter(|address| fits(address) && is_global(address));
        let Some(address) = address else { continue };
        if nix::net::if_::if_nametoindex(entry.interface_name.as_str()) == Ok(ifindex) {
            let lone = entry.netmask.as_ref().and_then(ip_of).is_none_or(is_full);
            found.push((lone, address));
        }
    }
    Ok(found.into_iter().min_by_key(|(lone, _)| *lone).map(|(_, address)| address))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => address.as_sockaddr_in().map(|v4| v4.ip().into()),
        nix::sys::socket::AddressFamily::Inet6 => address.as_sockaddr_in6().map(|v6| v6.ip().into()),
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
