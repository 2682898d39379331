//! What a plan does to weights, rings and rows, and what it leaves alone.

use std::collections::BTreeSet;

use lb_common::{FALLBACK_RESET, NO_REAL, REAL_HOT, SLOT_CLEAN};

use super::*;
use crate::{monitoring::Scheduling, scheduler::MAX_FACTOR};

fn factors(factors: &[(&str, u32)]) -> Plan {
    let reals = factors.iter().map(|&(name, factor)| (name.to_owned(), RealPlan { factor, ..RealPlan::default() }));
    Plan { reals: reals.collect(), ..Plan::default() }
}

fn of_real(name: &str, plan: RealPlan) -> Plan {
    Plan { reals: BTreeMap::from([(name.to_owned(), plan)]), ..Plan::default() }
}

fn of_service(name: &str, plan: ServicePlan) -> Plan {
    Plan { services: BTreeMap::from([(name.to_owned(), plan)]), ..Plan::default() }
}

fn hot(name: &str) -> Plan {
    of_real(name, RealPlan { hot: true, ..RealPlan::default() })
}

fn weights(table: &SchedulingTable, service: &str) -> Vec<u32> {
    let view = table.services().find(|view| view.service.name == service).unwrap();
    view.members.iter().map(|member| member.weight).collect()
}

fn flags(table: &SchedulingTable, id: u16) -> u32 {
    table.rows().reals[&id].flags
}

#[test]
fn a_factor_multiplies_the_weight_and_moves_the_fewest_slots() {
    let mut table = table();
    let before = slots(&table, "mail");
    table.set_plan(&factors(&[("a", 1_500), ("b", 500)]), 5);
    assert_eq!(weights(&table, "mail"), [150, 50]);
    assert_eq!(held(&table, "mail"), [49_153, 16_384]);
    let moved = before.iter().zip(slots(&table, "mail").iter()).filter(|(was, is)| was.real != is.real).count();
    assert_eq!(moved, 49_153 - 32_769);
    assert_eq!(weights(&table, "web"), [150, 50, 100]);
    assert_eq!(held(&table, "web"), [32_768, 10_923, 21_846]);
}

#[test]
fn equal_factors_move_nothing() {
    let mut table = table();
    let before = slots(&table, "mail");
    table.set_plan(&factors(&[("a", 700), ("b", 700)]), 5);
    assert!(Arc::ptr_eq(&slots(&table, "mail"), &before));
    assert_eq!(weights(&table, "mail"), [70, 70]);
}

#[test]
fn only_services_of_a_changed_real_are_edited() {
    let mut table = table();
    let before = slots(&table, "mail");
    table.set_plan(&factors(&[("c", 2_000)]), 5);
    assert!(Arc::ptr_eq(&slots(&table, "mail"), &before));
    assert_eq!(held(&table, "web"), [16_384, 16_384, 32_769]);
}

#[test]
fn the_generation_grows_with_a_plan_that_differs_only() {
    let mut table = table();
    let plan = factors(&[("a", 1_500), ("nobody", 3)]);
    table.set_plan(&Plan::default(), 5);
    assert_eq!(table.generation(), 1);
    table.set_plan(&plan, 5);
    table.set_plan(&plan, 6);
    assert_eq!(table.generation(), 2);
    assert_eq!(table.plan(), factors(&[("a", 1_500)]));
    table.set_plan(&Plan::default(), 7);
    assert_eq!((table.generation(), table.plan()), (3, Plan::default()));
    assert_eq!(held(&table, "mail"), [32_769, 32_768]);
}

#[test]
fn an_operators_weight_is_not_multiplied() {
    let mut table = table();
    table.set_weight("b", Some(60), 1).unwrap();
    table.set_plan(&factors(&[("a", 200), ("b", 9_000)]), 5);
    assert_eq!(weights(&table, "mail"), [20, 60]);
    assert_eq!(held(&table, "mail"), [16_384, 49_153]);
}

#[test]
fn a_static_service_goes_by_configured_weights() {
    let mut table = table();
    let before = slots(&table, "mail");
    let fixed = of_service("mail", ServicePlan { scheduling: Scheduling::Static, ..ServicePlan::default() });
    table.set_plan(&Plan { reals: factors(&[("a", 3_000)]).reals, ..fixed }, 5);
    assert!(Arc::ptr_eq(&slots(&table, "mail"), &before));
    assert_eq!((weights(&table, "mail"), weights(&table, "web")), (vec![100, 100], vec![300, 100, 100]));
}

#[test]
fn a_real_that_is_eased_in_has_less_of_a_weight_that_load_does_not_move() {
    let mut table = table();
    let fixed = of_service("mail", ServicePlan { scheduling: Scheduling::Static, ..ServicePlan::default() });
    let eased = of_real("a", RealPlan { factor: 4_000, eased: 250, ..RealPlan::default() });
    table.set_plan(&Plan { reals: eased.reals, ..fixed }, 5);
    assert_eq!((weights(&table, "mail"), weights(&table, "web")), (vec![25, 100], vec![400, 100, 100]));
    table.set_weight("a", Some(80), 6).unwrap();
    assert_eq!((weights(&table, "mail"), weights(&table, "web")), (vec![20, 100], vec![20, 100, 100]));
}

