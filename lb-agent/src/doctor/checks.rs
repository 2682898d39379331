//! What `lb-agent doctor` looks at beside the steps of a setup.

use std::net::IpAddr;
use std::path::Path;

use lb_core::api::{Finding, Severity};

use super::finding::{bad, ok};
use crate::agent;
use crate::config::{Config, DEFAULT_CONFIG};
use crate::setup::clamp::outer_headers;
use crate::setup::facts::Facts;
use crate::setup::plan::{Unclear, interface, outer_is_v6};
use crate::setup::{Mode, Wish};

/// Bytes of a packet that every IPv6 link must carry, and that hosts send without asking.
const LEAST_MTU: u32 = 1280;
/// The checks of servers, and of the agent itself.
const LISTENER: &str = "listener";
const CONFIGURATION: &str = "configuration";

/// Nothing says what the host shall be prepared for.
pub(super) fn nothing_named() -> Finding {
    bad(
        Severity::Warning,
        "setup",
        "the host is prepared for VIPs".to_owned(),
        "no VIP was named, and no setup is recorded: only the agent's configuration was looked at",
        "a real server needs its VIPs",
        "lb-agent doctor --mode dsr|ipip|gue --vip ADDRESS".to_owned(),
    )
}

/// Whether packets that every host may send fit into the tunnel.
pub(super) fn narrow_tunnel(wish: &Wish, facts: &Facts) -> Result<Option<Finding>, Unclear> {
    let Some(link) = facts.link(interface(wish, facts)?) else { return Ok(None) };
    if wish.mode == Mode::Dsr {
        return Ok(None);
    }
    let mut header = 0;
    for vip in &wish.vips {
        header = header.max(outer_headers(wish.mode, outer_is_v6(*vip, wish.address, Some(link))?));
    }
    Ok((link.mtu.saturating_sub(header) < LEAST_MTU).then(|| {
        bad(
            Severity::Warning,
            "mtu",
            format!("packets of {LEAST_MTU} bytes fit into the tunnel through {}", link.name),
            &format!("the MTU is {}, and the outer headers take {header} bytes", link.mtu),
            "IPv6 hosts send packets of this size without asking whether they fit",
            format!("give {} and the way to it an MTU of at least {}", link.name, LEAST_MTU + header),
        )
    }))
}

/// Whether servers listen for a VIP: on the named ports; without any, on those where one listens on another address of this
/// host alone.
pub(super) fn listeners(vip: IpAddr, ports: &[u16], facts: &Facts) -> Vec<Finding> {
    let serves = |port: u16| facts.listeners.iter().any(|on| on.port() == port && takes(on.ip(), vip));
    let what = |port: u16| format!("a server listens on port {port} of {vip}");
    let why = "connections to the VIP are refused otherwise";
    if !ports.is_empty() {
        let named = ports.iter().map(|port| match serves(*port) {
            true => ok(LISTENER, what(*port)),
            false => bad(Severity::Error, LISTENER, what(*port), "none does", why, fix(vip)),
        });
        return named.collect();
    }
    let elsewhere = facts.listeners.iter().filter(|on| {
        on.is_ipv4() == vip.is_ipv4() && !on.ip().is_loopback() && !on.ip().is_unspecified() && !serves(on.port())
    });
    let warn = |on: &std::net::SocketAddr| {
        bad(Severity::Warning, LISTENER, what(on.port()), &format!("it listens on {} alone", on.ip()), why, fix(vip))
    };
    let findings: Vec<Finding> = elsewhere.map(warn).collect();
    let anything = facts.listeners.iter().any(|on| takes(on.ip(), vip));
    if findings.is_empty() && !anything { vec![silent(vip)] } else { findings }
}

fn silent(vip: IpAddr) -> Finding {
    let what = format!("a server listens on {vip}");
    let now = "none does over TCP, and UDP is not looked at";
    bad(Severity::Warning, LISTENER, what, now, "connections to the VIP are refused otherwise", fix(vip))
}

fn fix(vip: IpAddr) -> String {
    format!("let the server listen on {vip} or on all addresses")
}

/// Whether a socket on an address takes connections to the VIP. One on all IPv6 addresses takes IPv4 too, usually.
fn takes(on: IpAddr, vip: IpAddr) -> bool {
    on == vip || (on.is_unspecified() && (on.is_ipv6() || vip.is_ipv4()))
}

/// Whether the agent can run. A host may be a real server without it, unless a file was named.
pub(super) fn configuration(named: Option<&Path>) -> Finding {
    let path = named.unwrap_or(Path::new(DEFAULT_CONFIG));
    let what = format!("the agent's configuration {} is right", path.display());
    let why = "without the agent the load balancers do not learn how busy this server is";
    if named.is_none() && !path.exists() {
        let fix = "write it, or name another with --config".to_owned();
        return bad(Severity::Warning, CONFIGURATION, what, "there is none", why, fix);
    }
    match check(path) {
        Ok(()) => ok(CONFIGURATION, what),
        Err(error) => {
            let fix = format!("lb-agent check --config {}", path.display());
            bad(Severity::Error, CONFIGURATION, what, &format!("{error:#}"), why, fix)
        }
    }
}

fn check(path: &Path) -> anyhow::Result<()> {
    agent::read_keys(&Config::load(path)?).map(drop)
}
