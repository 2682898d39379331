//! An owner's engine and a follower's, without a kernel: what the one tells and the other makes of it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use lb_common::{FlowKey, FlowValue, REAL_ALIVE, RING_SLOTS, SLOT_REMEMBERS};
use lb_core::api::AdminState;
use lb_core::check::{CheckResult, Outcome};
use lb_core::checkpoint::{Batch, FlowEntry, Origin};
use lb_core::pair::Role;

use super::super::test_support::{Bench, CONFIG, resolved};
use super::*;
use crate::dataplane::Adoption;

const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 3 };
const OTHER: Origin = Origin { epoch: 4, ..ORIGIN };
/// [`CONFIG`] of a node that keeps checkpoints, and whose reals are checked.
const CHECKED: &str = "checks = [\"alive\"]\n[[check]]\nname = \"alive\"\ntype = \"tcp\"\nfall = 1\nrise = 1\n\
                       [checkpoint]\nkey_file = \"KEYS\"\ngrace = \"3s\"\n";

struct Node {
    bench: Bench,
    engine: Engine,
}

impl Node {
    fn start() -> Self {
        Self::start_with(&format!("{CONFIG}{CHECKED}"))
    }

    fn start_with(config: &str) -> Self {
        let bench = Bench::new();
        configure(&bench, config);
        bench.fake.world().wanted = true;
        let mut engine = bench.start().unwrap();
        engine.set_next_hops(vec![resolved("web1", 11), resolved("web2", 12)]);
        bench.fake.world().told.clear();
        Self { bench, engine }
    }

    /// A node that has been told everything by `owner`.
    fn following(owner: &mut Self) -> Self {
        let mut node = Self::start();
        node.bench.fake.world().wanted = false;
        node.fill(owner);
        node
    }

    fn fill(&mut self, owner: &mut Self) {
        self.engine.begin_full(ORIGIN);
        self.engine.full_part(ORIGIN, &owner.engine.checkpoint_all().entries).unwrap();
        self.engine.end_full(ORIGIN, 100).unwrap();
    }

    /// Everything that was told since the last time.
    fn told(&self) -> Vec<Entry> {
        std::mem::take(&mut self.bench.fake.world().told).into_iter().flat_map(|told| told.entries).collect()
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let batch = Batch { sequence: 1, generation: 100, entries };
        self.engine.apply_batch(ORIGIN, &batch).unwrap().entries
    }

    fn check(&mut self, real: &str, passed: bool) {
        let outcome =
            if passed { Outcome::Passed { took_us: 300 } } else { Outcome::Failed { reason: "refused".to_owned() } };
        let (service, check) = ("web".to_owned(), "alive".to_owned());
        self.engine.take_check_results(&[CheckResult { service, real: real.to_owned(), check, outcome }]);
    }

    fn pass(&mut self, seconds: u64) {
        self.bench.pass(&mut self.engine, seconds);
        self.engine.step();
    }

    fn slots(&self) -> [u32; 2] {
        let services = self.engine.services().unwrap().services;
        [services[0].reals[0].slots, services[0].reals[1].slots]
    }

    fn is_alive(&self, id: u16) -> bool {
        self.bench.fake.world().rows.reals[&id].flags & REAL_ALIVE != 0
    }

    fn flows(&self) -> Vec<(u16, FlowValue)> {
        self.bench.fake.world().flows.iter().map(|(key, value)| (key.client_port, *value)).collect()
    }

    fn warning(&self, subject: &str) -> Option<String> {
        let found = self.engine.status().warnings.into_iter().find(|warning| warning.subject == subject);
        found.map(|warning| warning.message)
    }
}

fn configure(bench: &Bench, config: &str) {
    let keys = bench.directory.path().join("keys");
    std::fs::write(&keys, "1 000102030405060708090a0b0c0d0e0f\n").unwrap();
    set_permissions(&keys, Permissions::from_mode(0o600)).unwrap();
    bench.write_config(&config.replace("KEYS", keys.to_str().unwrap()));
}

fn key(client_port: u16) -> FlowKey {
    FlowKey { client_port, ..FlowKey::default() }
}

