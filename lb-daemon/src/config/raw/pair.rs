//! `[pair]` and the tables below it.

mod path;

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use lb_config::{DeValue, Problems, Spanned, Table, ip_address, word};
use lb_core::pair::Role;

pub(in crate::config) use self::path::{RawPath, RawWay};
use super::super::{
    ACK_TIMEOUT_RANGE, ANNOUNCE_INTERVAL_RANGE, DRAIN_RANGE, FAILBACK_DELAY_RANGE, GATEWAY_INTERVAL_RANGE,
    HANDOVER_TIMEOUT_RANGE, HEARTBEAT_INTERVAL_RANGE, HOOK_TIMEOUT_RANGE, LEASE_RANGE, MISSED_LIMIT_RANGE, REALS_RANGE,
    RISE_FALL_RANGE, START_WAIT_RANGE, keys,
};
use super::text::command;

/// `[pair]`.
#[derive(Debug)]
pub(in crate::config) struct RawPair {
    /// Where to point when something is missing.
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) role: Role,
    pub(in crate::config) key_file: Option<Spanned<String>>,
    pub(in crate::config) timing: RawTiming,
    pub(in crate::config) rise: Option<u32>,
    pub(in crate::config) fall: Option<Spanned<u32>>,
    pub(in crate::config) lease: Option<Spanned<Duration>>,
    pub(in crate::config) preempt: Option<bool>,
    pub(in crate::config) failback_delay: Option<Duration>,
    pub(in crate::config) start_wait: Option<Spanned<Duration>>,
    pub(in crate::config) handover_timeout: Option<Duration>,
    pub(in crate::config) drain: Option<Spanned<Duration>>,
    pub(in crate::config) duplicate_detection: Option<bool>,
    pub(in crate::config) announce_interval: Option<Duration>,
    pub(in crate::config) paths: Vec<RawPath>,
    pub(in crate::config) vip_groups: Vec<RawVipGroup>,
    pub(in crate::config) track: RawTrack,
    pub(in crate::config) hooks: RawHooks,
}

/// Tb, n and W: of the pair, for the paths that have none of their own, or of a path.
#[derive(Debug, Default)]
pub(in crate::config) struct RawTiming {
    pub(in crate::config) heartbeat_interval: Option<Spanned<Duration>>,
    pub(in crate::config) missed_limit: Option<Spanned<u32>>,
    pub(in crate::config) ack_timeout: Option<Spanned<Duration>>,
}

/// A `[[pair.vip_group]]`.
#[derive(Debug)]
pub(in crate::config) struct RawVipGroup {
    pub(in crate::config) name: Spanned<String>,
    pub(in crate::config) interface: Spanned<String>,
    /// The whole list.
    pub(in crate::config) vips_span: Range<usize>,
    pub(in crate::config) vips: Vec<Spanned<IpAddr>>,
    pub(in crate::config) gateways: Vec<Spanned<IpAddr>>,
}

/// `[pair.track]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawTrack {
    /// `None`: the default.
    pub(in crate::config) interfaces: Option<Vec<Spanned<String>>>,
    pub(in crate::config) gateways: Vec<Spanned<IpAddr>>,
    pub(in crate::config) gateway_interval: Option<Duration>,
    pub(in crate::config) min_healthy_reals: Option<Spanned<u32>>,
}

/// `[pair.hooks]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawHooks {
    pub(in crate::config) notify: Option<Vec<String>>,
    pub(in crate::config) fence: Option<Vec<String>>,
    pub(in crate::config) timeout: Option<Duration>,
    /// With the place of its key.
    pub(in crate::config) fence_required: Option<Spanned<bool>>,
}

const ROLES: [(&str, Role); 2] = [("primary", Role::Primary), ("standby", Role::Standby)];

