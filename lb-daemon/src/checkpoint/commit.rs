//! The thread that owns the store: each Tc it writes what the disk does not have yet, as one commit. A disk that is slow, full or gone
//! holds up this thread alone.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lb_core::auth::Keys;
use lb_core::checkpoint::ledger::{Duty, Uncommitted};
use lb_core::checkpoint::{Entry, Origin, Sequence};
use lb_core::interval::Estimate;
use lb_store::{Committed, Compacted, Restored, Store, StoreError};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::hub::Hub;
use super::pace::{Pace, cpu_time};

/// How long a write that failed waits for its next try, at least.
const AGAIN: Duration = Duration::from_secs(5);

/// Everything that is known at one instant, for a snapshot.
pub struct Everything {
    /// Whose it is.
    pub origin: Origin,
    /// The last batch in it.
    pub sequence: Sequence,
    /// The scheduling table's generation.
    pub generation: u64,
    /// The table first, then flows in pieces. An error: they cannot be read to the end.
    pub parts: Box<dyn Iterator<Item = Result<Vec<Entry>, String>>>,
}

/// Gives [`Everything`]; nothing where nothing is known yet, or the engine has stopped.
pub type Gather = Box<dyn Fn() -> Option<Everything> + Send>;

/// Takes in what the owner before this node has left on a disk that both have.
pub type Inherit = Box<dyn Fn(Restored) + Send>;

/// How the thread does, for people.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Tc now.
    pub interval: Duration,
    /// Commits since the start.
    pub commits: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// What is wrong with the disk now.
    pub error: Option<String>,
    /// Bytes of all files.
    pub bytes: u64,
    /// The newest commit.
    pub last: Option<Done>,
    /// What was measured of them by now.
    pub estimate: Option<Estimate>,
}

/// A commit that is on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// When it was.
    pub at: Instant,
    /// The newest batch in it.
    pub sequence: Sequence,
    /// Its size and time.
    pub committed: Committed,
    /// Entries in it.
    pub entries: u64,
    /// It was a snapshot.
    pub full: bool,
}

/// What the thread is told.
enum Order {
    /// Commit now, and answer.
    Now(oneshot::Sender<Result<Option<Done>, String>>),
    /// A compaction has come to its end.
    Compacted(Box<Compacted>),
    /// The settings have changed: what files are authenticated with, if that can be read, and their most bytes.
    Settings(Option<Keys>, u64),
    /// Commit once more, and end.
    End,
}

/// A way to the thread.
pub struct Committer {
    orders: Sender<Order>,
    progress: Arc<Mutex<Progress>>,
    thread: JoinHandle<()>,
}

/// What the thread works with.
pub struct Parts {
    /// The store, opened.
    pub store: Store,
    /// The ledger.
    pub hub: Arc<Hub>,
    /// Gives everything for a snapshot.
    pub gather: Gather,
    /// Says Tc.
    pub pace: Pace,
    /// Where both nodes have the disk: who follows does not write, and who leads first reads what the other one wrote.
    pub inherit: Option<Inherit>,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The host has no thread to give.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let Parts { store, hub, gather, mut pace, inherit } = parts;
        let interval = pace.interval();
        let progress = Arc::new(Mutex::new(Progress { interval, bytes: store.size(), ..Progress::default() }));
        let (orders, inbox) = mpsc::channel();
        let sender = orders.clone();
        let mut worker = Worker {
            store,
            hub,
            gather,
            pace,
            interval,
            inherit,
            claimed: None,
            orders: sender,
            progress: progress.clone(),
            not_before: None,
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(move || worker.run(&inbox))?;
        Ok(Self { orders, progress, thread })
    }

    /// How it does.
    #[must_use]
    pub fn progress(&self) -> Progress {
        lock(&self.progress).clone()
    }

