//! A Debian host of its own: a root file system with the smallest Debian 12, processes, mounts and control groups that
//! nobody else sees, in a network namespace of the lab. Packages are installed in it as on any host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cgroup::HostGroup;
use crate::command::{describe, tool};
use crate::namespace::Namespace;
use crate::process::{Process, wait_for};
use crate::run::Run;

/// From this package's directory.
const DEBIAN: &str = "../../target/debian-12";
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Becomes the first process of the host. `$1`: the Debian, which stays as it is. `$2`: a directory for what changes.
const BOOT: &str = include_str!("machine.sh");

/// What runs on the host from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Nothing: processes are started one by one.
    Nothing,
    /// systemd, which starts units.
    Systemd,
}

/// A host that is up. Dropped, everything on it is killed, and it is gone.
#[derive(Debug)]
pub struct Machine {
    /// `unshare`, which takes the host with it.
    owner: Process,
    first: u32,
    directory: PathBuf,
    _group: HostGroup,
}

/// Where the Debian lies that machines are made of.
pub fn debian_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(DEBIAN)
}

impl Machine {
    /// Boots a host of the given name.
    ///
    /// # Errors
    /// There is no Debian to make it of, or it does not come up.
    pub fn boot(run: &Run, namespace: &Namespace, name: &str, init: Init) -> Result<Machine> {
        let debian = debian_directory();
        if !debian.is_dir() {
            bail!("no Debian in {}: run `cargo xtask test --only packages`", debian.display());
        }
        let directory = run.dir().join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let group = HostGroup::new(run, name)?;
        let mut command = namespace.command("unshare");
        command.args([
            "--mount",
            "--pid",
            "--cgroup",
            "--ipc",
            "--uts",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            BOOT,
            "boot",
        ]);
        command.arg(&debian).arg(&directory).arg(match init {
            Init::Nothing => "/usr/bin/sleep infinity",
            Init::Systemd => "/lib/systemd/systemd --system",
        });
        group.bind(&mut command)?;
        let mut owner = Process::spawn(&mut command, &directory.join("boot.log"))?;
        let first = wait_for(&format!("the host {name} to boot"), BOOT_LIMIT, || {
            if !owner.is_running() {
                bail!("the host {name} has ended: {}", owner.log().trim());
            }
            Ok(first_process(owner.pid()).filter(|pid| is_up(*pid)))
        })?;
        let machine = Machine { owner, first, directory, _group: group };
        if init == Init::Systemd {
            machine.wait_for_systemd()?;
        }
        Ok(machine)
    }

    /// A command that will run on the host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = tool("nsenter");
        command.args(["--target", &self.first.to_string()]);
        command.args(["--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--wdns=/", "--", program]);
        command
    }

    /// Runs a line of shell on the host to its end and returns what it printed.
    ///
    /// # Errors
    /// It fails. The error has what it said.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut command = self.command("/bin/sh");
        command.args(["-e", "-c", line]);
        let output = command.output().with_context(|| format!("cannot run `{}`", describe(&command)))?;
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("`{line}` failed ({}): {}{}", output.status, said.trim(), complained.trim());
        }
        Ok(said.into_owned())
    }

    /// A path of the host, as others reach it.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.first.to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// Where those outside keep files about the host.
    pub fn log_directory(&self) -> &Path {
        &self.directory
    }

    /// `degraded` is up, too: not every unit of Debian can work here.
    fn wait_for_systemd(&self) -> Result<()> {
        wait_for("systemd to be up", BOOT_LIMIT, || {
            let mut asked = self.command("systemctl");
            let output = asked.arg("is-system-running").output().context("cannot run systemctl")?;
            let state = String::from_utf8_lossy(&output.stdout);
            Ok(["running", "degraded"].contains(&state.trim()).then_some(()))
        })
        .with_context(|| format!("it said: {}", self.owner.log().trim()))
    }
}

/// The only child of `unshare`.
fn first_process(owner: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{owner}/task/{owner}/children")).ok()?.split_whitespace().next()?.parse().ok()
}

/// The shell that prepares everything has made way for what it was to start.
fn is_up(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| ["sleep", "systemd"].contains(&name.trim()))
}
