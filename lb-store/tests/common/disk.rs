//! A disk in memory that keeps no more than POSIX promises, and fails when it is told to.
//!
//! What was written to a file since its last flush may be there after a cut in any part, in any order of its sectors. A name
//! that was made, changed or removed since the directory's last flush may be there or not, each by itself. A flush that fails
//! makes all that it should have written clean: it is lost, whatever a later flush says.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lb_store::{Files, Found, Output};

/// A disk writes so many bytes whole or not at all; small, so that records have many.
const SECTOR: usize = 64;

/// Error numbers of Linux.
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

/// What a call of the store does to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
    List,
    Open,
}

impl Call {
    /// It changes what the disk has, or what it keeps.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::List | Self::Open)
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With this error, having done nothing.
    Error(i32),
    /// With this error, having done a part of it.
    Half(i32),
    /// A write takes less than it was given, and says so.
    Short,
}

/// What is asked before each call, and once more in the midst of each write.
pub type Watch = Box<dyn FnMut(&Disk, Call) -> Option<Fault> + Send>;

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What is read from it.
    data: Vec<u8>,
    /// What counts as being on the disk.
    durable: Vec<u8>,
    /// What of it is not: its flush has failed.
    lost: Vec<std::ops::Range<usize>>,
}

/// A change of a name: to a file, or to none.
type NameChange = (String, Option<usize>);

/// What is on the disk, and what is on the way to it.
#[derive(Clone, Debug, Default)]
pub struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    /// Bytes of all files together, at most.
    pub capacity: Option<u64>,
}

/// How much of what was not flushed is there after a cut.
#[derive(Clone, Copy, Debug)]
pub enum Survival {
    Nothing,
    Everything,
    /// By chance: names each for itself, files up to some byte.
    Prefix,
    /// By chance: names each for itself, files in any of their sectors.
    Sectors,
}

impl Survival {
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Everything, Self::Prefix, Self::Sectors];
}

impl State {
    /// The disk after a power cut.
    pub fn cut(&self, survival: Survival, rng: &mut fastrand::Rng) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.unsynced_names {
            if survival.keeps(rng) {
                apply(&mut names, change);
            }
        }
        let inodes = self.inodes.iter().map(|inode| inode.cut(survival, rng)).collect();
        Self { inodes, durable_names: names.clone(), names, unsynced_names: Vec::new(), capacity: self.capacity }
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].data.len() as u64).sum()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What a file has.
    pub fn content(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.inodes[self.names[name]].data
    }

    /// Puts a file there, as somebody else would.
    pub fn put(&mut self, name: &str, data: Vec<u8>) {
        self.inodes.push(Inode { durable: data.clone(), data, lost: Vec::new() });
        self.names.insert(name.to_owned(), self.inodes.len() - 1);
        self.durable_names.insert(name.to_owned(), self.inodes.len() - 1);
    }

    fn change(&mut self, changes: Vec<NameChange>) {
        changes.iter().for_each(|change| apply(&mut self.names, change));
        self.unsynced_names.extend(changes);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(&name_of(path)).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, inode: usize, bytes: &[u8]) -> io::Result<usize> {
        let room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.size()));
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if taken == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.inodes[inode].data.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
}

impl Survival {
    fn keeps(self, rng: &mut fastrand::Rng) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Prefix | Self::Sectors => rng.bool(),
        }
    }
}

impl Inode {
    fn cut(&self, survival: Survival, rng: &mut fastrand::Rng) -> Self {
        let mut data = self.durable.clone();
        let volatile = &self.data[data.len()..];
        match survival {
            Survival::Nothing => {}
            Survival::Everything => data.extend(volatile),
            Survival::Prefix => data.extend(&volatile[..rng.usize(..=volatile.len())]),
            Survival::Sectors => {
                for sector in volatile.chunks(SECTOR) {
                    let is_there = rng.bool();
                    data.extend(sector.iter().map(|byte| if is_there { *byte } else { 0 }));
                }
            }
        }
        for range in &self.lost {
            let end = range.end.min(data.len());
            data.get_mut(range.start..end).unwrap_or_default().fill(0);
        }
        Self { durable: data.clone(), data, lost: Vec::new() }
    }

    fn sync(&mut self) {
        self.durable = self.data.clone();
    }

