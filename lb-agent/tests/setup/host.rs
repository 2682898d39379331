//! A host that nothing has been done to yet.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Namespace, Run, mount_bpffs, output};
use serde_json::Value;

/// Its addresses on `eth0`, whose networks every test has.
pub const ADDRESSES: [&str; 2] = ["192.0.2.21", "2001:db8::21"];

/// A namespace as a host, and the state directory of its `lb-agent`.
pub struct Host {
    pub namespace: Namespace,
    state_dir: PathBuf,
    bpf_dir: PathBuf,
}

impl Host {
    /// One whose `eth0` is still to come.
    pub fn new(run: &Run) -> Result<Host> {
        let namespace = Namespace::new(run, "bare")?;
        let bpffs = run.dir().join("bare-bpf");
        mount_bpffs(&bpffs)?;
        let host = Host { namespace, state_dir: run.dir().join("bare-state"), bpf_dir: bpffs.join("understudy-agent") };
        for setting in ["arp_ignore", "arp_announce", "rp_filter"] {
            for place in ["all", "default", "lo"] {
                host.set(place, setting, 0)?;
            }
        }
        Ok(host)
    }

    /// Gives `eth0` the addresses.
    pub fn address(&self) -> Result<()> {
        let [v4, v6] = ADDRESSES.map(|address| address.parse::<IpAddr>());
        self.namespace.add_address("eth0", v4?, 24)?;
        self.namespace.add_address("eth0", v6?, 64)
    }

    /// Sets an IPv4 setting of an interface.
    pub fn set(&self, place: &str, setting: &str, value: u32) -> Result<()> {
        self.namespace.sysctl(&format!("net/ipv4/conf/{place}/{setting}"), &value.to_string())
    }

    /// Runs `lb-agent` on it with these space-separated words; the directories for state and pins are added.
    pub fn lb_agent(&self, words: &str) -> Result<Output> {
        let mut command = self.namespace.command(env!("CARGO_BIN_EXE_lb-agent"));
        command
            .args(words.split_whitespace())
            .arg("--state-dir")
            .arg(&self.state_dir)
            .arg("--bpf-dir")
            .arg(&self.bpf_dir);
        command.output().context("cannot run lb-agent")
    }

    /// Runs `lb-agent decap` on it with these words; the directory for pins is added.
    pub fn decap(&self, words: &str) -> Result<Output> {
        let mut command = self.namespace.command(env!("CARGO_BIN_EXE_lb-agent"));
        command.arg("decap").args(words.split_whitespace()).arg("--bpf-dir").arg(&self.bpf_dir);
        command.output().context("cannot run lb-agent")
    }

    /// As [`Host::lb_agent`], where success is expected. What it printed.
    pub fn succeed(&self, words: &str) -> Result<String> {
        let output = self.lb_agent(words)?;
        ensure!(output.status.success(), "`{words}` failed: {}{}", stdout(&output), stderr(&output));
        Ok(stdout(&output))
    }

    /// What the doctor misses on it, and the exit code.
    pub fn missing(&self, words: &str) -> Result<(Vec<String>, Option<i32>)> {
        let output = self.lb_agent(&format!("doctor {words} --json"))?;
        let verdict: Value = serde_json::from_slice(&output.stdout).with_context(|| stderr(&output))?;
        let findings = verdict["findings"].as_array().context("no findings")?.iter();
        let missing = findings.filter(|finding| finding["severity"] == "error");
        let what = missing.map(|finding| finding["subject"].as_str().unwrap_or_default().to_owned());
        Ok((what.collect(), output.status.code()))
    }

    /// The record, if there is one.
    pub fn record(&self) -> Option<String> {
        fs::read_to_string(self.state_dir.join("setup.json")).ok()
    }

    /// All that a setup may touch, as text.
    pub fn state(&self) -> Result<String> {
        let settings = "grep -r . /proc/sys/net/ipv4/conf/ | grep -E 'arp_ignore|arp_announce|rp_filter' | sort";
        let mut text = self.namespace.ip("-details address show")?;
        text += &output(self.namespace.command("sh").args(["-c", settings]))?;
        text += &output(self.namespace.command("nft").args(["list", "ruleset"]))?;
        Ok(text)
    }
}

/// What a command printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command complained about.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
