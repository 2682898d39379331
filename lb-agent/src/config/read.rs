//! From the text of a file to a [`Config`]. Goes on after an error, so that one `lb-agent check` shows all that is wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lb_config::{
    DeTable, Diagnostic, Problems, Spanned, Table, absolute_path, document, refuse_repeated, socket_address, word,
};
use lb_core::service::{MAX_NAME_LENGTH, is_name};

use super::{
    Config, DEFAULT_KEY_FILE, DEFAULT_REPORT_INTERVAL, DEFAULT_RUN_DIR, DEFAULT_SOURCE_TIMEOUT, DEFAULT_STATE_DIR,
    Fixed, LogLevel, MAX_INTERFACES, MAX_LINK_SPEED, MAX_LOAD_BALANCERS, REPORT_INTERVAL_RANGE, SOCKET_NAME,
    SOURCE_TIMEOUT_RANGE, STOP_DELAY_RANGE, keys, sources,
};
use crate::measure::{CpuOf, NetworkOf, Options, Pace};

/// Longest path of a unix socket, in bytes: `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn read(source: &str, problems: &mut Problems) -> Option<Config> {
    let document = document(source, problems)?;
    let top = Table::top(&keys::TOP, &document, problems);
    let name = name(&top, problems);
    let load_balancers = load_balancers(&top, problems);
    let listen = agent_check_listen(&top, problems);
    refuse_nobody(&document, &load_balancers, listen, problems);
    let report_interval = top.duration("report_interval", REPORT_INTERVAL_RANGE, "\"1s\"", problems);
    let report_interval = report_interval.map_or(DEFAULT_REPORT_INTERVAL, Spanned::into_inner);
    let stop_delay = top.duration("stop_delay", STOP_DELAY_RANGE, "\"5s\"", problems);
    Some(Config {
        key_file: directory(&top, "key_file", DEFAULT_KEY_FILE, problems),
        report_interval,
        stop_delay: stop_delay.map(Spanned::into_inner).unwrap_or_default(),
        measure: options(&top, report_interval, problems),
        fixed: fixed(&top, listen, problems),
        name: name?,
        load_balancers,
    })
}

fn name(top: &Table<'_, '_>, problems: &mut Problems) -> Option<String> {
    let name = top.required_string("name", "\"web1\"", problems)?;
    if !is_name(name.get_ref()) {
        problems.add(Diagnostic::new(
            name.span(),
            format!("not a real's name: {:?}", name.get_ref()),
            "no real can have this name",
            format!("a name has 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens; it is the one that the load balancers' configuration has"),
        ));
    }
    Some(name.into_inner())
}

fn load_balancers(top: &Table<'_, '_>, problems: &mut Problems) -> Vec<SocketAddr> {
    let example = "[\"192.0.2.2:6720\", \"192.0.2.3:6720\"]";
    let texts = top.strings("load_balancers", example, problems);
    refuse_repeated("load balancer", &texts, problems);
    refuse_too_many(top, "load_balancers", texts.len(), MAX_LOAD_BALANCERS, problems);
    let addresses =
        texts.iter().filter_map(|text| socket_address("load_balancers", text, "[\"192.0.2.2:6720\"]", problems));
    addresses.map(Spanned::into_inner).collect()
}

fn refuse_too_many(top: &Table<'_, '_>, key: &str, count: usize, most: usize, problems: &mut Problems) {
    if count > most {
        let span = top.get(key).map_or(0..0, Spanned::span);
        let title = format!("`{key}` has {count} entries");
        problems.add(Diagnostic::new(span, title, "too many", format!("it can have {most}")));
    }
}

fn agent_check_listen(top: &Table<'_, '_>, problems: &mut Problems) -> Option<SocketAddr> {
    let example = "\"0.0.0.0:9777\"";
    let text = top.string("agent_check_listen", example, problems)?;
    socket_address("agent_check_listen", &text, example, problems).map(Spanned::into_inner)
}

/// An agent that tells nobody and that nobody can ask is a mistake.
fn refuse_nobody(
    document: &Spanned<DeTable<'_>>,
    load_balancers: &[SocketAddr],
    listen: Option<SocketAddr>,
    problems: &mut Problems,
) {
    if load_balancers.is_empty() && listen.is_none() && problems.is_empty() {
        let span = document.get_ref().get("load_balancers").map_or(0..0, Spanned::span);
        problems.add(Diagnostic::new(
            span,
            "nobody would hear of this real",
            "no load balancer",
            "add a line like this: load_balancers = [\"192.0.2.2:6720\"], or agent_check_listen = \"0.0.0.0:9777\" for those that ask",
        ));
    }
}