    /// What was to be flushed counts as flushed and is not.
    fn fail_to_sync(&mut self) {
        self.lost.push(self.durable.len()..self.data.len());
        self.sync();
    }
}

/// A [`Files`] over such a disk. Its clones have the same disk.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    watch: Arc<Mutex<Option<Watch>>>,
}

impl Disk {
    pub fn new(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), watch: Arc::default() }
    }

    /// Sets who is asked before each call. Calls that it makes itself are not asked about.
    pub fn watch(&self, watch: Option<Watch>) {
        *lock(&self.watch) = watch;
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Asks the watch. An error, where the call is to fail before it has done anything.
    fn ask(&self, call: Call) -> io::Result<Option<Fault>> {
        let Some(mut watch) = lock(&self.watch).take() else { return Ok(None) };
        let fault = watch(self, call);
        lock(&self.watch).get_or_insert(watch);
        match fault {
            Some(Fault::Error(number)) => Err(io::Error::from_raw_os_error(number)),
            fault => Ok(fault),
        }
    }

    /// Does something, and fails all the same where the call is to fail half-way.
    fn ask_and(&self, call: Call, act: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let fault = self.ask(call)?;
        act(&mut self.state())?;
        match fault {
            Some(Fault::Half(number)) => Err(io::Error::from_raw_os_error(number)),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Files for Disk {
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let mut inode = 0;
        self.ask_and(Call::Create, |state| {
            if state.find(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.change(vec![(name_of(path), Some(inode))]);
            Ok(())
        })?;
        Ok(Box::new(DiskFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.ask(Call::Open)?;
        let state = self.state();
        let inode = state.find(path)?;
        Ok(Box::new(io::Cursor::new(state.inodes[inode].data.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask_and(Call::Rename, |state| {
            let inode = state.find(from)?;
            state.change(vec![(name_of(to), Some(inode)), (name_of(from), None)]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask_and(Call::Remove, |state| {
            state.find(path)?;
            state.change(vec![(name_of(path), None)]);
            Ok(())
        })
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Found>> {
        self.ask(Call::List)?;
        let state = self.state();
        let found = |(name, inode): (&String, &usize)| Found {
            name: name.clone(),
            size: state.inodes[*inode].data.len() as u64,
        };
        Ok(state.names.iter().map(found).collect())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let asked = self.ask(Call::SyncDirectory);
        let state = &mut *self.state();
        let unsynced = std::mem::take(&mut state.unsynced_names);
        // After a failure some names are there, or none, and the others will not be.
        let (kept, result) = match asked {
            Ok(Some(Fault::Half(number))) => (unsynced.len() / 2, Err(io::Error::from_raw_os_error(number))),
            Ok(_) => (unsynced.len(), Ok(())),
            Err(error) => (0, Err(error)),
        };
        unsynced.iter().rev().take(kept).rev().for_each(|change| apply(&mut state.durable_names, change));
        result
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.size())))
    }
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    inode: usize,
}

impl Write for DiskFile {
    /// Writes in two halves, so that a cut can come in between.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        match self.disk.ask(Call::Write)? {
            Some(Fault::Half(number)) => {
                self.disk.state().write(self.inode, half)?;
                Err(io::Error::from_raw_os_error(number))
            }
            Some(Fault::Short) => self.disk.state().write(self.inode, bytes.get(..1).unwrap_or_default()),
            Some(Fault::Error(_)) | None => {
                let taken = self.disk.state().write(self.inode, half)?;
                if taken < half.len() {
                    return Ok(taken);
                }
                // The first half is there already: a fault now is one of the next write.
                match self.disk.ask(Call::Write) {
                    Ok(None) => Ok(taken + self.disk.state().write(self.inode, rest).unwrap_or(0)),
                    Ok(Some(_)) | Err(_) => Ok(taken),
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        match self.disk.ask(Call::Sync) {
            Ok(Some(Fault::Half(number))) => {
                self.disk.state().inodes[self.inode].fail_to_sync();
                Err(io::Error::from_raw_os_error(number))
            }
            Ok(_) => {
                self.disk.state().inodes[self.inode].sync();
                Ok(())
            }
            Err(error) => {
                self.disk.state().inodes[self.inode].fail_to_sync();
                Err(error)
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn apply(names: &mut BTreeMap<String, usize>, (name, inode): &NameChange) {
    match inode {
        Some(inode) => names.insert(name.clone(), *inode),
        None => names.remove(name),
    };
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
