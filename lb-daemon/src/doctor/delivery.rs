//! Sends a packet to each real as a client's would be sent there, addressed to the VIP, and says what is in the way: the VIP that
//! is not on the real, a server that does not listen there, a NAT.

mod hops;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::StreamExt as _;
use lb_core::api::{Finding, Severity};
use lb_core::check::{Check, Kind, Target, Via};
use lb_core::service::{Mode, Protocol};

use super::case::Case;
use crate::checks;

/// Most of them; further reals are not tried.
pub(super) const MAX_DELIVERIES: usize = 128;
/// Under way at once.
const AT_ONCE: usize = 16;
/// How long one may take, in milliseconds.
const PATIENCE_MS: u64 = 700;

/// How reasons begin that say something of this host, and nothing of the real.
const NOT_TRIED: [&str; 2] = ["this host has no", "cannot "];

/// What came of it, for one real in one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) service: String,
    pub(super) real: String,
    pub(super) address: IpAddr,
    pub(super) vip: IpAddr,
    pub(super) port: u16,
    pub(super) mode: Mode,
    /// Whether the VIP answered, by the service's own way; else why not.
    pub(super) by_service: Result<(), String>,
    /// Whether the real answered on its own address; none where that was not tried.
    pub(super) by_address: Option<Result<(), String>>,
    /// A box between this host and the server passes packets on, though they are on one link.
    pub(super) behind: bool,
}

/// Tries each real of each TCP service that has one port, where the way is known.
pub(super) async fn try_all(case: &Case) -> Vec<Delivery> {
    let targets: Vec<(Target, bool)> = targets(case).into_iter().take(MAX_DELIVERIES).collect();
    futures_util::stream::iter(targets).map(|(target, near)| deliver(target, near)).buffered(AT_ONCE).collect().await
}

/// Each with whether the real is on a link of this host.
fn targets(case: &Case) -> Vec<(Target, bool)> {
    let check = Arc::new(Check {
        name: "doctor".to_owned(),
        kind: Kind::Tcp,
        port: None,
        interval_ms: PATIENCE_MS * 2,
        timeout_ms: PATIENCE_MS,
        rise: 1,
        fall: 1,
        via: Via::Service,
        source: None,
    });
    let mut targets = Vec::new();
    for service in case.config.cluster.services().iter().filter(|service| service.protocol == Protocol::Tcp) {
        for member in &service.reals {
            let (Some(real), Some(way)) = (case.config.cluster.real(&member.real), case.ways.get(&member.real)) else {
                continue;
            };
            let (Some(next_hop), Some(port)) = (way.next_hop, service.real_port(member)) else { continue };
            let target = Target {
                check: check.clone(),
                service: service.name.clone(),
                real: real.name.clone(),
                address: real.address,
                vip: service.vip,
                port,
                protocol: service.protocol,
                mode: service.mode,
                next_hop: Some(next_hop),
                tunnel: *case.config.cluster.tunnel(),
            };
            targets.push((target, case.facts.is_on_link(real.address)));
        }
    }
    targets
}

async fn deliver(target: Target, near: bool) -> Delivery {
    let by_service = checks::once(&target).await;
    let refused = by_service.as_ref().is_err_and(|reason| reason.contains("refused"));
    let (mut by_address, mut behind) = (None, false);
    if by_service.is_err() && !refused && target.mode != Mode::Nat {
        let check = Arc::new(Check { via: Via::Address, ..(*target.check).clone() });
        let plain = checks::once(&Target { check, ..target.clone() }).await;
        if near && plain.is_ok() {
            behind = hops::is_behind(SocketAddr::new(target.address, target.port)).await;
        }
        by_address = Some(plain);
    }
    let Target { service, real, address, vip, port, mode, .. } = target;
    Delivery { service, real, address, vip, port, mode, by_service, by_address, behind }
}

/// What they come to.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    case.deliveries.iter().map(finding).collect()
}

fn finding(delivery: &Delivery) -> Finding {
    let Delivery { service, real, address, vip, port, mode, .. } = delivery;
    let subject = format!("real {real} in service {service}");
    let served_at = if *mode == Mode::Nat { address } else { vip };
    let Err(reason) = &delivery.by_service else {
        return Finding::ok(
            "delivery",
            subject,
            format!("it answers on port {port} of {served_at}, sent as clients' packets are"),
        );
    };
    if NOT_TRIED.iter().any(|words| reason.starts_with(words)) {
        return Finding::of(Severity::Notice, "delivery", subject, format!("it could not be tried: {reason}"))
            .because("whether clients that are sent there are answered is not known")
            .fix("give this host an address of that family towards the real, beside its VIPs; or ask as root");
    }
    if reason.contains("refused") {
        return Finding::of(
            Severity::Error,
            "delivery",
            subject,
            format!("no server listens on port {port} of {served_at} there"),
        )
        .because("connections of clients to this real are refused")
        .fix(format!("let the server on {address} listen on port {port} of {served_at} or of all addresses"));
    }
    if *mode == Mode::Nat {
        return silent(subject, format!("no answer on port {port} of {address}"), *address, *port)
            .fix("check that the real has a route to this host's addresses: its answers are for one of them here");
    }
    match &delivery.by_address {
        Some(Ok(())) if delivery.behind => {
            let finding = format!("{address} answers for a server behind it (NAT), and not for {vip}");
            Finding::of(Severity::Error, "nat", subject, finding)
                .because("packets for the VIP come to the box with the NAT, which does not pass them on")
                .fix("give the real the server's own address, with a route to it without NAT, and mode = \"ipip\"")
        }
        Some(Ok(())) => {
            let finding = format!("it answers on port {port} of {address}, and not on {vip} ({reason})");
            // A server for `gue` is one for `ipip` that listens for it beside that.
            let set_up = if *mode == Mode::Gue { Mode::Ipip } else { *mode };
            let gue = (*mode == Mode::Gue).then_some("for mode gue it also needs `ip fou add port PORT gue`");
            let mut found = Finding::of(Severity::Error, "delivery", subject, finding)
                .because("clients that are sent there wait in vain, and a check by address sees nothing of it")
                .fix(format!("on the real: lb-agent setup --mode {set_up} --vip {vip} --apply"))
                .fix(format!("or see what is missing: lb-agent doctor --mode {set_up} --vip {vip} --port {port}"));
            if let Some(gue) = gue {
                found = found.fix(gue);
            }
            found.fix("have `via = \"service\"` in its checks, so that lbd notices by itself")
        }
        _ => silent(subject, format!("no answer on port {port}, neither of {vip} nor of {address}"), *address, *port),
    }
}

fn silent(subject: String, finding: String, address: IpAddr, port: u16) -> Finding {
    Finding::of(Severity::Error, "delivery", subject, finding)
        .because("clients that are sent there wait in vain")
        .fix(format!("check that the server runs and that no firewall is in the way: nc -vz {address} {port}"))
}
