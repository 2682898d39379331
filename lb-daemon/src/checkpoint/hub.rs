//! The ledger, shared by all who tell it something or carry what it holds: the engine, the thread that reads flow events, the stream to
//! the peer, and the thread that writes to the disk.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lb_common::FlowKey;
use lb_core::checkpoint::Entry;
use lb_core::checkpoint::ledger::{Ahead, Duty, Ledger, Limits};
use lb_core::pair::Micros;
use tokio::sync::watch;

use crate::config::CheckpointSettings;
use crate::engine::Checkpoints;
use crate::peer::clock;

/// Flows that one batch says to be forgotten, at most: a batch is one message to the peer.
const FORGOTTEN_AT_ONCE: usize = 4_096;

/// The one ledger of a daemon.
pub struct Hub {
    ledger: Mutex<Ledger>,
    has_peer: bool,
    /// For the engine, which waits for acks on its own thread.
    moved: Condvar,
    /// For tasks: grows with each change.
    changes: watch::Sender<u64>,
    /// Grows when everything is wanted anew from the owner.
    wishes: watch::Sender<u64>,
    settings: watch::Sender<CheckpointSettings>,
}

impl Hub {
    /// A hub with an empty ledger.
    #[must_use]
    pub fn new(settings: CheckpointSettings, has_peer: bool) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(limits(&settings, has_peer))),
            has_peer,
            moved: Condvar::new(),
            changes: watch::Sender::new(0),
            wishes: watch::Sender::new(0),
            settings: watch::Sender::new(settings),
        }
    }

    /// Does something to the ledger, and wakes all who wait for a change. It must not take long.
    pub fn change<R>(&self, change: impl FnOnce(&mut Ledger, Micros) -> R) -> R {
        let outcome = change(&mut self.lock(), clock::now());
        self.moved.notify_all();
        self.changes.send_modify(|count| *count += 1);
        outcome
    }

    /// Looks at the ledger.
    pub fn look<R>(&self, look: impl FnOnce(&Ledger, Micros) -> R) -> R {
        look(&self.lock(), clock::now())
    }

    /// Tells of each change of the ledger that it has been.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells that everything is wanted anew from the owner.
    #[must_use]
    pub fn wishes(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }

    /// The settings, and each change of them by a reload.
    #[must_use]
    pub fn settings(&self) -> watch::Receiver<CheckpointSettings> {
        self.settings.subscribe()
    }

    fn set(&self, settings: CheckpointSettings) {
        self.change(|ledger, _| ledger.set_limits(limits(&settings, self.has_peer)));
        self.settings.send_replace(settings);
    }

    /// Tells the peer first, and waits until it has applied it; as long as the ledger says, which is bounded.
    fn write_ahead(&self, entries: Vec<Entry>, generation: u64) {
        let Some(sequence) = self.change(|ledger, now| ledger.append(entries, generation, now)) else { return };
        let mut ledger = self.lock();
        loop {
            let now = clock::now();
            let Ahead::Wait { until } = ledger.ahead(sequence, now) else { return };
            let patience = Duration::from_micros(until.saturating_sub(now));
            ledger = self.moved.wait_timeout(ledger, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limits(settings: &CheckpointSettings, has_peer: bool) -> Limits {
    Limits {
        max_backlog: usize::try_from(settings.max_backlog).unwrap_or(usize::MAX),
        write_ahead_timeout_us: settings.write_ahead_timeout.as_micros() as u64,
        has_peer,
        has_store: true,
    }
}

/// Whether the flow table does not have a flow.
pub type IsGone = Box<dyn Fn(&FlowKey) -> bool + Send>;

/// The engine's side of the hub.
pub struct Teller {
    hub: Arc<Hub>,
    is_gone: IsGone,
}

impl Teller {
    /// The engine's side of this hub.
    #[must_use]
    pub fn new(hub: Arc<Hub>, is_gone: IsGone) -> Self {
        Self { hub, is_gone }
    }
}

impl Checkpoints for Teller {
    fn is_wanted(&self) -> bool {
        self.hub.look(|ledger, _| ledger.duty() == Duty::Leads)
    }

    fn write_ahead(&mut self, entries: Vec<Entry>, generation: u64) {
        self.hub.write_ahead(entries, generation);
    }

    fn tell(&mut self, entries: Vec<Entry>, generation: u64) {
        self.hub.change(|ledger, now| ledger.append(entries, generation, now));
    }

    fn forgotten(&mut self, flows: &[FlowKey]) {
        for some in flows.chunks(FORGOTTEN_AT_ONCE) {
            self.hub.change(|ledger, now| {
                // One that has come back since was told of, or will be after this.
                let gone: Vec<FlowKey> = some.iter().filter(|key| (self.is_gone)(key)).copied().collect();
                if !gone.is_empty() {
                    ledger.append(vec![Entry::Forgotten(gone)], ledger.generation(), now);
                }
            });
        }
    }

    fn unwritten(&mut self, why: &str) {
        self.hub.change(|ledger, _| ledger.flows_unwritten(why));
    }

    fn set(&mut self, settings: &CheckpointSettings) {
        self.hub.set(settings.clone());
    }

    fn ask_for_all(&mut self) {
        self.hub.wishes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use lb_core::checkpoint::Origin;
    use lb_core::pair::Role;

    use crate::checkpoint::test_support::settings;

    use super::*;

    const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 };
    const LONG: Duration = Duration::from_mins(10);

    fn hub(write_ahead_timeout: Duration) -> Arc<Hub> {
        let hub = Hub::new(CheckpointSettings { write_ahead_timeout, ..settings() }, true);
        hub.change(|ledger, _| ledger.lead(ORIGIN));
        Arc::new(hub)
    }

    fn engine_of(hub: &Arc<Hub>) -> Teller {
        Teller::new(hub.clone(), Box::new(|key| key.client_port != 9))
    }

    fn gone(id: u16) -> Vec<Entry> {
        vec![Entry::RealGone(id)]
    }

    #[test]
    fn a_change_waits_until_the_peer_has_applied_it() {
        let hub = hub(LONG);
        let visit = hub.change(|ledger, _| ledger.follower_resumes(0));
        hub.change(|ledger, now| ledger.acked(visit, Some(0), None, now));
        let (told, done) = mpsc::channel();
        let mut teller = engine_of(&hub);
        let engine = thread::spawn(move || {
            teller.write_ahead(gone(1), 7);
            told.send(()).unwrap();
        });
        while hub.look(|ledger, _| ledger.last()) == 0 {
            thread::yield_now();
        }
        assert!(done.try_recv().is_err(), "it did not wait");
        hub.change(|ledger, now| ledger.acked(visit, Some(1), None, now));
        done.recv().unwrap();
        engine.join().unwrap();
    }

    #[test]
    fn nobody_waits_for_a_peer_that_is_not_there_or_late() {
        let hub = hub(LONG);
        let mut teller = engine_of(&hub);
        teller.write_ahead(gone(1), 7);
        let late = self::hub(Duration::ZERO);
        let visit = late.change(|ledger, _| ledger.follower_resumes(0));
        late.change(|ledger, now| ledger.acked(visit, Some(0), None, now));
        engine_of(&late).write_ahead(gone(1), 7);
        assert!(late.look(|ledger, now| ledger.sync(now)).is_err());
    }

    #[test]
    fn a_node_that_does_not_lead_tells_nothing() {
        let hub = hub(LONG);
        assert!(engine_of(&hub).is_wanted());
        hub.change(|ledger, _| ledger.follow());
        assert!(!engine_of(&hub).is_wanted());
        engine_of(&hub).write_ahead(gone(1), 7);
        engine_of(&hub).tell(gone(1), 7);
        assert_eq!(hub.look(|ledger, _| ledger.last()), 0);
    }

    #[test]
    fn many_forgotten_flows_are_several_batches() {
        let hub = hub(LONG);
        engine_of(&hub).forgotten(&vec![FlowKey::default(); 2 * FORGOTTEN_AT_ONCE + 1]);
        assert_eq!(hub.look(|ledger, _| ledger.last()), 3);
    }

    #[test]
    fn a_flow_that_has_come_back_is_not_told_to_be_forgotten() {
        let hub = hub(LONG);
        let key = |client_port| FlowKey { client_port, ..FlowKey::default() };
        engine_of(&hub).forgotten(&[key(8), key(9)]);
        let told = hub.look(|ledger, _| ledger.after(0)).unwrap();
        assert_eq!(told[0].entries, [Entry::Forgotten(vec![key(8)])]);
        engine_of(&hub).forgotten(&[key(9)]);
        assert_eq!(hub.look(|ledger, _| ledger.last()), 1);
    }

    #[test]
    fn a_reload_changes_what_is_waited_for() {
        let hub = hub(LONG);
        let visit = hub.change(|ledger, _| ledger.follower_resumes(0));
        hub.change(|ledger, now| ledger.acked(visit, Some(0), None, now));
        let mut teller = engine_of(&hub);
        teller.set(&CheckpointSettings { write_ahead_timeout: Duration::ZERO, ..settings() });
        teller.write_ahead(gone(1), 7);
        assert_eq!(hub.settings().borrow().write_ahead_timeout, Duration::ZERO);
    }

    #[test]
    fn a_wish_for_everything_is_heard() {
        let hub = hub(LONG);
        let mut wishes = hub.wishes();
        engine_of(&hub).ask_for_all();
        assert!(wishes.has_changed().unwrap());
        wishes.mark_unchanged();
        assert!(!wishes.has_changed().unwrap());
    }
}
