//! The planner: from what is wished and what the host is like, to the steps in between. Pure.
//!
//! The steps are in the order to take them in: a VIP becomes an address of the host last, when nothing answers ARP for it any more.

#[cfg(test)]
mod tests;
mod tunnel;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use thiserror::Error;

use super::change::{Change, Words, full_length, full_prefix};
use super::facts::{ALL, Facts, LOOPBACK, Link, Setting};
use super::{Mode, Wish};

pub(crate) use tunnel::{TUNNELS, outer_is_v6};

/// Most VIPs of one wish.
const MAX_VIPS: usize = 256;

/// One thing that a real server needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What shall be.
    pub(crate) what: String,
    /// What for.
    pub(crate) why: &'static str,
    /// Whether it is so.
    pub(crate) state: State,
}

/// Whether something is as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    So,
    /// It is not; what there is instead, and the change.
    Todo { now: String, change: Change },
    /// It is not, and nobody but the operator can or should change that; what there is, and what to do.
    Blocked { now: String, fix: Vec<String> },
}

/// What the wish leaves open.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Unclear {
    #[error("{0} VIPs are more than {MAX_VIPS}, the most for one command")]
    TooManyVips(usize),
    #[error("this host has no default route; name the interface that packets come in by with --interface")]
    NoInterface,
    #[error("this host has default routes by {0}; name the interface that packets come in by with --interface")]
    SeveralInterfaces(String),
    #[error("no load balancer sends packets for the IPv6 VIP {0} in an IPv4 header: --address must be an IPv6 address")]
    Ipv6InIpv4(IpAddr),
}

/// The steps to a host that is as wished, those that are taken already among them.
pub(crate) fn plan(wish: &Wish, facts: &Facts) -> Result<Vec<Step>, Unclear> {
    if wish.vips.len() > MAX_VIPS {
        return Err(Unclear::TooManyVips(wish.vips.len()));
    }
    let interface = interface(wish, facts)?;
    let mut steps = vec![interface_is_up(interface, facts)];
    steps.extend(wish.address.map(|address| own_address(address, facts)));
    if wish.vips.iter().any(IpAddr::is_ipv6) {
        steps.push(ipv6_is_on(facts));
    }
    if wish.vips.iter().any(IpAddr::is_ipv4) {
        steps.extend(silence(interface, facts));
        steps.extend((wish.mode == Mode::Dsr).then(|| loose(interface, facts)).flatten());
    }
    if wish.mode != Mode::Dsr {
        steps.extend(tunnel::steps(wish, interface, facts)?);
    }
    steps.push(is_up(LOOPBACK, facts, "addresses on an interface that is down are not used"));
    steps.extend(wish.vips.iter().map(|vip| has_vip(*vip, facts)));
    Ok(steps)
}

/// The steps that cannot be taken.
pub(crate) fn blocked(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| matches!(step.state, State::Blocked { .. }))
}

/// The interface that packets for the VIPs come in by.
pub(crate) fn interface<'a>(wish: &'a Wish, facts: &'a Facts) -> Result<&'a str, Unclear> {
    match (&wish.interface, facts.default_interfaces.as_slice()) {
        (Some(named), _) => Ok(named),
        (None, [one]) => Ok(one),
        (None, []) => Err(Unclear::NoInterface),
        (None, many) => Err(Unclear::SeveralInterfaces(many.join(", "))),
    }
}

impl Step {
    fn so(what: String, why: &'static str) -> Step {
        Step { what, why, state: State::So }
    }

    fn todo(what: String, why: &'static str, now: String, change: Change) -> Step {
        Step { what, why, state: State::Todo { now, change } }
    }

    fn blocked(what: String, why: &'static str, now: String, fix: Vec<String>) -> Step {
        Step { what, why, state: State::Blocked { now, fix } }
    }
}

fn interface_is_up(interface: &str, facts: &Facts) -> Step {
    let (what, why) = (format!("{interface} is up"), "packets come in by it");
    match facts.link(interface) {
        Some(link) if link.up => Step::so(what, why),
        Some(_) => Step::blocked(what, why, "it is down".to_owned(), vec![format!("ip link set dev {interface} up")]),
        None => {
            let fix = "name another with --interface; `ip link` lists them".to_owned();
            Step::blocked(what, why, "there is no such interface".to_owned(), vec![fix])
        }
    }
}

fn own_address(address: IpAddr, facts: &Facts) -> Step {
    let (what, why) = (format!("{address} is an address of this host"), "load balancers send packets to it");
    if facts.has_address(address) {
        return Step::so(what, why);
    }
    let fix = "give --address as the load balancers' configuration has it for this real".to_owned();
    Step::blocked(what, why, "no interface has it".to_owned(), vec![fix])
}

