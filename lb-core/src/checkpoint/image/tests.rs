//! Images: what entries add up to.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::{json::Content, *};
use crate::{checkpoint::codec::tests::any, testing::cases};

const NOW_MS: u64 = 1_800_000_000_000;

fn image<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Image {
    let mut image = Image::default();
    image.at(NOW_MS);
    entries.into_iter().for_each(|entry| image.apply(entry));
    image
}

/// What the entries say of flows, by the plainest means.
fn flows_of(entries: &[Entry]) -> BTreeSet<String> {
    let mut flows: Vec<FlowEntry> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Remembered(news) => news.iter().for_each(|new| {
                flows.retain(|flow| flow.key != new.key);
                flows.push(*new);
            }),
            Entry::Forgotten(keys) => flows.retain(|flow| !keys.contains(&flow.key)),
            Entry::ServiceGone(id) => flows.retain(|flow| flow.service != *id),
            _ => {}
        }
    }
    flows.iter().map(|flow| format!("{flow:?}")).collect()
}

/// An age that cannot be told from the beginning of time is as old as can be told.
fn with_ages_that_can_be(mut entry: Entry) -> Entry {
    const MOST: u64 = i64::MAX as u64;
    match &mut entry {
        Entry::Ring(ring) => ring.ages_ms = ring.ages_ms.iter().map(|&(index, age)| (index, age.min(MOST))).collect(),
        Entry::Slots { changes, .. } => changes.iter_mut().for_each(|change| change.age_ms = change.age_ms.min(MOST)),
        _ => {}
    }
    entry
}

fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(any::entry().prop_map(with_ages_that_can_be), 0..30)
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn deltas_add_up_to_what_a_full_one_says(entries in some_entries(), cut in any::<prop::sample::Index>()) {
        let (before, after) = entries.split_at(cut.index(entries.len() + 1));
        let full: Vec<Entry> = image(before).entries().collect();
        prop_assert_eq!(image(full.iter().chain(after)), image(&entries));
    }

    #[test]
    fn flows_are_what_was_said_last(entries in some_entries()) {
        let image = image(&entries);
        let flows: BTreeSet<String> = image.flows().map(|flow| format!("{flow:?}")).collect();
        prop_assert_eq!(image.summary().flows, flows.len() as u64);
        prop_assert_eq!(flows, flows_of(&entries));
    }

    #[test]
    fn json_and_back(entries in some_entries()) {
        // A range's ports may be any here, and no text names some of them.
        let entries: Vec<Entry> = entries.into_iter().filter(|entry| !matches!(entry, Entry::Service(_))).collect();
        let image = image(&entries);
        let text = serde_json::to_string(&image.to_json()).unwrap();
        let content: Content = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Image::from_json(&content), Ok(image));
    }
}

fn content() -> serde_json::Value {
    serde_json::json!({
        "unix_ms": NOW_MS,
        "services": [{
            "id": 1, "name": "web", "vip": "192.0.2.1", "protocol": "tcp", "ports": "8000-8099", "fallback": "reset",
            "scheduling": "static", "without": ["web2"]
        }],
        "reals": [{
            "id": 7, "name": "web1", "address": "2001:db8::7", "admin": "drained", "weight": null,
            "plan": { "factor": 900, "eased": 1000, "alive": true, "hot": false, "no_new_flows": true },
            "learned": {
                "factor": 900, "down": [], "availability": "alive", "agent": null,
                "report": { "generation": 5, "sequence": 6 }
            },
            "load": { "utilisation": 0.5, "hits": null }
        }],
        "rings": [{
            "service": 1, "slots": [7, 0, 7],
            "exceptions": [
                { "index": 0, "state": "remembers", "previous": 6, "age_ms": 10 },
                { "index": 2, "state": "marked", "age_ms": 20 }
            ]
        }],
        "flows": [
            { "service": 1, "protocol": "tcp", "client": "198.51.100.1:999", "vip": "192.0.2.1:8001", "real": 6 },
            { "service": 2, "protocol": "udp", "client": "[2001:db8::1]:9", "vip": "[2001:db8::2]:53", "real": 7 }
        ]
    })
}

