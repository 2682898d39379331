//! The kernel's routes and neighbours as a world declares them, and what `bpf_fib_lookup` answers by them.
//!
//! The harness makes the kernel's own tables say the same.

use std::net::IpAddr;

use lb_common::{FAMILY_V4, WantedNeighbour};

use crate::world::address_of;

/// The only link that ways lead out of.
pub const WAY_IFINDEX: u32 = 77;
/// Its MAC address.
pub const WAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 3, 1];

/// What the kernel forwards, and where to. Destinations without a route are not forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Whether it forwards IPv4.
    pub forwards_v4: bool,
    /// Whether it forwards IPv6.
    pub forwards_v6: bool,
    /// The first one that fits is taken. Those for some packets only come before those for all.
    pub routes: Vec<Route>,
}

/// A route to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub to: IpAddr,
    /// The packets that it is for.
    pub only: Only,
    /// Where it leads.
    pub leads: Leads,
}

/// The packets that a route is for: what is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// With this source.
    pub source: Option<IpAddr>,
    /// Of this protocol.
    pub protocol: Option<u8>,
    /// With this TOS or traffic class; the two ECN bits do not count.
    pub class: Option<u8>,
    /// Come in by this interface.
    pub ingress: Option<u32>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// Out of the link.
    Out {
        /// The next hop, where it is not the destination itself.
        gateway: Option<IpAddr>,
        /// The next hop's MAC address, where the kernel knows it.
        mac: Option<[u8; 6]>,
        /// Bytes of the longest packet.
        mtu: u32,
    },
    /// To the host itself.
    Own,
    /// Nowhere, and nobody is told.
    Blackhole,
    /// Nowhere: ICMP says unreachable.
    Unreachable,
    /// Nowhere: ICMP says prohibited.
    Prohibit,
}

/// What the kernel is asked.
pub(super) struct Question {
    pub family: u8,
    pub protocol: u8,
    pub class: u8,
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub length: usize,
    pub ingress: u32,
}

/// What it answers.
pub(super) enum Answer {
    Success(Hop),
    NotForwarded,
    ForwardingDisabled,
    NoNeighbour(WantedNeighbour),
    TooLong,
    /// `BPF_FIB_LKUP_RET_BLACKHOLE` and the like.
    Refused,
}

/// The way to the next hop.
#[derive(Clone, Copy)]
pub(super) struct Hop {
    pub next_hop_mac: [u8; 6],
    pub source_mac: [u8; 6],
    pub ifindex: u32,
}

impl Ways {
    pub(super) fn ask(&self, question: &Question) -> Answer {
        if question.family != FAMILY_V4 && is_never_forwarded(&question.destination) {
            return Answer::NotForwarded;
        }
        let forwards = if question.family == FAMILY_V4 { self.forwards_v4 } else { self.forwards_v6 };
        if !forwards {
            return Answer::ForwardingDisabled;
        }
        let Some(route) = self.routes.iter().find(|route| route.fits(question)) else { return Answer::NotForwarded };
        match route.leads {
            Leads::Own => Answer::NotForwarded,
            Leads::Blackhole | Leads::Unreachable | Leads::Prohibit => Answer::Refused,
            Leads::Out { mtu, .. } if question.length > mtu as usize => Answer::TooLong,
            Leads::Out { mac: Some(next_hop_mac), .. } => {
                Answer::Success(Hop { next_hop_mac, source_mac: WAY_MAC, ifindex: WAY_IFINDEX })
            }
            Leads::Out { gateway, mac: None, .. } => {
                let (address, family) = address_of(gateway.unwrap_or(route.to));
                Answer::NoNeighbour(WantedNeighbour { address, ifindex: WAY_IFINDEX, family, reserved: [0; 3] })
            }
        }
    }
}

impl Route {
    /// A route for all packets to a destination.
    #[must_use]
    pub fn to(to: IpAddr, leads: Leads) -> Self {
        Self { to, only: Only::default(), leads }
    }

    fn fits(&self, question: &Question) -> bool {
        let Only { source, protocol, class, ingress } = self.only;
        address_of(self.to) == (question.destination, question.family)
            && source.is_none_or(|source| address_of(source).0 == question.source)
            && protocol.is_none_or(|protocol| protocol == question.protocol)
            && class.is_none_or(|class| class & 0xfc == question.class & 0xfc)
            && ingress.is_none_or(|ingress| ingress == question.ingress)
    }
}

/// IPv6 addresses that the kernel forwards to no interface: multicast, link-local, loopback.
fn is_never_forwarded(destination: &[u8; 16]) -> bool {
    let loopback = u128::from_be_bytes(*destination) == 1;
    destination[0] == 0xff || (destination[0] == 0xfe && destination[1] & 0xc0 == 0x80) || loopback
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use lb_common::{PROTOCOL_TCP, PROTOCOL_UDP};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
    const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    fn question(destination: IpAddr, protocol: u8, length: usize) -> Question {
        let (destination, family) = address_of(destination);
        Question { family, protocol, class: 0x13, source: [0; 16], destination, length, ingress: 1 }
    }

    /// What the kernel answers, by its first letter.
    fn answer(ways: &Ways, question: &Question) -> char {
        match ways.ask(question) {
            Answer::Success(_) => 's',
            Answer::NotForwarded => 'n',
            Answer::ForwardingDisabled => 'd',
            Answer::NoNeighbour(_) => 'w',
            Answer::TooLong => 'l',
            Answer::Refused => 'r',
        }
    }

    #[test]
    fn the_first_route_that_fits_answers() {
        let out = |mac| Leads::Out { gateway: None, mac, mtu: 100 };
        let udp = Only { protocol: Some(PROTOCOL_UDP), class: Some(0x10), ..Only::default() };
        let routes = vec![
            Route { to: CLIENT, only: udp, leads: Leads::Blackhole },
            Route::to(CLIENT, out(Some(WAY_MAC))),
            Route::to(CLIENT6, out(None)),
        ];
        let ways = Ways { forwards_v4: true, forwards_v6: true, routes };
        assert_eq!(answer(&ways, &question(CLIENT, PROTOCOL_UDP, 101)), 'r');
        assert_eq!(answer(&ways, &question(CLIENT, PROTOCOL_TCP, 100)), 's');
        assert_eq!(answer(&ways, &question(CLIENT, PROTOCOL_TCP, 101)), 'l');
        assert_eq!(answer(&ways, &question(CLIENT6, PROTOCOL_TCP, 100)), 'w');
        assert_eq!(answer(&ways, &question(Ipv4Addr::new(203, 0, 113, 2).into(), PROTOCOL_TCP, 100)), 'n');
    }

    #[test]
    fn a_kernel_that_does_not_forward_says_so_unless_it_never_would() {
        let ways = Ways::default();
        assert_eq!(answer(&ways, &question(CLIENT, PROTOCOL_TCP, 100)), 'd');
        assert_eq!(answer(&ways, &question(CLIENT6, PROTOCOL_TCP, 100)), 'd');
        for never in ["ff02::1", "fe80::1", "febf::1", "::1"] {
            let Ok(address) = never.parse::<Ipv6Addr>() else { panic!("{never}") };
            assert_eq!(answer(&ways, &question(address.into(), PROTOCOL_TCP, 100)), 'n', "{never}");
        }
        let routable = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(answer(&ways, &question(routable.into(), PROTOCOL_TCP, 100)), 'd');
    }
}
