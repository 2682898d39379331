//! Two nodes with one disk: whatever the one is doing when the other takes over, what it acknowledged is seen, and it stops.

mod common;

use std::sync::{Arc, Mutex};

use common::{
    Known, Placed, begin,
    disk::{Disk, State, Survival},
    open, options, origin,
};
use lb_core::pair::Role;
use lb_store::{Compaction, Recovery, Store, StoreError};

/// A node that has written a snapshot and a few commits, and is in the midst of a compaction.
struct Node {
    store: Store,
    now: Placed,
    compaction: Option<Compaction>,
}

impl Node {
    fn new(disk: &Disk, role: Role, epoch: u32) -> Self {
        let (store, _) = open(disk.clone(), options(role, true));
        let now = Placed { origin: origin(role, 1, epoch), sequence: 1, known: Known::default() };
        Self { store, now, compaction: None }
    }

    /// Has the epoch, and what there is on the disk.
    fn take_over(&mut self) -> Result<Recovery, StoreError> {
        let recovery = self.store.claim(&self.now.origin)?;
        self.now.known = recovery.newest.as_ref().map(|newest| Known::of(&newest.image)).unwrap_or_default();
        begin(&mut self.store, &self.now)?;
        Ok(recovery)
    }

    fn commit(&mut self, rng: &mut fastrand::Rng) -> Result<(), StoreError> {
        let entries = self.now.known.some_change(rng);
        let next = Placed { sequence: self.now.sequence + 1, known: self.now.known.with(&entries), ..self.now };
        self.store.append(next.sequence, 0, 0, &entries)?;
        self.now = next;
        Ok(())
    }
}

/// What the older node does when the newer one comes.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Committing,
    Beginning,
    Compacting,
    Adopting,
}

impl Doing {
    const ALL: [Self; 4] = [Self::Committing, Self::Beginning, Self::Compacting, Self::Adopting];

    fn prepare(self, node: &mut Node, rng: &mut fastrand::Rng) {
        node.take_over().unwrap();
        node.commit(rng).unwrap();
        if matches!(self, Self::Adopting | Self::Compacting) {
            node.compaction = node.store.compaction().unwrap();
            node.commit(rng).unwrap();
        }
    }

    /// Says whether that was acknowledged as a state of its own.
    fn go_on(self, node: &mut Node, rng: &mut fastrand::Rng) -> Result<(), StoreError> {
        match self {
            Self::Committing => node.commit(rng),
            Self::Beginning => begin(&mut node.store, &node.now).map(|_| ()),
            Self::Compacting | Self::Adopting => {
                let compacted = node.compaction.take().unwrap().run();
                node.store.adopt(compacted)
            }
        }
    }
}

/// The newer node takes over at one call of the older one. Says whether there was such a call.
fn interrupt(doing: Doing, at: usize) -> bool {
    let disk = Disk::new(State::default());
    let mut rng = fastrand::Rng::with_seed(3);
    let mut old = Node::new(&disk, Role::Primary, 5);
    let new = Arc::new(Mutex::new(Node::new(&disk, Role::Standby, 6)));
    doing.prepare(&mut old, &mut rng);
    let before = old.now.clone();
    let recovered = Arc::new(Mutex::new(None));
    let (taking, found) = (Arc::clone(&new), Arc::clone(&recovered));
    let mut call = 0;
    disk.watch(Some(Box::new(move |_, _| {
        if call == at {
            *found.lock().unwrap() = Some(taking.lock().unwrap().take_over().unwrap());
        }
        call += 1;
        None
    })));
    let went_on = doing.go_on(&mut old, &mut rng);
    disk.watch(None);
    let Some(recovery) = recovered.lock().unwrap().take() else { return false };
    let what = format!("{doing:?}, taken over at call {at}: {went_on:?}");

    let seen = Placed::of(recovery.newest.as_ref().expect(&what));
    if went_on.is_ok() {
        assert_eq!(seen, old.now, "what was acknowledged is not seen: {what}");
    } else {
        assert!(seen == before || seen.sequence == before.sequence + 1, "{what}");
    }
    // The older one stops at its next word at the latest, and cannot begin again.
    assert!(old.commit(&mut rng).is_err(), "{what}");
    assert!(matches!(begin(&mut old.store, &old.now), Err(StoreError::Superseded { epoch: 6, .. })), "{what}");
    the_newer_one_is_whole(&disk, &mut new.lock().unwrap(), &what);
    true
}

