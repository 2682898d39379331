//! The generation of this start: what load balancers know old reports of an earlier one by.
//!
//! It is the time of the start, and above the one that is kept in `state_dir`, so that it grows although the clock was set
//! back. Where it cannot be kept, the clock alone has to do.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::measure::text;

const FILE: &str = "generation";
/// The largest file that is read, in bytes: a number.
const MAX_SIZE: u64 = 64;

/// The generation of this start, kept for the next one.
pub(crate) fn next(state_dir: &Path) -> u64 {
    let path = state_dir.join(FILE);
    let kept = kept(&path).unwrap_or_else(|reason| {
        warn!("cannot use {}: {reason}; the generation is the time alone", path.display());
        0
    });
    let generation = microseconds(SystemTime::now()).max(kept.saturating_add(1));
    if let Err(error) = keep(&path, generation) {
        warn!(
            "cannot write {}: {error}; should the clock be set back, load balancers will refuse this real's reports \
             until it has caught up",
            path.display()
        );
    }
    generation
}

fn microseconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// 0 where there is no file yet.
fn kept(path: &Path) -> Result<u64, String> {
    match text::read_bounded(path, MAX_SIZE) {
        Ok(text) => text.trim().parse().map_err(|_| format!("{text:?} is no generation")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

/// Written whole to a second file, flushed and renamed, so that there is always one good file.
fn keep(path: &PathBuf, generation: u64) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    writeln!(file, "{generation}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_time_and_grows_with_each_start() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("made/on/the/way");
        let before = microseconds(SystemTime::now());
        let first = next(&state_dir);
        assert!((before..=microseconds(SystemTime::now())).contains(&first), "{first}");
        assert!(next(&state_dir) > first);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let future = microseconds(SystemTime::now()) + 3_600_000_000;
        fs::write(directory.path().join(FILE), format!("{future}\n")).unwrap();
        assert_eq!(next(directory.path()), future + 1);
        assert_eq!(next(directory.path()), future + 2);
    }

    #[test]
    fn a_file_that_is_damaged_or_cannot_be_written_leaves_the_time() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "x", "-1", "99999999999999999999999"] {
            fs::write(directory.path().join(FILE), text).unwrap();
            let before = microseconds(SystemTime::now());
            let generation = next(directory.path());
            assert!((before..=microseconds(SystemTime::now())).contains(&generation), "{text:?}: {generation}");
        }
        assert!(next(Path::new("/proc/understudy")) > 0);
        fs::write(directory.path().join(FILE), u64::MAX.to_string()).unwrap();
        assert_eq!(next(directory.path()), u64::MAX, "no overflow");
    }
}
