//! From the values of a file to a configuration that cannot be wrong: what values mean together.

use std::ops::Range;
use std::path::PathBuf;

use lb_config::{Diagnostic, Problems, Spanned, absolute_path, refuse_repeated, suggestion};
use lb_core::service::{Cluster, ClusterError, Member, Problem, Real, Service, Subject};

use super::raw::{RawConfig, RawMember, RawReal, RawService};
use super::{
    AttachMode, Config, DEFAULT_BPF_DIR, DEFAULT_FLOW_IDLE_TIMEOUT, DEFAULT_REALS, DEFAULT_RUN_DIR, DEFAULT_STATE_DIR,
    Group, Limits, LogLevel, MAX_INTERFACES, SOCKET_NAME, Settings,
};

/// Longest path of a unix socket, in bytes: `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;
/// Longest name of a network interface, in bytes (IFNAMSIZ without its final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// The configuration, unless something is wrong with it, which is then among the problems.
///
/// Services and reals are checked together only when each of them could be read: otherwise one wrong line would be
/// followed by errors about everything that refers to it.
pub(super) fn validate(
    raw: RawConfig,
    group_id: &dyn Fn(&str) -> Option<u32>,
    problems: &mut Problems,
) -> Option<Config> {
    let all_read = problems.is_empty();
    let limits = Limits {
        reals: raw.max_reals.unwrap_or(DEFAULT_REALS),
        flows: raw.max_flows.unwrap_or(lb_common::DEFAULT_MAX_FLOWS),
    };
    if all_read && raw.reals.len() > limits.reals as usize {
        problems.add(too_many_reals(&raw, limits.reals));
    }
    let cluster = if all_read { cluster(&raw, problems) } else { None };
    let settings = settings(raw, limits, group_id, problems);
    Some(Config { cluster: cluster?, settings })
}

fn settings(
    raw: RawConfig,
    limits: Limits,
    group_id: &dyn Fn(&str) -> Option<u32>,
    problems: &mut Problems,
) -> Settings {
    Settings {
        interfaces: interfaces(raw.interfaces_span, raw.interfaces, problems),
        attach_mode: raw.attach_mode.unwrap_or(AttachMode::Auto),
        state_dir: directory("state_dir", raw.state_dir, DEFAULT_STATE_DIR, problems),
        run_dir: run_dir(raw.run_dir, problems),
        bpf_dir: directory("bpf_dir", raw.bpf_dir, DEFAULT_BPF_DIR, problems),
        flow_idle_timeout: raw.flow_idle_timeout.unwrap_or(DEFAULT_FLOW_IDLE_TIMEOUT),
        limits,
        api_group: raw.api_group.and_then(|name| group(name, group_id, problems)),
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
    for name in &names {
        if !is_interface_name(name.get_ref()) {
            problems.add(Diagnostic::new(
                name.span(),
                format!("not a name of an interface: {:?}", name.get_ref()),
                "no interface can have this name",
                format!("a name has 1 to {MAX_INTERFACE_NAME} bytes and neither spaces, slashes nor colons; `ip link` lists the interfaces"),
            ));
        }
    }
    names.into_iter().map(Spanned::into_inner).collect()
}

/// What the kernel takes for a name (`dev_valid_name`).
fn is_interface_name(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace())
}

