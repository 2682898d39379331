//! `lbctl support-bundle`: all that somebody who helps has to know, in one file, without any secret.

mod config;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use lb_core::api::{Status, path};
use serde::Serialize;
use serde_json::Value;

use super::{Failure, Outcome, Verdict, View, json_line, unusable};
use crate::client::{Answer, ClientError};

/// Addresses and names of a cluster are not everybody's business.
const BUNDLE_MODE: u32 = 0o600;
/// What is asked of the daemon beside its status. Flows and the checkpoint's content are not: they name clients.
const ASKED: [(&str, &str); 14] = [
    ("services", path::SERVICES),
    ("reals", path::REALS),
    ("table", path::TABLE),
    ("reports", path::REPORTS),
    ("stats", path::STATS),
    ("drops", path::DROPS),
    ("pair", path::PAIR),
    ("paths", path::PATHS),
    ("events", "/v1/events?limit=1000"),
    ("checkpoint", path::CHECKPOINT),
    ("checkpoint_list", path::CHECKPOINT_LIST),
    ("checkpoint_advise", path::CHECKPOINT_ADVISE),
    ("doctor", path::DOCTOR),
    ("status_after", path::STATUS),
];
/// What is read of the host.
const FILES: [(&str, &str); 4] = [
    ("kernel", "/proc/version"),
    ("os", "/etc/os-release"),
    ("uptime", "/proc/uptime"),
    ("pressure", "/proc/pressure/cpu"),
];
/// What is asked of iproute2, in JSON.
const NETWORK: [(&str, &[&str]); 5] = [
    ("links", &["-json", "-details", "-statistics", "link", "show"]),
    ("addresses", &["-json", "address", "show"]),
    ("routes", &["-json", "route", "show", "table", "all"]),
    ("rules", &["-json", "rule", "show"]),
    ("neighbours", &["-json", "neighbour", "show"]),
];
/// Where `ip` is looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file's content.
#[derive(Debug, Serialize)]
struct Bundle {
    lbctl: &'static str,
    status: Value,
    daemon: BTreeMap<&'static str, Value>,
    /// The configuration file, with what may be secret left out.
    config: Value,
    host: BTreeMap<&'static str, Value>,
    /// What could not be had, and why.
    missing: BTreeMap<&'static str, String>,
}

/// Writes it, and says where.
pub(super) async fn run(view: &View<'_>, file: &Path) -> Result<Outcome, Failure> {
    let bundle = gather(view).await?;
    let text = json_line(&bundle);
    let target = OpenOptions::new().write(true).create_new(true).mode(BUNDLE_MODE).open(file);
    let mut target = target.map_err(unusable("write", file))?;
    if let Err(error) = target.write_all(text.as_bytes()).and_then(|()| target.sync_all()) {
        // The error of the write says more than one of this could.
        let _ = fs::remove_file(file);
        return Err(unusable("write", file)(error));
    }
    Ok(Outcome { text: said(view, &bundle, file, text.len()), verdict: Verdict::Good })
}

fn said(view: &View<'_>, bundle: &Bundle, file: &Path, bytes: usize) -> String {
    if view.json {
        return json_line(
            &serde_json::json!({ "file": file.display().to_string(), "bytes": bytes, "missing": bundle.missing }),
        );
    }
    let missing: String = bundle.missing.iter().map(|(part, why)| format!("without {part}: {why}\n")).collect();
    let end = "Keys are not in it, nor clients' addresses of flows. It names addresses and names of this cluster: look before you send it.";
    format!("{missing}{}: {bytes} bytes. {end}\n", file.display())
}

async fn gather(view: &View<'_>) -> Result<Bundle, Failure> {
    // Who cannot be reached at all has nothing to tell.
    let status: Answer<Status> = view.client.get(path::STATUS).await?;
    let mut missing = BTreeMap::new();
    let mut daemon = BTreeMap::new();
    for (part, path) in ASKED {
        match view.client.get::<Value>(path).await {
            Ok(answer) => drop(daemon.insert(part, answer.value)),
            Err(error) => note(&mut missing, part, &error),
        }
    }
    let config = config::read(Path::new(&status.value.config_path)).unwrap_or_else(|why| {
        missing.insert("config", why);
        Value::Null
    });
    let mut host = BTreeMap::new();
    for (part, path) in FILES {
        match fs::read_to_string(path) {
            Ok(text) => drop(host.insert(part, Value::String(text))),
            Err(error) => drop(missing.insert(part, format!("{path}: {error}"))),
        }
    }
    for (part, words) in NETWORK {
        match ip(words) {
            Ok(value) => drop(host.insert(part, value)),
            Err(why) => drop(missing.insert(part, why)),
        }
    }
    let status = serde_json::from_str(&status.json).unwrap_or_default();
    Ok(Bundle { lbctl: env!("CARGO_PKG_VERSION"), status, daemon, config, host, missing })
}

fn note(missing: &mut BTreeMap<&'static str, String>, part: &'static str, error: &ClientError) {
    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
    missing.insert(part, first);
}

/// What `ip` says, in this process's network namespace.
fn ip(words: &[&str]) -> Result<Value, String> {
    let output = Command::new("ip").args(words).env("PATH", PATH).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run ip: {error}"))?;
    if !output.status.success() {
        return Err(format!("ip {} failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    // A list of nothing may be printed as nothing.
    if output.stdout.trim_ascii().is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("ip {} printed no JSON: {error}", words.join(" ")))
}
