//! Each path by itself, and the paths beside each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use lb_config::{Diagnostic, Problems, Spanned, absolute_path, duration_text};
use lb_core::pair::MAX_PATHS;

use super::super::super::pair::line;
use super::super::super::raw::{RawPair, RawPath, RawService, RawTiming, RawWay};
use super::super::super::{
    DEFAULT_ACK_TIMEOUT_PERCENT, DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_MISSED_LIMIT, DEFAULT_PATH_FALL_FACTOR,
    DEFAULT_PATH_RISE, LEAST_DEFAULT_ACK_TIMEOUT, PathSettings, SerialWay, UdpWay, Way,
};
use super::super::refuse_interface_name;

pub(super) fn paths(pair: &RawPair, services: &[RawService], problems: &mut Problems) -> Vec<PathSettings> {
    if pair.paths.is_empty() {
        let help = "add a table [[pair.path]] for each way to the peer: two NICs and a serial line are good";
        problems.add(Diagnostic::new(pair.span.clone(), "the pair has no paths", "no `[[pair.path]]`", help));
    }
    if let Some(surplus) = pair.paths.get(MAX_PATHS) {
        let title = format!("there are {} paths", pair.paths.len());
        problems.add(Diagnostic::new(surplus.span.clone(), title, "one too many", format!("{MAX_PATHS} can be")));
    }
    refuse_shared(&pair.paths, problems);
    refuse_own_peers(&pair.paths, problems);
    pair.paths.iter().filter_map(|path| one(path, pair, services, problems)).collect()
}

fn one(raw: &RawPath, pair: &RawPair, services: &[RawService], problems: &mut Problems) -> Option<PathSettings> {
    let timing = &raw.timing;
    let interval = either(&timing.heartbeat_interval, &pair.timing.heartbeat_interval);
    let interval = interval.unwrap_or(DEFAULT_HEARTBEAT_INTERVAL);
    let missed_limit = either(&timing.missed_limit, &pair.timing.missed_limit).unwrap_or(DEFAULT_MISSED_LIMIT);
    let (way, ack_timeout) = match &raw.way {
        RawWay::Udp { interface, local, peer } => {
            refuse_interface_name(interface, problems);
            refuse_addresses(local, peer, services, problems);
            let way = UdpWay { interface: interface.get_ref().clone(), local: *local.get_ref(), peer: *peer.get_ref() };
            (Way::Udp(way), udp_ack_timeout(raw, &pair.timing, interval, problems))
        }
        RawWay::Serial { device, baud } => {
            let device = absolute_path("device", device.clone(), "\"/dev/ttyS0\"", problems);
            let ack_timeout = serial_ack_timeout(raw, baud, interval, problems)?;
            (Way::Serial(SerialWay { device, baud: *baud.get_ref() }), ack_timeout)
        }
    };
    let rise = pair.rise.unwrap_or(DEFAULT_PATH_RISE);
    let fall = fall(pair, &way, missed_limit, problems);
    Some(PathSettings { way, interval, ack_timeout, missed_limit, rise, fall })
}

fn either<T: Copy>(own: &Option<Spanned<T>>, pairs: &Option<Spanned<T>>) -> Option<T> {
    own.as_ref().or(pairs.as_ref()).map(|value| *value.get_ref())
}

fn udp_ack_timeout(raw: &RawPath, pair: &RawTiming, interval: Duration, problems: &mut Problems) -> Duration {
    let good = (interval * DEFAULT_ACK_TIMEOUT_PERCENT / 100).max(LEAST_DEFAULT_ACK_TIMEOUT);
    let given = raw.timing.ack_timeout.as_ref().or(pair.ack_timeout.as_ref());
    if let Some(given) = given.filter(|given| *given.get_ref() >= interval) {
        problems.add(too_long(given, interval, good));
    }
    given.map_or(good, |given| *given.get_ref())
}

fn too_long(given: &Spanned<Duration>, interval: Duration, good: Duration) -> Diagnostic {
    Diagnostic::new(
        given.span(),
        "`ack_timeout` is not shorter than the interval of the path",
        format!("heartbeat_interval is {}", duration_text(interval)),
        format!("remove it, or write ack_timeout = \"{}\"", duration_text(good)),
    )
}

/// What the line leaves time for.
fn serial_ack_timeout(
    raw: &RawPath,
    baud: &Spanned<u32>,
    interval: Duration,
    problems: &mut Problems,
) -> Option<Duration> {
    let rate = *baud.get_ref();
    let Some(good) = line::ack_timeout(rate, interval) else {
        problems.add(too_slow(raw, baud, interval));
        return None;
    };
    let Some(given) = &raw.timing.ack_timeout else { return Some(good) };
    if *given.get_ref() >= interval {
        problems.add(too_long(given, interval, good));
    }
    if super::super::super::pair::micros(*given.get_ref()) < line::round_trip_us(rate) {
        problems.add(Diagnostic::new(
            given.span(),
            format!("no ack can come in {} at {rate} baud", duration_text(*given.get_ref())),
            time_needed(rate),
            "remove it: the default suits the line",
        ));
    }
    Some(*given.get_ref())
}

