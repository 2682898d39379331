//! Asks gateways whether they are there, by ARP and neighbour solicitations: the way by which a packet would find them. The
//! kernel's own table is no help, since it believes in a neighbour for half a minute after its last word.

use std::net::IpAddr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;

/// Answers in a row that make a silent gateway good again.
const RISE: u32 = 3;
/// Questions in a row without an answer that make a gateway silent.
const FALL: u32 = 3;

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) address: IpAddr,
    is_silent: bool,
    /// Outcomes in a row that speak against what is thought of it.
    against: u32,
    /// It has answered since the last question; none before the first one.
    has_answered: Option<bool>,
}

impl Gateway {
    /// One that is thought to be there until it has been silent for long enough.
    pub(super) fn new(address: IpAddr) -> Self {
        Self { address, is_silent: false, against: 0, has_answered: None }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// It says something.
    pub(super) fn hear(&mut self) {
        self.has_answered = self.has_answered.map(|_| true);
    }

    /// It is asked again: what has come of the last time counts now.
    pub(super) fn ask(&mut self) {
        if let Some(has_answered) = self.has_answered.replace(false) {
            self.count(has_answered);
        }
    }

    fn count(&mut self, has_answered: bool) {
        let limit = if self.is_silent { RISE } else { FALL };
        self.against = if has_answered == self.is_silent { self.against + 1 } else { 0 };
        if self.against >= limit {
            self.is_silent = !self.is_silent;
            self.against = 0;
        }
    }
}

/// Where a question to a gateway goes out, and from which address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) interface: String,
    pub(super) from: IpAddr,
}

/// The way to a gateway: an interface with an address in its network that is no VIP, one of `preferred` if there is a choice.
/// None where there is no such address.
pub(super) fn way_to(gateway: IpAddr, vips: &[IpAddr], preferred: &[String]) -> Option<Way> {
    let ways = getifaddrs().ok()?.filter_map(|entry| way(&entry, gateway)).filter(|way| !vips.contains(&way.from));
    ways.min_by_key(|way| !preferred.contains(&way.interface))
}

fn way(entry: &InterfaceAddress, gateway: IpAddr) -> Option<Way> {
    let from = entry.address.as_ref().and_then(ip)?;
    let mask = entry.netmask.as_ref().and_then(ip)?;
    let leads = is_in_network(gateway, from, mask) && from != gateway && !from.is_loopback();
    leads.then(|| Way { interface: entry.interface_name.clone(), from })
}

/// Whether the address is in the network of this host's own address. A lone address has none.
fn is_in_network(address: IpAddr, own: IpAddr, mask: IpAddr) -> bool {
    match (address, own, mask) {
        (IpAddr::V4(address), IpAddr::V4(own), IpAddr::V4(mask)) => {
            let mask = mask.to_bits();
            mask != u32::MAX && (address.to_bits() ^ own.to_bits()) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(own), IpAddr::V6(mask)) => {
            let mask = mask.to_bits();
            mask != u128::MAX && (address.to_bits() ^ own.to_bits()) & mask == 0
        }
        _ => false,
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_silent_after_three_misses_and_good_after_three_answers() {
        let mut gateway = Gateway::new("192.0.2.1".parse().unwrap());
        let mut round = |answers: bool| {
            // What came of the question before counts with this one.
            gateway.ask();
            if answers {
                gateway.hear();
            }
            gateway.is_silent()
        };
        let answers = [false, false, true, false, false, false, true, true, false, true, true, true, false];
        let seen: Vec<bool> = answers.into_iter().map(&mut round).collect();
        let (bad, good) = (true, false);
        assert_eq!(seen, [good, good, good, good, good, good, bad, bad, bad, bad, bad, bad, good]);
    }

    #[test]
    fn a_word_before_the_first_question_is_no_answer() {
        let mut gateway = Gateway::new("192.0.2.1".parse().unwrap());
        gateway.hear();
        for _ in 0..=FALL {
            gateway.ask();
        }
        assert!(gateway.is_silent());
    }

    #[test]
    fn only_an_address_with_a_network_leads_to_a_gateway() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(is_in_network(ip("192.0.2.1"), ip("192.0.2.2"), ip("255.255.255.0")));
        assert!(!is_in_network(ip("192.0.3.1"), ip("192.0.2.2"), ip("255.255.255.0")));
        assert!(!is_in_network(ip("192.0.2.1"), ip("192.0.2.1"), ip("255.255.255.255")));
        assert!(is_in_network(ip("2001:db8::1"), ip("2001:db8::2"), ip("ffff:ffff:ffff:ffff::")));
        assert!(!is_in_network(ip("2001:db8::1"), ip("192.0.2.2"), ip("255.255.255.0")));
    }
}
