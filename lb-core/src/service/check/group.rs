//! Affinity groups: a client has one real in all services of a group, so they have one ring, and whatever it depends on.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use super::{Findings, Problem, is_name};
use crate::service::{Affinity, Real, Service};

pub(super) fn check(services: &[Service], reals: &HashMap<&str, &Real>, found: &mut Findings) {
    let mut first: HashMap<&str, &Service> = HashMap::new();
    for service in services {
        let Some(group) = service.group() else { continue };
        if !is_name(group) {
            found.service(service, Problem::GroupName);
        }
        if !service.quic.is_empty() {
            found.service(service, Problem::GroupQuic);
        }
        match first.entry(group) {
            Entry::Vacant(entry) => {
                entry.insert(service);
            }
            Entry::Occupied(entry) => {
                let other = *entry.get();
                if let Some(difference) = difference(service, other, reals) {
                    let (group, other) = (group.to_owned(), other.name.clone());
                    found.service(service, Problem::GroupDiffers { group, other, difference });
                }
            }
        }
    }
}

/// In what the ring of the one would not do for the other.
fn difference(service: &Service, other: &Service, reals: &HashMap<&str, &Real>) -> Option<String> {
    if service.vip.is_ipv4() != other.vip.is_ipv4() {
        return Some(format!("its VIP {} is of the other family than {}", other.vip, service.vip));
    }
    let (own, theirs) = (service.affinity.as_ref()?, other.affinity.as_ref()?);
    if own.prefix != theirs.prefix {
        return Some(format!("its prefix is {} and not {}", theirs.prefix, own.prefix));
    }
    if own.timeout_ms != theirs.timeout_ms {
        return Some(format!("its timeout is {} and not {}", timeout(theirs), timeout(own)));
    }
    different_reals(&members(service, reals), &members(other, reals))
}

fn timeout(affinity: &Affinity) -> String {
    affinity.timeout_ms.map_or_else(|| "`flow_idle_timeout`".to_owned(), |ms| format!("{} s", ms as f64 / 1_000.0))
}

/// Weight and whether it is a fallback, by the real's name.
type Members<'a> = BTreeMap<&'a str, (u32, bool)>;

fn members<'a>(service: &'a Service, reals: &HashMap<&str, &Real>) -> Members<'a> {
    let weight = |name: &str| reals.get(name).map_or(0, |real| real.weight);
    let members = service.reals.iter();
    members.map(|own| (own.real.as_str(), (own.weight.unwrap_or_else(|| weight(&own.real)), own.fallback))).collect()
}

fn different_reals(own: &Members<'_>, theirs: &Members<'_>) -> Option<String> {
    if let Some(real) = theirs.keys().find(|real| !own.contains_key(*real)) {
        return Some(format!("it has the real {real:?}"));
    }
    own.iter().find_map(|(real, (weight, fallback))| match theirs.get(real) {
        None => Some(format!("it has not the real {real:?}")),
        Some((other, _)) if other != weight => Some(format!("its real {real:?} has weight {other} and not {weight}")),
        Some((_, true)) if !fallback => Some(format!("its real {real:?} is a fallback")),
        Some((_, false)) if *fallback => Some(format!("its real {real:?} is no fallback")),
        Some(_) => None,
    })
}
