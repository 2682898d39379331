//! What is told of the table, and what another table makes of it.

use std::collections::BTreeMap;

use lb_common::{FlowKey, NO_REAL, SLOT_CLEAN, flow_hash, slot_of};

use super::*;
use crate::{
    checkpoint::{Dictionary, Entry, FlowEntry},
    pair::digest,
};

type KnownReals = BTreeMap<String, RealKnown>;

const LATER: u64 = 2_000_000;

/// A table like [`table`]'s, with other ids: others came and went before.
fn elsewhere() -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    let services = [service("old", 80, &["y", "z"])];
    table.replace(cluster(&services, &[real("y", 8), real("z", 9)]), 0).unwrap();
    table.replace(usual(), 0).unwrap();
    table
}

/// With slots that remember, a drained real, a weight and a plan.
fn eventful() -> SchedulingTable {
    let mut owner = table();
    owner.set_admin("a", AdminState::Drained, 1_000).unwrap();
    owner.set_weight("b", Some(50), 2_000).unwrap();
    let hot = RealPlan { factor: 1_500, hot: true, ..RealPlan::default() };
    let without = ServicePlan { without: ["c".to_owned()].into(), ..ServicePlan::default() };
    let plan = Plan { reals: [("c".to_owned(), hot)].into(), services: [("mail".to_owned(), without)].into() };
    owner.set_plan(&plan, 3_000);
    owner
}

fn told(owner: &SchedulingTable, now_ms: u64) -> Vec<Entry> {
    owner.checkpoint(&KnownReals::new(), now_ms)
}

fn since(owner: &SchedulingTable, before: &SchedulingTable) -> Vec<Entry> {
    owner.checkpoint_since(before, &KnownReals::new(), &KnownReals::new(), LATER)
}

fn follow(follower: &mut SchedulingTable, entries: &[Entry]) -> Followed {
    follower.follow(entries, &mut Dictionary::default(), LATER)
}

fn assert_alike(one: &SchedulingTable, other: &SchedulingTable) {
    assert_eq!(digest::slots(one), digest::slots(other));
    assert_eq!(one.plan(), other.plan());
    let wishes = |table: &SchedulingTable| -> Vec<_> {
        table.reals().map(|view| (view.real.name.clone(), view.admin, view.weight_override)).collect()
    };
    assert_eq!(wishes(one), wishes(other));
    for name in ["web", "mail"] {
        let began = |table: &SchedulingTable| -> Vec<_> {
            let ring = &table.services[name].ring;
            (0..ring.slots().len() as u32).map(|slot| ring.since_ms(slot)).collect()
        };
        assert_eq!(began(one), began(other), "{name}");
    }
}

#[test]
fn a_table_that_is_configured_alike_becomes_the_same_whatever_its_ids() {
    let (owner, mut follower) = (eventful(), elsewhere());
    assert_ne!(real_ids(&owner), real_ids(&follower));
    let generation = follower.generation();

    let entries = told(&owner, LATER);
    let followed = follow(&mut follower, &entries);

    assert_eq!(followed, Followed { changed: true, ..Followed::default() });
    assert!(follower.generation() > generation);
    assert_alike(&owner, &follower);
    // By the follower's clock, whatever that says.
    let mut late = elsewhere();
    late.follow(&entries, &mut Dictionary::default(), LATER + 60_000);
    let slot = (0..).find(|&slot| owner.services["web"].ring.since_ms(slot).is_some()).unwrap();
    let began = |table: &SchedulingTable| table.services["web"].ring.since_ms(slot).unwrap();
    assert_eq!(began(&late), began(&owner) + 60_000);
}

#[test]
fn what_is_told_twice_changes_nothing() {
    let (owner, mut follower) = (eventful(), elsewhere());
    let entries = told(&owner, LATER);
    follow(&mut follower, &entries);
    let before = follower.clone();
    assert_eq!(follow(&mut follower, &entries), Followed::default());
    assert_eq!(follower.generation(), before.generation());
    assert!(Arc::ptr_eq(&follower.services["web"].ring, &before.services["web"].ring));
}

#[test]
fn what_has_changed_leads_from_one_state_to_the_next() {
    let (mut owner, mut follower) = (table(), elsewhere());
    let mut dictionary = Dictionary::default();
    follower.follow(&told(&owner, LATER), &mut dictionary, LATER);
    let mut step = |owner: &mut SchedulingTable, change: &dyn Fn(&mut SchedulingTable)| {
        let before = owner.clone();
        change(owner);
        let entries = since(owner, &before);
        follower.follow(&entries, &mut dictionary, LATER);
        assert_alike(owner, &follower);
        entries
    };

    let drained = step(&mut owner, &|table| table.set_admin("a", AdminState::Drained, 1_000).unwrap());
    assert!(matches!(drained[..], [Entry::Real(_), Entry::Ring(_), Entry::Ring(_)]), "most slots have changed");
    let moved = step(&mut owner, &|table| table.set_weight("c", Some(101), 1_000).unwrap());
    let [Entry::Real(_), Entry::Slots { changes, .. }] = &moved[..] else { panic!("{moved:?}") };
    assert!(changes.len() < 300, "{} slots for one in a hundred", changes.len());
    step(&mut owner, &|table| assert!(table.expire(DEFAULT_FLOW_IDLE_TIMEOUT_MS + 1_000) > 0));
    step(&mut owner, &|table| table.set_plan(&eventful().plan(), 3_000));
    let cooled = step(&mut owner, &|table| table.set_plan(&Plan::default(), 4_000));
    assert!(cooled.len() > 1, "marked slots begin anew: {cooled:?}");
    assert_eq!(step(&mut owner, &|table| table.set_next_hop("a", Some(hop(1))).unwrap()), []);
}

