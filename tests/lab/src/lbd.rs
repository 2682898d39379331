//! The daemon under test: `lbd` in the balancer's namespace, with directories and a BPF file system of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::binaries;
use crate::command::{describe, tool};
use crate::namespace::{Namespace, NamespaceHandle};
use crate::process::{Process, wait_for};
use crate::run::{Run, mount_bpffs};

/// Long, for an emulated machine on a busy host.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What `lbctl` ends with when it has answered, and something is amiss.
const EXIT_DEGRADED: i32 = 4;

/// A daemon that runs, or has been stopped or killed and can run again. Dropped, it is killed.
#[derive(Debug)]
pub struct Lbd {
    namespace: NamespaceHandle,
    program: PathBuf,
    config: PathBuf,
    bpf_dir: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Lbd {
    /// Starts the daemon in `namespace` and waits until it answers and knows the way to every real server.
    ///
    /// `config` is a configuration file without `state_dir`, `run_dir` and `bpf_dir`. One daemon a run; see
    /// [`Lbd::prepare_in`] for more.
    pub fn start(run: &Run, namespace: &Namespace, config: &str) -> Result<Lbd> {
        let mut lbd = Lbd::prepare(run, namespace, config)?;
        lbd.start_again()?;
        lbd.wait_until_ready()?;
        Ok(lbd)
    }

    /// As [`Lbd::start`], without starting it yet.
    pub fn prepare(run: &Run, namespace: &Namespace, config: &str) -> Result<Lbd> {
        Lbd::prepare_in(run.dir(), namespace, config)
    }

    /// As [`Lbd::prepare`], with all that belongs to the daemon in a directory of its own below that of the run.
    pub fn prepare_in(dir: &Path, namespace: &Namespace, config: &str) -> Result<Lbd> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let bpffs = dir.join("bpf");
        mount_bpffs(&bpffs)?;
        let lbd = Lbd {
            namespace: namespace.handle(),
            program: binaries::lbd()?,
            config: dir.join("lbd.toml"),
            bpf_dir: bpffs.join("understudy"),
            socket: dir.join("run/lbd.sock"),
            log: dir.join("lbd.log"),
            process: None,
        };
        lbd.write_config(config)?;
        Ok(lbd)
    }

    /// Writes another configuration, which a reload or a restart will read.
    pub fn write_config(&self, config: &str) -> Result<()> {
        let dir = self.config.parent().context("the configuration has no directory")?.display();
        let bpf_dir = self.bpf_dir.display();
        let own = format!("state_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\nbpf_dir = \"{bpf_dir}\"\n");
        fs::write(&self.config, own + config).with_context(|| format!("cannot write {}", self.config.display()))
    }

    /// Uses another program from the next start on: an upgrade.
    pub fn use_program(&mut self, program: &Path) {
        self.program = program.to_path_buf();
    }

    /// Starts the daemon without waiting for anything.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = tool(&self.program);
        command.args(["run", "--config"]).arg(&self.config);
        self.namespace.bind(&mut command);
        self.process = Some(Process::spawn(&mut command, &self.log)?);
        Ok(())
    }

    /// Waits until the daemon answers, has its program attached and knows the way to every real server.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let outcome = wait_for("lbd to be ready", START_LIMIT, || {
            if !self.is_running() {
                bail!("lbd has ended; it said: {}", self.log().trim());
            }
            Ok(self.is_ready().then_some(()))
        });
        if outcome.is_err() && self.is_running() {
            return outcome.with_context(|| format!("lbd runs but is not ready; it said: {}", self.log().trim()));
        }
        outcome
    }

    /// Kills the daemon (SIGKILL). What it has pinned goes on.
    pub fn kill(&mut self) -> Result<()> {
        self.running()?.kill()
    }

    /// Stops the daemon as a service manager does (SIGTERM). What it has pinned goes on.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.running()?.terminate(STOP_LIMIT)?;
        if !status.success() {
            bail!("lbd ended with {status}; it said: {}", self.log().trim());
        }
        Ok(())
    }

    /// The running process.
    pub fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("lbd has not been started")
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Runs `lbctl` with these arguments and returns what it printed, also when it says that something is amiss.
    pub fn lbctl(&self, arguments: &[&str]) -> Result<String> {
        answer(&mut self.lbctl_command(arguments)?)
    }

    /// Runs `lbctl --json` with these arguments and returns what it printed, parsed.
    pub fn lbctl_json(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.lbctl_command(arguments)?;
        command.arg("--json");
        let text = answer(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("`{}` printed no JSON: {text}", describe(&command)))
    }

    /// `lbctl` with these arguments, as a command.
    pub fn lbctl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = tool(binaries::lbctl()?);
        command.arg("--socket").arg(&self.socket).args(arguments);
        Ok(command)
    }

    /// The directory that holds the pins.
    pub fn bpf_dir(&self) -> &Path {
        &self.bpf_dir
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The API's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the daemon has said, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        let list = |words: &[&str], key: &str| Some(self.lbctl_json(words).ok()?.get(key)?.as_array()?.clone());
        let attached = list(&["status"], "interfaces").is_some_and(|all| all.iter().all(|one| !one["mode"].is_null()));
        attached && list(&["reals"], "reals").is_some_and(|all| all.iter().all(|one| !one["next_hop"].is_null()))
    }
}

/// What `lbctl` has printed. That the daemon is not all well is an answer, too.
fn answer(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run `{}`", describe(command)))?;
    if !output.status.success() && output.status.code() != Some(EXIT_DEGRADED) {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", describe(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
