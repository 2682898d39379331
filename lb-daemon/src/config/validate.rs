//! From the values of a file to a configuration that cannot be wrong: what values mean together.

mod checkpoint;
mod cluster;
mod monitoring;
mod pair;
mod quic;
mod tunnel;

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use lb_config::{Diagnostic, Problems, Spanned, absolute_path, refuse_repeated};

use super::raw::{RawConfig, RawHttp, RawReports};
use super::{
    AttachMode, CheckpointSettings, Config, DEFAULT_BPF_DIR, DEFAULT_FLOW_IDLE_TIMEOUT, DEFAULT_KEY_FILE,
    DEFAULT_LISTEN, DEFAULT_MONITOR_INTERVAL, DEFAULT_RATE_LIMIT, DEFAULT_REALS, DEFAULT_RUN_DIR, DEFAULT_STATE_DIR,
    Group, Host, Limits, LogLevel, MAX_INTERFACES, Origin, PairSettings, ReportSettings, SOCKET_NAME, Settings,
};

pub(super) use quic::ReadKey;

/// Longest path of a unix socket, in bytes: `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;
/// Longest name of a network interface, in bytes (IFNAMSIZ without its final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// The configuration, unless something is wrong with it, which is then among the problems.
///
/// Services and reals are checked together only when each of them could be read: otherwise one wrong line would be
/// followed by errors about everything that refers to it.
pub(super) fn validate(raw: RawConfig, host: &Host<'_>, problems: &mut Problems) -> Option<Config> {
    let all_read = problems.is_empty();
    let limits = Limits {
        reals: raw.max_reals.unwrap_or(DEFAULT_REALS),
        flows: raw.max_flows.unwrap_or(lb_common::DEFAULT_MAX_FLOWS),
    };
    if all_read && raw.reals.len() > limits.reals as usize {
        problems.add(too_many_reals(&raw, limits.reals));
    }
    let cluster = if all_read { cluster::cluster(&raw, host.quic_key, problems) } else { None };
    let tunnel = tunnel::tunnel(&raw.tunnel, problems);
    let cluster = cluster.map(|cluster| cluster.with_gateways(pair::gateways(&raw)).with_tunnel(tunnel));
    let monitoring = if all_read { monitoring::monitoring(&raw, problems) } else { None };
    let pair = if all_read { pair::pair(&raw, problems) } else { None };
    let checkpoint = if all_read { checkpoint::checkpoint(&raw, pair.as_ref(), problems) } else { None };
    let settings = settings(raw, pair, checkpoint, limits, host.group_id, problems);
    Some(Config { cluster: cluster?, monitoring: monitoring?, settings, origin: Origin::default() })
}

fn settings(
    raw: RawConfig,
    pair: Option<PairSettings>,
    checkpoint: Option<CheckpointSettings>,
    limits: Limits,
    group_id: &dyn Fn(&str) -> Option<u32>,
    problems: &mut Problems,
) -> Settings {
    Settings {
        interfaces: interfaces(raw.interfaces_span, raw.interfaces, problems),
        attach_mode: raw.attach_mode.unwrap_or(AttachMode::Auto),
        state_dir: path("state_dir", raw.state_dir, DEFAULT_STATE_DIR, problems),
        run_dir: run_dir(raw.run_dir, problems),
        bpf_dir: path("bpf_dir", raw.bpf_dir, DEFAULT_BPF_DIR, problems),
        flow_idle_timeout: raw.flow_idle_timeout.unwrap_or(DEFAULT_FLOW_IDLE_TIMEOUT),
        monitor_interval: raw.monitor_interval.unwrap_or(DEFAULT_MONITOR_INTERVAL),
        reports: raw.reports.map(|reports| report_settings(reports, problems)),
        pair,
        checkpoint,
        limits,
        api_group: raw.api.group.and_then(|name| group(name, group_id, problems)),
        api_readers: raw.api.readers.and_then(|name| group(name, group_id, problems)),
        http: raw.http.map(|http| http_addresses(http, problems)).unwrap_or_default(),
        log: raw.log.unwrap_or(LogLevel::Info),
        bpf_log: raw.bpf_log.unwrap_or(false),
    }
}