#[test]
fn json_is_as_people_write_it() {
    let image = Image::from_json(&serde_json::from_value(content()).unwrap()).unwrap();
    assert_eq!(image.summary(), Summary { services: 1, reals: 1, slots_not_clean: 2, flows: 2 });
    assert_eq!(serde_json::to_value(image.to_json()).unwrap(), content());
}

#[test]
fn json_that_is_no_image_is_refused() {
    let refused = |pointer: &str, value: serde_json::Value| {
        let mut changed = content();
        *changed.pointer_mut(pointer).unwrap() = value;
        Image::from_json(&serde_json::from_value(changed).unwrap()).unwrap_err().to_string()
    };
    let long = serde_json::json!(vec![1u16; lb_common::RING_SLOTS as usize + 1]);
    let refusals = [
        (refused("/services/0/name", "a b".into()), "\"a b\" is no name"),
        (refused("/services/0/ports", "0".into()), "ports of service \"web\""),
        (refused("/services/0/without/0", "".into()), "\"\" is no name"),
        (refused("/reals/0/name", "a b".into()), "\"a b\" is no name"),
        (refused("/reals/0/load/utilisation", (-1).into()), "the load of real \"web1\""),
        (refused("/rings/0/slots", long), "has 65538 slots"),
        (refused("/rings/0/exceptions/1/index", 3.into()), "exception 3"),
        (refused("/rings/0/exceptions/1/index", 0.into()), "exception 0"),
        (refused("/flows/0/vip", "[2001:db8::2]:53".into()), "a flow from 198.51.100.1:999"),
    ];
    for (refusal, says) in refusals {
        assert!(refusal.contains(says), "{refusal:?} does not say {says:?}");
    }
}

#[test]
fn what_there_is_grows_older() {
    let mut image = Image::from_json(&serde_json::from_value(content()).unwrap()).unwrap();
    let ages = |image: &Image| {
        image.entries().find_map(|entry| match entry {
            Entry::Ring(ring) => Some(ring.ages_ms.to_vec()),
            _ => None,
        })
    };
    image.at(NOW_MS + 1_000);
    let slot = Slot { real: 7, previous: 6, state: lb_common::SLOT_REMEMBERS, reserved: 0 };
    image.apply(&Entry::Slots { service: 1, changes: vec![SlotChange { index: 1, slot, age_ms: 5 }] });
    assert_eq!(ages(&image).unwrap(), [(0, 1_010), (1, 5), (2, 1_020)]);
    image.at(NOW_MS);
    assert_eq!(ages(&image).unwrap(), [(0, 1_010), (1, 5), (2, 1_020)], "a clock that goes back makes nothing younger");
    image.apply(&Entry::Slots { service: 1, changes: vec![SlotChange { index: 0, slot: Slot::default(), age_ms: 0 }] });
    assert_eq!(ages(&image).unwrap(), [(1, 5), (2, 1_020)]);
}

#[test]
fn with_a_service_go_its_ring_and_its_flows() {
    let mut image = Image::from_json(&serde_json::from_value(content()).unwrap()).unwrap();
    image.apply(&Entry::ServiceGone(1));
    assert_eq!(image.summary(), Summary { services: 0, reals: 1, slots_not_clean: 0, flows: 1 });
}

#[test]
fn slots_without_a_ring_are_left_out() {
    let mut image = Image::default();
    let change =
        |index| SlotChange { index, slot: Slot { state: lb_common::SLOT_MARKED, ..Slot::default() }, age_ms: 1 };
    image.apply(&Entry::Slots { service: 1, changes: vec![change(0)] });
    assert_eq!(image, Image::default());
    image.apply(&Entry::Ring(RingEntry { service: 1, slots: vec![Slot::default(); 2].into(), ages_ms: [].into() }));
    image.apply(&Entry::Slots { service: 1, changes: vec![change(1), change(2)] });
    assert_eq!(image.summary().slots_not_clean, 1);
}
