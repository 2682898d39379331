//! The store: one snapshot, the log that continues it, and what becomes of both.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_core::{
    auth::Keys,
    checkpoint::{Entry, Origin, Sequence},
};

use crate::{
    compaction::{Compacted, Compaction},
    directory::{Directory, Options},
    error::StoreError,
    files::Files,
    log::{self, Log},
    name::{FileKind, Name},
    owner,
    recovery::{self, Recovery},
    snapshot::{self, Stamp},
};

/// A log is not worth a new snapshot before it has so many bytes.
const MIN_COMPACTED: u64 = 4 << 20;
/// What a snapshot has around its entries, in bytes, where there is next to nothing in it.
const RECORD_SLACK: u64 = 4 << 10;

/// Checkpoints in a directory.
#[derive(Debug)]
pub struct Store {
    directory: Arc<Directory>,
    /// The newest snapshot that is known to be good.
    newest: Option<Name>,
    /// The one before it: kept in case the disk damages the newest.
    spare: Option<Name>,
    /// Whom the shared disk was claimed for, and the owner file.
    claimed: Option<(Origin, Name)>,
    /// Nothing after an error: what the disk has then is not known, and only a new snapshot makes it so.
    writing: Option<Writing>,
    /// The greatest number that was given to a file: no name is used twice.
    last_number: u64,
}

/// A snapshot, and the log that is being written beside it.
#[derive(Debug)]
struct Writing {
    /// The state that is on the disk.
    stamp: Stamp,
    base: Name,
    base_size: u64,
    /// Logs since the snapshot that are written no more.
    closed: Vec<Name>,
    log: Log,
    /// Bytes of all logs since the snapshot.
    logged: u64,
    /// Bytes of logs from which on a new snapshot is worth its while.
    compact_at: u64,
    /// Bytes of all files.
    size: u64,
    is_compacting: bool,
}

/// A commit that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its size, in bytes.
    pub bytes: u64,
    /// How long it took, the disk included.
    pub took: Duration,
}

impl Writing {
    /// Bytes that are kept free, so that a next snapshot fits beside what there is: about as many as it would be made of, where that order does
    /// not suit it. While one is being made they are counted already.
    fn room_for_next(&self) -> u64 {
        let made_of = self.base_size + self.logged;
        if self.is_compacting { 0 } else { made_of + made_of / 4 + RECORD_SLACK }
    }
}

impl Store {
    /// Looks at what a directory holds. Neither bad content nor a bad disk is an error: the recovery tells of both.
    #[must_use]
    pub fn open(files: Arc<dyn Files>, directory: &Path, options: Options) -> (Self, Recovery) {
        let directory = Arc::new(Directory { files, path: directory.to_owned(), options });
        let mut store = Self { directory, newest: None, spare: None, claimed: None, writing: None, last_number: 0 };
        let recovery = store.recover();
        (store, recovery)
    }

    /// All files together have at most so many bytes from now on, and are authenticated with these keys, where some are given. What is being
    /// compacted goes on as it was begun.
    pub fn set(&mut self, keys: Option<Keys>, max_size: u64) {
        let options = &mut Arc::make_mut(&mut self.directory).options;
        options.max_size = max_size;
        if let Some(keys) = keys {
            options.keys = keys;
        }
    }

    /// Makes this node the owner of a shared disk, and reads it: all that an earlier owner has acknowledged is seen, and nothing will be that
    /// is not. On a disk of one's own it only reads. What is written next is a new snapshot.
    ///
    /// # Errors
    /// The disk is not there, or a newer owner is.
    pub fn claim(&mut self, origin: &Origin) -> Result<Recovery, StoreError> {
        self.writing = None;
        self.take_ownership(origin)?;
        Ok(self.recover())
    }

    /// Writes a snapshot of everything known, and begins an empty log. What was there before goes when the snapshot is on the disk. A part
    /// may say why it and what comes after it cannot be had: then there is no snapshot.
    ///
    /// # Errors
    /// It is not on the disk. The one before it counts, and nothing can be appended before another snapshot is begun.
    pub fn begin(
        &mut self,
        origin: Origin,
        sequence: Sequence,
        generation: u64,
        unix_ms: u64,
        parts: impl Iterator<Item = Result<Vec<Entry>, String>>,
    ) -> Result<Committed, StoreError> {
        let started = Instant::now();
        self.writing = None;
        self.take_ownership(&origin)?;
        let stamp = Stamp { origin, sequence, generation, unix_ms };
        let begun = self.write_snapshot(stamp, parts);
        let mut writing = begun.map_err(|error| self.made_room_after(error))?;
        self.replace_newest(writing.base);
        writing.size = self.directory.size()?;
        let committed = Committed { bytes: writing.base_size, took: started.elapsed() };
        self.writing = Some(writing);
        Ok(committed)
    }