fn interfaces(span: Range<usize>, names: Vec<Spanned<String>>, problems: &mut Problems) -> Vec<String> {
    if span.is_empty() {
        return Vec::new();
    }
    if names.is_empty() && problems.is_empty() {
        problems.add(Diagnostic::new(
            span.clone(),
            "`interfaces` is empty",
            "no interface",
            "name the interface that clients' packets come in by, as in interfaces = [\"eth0\"]",
        ));
    }
    if names.len() > MAX_INTERFACES {
        problems.add(Diagnostic::new(
            span,
            format!("`interfaces` has {} entries", names.len()),
            "too many",
            format!("it can have {MAX_INTERFACES}"),
        ));
    }
    refuse_repeated("interface", &names, problems);
    names.iter().for_each(|name| refuse_interface_name(name, problems));
    names.into_iter().map(Spanned::into_inner).collect()
}

fn refuse_interface_name(name: &Spanned<String>, problems: &mut Problems) {
    if !is_interface_name(name.get_ref()) {
        problems.add(Diagnostic::new(
            name.span(),
            format!("not a name of an interface: {:?}", name.get_ref()),
            "no interface can have this name",
            format!("a name has 1 to {MAX_INTERFACE_NAME} bytes and neither spaces, slashes nor colons; `ip link` lists the interfaces"),
        ));
    }
}

/// What the kernel takes for a name (`dev_valid_name`).
fn is_interface_name(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace())
}

fn path(key: &str, path: Option<Spanned<String>>, default: &str, problems: &mut Problems) -> PathBuf {
    match path {
        Some(path) => absolute_path(key, path, &format!("{default:?}"), problems),
        None => PathBuf::from(default),
    }
}

fn run_dir(path: Option<Spanned<String>>, problems: &mut Problems) -> PathBuf {
    let longest = MAX_SOCKET_PATH - SOCKET_NAME.len() - 1;
    if let Some(path) = &path
        && path.get_ref().len() > longest
    {
        problems.add(Diagnostic::new(
            path.span(),
            "`run_dir` is too long",
            format!("{} bytes", path.get_ref().len()),
            format!("a unix socket's path is short: `run_dir` can have {longest} bytes"),
        ));
    }
    self::path("run_dir", path, DEFAULT_RUN_DIR, problems)
}

fn report_settings(raw: RawReports, problems: &mut Problems) -> ReportSettings {
    let listen = raw.listen.unwrap_or_default();
    refuse_repeated("address", &listen, problems);
    let listen: Vec<SocketAddr> = listen.into_iter().map(Spanned::into_inner).collect();
    ReportSettings {
        listen: if listen.is_empty() { vec![DEFAULT_LISTEN] } else { listen },
        key_file: path("key_file", raw.key_file, DEFAULT_KEY_FILE, problems),
        rate_limit: raw.rate_limit.unwrap_or(DEFAULT_RATE_LIMIT),
    }
}

fn http_addresses(raw: RawHttp, problems: &mut Problems) -> Vec<SocketAddr> {
    refuse_repeated("address", &raw.listen, problems);
    raw.listen.into_iter().map(Spanned::into_inner).collect()
}

fn group(name: Spanned<String>, group_id: &dyn Fn(&str) -> Option<u32>, problems: &mut Problems) -> Option<Group> {
    let gid = group_id(name.get_ref());
    if gid.is_none() {
        problems.add(Diagnostic::new(
            name.span(),
            format!("this host has no group {:?}", name.get_ref()),
            "unknown group",
            format!("make it with `groupadd --system {}`, or name a group that `getent group` lists", name.get_ref()),
        ));
    }
    Some(Group { gid: gid?, name: name.into_inner() })
}

fn too_many_reals(raw: &RawConfig, limit: u32) -> Diagnostic {
    let span = raw.reals.get(limit as usize).map_or(0..0, |real| real.name.span());
    let help = format!("raise `limits.reals` to {} or more; it takes a restart of lbd", raw.reals.len());
    Diagnostic::new(span, format!("{} reals, and `limits.reals` is {limit}", raw.reals.len()), "one too many", help)
}