    /// Commits now, and gives the newest commit when that is on the disk.
    ///
    /// # Errors
    /// The disk does not take it, or the thread has ended.
    pub async fn now(&self) -> Result<Option<Done>, String> {
        let (answer, done) = oneshot::channel();
        let ended = || "lbd is stopping".to_owned();
        self.orders.send(Order::Now(answer)).map_err(|_| ended())?;
        done.await.map_err(|_| ended())?
    }

    /// Takes over what a reload has changed. Without keys the old ones stay.
    pub fn take_settings(&self, keys: Option<Keys>, max_size: u64) {
        // A thread that has ended needs none.
        let _ = self.orders.send(Order::Settings(keys, max_size));
    }

    /// Commits once more, and ends. Waits for the disk.
    pub fn end(self) {
        let _ = self.orders.send(Order::End);
        if self.thread.join().is_err() {
            warn!("the checkpoints' thread has failed; the log above says where");
        }
    }
}

struct Worker {
    store: Store,
    hub: Arc<Hub>,
    gather: Gather,
    pace: Pace,
    interval: Duration,
    inherit: Option<Inherit>,
    /// For whom a disk that both have was claimed last.
    claimed: Option<Origin>,
    /// For the threads that compact.
    orders: Sender<Order>,
    progress: Arc<Mutex<Progress>>,
    /// The disk has failed: it is not tried again before.
    not_before: Option<Instant>,
}

