//! A worker with a disk that a test takes away and gives back.

use std::fs;
use std::path::PathBuf;

use lb_common::FlowKey;
use lb_core::auth::Keys;
use lb_core::pair::Role;
use lb_store::{HostFiles, Options};
use tempfile::TempDir;

use super::*;
use crate::checkpoint::test_support::settings;

const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 };

struct Bench {
    directory: TempDir,
    hub: Arc<Hub>,
    worker: Worker,
}

fn options(shared: bool) -> Options {
    let keys = Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap();
    Options { cluster: 1, keys, max_size: 16 << 10, owner: Role::Primary, shared }
}

impl Bench {
    /// A node that leads, and of which these parts are everything.
    fn new(shared: bool, parts: &[Result<Vec<Entry>, String>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(HostFiles), &directory.path().join("store"), options(shared)).0;
        let hub = Arc::new(Hub::new(settings(), true));
        hub.change(|ledger, _| ledger.lead(ORIGIN));
        let (parts, held) = (parts.to_vec(), hub.clone());
        let gather = move || {
            let (origin, sequence) = held.look(|ledger, _| ledger.held())?;
            Some(Everything { origin, sequence, generation: 7, parts: Box::new(parts.clone().into_iter()) })
        };
        let worker = Worker {
            store,
            pace: Pace::new(&hub, Box::new(|| 0)),
            hub: hub.clone(),
            gather: Box::new(gather),
            interval: Duration::from_secs(1),
            inherit: shared.then(|| -> Inherit { Box::new(|_| {}) }),
            claimed: None,
            orders: mpsc::channel().0,
            progress: Arc::default(),
            not_before: None,
        };
        Self { directory, hub, worker }
    }

    fn tell(&self) {
        self.hub.change(|ledger, now| ledger.append(vec![Entry::RealGone(1)], 7, now)).unwrap();
    }

    fn progress(&self) -> Progress {
        lock(&self.worker.progress).clone()
    }

    fn durable(&self) -> Option<Sequence> {
        self.hub.look(|ledger, _| ledger.durable())
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }
}

#[test]
fn everything_comes_first_and_then_what_is_new() {
    let mut bench = Bench::new(false, &[Ok(vec![Entry::RealGone(1)])]);
    bench.worker.commit().unwrap();
    let first = bench.progress().last.unwrap();
    assert!(first.full && first.entries == 1 && bench.durable() == Some(0));
    bench.worker.commit().unwrap();
    assert_eq!(bench.progress().commits, 1, "there is nothing new");
    bench.tell();
    bench.worker.commit().unwrap();
    assert!(!bench.progress().last.unwrap().full);
    assert_eq!(bench.durable(), Some(1));
}

#[test]
fn the_first_checkpoint_does_not_wait_for_its_interval() {
    let mut bench = Bench::new(false, &[Ok(vec![Entry::RealGone(1)])]);
    assert!(bench.worker.is_first_due());
    bench.worker.commit().unwrap();
    assert!(!bench.worker.is_first_due(), "what is new waits");
    bench.hub.change(|ledger, _| ledger.lead(Origin { epoch: 2, ..ORIGIN }));
    assert!(bench.worker.is_first_due(), "nothing of this epoch is there");
}

#[test]
fn a_disk_that_takes_nothing_is_told_of_until_it_does() {
    let mut bench = Bench::new(false, &[Ok(Vec::new())]);
    fs::write(bench.store(), "in the way").unwrap();
    for failures in 1..3 {
        assert!(bench.worker.commit().is_err());
        assert_eq!(bench.progress().failures, failures);
    }
    let error = bench.progress().error.unwrap();
    assert!(error.contains("cannot make the directory"), "{error}");
    assert!(bench.worker.not_before.is_some() && bench.durable().is_none());
    fs::remove_file(bench.store()).unwrap();
    bench.worker.commit().unwrap();
    assert_eq!((bench.progress().error, bench.durable()), (None, Some(0)));
    assert!(bench.worker.not_before.is_none());
}

