//! What has happened to the pair: each event is logged once, kept on disk over restarts, and kept at hand for the API.
//!
//! A thread of its own does it, so that whoever has something to tell never waits for the disk. A disk that cannot be written is a
//! trouble and stops nothing: what is not on disk yet is tried again.

mod file;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lb_core::api::{self, Events, Happening, MAX_EVENT_LIMIT};
use lb_core::pair;
use tracing::{info, warn};

use crate::api::words;
use crate::takeover::Trouble;
use file::EventFile;

/// Events that wait for the thread; further ones are counted and lost.
const QUEUE: usize = 256;
/// Events that are at hand.
const MAX_AT_HAND: usize = MAX_EVENT_LIMIT as usize;
/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// What troubles are filed under.
const SUBJECT: &str = "journal";

/// When something was, by the wall clock, in milliseconds since 1970, from the pair's clock.
pub type WallClock = Box<dyn Fn(pair::Micros) -> u64 + Send>;
/// Is told of a disk that cannot be written, and when it can again.
pub type Tell = Box<dyn Fn(Trouble) + Send>;

/// What the journal needs.
pub struct Parts {
    /// The generation of this start.
    pub boot: u32,
    /// What people call the paths, by [`pair::PathId`].
    pub paths: Vec<String>,
    /// What time it is.
    pub clock: WallClock,
    /// Who hears of troubles.
    pub tell: Tell,
}

/// The way to the journal. Cheap to clone; the thread ends with the last one, after it has written.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: SyncSender<Message>,
    shared: Arc<Mutex<AtHand>>,
}

#[derive(Debug)]
enum Message {
    Event(pair::Event),
    /// Everything before it is to be written; whether it was is answered.
    Flush(SyncSender<bool>),
}

/// The newest events.
#[derive(Debug, Default)]
struct AtHand {
    events: VecDeque<api::Event>,
    /// There were older ones.
    truncated: bool,
    /// Events that found the queue full.
    lost: u64,
}

impl Journal {
    /// Reads what earlier daemons have left in `state_dir`, and starts the thread.
    ///
    /// # Errors
    /// The host has no thread to give.
    pub fn start(state_dir: &Path, parts: Parts) -> io::Result<Self> {
        let file = EventFile::new(state_dir);
        let earlier = file.read().unwrap_or_else(|error| {
            warn!("{SUBJECT}: cannot read {}: {error}; the earlier events are not shown", file.path().display());
            Vec::new()
        });
        let next = earlier.iter().map(|event| event.sequence).max().unwrap_or(0) + 1;
        let mut at_hand = AtHand::default();
        earlier.into_iter().for_each(|event| at_hand.push(event));
        let shared = Arc::new(Mutex::new(at_hand));
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let writer = Writer { parts, file, shared: shared.clone(), next, unwritten: VecDeque::new(), troubled: false };
        thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Self { queue, shared })
    }

    /// Notes an event. Does not wait: where more happens than can be noted, the rest is counted.
    pub fn note(&self, event: pair::Event) {
        if self.queue.try_send(Message::Event(event)).is_err()
            && let Ok(mut at_hand) = self.shared.try_lock()
        {
            at_hand.lost += 1;
        }
    }

    /// The newest events, the oldest of them first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Events {
        let at_hand = lock(&self.shared);
        let skipped = at_hand.events.len().saturating_sub(limit);
        let events = at_hand.events.iter().skip(skipped).cloned().collect();
        Events { events, truncated: skipped > 0 || at_hand.truncated }
    }

    /// Waits until what was noted is on disk, or the limit. Returns whether it is.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let (answer, written) = mpsc::sync_channel(1);
        self.queue.try_send(Message::Flush(answer)).is_ok() && written.recv_timeout(limit).unwrap_or(false)
    }
}

impl AtHand {
    fn push(&mut self, event: api::Event) {
        self.events.push_back(event);
        if self.events.len() > MAX_AT_HAND {
            self.events.pop_front();
            self.truncated = true;
        }
    }
}

struct Writer {
    parts: Parts,
    file: EventFile,
    shared: Arc<Mutex<AtHand>>,
    /// Number of the next event.
    next: u64,
    /// Lines that are not on disk yet.
    unwritten: VecDeque<String>,
    troubled: bool,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let patience = if self.unwritten.is_empty() { Duration::MAX } else { RETRY };
            match messages.recv_timeout(patience) {
                Ok(Message::Event(event)) => self.take(&event),
                Ok(Message::Flush(answer)) => {
                    self.write();
                    let _ = answer.try_send(self.unwritten.is_empty());
                }
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
        }
    }

    fn take(&mut self, event: &pair::Event) {
        let event = self.event(event);
        if event.is_alarm() {
            warn!("pair: {}", event.sentence());
        } else {
            info!("pair: {}", event.sentence());
        }
        // An event is plain data, which JSON always has a form for.
        if let Ok(line) = serde_json::to_string(&event) {
            self.unwritten.push_back(line);
        }
        if self.unwritten.len() > MAX_AT_HAND {
            self.unwritten.pop_front();
        }
        let lost = {
            let mut at_hand = lock(&self.shared);
            at_hand.push(event);
            std::mem::take(&mut at_hand.lost)
        };
        if lost > 0 {
            warn!("pair: {lost} events came too fast and were not noted");
        }
        self.write();
    }

    fn event(&mut self, event: &pair::Event) -> api::Event {
        let sequence = self.next;
        self.next += 1;
        api::Event {
            sequence,
            unix_ms: (self.parts.clock)(event.at),
            boot: self.parts.boot,
            what: self.happening(event.what),
            reason: event.reason.clone(),
        }
    }

    fn happening(&self, what: pair::Happening) -> Happening {
        match what {
            pair::Happening::State { from, to, epoch } => {
                Happening::State { from: words::state(from), to: words::state(to), epoch }
            }
            pair::Happening::Path { path, up } => {
                let name = self.parts.paths.get(usize::from(path)).cloned().unwrap_or_default();
                Happening::Path { path, name, up }
            }
            pair::Happening::Peer(health) => Happening::Peer { health: words::health(health) },
            pair::Happening::Stalled { for_us } => Happening::Stalled { for_ms: words::ms(for_us) },
            pair::Happening::Notice => Happening::Notice,
        }
    }

    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let lines: String = self.unwritten.iter().flat_map(|line| [line, "\n"]).collect();
        let message = match self.file.append(&lines) {
            Ok(()) => {
                self.unwritten.clear();
                None
            }
            Err(error) => Some(format!(
                "cannot write {}: {error}; events since then would not outlive a restart",
                self.file.path().display()
            )),
        };
        if message.is_some() || self.troubled {
            self.troubled = message.is_some();
            (self.parts.tell)(Trouble { subject: SUBJECT.to_owned(), message, degraded: false });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
