//! The checks of a `real_server`.

use super::parse::Statement;
use super::{milliseconds, no_counterpart};
use crate::import::draft::{Check, Kind};
use crate::import::remarks::Remarks;

/// keepalived's `delay_loop` where there is none, in milliseconds.
const DELAY_LOOP: u64 = 60_000;
/// What an interval can be, in milliseconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 100..=3_600_000;
/// The shortest timeout, in milliseconds.
const MIN_TIMEOUT: u64 = 10;
/// keepalived's `connect_timeout` where there is none, in milliseconds.
const CONNECT_TIMEOUT: u64 = 5_000;
const MAX_FALL: u32 = 100;
/// keepalived's `retry` of HTTP checks, and of others.
const HTTP_RETRY: u32 = 3;
const RETRY: u32 = 1;
/// Longest host, path or argument, in bytes.
const MAX_HOST: usize = 255;
const MAX_TEXT: usize = 4_096;
const MAX_ARGUMENTS: usize = 64;
const MAX_DATAGRAM: usize = 1_200;
const SMTP: u16 = 25;
const DNS: u16 = 53;

/// What checks have from their virtual server and real server unless they say otherwise. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    delay_loop: Option<u64>,
    connect_timeout: Option<u64>,
    retry: Option<u32>,
    host: Option<String>,
}

