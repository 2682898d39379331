//! The interfaces of the configuration: whether they are there, how the program runs on them, what their drivers do to
//! packets, and whether the VIPs' packets come in by them.

use std::net::IpAddr;

use lb_core::api::{AttachMode, Finding, Severity};

use lb_core::service::{Prefix, Service};

use super::case::Case;
use super::facts::Link;
use crate::config::Config;

/// The name that the kernel has for the project's program.
const OWN_PROGRAM: &str = "understudy";
/// A driver whose far end is another kernel interface.
const VETH: &str = "veth";

/// Of each interface, and then of each VIP.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let names = &case.config.settings.interfaces;
    let mut findings: Vec<Finding> = names.iter().flat_map(|name| interface(case, name)).collect();
    let services = case.config.cluster.services();
    let single = services.iter().filter(|service| service.vip_prefix.is_none());
    let mut vips: Vec<IpAddr> = single.map(|service| service.vip).collect();
    vips.sort_unstable();
    vips.dedup();
    findings.extend(vips.into_iter().filter_map(|vip| way_in(case, vip)));
    let mut prefixes: Vec<Prefix> =
        services.iter().filter(|service| service.vip_prefix.is_some()).map(Service::vips).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    findings.extend(prefixes.into_iter().filter_map(|vips| own_address_in(case, vips)));
    findings
}

fn interface(case: &Case, name: &str) -> Vec<Finding> {
    let Some(link) = case.facts.link(name) else { return vec![missing(case, name)] };
    if let Some(bad) = unusable(link) {
        return vec![bad];
    }
    let mut findings = vec![program(case, link)];
    findings.extend(offloads(case, link));
    findings
}

fn missing(case: &Case, name: &str) -> Finding {
    let there = case.facts.links.iter().filter(|link| !link.loopback).map(|link| link.name.as_str());
    let there: Vec<&str> = there.collect();
    Finding::of(Severity::Error, "interface", name, "there is no such interface")
        .because("the XDP program cannot be attached to it: packets that come in elsewhere are not balanced")
        .fix(format!("name one of these in `interfaces`: {}", there.join(", ")))
}

fn unusable(link: &Link) -> Option<Finding> {
    let (finding, fix) = match (link.up, link.carrier) {
        (false, _) => ("it is down", format!("ip link set dev {} up", link.name)),
        (true, false) => ("it has no carrier", "look at its cable, its switch, and its far end".to_owned()),
        (true, true) => return None,
    };
    Some(
        Finding::of(Severity::Error, "interface", &link.name, finding)
            .because("no packet comes in or goes out by it")
            .fix(fix),
    )
}

/// Which program runs on it, and how.
fn program(case: &Case, link: &Link) -> Finding {
    let attached = case.running.as_ref().and_then(|running| {
        let known = running.status.interfaces.iter().find(|known| known.name == link.name)?;
        Some((known.mode, known.error.clone()))
    });
    let (mode, error) = attached.unwrap_or_default();
    let other = link.xdp.as_ref().filter(|xdp| xdp.name.as_deref() != Some(OWN_PROGRAM) && mode.is_none());
    if let Some(other) = other {
        return other_program(link, other.id, other.name.as_deref());
    }
    let driver = link.driver.as_deref().unwrap_or("unknown");
    match (mode, error) {
        (Some(AttachMode::Driver), _) => {
            Finding::ok("attach", &link.name, format!("the program runs in the driver ({driver}), MTU {}", link.mtu))
        }
        (Some(AttachMode::Generic), _) => {
            Finding::of(Severity::Notice, "attach", &link.name, format!("the program runs in generic mode ({driver})"))
                .because(
                    "the kernel makes a buffer of each packet first: it costs several times as much as in the driver",
                )
                .fix("use a driver with native XDP; where it has it, dmesg says why it refused (LRO, MTU, queues)")
        }
        (None, Some(error)) => Finding::of(Severity::Error, "attach", &link.name, error)
            .because("packets that come in by it are not balanced")
            .fix("do what the line says; lbd tries again every 10 seconds"),
        (None, None) => match &link.xdp {
            Some(xdp) => {
                let place = if xdp.in_driver { "the driver" } else { "generic mode" };
                Finding::ok("attach", &link.name, format!("an earlier lbd's program runs in {place} ({driver})"))
            }
            None => {
                Finding::ok("attach", &link.name, format!("it has no XDP program yet ({driver}), MTU {}", link.mtu))
            }
        },
    }
}

