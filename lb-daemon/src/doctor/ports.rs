//! Ports: those of `lbd` that somebody else has, and those of services that a program of this host waits on.

use std::net::{IpAddr, SocketAddr};

use lb_core::api::{Finding, Severity};
use lb_core::service::{Ports, Protocol, Service};

use super::case::Case;
use crate::config::{Config, Way};

/// Where lbd listens.
struct Own {
    /// The configuration's key.
    key: &'static str,
    tcp: bool,
    address: SocketAddr,
    /// What comes of it when somebody else has the port.
    loss: &'static str,
}

/// Of lbd's own ports, unless an lbd runs and has them itself; and of the services'.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let own = if case.running.is_none() && !case.runs_elsewhere { own(&case.config) } else { Vec::new() };
    let taken = own.iter().filter_map(|own| taken(case, own));
    taken.chain(case.config.cluster.services().iter().filter_map(|service| shadowed(case, service))).collect()
}

fn own(config: &Config) -> Vec<Own> {
    let settings = &config.settings;
    let reports = settings.reports.iter().flat_map(|reports| &reports.listen);
    let loss = "lbd cannot take reports there, and does not start";
    let mut all: Vec<Own> =
        reports.map(|address| Own { key: "reports.listen", tcp: false, address: *address, loss }).collect();
    let loss = "the page and the metrics are not served until the port is free";
    all.extend(settings.http.iter().map(|address| Own { key: "http.listen", tcp: true, address: *address, loss }));
    let paths = settings.pair.iter().flat_map(|pair| &pair.paths);
    let loss = "the path to the peer stays down";
    all.extend(paths.filter_map(|path| match &path.way {
        Way::Udp(way) => Some(Own { key: "pair.path.local", tcp: false, address: way.local, loss }),
        Way::Serial(_) => None,
    }));
    all
}

fn taken(case: &Case, own: &Own) -> Option<Finding> {
    let port = own.address.port();
    let is_in_the_way =
        |tcp: bool, other: SocketAddr| tcp == own.tcp && other.port() == port && overlap(other.ip(), own.address.ip());
    let other = case.facts.listeners.iter().find(|other| is_in_the_way(other.tcp, other.address))?.address;
    let (word, flags) = if own.tcp { ("TCP", "-lntp") } else { ("UDP", "-lnup") };
    let subject = format!("{} {}", own.key, own.address);
    Some(
        Finding::of(Severity::Error, "port", subject, format!("{word} {other} is taken"))
            .because(own.loss)
            .fix(format!("see who has it: ss {flags} 'sport = :{port}'; stop it, or give lbd another port")),
    )
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// Whoever listens everywhere listens at a prefix that is routed here at none of its addresses: they are not this host's.
fn is_in_the_way(listens: IpAddr, service: &Service) -> bool {
    if service.vip_prefix.is_some() { service.has_vip(listens) } else { overlap(listens, service.vip) }
}

/// A program of this host waits on the port of a service: what clients send never comes to it.
fn shadowed(case: &Case, service: &Service) -> Option<Finding> {
    let tcp = service.protocol == Protocol::Tcp;
    let has = |port: u16| match service.ports {
        Ports::Single(own) => own == port,
        Ports::Range(first, last) => (first..=last).contains(&port),
        // Whoever balances every port knows that this host's own are among them.
        Ports::Any => false,
    };
    let taken =
        case.facts.listeners.iter().find(|other| {
            other.tcp == tcp && has(other.address.port()) && is_in_the_way(other.address.ip(), service)
        })?;
    let subject = format!("service {}", service.name);
    let vip = service.vips().brief();
    let finding = format!("a program of this host listens on {} as well", taken.address);
    Some(
        Finding::of(Severity::Warning, "port", subject, finding)
            .because(format!("packets for {vip} go to the reals: that program gets none of them"))
            .fix(format!("have it listen on another address than {vip}, or on another port")),
    )
}