impl Defaults {
    /// The lines that they come from.
    pub(super) const KEYS: [&'static str; 4] = ["delay_loop", "connect_timeout", "retry", "delay_before_retry"];

    pub(super) fn of(block: &Statement) -> Self {
        Self::default().within(block)
    }

    /// With what this block says of them.
    pub(super) fn within(&self, block: &Statement) -> Self {
        let time = |key| block.inner(key).and_then(milliseconds);
        let retry = block.inner("retry").or_else(|| block.inner("nb_get_retry")).and_then(|text| text.parse().ok());
        Self {
            delay_loop: time("delay_loop").or(self.delay_loop),
            connect_timeout: time("connect_timeout").or_else(|| time("misc_timeout")).or(self.connect_timeout),
            retry: retry.or(self.retry),
            host: block.inner("virtualhost").map(str::to_owned).or_else(|| self.host.clone()),
        }
    }
}

/// Lines of a real server that are no checks, and lines of checks, that are taken over or need no word.
const QUIET: [&str; 13] = [
    "weight",
    "delay_loop",
    "connect_timeout",
    "misc_timeout",
    "retry",
    "nb_get_retry",
    "delay_before_retry",
    "virtualhost",
    "connect_port",
    "url",
    "misc_path",
    "name",
    "type",
];

/// The checks of a real, each with its line.
pub(super) fn of_real(real: &Statement, defaults: &Defaults, port: u16, remarks: &mut Remarks) -> Vec<(usize, Check)> {
    let mut found = Vec::new();
    for inner in real.block() {
        if !is_check(inner.word()) {
            if !QUIET.contains(&inner.word()) {
                remark_on_real(inner, remarks);
            }
            continue;
        }
        let defaults = defaults.within(inner);
        let kinds = kinds(inner, &defaults, remarks);
        remark_on_lines(inner, remarks);
        let Some(own_port) = check_port(inner, port) else {
            remarks.add(inner.line, "connect_port is no port: the check is left out");
            continue;
        };
        let checks = kinds.into_iter().map(|kind| (inner.line, timed(inner, kind, own_port, &defaults, remarks)));
        found.extend(checks);
    }
    found
}

fn is_check(word: &str) -> bool {
    word.ends_with("_CHECK") || matches!(word, "HTTP_GET" | "SSL_GET")
}

fn remark_on_real(inner: &Statement, remarks: &mut Remarks) {
    match inner.word() {
        "notify_up" | "notify_down" => {
            remarks.add(
                inner.line,
                format!("`{}` has no counterpart: `lbctl events` and the log tell of reals", inner.word()),
            );
        }
        "inhibit_on_failure" => {
            remarks.add(
                inner.line,
                "inhibit_on_failure: a real that is down gets no new flows, and its old ones go elsewhere",
            );
        }
        _ => no_counterpart(inner, remarks),
    }
}

fn remark_on_lines(check: &Statement, remarks: &mut Remarks) {
    for inner in check.block().iter().filter(|inner| !QUIET.contains(&inner.word())) {
        match inner.word() {
            "connect_ip" => remarks.add(inner.line, "connect_ip has no counterpart: the real itself is asked"),
            "enable_sni" | "require_reply" | "payload" | "min_reply_length" => {}
            _ => no_counterpart(inner, remarks),
        }
    }
}

/// The port that is asked: none where it is `port`, which a check has by itself.
fn check_port(check: &Statement, port: u16) -> Option<Option<u16>> {
    let usual = match check.word() {
        "SMTP_CHECK" => Some(SMTP),
        "DNS_CHECK" => Some(DNS),
        "PING_CHECK" | "MISC_CHECK" => return Some(None),
        _ => None,
    };
    let named = match check.inner("connect_port") {
        Some(text) => Some(text.parse::<u16>().ok().filter(|port| *port != 0)?),
        None => usual,
    };
    // Where the service has all ports, a check has to have one of its own.
    if named.is_none() && port == 0 { None } else { Some(named.filter(|named| *named != port)) }
}

fn timed(check: &Statement, kind: Kind, port: Option<u16>, defaults: &Defaults, remarks: &mut Remarks) -> Check {
    let wanted = defaults.delay_loop.unwrap_or(DELAY_LOOP);
    let interval = wanted.clamp(*INTERVALS.start(), *INTERVALS.end());
    if interval != wanted {
        remarks.add(check.line, format!("delay_loop: an interval is 100ms to 1h here, so it is {interval} ms"));
    }
    let timeout = defaults.connect_timeout.unwrap_or(CONNECT_TIMEOUT).max(MIN_TIMEOUT);
    let fits = timeout < interval;
    if !fits && defaults.connect_timeout.is_some() {
        remarks
            .add(check.line, "its timeout is not shorter than its interval: the default is taken, 40% of the interval");
    }
    let usual = if matches!(kind, Kind::Http { .. }) { HTTP_RETRY } else { RETRY };
    let fall = defaults.retry.unwrap_or(usual).saturating_add(1).min(MAX_FALL);
    Check { kind, interval, timeout: fits.then_some(timeout), fall, port }
}

/// What a check does. HTTP checks do one thing for each `url`.
fn kinds(check: &Statement, defaults: &Defaults, remarks: &mut Remarks) -> Vec<Kind> {
    let one = |kind: Option<Kind>| kind.into_iter().collect();
    match check.word() {
        "TCP_CHECK" => vec![Kind::Tcp],
        "PING_CHECK" => vec![Kind::Icmp],
        "HTTP_GET" | "SSL_GET" => http(check, defaults, remarks),
        "MISC_CHECK" => one(exec(check, remarks)),
        "UDP_CHECK" => one(udp(check, remarks)),
        "DNS_CHECK" => one(dns(check, remarks)),
        "SMTP_CHECK" => {
            remarks.add(check.line, "SMTP_CHECK: the connection is opened, and nothing is said");
            vec![Kind::Tcp]
        }
        word => {
            remarks.add(check.line, format!("`{word}` has no counterpart: left out"));
            Vec::new()
        }
    }
}

fn http(check: &Statement, defaults: &Defaults, remarks: &mut Remarks) -> Vec<Kind> {
    let urls: Vec<_> = check.block().iter().filter(|inner| inner.word() == "url").collect();
    if urls.is_empty() {
        remarks.add(check.line, "there is no url in it: left out");
    }
    urls.into_iter().filter_map(|url| one_url(check, url, defaults, remarks)).collect()
}

fn one_url(check: &Statement, url: &Statement, defaults: &Defaults, remarks: &mut Remarks) -> Option<Kind> {
    let path = url.inner("path").unwrap_or("/");
    if !path.starts_with('/')
        || path.len() > MAX_TEXT
        || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        remarks.add(url.line, "its path is none that a check can have: left out");
        return None;
    }
    let host = url.inner("virtualhost").map(str::to_owned).or_else(|| defaults.host.clone());
    let host = host.filter(|host| {
        let fits = is_host(host);
        if !fits {
            remarks.add(url.line, "its virtualhost is none that a check can have: the address is taken");
        }
        fits
    });
    for inner in url.block() {
        match inner.word() {
            "path" | "virtualhost" | "status_code" => {}
            "digest" => remarks.add(inner.line, "digest has no counterpart: `check.body` looks for a text"),
            _ => no_counterpart(inner, remarks),
        }
    }
    let statuses = url.find("status_code").map(|line| statuses(line, remarks)).unwrap_or_default();
    let statuses = if statuses.is_empty() { vec!["200-299".to_owned()] } else { statuses };
    Some(Kind::Http { tls: check.word() == "SSL_GET", path: path.to_owned(), host, statuses })
}

