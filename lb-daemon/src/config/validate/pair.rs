//! The pair: whether paths, VIPs and times fit together, and what the file leaves to the defaults.

mod paths;
mod vips;

use std::net::IpAddr;
use std::time::Duration;

use lb_config::{Diagnostic, Problems, Spanned, duration_text, refuse_repeated};

use super::super::pair::{line, micros};
use super::super::raw::{RawConfig, RawHooks, RawPair, RawTrack};
use super::super::{
    DEFAULT_ANNOUNCE_INTERVAL, DEFAULT_DRAIN, DEFAULT_FAILBACK_DELAY, DEFAULT_GATEWAY_INTERVAL,
    DEFAULT_HANDOVER_TIMEOUT, DEFAULT_HOOK_TIMEOUT, DEFAULT_KEY_FILE, DEFAULT_START_WAIT, HookSettings, LEASE_RANGE,
    MAX_GATEWAYS, PairSettings, PathSettings, TrackSettings, VipGroup, Way,
};
use super::{path, refuse_interface_name};

/// Addresses that move with the VIPs and that no service has.
pub(super) fn gateways(raw: &RawConfig) -> Vec<IpAddr> {
    let groups = raw.pair.iter().flat_map(|pair| &pair.vip_groups);
    groups.flat_map(|group| &group.gateways).map(|gateway| *gateway.get_ref()).collect()
}

/// The pair, unless something is wrong with it, which is then among the problems.
pub(super) fn pair(raw: &RawConfig, problems: &mut Problems) -> Option<PairSettings> {
    let pair = raw.pair.as_ref()?;
    let paths = paths::paths(pair, &raw.services, problems);
    let vip_groups = vips::vip_groups(raw, pair, problems);
    if !problems.is_empty() {
        return None;
    }
    Some(PairSettings {
        role: pair.role,
        key_file: path("key_file", pair.key_file.clone(), DEFAULT_KEY_FILE, problems),
        lease: lease(pair, &paths, problems),
        start_wait: start_wait(pair, &paths, problems),
        track: track(&pair.track, &vip_groups, raw.reals.len(), problems),
        hooks: hooks(&pair.hooks, problems),
        preempt: pair.preempt.unwrap_or(false),
        failback_delay: pair.failback_delay.unwrap_or(DEFAULT_FAILBACK_DELAY),
        drain: drain(pair, &paths, problems),
        handover_timeout: pair.handover_timeout.unwrap_or(DEFAULT_HANDOVER_TIMEOUT),
        duplicate_detection: pair.duplicate_detection.unwrap_or(true),
        announce_interval: pair.announce_interval.unwrap_or(DEFAULT_ANNOUNCE_INTERVAL),
        paths,
        vip_groups,
    })
}

/// An active node that is never heard again falls silent before the standby can know that it is gone.
fn lease(raw: &RawPair, paths: &[PathSettings], problems: &mut Problems) -> Duration {
    let good = paths.iter().map(|path| path.interval * (path.missed_limit - 1)).min().unwrap_or_default();
    let Some(lease) = &raw.lease else {
        if good < *LEASE_RANGE.start() {
            problems.add(too_fast_for_a_lease(raw, good));
        }
        return good.min(*LEASE_RANGE.end());
    };
    let earliest = paths.iter().map(earliest_takeover).min().unwrap_or_default();
    if *lease.get_ref() >= earliest {
        problems.add(Diagnostic::new(
            lease.span(),
            "`lease` is not shorter than the earliest takeover",
            format!("the peer may take over {:.1} ms after it was answered last", earliest.as_secs_f64() * 1e3),
            format!("remove it, or write lease = \"{}\" or less", duration_text(good)),
        ));
    }
    *lease.get_ref()
}

/// After the last answer that the peer got on this path: (n - 1) Tb, and W less the time that an ask takes to come.
fn earliest_takeover(path: &PathSettings) -> Duration {
    let underway = match &path.way {
        Way::Udp(_) => Duration::ZERO,
        Way::Serial(way) => Duration::from_micros(line::frame_time_us(way.baud)),
    };
    path.interval * (path.missed_limit - 1) + path.ack_timeout.saturating_sub(underway)
}

