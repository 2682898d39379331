//! Services with the same reals and weights share a ring, for as long as they are given the same changes.

use super::*;

/// Services `one`, `two` and `three` with the same reals.
fn pool() -> Vec<Service> {
    [("one", 1), ("two", 2), ("three", 3)].map(|(name, port)| service(name, port, &["a", "b", "c"])).to_vec()
}

fn reals() -> [Real; 3] {
    [real("a", 1), real("b", 2), real("c", 3)]
}

fn pooled() -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(cluster(&pool(), &reals()), 0).unwrap();
    table
}

fn share(table: &SchedulingTable, services: &[&str]) -> bool {
    services.windows(2).all(|two| Arc::ptr_eq(&table.services[two[0]].ring, &table.services[two[1]].ring))
}

#[test]
fn through_all_that_they_are_given_alike() {
    let mut table = pooled();
    assert!(share(&table, &["one", "two", "three"]));
    table.set_weight("a", Some(10), 1).unwrap();
    assert!(share(&table, &["one", "two", "three"]), "another weight");
    let later = DEFAULT_FLOW_IDLE_TIMEOUT_MS + 1;
    let marked = table.expire(later);
    assert!(marked > 0 && share(&table, &["one", "two", "three"]), "time");
    let (_, slot) = table.services["one"].ring.exceptions().map(|(index, slot, _)| (index, *slot)).next().unwrap();
    assert_eq!(slot.state, SLOT_MARKED);
    let index = table.services["one"].ring.exceptions().next().unwrap().0;
    let in_use = HashSet::from([(table.services["two"].id as u16, index)]);
    let cleaned = table.flows_in_use(&in_use, later + HANDSHAKE_TIMEOUT_MS);
    assert_eq!(cleaned, marked - 3, "a flow of one service keeps the slot of all three");
    assert!(share(&table, &["one", "two", "three"]), "flows of one of them");
}

#[test]
fn until_one_of_them_is_given_something_else() {
    let mut table = pooled();
    let before = slots(&table, "three");
    let mut services = pool();
    services[0].reals.pop();
    table.replace(cluster(&services, &reals()), 1).unwrap();
    assert!(share(&table, &["two", "three"]) && !share(&table, &["one", "two"]));
    assert!(Arc::ptr_eq(&before, &slots(&table, "three")), "the others have what they had");
}

#[test]
fn with_those_that_come_later() {
    let mut table = pooled();
    let mut services = pool();
    services.push(service("four", 4, &["a", "b", "c"]));
    let before = table.rows();
    table.replace(cluster(&services, &reals()), 1).unwrap();
    assert!(share(&table, &["one", "four"]));
    let (id, like) = (table.services["four"].id, table.services["one"].id);
    let writes = diff(&before, &table.rows());
    let slots = slots(&table, "one");
    assert!(writes.contains(&crate::rows::MapWrite::NewRing { service: id, slots, like: Some(like) }), "{writes:?}");
}

#[test]
fn also_after_a_restart() {
    let mut table = pooled();
    table.set_weight("a", Some(10), 1).unwrap();
    let mut after = SchedulingTable::restore(TableOptions::default(), table.saved(), &table.rows(), 2).unwrap();
    after.replace(cluster(&pool(), &reals()), 2).unwrap();
    assert!(share(&after, &["one", "two", "three"]));
}

#[test]
fn all_ids_can_be_given_to_other_services_at_once() {
    let named = |prefix: &str, first: u16| -> Vec<Service> {
        let service = |number: u16| service(&format!("{prefix}-{number}"), first + number, &["a"]);
        (0..lb_common::MAX_SERVICES as u16).map(service).collect()
    };
    let mut table = SchedulingTable::with_ring_slots(TableOptions::default(), 7);
    table.replace(cluster(&named("old", 1_000), &reals()), 0).unwrap();
    let before = table.rows();
    table.replace(cluster(&named("new", 10_000), &reals()), 1).unwrap();
    let mut maps = before.clone();
    for write in diff(&before, &table.rows()) {
        crate::testing::apply(&mut maps, &write);
        assert!(maps.services.len() <= lb_common::MAX_SERVICES as usize, "the map is full");
    }
    assert_eq!(maps, table.rows());
}
