//! The source address of a carried probe: an address of this host, of the VIP's family, to which the real can answer.

use std::net::IpAddr;

use lb_core::check::Target;
use lb_core::table::NextHop;

use super::super::probe::Failure;
use crate::source::{self, Own, by_routes};

/// The configured address, or else the best of this host's.
pub(super) fn choose(target: &Target, hop: &NextHop) -> Result<IpAddr, Failure> {
    if let Some(source) = target.check.source {
        return configured(source, target.vip);
    }
    best(&own_addresses()?, hop.ifindex, by_routes(target.address), target.vip).ok_or_else(|| {
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

/// Of the addresses of the interface and the one that routes prefer, one with a network before a lone one, and then the one that
/// routes prefer.
fn best(own: &[Own], ifindex: u32, preferred: Option<IpAddr>, vip: IpAddr) -> Option<IpAddr> {
    let fits = |own: &&Own| own.address.is_ipv4() == vip.is_ipv4() && own.address != vip;
    let near = |own: &&Own| own.ifindex == ifindex || Some(own.address) == preferred;
    let candidates = own.iter().filter(fits).filter(near);
    candidates.min_by_key(|own| (own.lone, Some(own.address) != preferred)).map(|own| own.address)
}

fn own_addresses() -> Result<Vec<Own>, Failure> {
    source::own_addresses().map_err(|error| Failure::system("cannot list addresses", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: u32 = 2;
    const VIP: &str = "2001:db8::100";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn own(address: &str, ifindex: u32, lone: bool) -> Own {
        Own { address: ip(address), ifindex, lone }
    }

    #[test]
    fn another_vip_is_the_last_choice_even_where_routes_prefer_it() {
        let network = own("2001:db8::2", ETH0, false);
        let other_vip = own("2001:db8::101", ETH0, true);
        let vip = own(VIP, ETH0, true);
        let preferred = Some(other_vip.address);
        assert_eq!(best(&[other_vip, vip, network], ETH0, preferred, ip(VIP)), Some(network.address));
        assert_eq!(best(&[other_vip, vip], ETH0, preferred, ip(VIP)), Some(other_vip.address));
        assert_eq!(best(&[vip], ETH0, Some(vip.address), ip(VIP)), None);
    }

    #[test]
    fn what_routes_prefer_comes_first_on_whichever_interface() {
        let (first, second) = (own("192.0.2.2", ETH0, false), own("198.51.100.2", ETH0 + 1, false));
        let vip = ip("192.0.2.100");
        assert_eq!(best(&[first, second], ETH0, Some(second.address), vip), Some(second.address));
        assert_eq!(best(&[first, second], ETH0, None, vip), Some(first.address));
        assert_eq!(best(&[second], ETH0, None, vip), None, "of another interface");
    }

    #[test]
    fn source_is_of_the_family_of_the_vip() {
        let (v4, v6) = (own("192.0.2.2", ETH0, false), own("2001:db8::2", ETH0, false));
        assert_eq!(best(&[v6, v4], ETH0, Some(v6.address), ip("192.0.2.100")), Some(v4.address));
    }
}