fn flow(client_port: u16, real: u16) -> FlowEntry {
    FlowEntry { key: key(client_port), service: 0, real }
}

fn remembering(node: &Node) -> usize {
    node.bench.fake.world().rows.rings[&0].iter().filter(|slot| slot.state == SLOT_REMEMBERS).count()
}

#[test]
fn a_change_is_told_before_the_maps_have_it() {
    let mut owner = Node::start();
    owner.engine.set_admin("web1", AdminState::Drained).unwrap();
    let told = std::mem::take(&mut owner.bench.fake.world().told);
    assert_eq!(told.len(), 1);
    let after = owner.bench.fake.world().rows.clone();
    assert!(told[0].rows != after, "the maps had it already");
    assert!(told[0].entries.iter().any(|entry| matches!(entry, Entry::Real(real) if real.name == "web1")));
}

#[test]
fn a_change_that_the_maps_refuse_is_taken_back() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    owner.bench.fake.world().writes_before_failure = vec![0];
    owner.engine.set_admin("web1", AdminState::Drained).unwrap_err();
    assert_eq!(owner.bench.fake.world().told.len(), 2);
    let before = follower.slots();
    let told = owner.told();
    follower.apply(told);
    assert_eq!(follower.slots(), before);
    assert!(follower.bench.fake.world().rows.rings == owner.bench.fake.world().rows.rings);
}

#[test]
fn next_hops_are_each_nodes_own_business() {
    let mut owner = Node::start();
    owner.engine.set_next_hops(vec![resolved("web1", 33)]);
    assert!(owner.told().is_empty());
}

#[test]
fn what_nobody_wants_to_know_is_not_told() {
    let mut owner = Node::start();
    owner.bench.fake.world().wanted = false;
    owner.engine.set_admin("web1", AdminState::Drained).unwrap();
    owner.pass(1);
    assert!(owner.told().is_empty());
}

#[test]
fn a_follower_has_the_owners_table_and_maps() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    let mut follower = Node::following(&mut owner);
    let same = |follower: &Node, owner: &Node| {
        let (rows, owners) = (&follower.bench.fake.world().rows.rings, &owner.bench.fake.world().rows.rings);
        rows == owners
    };
    assert!(same(&follower, &owner) && remembering(&follower) > 30_000);
    owner.told();
    owner.engine.set_admin("web2", AdminState::Drained).unwrap();
    let own = follower.apply(owner.told());
    assert!(same(&follower, &owner));
    assert_eq!(follower.slots(), [RING_SLOTS, 0]);
    assert!(own.iter().any(|entry| matches!(entry, Entry::Ring(_) | Entry::Slots { .. })), "{own:?}");
    assert!(follower.engine.reals().unwrap().reals.iter().all(|real| real.next_hop.is_some()));
}

#[test]
fn flows_are_remembered_and_forgotten_as_the_owner_says() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    let own = follower.apply(vec![Entry::Remembered(vec![flow(1, 1), flow(2, 2)]), Entry::Forgotten(vec![key(1)])]);
    assert_eq!(own, [Entry::Remembered(vec![flow(1, 1), flow(2, 2)]), Entry::Forgotten(vec![key(1)])]);
    let flows = follower.flows();
    assert_eq!(flows.iter().map(|(port, value)| (*port, value.real)).collect::<Vec<_>>(), [(2, 2)]);
    assert_eq!(flows[0].1.slot, lb_common::slot_of(lb_common::flow_hash(&key(2))));
    // One of a real that nobody here knows is to be forgotten.
    follower.apply(vec![Entry::Remembered(vec![flow(2, 77)])]);
    assert!(follower.flows().is_empty());
    follower.apply(vec![Entry::HalfOpen(vec![flow(3, 1)])]);
    assert_eq!(follower.bench.fake.world().half_open.len(), 1);
}

