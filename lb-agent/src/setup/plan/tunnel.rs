//! What `ipip` and `gue` need beside the VIP: something that takes the outer headers off, and small enough segments.
//!
//! A tunnel interface of the kernel's does it for `ipip`, where its module is at hand; else a program of our own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{State, Step, Unclear, is_up, loose, set};
use crate::setup::change::Change;
use crate::setup::clamp::{self, Segments};
use crate::setup::facts::{ALL, Facts, LOOPBACK, Link, Nft, Setting};
use crate::setup::{Mode, Wish};

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
    let mut by_program = BTreeSet::new();
    for (tunnel, is_v6) in TUNNELS.into_iter().zip([false, true]) {
        let vips: Vec<IpAddr> = outers.iter().filter(|(_, outer)| *outer == is_v6).map(|(vip, _)| *vip).collect();
        if needs_program(wish, tunnel, facts) {
            by_program.extend(vips);
        } else if !vips.is_empty() {
            steps.extend(tunnel_steps(tunnel, &vips, facts));
        }
    }
    if !by_program.is_empty() {
        let families = outers.iter().filter(|(vip, _)| by_program.contains(vip)).map(|(_, is_v6)| *is_v6).collect();
        steps.extend(program_steps(wish, interface, &families, by_program, facts));
    }
    if wish.clamp {
        let mtu = link.map_or(0, |link| link.mtu);
        let segments =
            outers.iter().map(|(vip, outer)| (*vip, clamp::largest_segment(mtu, *vip, wish.mode, *outer))).collect();
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

/// Whether only a program of our own can take the outer headers off.
fn needs_program(wish: &Wish, tunnel: Tunnel, facts: &Facts) -> bool {
    let has_device = facts.link(tunnel.device).is_some();
    let has_module = facts.modules.get(tunnel.module).is_some_and(Result::is_ok);
    wish.mode == Mode::Gue || wish.program || !(has_device || has_module)
}

/// The steps for VIPs whose packets our program takes out; `families` are those of the outer headers, true for IPv6.
fn program_steps(
    wish: &Wish,
    interface: &str,
    families: &BTreeSet<bool>,
    vips: BTreeSet<IpAddr>,
    facts: &Facts,
) -> Vec<Step> {
    // To the kernel the packets come in by this interface, as in mode dsr.
    let filter = vips.iter().any(IpAddr::is_ipv4).then(|| loose(interface, facts)).flatten();
    filter.into_iter().chain([taken_out(wish, interface, families, vips, facts)]).collect()
}

fn taken_out(wish: &Wish, interface: &str, families: &BTreeSet<bool>, vips: BTreeSet<IpAddr>, facts: &Facts) -> Step {
    let addresses = ends(wish, interface, families, facts);
    let what = format!("a program on {interface} takes packets for the VIPs out of tunnels ({})", wish.mode.name());
    let why = "the outer headers have to come off, and the kernel has no tunnel interface for them";
    let there = facts.decap.get(interface);
    if families.iter().any(|is_v6| !addresses.iter().any(|address| address.is_ipv6() == *is_v6)) {
        let fix = "give this host's address as the load balancers have it with --address".to_owned();
        return Step::blocked(what, why, format!("{interface} has no address that a tunnel could end at"), vec![fix]);
    }
    let now = match there {
        Some(program) if program.has(wish.mode, wish.port, &addresses, &vips) => return Step::so(what, why),
        Some(_) => "it does so for others only",
        None if facts.link(interface).is_some_and(|link| link.xdp) => {
            let fix = format!("let it go (`ip link set dev {interface} xdp off`), or use another interface");
            return Step::blocked(what, why, "another XDP program is there".to_owned(), vec![fix]);
        }
        None => "there is none",
    };
    let pins = wish.pins.clone();
    let change =
        Change::Decap { interface: interface.to_owned(), pins, mode: wish.mode, port: wish.port, addresses, vips };
    Step::todo(what, why, now.to_owned(), change)
}

/// Where tunnels end: at the address that was named, or at all that the interface has of a family, but VIPs and those of the link alone.
fn ends(wish: &Wish, interface: &str, families: &BTreeSet<bool>, facts: &Facts) -> BTreeSet<IpAddr> {
    if let Some(address) = wish.address {
        return BTreeSet::from([address]);
    }
    let own = facts.link(interface).into_iter().flat_map(|link| &link.addresses).map(|(address, _)| *address);
    let is_of_the_link = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    own.filter(|address| families.contains(&address.is_ipv6()) && !is_of_the_link(address))
        .filter(|address| !wish.vips.contains(address))
        .collect()
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
    let change = Change::Module { module: module.to_owned(), kind: kind.to_owned(), settle: facts.udev };
    Step::todo(what, why, format!("the kernel module {module} is not loaded"), change)
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
