//! What a node must know after a restart: the epochs, whether an operator holds it, until when it may go on. A thread of its own
//! writes the file, always the newest state and as a whole (second file, flush, rename). Nobody waits for it: a disk that is full,
//! read-only or slow is a trouble and delays no takeover.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lb_core::pair::{Epoch, Input, Memory, Micros};
use serde::{Deserialize, Serialize};

use super::{Surroundings, Trouble};

/// Name of the file in `state_dir`.
pub const PAIR_FILE: &str = "pair.json";
/// What troubles with it are filed under.
const SUBJECT: &str = "pair file";
/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Differs after each start of the host, and with it the pair's clock begins anew.
const HOST_BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    epoch: Epoch,
    reserved: Epoch,
    boot: u32,
    held: bool,
    resume: Option<Resume>,
}

/// A restart that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Resume {
    until_us: Micros,
    host_boot: String,
}

/// What an earlier daemon has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// For the pair's node.
    pub memory: Memory,
    /// The generation of this start: greater than that of any earlier one.
    pub boot: u32,
    /// Why the file could not be used; then the memory is empty.
    pub problem: Option<String>,
    saved: Saved,
}

/// Reads what an earlier daemon has left in `state_dir`. `now` is the pair's clock.
#[must_use]
pub fn load(state_dir: &Path, now: Micros) -> Loaded {
    let path = state_dir.join(PAIR_FILE);
    let (mut saved, problem) = match read(&path) {
        Ok(saved) => (saved.unwrap_or_default(), None),
        Err(error) => (Saved::default(), Some(set_aside(&path, &error))),
    };
    let resume = saved.resume.take().filter(|resume| resume.until_us > now && resume.host_boot == host_boot());
    let memory = Memory {
        epoch: saved.epoch,
        reserved: saved.reserved,
        resume_until: resume.map(|resume| resume.until_us),
        held: saved.held,
    };
    // Without a file the wall clock has to do.
    saved.boot = saved.boot.saturating_add(1).max(unix_seconds());
    Loaded { memory, boot: saved.boot, problem, saved }
}

/// The file's keeper. Cheap to clone; the thread ends with the last one, after it has written.
#[derive(Clone, Debug)]
pub struct Epochs {
    shared: Arc<Shared>,
    _open: Arc<Open>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug)]
struct Progress {
    wanted: Saved,
    /// How often `wanted` was changed, and how often when it was last written.
    changes: u64,
    written: u64,
    closed: bool,
}

/// Dropped with the last keeper.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0.progress).closed = true;
        self.0.changed.notify_all();
    }
}

impl Epochs {
    /// Starts the thread that writes, and has this start's generation written.
    ///
    /// # Errors
    /// The host has no thread to give.
    pub fn start(state_dir: &Path, loaded: &Loaded, surroundings: Arc<dyn Surroundings>) -> io::Result<Self> {
        let progress = Progress { wanted: loaded.saved.clone(), changes: 1, written: 0, closed: false };
        let path = state_dir.join(PAIR_FILE);
        let shared = Arc::new(Shared { path, progress: Mutex::new(progress), changed: Condvar::new() });
        let writer = Writer { shared: shared.clone(), surroundings, told_reserved: 0, is_failing: false };
        thread::Builder::new().name("epochs".to_owned()).spawn(move || writer.run())?;
        let open = Arc::new(Open(shared.clone()));
        Ok(Self { shared, _open: open })
    }

    /// This epoch may be claimed. [`Input::Reserved`] follows when it is on disk.
    pub fn reserve(&self, epoch: Epoch) {
        self.change(|saved| saved.reserved = saved.reserved.max(epoch));
    }

    /// This epoch is known.
    pub fn know(&self, epoch: Epoch) {
        self.change(|saved| saved.epoch = saved.epoch.max(epoch));
    }

    /// An operator holds the node, or lets go.
    pub fn hold(&self, held: bool) {
        self.change(|saved| saved.held = held);
    }

