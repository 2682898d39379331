//! The thread that hears which flows the XDP program remembers and forgets, and tells the ledger of them, some milliseconds' worth at a
//! time.
//!
//! What the program could not tell, as its buffer was full, it has counted. Then everything is told anew: the ledger is not in sync until
//! that is done.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lb_common::{FLOW_EVENT_FORGOTTEN, FLOW_EVENT_HALF_OPEN, FLOW_EVENT_REMEMBERED, FlowEvent, FlowKey};
use lb_core::checkpoint::{Entry, FlowEntry};
use tracing::warn;

use super::hub::Hub;
use crate::dataplane::{DataplaneError, FlowEvents};

/// How often it is looked whether the thread shall end, and whether events were lost, at least.
const LOOK: Duration = Duration::from_millis(100);
/// For how long none may have been lost before everything is told anew.
const CALM: Duration = Duration::from_millis(500);
/// Entries of one batch, at most.
const AT_ONCE: usize = 4_096;

/// Where events come from: the program's ring buffer, but in tests.
pub trait Source: Send {
    /// Waits until there is an event, `timeout` at most.
    ///
    /// # Errors
    /// The kernel refuses.
    fn wait(&self, timeout: Duration) -> Result<bool, DataplaneError>;
    /// Reads events; says how many.
    ///
    /// # Errors
    /// The kernel refuses.
    fn drain(&mut self, told: &mut dyn FnMut(&FlowEvent)) -> Result<usize, DataplaneError>;
    /// How many could not be told, ever.
    ///
    /// # Errors
    /// The kernel refuses.
    fn lost(&self) -> Result<u64, DataplaneError>;
}

impl Source for FlowEvents {
    fn wait(&self, timeout: Duration) -> Result<bool, DataplaneError> {
        Self::wait(self, timeout)
    }

    fn drain(&mut self, told: &mut dyn FnMut(&FlowEvent)) -> Result<usize, DataplaneError> {
        Self::drain(self, told)
    }

    fn lost(&self) -> Result<u64, DataplaneError> {
        Self::lost(self)
    }
}

/// What the thread counts, for people.
#[derive(Debug, Default)]
pub struct Counts {
    /// Flows told.
    pub told: AtomicU64,
    /// How often events were lost.
    pub overruns: AtomicU64,
    /// How often everything was told anew for it.
    pub resyncs: AtomicU64,
}

/// The thread.
pub struct Listener {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Listener {
    /// Starts it. It gathers what is told within `stream_interval`.
    ///
    /// # Errors
    /// The host has no thread to give.
    pub fn start(source: Box<dyn Source>, hub: Arc<Hub>) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let mut worker = Worker { source, hub, counts: counts.clone(), lost: 0, lost_at: None };
        let is_over = ended.clone();
        let thread = thread::Builder::new().name("flow-events".to_owned()).spawn(move || {
            let settings = worker.hub.settings();
            worker.begin();
            while !is_over.load(Ordering::Acquire) {
                let interval = settings.borrow().stream_interval;
                worker.turn(interval);
            }
        })?;
        Ok(Self { ended, thread, counts })
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Ends it.
    pub fn end(self) {
        self.ended.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            warn!("the thread for flow events has failed; the log above says where");
        }
    }
}

struct Worker {
    source: Box<dyn Source>,
    hub: Arc<Hub>,
    counts: Arc<Counts>,
    /// Events lost by now.
    lost: u64,
    /// When more were lost than before; none where that is mended.
    lost_at: Option<Instant>,
}

impl Worker {
    /// What was lost before is no loss: whoever leads begins by telling everything.
    fn begin(&mut self) {
        self.lost = self.source.lost().unwrap_or(0);
    }

    fn turn(&mut self, interval: Duration) {
        match self.source.wait(LOOK) {
            Ok(true) => {
                thread::sleep(interval);
                self.tell();
            }
            Ok(false) => {}
            Err(error) => self.say_lost(&format!("they cannot be waited for: {error}")),
        }
        self.look_for_losses();
        self.mend();
    }

