//! A directory for what a run leaves on the disk. The next run removes what a crashed one has left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const PREFIX: &str = "us-bench-checkpoint-";

/// The directory of this run.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory below `parent`: on a disk, or the figures of commits say nothing.
    pub fn new(parent: &Path) -> Result<Scratch> {
        remove_left(parent)?;
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        let context = || format!("cannot make {}", path.display());
        fs::create_dir(&path).with_context(context)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).with_context(context)?;
        Ok(Scratch(path))
    }

    /// A directory in it, empty: what was there goes.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}; remove it by hand", self.0.display());
        }
    }
}

/// Removes the directories of runs whose process has gone.
fn remove_left(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).with_context(|| format!("cannot read {}", parent.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crashed_run_has_left_goes_and_what_is_in_use_stays() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        let place = parent.place("tests").unwrap();
        let (left, foreign) = (place.join(format!("{PREFIX}{}", u32::MAX)), place.join("else"));
        [&left, &foreign].into_iter().for_each(|path| fs::create_dir(path).unwrap());
        let used = Scratch::new(&place).unwrap();
        assert!(!left.exists() && foreign.exists() && used.0.exists());
        drop(used);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    }
}
