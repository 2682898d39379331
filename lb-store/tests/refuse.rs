//! What is not good is refused with its reason, and the newest good one is used. A disk that comes back is used again.

mod common;

use common::{
    Known, Placed, begin, directory,
    disk::{Disk, EIO, ENOSPC, EROFS, Fault, State},
    keys, open, options, origin, path,
};
use lb_core::{
    auth::Keys,
    checkpoint::{Entry, record::Refusal},
    pair::Role,
};
use lb_store::{Reason, Recovery, Store, StoreError, list, verify};

const BIT_FLIPS: usize = 1_000;

/// A store with a snapshot, a compacted one, and commits after it.
fn written() -> (Disk, Store, Placed) {
    let disk = Disk::new(State::default());
    let (mut store, _) = open(disk.clone(), options(Role::Primary, false));
    let mut rng = fastrand::Rng::with_seed(5);
    let mut now = Placed { origin: origin(Role::Primary, 1, 1), sequence: 1, known: Known::default() };
    begin(&mut store, &now).unwrap();
    for commit in 0..12 {
        if commit == 6 {
            let compaction = store.compaction().unwrap().unwrap();
            store.adopt(compaction.run()).unwrap();
        }
        add(&mut store, &mut now, &mut rng).unwrap();
    }
    (disk, store, now)
}

fn add(store: &mut Store, now: &mut Placed, rng: &mut fastrand::Rng) -> Result<(), StoreError> {
    let entries = now.known.some_change(rng);
    now.known = now.known.with(&entries);
    now.sequence += 1;
    store.append(now.sequence, 0, 0, &entries).map(|_| ())
}

/// The names of snapshots, or logs, the newest last.
fn names(disk: &Disk, suffix: &str) -> Vec<String> {
    disk.state().names().filter(|name| name.ends_with(suffix)).map(str::to_owned).collect()
}

fn newest(recovery: &Recovery) -> Option<Placed> {
    recovery.newest.as_ref().map(Placed::of)
}

fn recover(disk: &Disk) -> Recovery {
    open(disk.clone(), options(Role::Primary, false)).1
}