#[test]
fn who_may_serve_is_up_to_operator_and_weights() {
    let mut table = table();
    assert!(table.may_serve("mail", "a") && table.may_serve("new", "a") && table.may_serve("mail", "new"));
    table.set_plan(&of_real("a", RealPlan { alive: false, ..RealPlan::default() }), 1);
    assert!(table.may_serve("mail", "a"));
    table.set_weight("a", Some(0), 1).unwrap();
    table.set_admin("b", AdminState::Drained, 1).unwrap();
    assert!(!table.may_serve("mail", "a") && !table.may_serve("mail", "b") && table.may_serve("web", "c"));
    let mut idle = service("mail", 25, &["a", "b"]);
    idle.reals[0].weight = Some(0);
    table.replace(cluster(&[idle], &[real("a", 1), real("b", 2)]), 2).unwrap();
    table.set_weight("a", None, 2).unwrap();
    assert!(!table.may_serve("mail", "a"));
}

#[test]
fn the_greatest_weight_and_factor_fit() {
    let mut table = table();
    let heavy = |name: &str, last: u8| Real { weight: MAX_WEIGHT, ..real(name, last) };
    table.replace(cluster(&[service("mail", 25, &["a", "b"])], &[heavy("a", 1), heavy("b", 2)]), 1).unwrap();
    table.set_plan(&factors(&[("a", u32::MAX), ("b", MAX_FACTOR)]), 5);
    assert_eq!(held(&table, "mail"), [32_769, 32_768]);
    table.set_weight("b", Some(MAX_WEIGHT), 6).unwrap();
    assert_eq!(held(&table, "mail"), [64_552, 985]);
}

#[test]
fn a_weight_shows_as_none_only_where_there_are_no_new_flows() {
    let mut table = table();
    table.set_weight("b", Some(1), 1).unwrap();
    table
        .replace(cluster(&[service("mail", 25, &["a", "b"])], &[Real { weight: 1, ..real("a", 1) }, real("b", 2)]), 1)
        .unwrap();
    table.set_plan(&factors(&[("a", 3)]), 5);
    assert_eq!(weights(&table, "mail"), [1, 1]);
    table.set_plan(&factors(&[("a", 0)]), 5);
    assert_eq!((weights(&table, "mail"), held(&table, "mail")), (vec![0, 1], vec![0, RING_SLOTS]));
}

#[test]
fn a_real_without_new_flows_keeps_the_old_ones() {
    let mut table = table();
    table.set_plan(&of_real("b", RealPlan { no_new_flows: true, ..RealPlan::default() }), 5);
    assert_eq!((held(&table, "mail"), held(&table, "web")[1]), (vec![RING_SLOTS, 0], 0));
    assert_eq!(flags(&table, 2), REAL_ALIVE);
    assert!(slots(&table, "mail").iter().any(|slot| slot.previous == 2));
    table.set_plan(&Plan::default(), 6);
    assert_eq!(held(&table, "mail"), [32_769, 32_768]);
}

#[test]
fn a_dead_real_gets_nothing_in_any_service() {
    let mut table = table();
    table.set_plan(&of_real("b", RealPlan { alive: false, ..RealPlan::default() }), 5);
    assert_eq!((held(&table, "mail"), held(&table, "web")[1]), (vec![RING_SLOTS, 0], 0));
    assert_eq!(flags(&table, 2), 0);
    let view = table.reals().nth(1).unwrap();
    assert_eq!((view.weight, view.plan.alive, view.admin), (0, false, AdminState::Enabled));
}

#[test]
fn no_plan_brings_a_disabled_real_back() {
    let mut table = table();
    table.set_admin("b", AdminState::Disabled, 1).unwrap();
    table.set_plan(&of_real("b", RealPlan { factor: 5_000, ..RealPlan::default() }), 5);
    assert_eq!((flags(&table, 2), held(&table, "mail")), (0, vec![RING_SLOTS, 0]));
}

#[test]
fn a_member_that_one_service_is_without_serves_the_others() {
    let mut table = table();
    let without = BTreeSet::from(["b".to_owned(), "stranger".to_owned()]);
    table.set_plan(&of_service("mail", ServicePlan { without, ..ServicePlan::default() }), 5);
    assert_eq!((held(&table, "mail"), held(&table, "web")), (vec![RING_SLOTS, 0], vec![21_846, 21_846, 21_845]));
    assert_eq!((weights(&table, "mail"), weights(&table, "web")), (vec![100, 0], vec![100, 100, 100]));
    let mail = table.services().nth(1).unwrap();
    assert!(!mail.members[0].excluded && mail.members[1].excluded);
    assert_eq!(flags(&table, 2), REAL_ALIVE);
}

