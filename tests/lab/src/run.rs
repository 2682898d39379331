//! One run: the names and the directory of everything that a lab makes, and the removal of what crashed runs left.
//!
//! A run has a directory under [`RUN_ROOT`] before it has anything else. The file `owner` in it names the process;
//! once that is gone, the next run takes down the namespaces, processes, control groups, mounts and files that bear the run's name.
//! A file `kept` beside it protects a run that was left up on purpose.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::cgroup::remove_groups;
use crate::command::ip;

/// Where the directories of all runs are.
pub const RUN_ROOT: &str = "/run/understudy-lab";
/// Where `ip netns` keeps its namespaces.
pub(crate) const NETNS_ROOT: &str = "/run/netns";
const NAME_PREFIX: &str = "us-";
const OWNER_FILE: &str = "owner";
const KEPT_FILE: &str = "kept";

static NEXT_RUN: AtomicU32 = AtomicU32::new(0);

/// The name and the directory of one lab. Dropped, it unmounts and removes the directory.
#[derive(Debug)]
pub struct Run {
    id: String,
    dir: PathBuf,
}

impl Run {
    /// Takes a name that no other run has, after taking down what crashed runs left. A kept run stays.
    pub fn start() -> Result<Run> {
        require_root()?;
        let lock = Lock::take()?;
        remove_runs(&lock, |run| !run.kept && !run.alive)?;
        let number = NEXT_RUN.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let id = if number == 0 { format!("{NAME_PREFIX}{pid}") } else { format!("{NAME_PREFIX}{pid}.{number}") };
        let dir = Path::new(RUN_ROOT).join(&id);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let run = Run { id, dir };
        let started = start_time(pid).context("cannot read /proc/self/stat")?;
        run.write(OWNER_FILE, &format!("{pid} {started}\n"))?;
        Ok(run)
    }

    /// The run's name, the first part of all names that it gives: `us-4242`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The run's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of this run's `what`: `us-4242-lb`.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.id)
    }

    /// Protects the run from the cleaning of later ones, until [`take_down_all`]. The owner of what is to stay up then
    /// forgets it (`std::mem::forget`).
    pub fn keep(&self) -> Result<()> {
        self.write(KEPT_FILE, "")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Err(error) = remove_dir(&self.dir) {
            eprintln!("cleaning up {}: {error:#}", self.id);
        }
    }
}

/// Takes down runs whose process is gone, kept ones too, and returns their names.
pub fn take_down_all() -> Result<Vec<String>> {
    require_root()?;
    let lock = Lock::take()?;
    remove_runs(&lock, |run| !run.alive)
}

/// The names of the runs that were left up on purpose.
pub fn kept_runs() -> Result<Vec<String>> {
    Ok(list_runs()?.into_iter().filter(|run| run.kept && !run.alive).map(|run| run.id).collect())
}

/// An error that says so when the process has no root privilege.
pub fn require_root() -> Result<()> {
    // SAFETY: geteuid only returns a number.
    if unsafe { libc::geteuid() } != 0 {
        bail!("network namespaces and XDP need root: run this as root, for example with sudo");
    }
    Ok(())
}

/// Held while runs are listed, made or removed, so that two processes do not clean the same run.
struct Lock {
    _file: File,
}

impl Lock {
    fn take() -> Result<Lock> {
        fs::create_dir_all(RUN_ROOT).with_context(|| format!("cannot create {RUN_ROOT}"))?;
        let path = Path::new(RUN_ROOT).join("lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        // SAFETY: the descriptor is open for as long as `file` lives.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error()).with_context(|| format!("cannot lock {}", path.display()));
        }
        Ok(Lock { _file: file })
    }
}

struct Found {
    id: String,
    dir: PathBuf,
    alive: bool,
    kept: bool,
}

