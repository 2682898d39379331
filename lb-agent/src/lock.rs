//! One agent for each `run_dir`. The kernel lets go of the lock when the process ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// A lock on a directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _directory: File,
}

impl Lock {
    /// Locks `run_dir`, which is made if it is missing.
    pub(crate) fn take(run_dir: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot make and lock {} (`run_dir`)", run_dir.display());
        fs::create_dir_all(run_dir).with_context(failed)?;
        let directory = File::open(run_dir).with_context(failed)?;
        match directory.try_lock() {
            Ok(()) => Ok(Self { _directory: directory }),
            Err(TryLockError::WouldBlock) => bail!(
                "another lb-agent uses {}: stop it first, or give this one a `run_dir` of its own",
                run_dir.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_a_dropped_one_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err().to_string();
        let expected =
            format!("another lb-agent uses {}: stop it first, or give this one a `run_dir` of its own", path.display());
        assert_eq!(refused, expected);
        drop(first);
        Lock::take(&path).unwrap();
        let error = Lock::take(Path::new("/proc/understudy")).unwrap_err().to_string();
        assert_eq!(error, "cannot make and lock /proc/understudy (`run_dir`)");
    }
}
