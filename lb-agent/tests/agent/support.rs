//! An `lb-agent` of the test's own, with its files in a directory that goes with it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Process, tool};

/// Longer than any machine needs; only a failure waits for it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The agent's files, and the agent while it runs.
pub struct Agent {
    directory: tempfile::TempDir,
    process: Option<Process>,
}

impl Agent {
    /// Writes a key file and a configuration, whose directories are the agent's own.
    pub fn prepare(keys: &str, config: &str) -> Result<Self> {
        let agent = Self { directory: tempfile::tempdir()?, process: None };
        agent.write_keys(keys)?;
        agent.write_config(config)?;
        Ok(agent)
    }

    /// The agent's own file of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes another configuration.
    pub fn write_config(&self, config: &str) -> Result<()> {
        let line = |key: &str, name: &str| format!("{key} = {:?}\n", self.path(name));
        let own = line("key_file", "keys") + &line("run_dir", "run") + &line("state_dir", "state");
        fs::write(self.path("agent.toml"), own + config).context("cannot write the configuration")
    }

    /// Writes other keys.
    pub fn write_keys(&self, keys: &str) -> Result<()> {
        let path = self.path("keys");
        fs::write(&path, keys)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).context("cannot write the keys")
    }

    /// Starts it; `place` may have the command run elsewhere.
    pub fn start(&mut self, place: impl FnOnce(&mut Command)) -> Result<()> {
        let mut command = tool(env!("CARGO_BIN_EXE_lb-agent"));
        command.args(["run", "--config"]).arg(self.path("agent.toml"));
        place(&mut command);
        self.process = Some(Process::spawn(&mut command, &self.path("log"))?);
        Ok(())
    }

    /// The running process.
    pub fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the agent has not been started")
    }

    /// Runs `lb-agent` to its end.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        tool(env!("CARGO_BIN_EXE_lb-agent")).args(words).output().context("cannot run lb-agent")
    }

    /// `lb-agent state`, and its answer.
    pub fn state(&self, words: &[&str]) -> Result<String> {
        let socket = self.path("run/lb-agent.sock");
        let output = self.run(&[&["state", "--socket", text(&socket)?], words].concat())?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// What it has said so far, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A path as text.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