fn list_runs() -> Result<Vec<Found>> {
    let Ok(entries) = fs::read_dir(RUN_ROOT) else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for entry in entries {
        let dir = entry.with_context(|| format!("cannot list {RUN_ROOT}"))?.path();
        let Some(id) = dir.file_name().and_then(|name| name.to_str()).filter(|name| name.starts_with(NAME_PREFIX))
        else {
            continue;
        };
        let alive = fs::read_to_string(dir.join(OWNER_FILE)).is_ok_and(|owner| is_alive(&owner));
        runs.push(Found { id: id.to_string(), kept: dir.join(KEPT_FILE).exists(), alive, dir });
    }
    Ok(runs)
}

fn remove_runs(_: &Lock, unwanted: impl Fn(&Found) -> bool) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for run in list_runs()?.into_iter().filter(|run| unwanted(run)) {
        remove_namespaces(&run.id)?;
        remove_groups(&run.id)?;
        remove_dir(&run.dir)?;
        removed.push(run.id);
    }
    Ok(removed)
}

fn remove_namespaces(run_id: &str) -> Result<()> {
    let Ok(entries) = fs::read_dir(NETNS_ROOT) else { return Ok(()) };
    let prefix = format!("{run_id}-");
    for entry in entries {
        let name = entry.with_context(|| format!("cannot list {NETNS_ROOT}"))?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with(&prefix)) {
            remove_namespace(name)?;
        }
    }
    Ok(())
}

/// Kills what runs in the namespace and removes it.
pub(crate) fn remove_namespace(name: &str) -> Result<()> {
    if let Ok(metadata) = fs::metadata(Path::new(NETNS_ROOT).join(name)) {
        kill_processes_in(metadata.ino());
    }
    ip(&format!("netns del {name}")).map(drop)
}

/// Kills the processes whose main thread lives in the network namespace with this inode number.
fn kill_processes_in(inode: u64) {
    let own_pid = std::process::id();
    let wanted = format!("net:[{inode}]");
    for pid in process_ids().filter(|pid| *pid != own_pid) {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/net"));
        if namespace.is_ok_and(|link| link.as_os_str() == wanted.as_str()) {
            // SAFETY: kill takes no pointers. The process lives in a namespace that a run of this program made.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        }
    }
}

fn process_ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Unmounts all that is mounted below a run's directory and removes it.
fn remove_dir(dir: &Path) -> Result<()> {
    for mount in mounts_below(dir)? {
        unmount(&mount)?;
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Mount points at or below `dir`, the innermost first.
fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let unique: HashSet<PathBuf> = points.filter(|point| point.starts_with(dir)).collect();
    let mut below: Vec<PathBuf> = unique.into_iter().collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.as_os_str().len()));
    Ok(below)
}

/// Mounts a BPF file system on `dir`, which is created. It goes with the run whose directory it is in.
pub fn mount_bpffs(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let target = c_path(dir)?;
    // SAFETY: all pointers are to NUL-terminated strings that outlive the call; no data is given.
    let result = unsafe { libc::mount(c"bpf".as_ptr(), target.as_ptr(), c"bpf".as_ptr(), 0, std::ptr::null()) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        return Err(error).with_context(|| format!("cannot mount a BPF file system on {}", dir.display()));
    }
    Ok(())
}

fn unmount(dir: &Path) -> Result<()> {
    let target = c_path(dir)?;
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    if unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(error).with_context(|| format!("cannot unmount {}", dir.display()));
    }
    Ok(())
}

fn c_path(path: &Path) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).with_context(|| format!("{} has a NUL in it", path.display()))
}

/// Whether the process that an owner file names, `PID START`, still runs.
fn is_alive(owner: &str) -> bool {
    let mut fields = owner.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(started))) = (fields.next(), fields.next()) else { return false };
    u32::try_from(pid).ok().and_then(start_time) == Some(started)
}

/// When a process began, in clock ticks after boot: with the pid it names a process for good.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the 20th field after it is the start time.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_alive_and_a_reused_pid_is_not() {
        let pid = std::process::id();
        let started = start_time(pid).unwrap();
        assert!(is_alive(&format!("{pid} {started}\n")));
        assert!(!is_alive(&format!("{pid} {}\n", started + 1)));
        assert!(!is_alive(""));
        assert!(!is_alive("4194305 1"));
    }
}
