//! The pair: whether the nodes hear each other on every path, with the same keys and versions, and what keeps them from it.

use std::net::IpAddr;

use lb_core::api::{Count, Finding, LeaseService, Pair, Path, PathState, PeerHealth, Severity, SyncState};

use super::case::Case;
use crate::config::{PathSettings, UdpWay, Way};

/// The value of `rp_filter` that takes packets only from where the routes lead back to.
const STRICT: u32 = 1;
/// Refusals that come of different keys, by their names.
const KEY_REFUSALS: [&str; 3] = ["unknown_key", "wrong_key", "bad_tag"];
/// Refusals on a path that come by accident now and then.
const FEW: u64 = 3;

/// Of a node of a pair; nothing for a solo node.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let Some(settings) = &case.config.settings.pair else { return Vec::new() };
    let mut findings: Vec<Finding> = settings.paths.iter().filter_map(|path| way_back(case, path)).collect();
    findings.extend(settings.paths.iter().filter_map(|path| device(case, path)));
    findings.extend(settings.warnings().into_iter().map(|line| {
        Finding::of(Severity::Warning, "paths", "the paths of the pair", line)
            .because("the paths are what keeps two nodes from serving at once: they must not fail together")
            .fix("see docs/pair.md: two network cards and a serial line")
    }));
    if let Some((pair, paths)) = case.running.as_ref().and_then(|running| running.pair.as_ref()) {
        findings.extend(paths.paths.iter().map(|known| path(case, known)));
        findings.push(keys(&paths.paths));
        findings.extend(peer(pair));
        findings.extend(version(pair));
        findings.extend(in_sync(pair));
        findings.extend(own(pair));
    }
    findings
}

/// Whether the kernel drops what comes from the peer, since the routes lead back elsewhere.
fn way_back(case: &Case, path: &PathSettings) -> Option<Finding> {
    let Way::Udp(UdpWay { interface, peer, .. }) = &path.way else { return None };
    let IpAddr::V4(peer) = peer.ip() else { return None };
    let link = case.facts.link(interface)?;
    let (_, routed) = case.facts.peer_routes.iter().find(|(address, _)| *address == peer)?;
    let subject = format!("path {}", path.way);
    if routed == interface {
        return Some(Finding::ok("rp-filter", subject, format!("the routes lead to {peer} by {interface}, too")));
    }
    let finding = format!("the routes lead to {peer} by {routed}, and rp_filter of {interface} is {}", link.rp_filter);
    if link.rp_filter != STRICT {
        return Some(Finding::ok("rp-filter", subject, finding));
    }
    Some(
        Finding::of(Severity::Error, "rp-filter", subject, finding)
            .because(format!("the kernel drops what comes from the peer by {interface}: the path is down"))
            .fix(format!("sysctl -w net.ipv4.conf.{interface}.rp_filter=2, and net.ipv4.conf.all.rp_filter below 2"))
            .fix(format!("or mend the route: ip route get {peer} shows it")),
    )
}

/// The interface of a path, which may be none of those that packets are balanced on.
fn device(case: &Case, path: &PathSettings) -> Option<Finding> {
    let interface = path.way.interface()?;
    let finding = match case.facts.link(interface) {
        None => "there is no such interface",
        Some(link) if !link.up => "it is down",
        Some(link) if !link.carrier => "it has no carrier",
        Some(_) => return None,
    };
    Some(
        Finding::of(Severity::Error, "path", format!("path {}", path.way), format!("interface {interface}: {finding}"))
            .because("the nodes do not hear each other by it")
            .fix(format!("ip link set dev {interface} up; look at its cable and its far end")),
    )
}

fn path(case: &Case, path: &Path) -> Finding {
    let subject = format!("path {}", path.name);
    if path.state != PathState::Down {
        let rtt = path.rtt.as_ref().map_or_else(String::new, |rtt| format!(", {:.2} ms", rtt.smoothed_ms));
        return Finding::ok("path", subject, format!("{}{rtt}", path.state));
    }
    let said = case.warnings(&subject).map(|warning| warning.message.clone()).next();
    let finding = path.problem.clone().or(said).unwrap_or_else(|| "down".to_owned());
    let heard = path.heard_ms.map_or("it was never heard", |_| "it was heard before");
    let serial = path.kind == lb_core::api::PathKind::Serial;
    let fix = match serial {
        true => "look at the cable (crossed, null modem), the device and its baud rate on both nodes: `lbd check`",
        false => "look at the cable and the switch; a firewall on either node must let the pair's UDP port in",
    };
    Finding::of(Severity::Error, "path", subject, format!("down, {heard}: {finding}"))
        .because("with fewer paths a fault of another one is taken for the peer's death")
        .fix(fix)
        .fix("ask the other node, too: lbctl doctor there")
}