pub(super) fn pair(table: &Table<'_, '_>, problems: &mut Problems) -> Option<RawPair> {
    let role = word("role", table.required_string("role", "\"primary\"", problems), &ROLES, problems);
    let key_file = table.string("key_file", "\"/etc/understudy/keys\"", problems);
    let timing = timing(table, problems);
    let rise = table.integer("rise", RISE_FALL_RANGE, problems).map(Spanned::into_inner);
    let fall = table.integer("fall", RISE_FALL_RANGE, problems);
    let lease = table.duration("lease", LEASE_RANGE, "\"200ms\"", problems);
    let start_wait = table.duration("start_wait", START_WAIT_RANGE, "\"3s\"", problems);
    let drain = table.duration("drain", DRAIN_RANGE, "\"1s\"", problems);
    let mut duration =
        |key, range, example| table.duration(key, range, example, problems).map(Spanned::<Duration>::into_inner);
    let failback_delay = duration("failback_delay", FAILBACK_DELAY_RANGE, "\"30s\"");
    let handover_timeout = duration("handover_timeout", HANDOVER_TIMEOUT_RANGE, "\"5s\"");
    let announce_interval = duration("announce_interval", ANNOUNCE_INTERVAL_RANGE, "\"10s\"");
    let preempt = table.boolean("preempt", problems);
    let duplicate_detection = table.boolean("duplicate_detection", problems);
    let paths = each(table, "path", path::path, problems);
    let vip_groups = each(table, "vip_group", vip_group, problems);
    let track = table.table("track", &keys::TRACK, problems).map(|table| track(&table, problems));
    let hooks = table.table("hooks", &keys::HOOKS, problems).map(|table| hooks(&table, problems));
    Some(RawPair {
        span: table.span(),
        role: role?,
        key_file,
        timing,
        rise,
        fall,
        lease,
        preempt,
        failback_delay,
        start_wait,
        handover_timeout,
        drain,
        duplicate_detection,
        announce_interval,
        paths,
        vip_groups,
        track: track.unwrap_or_default(),
        hooks: hooks.unwrap_or_default(),
    })
}

fn timing(table: &Table<'_, '_>, problems: &mut Problems) -> RawTiming {
    RawTiming {
        heartbeat_interval: table.duration("heartbeat_interval", HEARTBEAT_INTERVAL_RANGE, "\"100ms\"", problems),
        missed_limit: table.integer("missed_limit", MISSED_LIMIT_RANGE, problems),
        ack_timeout: table.duration("ack_timeout", ACK_TIMEOUT_RANGE, "\"25ms\"", problems),
    }
}

/// The tables of an array below `[pair]` that can be read.
fn each<T>(
    table: &Table<'_, '_>,
    key: &str,
    read: impl Fn(&Spanned<DeValue<'_>>, &mut Problems) -> Option<T>,
    problems: &mut Problems,
) -> Vec<T> {
    let example = format!("[[pair.{key}]] on a line of its own, and below it the keys");
    table.array(key, &example, problems).iter().filter_map(|value| read(value, problems)).collect()
}

fn vip_group(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawVipGroup> {
    let table = Table::from_value(&keys::VIP_GROUP, value, problems)?;
    let example = "[\"192.0.2.1\"]";
    let name = table.required_string("name", "\"public\"", problems);
    let interface = table.required_string("interface", "\"eth0\"", problems);
    let vips_span = table.required("vips", example, problems)?.span();
    let mut addresses = |key: &str| -> Vec<Spanned<IpAddr>> {
        let texts = table.strings(key, example, problems);
        texts.iter().filter_map(|text| ip_address(key, text, example, problems)).collect()
    };
    let (vips, gateways) = (addresses("vips"), addresses("gateways"));
    Some(RawVipGroup { name: name?, interface: interface?, vips_span, vips, gateways })
}

fn track(table: &Table<'_, '_>, problems: &mut Problems) -> RawTrack {
    let example = "[\"192.0.2.1\"]";
    let interfaces = table.get("interfaces").map(|_| table.strings("interfaces", "[\"eth0\"]", problems));
    let gateways = table.strings("gateway", example, problems);
    RawTrack {
        interfaces,
        gateways: gateways.iter().filter_map(|text| ip_address("gateway", text, example, problems)).collect(),
        gateway_interval: table
            .duration("gateway_interval", GATEWAY_INTERVAL_RANGE, "\"1s\"", problems)
            .map(Spanned::into_inner),
        min_healthy_reals: table.integer("min_healthy_reals", 0..=*REALS_RANGE.end(), problems),
    }
}

fn hooks(table: &Table<'_, '_>, problems: &mut Problems) -> RawHooks {
    let example = "[\"/usr/local/bin/hook\", \"--fast\"]";
    let fence_required = table.boolean("fence_required", problems);
    RawHooks {
        notify: command(table, "notify", example, problems),
        fence: command(table, "fence", example, problems),
        timeout: table.duration("timeout", HOOK_TIMEOUT_RANGE, "\"10s\"", problems).map(Spanned::into_inner),
        fence_required: fence_required
            .zip(table.key_span("fence_required"))
            .map(|(value, span)| Spanned::new(span, value)),
    }
}