fn ipv6_is_on(facts: &Facts) -> Step {
    let (what, why) = (format!("{LOOPBACK} can have IPv6 addresses"), "a VIP is an IPv6 address");
    if facts.ipv6 {
        return Step::so(what, why);
    }
    let fix = format!("sysctl -w net.ipv6.conf.{LOOPBACK}.disable_ipv6=0");
    Step::blocked(what, why, "IPv6 is switched off".to_owned(), vec![fix])
}

/// The host says nothing of VIPs to its neighbours. IPv6 needs no settings for that.
fn silence(interface: &str, facts: &Facts) -> Vec<Step> {
    let ignore = "without it the host answers ARP for the VIP on lo, and takes the load balancer's place";
    let announce = "without it the host's ARP requests tell its neighbours that the VIP is here";
    let mut steps = greater_of_two(interface, Setting::ArpIgnore, 1..=2, ignore, facts);
    steps.extend(greater_of_two(interface, Setting::ArpAnnounce, 2..=2, announce, facts));
    steps
}

/// Where answers go out by another interface than packets come in by, strict filtering would drop the packets.
fn loose(interface: &str, facts: &Facts) -> Option<Step> {
    let [all, own] = [ALL, interface].map(|place| facts.setting(place, Setting::RpFilter));
    let elsewhere = facts.default_interfaces.iter().all(|name| name != interface);
    let why = "the default route is by another interface, and strict filtering drops clients' packets that come in by this one";
    (all.max(own) == 1 && elsewhere).then(|| set(interface, Setting::RpFilter, own, 2, why))
}

/// The kernel goes by the greater value of `all` and the interface. What is too low is raised for all; what is too high
/// (it means something else) is lowered where it is.
fn greater_of_two(
    interface: &str,
    setting: Setting,
    good: RangeInclusive<u32>,
    why: &'static str,
    facts: &Facts,
) -> Vec<Step> {
    let name = setting.name();
    let [all, own] = [ALL, interface].map(|place| facts.setting(place, setting));
    let target = *good.start();
    if good.contains(&all.max(own)) {
        return vec![Step::so(format!("{name} of {interface} is {}", all.max(own)), why)];
    }
    let too_low = all.max(own) < target;
    let places = [(ALL, all, too_low || all > *good.end()), (interface, own, own > *good.end())];
    let wrong = places.into_iter().filter(|(_, _, wrong)| *wrong);
    wrong.map(|(place, value, _)| set(place, setting, value, target, why)).collect()
}

fn set(place: &str, setting: Setting, before: u32, after: u32, why: &'static str) -> Step {
    let what = format!("{} of {place} is {after}", setting.name());
    let change = Change::Setting { interface: place.to_owned(), setting, before, after };
    Step::todo(what, why, format!("it is {before}"), change)
}

fn is_up(device: &str, facts: &Facts, why: &'static str) -> Step {
    let what = format!("{device} is up");
    if facts.link(device).is_some_and(|link| link.up) {
        return Step::so(what, why);
    }
    Step::todo(what, why, "it is down".to_owned(), Change::Up { device: device.to_owned() })
}

/// A VIP may be on any interface that answers for nothing, but only alone: with a shorter prefix a whole network would be
/// this host's.
fn has_vip(vip: IpAddr, facts: &Facts) -> Step {
    let places: Vec<(&Link, u8)> = facts.links.iter().flat_map(|link| prefixes(link, vip)).collect();
    let why = "the host takes packets for the VIP only when it has the address";
    if let Some((link, prefix)) = places.iter().find(|(link, prefix)| link.arp || *prefix != full_prefix(vip)) {
        return misplaced(vip, &link.name, *prefix, link.arp);
    }
    match places.first() {
        Some((link, _)) => Step::so(format!("{} has {}", link.name, full_length(vip)), why),
        None => {
            let change = Change::Address { address: vip, device: LOOPBACK.to_owned() };
            Step::todo(format!("{LOOPBACK} has {}", full_length(vip)), why, "no interface has it".to_owned(), change)
        }
    }
}

fn prefixes(link: &Link, vip: IpAddr) -> impl Iterator<Item = (&Link, u8)> {
    let own = link.addresses.iter().filter(move |(address, _)| *address == vip);
    own.map(move |(_, prefix)| (link, *prefix))
}

fn misplaced(vip: IpAddr, device: &str, prefix: u8, answers: bool) -> Step {
    let what = format!("{LOOPBACK} has {}, and no other interface", full_length(vip));
    let why = if answers {
        "an interface that faces the network answers ARP and neighbour solicitations for its addresses"
    } else {
        "with a shorter prefix the host takes every address of that network for its own"
    };
    let removal: Words =
        ["ip", "address", "del", &format!("{vip}/{prefix}"), "dev", device].map(str::to_owned).to_vec();
    Step::blocked(what, why, format!("{device} has {vip}/{prefix}"), vec![removal.join(" ")])
}