fn too_fast_for_a_lease(raw: &RawPair, lease: Duration) -> Diagnostic {
    let timing = [&raw.timing].into_iter().chain(raw.paths.iter().map(|path| &path.timing));
    let mut spans = timing.filter_map(|timing| {
        timing.missed_limit.as_ref().map(Spanned::span).or(timing.heartbeat_interval.as_ref().map(Spanned::span))
    });
    Diagnostic::new(
        spans.next_back().unwrap_or_else(|| raw.span.clone()),
        format!("the peer would take over so early that only a lease of {} is safe", duration_text(lease)),
        "too few misses, or too short an interval",
        format!(
            "a lease has to be {} or more: raise `missed_limit` or `heartbeat_interval`",
            duration_text(*LEASE_RANGE.start())
        ),
    )
}

/// A node that starts must have had the time to hear its peer.
fn start_wait(raw: &RawPair, paths: &[PathSettings], problems: &mut Problems) -> Duration {
    let needed = paths.iter().map(|path| path.interval * (path.missed_limit + 1)).max().unwrap_or_default();
    let Some(wait) = &raw.start_wait else { return DEFAULT_START_WAIT.max(needed) };
    if *wait.get_ref() < needed {
        problems.add(Diagnostic::new(
            wait.span(),
            "`start_wait` is shorter than it takes to find out that the peer is dead",
            "two nodes that start together would both serve",
            format!("remove it, or write start_wait = \"{}\" or more", duration_text(needed)),
        ));
    }
    *wait.get_ref()
}

/// A node that has given the VIPs up forwards until its peer serves: that hears of it by the slowest path where the others are cut.
fn drain(raw: &RawPair, paths: &[PathSettings], problems: &mut Problems) -> Duration {
    let slowest = paths.iter().map(|path| path.interval + 2 * path.ack_timeout).max().unwrap_or_default();
    let needed = Duration::from_millis(micros(slowest).div_ceil(1_000));
    let Some(drain) = &raw.drain else { return DEFAULT_DRAIN.max(needed) };
    if *drain.get_ref() < needed {
        problems.add(Diagnostic::new(
            drain.span(),
            "`drain` is shorter than it may take the peer to hear that it can serve",
            "packets would be lost in a handover by the slowest path",
            format!("remove it, or write drain = \"{}\" or more", duration_text(needed)),
        ));
    }
    *drain.get_ref()
}

fn track(raw: &RawTrack, groups: &[VipGroup], reals: usize, problems: &mut Problems) -> TrackSettings {
    refuse_repeated("gateway", &raw.gateways, problems);
    if let Some(surplus) = raw.gateways.get(MAX_GATEWAYS) {
        let title = format!("`gateway` has {} entries", raw.gateways.len());
        problems.add(Diagnostic::new(surplus.span(), title, "one too many", format!("it can have {MAX_GATEWAYS}")));
    }
    if let Some(least) = raw.min_healthy_reals.as_ref().filter(|least| *least.get_ref() as usize > reals) {
        let title = format!("`min_healthy_reals` is {}, and there are {reals} reals", least.get_ref());
        let help = "write a number that can be reached, or 0: the reals do not count";
        problems.add(Diagnostic::new(least.span(), title, "more than there are", help));
    }
    TrackSettings {
        interfaces: tracked(raw, groups, problems),
        gateways: raw.gateways.iter().map(|gateway| *gateway.get_ref()).collect(),
        gateway_interval: raw.gateway_interval.unwrap_or(DEFAULT_GATEWAY_INTERVAL),
        min_healthy_reals: raw.min_healthy_reals.as_ref().map_or(0, |least| *least.get_ref()),
    }
}

fn tracked(raw: &RawTrack, groups: &[VipGroup], problems: &mut Problems) -> Vec<String> {
    if let Some(names) = &raw.interfaces {
        refuse_repeated("interface", names, problems);
        names.iter().for_each(|name| refuse_interface_name(name, problems));
        return names.iter().map(|name| name.get_ref().clone()).collect();
    }
    let mut names: Vec<String> = groups.iter().map(|group| group.interface.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn hooks(raw: &RawHooks, problems: &mut Problems) -> HookSettings {
    let required = raw.fence_required.as_ref().filter(|required| *required.get_ref());
    if let Some(required) = required
        && raw.fence.is_none()
    {
        let help = "name the program, as in fence = [\"/usr/local/bin/fence\"], or remove `fence_required`";
        problems.add(Diagnostic::new(
            required.span(),
            "`fence_required` without a `fence`",
            "no takeover would ever succeed",
            help,
        ));
    }
    HookSettings {
        notify: raw.notify.clone(),
        fence: raw.fence.clone(),
        timeout: raw.timeout.unwrap_or(DEFAULT_HOOK_TIMEOUT),
        fence_required: required.is_some(),
    }
}
