//! Services in `nat` mode: their replies are told apart by the real's address, its port and the protocol, and by nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{Findings, Problem};
use crate::service::{MAX_NAT_MEMBERS, Member, Mode, Ports, Protocol, Real, Service};

/// Where replies come from.
type Host = (Protocol, IpAddr);

pub(super) fn check(services: &[Service], reals: &HashMap<&str, &Real>, found: &mut Findings) {
    let mut claims = Claims::default();
    let mut count = 0;
    let mut first_too_many = None;
    for service in services.iter().filter(|service| service.mode == Mode::Nat) {
        for member in &service.reals {
            count += 1;
            let Some(real) = reals.get(member.real.as_str()) else { continue };
            if let Some(problem) = claims.claim(service, member, real.address) {
                found.member(service, &member.real, problem);
            }
        }
        if count > MAX_NAT_MEMBERS {
            first_too_many.get_or_insert(service);
        }
    }
    if let Some(service) = first_too_many {
        found.service(service, Problem::TooManyNatMembers { count });
    }
}

/// Whose replies come from where, as far as services have been looked at.
#[derive(Default)]
struct Claims<'a> {
    /// Ports of services of one port.
    ports: BTreeMap<(Host, u16), Owner<'a>>,
    /// Services of several ports: one for each host, as the map has one row for them.
    wide: HashMap<Host, (Ports, Owner<'a>)>,
}

/// A service and a real of it, by name.
type Owner<'a> = (&'a str, &'a str);

impl<'a> Claims<'a> {
    /// Notes where the real's replies come from, or says who has that already.
    fn claim(&mut self, service: &'a Service, member: &'a Member, address: IpAddr) -> Option<Problem> {
        let (host, owner) = ((service.protocol, address), (service.name.as_str(), member.real.as_str()));
        let (ports, other) = match service.real_port(member) {
            Some(port) => (Ports::Single(port), self.claim_port(host, port, owner)),
            None => (service.ports, self.claim_wide(host, service.ports, owner)),
        };
        // A real that is listed twice is told of as such.
        let (other, _) = other.filter(|other| *other != owner)?;
        Some(Problem::SameReplies { address, protocol: service.protocol, ports, other: other.to_owned() })
    }

    fn claim_port(&mut self, host: Host, port: u16, owner: Owner<'a>) -> Option<Owner<'a>> {
        let wide = self.wide.get(&host).filter(|(ports, _)| ports.contains(port)).map(|(_, other)| *other);
        self.ports.insert((host, port), owner).or(wide)
    }

    fn claim_wide(&mut self, host: Host, ports: Ports, owner: Owner<'a>) -> Option<Owner<'a>> {
        let (first, last) = ports.bounds();
        let inside = (first <= last).then(|| self.ports.range((host, first)..=(host, last)).next()).flatten();
        let inside = inside.map(|(_, other)| *other);
        self.wide.insert(host, (ports, owner)).map(|(_, other)| other).or(inside)
    }
}
