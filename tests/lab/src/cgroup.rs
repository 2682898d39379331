//! A control group that may use a part of one CPU only: a slow machine for what runs in it.
//!
//! Linux has two interfaces to control groups. In version 2 one folder both limits and counts; in version 1 the controllers
//! `cpu` and `cpuacct` have a folder each, which may be the same.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::wait_in_any_case;
use crate::run::Run;

const ROOT: &str = "/sys/fs/cgroup";
/// Where version 2 is beside version 1.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// How often the allowance is given out anew. Short, so that a slow machine is slow and not a fast one that stops and goes.
const PERIOD: Duration = Duration::from_millis(10);
/// How long a process that was killed may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The group. Dropped, it is removed; what ran in it must have ended.
#[derive(Debug)]
pub struct SlowMachine {
    name: String,
    usage: Usage,
    folders: Vec<PathBuf>,
}

/// Where the kernel says how much CPU time the group has used.
#[derive(Debug)]
enum Usage {
    /// `usage_usec` in version 2's `cpu.stat`.
    Microseconds(PathBuf),
    /// Version 1's `cpuacct.usage`.
    Nanoseconds(PathBuf),
}

impl SlowMachine {
    /// Makes the group `us-<run>-<what>`, which may use `percent` of one CPU.
    ///
    /// # Errors
    /// The kernel or the container allows no CPU limits.
    pub fn new(run: &Run, what: &str, percent: u32) -> Result<Self> {
        let name = run.name(what);
        let period = PERIOD.as_micros() as u64;
        let quota = period * u64::from(percent) / 100;
        if Path::new(ROOT).join("cgroup.controllers").exists() {
            // It may be on already, or be managed by somebody who lets it on for all.
            let _ = fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+cpu");
            let folder = make(&Path::new(ROOT).join(&name))?;
            let usage = Usage::Microseconds(folder.join("cpu.stat"));
            let machine = Self { name, usage, folders: vec![folder.clone()] };
            write(&folder.join("cpu.max"), &format!("{quota} {period}"))?;
            return Ok(machine);
        }
        let [cpu, accounts] = ["cpu", "cpuacct"].map(|controller| Path::new(ROOT).join(controller).join(&name));
        let folders = vec![make(&cpu)?, make(&accounts)?];
        let machine = Self { name, usage: Usage::Nanoseconds(accounts.join("cpuacct.usage")), folders };
        write(&cpu.join("cpu.cfs_period_us"), &period.to_string())?;
        write(&cpu.join("cpu.cfs_quota_us"), &quota.to_string())?;
        Ok(machine)
    }

    /// The group's path as `/proc/PID/cgroup` has it.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Makes a command run in the group.
    pub fn bind(&self, command: &mut Command) -> Result<()> {
        join(command, &self.folders)
    }

    /// CPU time that the group has used so far.
    pub fn used(&self) -> Result<Duration> {
        match &self.usage {
            Usage::Nanoseconds(path) => Ok(Duration::from_nanos(number(&read(path)?, path)?)),
            Usage::Microseconds(path) => {
                let text = read(path)?;
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                let value = line.with_context(|| format!("no usage_usec in {}", path.display()))?;
                Ok(Duration::from_micros(number(value, path)?))
            }
        }
    }
}

/// A control group of version 2 for a whole host, which makes groups of its own in it. Dropped, all of them are removed; what
/// ran in them must have been killed.
#[derive(Debug)]
pub(crate) struct HostGroup {
    folder: PathBuf,
}

impl HostGroup {
    /// Makes the group `us-<run>-<what>`.
    pub(crate) fn new(run: &Run, what: &str) -> Result<Self> {
        // Where both versions are in use, version 2 has a folder of its own.
        let parent = if Path::new(ROOT).join("cgroup.controllers").exists() { ROOT } else { UNIFIED };
        Ok(Self { folder: make(&Path::new(parent).join(run.name(what)))? })
    }

    /// Makes a command run in the group.
    pub(crate) fn bind(&self, command: &mut Command) -> Result<()> {
        join(command, std::slice::from_ref(&self.folder))
    }
}

impl Drop for HostGroup {
    fn drop(&mut self) {
        if let Err(error) = remove_with_all_below(&self.folder) {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

impl Drop for SlowMachine {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = remove(folder) {
                eprintln!("cleaning up: {error:#}");
            }
        }
    }
}

/// Removes the groups of a run that has crashed. Its processes have ended.
pub(crate) fn remove_groups(run_id: &str) -> Result<()> {
    let prefix = format!("{run_id}-");
    for parent in [ROOT, UNIFIED, "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct"] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix))) {
            remove_with_all_below(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes a command run in these groups.
fn join(command: &mut Command, folders: &[PathBuf]) -> Result<()> {
    let mut files = Vec::new();
    for folder in folders {
        let path = folder.join("cgroup.procs");
        let file = fs::File::options().write(true).open(&path);
        files.push(file.with_context(|| format!("cannot open {}", path.display()))?);
    }
    // SAFETY: between fork and exec the closure only calls write, which is async-signal-safe. "0" is the caller.
    unsafe {
        command.pre_exec(move || {
            use std::io::Write as _;
            files.iter().try_for_each(|mut file| file.write_all(b"0"))
        });
    }
    Ok(())
}

fn make(folder: &Path) -> Result<PathBuf> {
    match fs::create_dir(folder) {
        // The two controllers of version 1 may be mounted together.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the control group {}", folder.display()))
        }
        _ => Ok(folder.to_path_buf()),
    }
}

/// Removes a group and those in it, the innermost first.
fn remove_with_all_below(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for below in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        remove_with_all_below(&below)?;
    }
    remove(folder)
}

/// Removes a group, once what was killed in it is gone.
fn remove(folder: &Path) -> Result<()> {
    let what = format!("the control group {} to be empty", folder.display());
    wait_in_any_case(&what, END_LIMIT, || match fs::remove_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => Ok(None),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove the control group {}", folder.display()))
        }
        _ => Ok(Some(())),
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {text} to {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn number(text: &str, path: &Path) -> Result<u64> {
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => bail!("no number in {}: {}", path.display(), text.trim()),
    }
}
