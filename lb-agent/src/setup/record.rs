//! The record of what was changed, so that it can be undone: a file in the state directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use lb_config::lock::{Lock, LockError};
use serde::{Deserialize, Serialize};

use super::Wish;
use super::change::Change;
use crate::measure::text;

const FILE: &str = "setup.json";
const VERSION: u32 = 1;
/// The largest record that is read, in bytes. One with the most VIPs takes a tenth of it.
const MAX_SIZE: u64 = 1 << 20;

/// What was wished, and what was changed for it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The boot that it is of: after another nothing of it is left.
    pub(crate) boot: String,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) changes: Vec<Change>,
}

impl Record {
    /// An empty one.
    pub(crate) fn new(boot: &str) -> Record {
        Record { version: VERSION, boot: boot.to_owned(), wishes: Vec::new(), changes: Vec::new() }
    }

    /// Adds a wish, once.
    pub(crate) fn wish(&mut self, wish: &Wish) {
        if !self.wishes.contains(wish) {
            self.wishes.push(wish.clone());
        }
    }

    /// Adds a change. Of two changes of the same thing, the first says what was there before.
    pub(crate) fn note(&mut self, change: &Change) {
        let first = self.changes.iter().position(|noted| noted.is_of_the_same(change));
        let merged = first.map(|at| self.changes.remove(at).extended(change));
        self.changes.push(merged.unwrap_or_else(|| change.clone()));
    }
}

/// Keeps the record. One at a time.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    _lock: Lock,
}

impl Keeper {
    /// Keeps it in this directory, which is made if it is missing.
    pub(crate) fn open(directory: &Path) -> Result<Keeper, LockError> {
        let lock = Lock::take("lb-agent setup", directory, "--state-dir")?;
        Ok(Keeper { path: directory.join(FILE), _lock: lock })
    }

    /// The record's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The record, if there is one.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Record>> {
        load(&self.path)
    }

    /// Written whole to a second file, flushed and renamed, so that there is always one good file.
    pub(crate) fn save(&self, record: &Record) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(record).context("cannot write the record as JSON")?;
        ensure!(json.len() as u64 <= MAX_SIZE, "the record of changes would become too large; run --undo first");
        let temporary = self.path.with_extension("tmp");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(json.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        write().with_context(|| format!("cannot write the record {}", self.path.display()))
    }

    /// Forgets the record, if there is one.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the record {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The record in a state directory, for those who only look.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Option<Record>> {
    load(&directory.join(FILE))
}

fn load(path: &Path) -> anyhow::Result<Option<Record>> {
    let failed = || {
        let shown = path.display();
        format!(
            "cannot use the record {shown}: look what it says was changed, take that back by hand, and remove the file"
        )
    };
    let text = match text::read_bounded(path, MAX_SIZE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
    };
    let record: Record = serde_json::from_str(&text).with_context(failed)?;
    if record.version != VERSION {
        bail!("the record {} is of version {}: use the lb-agent that has written it", path.display(), record.version);
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::super::facts::Setting;
    use super::*;

    fn setting(before: u32, after: u32) -> Change {
        Change::Setting { interface: "all".to_owned(), setting: Setting::ArpIgnore, before, after }
    }

    #[test]
    fn the_first_change_of_a_thing_says_what_was_before() {
        let mut record = Record::new("boot");
        let up = Change::Up { device: "tunl0".to_owned() };
        for change in [setting(0, 1), up.clone(), setting(3, 2), up.clone()] {
            record.note(&change);
        }
        assert_eq!(record.changes, [setting(0, 2), up]);
    }

    #[test]
    fn a_record_is_kept_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/the/way");
        assert_eq!(read(&path).unwrap(), None);
        let keeper = Keeper::open(&path).unwrap();
        let refused = Keeper::open(&path).unwrap_err().to_string();
        assert!(refused.starts_with("another lb-agent setup (pid "), "{refused}");
        let mut record = Record::new("boot");
        record.note(&setting(0, 1));
        keeper.save(&record).unwrap();
        assert_eq!(keeper.load().unwrap(), Some(record.clone()));
        assert_eq!(read(&path).unwrap(), Some(record.clone()));
        record.changes.extend((0..20_000).map(|n| Change::Up { device: n.to_string() }));
        let refused = keeper.save(&record).unwrap_err().to_string();
        assert_eq!(refused, "the record of changes would become too large; run --undo first");
        keeper.remove().unwrap();
        keeper.remove().unwrap();
        assert_eq!(keeper.load().unwrap(), None);
    }

    #[test]
    fn a_record_that_cannot_be_used_is_not_taken_for_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for (text, expected) in [
            ("", "take that back by hand, and remove the file"),
            (r#"{"version":1,"boot":"b","wishes":[],"changes":[{"change":"paint"}]}"#, "take that back by hand"),
            (
                r#"{"version":2,"boot":"b","wishes":[],"changes":[]}"#,
                "is of version 2: use the lb-agent that has written it",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(directory.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
