//! The state file: ids and what operators want, so that a successor knows them. Written whole to a second file, flushed and
//! renamed, so that there is always one good file. A disk that is full or read-only stops nothing but the saving.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lb_core::table::SavedState;

/// Name of the file in `state_dir`.
pub const STATE_FILE: &str = "state.json";
/// The largest state file that is read, in bytes: some 200 for each of the most services and reals, and room.
const MAX_SIZE: u64 = 64 << 20;

/// The file that the state is saved to.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    saved: Option<SavedState>,
    error: Option<String>,
}

/// A state file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is there and cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StateFile {
    /// The file in this directory, which need not exist yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(STATE_FILE), saved: None, error: None }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the newest state is not in the file; none when it is.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What the file holds; none when there is no file yet.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn load(&mut self) -> Result<Option<SavedState>, LoadError> {
        let failed = |error| LoadError::Read { path: self.path.clone(), error };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
        let damaged = |reason: String| LoadError::Damaged { path: self.path.clone(), reason };
        if bytes.len() as u64 > MAX_SIZE {
            return Err(damaged(format!("larger than {} MiB", MAX_SIZE >> 20)));
        }
        let state: SavedState = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        self.saved = Some(state.clone());
        Ok(Some(state))
    }

    /// Moves a file that cannot be used out of the way, and says where to.
    ///
    /// # Errors
    /// It cannot be moved; the next save then replaces it.
    pub fn set_aside(&mut self) -> io::Result<PathBuf> {
        self.saved = None;
        let aside = self.path.with_extension("json.bad");
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// The state differs from the one in the file in more than its generation and what was learned.
    #[must_use]
    pub fn is_behind(&self, state: &SavedState) -> bool {
        self.saved.as_ref().is_none_or(|saved| {
            let SavedState { version, generation: _, next_service_id, next_real_id, services, reals, learned: _ } =
                saved;
            *version != state.version
                || *next_service_id != state.next_service_id
                || *next_real_id != state.next_real_id
                || *services != state.services
                || *reals != state.reals
        })
    }

    /// The state is the one in the file, its generation too.
    #[must_use]
    pub fn is_same(&self, state: &SavedState) -> bool {
        self.saved.as_ref() == Some(state)
    }

    /// Writes the state. [`StateFile::error`] says whether that worked.
    pub fn save(&mut self, state: SavedState) {
        match self.write(&state) {
            Ok(()) => {
                self.saved = Some(state);
                self.error = None;
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    fn write(&self, state: &SavedState) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(state)?;
        bytes.push(b'\n');
        replace_file(&self.path, &bytes)
    }
}

/// Writes a file whole, or leaves it as it was. Its directory is made where it is missing.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use lb_core::table::{AdminState, SavedReal};

    use super::*;

    fn state(generation: u64, weight: Option<u32>) -> SavedState {
        let address = "192.0.2.11".parse().unwrap();
        let real = SavedReal { name: "web1".to_owned(), id: 1, address, admin: AdminState::Drained, weight };
        SavedState { generation, reals: vec![real], ..SavedState::default() }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/the/way");
        let mut file = StateFile::new(&path);
        assert!(file.load().unwrap().is_none());
        file.save(state(7, Some(3)));
        assert_eq!(file.error(), None);
        assert_eq!(StateFile::new(&path).load().unwrap(), Some(state(7, Some(3))));
        let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [STATE_FILE], "no second file stays behind");
    }

    #[test]
    fn a_generation_alone_is_no_reason_to_hurry() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = StateFile::new(directory.path());
        assert!(file.is_behind(&state(1, None)));
        file.save(state(1, None));
        assert!(!file.is_behind(&state(2, None)));
        assert!(!file.is_same(&state(2, None)));
        assert!(file.is_same(&state(1, None)));
        assert!(file.is_behind(&state(2, Some(5))));
    }

    #[test]
    fn a_full_disk_keeps_the_old_file_and_is_reported_until_it_works_again() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = directory.path().join("state.json.tmp");
        let mut file = StateFile::new(directory.path());
        file.save(state(1, None));
        std::os::unix::fs::symlink("/dev/full", &temporary).unwrap();
        file.save(state(2, Some(5)));
        assert_eq!(file.error(), Some("No space left on device (os error 28)"));
        assert!(file.is_behind(&state(2, Some(5))));
        assert_eq!(StateFile::new(directory.path()).load().unwrap(), Some(state(1, None)));
        fs::remove_file(&temporary).unwrap();
        file.save(state(2, Some(5)));
        assert_eq!(file.error(), None);
        assert_eq!(StateFile::new(directory.path()).load().unwrap(), Some(state(2, Some(5))));
    }

    #[test]
    fn a_damaged_file_is_named_and_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(STATE_FILE);
        fs::write(&path, "{\"version\": 1, \"gen").unwrap();
        let mut file = StateFile::new(directory.path());
        let error = file.load().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is damaged: EOF while parsing", path.display())), "{error}");
        let aside = file.set_aside().unwrap();
        assert_eq!(aside, directory.path().join("state.json.bad"));
        assert!(aside.exists() && !path.exists());
        assert!(file.load().unwrap().is_none());
    }

    #[test]
    fn a_file_too_large_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join(STATE_FILE)).unwrap().set_len(MAX_SIZE + 1).unwrap();
        let error = StateFile::new(directory.path()).load().unwrap_err().to_string();
        assert!(error.ends_with("is damaged: larger than 64 MiB"), "{error}");
    }
}