fn keys(paths: &[Path]) -> Finding {
    let refused = |path: &Path| -> u64 {
        let of_keys = |count: &&Count| KEY_REFUSALS.contains(&count.name.as_str());
        path.refused.iter().filter(of_keys).map(|count| count.count).sum()
    };
    let worst = paths.iter().max_by_key(|path| refused(path)).filter(|path| refused(path) > FEW);
    let Some(worst) = worst else {
        return Finding::ok(
            "keys",
            "the keys of the pair",
            "what comes from the peer is signed with a key of this node's",
        );
    };
    let silent = paths.iter().all(|path| path.heard_ms.is_none());
    let severity = if silent { Severity::Error } else { Severity::Warning };
    let finding = format!("{} frames on {} were not signed with this node's keys", refused(worst), worst.name);
    Finding::of(severity, "keys", "the keys of the pair", finding)
        .because("a frame with another key is no sign of life: each node takes the other for dead")
        .fix("have the same `key_file` on both nodes (sha256sum it on both), then `lbctl reload` on both")
}

fn peer(pair: &Pair) -> Option<Finding> {
    Some(match pair.peer.health {
        PeerHealth::Alive => Finding::ok("peer", "the peer", "it is heard on every path"),
        PeerHealth::Degraded => Finding::of(Severity::Warning, "peer", "the peer", "it is heard on some paths only")
            .because("with fewer paths a fault of another one is taken for the peer's death")
            .fix("mend the paths that are down"),
        PeerHealth::Dead => Finding::of(Severity::Error, "peer", "the peer", "it is not heard on any path")
            .because("nobody would take over from this node")
            .fix("see that lbd runs there: systemctl status lbd; then mend the paths that are down"),
        PeerHealth::Unknown => return None,
    })
}

fn version(pair: &Pair) -> Option<Finding> {
    let (own, theirs) = (env!("CARGO_PKG_VERSION"), pair.peer.version.as_deref()?);
    Some(match own == theirs {
        true => Finding::ok("versions", "the versions of lbd", format!("both nodes have {own}")),
        false => {
            Finding::of(Severity::Notice, "versions", "the versions of lbd", format!("{own} here, {theirs} there"))
                .because("an upgrade is under way, or was left half done")
                .fix("bring both nodes to the same version: docs/pair.md says how, without a gap")
        }
    })
}

fn in_sync(pair: &Pair) -> Option<Finding> {
    let differ = matches!(pair.sync.state, SyncState::VipsDiffer | SyncState::ServicesDiffer);
    if !differ {
        return None;
    }
    Some(
        Finding::of(Severity::Error, "sync", "the configurations of the pair", pair.sync.reason.clone())
            .because("after a takeover some services would not be served, or otherwise")
            .fix("have the same services, reals and VIPs in both files, then `lbctl reload` on both nodes"),
    )
}

/// What keeps this node from serving as it should.
fn own(pair: &Pair) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(reason) = &pair.forbidden {
        findings.push(
            Finding::of(Severity::Error, "pair", "this node", format!("it must not serve: {reason}"))
                .because("it would not take over from its peer")
                .fix("do what the line says; `lbctl events` tells how it came"),
        );
    }
    if let Some(lacks) = &pair.lacks {
        findings.push(
            Finding::of(Severity::Warning, "pair", "this node", format!("fit by {} of 100: {lacks}", pair.fitness))
                .because("the fitter node serves")
                .fix("mend what it lacks"),
        );
    }
    if pair.lease.expired && pair.lease.service != LeaseService::Silent {
        findings.push(
            Finding::of(Severity::Error, "pair", "the lease", "it has ended, and the program is silent for the VIPs")
                .because("this node has heard neither its peer nor that it is dead")
                .fix("mend the paths"),
        );
    }
    if pair.held {
        findings.push(
            Finding::of(Severity::Notice, "pair", "this node", "an operator holds it back from becoming active")
                .because("it would not take over from its peer")
                .fix("lbctl hold off"),
        );
    }
    let handicap = |line: &String| {
        Finding::of(Severity::Warning, "heartbeats", "the heartbeats", line.clone())
            .because("on a busy host they come late, and the peer takes this node for dead")
            .fix("run lbd as root, or with CAP_SYS_NICE and CAP_IPC_LOCK")
    };
    findings.extend(pair.handicaps.iter().map(handicap));
    findings
}