#[test]
fn what_is_known_beside_the_table_is_told_when_it_changes() {
    let owner = eventful();
    let load = Some(crate::checkpoint::Load { utilisation: 0.5, hits: None });
    let known: KnownReals = [("c".to_owned(), RealKnown { load, ..RealKnown::default() })].into();
    let told = owner.checkpoint_since(&owner, &known, &KnownReals::new(), LATER);
    let [Entry::Real(real)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((real.name.as_str(), real.load, real.learned.factor), ("c", load, 1_500));
    assert_eq!(owner.checkpoint_since(&owner, &known, &known, LATER), []);

    let mut dictionary = Dictionary::default();
    elsewhere().follow(&told, &mut dictionary, LATER);
    assert_eq!(dictionary.known()["c"].load, load);
}

/// Ids are few, so that one is used anew at once.
#[test]
fn a_slot_that_looks_the_same_is_told_when_its_id_stands_for_another() {
    let options = TableOptions { max_reals: 3, ..TableOptions::default() };
    let mut owner = SchedulingTable::new(options);
    let with = |reals: &[Real]| cluster(&[service("web", 80, &[&reals[0].name, &reals[1].name])], reals);
    owner.replace(with(&[real("a", 1), real("c", 3)]), 0).unwrap();
    let mut follower = elsewhere();
    let mut dictionary = Dictionary::default();
    follower.follow(&told(&owner, LATER), &mut dictionary, LATER);

    let before = owner.clone();
    owner.replace(with(&[real("b", 2), real("c", 3)]), 0).unwrap();
    assert_eq!(slots(&owner, "web"), slots(&before, "web"), "b has a's id, and its slots");
    let followed = follower.follow(&since(&owner, &before), &mut dictionary, LATER);

    assert_eq!(followed.strangers, [""; 0]);
    let slots_of =
        |table: &SchedulingTable, name: &str| table.services["web"].ring.tally().of_real(table.reals[name].id);
    assert_eq!((slots_of(&follower, "a"), slots_of(&follower, "b")), (0, slots_of(&owner, "b")));
}

#[test]
fn slots_of_strangers_have_no_real_until_this_node_leads() {
    let owner = {
        let mut owner = table();
        owner.set_admin("a", AdminState::Drained, 1_000).unwrap();
        owner
    };
    let mut follower = SchedulingTable::new(TableOptions::default());
    // `a`, that slots remember, is not here, and `b` is another server.
    let reals = [real("b", 22), real("c", 3)];
    follower.replace(cluster(&[service("web", 80, &["b", "c"])], &reals), 0).unwrap();
    let mut dictionary = Dictionary::default();
    let followed = follower.follow(&told(&owner, LATER), &mut dictionary, LATER);

    assert_eq!(followed.strangers, ["a", "b", "mail"]);
    assert_eq!(dictionary.strangers(&follower), ["a", "b", "mail"]);
    let (web, c) = (slots(&follower, "web"), follower.reals["c"].id);
    assert!(web.iter().all(|slot| (slot.real == c || slot.real == NO_REAL) && slot.state != SLOT_REMEMBERS));
    assert!(web.iter().any(|slot| slot.state == SLOT_MARKED), "the flow table still tells who is with c");
    follower.lead(LATER);
    assert!(slots(&follower, "web").iter().all(|slot| slot.real != NO_REAL));

    // Once all are configured, the same told again is all there.
    follower.replace(usual(), 0).unwrap();
    assert_eq!(follower.follow(&told(&owner, LATER), &mut dictionary, LATER).strangers, [""; 0]);
    assert_alike(&owner, &follower);
}

#[test]
fn who_takes_over_moves_no_slot_where_all_is_alike() {
    let (owner, mut follower) = (eventful(), elsewhere());
    follow(&mut follower, &told(&owner, LATER));
    let rings = digest::slots(&follower);
    follower.raise_generation(owner.generation() + 100);
    follower.lead(LATER + 1);
    follower.set_plan(&owner.plan(), LATER + 2);
    assert_eq!(digest::slots(&follower), rings);
    assert!(follower.generation() > owner.generation() + 100);
    follower.raise_generation(1);
    assert!(follower.generation() > owner.generation() + 100);
}

#[test]
fn flows_are_translated_by_name() {
    let (owner, mut follower) = (eventful(), elsewhere());
    let mut dictionary = Dictionary::default();
    follower.follow(&told(&owner, LATER), &mut dictionary, LATER);
    let service = ServiceKey { vip: [192; 16], port: 80, protocol: 6, family: 4 };
    let key = FlowKey { client: [203; 16], service, client_port: 40_000, reserved: 0 };
    let of = |service: &str, real: &str| {
        let (service, real) = (owner.services[service].id as u16, owner.reals[real].id);
        FlowEntry { key, service, real }
    };

    let flow = of("mail", "b");
    let (same, value) = dictionary.flow(&flow, &follower).unwrap();
    assert_eq!((same, value.slot), (key, slot_of(flow_hash(&key))));
    assert_eq!((u32::from(value.service), value.real), (follower.services["mail"].id, follower.reals["b"].id));
    let names = dictionary.translation(&follower);
    assert_eq!(names.flow(&flow), Some((key, value)));
    let (_, half_open) = names.half_open(&flow).unwrap();
    assert_eq!((half_open.slot, half_open.real, half_open.service), (value.slot, value.real, value.service));

    // Whose real or service is not here, or is known by no name, is nobody's.
    let unknown = FlowEntry { real: 77, ..flow };
    follower.replace(cluster(&[service_of_all()], &[real("a", 1), real("b", 22), real("c", 3)]), 0).unwrap();
    let names = dictionary.translation(&follower);
    for nobodys in [flow, unknown, of("mail", "c"), of("web", "b")] {
        assert_eq!((dictionary.flow(&nobodys, &follower), names.flow(&nobodys)), (None, None), "{nobodys:?}");
    }
    assert!(names.flow(&of("web", "c")).is_some());
}

fn service_of_all() -> Service {
    service("web", 80, &["a", "b", "c"])
}

#[test]
fn a_service_that_the_owner_has_no_more_has_no_flows() {
    let (mut owner, mut follower) = (table(), elsewhere());
    let mut dictionary = Dictionary::default();
    follower.follow(&told(&owner, LATER), &mut dictionary, LATER);
    let before = owner.clone();
    owner.replace(cluster(&[service_of_all()], &[real("a", 1), real("b", 2), real("c", 3)]), 0).unwrap();
    let followed = follower.follow(&since(&owner, &before), &mut dictionary, LATER);
    assert_eq!(followed.without_flows, [follower.services["mail"].id as u16]);
    assert!(dictionary.services.values().all(|service| service.name == "web"));
}

#[test]
fn what_does_not_fit_is_left_out() {
    let (owner, mut follower) = (table(), SchedulingTable::with_ring_slots(TableOptions::default(), 31));
    follower.replace(usual(), 0).unwrap();
    let before = follower.rows();
    assert_eq!(follow(&mut follower, &told(&owner, LATER)).strangers, ["mail", "web"]);
    assert_eq!(follower.rows(), before);
    let nameless = [Entry::Slots { service: 7, changes: Vec::new() }];
    assert_eq!(follow(&mut follower, &nameless).strangers, ["service id 7"]);
}

#[test]
fn services_that_share_a_ring_share_it_at_the_follower() {
    let two = || {
        let services = [service("web", 80, &["a", "b"]), service("mail", 25, &["a", "b"])];
        cluster(&services, &[real("a", 1), real("b", 2)])
    };
    let mut owner = SchedulingTable::new(TableOptions::default());
    owner.replace(two(), 0).unwrap();
    let mut follower = elsewhere();
    assert!(Arc::ptr_eq(&owner.services["web"].ring, &owner.services["mail"].ring));
    follower.replace(two(), 0).unwrap();
    follow(&mut follower, &told(&owner, LATER));
    assert!(Arc::ptr_eq(&follower.services["web"].ring, &follower.services["mail"].ring));
    assert!(slots(&follower, "web").iter().all(|slot| slot.state == SLOT_CLEAN));
}

/// As after a restart of the daemon with the maps it left.
#[test]
fn ages_are_recalled_where_slots_are_as_they_were() {
    let owner = eventful();
    let entries = told(&owner, LATER);
    let now_ms = LATER + 1_000_000;
    let saved = SavedState { generation: 1, ..owner.saved() };
    let mut restarted = SchedulingTable::restore(owner.options, saved, &owner.rows(), now_ms).unwrap();
    restarted.replace(usual(), now_ms).unwrap();
    // `b` gets some slots that it had not.
    restarted.set_weight("b", Some(60), now_ms).unwrap();
    let began = |table: &SchedulingTable, slot: u32| table.services["web"].ring.since_ms(slot);
    let before = restarted.clone();
    restarted.recall_ages(&entries, now_ms);

    assert_eq!(restarted.rows(), before.rows());
    let (mut recalled, mut kept) = (0, 0);
    for slot in (0..RING_SLOTS).filter(|&slot| began(&restarted, slot).is_some()) {
        let is_same = slots(&owner, "web")[slot as usize] == slots(&restarted, "web")[slot as usize];
        let expected = if is_same { began(&owner, slot).map(|at| now_ms - (LATER - at)) } else { Some(now_ms) };
        assert_eq!(began(&restarted, slot), expected);
        *if is_same { &mut recalled } else { &mut kept } += 1;
    }
    assert!(recalled > 1_000 && kept > 100, "{recalled} {kept}");
}