fn options(top: &Table<'_, '_>, interval: Duration, problems: &mut Problems) -> Options {
    let timeout = top.duration("source_timeout", SOURCE_TIMEOUT_RANGE, "\"2s\"", problems);
    let interfaces = top.strings("interfaces", "[\"eth0\"]", problems);
    refuse_repeated("interface", &interfaces, problems);
    refuse_too_many(top, "interfaces", interfaces.len(), MAX_INTERFACES, problems);
    Options {
        cpu: cpu(top, problems),
        memory: top.boolean("memory", problems).unwrap_or(true),
        network: NetworkOf {
            interfaces: interfaces.into_iter().map(Spanned::into_inner).collect(),
            link_speed: link_speed(top, problems),
        },
        hits: sources::hits(top, problems).unwrap_or_default(),
        custom: sources::custom(top, problems),
        pace: Pace { interval, timeout: timeout.map_or(DEFAULT_SOURCE_TIMEOUT, Spanned::into_inner) },
    }
}

fn cpu(top: &Table<'_, '_>, problems: &mut Problems) -> CpuOf {
    let Some(text) = top.string("cgroup", "\"/system.slice/nginx.service\"", problems) else { return CpuOf::default() };
    match text.get_ref().as_str() {
        "auto" => CpuOf::Auto,
        "host" => CpuOf::Host,
        path if path.starts_with('/') => CpuOf::Cgroup(PathBuf::from(path)),
        other => {
            problems.add(Diagnostic::new(
                text.span(),
                format!("`cgroup` cannot be {other:?}"),
                "not a control group",
                "it can be `auto`, `host`, or the path of a control group, as in cgroup = \"/system.slice/nginx.service\"",
            ));
            CpuOf::default()
        }
    }
}

/// In bytes per second.
fn link_speed(top: &Table<'_, '_>, problems: &mut Problems) -> Option<u64> {
    let text = top.string("link_speed", "\"10Gbit\"", problems)?;
    let megabits = megabits(text.get_ref()).filter(|speed| (1..=MAX_LINK_SPEED).contains(speed));
    if megabits.is_none() {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`link_speed` is not the speed of a link: {:?}", text.get_ref()),
            "not a speed",
            format!(
                "write a whole number and Mbit or Gbit, at most {}Gbit, as in link_speed = \"10Gbit\"",
                MAX_LINK_SPEED / 1_000
            ),
        ));
    }
    Some(megabits? * 1_000_000 / 8)
}

/// `100Mbit` or `10Gbit`.
fn megabits(text: &str) -> Option<u64> {
    let (number, factor) = match text.strip_suffix("Gbit") {
        Some(number) => (number, 1_000),
        None => (text.strip_suffix("Mbit")?, 1),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(factor)
}

fn fixed(top: &Table<'_, '_>, agent_check_listen: Option<SocketAddr>, problems: &mut Problems) -> Fixed {
    let log = word("log", top.string("log", "\"info\"", problems), &LogLevel::WORDS, problems);
    Fixed {
        agent_check_listen,
        state_dir: directory(top, "state_dir", DEFAULT_STATE_DIR, problems),
        run_dir: run_dir(top, problems),
        log: log.unwrap_or(LogLevel::Info),
    }
}

fn directory(top: &Table<'_, '_>, key: &str, default: &str, problems: &mut Problems) -> PathBuf {
    let example = format!("{default:?}");
    match top.string(key, &example, problems) {
        Some(text) => absolute_path(key, text, &example, problems),
        None => PathBuf::from(default),
    }
}

fn run_dir(top: &Table<'_, '_>, problems: &mut Problems) -> PathBuf {
    let path = directory(top, "run_dir", DEFAULT_RUN_DIR, problems);
    let (length, longest) = (path.as_os_str().len(), MAX_SOCKET_PATH - SOCKET_NAME.len() - 1);
    if length > longest {
        problems.add(Diagnostic::new(
            top.get("run_dir").map_or(0..0, Spanned::span),
            "`run_dir` is too long",
            format!("{length} bytes"),
            format!("a unix socket's path is short: `run_dir` can have {longest} bytes"),
        ));
    }
    path
}