#[test]
fn every_flipped_bit_is_refused() {
    let (disk, _, _) = written();
    let mut rng = fastrand::Rng::with_seed(6);
    for suffix in [".snapshot", ".log"] {
        let name = names(&disk, suffix).pop().unwrap();
        assert!(verify(&disk, &path(&name), &keys(), common::CLUSTER).is_good());
        for _ in 0..BIT_FLIPS {
            let length = disk.state().content(&name).len();
            let (byte, bit) = (rng.usize(..length), rng.u8(..8));
            disk.state().content(&name)[byte] ^= 1 << bit;
            let report = verify(&disk, &path(&name), &keys(), common::CLUSTER);
            let refused = report.refused.unwrap_or_else(|| panic!("{name}: bit {bit} of byte {byte} was not seen"));
            assert!(refused.offset <= byte as u64, "{refused}: byte {byte} before it was taken");
            disk.state().content(&name)[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn a_damaged_snapshot_costs_nothing_while_the_one_before_it_is_there() {
    let (disk, _, now) = written();
    let name = names(&disk, ".snapshot").pop().unwrap();
    disk.state().content(&name)[90] ^= 1;
    let recovery = recover(&disk);
    assert_eq!(newest(&recovery), Some(now));
    let refused = &recovery.refused[0];
    assert_eq!((refused.path.clone(), &refused.reason), (path(&name), &Reason::Record(Refusal::Checksum)));
}

#[test]
fn a_torn_tail_is_refused_and_stays_until_there_is_a_new_snapshot() {
    let (disk, _, mut now) = written();
    let name = names(&disk, ".log").pop().unwrap();
    let whole = disk.state().content(&name).len();
    disk.state().content(&name).truncate(whole - 3);
    let (mut store, recovery) = open(disk.clone(), options(Role::Primary, false));
    assert_eq!(newest(&recovery).map(|newest| newest.sequence), Some(now.sequence - 1));
    let refused = recovery.refused.iter().find(|refused| refused.path == path(&name)).unwrap();
    assert!(matches!(refused.reason, Reason::Record(Refusal::Torn { .. })), "{refused}");
    assert!(refused.offset > 0 && refused.reason.is_ordinary());
    assert!(matches!(store.append(99, 0, 0, &[]), Err(StoreError::NotBegun)));
    assert_eq!(disk.state().content(&name).len(), whole - 3);
    now.origin.boot += 1;
    begin(&mut store, &now).unwrap();
    assert_eq!(newest(&recover(&disk)), Some(now));
}

#[test]
fn what_cannot_be_had_to_its_end_makes_no_snapshot() {
    let (disk, mut store, now) = written();
    let files: Vec<String> = disk.state().names().map(str::to_owned).collect();
    let parts = [Ok(Vec::new()), Err("the kernel refuses".to_owned()), Ok(Vec::new())];
    let begun = store.begin(now.origin, now.sequence + 1, 0, 0, parts.into_iter());
    assert!(matches!(begun, Err(StoreError::NotWhole(why)) if why == "the kernel refuses"));
    assert!(store.needs_snapshot());
    assert_eq!(disk.state().names().collect::<Vec<_>>(), files, "something of it is left");
    assert_eq!(newest(&recover(&disk)), Some(now));
}

#[test]
fn foreign_forged_and_renamed_ones_are_refused() {
    let (disk, _, _) = written();
    let name = names(&disk, ".snapshot").pop().unwrap();
    let reason =
        |keys: &Keys, cluster| verify(&disk, &path(&name), keys, cluster).refused.map(|refused| refused.reason);
    let other = Keys::parse(&common::KEY.replace("00", "01")).unwrap();
    assert_eq!(reason(&other, common::CLUSTER), Some(Reason::Record(Refusal::Forged(1))));
    assert!(matches!(reason(&keys(), 1), Some(Reason::Record(Refusal::Foreign { own: 1, .. }))));

    let renamed = "0000000009-primary-0000000001-0000000099.snapshot";
    let content = disk.state().content(&name).clone();
    disk.state().put(renamed, content);
    let recovery = recover(&disk);
    assert_eq!((&recovery.refused[0].path, &recovery.refused[0].reason), (&path(renamed), &Reason::OtherOrigin));
    assert!(recovery.newest.is_some());
}

#[test]
fn a_log_does_not_skip_a_commit() {
    let (disk, _, now) = written();
    let name = names(&disk, ".log").pop().unwrap();
    let first = record_size(&disk, &name);
    disk.state().content(&name).drain(..first);
    let recovery = recover(&disk);
    assert_eq!(newest(&recovery).map(|newest| newest.sequence), Some(now.sequence - 6));
    assert!(matches!(recovery.refused[0].reason, Reason::Gap { .. }), "{}", recovery.refused[0]);
}

fn record_size(disk: &Disk, name: &str) -> usize {
    lb_core::checkpoint::record::peek(disk.state().content(name)).unwrap().1
}

#[test]
fn a_commit_of_several_records_counts_as_a_whole() {
    let (disk, mut store, mut now) = written();
    let flows: Vec<_> = (1..60_000).map(|port| common::flow(port, 3)).collect();
    let entries: Vec<Entry> = (0..2).map(|_| Entry::Remembered(flows.clone())).collect();
    now.sequence += 1;
    store.append(now.sequence, 0, 0, &entries).unwrap();
    let name = names(&disk, ".log").pop().unwrap();
    assert_eq!(newest(&recover(&disk)), Some(Placed { known: now.known.with(&entries), ..now.clone() }));
    let parts = verify(&disk, &path(&name), &keys(), common::CLUSTER).newest.unwrap().parts;
    assert!(parts > 1, "{parts}");
    // The last part is gone, at the end of the part before it.
    let whole = disk.state().content(&name).len();
    let last = last_record_size(&disk, &name);
    disk.state().content(&name).truncate(whole - last);
    let recovery = recover(&disk);
    assert_eq!(newest(&recovery).unwrap().known, now.known);
    assert_eq!(recovery.refused[0].reason, Reason::Incomplete { parts: parts - 1 });
}

fn last_record_size(disk: &Disk, name: &str) -> usize {
    let content = disk.state().content(name).clone();
    let mut rest = content.as_slice();
    loop {
        let (_, size) = lb_core::checkpoint::record::peek(rest).unwrap();
        if size == rest.len() {
            return size;
        }
        rest = &rest[size..];
    }
}

#[test]
fn a_disk_that_comes_back_is_used_again() {
    for error in [EIO, ENOSPC, EROFS] {
        let (disk, mut store, mut now) = written();
        let mut rng = fastrand::Rng::with_seed(7);
        let before = now.clone();
        disk.watch(Some(Box::new(move |_, call| call.is_change().then_some(Fault::Error(error)))));
        let told = add(&mut store, &mut now, &mut rng).unwrap_err().to_string();
        assert!(told.contains(".log") && told.contains("; "), "neither file nor advice: {told}");
        assert!(matches!(add(&mut store, &mut now, &mut rng), Err(StoreError::NotBegun)));
        assert!(begin(&mut store, &now).is_err());
        disk.watch(None);
        assert_eq!(newest(&recover(&disk)), Some(before));
        begin(&mut store, &now).unwrap();
        add(&mut store, &mut now, &mut rng).unwrap();
        assert_eq!(newest(&recover(&disk)), Some(now));
    }
}

#[test]
fn the_files_stay_below_their_limit() {
    let disk = Disk::new(State::default());
    let limit = 40_000;
    let limited = lb_store::Options { max_size: limit, ..options(Role::Primary, false) };
    let (mut store, _) = open(disk.clone(), limited);
    let mut rng = fastrand::Rng::with_seed(8);
    let mut now = Placed { origin: origin(Role::Primary, 1, 1), sequence: 1, known: Known::default() };
    let mut refused = 0;
    for _ in 0..1_000 {
        let was_written = if store.needs_snapshot() {
            begin(&mut store, &now).map(|_| ())
        } else {
            add(&mut store, &mut now, &mut rng)
        };
        if let Err(error) = was_written {
            assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
            refused += 1;
            // What the log would have become is a snapshot now, and the log goes.
            begin(&mut store, &now).unwrap();
        }
        assert!(disk.state().size() <= limit);
        assert_eq!(store.size(), disk.state().size());
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn old_files_go() {
    let (disk, mut store, mut now) = written();
    for boot in 2..6 {
        now.origin.boot = boot;
        begin(&mut store, &now).unwrap();
    }
    // The newest and the one before it, with a log each.
    let listed = list(&disk, &directory()).unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|file| file.name.boot >= 4));
    assert_eq!(listed[2].first.map(|header| header.origin), Some(now.origin));
}
