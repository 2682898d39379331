//! Services of an affinity group: one ring, one key for a client, whoever leads.

use lb_common::{FlowKey, Slot};

use super::*;
use crate::checkpoint::{Dictionary, Entry, FlowEntry};

type KnownReals = BTreeMap<String, RealKnown>;

const LATER: u64 = 5_000_000;

fn grouped(name: &str, port: u16) -> Service {
    let affinity = Some(Affinity { prefix: 24, timeout_ms: None, group: Some("shop".to_owned()) });
    Service { affinity, ..service(name, port, &["a", "b", "c"]) }
}

fn reals() -> [Real; 3] {
    [real("a", 1), real("b", 2), real("c", 3)]
}

/// A table of these services of the group.
fn table_of(names: &[(&str, u16)]) -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    reload(&mut table, names);
    table
}

fn reload(table: &mut SchedulingTable, names: &[(&str, u16)]) {
    let services: Vec<Service> = names.iter().map(|(name, port)| grouped(name, *port)).collect();
    table.replace(cluster(&services, &reals()), LATER).unwrap();
}

const WEB: (&str, u16) = ("web", 80);
const TLS: (&str, u16) = ("tls", 443);
const FTP: (&str, u16) = ("ftp", 21);

fn id(table: &SchedulingTable, service: &str) -> u32 {
    table.services[service].id
}

/// Vip, ports and protocol of the keys of a service's clients, and under whose id they are remembered.
fn key(table: &SchedulingTable, service: &str) -> ([u8; 16], u16, u16, u8, u32) {
    let options = table.rows().service_options[&id(table, service)];
    let ServiceOptions { vip, affinity_port, affinity_client_port, affinity_protocol, affinity_service, .. } = options;
    (vip, affinity_port, affinity_client_port, affinity_protocol, affinity_service)
}

fn ring_of(table: &SchedulingTable, service: &str) -> Arc<[Slot]> {
    table.rows().rings[&id(table, service)].clone()
}

#[test]
fn the_first_leads_and_its_ring_serves_all() {
    let mut table = table_of(&[WEB, TLS]);
    let expected = key(&table, "web");
    assert_eq!((key(&table, "tls"), expected.4), (expected, id(&table, "web")));
    // printf shop | sha256sum
    assert_eq!((&expected.0[..5], expected.3), (&[0, 0x8d, 0x90, 0x01, 0][..], 6));
    assert!(Arc::ptr_eq(&ring_of(&table, "web"), &ring_of(&table, "tls")));
    table.set_weight("a", Some(3), 1).unwrap();
    table.set_admin("b", AdminState::Drained, 2).unwrap();
    assert!(Arc::ptr_eq(&ring_of(&table, "web"), &ring_of(&table, "tls")), "weights and drain");
    assert!(table.expire(DEFAULT_FLOW_IDLE_TIMEOUT_MS + 2) > 0);
    assert!(Arc::ptr_eq(&ring_of(&table, "web"), &ring_of(&table, "tls")), "time");
    let marked = table.services["web"].ring.exceptions().next().unwrap().0;
    let in_use = HashSet::from([(id(&table, "web") as u16, marked)]);
    assert!(table.flows_in_use(&in_use, 2 * DEFAULT_FLOW_IDLE_TIMEOUT_MS) > 0);
    assert!(Arc::ptr_eq(&ring_of(&table, "web"), &ring_of(&table, "tls")), "flows");
    assert_eq!(table.slot(id(&table, "tls"), marked).unwrap().state, SLOT_MARKED);
}

#[test]
fn a_plan_that_differs_leaves_one_ring() {
    let mut table = table_of(&[WEB, TLS]);
    let without = ServicePlan { without: ["a".to_owned()].into(), ..ServicePlan::default() };
    for service in ["web", "tls"] {
        let plan = Plan { services: [(service.to_owned(), without.clone())].into(), ..Plan::default() };
        table.set_plan(&plan, 1);
        assert!(Arc::ptr_eq(&ring_of(&table, "web"), &ring_of(&table, "tls")), "{service}");
    }
}