impl Worker {
    fn run(&mut self, inbox: &Receiver<Order>) {
        let mut begun = Instant::now();
        loop {
            let wake = (begun + self.interval).min(self.pace.next_look());
            match inbox.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Order::Now(answer)) => {
                    // What is committed may not be kept for a later look.
                    self.look();
                    let outcome = self.commit();
                    let _ = answer.send(outcome.map(|()| lock(&self.progress).last));
                }
                Ok(Order::Compacted(compacted)) => self.adopt(*compacted),
                Ok(Order::Settings(keys, max_size)) => {
                    self.store.set(keys, max_size);
                    self.look();
                }
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.commit();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    if begun.elapsed() < self.interval && !self.is_first_due() {
                        continue;
                    }
                    begun = Instant::now();
                    if self.not_before.is_none_or(|at| at <= Instant::now()) {
                        // What fails is told by the progress, and tried again.
                        let _ = self.commit();
                    }
                }
            }
        }
    }

    /// Nothing of what this node has is on the disk: the first checkpoint does not wait for its interval.
    fn is_first_due(&self) -> bool {
        self.hub.look(|ledger, _| ledger.held().is_some() && ledger.durable().is_none())
    }

    /// Measures what has happened, and has the interval follow it.
    fn look(&mut self) {
        self.pace.look(&self.hub);
        self.interval = self.pace.interval();
        let mut progress = lock(&self.progress);
        progress.interval = self.interval;
        progress.estimate = Some(self.pace.estimate());
    }

    /// Writes what the disk does not have. An error is told of, and everything else goes on.
    fn commit(&mut self) -> Result<(), String> {
        if self.inherit.is_some() && self.hub.look(|ledger, _| ledger.duty()) != Duty::Leads {
            return Ok(());
        }
        let written = match self.hub.look(|ledger, _| ledger.uncommitted()) {
            Ok(None) => return Ok(()),
            Ok(Some(news)) if !self.store.needs_snapshot() => self.append(&news),
            Ok(Some(_)) | Err(_) => self.snapshot(),
        };
        match written {
            Ok(()) => {
                self.is_well();
                self.compact_when_due();
                Ok(())
            }
            Err(error) => {
                self.say(&error);
                Err(error)
            }
        }
    }

    fn append(&mut self, news: &Uncommitted) -> Result<(), String> {
        let began = cpu_time();
        let entries = news.entries();
        let committed = self.store.append(news.last(), news.generation(), unix_ms(), &entries).map_err(words)?;
        let entries = count(&entries);
        self.pace.committed(entries, cpu_time().saturating_sub(began));
        self.done(news.origin, news.last(), committed, entries, false);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), String> {
        self.claim()?;
        let Some(Everything { origin, sequence, generation, parts }) = (self.gather)() else { return Ok(()) };
        let mut entries = 0;
        let parts = parts.inspect(|part| entries += part.as_ref().map_or(0, |part| count(part)));
        let committed = self.store.begin(origin, sequence, generation, unix_ms(), parts).map_err(words)?;
        self.done(origin, sequence, committed, entries, true);
        Ok(())
    }

    /// Makes a disk that both nodes have this one's, once each time that it begins to lead, and hands on what it finds there.
    fn claim(&mut self) -> Result<(), String> {
        let Some(inherit) = &self.inherit else { return Ok(()) };
        let Some((origin, _)) = self.hub.look(|ledger, _| ledger.held()) else { return Ok(()) };
        if self.claimed == Some(origin) {
            return Ok(());
        }
        let recovery = self.store.claim(&origin).map_err(words)?;
        self.claimed = Some(origin);
        for refused in &recovery.refused {
            warn!("checkpoints: not used: {refused}");
        }
        recovery.newest.into_iter().for_each(inherit);
        Ok(())
    }

    fn done(&mut self, origin: Origin, sequence: Sequence, committed: Committed, entries: u64, full: bool) {
        self.hub.change(|ledger, _| ledger.committed(origin, sequence));
        let mut progress = lock(&self.progress);
        progress.commits += 1;
        progress.bytes = self.store.size();
        progress.last = Some(Done { at: Instant::now(), sequence, committed, entries, full });
    }

    fn compact_when_due(&mut self) {
        if !self.store.is_due_for_compaction() {
            return;
        }
        let compaction = match self.store.compaction() {
            Ok(Some(compaction)) => compaction,
            Ok(None) => return,
            Err(error) => return self.say(&words(error)),
        };
        let orders = self.orders.clone();
        let run = move || {
            // Where nobody waits for it any more, the next start removes what it has made.
            let _ = orders.send(Order::Compacted(Box::new(compaction.run())));
        };
        if let Err(error) = thread::Builder::new().name("compaction".to_owned()).spawn(run) {
            self.say(&format!("the log cannot be made shorter: {error}"));
        }
    }

    fn adopt(&mut self, compacted: Compacted) {
        match self.store.adopt(compacted) {
            Ok(()) => lock(&self.progress).bytes = self.store.size(),
            Err(error) => {
                if self.store.needs_snapshot() {
                    // What is there cannot be added to, also when nothing new comes.
                    self.hub.change(|ledger, _| ledger.uncommit());
                }
                self.say(&words(error));
            }
        }
    }

    fn is_well(&mut self) {
        self.not_before = None;
        if lock(&self.progress).error.take().is_some() {
            info!("checkpoints: the disk takes them again");
        }
    }

    fn say(&mut self, error: &str) {
        self.not_before = Some(Instant::now() + AGAIN);
        let mut progress = lock(&self.progress);
        progress.failures += 1;
        if progress.error.as_deref() != Some(error) {
            warn!("checkpoints are not on this node's disk, and everything else goes on: {error}");
            progress.error = Some(error.to_owned());
        }
    }
}

fn words(error: StoreError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// Entries as people count them: each real, slot and flow.
pub(super) fn count(entries: &[Entry]) -> u64 {
    let of = |entry: &Entry| match entry {
        Entry::Ring(ring) => ring.slots.len(),
        Entry::Slots { changes, .. } => changes.len(),
        Entry::Remembered(flows) | Entry::HalfOpen(flows) => flows.len(),
        Entry::Forgotten(keys) => keys.len(),
        Entry::Service(_) | Entry::ServiceGone(_) | Entry::Real(_) | Entry::RealGone(_) => 1,
    };
    entries.iter().map(|entry| of(entry) as u64).sum()
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
