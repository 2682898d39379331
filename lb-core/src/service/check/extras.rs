//! Guards, affinity and one-packet scheduling: what fits a service, and what the maps have room for.

use std::collections::HashSet;

use super::{Findings, Problem};
use crate::service::{Guards, MAX_ACCESS_PREFIXES, MAX_NEW_FLOWS, Protocol, Service};

pub(super) fn check(services: &[Service], found: &mut Findings) {
    let mut count = 0;
    let mut first_too_many = None;
    for service in services {
        check_access(service, found);
        check_limits(service, found);
        check_affinity(service, found);
        count += service.guards.prefixes();
        if count > MAX_ACCESS_PREFIXES {
            first_too_many.get_or_insert(service);
        }
    }
    if let Some(service) = first_too_many {
        found.service(service, Problem::TooManyAccessPrefixes { count });
    }
}

fn check_access(service: &Service, found: &mut Findings) {
    let Guards { allow, deny, .. } = &service.guards;
    let mut seen = HashSet::new();
    for &prefix in allow.iter().chain(deny) {
        if prefix.address().is_ipv4() != service.vip.is_ipv4() {
            found.service(service, Problem::AccessFamily { prefix, vip: service.vip });
        }
        if !seen.insert(prefix) {
            let problem = if allow.contains(&prefix) && deny.contains(&prefix) {
                Problem::AccessBoth { prefix }
            } else {
                Problem::AccessTwice { prefix }
            };
            found.service(service, problem);
        }
    }
}

fn check_limits(service: &Service, found: &mut Findings) {
    let Guards { new_flow_limit, syn_flood, .. } = &service.guards;
    let is_tcp = service.protocol == Protocol::Tcp;
    if let Some(limit) = new_flow_limit {
        if !is_tcp {
            found.service(service, Problem::TcpOnly { what: "new_flow_limit", protocol: service.protocol });
        }
        let counts = 1..=MAX_NEW_FLOWS;
        if !counts.contains(&limit.rate) || !counts.contains(&limit.burst) {
            found.service(service, Problem::NewFlows);
        }
        check_prefix(service, "new_flow_limit", limit.prefix, found);
    }
    if syn_flood.is_some() && !is_tcp {
        found.service(service, Problem::TcpOnly { what: "syn_flood", protocol: service.protocol });
    }
}

fn check_affinity(service: &Service, found: &mut Findings) {
    if let Some(affinity) = &service.affinity {
        check_prefix(service, "affinity", affinity.prefix, found);
    }
    if service.one_packet && service.affinity.is_some() {
        found.service(service, Problem::OnePacketAffinity);
    }
    if service.one_packet && service.protocol != Protocol::Udp {
        found.service(service, Problem::OnePacketProtocol { protocol: service.protocol });
    }
}

fn check_prefix(service: &Service, what: &'static str, prefix: u8, found: &mut Findings) {
    let bits = service.address_bits();
    if !(1..=bits).contains(&prefix) {
        found.service(service, Problem::PrefixLength { what, prefix, bits });
    }
}