    /// Adds what has changed to the log, as one commit. When this returns it is on the disk.
    ///
    /// # Errors
    /// It may be on the disk or not. Nothing more can be appended before a new snapshot is begun.
    pub fn append(
        &mut self,
        last: Sequence,
        generation: u64,
        unix_ms: u64,
        entries: &[Entry],
    ) -> Result<Committed, StoreError> {
        let started = Instant::now();
        // It is put back when all went well.
        let mut writing = self.writing.take().ok_or(StoreError::NotBegun)?;
        let before = writing.stamp.sequence;
        if last <= before {
            return Err(StoreError::OutOfOrder { before, last });
        }
        let stamp = Stamp { sequence: last, generation, unix_ms, ..writing.stamp };
        let commit = log::encode(&self.directory, &stamp, before + 1, entries.to_vec())?;
        let bytes = commit.len() as u64;
        let needed = bytes + writing.room_for_next();
        self.fit(&mut writing.size, needed)?;
        let appended = writing.log.append(&self.directory, &commit).and_then(|()| self.refuse_newer_owner());
        appended.map_err(|error| self.made_room_after(error))?;
        writing.stamp = stamp;
        writing.logged += bytes;
        writing.size += bytes;
        self.writing = Some(writing);
        Ok(Committed { bytes, took: started.elapsed() })
    }

    /// A new snapshot has to be begun before anything can be appended.
    #[must_use]
    pub fn needs_snapshot(&self) -> bool {
        self.writing.is_none()
    }