#[test]
fn a_flow_is_remembered_or_half_open_and_not_both() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    let half_open = |node: &Node| node.bench.fake.world().half_open.len();
    follower.apply(vec![Entry::HalfOpen(vec![flow(1, 1)])]);
    follower.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    assert_eq!((follower.flows().len(), half_open(&follower)), (1, 0));
    follower.apply(vec![Entry::HalfOpen(vec![flow(1, 2)])]);
    assert_eq!((follower.flows().len(), half_open(&follower)), (0, 1));
    follower.apply(vec![Entry::Forgotten(vec![key(1)])]);
    assert_eq!((follower.flows().len(), half_open(&follower)), (0, 0));
}

#[test]
fn flows_of_a_service_that_is_gone_or_another_are_forgotten() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    follower.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    follower.apply(vec![Entry::ServiceGone(0)]);
    assert!(follower.flows().is_empty());
}

#[test]
fn the_last_words_of_the_owner_before_count_where_nothing_is_known() {
    let mut owner = Node::start();
    let mut heir = Node::following(&mut owner);
    heir.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    assert!(!heir.engine.has_succeeded(ORIGIN), "it follows still");
    heir.engine.lead();
    assert!(heir.engine.has_succeeded(ORIGIN) && !heir.engine.has_succeeded(OTHER));
    let before = heir.slots();
    owner.told();
    owner.engine.set_admin("web2", AdminState::Drained).unwrap();
    let mut last = owner.told();
    let flows = vec![flow(1, 2), flow(2, 2), flow(3, 77)];
    last.extend([Entry::Remembered(flows), Entry::Forgotten(vec![key(1)]), Entry::HalfOpen(vec![flow(4, 1)])]);
    let new = heir.engine.apply_last_words(ORIGIN, &last).unwrap();
    assert_eq!(new, [Entry::Remembered(vec![flow(2, 2)])]);
    let known: Vec<_> = heir.flows().iter().map(|(port, value)| (*port, value.real)).collect();
    assert_eq!(known, [(1, 1), (2, 2)]);
    assert_eq!(heir.flows()[1].1.last_seen_ns, heir.bench.fake.world().now_ns);
    assert_eq!(heir.bench.fake.world().half_open.len(), 1);
    assert_eq!(heir.slots(), before);
    assert!(matches!(heir.engine.apply_last_words(OTHER, &last), Err(NotApplied::NotFollowed)));
    heir.engine.begin_full(OTHER);
    assert!(matches!(heir.engine.apply_last_words(ORIGIN, &last), Err(NotApplied::NotFollowed)));
}

#[test]
fn a_full_leaves_no_flow_that_it_does_not_name() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    follower.apply(vec![Entry::Remembered(vec![flow(1, 1), flow(2, 2)])]);
    follower.engine.begin_full(ORIGIN);
    follower.engine.full_part(ORIGIN, &owner.engine.checkpoint_all().entries).unwrap();
    follower.engine.full_part(ORIGIN, &[Entry::Remembered(vec![flow(2, 2)])]).unwrap();
    assert_eq!(follower.flows().len(), 2);
    follower.engine.end_full(ORIGIN, 100).unwrap();
    assert_eq!(follower.flows().iter().map(|(port, _)| *port).collect::<Vec<_>>(), [2]);
}

#[test]
fn flows_that_cannot_be_written_are_told_and_do_not_end_the_following() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    follower.bench.fake.world().refuse_flows = Some("the flow table is full".to_owned());
    follower.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    assert_eq!(follower.bench.fake.world().unwritten, ["the flow table is full"]);
    follower.bench.fake.world().refuse_flows = None;
    follower.apply(vec![Entry::Remembered(vec![flow(2, 2)])]);
    assert_eq!(follower.flows().len(), 1);
}

#[test]
fn only_the_owner_that_is_followed_is_heard() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    let batch = Batch { sequence: 1, generation: 1, entries: vec![Entry::Remembered(vec![flow(1, 1)])] };
    assert!(matches!(follower.engine.apply_batch(OTHER, &batch), Err(NotApplied::NotFollowed)));
    follower.engine.lead();
    assert!(matches!(follower.engine.apply_batch(ORIGIN, &batch), Err(NotApplied::NotFollowed)));
    assert!(matches!(follower.engine.end_full(ORIGIN, 100), Err(NotApplied::NotFollowed)));
    assert!(follower.flows().is_empty());
}

