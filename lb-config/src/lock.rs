//! Locks on directories that one process may use at a time. The kernel lets go of them when their process ends, however it
//! ends, so that no stale lock is ever in the way.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another {program} ({}) uses {}: stop it first, or give this one a `{key}` of its own", holder(.pid), .path.display())]
    Held {
        /// What wants it, and what has it.
        program: &'static str,
        /// The process that has it, where the kernel says so.
        pid: Option<u32>,
        /// What is locked.
        path: PathBuf,
        /// The configuration's key for it.
        key: &'static str,
    },
    /// The directory could not be made, opened or locked.
    #[error("cannot make and lock {} (`{key}`){}", .path.display(), advice(.key, .source))]
    Failed {
        /// What should be locked.
        path: PathBuf,
        /// The configuration's key for it.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A lock on a directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    directory: File,
}

impl Drop for Lock {
    /// A child that is about to run another program still has the descriptor for a moment, and the lock with it, unless it is let go of.
    fn drop(&mut self) {
        // The kernel lets go of it in any case, then.
        let _ = self.directory.unlock();
    }
}

impl Lock {
    /// Locks a directory for a program, `lbd` say. The directory is made if it is missing; `key` is the configuration's key
    /// for it.
    ///
    /// # Errors
    /// Another process has the lock, or the directory cannot be made or opened.
    pub fn take(program: &'static str, directory: &Path, key: &'static str) -> Result<Self, LockError> {
        let failed = |source| LockError::Failed { path: directory.to_owned(), key, source };
        fs::create_dir_all(directory).map_err(failed)?;
        let file = File::open(directory).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { directory: file }),
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Held { program, pid: holder_of(&file), path: directory.to_owned(), key })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// The process that holds a lock on the file, by /proc/locks (see proc_locks(5)).
fn holder_of(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    find_holder(&fs::read_to_string("/proc/locks").ok()?, metadata.dev(), metadata.ino())
}

/// A line of it: `1: FLOCK  ADVISORY  WRITE 1234 00:19:5678 0 EOF`, the device being major:minor in hexadecimal.
fn find_holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (libc::major(device), libc::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let held = |line: &&str| line.contains("FLOCK") && !line.contains("->");
    let line = locks.lines().filter(held).find(|line| line.split_whitespace().nth(5) == Some(&file))?;
    line.split_whitespace().nth(4)?.parse().ok().filter(|&pid| pid != 0)
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "of another pid namespace".to_owned(), |pid| format!("pid {pid}"))
}

/// The directory above a BPF file system that is not mounted is one in which nothing can be made.
fn advice(key: &str, error: &io::Error) -> &'static str {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    match (key, error.kind()) {
        ("bpf_dir", NotFound | PermissionDenied | ReadOnlyFilesystem) => {
            "; is a BPF file system mounted there? mount -t bpf bpf /sys/fs/bpf"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_and_a_dropped_one_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        let first = Lock::take("lbd", &path, "run_dir").unwrap();
        let refused = Lock::take("lbd", &path, "run_dir").unwrap_err().to_string();
        let expected = format!(
            "another lbd (pid {}) uses {}: stop it first, or give this one a `run_dir` of its own",
            std::process::id(),
            path.display()
        );
        assert_eq!(refused, expected);
        drop(first);
        Lock::take("lbd", &path, "run_dir").unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named_with_what_may_be_missing() {
        let error = Lock::take("lbd", Path::new("/proc/understudy"), "bpf_dir").unwrap_err();
        let advice = "; is a BPF file system mounted there? mount -t bpf bpf /sys/fs/bpf";
        assert_eq!(error.to_string(), format!("cannot make and lock /proc/understudy (`bpf_dir`){advice}"));
        let error = Lock::take("lbd", Path::new("/proc/understudy"), "run_dir").unwrap_err();
        assert_eq!(error.to_string(), "cannot make and lock /proc/understudy (`run_dir`)");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn the_holder_is_found_by_device_and_inode() {
        let locks = "1: FLOCK  ADVISORY  WRITE 11 00:19:77 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 12 00:19:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 14 00:19:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 00:19:78 0 EOF\n";
        assert_eq!(find_holder(locks, libc::makedev(0, 0x19), 78), Some(13));
        assert_eq!(find_holder(locks, libc::makedev(0, 0x19), 79), None);
        assert_eq!(find_holder("1: FLOCK  ADVISORY  WRITE 0 00:19:78 0 EOF\n", libc::makedev(0, 0x19), 78), None);
    }
}
