//! Entries in parts.

use std::collections::BTreeSet;

use super::*;
use crate::{
    checkpoint::{RealEntry, ServiceEntry, SlotChange, image::Image},
    service::{MAX_NAME_LENGTH, MAX_REALS, Ports, Protocol},
    table::{RealPlan, ServicePlan},
};

fn image(entries: impl IntoIterator<Item = Entry>) -> Image {
    let mut image = Image::default();
    entries.into_iter().for_each(|entry| image.apply(&entry));
    image
}

fn sizes(entries: Vec<Entry>) -> Vec<usize> {
    parts(entries).map(|part| encode(&header(), &part, &keys()).unwrap().len()).collect()
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn parts_say_the_same(entries in any::entries()) {
        let divided: Vec<Entry> = parts(entries.clone()).flatten().collect();
        prop_assert_eq!(divided, entries);
    }
}

#[test]
fn a_million_flows_are_many_records() {
    let sizes = sizes(vec![Entry::Remembered(flows(1_000_000))]);
    assert!(sizes.iter().all(|size| *size <= PART_SIZE), "{sizes:?}");
    assert!((11..20).contains(&sizes.len()), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 12_000_000, "{sizes:?}");
}

#[test]
fn divided_entries_add_up_to_the_same() {
    let remembered = Entry::Remembered(flows(100_000));
    let forgotten = Entry::Forgotten(flows(40_000).iter().map(|flow| flow.key).collect());
    let all = vec![remembered, forgotten];
    let divided: Vec<Entry> = parts(all.clone()).flatten().collect();
    assert_eq!(divided.len(), 7 + 3);
    assert_eq!(image(divided), image(all));
}

#[test]
fn moved_slots_are_divided_too() {
    let changes = (0..65_537).map(|index| SlotChange { index, slot: Default::default(), age_ms: 0 }).collect();
    let entries = vec![Entry::Slots { service: 1, changes }];
    let divided: Vec<Entry> = parts(entries.clone()).flatten().collect();
    assert_eq!(divided.len(), 5);
    let indices = |entries: Vec<Entry>| -> Vec<u32> {
        let of = |entry| match entry {
            Entry::Slots { service: 1, changes } => changes.into_iter().map(|change| change.index).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        entries.into_iter().flat_map(of).collect()
    };
    assert_eq!(indices(divided), indices(entries));
}

/// As many long names as a service can leave out: no scheduling table has an entry that no record can hold.
#[test]
fn the_greatest_entry_fits() {
    let name = |number: usize| format!("{number:0>MAX_NAME_LENGTH$}");
    let without: BTreeSet<String> = (0..MAX_REALS).map(name).collect();
    let service = ServiceEntry {
        id: 1,
        name: name(1),
        vip: [192, 0, 2, 1].into(),
        protocol: Protocol::Tcp,
        ports: Ports::Any,
        plan: ServicePlan { without, ..ServicePlan::default() },
    };
    let real = RealEntry {
        id: 1,
        name: name(1),
        address: [198, 51, 100, 1].into(),
        admin: Default::default(),
        weight: None,
        plan: RealPlan::default(),
        learned: Default::default(),
        load: None,
    };
    let sizes = sizes(vec![Entry::Service(service), Entry::Real(real)]);
    assert_eq!(sizes.len(), 2);
    assert!(sizes[0] > PART_SIZE && sizes[0] <= MAX_RECORD_SIZE, "{sizes:?}");
}