#[test]
fn a_follower_decides_nothing_by_itself() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    let mut follower = Node::following(&mut owner);
    follower.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    let before = follower.bench.fake.world().rows.clone();
    follower.check("web1", false);
    follower.pass(3_600);
    assert!(follower.bench.fake.world().rows == before, "it moved slots or took a real for dead");
    assert_eq!(follower.flows().len(), 1, "it swept");
    let refused = follower.engine.set_admin("web1", AdminState::Drained).unwrap_err();
    assert!(refused.to_string().contains("ask the active node"), "{refused}");
    assert!(matches!(follower.engine.set_weight("web1", None), Err(ChangeError::Follows)));
}

#[test]
fn a_reload_of_a_follower_asks_for_everything() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    follower.engine.reload().unwrap();
    assert_eq!(follower.bench.fake.world().asked_for_all, 1);
    owner.engine.reload().unwrap();
    assert_eq!(owner.bench.fake.world().asked_for_all, 0);
}

#[test]
fn names_that_only_the_owner_has_are_told_of() {
    let more =
        format!("{CONFIG}{CHECKED}").replace("reals = [\"web1\", \"web2\"]", "reals = [\"web1\", \"web2\", \"web3\"]");
    let more = more.replacen("[[service]]", "[[real]]\nname = \"web3\"\naddress = \"192.0.2.13\"\n\n[[service]]", 1);
    let mut follower = Node::following(&mut Node::start_with(&more));
    let message = follower.warning("checkpoint names").unwrap();
    assert!(message.contains("web3") && message.contains("reload"), "{message}");
    follower.fill(&mut Node::start());
    assert_eq!(follower.warning("checkpoint names"), None);
}

#[test]
fn what_the_owner_said_of_health_is_held_for_the_grace() {
    let mut owner = Node::start();
    owner.check("web1", false);
    assert!(!owner.is_alive(1) || owner.slots() == [0, RING_SLOTS]);
    let mut heir = Node::following(&mut owner);
    heir.check("web1", true);
    heir.check("web2", false);
    heir.engine.lead();
    let slots = heir.slots();
    assert_eq!(slots, [0, RING_SLOTS]);
    heir.pass(2);
    heir.check("web2", false);
    assert_eq!(heir.slots(), slots, "the grace was not kept");
    heir.pass(1);
    assert_eq!(heir.slots(), [RING_SLOTS, 0], "its own checks do not rule after the grace");
}

#[test]
fn a_takeover_moves_no_slot() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    owner.engine.set_weight("web2", Some(5)).unwrap();
    let mut heir = Node::following(&mut owner);
    let before = heir.bench.fake.world().rows.clone();
    heir.engine.lead();
    heir.pass(10);
    assert!(heir.bench.fake.world().rows == before);
    heir.engine.set_weight("web1", Some(4)).unwrap();
}

#[test]
fn flows_that_a_takeover_finds_are_as_old_as_the_takeover() {
    let mut owner = Node::start();
    let mut heir = Node::following(&mut owner);
    heir.apply(vec![Entry::Remembered(vec![flow(1, 1)])]);
    heir.pass(3_600);
    heir.engine.lead();
    heir.pass(10);
    assert_eq!(heir.flows().len(), 1);
    heir.pass(3_600);
    assert!(heir.flows().is_empty());
}

#[test]
fn a_sweep_tells_what_it_has_forgotten() {
    let mut owner = Node::start();
    let seen = FlowValue { last_seen_ns: owner.bench.fake.world().now_ns, ..FlowValue::default() };
    owner.bench.fake.world().flows.push((key(1), seen));
    owner.pass(3_600);
    assert!(owner.told().contains(&Entry::Forgotten(vec![key(1)])));
}

#[test]
fn who_does_not_know_the_owner_waits_for_it_but_not_for_ever() {
    let mut node = Node::start();
    node.engine.wait_for_owner();
    let before = node.slots();
    node.check("web1", false);
    assert_eq!(node.slots(), before);
    assert!(matches!(node.engine.set_weight("web1", Some(3)), Err(ChangeError::NotKnownYet)));
    node.pass(OWNER_PATIENCE.as_secs() - 1);
    assert_eq!(node.slots(), before);
    node.pass(1);
    assert_eq!(node.slots(), [0, RING_SLOTS]);
    node.engine.wait_for_owner();
    node.engine.lead();
    node.engine.set_weight("web1", Some(3)).unwrap();
}