fn other_program(link: &Link, id: u32, name: Option<&str>) -> Finding {
    let name = name.filter(|name| !name.is_empty()).map(|name| format!("`{name}`, ")).unwrap_or_default();
    let interface = &link.name;
    Finding::of(Severity::Error, "xdp", interface, format!("another XDP program is attached ({name}id {id})"))
        .because("an interface has one XDP program: lbd leaves this one alone, and packets are not balanced")
        .fix(format!("bpftool prog show id {id} tells what it is"))
        .fix(format!("ip link set dev {interface} xdp off takes it away, when nobody needs it"))
}

fn offloads(case: &Case, link: &Link) -> Vec<Finding> {
    let interface = &link.name;
    let mut findings = Vec::new();
    if link.lro == Some(true) {
        findings.push(
            Finding::of(Severity::Warning, "offloads", interface, "the card puts received packets together (LRO)")
                .because(
                    "drivers refuse native XDP with it, and what is put together is larger than the MTU further on",
                )
                .fix(format!("ethtool -K {interface} lro off")),
        );
    }
    let in_driver = link.xdp.as_ref().is_some_and(|xdp| xdp.in_driver);
    if link.driver.as_deref() == Some(VETH) && in_driver && case.running.is_some() {
        findings.push(
            Finding::of(
                Severity::Notice,
                "offloads",
                interface,
                "it is a veth: its far end may leave checksums undone",
            )
            .because("the XDP program sends packets on as they are: the real drops those with wrong checksums")
            .fix("ethtool -K FAR-END tx off, in the network namespace of the far end"),
        );
    }
    if findings.is_empty() {
        let word = |on: Option<bool>| match on {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        let (lro, gro, checksums) = (word(link.lro), word(link.gro), word(link.receive_checksums));
        let finding = format!("LRO {lro}, GRO {gro}, receive checksums {checksums}: none is in the way");
        findings.push(Finding::ok("offloads", interface, finding));
    }
    findings
}

/// An address of this host in a VIP that is a whole prefix, and not itself a VIP: the program keeps its packets from the host.
fn own_address_in(case: &Case, vips: Prefix) -> Option<Finding> {
    let Config { cluster, settings, .. } = &case.config;
    let is_vip = |address: &IpAddr| {
        cluster.services().iter().any(|service| service.vip_prefix.is_none() && service.vip == *address)
            || cluster.gateways().contains(address)
    };
    let links = case.facts.links.iter().filter(|link| settings.interfaces.contains(&link.name));
    let mut own = links.flat_map(|link| link.addresses.iter().map(move |address| (link, address)));
    let (link, address) = own.find(|(_, address)| vips.contains(**address) && !is_vip(address))?;
    let finding = format!("{address} of {} is one of its addresses", link.name);
    Some(
        Finding::of(Severity::Warning, "vip", format!("VIP {vips}"), finding)
            .because("packets that come for this host's own address go to reals, or are dropped where no service has their port")
            .fix(format!("give {} an address outside of {vips}, or take a narrower prefix", link.name)),
    )
}

/// Whether packets for a VIP come in where the program runs.
fn way_in(case: &Case, vip: IpAddr) -> Option<Finding> {
    let interfaces = &case.config.settings.interfaces;
    let holders: Vec<&str> =
        case.facts.holders(vip).filter(|link| !link.loopback).map(|link| link.name.as_str()).collect();
    let subject = format!("VIP {vip}");
    if let Some(stray) = holders.iter().find(|holder| !interfaces.iter().any(|name| name == *holder)) {
        let finding = format!("it is on {stray}, where the XDP program does not run");
        return Some(
            Finding::of(Severity::Error, "vip", subject, finding)
                .because("packets for it come in there and are not balanced: this host takes them for its own")
                .fix(format!("add {stray:?} to `interfaces`, or move the VIP to one of {}", interfaces.join(", "))),
        );
    }
    let group =
        case.config.settings.pair.iter().flat_map(|pair| &pair.vip_groups).find(|group| group.vips.contains(&vip));
    if let Some(group) = group {
        return (!interfaces.contains(&group.interface)).then(|| {
            let finding = format!("the pair puts it on {}, where the XDP program does not run", group.interface);
            Finding::of(Severity::Error, "vip", subject, finding)
                .because("packets for it come in there and are not balanced")
                .fix(format!("add {:?} to `interfaces`, or have the group on another interface", group.interface))
        });
    }
    if case.config.settings.pair.is_some() {
        return None;
    }
    if case.facts.holders(vip).next().is_some() {
        return Some(Finding::ok("vip", subject, "this host has it"));
    }
    let length = if vip.is_ipv4() { 32 } else { 128 };
    let interface = interfaces.first().map_or("INTERFACE", String::as_str);
    Some(
        Finding::of(Severity::Warning, "vip", subject, "no interface of this host has it")
            .because("nobody answers for it: unless it is routed here, no packet for it comes")
            .fix(format!("ip address add {vip}/{length} dev {interface}")),
    )
}
