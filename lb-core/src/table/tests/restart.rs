//! What a restart brings back: from the saved state, from the maps, and from both when they disagree.

use super::*;

/// A table in the middle of its life: `b` drained, some slots expired, `a` disabled later.
fn lived() -> SchedulingTable {
    let mut table = table();
    for (name, last) in [("a", 1), ("b", 2), ("c", 3)] {
        table.set_next_hop(name, Some(hop(last))).unwrap();
    }
    table.set_admin("b", AdminState::Drained, 1).unwrap();
    table.expire(DEFAULT_FLOW_IDLE_TIMEOUT_MS + 1);
    table.set_weight("c", Some(300), DEFAULT_FLOW_IDLE_TIMEOUT_MS + 2).unwrap();
    table
}

fn restored(saved: SavedState, rows: &Rows, cluster: Cluster) -> SchedulingTable {
    let mut table = SchedulingTable::restore(TableOptions::default(), saved, rows, 5_000).unwrap();
    table.replace(cluster, 5_000).unwrap();
    table
}

#[test]
fn with_the_same_configuration_nothing_is_written() {
    let before = lived();
    let rows = before.rows();
    let after = restored(before.saved(), &rows, usual());
    assert_eq!(diff(&rows, &after.rows()), []);
    assert_eq!(after.saved(), SavedState { generation: before.generation() + 1, ..before.saved() });
    for (id, ring) in &rows.rings {
        assert!(Arc::ptr_eq(ring, &after.rows().rings[id]));
    }
}

#[test]
fn slots_remember_for_a_whole_timeout_again() {
    let before = lived();
    let mut after = restored(before.saved(), &before.rows(), usual());
    assert_eq!(after.expire(4_999 + DEFAULT_FLOW_IDLE_TIMEOUT_MS), 0);
    assert!(after.expire(5_000 + DEFAULT_FLOW_IDLE_TIMEOUT_MS) > 0);
}