fn is_host(host: &str) -> bool {
    (1..=MAX_HOST).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn statuses(line: &Statement, remarks: &mut Remarks) -> Vec<String> {
    let status = |text: &str| text.parse::<u16>().is_ok_and(|status| (100..=599).contains(&status));
    let fits = |text: &&String| {
        let (first, last) = text.split_once('-').unwrap_or((text.as_str(), text.as_str()));
        status(first) && status(last) && first <= last
    };
    let found: Vec<String> = line.words[1..].iter().filter(fits).take(16).cloned().collect();
    if found.len() + 1 < line.words.len() {
        remarks.add(line.line, "status_code: not all of it are statuses from 100 to 599, or there are more than 16");
    }
    found
}

fn exec(check: &Statement, remarks: &mut Remarks) -> Option<Kind> {
    let command: Vec<String> =
        check.inner("misc_path").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let program = command.first().map_or("", String::as_str);
    let fits = |text: &String| text.len() <= MAX_TEXT && !text.contains(char::is_control);
    if !program.starts_with('/') || command.len() > MAX_ARGUMENTS || !command.iter().all(fits) {
        remarks.add(check.line, "misc_path is no absolute path with up to 63 arguments: left out");
        return None;
    }
    if command.iter().any(|word| word.contains(['\'', '"', '$', '|', ';', '>', '*', '`'])) {
        remarks.add(check.line, "misc_path: no shell is used here, so quotes, variables and pipes mean nothing");
    }
    Some(Kind::Exec { command })
}

fn udp(check: &Statement, remarks: &mut Remarks) -> Option<Kind> {
    let send_hex: String = check.inner("payload").unwrap_or_default().chars().filter(|sign| *sign != ' ').collect();
    let is_hex = send_hex.len().is_multiple_of(2) && send_hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if send_hex.is_empty() || !is_hex || send_hex.len() / 2 > MAX_DATAGRAM {
        remarks.add(
            check.line,
            "UDP_CHECK without a payload has no counterpart: left out. `check.send` says what is sent",
        );
        return None;
    }
    remarks.add(check.line, "UDP_CHECK: the real has to answer");
    Some(Kind::Udp { send_hex: send_hex.to_ascii_lowercase() })
}

/// A question of its own, in the wire's form: any answer will do.
fn dns(check: &Statement, remarks: &mut Remarks) -> Option<Kind> {
    let name = check.inner("name").unwrap_or(".").trim_end_matches('.');
    let number: u16 = match check.inner("type").unwrap_or("SOA") {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        _ => return left_out(check, "DNS_CHECK: its type is not known: left out", remarks),
    };
    // One question, recursion desired.
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        match u8::try_from(label.len()) {
            Ok(length @ 1..=63) if label.is_ascii() && question.len() < MAX_HOST => {
                question.push(length);
                question.extend(label.bytes());
            }
            _ => return left_out(check, "DNS_CHECK: its name is none that can be asked for: left out", remarks),
        }
    }
    question.push(0);
    question.extend(number.to_be_bytes());
    question.extend([0, 1]);
    remarks.add(check.line, "DNS_CHECK: any answer will do, also one that says that there is no such name");
    Some(Kind::Udp { send_hex: question.iter().map(|byte| format!("{byte:02x}")).collect() })
}

fn left_out(check: &Statement, why: &'static str, remarks: &mut Remarks) -> Option<Kind> {
    remarks.add(check.line, why);
    None
}
