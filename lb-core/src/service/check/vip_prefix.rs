//! VIPs that are whole prefixes: what can be one, and what must not be in one.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::{Findings, Problem};
use crate::service::{MIN_VIP_PREFIX_V4, MIN_VIP_PREFIX_V6, Mode, Prefix, Real, Service};

pub(super) fn check(services: &[Service], reals: &[Real], found: &mut Findings) {
    for service in services {
        if let Some(problem) = service.vip_prefix.and_then(|length| own_problem(service, length)) {
            found.service(service, problem);
        }
    }
    check_beginnings(services, found);
    check_reals(services, reals, found);
}

fn own_problem(service: &Service, length: u8) -> Option<Problem> {
    let vips = service.vips();
    let least = if service.vip.is_ipv4() { MIN_VIP_PREFIX_V4 } else { MIN_VIP_PREFIX_V6 };
    let most = service.address_bits() - 1;
    if !(least..=most).contains(&length) {
        return Some(Problem::VipPrefixLength { vips, least, most });
    }
    if let Err(error) = Prefix::new(service.vip, length) {
        return Some(Problem::VipPrefix(error));
    }
    (service.mode == Mode::Nat).then_some(Problem::VipPrefixNat { vips })
}

/// The maps have the services of a prefix under its first address.
fn check_beginnings(services: &[Service], found: &mut Findings) {
    let mut beginnings: HashMap<IpAddr, &Service> = HashMap::new();
    for service in services {
        let other = *beginnings.entry(service.vip).or_insert(service);
        if other.vip_prefix != service.vip_prefix {
            let (vips, other_vips) = (service.vips(), other.vips());
            found.service(service, Problem::VipsBeginAlike { vips, other_vips, other: other.name.clone() });
        }
    }
}

/// A real inside of a VIP would have its own packets sent to reals.
fn check_reals(services: &[Service], reals: &[Real], found: &mut Findings) {
    let prefixes = services.iter().rev().filter_map(|service| service.vip_prefix.map(|length| (length, service)));
    let lengths: BTreeSet<u8> = prefixes.clone().map(|(length, _)| length).collect();
    let by_vips: HashMap<Prefix, &str> = prefixes.map(|(_, service)| (service.vips(), service.name.as_str())).collect();
    for real in reals {
        let address = real.address;
        let around = lengths.iter().map(|&length| Prefix::around(address, length));
        // The first address has been looked at with those of all services.
        let mut inside = around.filter(|vips| vips.address() != address);
        if let Some((vips, service)) = inside.find_map(|vips| Some((vips, *by_vips.get(&vips)?))) {
            found.real(real, Problem::AddressInVips { address, vips, service: service.to_owned() });
        }
    }
}
