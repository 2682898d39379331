//! The text of the configuration.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use lb_core::service::DEFAULT_GUE_PORT as GUE_PORT;
use lb_core::service::{Affinity, Mode};

use super::draft::{Check, Draft, Kind, Pair, Service, real_name};
use super::{Remark, Source};

/// `limits.reals` unless the file says otherwise.
const USUAL_REALS: usize = 4095;

/// The whole file.
pub(super) fn config(draft: &Draft, source: Source, remarks: &[Remark]) -> String {
    let mut text = heading(draft, source, remarks);
    let interfaces: Vec<String> = draft.interfaces.iter().map(|name| quoted(name)).collect();
    let _ = writeln!(text, "interfaces = [{}]", interfaces.join(", "));
    let reals = draft.reals();
    if reals.len() > USUAL_REALS {
        let _ = write!(text, "\n[limits]\nreals = {}\n", reals.len());
    }
    let uses_gue = draft.services.iter().any(|service| service.mode == Mode::Gue);
    if let Some(port) = draft.gue_port.filter(|port| uses_gue && *port != GUE_PORT) {
        let _ = write!(text, "\n[tunnel]\ngue_port = {port}\n");
    }
    if let Some(pair) = &draft.pair {
        text += &self::pair(pair);
    }
    let names = check_names(draft);
    let mut checks: Vec<(&&Check, &String)> = names.iter().collect();
    checks.sort_by_key(|(_, name)| name.rsplit('-').next().and_then(|number| number.parse::<usize>().ok()));
    checks.into_iter().for_each(|(check, name)| text += &self::check(check, name));
    for address in reals {
        let _ = write!(text, "\n[[real]]\nname = \"{}\"\naddress = \"{address}\"\n", real_name(address));
    }
    draft.services.iter().for_each(|own| text += &service(own, &names));
    text
}

fn heading(draft: &Draft, source: Source, remarks: &[Remark]) -> String {
    let mut text = format!("# Imported from {}. Next: read it, then `lbd check --config FILE`.\n", source.word());
    if draft.services.iter().any(|service| service.mode != Mode::Nat) {
        text += "# Each real server needs the VIPs: `lb-agent setup --help`.\n";
    }
    if draft.services.iter().any(|service| service.mode == Mode::Nat) {
        text += "# Real servers of services in mode nat answer clients through this host: it has to forward, and to be their gateway.\n";
    }
    if !remarks.is_empty() {
        text += "#\n# What has no counterpart, or another one than may be expected:\n";
        remarks.iter().for_each(|remark| text += &format!("# - {remark}\n"));
    }
    text + "\n"
}

/// Equal checks are one check. They are numbered in the order in which they come up.
fn check_names(draft: &Draft) -> HashMap<&Check, String> {
    let mut names = HashMap::new();
    for check in draft.services.iter().flat_map(|service| &service.checks) {
        let number = names.len() + 1;
        names.entry(check).or_insert_with(|| format!("{}-{number}", type_word(&check.kind)));
    }
    names
}

fn type_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Tcp => "tcp",
        Kind::Http { tls: false, .. } => "http",
        Kind::Http { tls: true, .. } => "https",
        Kind::Udp { .. } => "udp",
        Kind::Icmp => "icmp",
        Kind::Exec { .. } => "exec",
    }
}

fn check(check: &Check, name: &str) -> String {
    let mut text = format!("\n[[check]]\nname = \"{name}\"\ntype = \"{}\"\n", type_word(&check.kind));
    let _ = writeln!(text, "interval = \"{}\"", duration(check.interval));
    if let Some(timeout) = check.timeout {
        let _ = writeln!(text, "timeout = \"{}\"", duration(timeout));
    }
    let _ = write!(text, "rise = 1\nfall = {}\n", check.fall);
    if let Some(port) = check.port {
        let _ = writeln!(text, "port = {port}");
    }
    text + &particulars(&check.kind)
}

fn particulars(kind: &Kind) -> String {
    match kind {
        Kind::Tcp | Kind::Icmp => String::new(),
        Kind::Udp { send_hex } => format!("send_hex = \"{send_hex}\"\n"),
        Kind::Exec { command } => format!("command = [{}]\n", list(command)),
        Kind::Http { tls, path, host, statuses } => {
            let host = host.as_ref().map(|host| format!("host = {}\n", quoted(host))).unwrap_or_default();
            let verify = if *tls { "verify = false\n" } else { "" };
            format!("path = {}\n{host}status = [{}]\n{verify}", quoted(path), list(statuses))
        }
    }
}