#[test]
fn an_owner_that_was_followed_stays_the_one_while_it_is_not_heard() {
    let mut owner = Node::start();
    let mut follower = Node::following(&mut owner);
    follower.engine.wait_for_owner();
    follower.pass(3_600);
    assert!(matches!(follower.engine.set_weight("web1", Some(3)), Err(ChangeError::Follows)));
}

fn restored_from(owner: &mut Node, generation: u64) -> Restored {
    let is_slots = |entry: &Entry| matches!(entry, Entry::Ring(_) | Entry::Slots { .. });
    let (slots, names) = owner.engine.checkpoint_all().entries.into_iter().partition(is_slots);
    let parts = vec![names, vec![Entry::Remembered(vec![flow(1, 1)])], slots];
    Restored { origin: ORIGIN, generation, parts: Box::new(parts.into_iter()) }
}

#[test]
fn an_import_brings_the_table_and_the_flows() {
    let mut from = Node::start();
    from.engine.set_weight("web1", Some(3)).unwrap();
    let mut entries = from.engine.checkpoint_all().entries;
    entries.push(Entry::Remembered(vec![flow(1, 1), flow(2, 77)]));
    let mut node = Node::start();
    let imported = node.engine.import(entries.clone()).unwrap();
    assert_eq!((imported.services, imported.reals, imported.flows), (1, 2, 1));
    assert!(node.bench.fake.world().rows.rings == from.bench.fake.world().rows.rings);
    assert_eq!(node.flows().len(), 1);
    let mut follower = Node::following(&mut from);
    assert!(matches!(follower.engine.import(entries), Err(ChangeError::Follows)));
}

#[test]
fn a_cold_start_goes_on_with_what_the_disk_has() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    owner.check("web2", false);
    let bench = Bench::new();
    configure(&bench, &format!("{CONFIG}{CHECKED}"));
    bench.fake.world().restored = Some(restored_from(&mut owner, 100));
    let mut node = Node { engine: bench.start_with(Adoption::Fresh).unwrap(), bench };
    assert!(node.bench.fake.world().rows.rings == owner.bench.fake.world().rows.rings);
    assert_eq!(node.flows().len(), 1);
    let real = |index: usize| node.engine.reals().unwrap().reals[index].clone();
    assert_eq!(real(0).weight_override, Some(3));
    assert!(node.engine.table.generation() > 100);
    // A real that was down stays so until its first check succeeds.
    node.pass(60);
    assert_eq!(node.slots(), [RING_SLOTS, 0]);
}

#[test]
fn what_operators_have_set_since_counts_after_a_cold_start() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    let bench = Bench::new();
    configure(&bench, &format!("{CONFIG}{CHECKED}"));
    let mut before = bench.start().unwrap();
    before.set_weight("web1", Some(7)).unwrap();
    before.stop();
    bench.fake.world().rows = lb_core::rows::Rows::default();
    bench.fake.world().restored = Some(restored_from(&mut owner, 1));
    let node = Node { engine: bench.start_with(Adoption::Fresh).unwrap(), bench };
    assert_eq!(node.engine.reals().unwrap().reals[0].weight_override, Some(7));
}

#[test]
fn maps_that_were_adopted_know_better_than_the_disk_but_not_since_when() {
    let mut owner = Node::start();
    owner.engine.set_weight("web1", Some(3)).unwrap();
    owner.pass(600);
    let restored = restored_from(&mut owner, 100);
    let Node { bench, engine } = owner;
    drop(engine);
    bench.fake.world().restored = Some(restored);
    bench.fake.world().wanted = false;
    let mut node = Node { engine: bench.start_with(Adoption::Adopted).unwrap(), bench };
    assert!(remembering(&node) > 0 && node.flows().is_empty());
    node.pass(400);
    assert_eq!(remembering(&node), 0, "the slots' time began anew");
}