/// It goes on, and what it says is what a power cut leaves.
fn the_newer_one_is_whole(disk: &Disk, new: &mut Node, what: &str) {
    let mut rng = fastrand::Rng::with_seed(4);
    new.commit(&mut rng).expect(what);
    for survival in Survival::ALL {
        let cut = Disk::new(disk.state().cut(survival, &mut rng));
        let (_, recovery) = open(cut, options(Role::Primary, true));
        assert_eq!(recovery.newest.as_ref().map(Placed::of), Some(new.now.clone()), "{survival:?}: {what}");
    }
}

#[test]
fn a_takeover_at_any_instant_loses_nothing_that_was_acknowledged() {
    for doing in Doing::ALL {
        let calls = (0..).take_while(|at| interrupt(doing, *at)).count();
        println!("{doing:?}: taken over at each of {calls} calls");
        assert!(calls > 3);
    }
}

/// Two nodes do six things in every order; the last one to take over counts.
#[test]
fn the_newest_epoch_counts_in_every_order() {
    for order in 0..1_usize << 12 {
        let disk = Disk::new(State::default());
        let mut rng = fastrand::Rng::with_seed(order as u64);
        let mut nodes = [Node::new(&disk, Role::Primary, 0), Node::new(&disk, Role::Standby, 0)];
        let mut epoch = 0;
        let mut owner = None;
        for step in 0..6 {
            let what = order >> (2 * step);
            let index = what & 1;
            let node = &mut nodes[index];
            if what & 2 == 0 {
                epoch += 1;
                node.now.origin.epoch = epoch;
                node.now.sequence = 1;
                node.take_over().unwrap();
                owner = Some(index);
            } else {
                let committed = node.commit(&mut rng);
                assert_eq!(committed.is_ok(), owner == Some(index), "order {order:b}, step {step}: {committed:?}");
            }
        }
        let (_, recovery) = open(disk, options(Role::Primary, true));
        let newest = recovery.newest.as_ref().map(Placed::of);
        assert_eq!(newest, owner.map(|owner| nodes[owner].now.clone()), "order {order:b}");
    }
}

#[test]
fn of_one_epoch_the_primary_counts() {
    let disk = Disk::new(State::default());
    let mut standby = Node::new(&disk, Role::Standby, 4);
    standby.take_over().unwrap();
    let mut primary = Node::new(&disk, Role::Primary, 4);
    primary.take_over().unwrap();
    let error = standby.commit(&mut fastrand::Rng::with_seed(1)).unwrap_err();
    assert!(matches!(error, StoreError::Superseded { epoch: 4, .. }), "{error}");
}

#[test]
fn who_follows_writes_nothing_to_a_shared_disk() {
    let disk = Disk::new(State::default());
    let (mut store, _) = open(disk.clone(), options(Role::Standby, true));
    let followed = Placed { origin: origin(Role::Primary, 1, 1), sequence: 1, known: Known::default() };
    assert!(matches!(begin(&mut store, &followed), Err(StoreError::NotOwner { owner: Role::Primary })));
    assert_eq!(disk.state().names().count(), 0);
}

#[test]
fn a_forged_owner_stops_nobody() {
    let disk = Disk::new(State::default());
    let mut node = Node::new(&disk, Role::Primary, 4);
    node.take_over().unwrap();
    let own = disk.state().names().find(|name| name.ends_with(".owner")).unwrap().to_owned();
    let record = disk.state().content(&own).clone();
    disk.state().put("0000000009-standby-0000000001-0000000099.owner", record);
    node.commit(&mut fastrand::Rng::with_seed(1)).unwrap();
}
