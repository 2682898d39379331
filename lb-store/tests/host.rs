//! The store on a real disk. `cargo test --release -p lb-store --test host -- --ignored --nocapture` measures it.

mod common;

use std::{sync::Arc, time::Instant};

use common::{Known, Placed, begin, options, origin};
use lb_core::{
    checkpoint::{Entry, FlowEntry},
    pair::Role,
};
use lb_store::{HostFiles, Store, list};

#[test]
fn what_was_written_is_read_again() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("state/checkpoint");
    let open = || Store::open(Arc::new(HostFiles), &directory, options(Role::Primary, false));
    let (mut store, recovery) = open();
    assert!(recovery.newest.is_none() && recovery.refused.is_empty() && recovery.trouble.is_none());
    let mut now = Placed { origin: origin(Role::Primary, 1, 1), sequence: 1, known: Known::default() };
    begin(&mut store, &now).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let compaction = store.compaction().unwrap().unwrap();
    let compacting = std::thread::spawn(|| compaction.run());
    for _ in 0..20 {
        let entries = now.known.some_change(&mut rng);
        now.known = now.known.with(&entries);
        now.sequence += 1;
        store.append(now.sequence, 0, 0, &entries).unwrap();
    }
    store.adopt(compacting.join().unwrap()).unwrap();
    let (_, recovery) = open();
    assert_eq!(recovery.newest.as_ref().map(Placed::of), Some(now));
    assert_eq!(list(&HostFiles, &directory).unwrap().len(), 4);
}

fn flows(from: u32, count: u32) -> Vec<FlowEntry> {
    let flow = |index: u32| {
        let mut flow = common::flow(index as u16, 3);
        flow.key.client[..4].copy_from_slice(&(0xc612_0000 + (index >> 16)).to_be_bytes());
        flow
    };
    (from..from + count).map(flow).collect()
}

#[test]
#[ignore = "measures the disk"]
fn figures() {
    const FLOWS: u32 = 1_000_000;
    const CHANGED: u32 = 10_000;
    // Not a temporary directory, which may be in memory.
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let open = || Store::open(Arc::new(HostFiles), place.path(), options(Role::Primary, false));
    let (mut store, _) = open();
    let all = vec![Entry::Remembered(flows(0, FLOWS))];
    let begun = store.begin(origin(Role::Primary, 1, 1), 1, 1, 0, std::iter::once(Ok(all))).unwrap();
    println!("snapshot of {FLOWS} flows: {:?}, {} bytes", begun.took, begun.bytes);
    let mut commits: Vec<_> = (0..50)
        .map(|index| {
            let changed = [Entry::Remembered(flows(FLOWS + index * CHANGED, CHANGED))];
            store.append(u64::from(index) + 2, 1, 0, &changed).unwrap()
        })
        .collect();
    commits.sort_by_key(|commit| commit.took);
    let (median, slowest) = (commits[commits.len() / 2], commits[commits.len() - 1]);
    println!(
        "commit of {CHANGED} flows: {:?} in the median, {:?} at most, {} bytes",
        median.took, slowest.took, median.bytes
    );
    let started = Instant::now();
    let (_, recovery) = open();
    let found = recovery.newest.unwrap().image.summary().flows;
    println!("recovery of {found} flows: {:?}", started.elapsed());
    let started = Instant::now();
    let compaction = store.compaction().unwrap().unwrap();
    let opened = started.elapsed();
    let compacted = compaction.run();
    let ran = started.elapsed();
    store.adopt(compacted).unwrap();
    println!(
        "compaction: {opened:?} to begin, {:?} beside the commits, {:?} to end",
        ran - opened,
        started.elapsed() - ran
    );
}