#[test]
fn a_service_without_anybody_does_what_its_fallback_says() {
    let mut table = table();
    assert!(table.rows().service_options.is_empty());
    let without = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let plan = of_service("mail", ServicePlan { fallback: Fallback::Reset, without, ..ServicePlan::default() });
    table.set_plan(&plan, 5);
    assert_eq!(
        table.rows().service_options,
        BTreeMap::from([(0, ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() })])
    );
    assert!(slots(&table, "mail").iter().all(|slot| slot.real == NO_REAL && slot.previous != NO_REAL));
    table.set_plan(&Plan::default(), 6);
    assert!(table.rows().service_options.is_empty());
    assert_eq!(held(&table, "mail"), [32_769, 32_768]);
}

mod heat {
    use super::*;

    const WAIT_MS: u64 = HANDSHAKE_TIMEOUT_MS;

    fn states(table: &SchedulingTable, service: &str, real: u16) -> (usize, usize) {
        let slots = slots(table, service);
        let count = |state: u16| slots.iter().filter(|slot| slot.real == real && slot.state == state).count();
        (count(SLOT_CLEAN), count(SLOT_MARKED))
    }

    #[test]
    fn slots_of_a_hot_real_are_marked_and_stay_so() {
        let mut table = table();
        table.set_plan(&hot("b"), 5);
        assert_eq!(flags(&table, 2), REAL_ALIVE | REAL_HOT);
        assert_eq!((states(&table, "mail", 2), states(&table, "mail", 1)), ((0, 32_768), (32_769, 0)));
        assert_eq!(states(&table, "web", 2), (0, 21_846));
        assert_eq!(table.flows_in_use(&HashSet::new(), 5 + 10 * WAIT_MS), 0);
        assert_eq!(held(&table, "mail"), [32_769, 32_768]);
    }

    #[test]
    fn slots_of_a_real_that_has_cooled_become_clean_after_a_handshakes_time() {
        let mut table = table();
        table.set_plan(&hot("b"), 5);
        table.set_plan(&Plan::default(), 1_000_000);
        assert_eq!((flags(&table, 2), states(&table, "mail", 2)), (REAL_ALIVE, (0, 32_768)));
        assert_eq!(table.flows_in_use(&HashSet::new(), 999_999 + WAIT_MS), 0);
        let in_use: HashSet<_> = (0..RING_SLOTS).map(|slot| (1, slot)).collect();
        assert_eq!(table.flows_in_use(&in_use, 1_000_000 + WAIT_MS), 32_768, "those of mail");
    }

    #[test]
    fn a_slot_that_a_hot_real_gets_is_not_clean() {
        let mut table = table();
        table.replace(cluster(&[service("mail", 25, &["a", "b"])], &[real("a", 1), real("b", 2)]), 1).unwrap();
        table.set_plan(&hot("b"), 5);
        // Slots of a real that is gone are clean when they move.
        table.replace(cluster(&[service("mail", 25, &["b"])], &[real("b", 2)]), 6).unwrap();
        assert_eq!(states(&table, "mail", 2), (0, RING_SLOTS as usize));
        table.replace(cluster(&[service("new", 26, &["b"])], &[real("b", 2)]), 7).unwrap();
        assert_eq!(states(&table, "new", 2), (0, RING_SLOTS as usize), "a ring that is filled for the first time");
    }

    #[test]
    fn a_reload_can_cool_a_real() {
        let mut table = table();
        table.set_plan(&hot("b"), 5);
        table.replace_with_plan(usual(), |_| Plan::default(), 1_000_000).unwrap();
        assert_eq!(table.flows_in_use(&HashSet::new(), 999_999 + WAIT_MS), 0);
        assert!(table.flows_in_use(&HashSet::new(), 1_000_000 + WAIT_MS) > 0);
    }
}

mod reload {
    use super::*;

    #[test]
    fn keeps_the_plan_of_those_who_stay() {
        let mut table = table();
        table.set_plan(&factors(&[("a", 1_500), ("b", 500)]), 5);
        let reals = [real("a", 11), real("b", 2), real("c", 3)];
        table.replace(cluster(&[service("mail", 25, &["a", "b"])], &reals), 6).unwrap();
        // The new server of the name a is another one.
        assert_eq!(weights(&table, "mail"), [100, 50]);
    }

    #[test]
    fn gives_no_slot_to_a_real_that_its_plan_excludes() {
        let mut table = table();
        let before = slots(&table, "mail");
        let services = [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b", "d"])];
        let reals = [real("a", 1), real("b", 2), real("c", 3), real("d", 4)];
        let without = BTreeSet::from(["d".to_owned()]);
        let plan = of_service("mail", ServicePlan { without, ..ServicePlan::default() });
        let planned = |table: &SchedulingTable| {
            assert_eq!(real_ids(table), [("a", 1), ("b", 2), ("c", 3), ("d", 4)], "the new configuration");
            plan.clone()
        };
        table.replace_with_plan(cluster(&services, &reals), planned, 6).unwrap();
        assert!(Arc::ptr_eq(&slots(&table, "mail"), &before));
        assert_eq!(table.plan(), plan);
    }
}
