//! The entries that the page tells in words.

use std::{collections::BTreeSet, net::SocketAddr};

use lb_common::{FlowKey, NO_REAL, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, ServiceKey, Slot};

use super::*;
use crate::{
    agent_check::{Admin, Health},
    checkpoint::{Load, RealEntry, RingEntry, ServiceEntry, SlotChange},
    monitor::SavedAgent,
    monitoring::Scheduling,
    report::{Availability, Mark},
    rows::address_bytes,
    service::Protocol,
    table::{AdminState, Fallback, Learned, RealPlan, ServicePlan},
};

/// The entry that a block tells; `before` are those of the blocks before it.
pub(super) fn entry(fields: &Fields, before: &[Entry]) -> Entry {
    match fields.text("kind") {
        "service" => Entry::Service(service(fields)),
        "service-gone" => Entry::ServiceGone(fields.number("id")),
        "real" => Entry::Real(real(fields)),
        "real-gone" => Entry::RealGone(fields.number("id")),
        "ring" => Entry::Ring(ring(fields)),
        "same-ring" => Entry::Ring(same_ring(fields, before)),
        "slots" => {
            let changes = parts(fields.text("changes")).into_iter().map(|words| change(&words)).collect();
            Entry::Slots { service: fields.number("service"), changes }
        }
        "remembered" => Entry::Remembered(flows(fields)),
        "forgotten" => Entry::Forgotten(parts(fields.text("flows")).iter().map(|words| key(words)).collect()),
        "half-open" => Entry::HalfOpen(flows(fields)),
        other => panic!("{other}"),
    }
}

fn service(fields: &Fields) -> ServiceEntry {
    ServiceEntry {
        id: fields.number("id"),
        name: fields.text("name").into(),
        vip: fields.text("vip").parse().unwrap(),
        protocol: protocol(fields.text("protocol")),
        ports: fields.text("ports").parse().unwrap(),
        plan: ServicePlan {
            fallback: one_of(fields.text("fallback"), [("drop", Fallback::Drop), ("reset", Fallback::Reset)]),
            scheduling: one_of(fields.text("scheduling"), [("load", Scheduling::Load), ("static", Scheduling::Static)]),
            without: names(fields.get("without")),
        },
    }
}

fn real(fields: &Fields) -> RealEntry {
    let flags: Vec<&str> = fields.get("flags").unwrap_or_default().split_whitespace().collect();
    let figure = |name: &str| fields.get(name).map(|text| text.parse::<f32>().unwrap());
    RealEntry {
        id: fields.number("id"),
        name: fields.text("name").into(),
        address: fields.text("address").parse().unwrap(),
        admin: one_of(
            fields.text("admin"),
            [("enabled", AdminState::Enabled), ("drained", AdminState::Drained), ("disabled", AdminState::Disabled)],
        ),
        weight: optional(fields, "weight"),
        plan: RealPlan {
            factor: fields.number("factor"),
            eased: fields.number("eased"),
            alive: flags.contains(&"alive"),
            hot: flags.contains(&"hot"),
            no_new_flows: flags.contains(&"no_new_flows"),
        },
        learned: Learned {
            factor: fields.number("learned_factor"),
            down: names(fields.get("down")),
            availability: one_of(
                fields.text("availability"),
                [("alive", Availability::Alive), ("drain", Availability::Drain), ("stop", Availability::Stop)],
            ),
            agent: fields.get("agent").map(agent),
            report: fields.get("report").map(|text| {
                let (generation, sequence) = text.split_once(' ').unwrap();
                Mark { generation: generation.parse().unwrap(), sequence: sequence.parse().unwrap() }
            }),
        },
        load: figure("utilisation").map(|utilisation| Load { utilisation, hits: figure("hits") }),
    }
}

