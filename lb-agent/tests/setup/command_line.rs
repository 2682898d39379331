//! Wrong usage, and what the doctor says of the agent's configuration.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use lb_lab::tool;
use serde_json::Value;

use crate::host::{stderr, stdout};

fn lb_agent(words: &str) -> Output {
    tool(env!("CARGO_BIN_EXE_lb-agent")).args(words.split(' ')).output().unwrap()
}

#[test]
fn wrong_usage_is_told_from_failure() {
    for words in [
        "setup",
        "setup --apply",
        "setup --mode dsr",
        "setup --vip 192.0.2.100",
        "setup --mode nat --vip 192.0.2.100",
        "setup --mode dsr --vip web",
        "setup --mode dsr --vip 127.0.0.1",
        "setup --mode dsr --vip fe80::1",
        "setup --mode dsr --vip ::ffff:192.0.2.1",
        "setup --mode dsr --vip 224.0.0.1",
        "setup --mode dsr --vip 192.0.2.100 --interface lo",
        "setup --mode dsr --vip 192.0.2.100 --interface a/b",
        "setup --mode dsr --vip 192.0.2.100 --apply --dry-run",
        "setup --mode dsr --vip 192.0.2.100 --undo",
        "setup --undo --apply",
        "setup --mode ipip --vip 2001:db8::1 --address 192.0.2.1 --interface eth9",
        "doctor --mode dsr",
        "doctor --vip 192.0.2.100",
        "doctor --port 0",
    ] {
        let output = lb_agent(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn help_says_that_a_reboot_undoes_it_and_shows_a_unit() {
    let help = stdout(&lb_agent("setup --help"));
    assert!(help.contains("Nothing of this survives a reboot") && help.contains("Type=oneshot"), "{help}");
}

#[test]
fn the_doctor_reads_the_agents_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (config, keys) = (path("agent.toml"), path("keys"));
    let look = || {
        let output = lb_agent(&format!("doctor --json --config {config} --state-dir {}", path("state")));
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = verdict["findings"].as_array().unwrap().clone();
        (output.status.code(), findings.last().unwrap().clone())
    };
    let (code, finding) = look();
    assert_eq!((code, &finding["severity"]), (Some(1), &"error".into()), "{finding}");

    fs::write(&config, format!("name = \"web1\"\nload_balancers = [\"192.0.2.2:6720\"]\nkey_file = {keys:?}\n"))
        .unwrap();
    fs::write(&keys, "1 11111111111111111111111111111111\n").unwrap();
    fs::set_permissions(&keys, Permissions::from_mode(0o644)).unwrap();
    let (code, finding) = look();
    assert_eq!(code, Some(1));
    assert!(finding["finding"].as_str().unwrap().contains("chmod 600"), "{finding}");
    assert_eq!(finding["fix"][0], format!("lb-agent check --config {config}"));

    fs::set_permissions(&keys, Permissions::from_mode(0o600)).unwrap();
    let (code, finding) = look();
    assert_eq!((code, &finding["severity"]), (Some(0), &"ok".into()), "{finding}");
}
