//! What `ipip` needs beside the VIP: a tunnel interface that takes the outer header off, and small enough segments.

use std::net::IpAddr;

use super::{State, Step, Unclear, is_up, set};
use crate::setup::Wish;
use crate::setup::change::Change;
use crate::setup::clamp::{self, Segments};
use crate::setup::facts::{ALL, Facts, LOOPBACK, Link, Nft, Setting};

/// A tunnel interface that takes in packets of any sender, and the kernel module that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) device: &'static str,
    pub(crate) module: &'static str,
    /// What the kernel calls interfaces like it.
    pub(crate) kind: &'static str,
}

/// For an outer IPv4 header.
const IN_IPV4: Tunnel = Tunnel { device: "tunl0", module: "ipip", kind: "ipip" };
/// For an outer IPv6 header.
const IN_IPV6: Tunnel = Tunnel { device: "ip6tnl0", module: "ip6_tunnel", kind: "ip6tnl" };
/// Every tunnel.
pub(crate) const TUNNELS: [Tunnel; 2] = [IN_IPV4, IN_IPV6];

/// What `ip6tnl0` takes out of the outer header when the module is loaded: IPv6 alone.
const IPV6_ONLY: &str = "ip6ip6";
/// IPv4 and IPv6.
const ANY: &str = "any";

/// The steps for all VIPs.
pub(super) fn steps(wish: &Wish, interface: &str, facts: &Facts) -> Result<Vec<Step>, Unclear> {
    let link = facts.link(interface);
    let outers = wish.vips.iter().map(|vip| Ok((*vip, outer_is_v6(*vip, wish.address, link)?)));
    let outers = outers.collect::<Result<Vec<(IpAddr, bool)>, Unclear>>()?;
    let mut steps = Vec::new();
    for (tunnel, is_v6) in TUNNELS.into_iter().zip([false, true]) {
        let vips: Vec<IpAddr> = outers.iter().filter(|(_, outer)| *outer == is_v6).map(|(vip, _)| *vip).collect();
        if !vips.is_empty() {
            steps.extend(tunnel_steps(tunnel, &vips, facts));
        }
    }
    if wish.clamp {
        let mtu = link.map_or(0, |link| link.mtu);
        let segments = outers.iter().map(|(vip, outer)| (*vip, clamp::largest_segment(mtu, *vip, *outer))).collect();
        steps.push(clamped(segments, facts));
    }
    Ok(steps)
}

/// The family of the real's own address is that of the outer header. Without one named, the interface's addresses tell.
pub(crate) fn outer_is_v6(vip: IpAddr, own: Option<IpAddr>, link: Option<&Link>) -> Result<bool, Unclear> {
    let has_v4 = link.is_some_and(|link| link.addresses.iter().any(|(address, _)| address.is_ipv4()));
    match own {
        Some(IpAddr::V4(_)) if vip.is_ipv6() => Err(Unclear::Ipv6InIpv4(vip)),
        Some(own) => Ok(own.is_ipv6()),
        None => Ok(vip.is_ipv6() || !has_v4),
    }
}

fn tunnel_steps(tunnel: Tunnel, vips: &[IpAddr], facts: &Facts) -> Vec<Step> {
    let has_ipv4 = vips.iter().any(IpAddr::is_ipv4);
    let mut steps = vec![is_there(tunnel, facts)];
    if tunnel == IN_IPV6 && has_ipv4 {
        steps.push(takes_any(tunnel.device, facts));
    }
    steps.push(is_up(tunnel.device, facts, "a tunnel that is down takes no packets"));
    if has_ipv4 {
        steps.extend(any_way_back(tunnel.device, facts));
    }
    steps
}

fn is_there(tunnel: Tunnel, facts: &Facts) -> Step {
    let Tunnel { device, module, kind } = tunnel;
    let what = format!("there is a tunnel interface {device}");
    let why = "it takes the outer header off, whoever sent the packet";
    if facts.link(device).is_some() {
        return Step::so(what, why);
    }
    let reason = match facts.modules.get(module) {
        Some(Ok(())) => {
            let change = Change::Module { module: module.to_owned(), kind: kind.to_owned(), settle: facts.udev };
            return Step::todo(what, why, format!("the kernel module {module} is not loaded"), change);
        }
        Some(Err(reason)) => reason.as_str(),
        None => "nobody has looked",
    };
    let now = format!("there is none, and the kernel module {module} cannot be loaded: {reason}");
    let install =
        format!("install the modules of the running kernel with {module} among them, or boot a kernel that has it");
    Step::blocked(
        what,
        why,
        now,
        vec![install, "or use mode dsr, where the load balancer is on the same link".to_owned()],
    )
}