#[test]
fn after_a_commit_that_failed_everything_is_written_anew() {
    let mut bench = Bench::new(false, &[Ok(Vec::new())]);
    bench.worker.commit().unwrap();
    let keys = (0..40_000).map(|client_port| FlowKey { client_port, ..FlowKey::default() });
    let too_much = vec![Entry::Forgotten(keys.collect())];
    bench.hub.change(|ledger, now| ledger.append(too_much, 7, now)).unwrap();
    let error = bench.worker.commit().unwrap_err();
    assert!(error.contains("max_size"), "{error}");
    assert_eq!(bench.durable(), Some(0));
    bench.worker.commit().unwrap();
    assert!(bench.progress().last.unwrap().full);
    assert_eq!((bench.progress().error, bench.durable()), (None, Some(1)));
}

#[test]
fn a_reload_gives_the_store_more_room_and_other_keys() {
    let mut bench = Bench::new(false, &[Ok(Vec::new())]);
    bench.worker.commit().unwrap();
    let keys = Keys::parse("2 0f0e0d0c0b0a09080706050403020100").unwrap();
    bench.worker.store.set(Some(keys.clone()), 8 << 20);
    let flows = (0..40_000).map(|client_port| FlowKey { client_port, ..FlowKey::default() });
    let much = vec![Entry::Forgotten(flows.collect())];
    bench.hub.change(|ledger, now| ledger.append(much, 7, now)).unwrap();
    bench.worker.commit().unwrap();
    bench.worker.store.set(None, 8 << 20);
    bench.hub.change(|ledger, _| ledger.uncommit());
    bench.worker.commit().unwrap();
    let newest = |options| Store::open(Arc::new(HostFiles), &bench.store(), options).1.newest;
    let of = |options| newest(options).map(|newest| newest.sequence);
    assert_eq!(of(options(false)), Some(0), "the one before it has the old key");
    assert_eq!(of(Options { keys, max_size: 8 << 20, ..options(false) }), Some(1));
}

#[test]
fn what_cannot_be_read_to_its_end_is_not_on_the_disk() {
    let mut bench = Bench::new(false, &[Ok(vec![Entry::RealGone(1)]), Err("the kernel refuses".to_owned())]);
    let error = bench.worker.commit().unwrap_err();
    assert!(error.contains("the kernel refuses"), "{error}");
    assert_eq!((bench.progress().commits, bench.durable()), (0, None));
    let recovery = Store::open(Arc::new(HostFiles), &bench.store(), options(false)).1;
    assert!(recovery.newest.is_none());
}

#[test]
fn who_begins_to_lead_reads_a_shared_disk_once() {
    let mut bench = Bench::new(true, &[Ok(vec![Entry::RealGone(1)])]);
    let (found, inherited) = mpsc::channel();
    bench.worker.inherit = Some(Box::new(move |left| found.send((left.origin, left.sequence)).unwrap()));
    bench.tell();
    bench.worker.commit().unwrap();
    assert!(inherited.try_recv().is_err(), "nothing was there");
    let heir = Origin { epoch: 2, boot: 2, ..ORIGIN };
    bench.hub.change(|ledger, _| ledger.lead(heir));
    bench.worker.commit().unwrap();
    assert_eq!(inherited.try_recv(), Ok((ORIGIN, 1)));
    bench.hub.change(|ledger, _| ledger.uncommit());
    bench.worker.commit().unwrap();
    assert!(bench.progress().last.unwrap().full && inherited.try_recv().is_err(), "it was read before");
}

#[test]
fn who_follows_leaves_a_shared_disk_alone() {
    let mut bench = Bench::new(true, &[Ok(Vec::new())]);
    bench.hub.change(|ledger, _| ledger.follow());
    bench.worker.commit().unwrap();
    assert!(!bench.store().exists() && bench.progress().commits == 0);
    bench.hub.change(|ledger, _| ledger.lead(ORIGIN));
    bench.worker.commit().unwrap();
    assert_eq!(bench.progress().commits, 1);
}