    /// Bytes of all files, as far as this store has written or seen them.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.writing {
            Some(writing) => writing.size,
            None => self.directory.size().unwrap_or_default(),
        }
    }

    /// Bytes that the disk has room for, where it says so.
    #[must_use]
    pub fn free_space(&self) -> Option<u64> {
        self.directory.files.free_space(&self.directory.path).ok()
    }

    /// The logs have grown so long that a snapshot is shorter.
    #[must_use]
    pub fn is_due_for_compaction(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| !writing.is_compacting && writing.logged >= writing.compact_at)
    }

    /// Begins a new log, and gives what makes a snapshot of all before it. Commits may go on meanwhile. None when there is nothing to
    /// do: no snapshot was begun, or one is being made already.
    ///
    /// # Errors
    /// No new log could be made. The old one goes on.
    pub fn compaction(&mut self) -> Result<Option<Compaction>, StoreError> {
        let Some(mut writing) = self.writing.take_if(|writing| !writing.is_compacting) else { return Ok(None) };
        let compaction = self.close_log(&mut writing);
        self.writing = Some(writing);
        compaction.map(Some)
    }

    fn close_log(&mut self, writing: &mut Writing) -> Result<Compaction, StoreError> {
        // Not again at once, if this fails.
        writing.compact_at = writing.logged + writing.base_size.max(MIN_COMPACTED);
        let room = writing.room_for_next();
        self.fit(&mut writing.size, room)?;
        let next = Name::new(&writing.stamp.origin, self.next_number()?, FileKind::Log);
        let log = open_log(&self.directory, next)?;
        writing.closed.push(std::mem::replace(&mut writing.log, log).name);
        writing.size += room;
        writing.is_compacting = true;
        Ok(Compaction {
            directory: Arc::clone(&self.directory),
            base: writing.base,
            logs: writing.closed.clone(),
            stamp: writing.stamp,
            unfinished: next.with(FileKind::Unfinished),
            room,
        })
    }

    /// Lets a new snapshot take the place of the one that it was made of; old files go. Where another snapshot was begun meanwhile, it is not
    /// used.
    ///
    /// # Errors
    /// The snapshot could not be made: the old one and its logs count on. Only where these are damaged a new one has to be begun.
    pub fn adopt(&mut self, compacted: Compacted) -> Result<(), StoreError> {
        let Compacted { base, unfinished, size } = compacted;
        let Some(mut writing) = self.writing.take_if(|writing| writing.base == base) else {
            self.directory.remove(unfinished);
            return Ok(());
        };
        writing.is_compacting = false;
        let finished = self.refuse_newer_owner().and(size).and_then(|size| {
            self.directory.finish(unfinished)?;
            Ok(size)
        });
        match finished {
            Ok(size) => self.continue_from(unfinished.with(FileKind::Snapshot), size, writing),
            Err(error) => {
                self.directory.remove(unfinished);
                Err(self.go_on_without(writing, error))
            }
        }
    }

    /// Goes on from a snapshot that is on the disk, and has all but the open log.
    fn continue_from(&mut self, snapshot: Name, size: u64, mut writing: Writing) -> Result<(), StoreError> {
        self.replace_newest(snapshot);
        let files = self.directory.list()?;
        let open = files.iter().find(|file| file.name == writing.log.name);
        writing.base = snapshot;
        writing.base_size = size;
        writing.closed.clear();
        writing.logged = open.map_or(0, |file| file.size);
        writing.compact_at = size.max(MIN_COMPACTED);
        writing.size = files.iter().map(|file| file.size).sum();
        self.writing = Some(writing);
        Ok(())
    }

    /// Goes on with the old snapshot and its logs, where these are good.
    fn go_on_without(&mut self, mut writing: Writing, error: StoreError) -> StoreError {
        let error = self.made_room_after(error);
        if !matches!(error, StoreError::Damaged(_) | StoreError::Superseded { .. }) {
            writing.size = self.directory.size().unwrap_or(writing.size);
            self.writing = Some(writing);
        }
        error
    }

    fn recover(&mut self) -> Recovery {
        let (recovery, newest) = recovery::recover(&self.directory);
        self.newest = newest;
        self.spare = None;
        recovery
    }

    fn take_ownership(&mut self, origin: &Origin) -> Result<(), StoreError> {
        let Options { cluster, owner, shared, .. } = self.directory.options;
        if origin.cluster != cluster {
            return Err(StoreError::OtherCluster { expected: cluster, found: origin.cluster });
        }
        let path = &self.directory.path;
        self.directory.files.create_directory(path).map_err(StoreError::disk("make the directory", path))?;
        if !shared {
            return Ok(());
        }
        if origin.owner != owner {
            return Err(StoreError::NotOwner { owner: origin.owner });
        }
        if self.claimed.is_none_or(|(claimed, _)| claimed != *origin) {
            let number = self.next_number()?;
            self.claimed = None;
            self.claimed = Some((*origin, owner::claim(&self.directory, origin, number)?));
        }
        self.refuse_newer_owner()
    }

    fn refuse_newer_owner(&self) -> Result<(), StoreError> {
        match self.claimed {
            Some((_, own)) => owner::refuse_newer(&self.directory, own),
            None => Ok(()),
        }
    }

    /// Writes a snapshot and an empty log beside it.
    fn write_snapshot(
        &mut self,
        stamp: Stamp,
        parts: impl Iterator<Item = Result<Vec<Entry>, String>>,
    ) -> Result<Writing, StoreError> {
        let number = self.next_number()?;
        let base = Name::new(&stamp.origin, number, FileKind::Snapshot);
        let written = self.write_files(base, &stamp, parts);
        if written.is_err() {
            self.directory.remove(base.with(FileKind::Unfinished));
            self.directory.remove(base.with(FileKind::Log));
        }
        let (base_size, log) = written?;
        self.refuse_newer_owner()?;
        let compact_at = base_size.max(MIN_COMPACTED);
        let (closed, is_compacting) = (Vec::new(), false);
        Ok(Writing { stamp, base, base_size, closed, log, logged: 0, compact_at, size: 0, is_compacting })
    }

    fn write_files(
        &mut self,
        base: Name,
        stamp: &Stamp,
        parts: impl Iterator<Item = Result<Vec<Entry>, String>>,
    ) -> Result<(u64, Log), StoreError> {
        let unfinished = base.with(FileKind::Unfinished);
        let room = self.room_for_snapshot()?;
        let mut failed = None;
        let entries = parts.map_while(|part| part.map_err(|why| failed = Some(why)).ok()).flatten();
        let size = snapshot::write(&self.directory, unfinished, stamp, entries, room)?;
        if let Some(why) = failed {
            return Err(StoreError::NotWhole(why));
        }
        let log = Log::create(&self.directory, base.with(FileKind::Log))?;
        self.directory.finish(unfinished)?;
        Ok((size, log))
    }

    /// How large a new snapshot may be, in bytes. The spare goes where a snapshot like the last one would not fit beside it.
    fn room_for_snapshot(&mut self) -> Result<u64, StoreError> {
        let files = self.directory.list()?;
        let snapshot = self.newest.and_then(|newest| files.iter().find(|file| file.name == newest));
        let mut size = files.iter().map(|file| file.size).sum();
        self.fit(&mut size, snapshot.map_or(0, |snapshot| snapshot.size))?;
        Ok(self.directory.options.max_size - size)
    }

    /// Sees that there is room for `more` bytes beside the `size` that are there. The spare goes where there is no room for it.
    fn fit(&mut self, size: &mut u64, more: u64) -> Result<(), StoreError> {
        let limit = self.directory.options.max_size;
        if *size + more > limit {
            self.drop_spare();
            *size = self.directory.size()?;
        }
        match (*size + more).checked_sub(limit) {
            None | Some(0) => Ok(()),
            Some(excess) => Err(self.directory.too_large(excess)),
        }
    }

    /// A number that no file has or had, and that is greater than all.
    fn next_number(&mut self) -> Result<u64, StoreError> {
        let newest = self.directory.list()?.iter().map(|file| file.name.number).max().unwrap_or_default();
        self.last_number = newest.max(self.last_number).saturating_add(1);
        Ok(self.last_number)
    }

    fn made_room_after(&mut self, error: StoreError) -> StoreError {
        if error.is_disk_full() {
            self.drop_spare();
        }
        error
    }

    fn drop_spare(&mut self) {
        self.spare = None;
        if let Some(newest) = self.newest {
            self.directory.remove_older(newest, newest);
        }
    }

    /// A snapshot is on the disk and counts from now on.
    fn replace_newest(&mut self, snapshot: Name) {
        self.spare = self.newest.replace(snapshot);
        self.directory.remove_older(self.spare.unwrap_or(snapshot), snapshot);
    }
}

/// Makes a log of which the disk has the name.
fn open_log(directory: &Directory, name: Name) -> Result<Log, StoreError> {
    let log = Log::create(directory, name).and_then(|log| directory.sync().map(|()| log));
    log.inspect_err(|_| directory.remove(name))
}