fn takes_any(device: &str, facts: &Facts) -> Step {
    let what = format!("{device} is in mode {ANY}");
    let why = "it takes only IPv6 out of the outer header otherwise, and a VIP is an IPv4 address";
    let now = facts.link(device).and_then(|link| link.tunnel_mode.as_deref()).unwrap_or(IPV6_ONLY);
    if now == ANY {
        return Step::so(what, why);
    }
    let change = Change::TunnelMode { device: device.to_owned(), before: now.to_owned(), after: ANY.to_owned() };
    Step::todo(what, why, format!("it is in mode {now}"), change)
}

/// The way back to a client is not through the tunnel, which reverse path filtering would take for a forgery. Loose filtering
/// (2) is not enough: it refuses everything from an interface without an address of its own.
fn any_way_back(device: &str, facts: &Facts) -> Vec<Step> {
    let why = "packets come out of the tunnel, and answers go out another way: filtering drops them";
    let [all, own] = [ALL, device].map(|place| facts.setting(place, Setting::RpFilter));
    let has_address = facts.link(device).is_some_and(|link| link.addresses.iter().any(|(own, _)| own.is_ipv4()));
    let greater = all.max(own);
    if greater == 0 || (greater == 2 && has_address) {
        return vec![Step::so(format!("rp_filter of {device} is {greater}"), why)];
    }
    let mut steps = Vec::new();
    if all > 0 {
        steps.extend(keep_filtering(all, device, facts));
        steps.push(set(
            ALL,
            Setting::RpFilter,
            all,
            0,
            "the greater of all and the interface counts, so all must be 0",
        ));
    }
    if own > 0 {
        steps.push(set(device, Setting::RpFilter, own, 0, why));
    }
    steps
}

/// What `all` has done for the other interfaces, each does by itself from now on.
fn keep_filtering(all: u32, tunnel: &str, facts: &Facts) -> Vec<Step> {
    let why = "this interface goes on to filter as it does now, when all does not any more";
    let tunnels = TUNNELS.map(|tunnel| tunnel.device);
    let own = |place: &String| facts.setting(place, Setting::RpFilter);
    let others = facts.settings.keys().filter(|place| {
        let exempt = [ALL, LOOPBACK, tunnel].contains(&place.as_str()) || tunnels.contains(&place.as_str());
        !exempt && own(place) < all
    });
    others.map(|place| set(place, Setting::RpFilter, own(place), all, why)).collect()
}

/// VIPs that were clamped before stay so.
fn clamped(wanted: Segments, facts: &Facts) -> Step {
    let sizes: Vec<String> = wanted.iter().map(|(vip, size)| format!("{vip}: {size} bytes")).collect();
    let what = format!("the VIPs offer clients small enough TCP segments ({})", sizes.join(", "));
    let why = "a full-sized packet of a client does not fit into the tunnel, and ICMP that says so may be filtered";
    let listing = match &facts.nft {
        Nft::Works(listing) => listing,
        Nft::Missing => {
            return no_clamp(what, why, "there is no program nft", "install nftables (apt-get install nftables)");
        }
        Nft::Failed(reason) => return no_clamp(what, why, reason, "run this as root, on a kernel with nf_tables"),
    };
    let there = listing.as_deref().map(clamp::parse).unwrap_or_default();
    if wanted.iter().all(|(vip, size)| there.get(vip) == Some(size)) {
        return Step::so(what, why);
    }
    let now = if there.is_empty() { "no rule does that" } else { "the rules are for other VIPs or another MTU" };
    let after = there.into_iter().chain(wanted).collect();
    Step {
        what,
        why,
        state: State::Todo { now: now.to_owned(), change: Change::Clamp { before: listing.clone(), after } },
    }
}

fn no_clamp(what: String, why: &'static str, now: &str, fix: &str) -> Step {
    let without =
        "or do without it (--no-clamp), where the way to the reals has a larger MTU or clients see ICMP".to_owned();
    Step::blocked(what, why, now.to_owned(), vec![fix.to_owned(), without])
}
