//! The ways to the reals: whether they are known, and whether packets fit.

use std::net::IpAddr;

use lb_core::api::{Finding, Severity};
use lb_core::service::Mode;

use super::case::{Case, Way};

/// What clients send over Ethernet, in bytes of an IP packet: larger ones have been through no internet.
const USUAL_MTU: u32 = 1500;
/// The event that counts packets that did not fit.
const TOO_BIG: &str = "too_big";

/// Of each real.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let reals = case.config.cluster.reals().iter();
    let mut findings = Vec::new();
    for real in reals {
        let Some(way) = case.ways.get(&real.name) else { continue };
        findings.push(next_hop(&real.name, real.address, way));
        findings.extend(room(case, &real.name, real.address, way));
    }
    findings
}

fn next_hop(real: &str, address: IpAddr, way: &Way) -> Finding {
    let subject = format!("real {real}");
    let interface = way.interface.as_deref().unwrap_or("an interface that is gone");
    match (&way.next_hop, way.note.as_str()) {
        (Some(_), "") => Finding::ok("next-hop", subject, format!("{address} is reached by {interface}")),
        (Some(_), note) => Finding::of(Severity::Warning, "next-hop", subject, format!("{address}: {note}"))
            .because("packets still go the way that was last known; if that is wrong they are lost")
            .fix(advice(address, note)),
        (None, note) => Finding::of(Severity::Error, "next-hop", subject, format!("{address}: no next hop: {note}"))
            .because("every packet for this real is dropped (`no_next_hop`)")
            .fix(advice(address, note)),
    }
}

fn advice(address: IpAddr, note: &str) -> String {
    let ip = if address.is_ipv4() { "ip" } else { "ip -6" };
    if note.contains("answer from") {
        return format!("check that the host is up, has the address and is on that link: ip neighbour show {address}");
    }
    if note.contains("mode dsr") {
        return "give its services mode = \"ipip\", or put the real on the same link".to_owned();
    }
    format!("do what the line says; {ip} route get {address} shows the way")
}

/// Whether a client's packet fits into the way.
fn room(case: &Case, real: &str, address: IpAddr, way: &Way) -> Option<Finding> {
    let mtu = way.next_hop?.mtu;
    let tunnelled = case.uses(real).any(Mode::is_tunnel);
    let outer = case.uses(real).map(|mode| mode.outer_length(address)).max()?;
    let wanted = incoming(case) + outer;
    let subject = format!("real {real}");
    let interface = way.interface.as_deref().unwrap_or("the interface");
    let too_big = case.count(TOO_BIG);
    if mtu >= wanted {
        return Some(Finding::ok("mtu", subject, format!("packets of {mtu} bytes fit, and {wanted} are needed")));
    }
    // What a tunnel on Ethernet lacks is usual, and clamped segments make up for it.
    let usual = mtu >= USUAL_MTU && too_big == 0;
    let severity = if usual { Severity::Notice } else { Severity::Warning };
    let seen = if too_big > 0 { format!("; {too_big} packets were too big so far") } else { String::new() };
    let finding = format!("the way by {interface} takes packets of {mtu} bytes, and {wanted} are needed{seen}");
    let mut finding = Finding::of(severity, "mtu", subject, finding)
        .because("larger packets are answered by ICMP \"too big\": where that is filtered, connections hang")
        .fix(format!("ip link set dev {interface} mtu {wanted}, and the same on the switch and on the real"));
    if tunnelled {
        finding = finding.fix("or have the real offer smaller segments: lb-agent setup --mode ipip does so");
    }
    Some(finding)
}

/// The largest packet of a client.
fn incoming(case: &Case) -> u32 {
    let links = case.config.settings.interfaces.iter().filter_map(|name| case.facts.link(name));
    // A way that is narrower than Ethernet is as a rule not the clients'.
    links.map(|link| link.mtu.min(USUAL_MTU)).max().unwrap_or(USUAL_MTU)
}
