//! The directories that `lbd` writes to: whether they can be written to, how much room there is, and how fast they are.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::statvfs::statvfs;

use super::Disk;
use crate::config::Settings;

/// Bytes of the trial: about what a checkpoint's delta has.
const TRIAL: usize = 16 << 10;
/// The file of the trial. It is gone again afterwards.
const TRIAL_FILE: &str = ".lbd-doctor";

/// Looks at each of them; with `write` also how fast it is.
pub(super) fn look(settings: &Settings, write: bool) -> Vec<Disk> {
    let checkpoint = settings.checkpoint.as_ref().map(|kept| ("checkpoint.directory", kept.place.path().to_owned()));
    let all = [("state_dir", settings.state_dir.clone())].into_iter().chain(checkpoint);
    all.map(|(key, path)| disk(key, path, write)).collect()
}

fn disk(key: &'static str, path: PathBuf, write: bool) -> Disk {
    // What is not there yet is made below what is.
    let there = path.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_owned();
    let free = statvfs(&there).map(|stat| stat.blocks_available() * stat.fragment_size());
    let tried = if write { trial(&there).map(Some) } else { Ok(None) };
    let error = match (&free, &tried) {
        (Err(error), _) => Some(error.to_string()),
        (_, Err(error)) => Some(error.to_string()),
        _ => None,
    };
    Disk { key, path, free: free.unwrap_or(0), write_ms: tried.unwrap_or(None), error }
}

/// Milliseconds until a small file is durable.
fn trial(directory: &Path) -> io::Result<f64> {
    let path = directory.join(TRIAL_FILE);
    let began = Instant::now();
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; TRIAL])?;
        file.sync_data()
    });
    let took = began.elapsed();
    // What was not made need not be removed.
    let _ = fs::remove_file(&path);
    written.map(|()| took.as_secs_f64() * 1e3)
}