fn too_slow(raw: &RawPath, baud: &Spanned<u32>, interval: Duration) -> Diagnostic {
    let rate = *baud.get_ref();
    let faster = line::least_baud(interval)
        .map(|least| format!(", or have both ends of the line run at {least} baud or more"))
        .unwrap_or_default();
    Diagnostic::new(
        raw.timing.heartbeat_interval.as_ref().map_or_else(|| baud.span(), Spanned::span),
        format!("a heartbeat_interval of {} leaves no time for the frames at {rate} baud", duration_text(interval)),
        time_needed(rate),
        format!(
            "give this path a heartbeat_interval of its own of \"{}\" or more{faster}",
            duration_text(line::least_interval(rate))
        ),
    )
}

fn time_needed(baud: u32) -> String {
    format!("an ask and its ack take {:.1} ms on the line", line::round_trip_us(baud) as f64 / 1e3)
}

fn fall(pair: &RawPair, way: &Way, missed_limit: u32, problems: &mut Problems) -> u32 {
    let Some(fall) = &pair.fall else { return missed_limit * DEFAULT_PATH_FALL_FACTOR };
    if *fall.get_ref() < missed_limit {
        problems.add(Diagnostic::new(
            fall.span(),
            format!("`fall` is less than the missed_limit of path {way}"),
            format!("missed_limit is {missed_limit}"),
            format!("write fall = {missed_limit} or more"),
        ));
    }
    *fall.get_ref()
}

fn refuse_addresses(
    local: &Spanned<SocketAddr>,
    peer: &Spanned<SocketAddr>,
    services: &[RawService],
    problems: &mut Problems,
) {
    for (key, address) in [("local", local), ("peer", peer)] {
        let ip = address.get_ref().ip();
        let vip = services.iter().find(|service| service.vip.get_ref().contains(ip));
        if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_broadcast(ip) {
            let help = "write the address that the node has on the interface of this path";
            let title = format!("`{key}` cannot be {ip}");
            problems.add(Diagnostic::new(address.span(), title, "not the address of one node", help));
        } else if let Some(service) = vip {
            let title = format!("`{key}` is the VIP of service {:?}", service.name.get_ref());
            let help = "write an address that stays on its node";
            problems.add(Diagnostic::new(address.span(), title, "moves between the nodes", help));
        }
    }
    if local.get_ref().is_ipv4() != peer.get_ref().is_ipv4() {
        let title = format!("no packet can go from {} to {}", local.get_ref().ip(), peer.get_ref().ip());
        let help = "give both ends of the path an address of the same family";
        problems.add(Diagnostic::new(peer.span(), title, "of another family than `local`", help));
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

/// Notes what two paths cannot both use.
fn refuse_shared(paths: &[RawPath], problems: &mut Problems) {
    let mut locals: HashMap<SocketAddr, Range<usize>> = HashMap::new();
    let mut devices: HashMap<PathBuf, Range<usize>> = HashMap::new();
    for path in paths {
        let (first, what, span) = match &path.way {
            RawWay::Udp { local, .. } => {
                (locals.insert(*local.get_ref(), local.span()), format!("address {}", local.get_ref()), local.span())
            }
            RawWay::Serial { device, .. } => {
                let name = device.get_ref().clone();
                (devices.insert(name.clone().into(), device.span()), format!("device {name}"), device.span())
            }
        };
        if let Some(first) = first {
            let diagnostic = Diagnostic::new(span, format!("two paths have the {what}"), "here again", "remove one");
            problems.add(diagnostic.with_context(first, "first here"));
        }
    }
}

/// Notes a peer that is this node itself.
fn refuse_own_peers(paths: &[RawPath], problems: &mut Problems) {
    let ends = || {
        paths.iter().filter_map(|path| match &path.way {
            RawWay::Udp { local, peer, .. } => Some((local, peer)),
            RawWay::Serial { .. } => None,
        })
    };
    for (_, peer) in ends() {
        if let Some((local, _)) = ends().find(|(local, _)| local.get_ref().ip() == peer.get_ref().ip()) {
            let title = format!("`peer` is this node's own address {}", peer.get_ref().ip());
            let help = "write the address of the other node";
            let diagnostic = Diagnostic::new(peer.span(), title, "not the peer's", help);
            problems.add(diagnostic.with_context(local.span(), "this node's own"));
        }
    }
}