    fn tell(&mut self) {
        let mut news = News::default();
        let read = self.source.drain(&mut |event| news.add(event));
        if let Err(error) = read {
            self.say_lost(&format!("they cannot be read: {error}"));
        }
        self.counts.told.fetch_add(news.len() as u64, Ordering::Relaxed);
        for entries in news.batches() {
            self.hub.change(|ledger, now| ledger.append(entries, ledger.generation(), now));
        }
    }

    fn look_for_losses(&mut self) {
        match self.source.lost() {
            Ok(lost) if lost > self.lost => {
                let more = lost - self.lost;
                self.lost = lost;
                self.say_lost(&format!("{more} of them found the buffer full (checkpoint.flow_events_size)"));
            }
            Ok(_) => {}
            Err(error) => self.say_lost(&format!("what was lost cannot be counted: {error}")),
        }
    }

    fn say_lost(&mut self, why: &str) {
        if self.lost_at.is_none() {
            warn!("checkpoints: events of flows are lost: {why}; all flows are told again");
            self.counts.overruns.fetch_add(1, Ordering::Relaxed);
        }
        self.lost_at = Some(Instant::now());
        self.hub.change(|ledger, _| ledger.flows_lost(why));
    }

    /// Has everything told anew, once no more is lost.
    fn mend(&mut self) {
        if self.lost_at.is_some_and(|at| at.elapsed() >= CALM) {
            self.lost_at = None;
            self.counts.resyncs.fetch_add(1, Ordering::Relaxed);
            self.hub.change(|ledger, now| ledger.tell_all_anew(now));
        }
    }
}

/// What events say, with the last word on each flow only.
#[derive(Default)]
struct News {
    flows: HashMap<FlowKey, Word>,
}

/// What became of a flow.
enum Word {
    Remembered(FlowEntry),
    HalfOpen(FlowEntry),
    Forgotten,
}

impl News {
    fn add(&mut self, event: &FlowEvent) {
        let flow = FlowEntry { key: event.key, service: event.service, real: event.real };
        let word = match event.kind {
            FLOW_EVENT_REMEMBERED => Word::Remembered(flow),
            FLOW_EVENT_FORGOTTEN => Word::Forgotten,
            FLOW_EVENT_HALF_OPEN => Word::HalfOpen(flow),
            // Of a program that knows more than this daemon.
            _ => return,
        };
        self.flows.insert(flow.key, word);
    }

    /// Flows that are remembered or forgotten.
    fn len(&self) -> usize {
        self.flows.values().filter(|word| !matches!(word, Word::HalfOpen(_))).count()
    }

