//! Crash consistency: whatever fails, and wherever the power goes, what was acknowledged is there, and nothing else.
//!
//! The disk is one in memory that keeps no more than POSIX promises. `UNDERSTUDY_STORE_STEPS=N` makes the long run N steps
//! long, `UNDERSTUDY_STORE_SEED=S` gives it another seed.

mod common;

use std::sync::{Arc, Mutex};

use common::{
    Known, Placed, begin,
    disk::{Disk, EIO, ENOSPC, EROFS, Fault, State, Survival},
    open, options, origin,
};
use lb_core::pair::Role;
use lb_store::{Compaction, Store};

/// Steps of the long run in CI: some 30,000 cut points.
const STEPS: usize = 2_000;
/// Fewest cut points that prove anything.
const MIN_CUT_POINTS: usize = 10_000;

/// What may be on the disk.
#[derive(Default)]
struct Expected {
    /// What was acknowledged last.
    acked: Option<Placed>,
    /// What was asked for since. It may be there, whole, or not.
    asked: Vec<Placed>,
    /// Instants and ways in which the power was cut.
    cut_points: usize,
    /// Cuts after which what was acknowledged was not there.
    losses: usize,
    faults: usize,
}

impl Expected {
    fn allows(&self, found: Option<&Placed>) -> bool {
        found == self.acked.as_ref() || self.asked.iter().any(|asked| Some(asked) == found)
    }

    /// For a new disk.
    fn forget(&mut self) {
        self.acked = None;
        self.asked.clear();
    }

    /// Cuts the power in each way.
    fn cut_in_all_ways(&mut self, state: &State, rng: &mut fastrand::Rng) {
        for survival in Survival::ALL {
            self.cut_points += 1;
            let (_, recovery) = open(Disk::new(state.cut(survival, rng)), options(Role::Primary, false));
            let found = recovery.newest.as_ref().map(Placed::of);
            if !self.allows(found.as_ref()) {
                self.losses += 1;
                let Self { acked, asked, .. } = self;
                eprintln!("{survival:?}: found {found:?}\nacknowledged {acked:?}\nasked {asked:?}");
                recovery.refused.iter().for_each(|refused| eprintln!("{refused}"));
            }
        }
    }
}

/// A node with its store, and what is known of it.
struct Node {
    disk: Disk,
    store: Store,
    now: Placed,
    expected: Arc<Mutex<Expected>>,
    compaction: Option<Compaction>,
}

impl Node {
    /// Starts on a disk, with what it finds there.
    fn start(disk: Disk, boot: u32, expected: Arc<Mutex<Expected>>) -> Self {
        let (store, recovery) = open(disk.clone(), options(Role::Primary, false));
        let found = recovery.newest.as_ref().map(Placed::of);
        assert!(expected.lock().unwrap().allows(found.as_ref()), "found {found:?} at the start");
        let known = found.map_or_else(Known::default, |found| found.known);
        let now = Placed { origin: origin(Role::Primary, boot, boot), sequence: 1, known };
        Self { disk, store, now, expected, compaction: None }
    }

    fn ask(&self) {
        self.expected.lock().unwrap().asked.push(self.now.clone());
    }

    fn acknowledge(&self) {
        let mut expected = self.expected.lock().unwrap();
        expected.acked = Some(self.now.clone());
        expected.asked.clear();
    }

    fn begin(&mut self) {
        self.ask();
        if begin(&mut self.store, &self.now).is_ok() {
            self.acknowledge();
        }
    }

    /// Learns something, and writes it down.
    fn commit(&mut self, rng: &mut fastrand::Rng) {
        let entries = self.now.known.some_change(rng);
        self.now.known = self.now.known.with(&entries);
        self.now.sequence += rng.u64(1..4);
        if self.store.needs_snapshot() {
            return self.begin();
        }
        self.ask();
        if self.store.append(self.now.sequence, self.now.sequence, 0, &entries).is_ok() {
            self.acknowledge();
        }
    }

    fn begin_compaction(&mut self) {
        if let Ok(Some(compaction)) = self.store.compaction() {
            self.compaction = Some(compaction);
        }
    }

    fn end_compaction(&mut self) {
        if let Some(compaction) = self.compaction.take() {
            let _ = self.store.adopt(compaction.run());
        }
    }

    /// Another takes over: the same state in another epoch.
    fn take_over(&mut self) {
        self.now.origin.epoch += 1;
        self.now.sequence = 1;
        self.begin();
    }
}

/// Every kind of step in a row: with compactions while commits go on, and two epochs.
fn script(node: &mut Node, rng: &mut fastrand::Rng) {
    for _ in 0..3 {
        node.commit(rng);
    }
    node.begin_compaction();
    node.commit(rng);
    node.end_compaction();
    node.commit(rng);
    node.take_over();
    node.commit(rng);
    node.begin_compaction();
    node.commit(rng);
    node.end_compaction();
    node.commit(rng);
}