#[test]
fn clients_stay_where_they_are_whoever_comes_goes_or_leads() {
    let mut table = table_of(&[WEB, TLS]);
    table.set_weight("a", Some(3), 1).unwrap();
    let (slots, clients) = (ring_of(&table, "web"), key(&table, "web"));
    let is_same = |table: &SchedulingTable, services: &[&str], leader: &str| {
        for service in services {
            assert_eq!(ring_of(table, service), slots, "{service}");
            assert_eq!(
                key(table, service),
                (clients.0, clients.1, clients.2, clients.3, id(table, leader)),
                "{service}"
            );
        }
    };
    for names in [&[WEB, TLS, FTP][..], &[FTP, TLS, WEB], &[TLS, WEB], &[TLS]] {
        let before = table.cluster().clone();
        reload(&mut table, names);
        let services: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        is_same(&table, &services, services[0]);
        let changes = SchedulingTable::group_changes(&before, table.cluster());
        let was = before.services()[0].name.as_str();
        assert_eq!(changes.len(), usize::from(was != services[0]), "{changes:?}");
        assert!(
            changes
                .iter()
                .all(|change| change.starts_with(&format!("service {} leads affinity group shop", services[0])))
        );
    }
    // Another group is other clients.
    let mut other = grouped("web", 80);
    other.affinity.iter_mut().for_each(|affinity| affinity.group = Some("mail".to_owned()));
    let before = table.cluster().clone();
    table.replace(cluster(&[grouped("tls", 443), other.clone()], &reals()), LATER).unwrap();
    assert_ne!(key(&table, "web").0, clients.0);
    assert!(SchedulingTable::group_changes(&before, table.cluster()).is_empty(), "web is new");
    let both = cluster(&[grouped("tls", 443), grouped("web", 80)], &reals());
    let changes = SchedulingTable::group_changes(table.cluster(), &both);
    assert_eq!(changes, ["service web is in affinity group shop now: its clients begin anew"]);
    let none = cluster(&[grouped("tls", 443), service("web", 80, &["a"])], &reals());
    let changes = SchedulingTable::group_changes(table.cluster(), &none);
    assert_eq!(changes, ["service web has left affinity group mail: its clients begin anew"]);
}

#[test]
fn a_new_leader_has_its_ring_before_others_go_by_it() {
    for (before, after) in [(&[TLS][..], &[FTP, TLS][..]), (&[WEB, TLS], &[TLS]), (&[], &[WEB, TLS])] {
        let (before, mut after_table) = (table_of(before), table_of(before));
        reload(&mut after_table, after);
        let (mut rings, mut options) = (before.rows().rings, before.rows().service_options);
        for write in diff(&before.rows(), &after_table.rows()) {
            use crate::rows::MapWrite;
            match write {
                MapWrite::NewRing { service, slots, .. } => drop(rings.insert(service, slots)),
                MapWrite::RemoveRing { service } => drop(rings.remove(&service)),
                MapWrite::ServiceOptions { service, value } => drop(options.insert(service, value)),
                _ => {}
            }
            let lost = options.values().find(|row| row.affinity_bits > 0 && !rings.contains_key(&row.affinity_service));
            assert_eq!(lost, None, "{after:?}");
        }
    }
}

#[test]
fn who_follows_may_have_another_leader() {
    let mut owner = table_of(&[WEB, TLS]);
    owner.set_weight("a", Some(3), 1).unwrap();
    let mut follower = table_of(&[FTP, TLS, WEB]);
    let mut dictionary = Dictionary::default();
    let followed = follower.follow(&owner.checkpoint(&KnownReals::new(), LATER), &mut dictionary, LATER);
    assert_eq!(followed.strangers, [""; 0]);
    for service in ["ftp", "tls", "web"] {
        assert_eq!(ring_of(&follower, service), ring_of(&owner, "web"), "{service}");
        assert_eq!(key(&follower, service).4, id(&follower, "ftp"));
    }
    assert_eq!(key(&follower, "web").0, key(&owner, "web").0, "the same clients");
    let flow = FlowEntry { key: FlowKey::default(), service: id(&owner, "web") as u16, real: 2 };
    let (_, value) = dictionary.flow(&flow, &follower).unwrap();
    assert_eq!(u32::from(value.service), id(&follower, "ftp"));
    assert_eq!(dictionary.translation(&follower).flow(&flow).unwrap().1, value);

    // Later changes likewise, told of each service.
    let before = owner.clone();
    owner.set_admin("c", AdminState::Drained, LATER).unwrap();
    let changes = owner.checkpoint_since(&before, &KnownReals::new(), &KnownReals::new(), LATER);
    assert!(changes.iter().any(|entry| matches!(entry, Entry::Ring(_) | Entry::Slots { .. })));
    assert!(follower.follow(&changes, &mut dictionary, LATER).changed);
    for service in ["ftp", "tls", "web"] {
        assert_eq!(ring_of(&follower, service), ring_of(&owner, "web"), "{service}");
    }
    assert!(!follower.follow(&changes, &mut dictionary, LATER).changed, "told twice");
}

#[test]
fn a_restart_finds_the_ring_of_the_group() {
    let mut table = table_of(&[WEB, TLS]);
    table.set_weight("a", Some(3), 1).unwrap();
    let services = [grouped("tls", 443), grouped("web", 80)];
    let restored = SchedulingTable::restore(TableOptions::default(), table.saved(), &table.rows(), LATER);
    let mut restored = restored.unwrap();
    restored.replace(cluster(&services, &reals()), LATER).unwrap();
    for service in ["web", "tls"] {
        assert_eq!(ring_of(&restored, service), ring_of(&table, "web"));
        assert_eq!(key(&restored, service).4, id(&table, "tls"), "ids stay, and the first leads");
    }
}