    /// Entries for batches of a bounded size.
    fn batches(self) -> Vec<Vec<Entry>> {
        let (mut remembered, mut half_open, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        for (key, word) in self.flows {
            match word {
                Word::Remembered(flow) => remembered.push(flow),
                Word::HalfOpen(flow) => half_open.push(flow),
                Word::Forgotten => forgotten.push(key),
            }
        }
        let mut batches: Vec<Vec<Entry>> = Vec::new();
        batches.extend(half_open.chunks(AT_ONCE).map(|some| vec![Entry::HalfOpen(some.to_vec())]));
        batches.extend(remembered.chunks(AT_ONCE).map(|some| vec![Entry::Remembered(some.to_vec())]));
        batches.extend(forgotten.chunks(AT_ONCE).map(|some| vec![Entry::Forgotten(some.to_vec())]));
        batches
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lb_core::checkpoint::Origin;
    use lb_core::checkpoint::ledger::NotInSync;
    use lb_core::pair::Role;

    use super::*;
    use crate::checkpoint::test_support::settings;

    /// Events that a test gives, and a count of those that it says to be lost.
    #[derive(Clone, Default)]
    struct Given(Arc<Mutex<(Vec<FlowEvent>, u64)>>);

    impl Source for Given {
        fn wait(&self, _: Duration) -> Result<bool, DataplaneError> {
            Ok(!self.0.lock().unwrap().0.is_empty())
        }

        fn drain(&mut self, told: &mut dyn FnMut(&FlowEvent)) -> Result<usize, DataplaneError> {
            let events = std::mem::take(&mut self.0.lock().unwrap().0);
            events.iter().for_each(told);
            Ok(events.len())
        }

        fn lost(&self) -> Result<u64, DataplaneError> {
            Ok(self.0.lock().unwrap().1)
        }
    }

    fn event(port: u16, kind: u16, real: u16) -> FlowEvent {
        let key = FlowKey { client_port: port, ..FlowKey::default() };
        FlowEvent { key, kind, real, service: 3, ..FlowEvent::default() }
    }

    fn flow(port: u16, real: u16) -> FlowEntry {
        FlowEntry { key: event(port, 0, 0).key, service: 3, real }
    }

    fn worker() -> (Given, Worker) {
        let hub = Arc::new(Hub::new(settings(), true));
        hub.change(|ledger, _| ledger.lead(Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 }));
        let given = Given::default();
        let source = Box::new(given.clone());
        (given, Worker { source, hub, counts: Arc::default(), lost: 0, lost_at: None })
    }

    fn told(worker: &Worker) -> Vec<Entry> {
        let batches = worker.hub.look(|ledger, _| ledger.after(0)).unwrap();
        batches.iter().flat_map(|batch| batch.entries.clone()).collect()
    }

    #[test]
    fn the_last_word_on_each_flow_is_told() {
        let (given, mut worker) = worker();
        given.0.lock().unwrap().0 = vec![
            event(1, FLOW_EVENT_HALF_OPEN, 7),
            event(1, FLOW_EVENT_REMEMBERED, 7),
            event(2, FLOW_EVENT_REMEMBERED, 8),
            event(2, FLOW_EVENT_FORGOTTEN, 0),
            event(3, FLOW_EVENT_HALF_OPEN, 9),
            event(4, 99, 9),
        ];
        worker.turn(Duration::ZERO);
        let expected = vec![
            Entry::HalfOpen(vec![flow(3, 9)]),
            Entry::Remembered(vec![flow(1, 7)]),
            Entry::Forgotten(vec![flow(2, 0).key]),
        ];
        assert_eq!(told(&worker), expected);
        assert_eq!(worker.counts.told.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_key_that_is_used_again_is_half_open_and_not_forgotten() {
        let (given, mut worker) = worker();
        given.0.lock().unwrap().0 = vec![event(1, FLOW_EVENT_FORGOTTEN, 0), event(1, FLOW_EVENT_HALF_OPEN, 7)];
        worker.turn(Duration::ZERO);
        assert_eq!(told(&worker), [Entry::HalfOpen(vec![flow(1, 7)])]);
    }

    #[test]
    fn lost_events_are_told_of_and_everything_is_told_anew() {
        let (given, mut worker) = worker();
        let visit = worker.hub.change(|ledger, _| ledger.follower_resumes(0));
        worker.hub.change(|ledger, now| ledger.acked(visit, Some(0), Some(0), now));
        worker.begin();
        worker.turn(Duration::ZERO);
        let sync = |worker: &Worker| worker.hub.look(|ledger, now| ledger.sync(now));
        assert_eq!(sync(&worker), Ok(()));
        given.0.lock().unwrap().1 = 5;
        worker.turn(Duration::ZERO);
        assert!(matches!(sync(&worker), Err(NotInSync::FlowsLost(why)) if why.contains("5 of them")));
        worker.lost_at = Instant::now().checked_sub(CALM);
        worker.turn(Duration::ZERO);
        assert!(worker.hub.look(|ledger, _| ledger.after(0)).is_err(), "the follower could go on without them");
        assert_eq!(worker.counts.resyncs.load(Ordering::Relaxed), 1);
        worker.turn(Duration::ZERO);
        assert_eq!(worker.counts.resyncs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_was_lost_before_the_start_is_no_loss() {
        let (given, mut worker) = worker();
        given.0.lock().unwrap().1 = 5;
        worker.begin();
        worker.turn(Duration::ZERO);
        assert_eq!(worker.counts.overruns.load(Ordering::Relaxed), 0);
    }
}