fn directory(key: &str, path: Option<Spanned<String>>, default: &str, problems: &mut Problems) -> PathBuf {
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
    directory("run_dir", path, DEFAULT_RUN_DIR, problems)
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

fn cluster(raw: &RawConfig, problems: &mut Problems) -> Option<Cluster> {
    let reals = raw.reals.iter().map(|real| Real {
        name: real.name.get_ref().clone(),
        address: *real.address.get_ref(),
        weight: real.weight.as_ref().map_or(lb_core::service::DEFAULT_WEIGHT, |weight| *weight.get_ref()),
    });
    match Cluster::new(raw.services.iter().map(service).collect(), reals.collect()) {
        Ok(cluster) => Some(cluster),
        Err(errors) => {
            for error in errors {
                problems.add(cluster_error(raw, &error));
            }
            None
        }
    }
}

fn service(raw: &RawService) -> Service {
    Service {
        name: raw.name.get_ref().clone(),
        vip: *raw.vip.get_ref(),
        protocol: raw.protocol,
        ports: *raw.ports.get_ref(),
        mode: raw.mode,
        reals: raw
            .reals
            .iter()
            .map(|member| Member {
                real: member.real.get_ref().clone(),
                weight: member.weight.as_ref().map(|weight| *weight.get_ref()),
            })
            .collect(),
    }
}

/// Points at the value that an error of the cluster is about. The error's text is "what is wrong; what to do".
fn cluster_error(raw: &RawConfig, error: &ClusterError) -> Diagnostic {
    let text = error.problem.to_string();
    let (problem, help) = text.split_once("; ").unwrap_or((&text, ""));
    let (span, first) = place(raw, error);
    let diagnostic = Diagnostic::new(span, format!("{}: {problem}", error.subject), "here", help);
    match (&error.problem, first) {
        (Problem::DuplicateName | Problem::DuplicateMember, Some(first)) => {
            diagnostic.with_context(first, "first here")
        }
        (Problem::UnknownReal, _) => with_suggestion(raw, error, diagnostic),
        _ => diagnostic,
    }
}

/// Where the subject is, and where the first item of the same name is when that is another one.
fn place(raw: &RawConfig, error: &ClusterError) -> (Range<usize>, Option<Range<usize>>) {
    let found = match &error.subject {
        Subject::Real(name) => {
            let same = |real: &&RawReal| real.name.get_ref() == name;
            let first = raw.reals.iter().find(same).map(|real| real.name.span());
            raw.reals.iter().rfind(same).map(|real| (place_in_real(real, &error.problem), first))
        }
        Subject::Service(name) => {
            let same = |service: &&RawService| service.name.get_ref() == name;
            let first = raw.services.iter().find(same).map(|service| service.name.span());
            raw.services.iter().rfind(same).map(|service| (place_in_service(service, &error.problem), first))
        }
        Subject::Member { service, real } => {
            let members = raw.services.iter().filter(|raw| raw.name.get_ref() == service).flat_map(|raw| &raw.reals);
            let mut same = members.filter(|member| member.real.get_ref() == real);
            same.next().map(|first| {
                let last = same.next_back().unwrap_or(first);
                (place_in_member(last, &error.problem), Some(first.real.span()))
            })
        }
    };
    found.unwrap_or((0..0, None))
}

fn place_in_real(real: &RawReal, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Address { .. } | Problem::AddressIsVip { .. } => real.address.span(),
        Problem::Weight { .. } => real.weight.as_ref().map_or(real.name.span(), Spanned::span),
        _ => real.name.span(),
    }
}

fn place_in_service(service: &RawService, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Address { .. } => service.vip.span(),
        Problem::PortZero
        | Problem::PortOrder { .. }
        | Problem::Overlap { .. }
        | Problem::TooManyPortPrefixes { .. } => service.ports.span(),
        Problem::NoReals => service.reals_span.clone(),
        _ => service.name.span(),
    }
}

fn place_in_member(member: &RawMember, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Weight { .. } => member.weight.as_ref().map_or(member.real.span(), Spanned::span),
        _ => member.real.span(),
    }
}

fn with_suggestion(raw: &RawConfig, error: &ClusterError, mut diagnostic: Diagnostic) -> Diagnostic {
    let names: Vec<&str> = raw.reals.iter().map(|real| real.name.get_ref().as_str()).collect();
    if let Subject::Member { real, .. } = &error.subject
        && let Some(suggestion) = suggestion(real, &names)
    {
        diagnostic.help = suggestion;
    }
    diagnostic
}

fn too_many_reals(raw: &RawConfig, limit: u32) -> Diagnostic {
    let span = raw.reals.get(limit as usize).map_or(0..0, |real| real.name.span());
    let help = format!("raise `limits.reals` to {} or more; it takes a restart of lbd", raw.reals.len());
    Diagnostic::new(span, format!("{} reals, and `limits.reals` is {limit}", raw.reals.len()), "one too many", help)
}