    /// A successor goes on until then; none: it starts as any other.
    pub fn resume(&self, until: Option<Micros>) {
        let resume = until.map(|until_us| Resume { until_us, host_boot: host_boot() });
        self.change(|saved| saved.resume = resume);
    }

    /// Waits until everything is on disk, or the limit. Returns whether it is.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut progress = lock(&self.shared.progress);
        while progress.written < progress.changes {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            progress = wait(&self.shared.changed, progress, left);
        }
        true
    }

    fn change(&self, change: impl FnOnce(&mut Saved)) {
        let mut progress = lock(&self.shared.progress);
        let mut next = progress.wanted.clone();
        change(&mut next);
        // What is there already needs no write, but whoever asked gets the answer.
        progress.wanted = next;
        progress.changes += 1;
        self.shared.changed.notify_all();
    }
}

/// Writes on a thread of its own.
struct Writer {
    shared: Arc<Shared>,
    surroundings: Arc<dyn Surroundings>,
    told_reserved: Epoch,
    is_failing: bool,
}

impl Writer {
    fn run(mut self) {
        while let Some((saved, changes)) = self.next() {
            match write(&self.shared.path, &saved) {
                Ok(()) => self.written(&saved, changes),
                Err(error) => {
                    self.failed(&error);
                    if self.pause() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for something to write; none when it is done for good.
    fn next(&self) -> Option<(Saved, u64)> {
        let mut progress = lock(&self.shared.progress);
        while progress.written == progress.changes {
            if progress.closed {
                return None;
            }
            progress = self.shared.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Some((progress.wanted.clone(), progress.changes))
    }

    fn written(&mut self, saved: &Saved, changes: u64) {
        lock(&self.shared.progress).written = changes;
        self.shared.changed.notify_all();
        if std::mem::take(&mut self.is_failing) {
            self.surroundings.trouble(Trouble { subject: SUBJECT.to_owned(), message: None, degraded: false });
        }
        if saved.reserved > self.told_reserved {
            self.told_reserved = saved.reserved;
            self.surroundings.reply(Input::Reserved(saved.reserved));
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.is_failing = true;
        let path = self.shared.path.display();
        let message = format!(
            "cannot write {path}: {error}; after a restart this node may not know the epoch. \
             Mend the disk or set state_dir; it is tried again each second"
        );
        self.surroundings.trouble(Trouble { subject: SUBJECT.to_owned(), message: Some(message), degraded: false });
    }

    /// Waits before the next try. Returns whether there shall be none.
    fn pause(&self) -> bool {
        let deadline = Instant::now() + RETRY;
        let mut progress = lock(&self.shared.progress);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if progress.closed || left.is_zero() {
                return progress.closed;
            }
            progress = wait(&self.shared.changed, progress, left);
        }
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    // Nothing panics while it holds the lock half-way through a change.
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a>(changed: &Condvar, progress: MutexGuard<'a, Progress>, left: Duration) -> MutexGuard<'a, Progress> {
    changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0
}

fn read(path: &Path) -> io::Result<Option<Saved>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::other(format!("it is larger than {} KiB", MAX_SIZE >> 10)));
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Moves a file that cannot be used out of the way, and says so.
fn set_aside(path: &Path, error: &io::Error) -> String {
    let aside = path.with_extension("json.bad");
    let moved = match fs::rename(path, &aside) {
        Ok(()) => format!("moved to {}", aside.display()),
        Err(error) => format!("it cannot be moved away ({error}) and will be overwritten"),
    };
    format!(
        "cannot use {}: {error}; {moved}. The epoch is learned from the peer; a hold has to be set again",
        path.display()
    )
}

fn write(path: &Path, saved: &Saved) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut bytes = serde_json::to_vec_pretty(saved)?;
    bytes.push(b'\n');
    let temporary = path.with_extension("json.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

fn host_boot() -> String {
    fs::read_to_string(HOST_BOOT).unwrap_or_default().trim().to_owned()
}

fn unix_seconds() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