fn service(service: &Service, names: &HashMap<&Check, String>) -> String {
    let mut text = format!("\n[[service]]\nname = \"{}\"\nvip = \"{}\"\n", service.name(), service.vip);
    let _ = write!(
        text,
        "protocol = \"{}\"\nport = \"{}\"\nmode = \"{}\"\n",
        service.protocol, service.ports, service.mode
    );
    if !service.checks.is_empty() {
        let checks: Vec<String> = service.checks.iter().filter_map(|check| names.get(check).cloned()).collect();
        let _ = writeln!(text, "checks = [{}]", list(&checks));
    }
    if !service.follows_load {
        text += "scheduling = \"static\"\n";
    }
    if service.one_packet {
        text += "one_packet = true\n";
    }
    text += &service.affinity.as_ref().map(affinity).unwrap_or_default();
    let is_weighted = service.is_weighted();
    text += "reals = [\n";
    for real in &service.reals {
        let name = real_name(real.address);
        let weight = (is_weighted && !real.fallback || real.weight == 0).then(|| format!(", weight = {}", real.weight));
        let port = service.port_of(real).map(|port| format!(", port = {port}"));
        let fallback = real.fallback.then(|| ", fallback = true".to_owned());
        let said: Vec<String> = [weight, port, fallback].into_iter().flatten().collect();
        let _ = if said.is_empty() {
            writeln!(text, "    \"{name}\",")
        } else {
            writeln!(text, "    {{ name = \"{name}\"{} }},", said.concat())
        };
    }
    text + "]\n"
}

/// In one line: the table of a list goes on after it.
fn affinity(affinity: &Affinity) -> String {
    let timeout = affinity.timeout_ms.map(|timeout| format!(", timeout = \"{}\"", duration(timeout)));
    format!("affinity = {{ prefix = {}{} }}\n", affinity.prefix, timeout.unwrap_or_default())
}

fn pair(pair: &Pair) -> String {
    let role = if pair.standby { "standby" } else { "primary" };
    let mut text = format!("\n[pair]\nrole = \"{role}\"\n");
    if pair.preempt {
        text += "preempt = true\n";
    }
    if let Some(interval) = pair.heartbeat_interval {
        let _ = writeln!(text, "heartbeat_interval = \"{}\"", duration(interval));
    }
    if let Some(delay) = pair.failback_delay {
        let _ = writeln!(text, "failback_delay = \"{}\"", duration(delay));
    }
    if !pair.tracked.is_empty() {
        let _ = write!(text, "\n[pair.track]\ninterfaces = [{}]\n", list(&pair.tracked));
    }
    for path in &pair.paths {
        let _ = write!(text, "\n[[pair.path]]\ntype = \"udp\"\ninterface = {}\n", quoted(&path.interface));
        let _ = write!(text, "local = \"{}\"\npeer = \"{}\"\n", path.local, path.peer);
    }
    for (interface, vips) in &pair.groups {
        let vips: Vec<String> = vips.iter().map(IpAddr::to_string).collect();
        let name = quoted(interface);
        let _ = write!(text, "\n[[pair.vip_group]]\nname = {name}\ninterface = {name}\nvips = [{}]\n", list(&vips));
        let gateways = pair.gateways.iter().filter(|(own, _)| own == interface);
        let gateways: Vec<String> = gateways.map(|(_, gateway)| gateway.to_string()).collect();
        if !gateways.is_empty() {
            let _ = writeln!(text, "gateways = [{}]", list(&gateways));
        }
    }
    if pair.paths.is_empty() { as_comment(&text) } else { text }
}

/// What is to be completed before it can be used.
fn as_comment(text: &str) -> String {
    let lines = text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("# {line}\n") });
    let path = "\n# [[pair.path]]\n# type = \"udp\"\n# interface = \"\"\n# local = \"\"\n# peer = \"\"\n";
    lines.collect::<String>() + path
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// A TOML string: its escapes are those of JSON. Callers let no DEL through, which alone JSON leaves as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn duration(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1_000) { format!("{}s", milliseconds / 1_000) } else { format!("{milliseconds}ms") }
}