/// Runs the script with one call failing, and cuts the power at every call from then on. Says how many calls there were.
fn run_script(failing: Option<(usize, Fault)>, expected: &Arc<Mutex<Expected>>) -> usize {
    expected.lock().unwrap().forget();
    let disk = Disk::new(State::default());
    let calls = Arc::new(Mutex::new(0));
    watch_script(&disk, failing, expected, &calls);
    let mut node = Node::start(disk.clone(), 1, Arc::clone(expected));
    script(&mut node, &mut fastrand::Rng::with_seed(7));
    assert!(!node.store.needs_snapshot() || failing.is_some_and(|(_, fault)| fault != Fault::Short));
    disk.watch(None);
    *calls.lock().unwrap()
}

fn watch_script(
    disk: &Disk,
    failing: Option<(usize, Fault)>,
    expected: &Arc<Mutex<Expected>>,
    calls: &Arc<Mutex<usize>>,
) {
    let (expected, calls) = (Arc::clone(expected), Arc::clone(calls));
    let mut rng = fastrand::Rng::with_seed(8);
    disk.watch(Some(Box::new(move |disk, call| {
        let mut calls = calls.lock().unwrap();
        let index = *calls;
        *calls += 1;
        let mut expected = expected.lock().unwrap();
        // What comes before the fault is the same in every run.
        if call.is_change() && failing.is_none_or(|(failing, _)| index > failing) {
            expected.cut_in_all_ways(&disk.state(), &mut rng);
        }
        let (_, fault) = failing.filter(|(failing, _)| *failing == index)?;
        expected.faults += 1;
        Some(fault)
    })));
}

#[test]
fn each_call_may_fail_in_each_way() {
    let expected = Arc::new(Mutex::new(Expected::default()));
    let calls = run_script(None, &expected);
    let faults = [
        Fault::Error(EIO),
        Fault::Half(EIO),
        Fault::Error(ENOSPC),
        Fault::Half(ENOSPC),
        Fault::Error(EROFS),
        Fault::Short,
    ];
    for fault in faults {
        for call in 0..calls {
            run_script(Some((call, fault)), &expected);
        }
    }
    report("each call fails once", &expected.lock().unwrap());
}

#[test]
fn a_long_run_loses_nothing() {
    let steps = from_environment("UNDERSTUDY_STORE_STEPS").unwrap_or(STEPS as u64);
    let seed = from_environment("UNDERSTUDY_STORE_SEED").unwrap_or(1);
    let mut rng = fastrand::Rng::with_seed(seed);
    let expected = Arc::new(Mutex::new(Expected::default()));
    let mut node = Node::start(Disk::new(State::default()), 1, Arc::clone(&expected));
    watch_long_run(&node.disk, &expected, rng.u64(..));
    for step in 0..steps {
        match rng.u8(..20) {
            0 | 1 => node.begin_compaction(),
            2..=4 => node.end_compaction(),
            5 => node.take_over(),
            6 => node = restart(node, &mut rng, step as u32 + 2),
            _ => node.commit(&mut rng),
        }
    }
    report(&format!("a run of {steps} steps with seed {seed}"), &expected.lock().unwrap());
}

/// The process ends, or the power is cut, and it starts anew.
fn restart(node: Node, rng: &mut fastrand::Rng, boot: u32) -> Node {
    node.disk.watch(None);
    let disk = match rng.choice([None, Some(Survival::Prefix), Some(Survival::Sectors)]).flatten() {
        None => node.disk.clone(),
        Some(survival) => Disk::new(node.disk.state().cut(survival, rng)),
    };
    let started = Node::start(disk, boot, Arc::clone(&node.expected));
    watch_long_run(&started.disk, &started.expected, rng.u64(..));
    started
}

/// Cuts the power at every call that changes something, and lets the disk fail now and then, for a while.
fn watch_long_run(disk: &Disk, expected: &Arc<Mutex<Expected>>, seed: u64) {
    let expected = Arc::clone(expected);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut fails_for = 0;
    disk.watch(Some(Box::new(move |disk, call| {
        let mut expected = expected.lock().unwrap();
        if call.is_change() {
            expected.cut_in_all_ways(&disk.state(), &mut rng);
        }
        if rng.u8(..60) == 0 {
            fails_for = if rng.bool() { 1 } else { rng.usize(1..30) };
        }
        fails_for = usize::checked_sub(fails_for, 1)?;
        expected.faults += 1;
        let error = rng.choice([EIO, ENOSPC, EROFS])?;
        rng.choice([Fault::Error(error), Fault::Half(error), Fault::Short])
    })));
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn report(what: &str, expected: &Expected) {
    let Expected { cut_points, losses, faults, .. } = expected;
    println!("{what}: {cut_points} cut points, {faults} faults, {losses} losses");
    assert_eq!(*losses, 0, "{what}");
    assert!(*cut_points >= MIN_CUT_POINTS, "only {cut_points} cut points: too few to prove anything");
}