/// Its wish, its health and its percentage, or `-`.
fn agent(text: &str) -> SavedAgent {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [admin, health, percent] = words[..] else { panic!("{text}") };
    SavedAgent {
        admin: one_of(
            admin,
            [("-", None), ("ready", Some(Admin::Ready)), ("drain", Some(Admin::Drain)), ("maint", Some(Admin::Maint))],
        ),
        health: one_of(
            health,
            [
                ("-", None),
                ("up", Some(Health::Up)),
                ("down", Some(Health::Down)),
                ("failed", Some(Health::Failed)),
                ("stopped", Some(Health::Stopped)),
            ],
        ),
        percent: (percent != "-").then(|| percent.parse().unwrap()),
    }
}

fn ring(fields: &Fields) -> RingEntry {
    let reals = fields.text("slots").split_whitespace().map(|id| id.parse().unwrap());
    let mut slots: Vec<Slot> =
        reals.map(|real| Slot { real, previous: NO_REAL, state: SLOT_CLEAN, reserved: 0 }).collect();
    let mut ages_ms = Vec::new();
    for words in parts(fields.get("exceptions").unwrap_or_default()) {
        let index: u32 = words[0].parse().unwrap();
        let slot = &mut slots[index as usize];
        let (past, age_ms) = past(slot.real, &words[1..]);
        *slot = past;
        ages_ms.push((index, age_ms));
    }
    RingEntry { service: fields.number("service"), slots: slots.into(), ages_ms: ages_ms.into() }
}

fn same_ring(fields: &Fields, before: &[Entry]) -> RingEntry {
    let like: u16 = fields.number("like");
    let is_like = |entry: &&Entry| matches!(entry, Entry::Ring(ring) if ring.service == like);
    match before.iter().rev().find(is_like) {
        Some(Entry::Ring(ring)) => RingEntry { service: fields.number("service"), ..ring.clone() },
        _ => panic!("no ring of {like}"),
    }
}

/// Index, real, and the slot's state.
fn change(words: &[&str]) -> SlotChange {
    let (slot, age_ms) = past(words[1].parse().unwrap(), &words[2..]);
    SlotChange { index: words[0].parse().unwrap(), slot, age_ms }
}

/// A slot of this real that is `clean`, `remembers PREVIOUS AGE` or `marked AGE`.
fn past(real: u16, words: &[&str]) -> (Slot, u64) {
    let slot = |state, previous| Slot { real, previous, state, reserved: 0 };
    match words {
        ["clean"] => (slot(SLOT_CLEAN, NO_REAL), 0),
        ["remembers", previous, age_ms] => (slot(SLOT_REMEMBERS, previous.parse().unwrap()), age_ms.parse().unwrap()),
        ["marked", age_ms] => (slot(SLOT_MARKED, NO_REAL), age_ms.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn flows(fields: &Fields) -> Vec<FlowEntry> {
    let flow = |words: &Vec<&str>| FlowEntry {
        key: key(&words[1..4]),
        service: words[0].parse().unwrap(),
        real: words[4].parse().unwrap(),
    };
    parts(fields.text("flows")).iter().map(flow).collect()
}

/// Protocol, client and VIP.
fn key(words: &[&str]) -> FlowKey {
    let (client, vip): (SocketAddr, SocketAddr) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    let ((client_bytes, family), (vip_bytes, _)) = (address_bytes(client.ip()), address_bytes(vip.ip()));
    let front = ServiceKey { vip: vip_bytes, port: vip.port(), protocol: protocol(words[0]).number(), family };
    FlowKey { client: client_bytes, service: front, client_port: client.port(), reserved: 0 }
}

fn protocol(name: &str) -> Protocol {
    one_of(name, [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)])
}

fn one_of<T, const N: usize>(name: &str, all: [(&str, T); N]) -> T {
    all.into_iter().find(|(own, _)| *own == name).map(|(_, value)| value).unwrap_or_else(|| panic!("{name}"))
}

fn optional(fields: &Fields, name: &str) -> Option<u32> {
    fields.get(name).map(|text| text.parse().unwrap())
}

fn names(text: Option<&str>) -> BTreeSet<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// What stands between semicolons, in words.
fn parts(text: &str) -> Vec<Vec<&str>> {
    let parts = text.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>());
    parts.filter(|words| !words.is_empty()).collect()
}