#[test]
fn the_saved_state_is_plain_data() {
    let saved = lived().saved();
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<SavedState>(&text).unwrap(), saved);
    assert_eq!(saved.version, SAVED_STATE_VERSION);
    assert!(text.contains(r#"{"name":"c","id":3,"address":"198.51.100.3","admin":"enabled","weight":300}"#), "{text}");
    assert!(text.contains(r#"{"name":"mail","id":0,"vip":"192.0.2.1","protocol":"tcp","ports":"25"}"#), "{text}");
}

#[test]
fn what_was_learned_outlives_a_restart() {
    let mut before = table();
    let planned = |factor| Plan {
        reals: BTreeMap::from([("a".to_owned(), RealPlan { factor, ..RealPlan::default() })]),
        ..Plan::default()
    };
    before.set_plan(&planned(1_500), 1);
    let text = serde_json::to_string(&before.saved()).unwrap();
    let after = restored(serde_json::from_str(&text).unwrap(), &before.rows(), usual());
    assert_eq!(after.plan(), planned(1_500));
    assert_eq!(diff(&before.rows(), &after.rows()), []);
}

#[test]
fn with_the_same_plan_nothing_is_written() {
    let mut before = table();
    let dead = RealPlan { alive: false, ..RealPlan::default() };
    let plan = Plan { reals: BTreeMap::from([("a".to_owned(), dead)]), ..Plan::default() };
    before.set_plan(&plan, 1);
    let rows = before.rows();
    let mut after = SchedulingTable::restore(TableOptions::default(), before.saved(), &rows, 5_000).unwrap();
    after.replace_with_plan(usual(), |_| plan, 5_000).unwrap();
    assert_eq!(diff(&rows, &after.rows()), []);
}

#[test]
fn a_state_of_a_program_that_learned_nothing_is_read() {
    let mut value = serde_json::to_value(lived().saved()).unwrap();
    value.as_object_mut().unwrap().remove("learned").unwrap();
    assert_eq!(serde_json::from_value::<SavedState>(value).unwrap(), lived().saved());
    let partly: Learned = serde_json::from_str(r#"{"factor":700,"from the future":true}"#).unwrap();
    assert_eq!(partly, Learned { factor: 700, ..Learned::default() });
}

#[test]
fn new_maps_are_filled_with_the_saved_ids() {
    let before = lived();
    let after = restored(before.saved(), &Rows::default(), usual());
    assert_eq!(real_ids(&after), real_ids(&before));
    assert_eq!(service_ids(&after), service_ids(&before));
    assert_eq!(after.reals().nth(1).unwrap().admin, AdminState::Drained);
    assert!(after.services().all(|view| view.tally.clean == RING_SLOTS));
    assert_eq!(held(&after, "web"), held(&before, "web"));
}

#[test]
fn without_a_saved_state_the_maps_tell_who_is_who() {
    // Ids that a new table would not give out like this.
    let mut before = table();
    before.replace(cluster(&[service("mail", 25, &["c"])], &[real("c", 3)]), 1).unwrap();
    before.replace(usual(), 2).unwrap();
    before.set_next_hop("a", Some(hop(1))).unwrap();
    before.set_weight("a", Some(50), 3).unwrap();
    assert_eq!(real_ids(&before), [("a", 4), ("b", 5), ("c", 3)]);
    let rows = before.rows();
    let after = restored(SavedState::default(), &rows, usual());
    assert_eq!(real_ids(&after), real_ids(&before));
    assert_eq!(service_ids(&after), service_ids(&before));
    assert_eq!(after.reals().next().unwrap().next_hop, Some(&hop(1)));
    // The operator's weight is lost, so slots move back; the flows that they have are remembered.
    assert!(diff(&rows, &after.rows()).iter().all(|write| matches!(write, crate::rows::MapWrite::Slots { .. })));
}

#[test]
fn a_state_saved_too_early_does_not_mislead() {
    let mut before = table();
    let early = before.saved();
    // c becomes another server, and web serves another port; none of it is saved.
    let reals = [real("a", 1), real("b", 2), real("c", 33)];
    let services = [service("web", 8080, &["a", "b", "c"]), service("mail", 25, &["a", "b"])];
    before.replace(cluster(&services, &reals), 1).unwrap();
    let rows = before.rows();
    let after = restored(early, &rows, cluster(&services, &reals));
    assert_eq!(real_ids(&after), [("a", 1), ("b", 2), ("c", 4)]);
    assert_eq!(diff(&rows, &after.rows()), []);
}

#[test]
fn saved_ids_that_were_mixed_up_do_not_mislead() {
    let before = lived();
    let rows = before.rows();
    let mut saved = before.saved();
    let ids = saved.services.iter().map(|service| service.id).rev().collect::<Vec<_>>();
    saved.services.iter_mut().zip(ids).for_each(|(service, id)| service.id = id);
    let ids = saved.reals.iter().map(|real| real.id).rev().collect::<Vec<_>>();
    saved.reals.iter_mut().zip(ids).for_each(|(real, id)| real.id = id);
    let after = restored(saved, &rows, usual());
    assert_eq!(service_ids(&after), service_ids(&before));
    assert_eq!(real_ids(&after), real_ids(&before));
    assert_eq!(diff(&rows, &after.rows()), []);
}

#[test]
fn an_id_that_stood_for_another_address_is_cleared_from_the_rings() {
    let mut before = table();
    before.set_weight("b", Some(50), 1).unwrap();
    before.set_weight("b", None, 2).unwrap();
    before.set_weight("b", Some(100), 2).unwrap();
    assert!(slots(&before, "mail").iter().any(|slot| slot.previous == 2));
    let mut saved = before.saved();
    // The maps say that 2 is 198.51.100.2; the saved state and the configuration say 198.51.100.22.
    saved.reals[1].address = [198, 51, 100, 22].into();
    let reals = [real("a", 1), real("b", 22), real("c", 3)];
    let services = [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b"])];
    let after = restored(saved, &before.rows(), cluster(&services, &reals));
    assert_eq!(real_ids(&after), [("a", 1), ("b", 2), ("c", 3)]);
    assert_eq!(held(&after, "mail"), [32_769, 32_768]);
    assert!(slots(&after, "mail").iter().all(|slot| slot.previous != 2));
    let writes = diff(&before.rows(), &after.rows());
    assert!(writes.contains(&crate::rows::MapWrite::ResetRealCounters { real: 2 }));
}

#[test]
fn reals_and_services_that_are_gone_from_the_configuration_vanish() {
    let before = lived();
    let rows = before.rows();
    let after = restored(before.saved(), &rows, cluster(&[service("web", 80, &["a"])], &[real("a", 1)]));
    let new = after.rows();
    assert_eq!(new.reals.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(new.rings.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(new.rings[&1].iter().all(|slot| slot.real == 1 && slot.previous <= 1));
}

#[test]
fn a_ring_that_cannot_be_is_filled_anew() {
    let before = lived();
    let mut rows = before.rows();
    rows.rings.insert(1, vec![Slot { state: 9, ..Slot::default() }; RING_SLOTS as usize].into());
    rows.rings.insert(0, vec![Slot::default(); 3].into());
    let after = restored(before.saved(), &rows, usual());
    assert_eq!(service_ids(&after), service_ids(&before));
    assert!(after.services().all(|view| view.tally.clean == RING_SLOTS));
}

#[test]
fn ids_go_on_where_they_were() {
    let mut before = table();
    before.replace(cluster(&[], &[real("a", 1)]), 1).unwrap();
    let mut after = restored(before.saved(), &before.rows(), cluster(&[], &[real("a", 1)]));
    after.replace(cluster(&[], &[real("a", 1), real("n", 9)]), 2).unwrap();
    assert_eq!(real_ids(&after), [("a", 1), ("n", 4)]);
}

#[test]
fn ids_beyond_the_limit_are_given_out_anew() {
    let mut saved = table().saved();
    saved.reals[2].id = 50;
    saved.services[1].id = lb_common::MAX_SERVICES;
    let options = TableOptions { max_reals: 10, ..TableOptions::default() };
    let mut after = SchedulingTable::restore(options, saved, &Rows::default(), 0).unwrap();
    after.replace(usual(), 0).unwrap();
    assert_eq!(real_ids(&after), [("a", 1), ("b", 2), ("c", 4)]);
    assert_eq!(service_ids(&after), [("web", 1), ("mail", 2)]);
}

#[test]
fn a_state_that_cannot_be_used_is_refused() {
    let refused = |change: &dyn Fn(&mut SavedState)| {
        let mut saved = table().saved();
        change(&mut saved);
        let error = SchedulingTable::restore(TableOptions::default(), saved, &Rows::default(), 0).unwrap_err();
        error.to_string()
    };
    assert_eq!(refused(&|s| s.version = 2), "the saved state has version 2, and this program reads 1");
    let twice = |what| format!("the saved state contradicts itself: {what} is there twice");
    assert_eq!(refused(&|s| s.reals[1].id = 1), twice("real id 1"));
    assert_eq!(refused(&|s| s.reals[1].name = "a".to_owned()), twice("real \"a\""));
    assert_eq!(refused(&|s| s.services[1].id = 1), twice("service id 1"));
    assert_eq!(refused(&|s| s.services[1].name = "web".to_owned()), twice("service \"web\""));
}
