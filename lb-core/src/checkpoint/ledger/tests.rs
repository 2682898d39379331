use lb_common::FlowKey;

use super::*;
use crate::{checkpoint::FlowEntry, pair::Role};

const MS: Micros = 1_000;
const TIMEOUT: Micros = 50 * MS;

fn origin(epoch: u32) -> Origin {
    Origin { cluster: 1, owner: Role::Primary, boot: 7, epoch }
}

fn limits() -> Limits {
    Limits { max_backlog: 1 << 20, write_ahead_timeout_us: TIMEOUT, has_peer: true, has_store: true }
}

fn leading() -> Ledger {
    let mut ledger = Ledger::new(limits());
    ledger.lead(origin(1));
    ledger
}

fn followed() -> (Ledger, Visit) {
    let mut ledger = leading();
    let visit = ledger.follower_refills();
    ledger.acked(visit, Some(0), Some(0), 0);
    (ledger, visit)
}

fn flow(number: u16) -> FlowEntry {
    FlowEntry { key: FlowKey { client_port: number, ..FlowKey::default() }, service: 1, real: 2 }
}

fn remembered(number: u16) -> Vec<Entry> {
    vec![Entry::Remembered(vec![flow(number)])]
}

fn batch(sequence: Sequence) -> Batch {
    Batch { sequence, generation: 9, entries: remembered(1) }
}

fn sequences(ledger: &Ledger, after: Sequence) -> Result<Vec<Sequence>, Gone> {
    ledger.after(after).map(|batches| batches.iter().map(|batch| batch.sequence).collect())
}

#[test]
fn only_who_leads_appends_and_nothing_makes_no_batch() {
    let mut ledger = Ledger::new(limits());
    assert_eq!(ledger.append(remembered(1), 1, 0), None);
    ledger.follow();
    assert_eq!(ledger.append(remembered(1), 1, 0), None);
    ledger.lead(origin(1));
    assert_eq!(ledger.append(Vec::new(), 1, 0), Some(0));
    assert_eq!(ledger.append(remembered(1), 4, 0), Some(1));
    assert_eq!(ledger.append(Vec::new(), 5, 0), Some(1));
    assert_eq!((ledger.held(), ledger.generation()), (Some((origin(1), 1)), 4));
    assert_eq!(sequences(&ledger, 0), Ok(vec![1]));
}

#[test]
fn the_backlog_is_bounded_and_who_is_behind_it_is_told_so() {
    let mut ledger = Ledger::new(Limits { max_backlog: 2_000, ..limits() });
    ledger.lead(origin(1));
    (1..=100).for_each(|number| _ = ledger.append(remembered(number), 1, 0));
    assert!(ledger.view(0).backlog_bytes <= 2_000);
    assert_eq!(sequences(&ledger, 100), Ok(vec![]));
    assert_eq!(sequences(&ledger, 99), Ok(vec![100]));
    assert_eq!(sequences(&ledger, 1), Err(Gone));
    ledger.append(vec![Entry::Forgotten(vec![FlowKey::default(); 1_000])], 1, 0);
    assert_eq!((sequences(&ledger, 100), sequences(&ledger, 101)), (Err(Gone), Ok(vec![])));
    assert_eq!(ledger.view(0).backlog_bytes, 0);
}

#[test]
fn a_smaller_backlog_counts_at_once() {
    let mut ledger = leading();
    (1..=100).for_each(|number| _ = ledger.append(remembered(number), 1, 0));
    ledger.set_limits(Limits { max_backlog: 1_000, ..limits() });
    assert!(ledger.view(0).backlog_bytes <= 1_000);
}

#[test]
fn what_disk_and_followers_disk_have_is_let_go() {
    let (mut ledger, visit) = followed();
    (1..=4).for_each(|number| _ = ledger.append(remembered(number), 1, 0));
    ledger.committed(origin(1), 3);
    assert_eq!(sequences(&ledger, 0), Ok(vec![1, 2, 3, 4]), "the follower may start again with what its disk has");
    ledger.acked(visit, Some(4), Some(2), 0);
    assert_eq!((sequences(&ledger, 1), sequences(&ledger, 2)), (Err(Gone), Ok(vec![3, 4])));
    ledger.acked(visit, Some(4), Some(4), 0);
    assert_eq!((sequences(&ledger, 2), sequences(&ledger, 3)), (Err(Gone), Ok(vec![4])));
}

#[test]
fn a_solo_node_keeps_for_its_disk_alone_and_is_in_sync() {
    let mut ledger = Ledger::new(Limits { has_peer: false, ..limits() });
    ledger.lead(origin(0));
    ledger.committed(origin(0), 0);
    ledger.append(remembered(1), 1, 0);
    assert_eq!(ledger.uncommitted().map(|some| some.map(|some| some.last())), Ok(Some(1)));
    ledger.committed(origin(0), 1);
    assert_eq!((ledger.view(0).backlog_bytes, ledger.sync(0)), (0, Ok(())));
}

#[test]
fn the_disk_begins_with_everything_and_then_gets_what_is_new() {
    let mut ledger = leading();
    assert_eq!(ledger.uncommitted().map(|_| ()), Err(Gone));
    ledger.committed(origin(1), 0);
    assert!(ledger.uncommitted().is_ok_and(|some| some.is_none()));
    ledger.append(remembered(1), 3, 0);
    ledger.append(vec![Entry::HalfOpen(vec![flow(9)])], 3, 0);
    ledger.append(vec![Entry::Remembered(vec![flow(2)]), Entry::Forgotten(vec![flow(1).key])], 4, 0);
    ledger.append(vec![Entry::Forgotten(vec![flow(2).key])], 5, 0);
    let new = ledger.uncommitted().ok().flatten().expect("three batches");
    assert_eq!((new.origin, new.first(), new.last(), new.generation()), (origin(1), 1, 4, 5));
    let wanted = [Entry::Remembered(vec![flow(1), flow(2)]), Entry::Forgotten(vec![flow(1).key, flow(2).key])];
    assert_eq!(new.entries(), wanted);
    ledger.committed(origin(1), 4);
    assert!(ledger.uncommitted().is_ok_and(|some| some.is_none()));
    ledger.uncommit();
    assert_eq!(ledger.uncommitted().map(|_| ()), Err(Gone));
}

#[test]
fn a_commit_of_another_owners_batches_or_of_none_counts_for_nothing() {
    let mut ledger = leading();
    ledger.append(remembered(1), 1, 0);
    ledger.lead(origin(2));
    ledger.committed(origin(1), 1);
    ledger.committed(origin(2), 5);
    assert_eq!(ledger.durable(), None);
}

#[test]
fn a_change_waits_for_the_follower_and_no_longer_than_the_timeout() {
    let (mut ledger, visit) = followed();
    let change = ledger.append(remembered(1), 1, 10).expect("it leads");
    assert_eq!(ledger.ahead(change, 10), Ahead::Wait { until: 10 + TIMEOUT });
    ledger.acked(visit, Some(change), Some(0), 20);
    assert_eq!(ledger.ahead(change, 20), Ahead::Go);
    let slow = ledger.append(remembered(2), 1, 100).expect("it leads");
    assert_eq!(ledger.ahead(slow, 100 + TIMEOUT - 1), Ahead::Wait { until: 100 + TIMEOUT });
    assert_eq!(ledger.sync(100 + TIMEOUT - 1), Ok(()));
    assert_eq!(ledger.ahead(slow, 100 + TIMEOUT), Ahead::Go);
    assert_eq!(ledger.sync(100 + TIMEOUT), Err(NotInSync::Late { lag_ms: 50 }));
    let next = ledger.append(remembered(3), 1, 101 + TIMEOUT).expect("it leads");
    assert_eq!(ledger.ahead(next, 101 + TIMEOUT), Ahead::Go, "nobody waits for one that is late");
}

#[test]
fn a_late_follower_is_waited_for_again_when_it_has_caught_up() {
    let (mut ledger, visit) = followed();
    (1..=3).for_each(|number| _ = ledger.append(remembered(number), 1, Micros::from(number) * 10 * MS));
    assert_eq!(ledger.ahead(1, 10 * MS + TIMEOUT), Ahead::Go);
    ledger.acked(visit, Some(1), None, 61 * MS);
    assert!(matches!(ledger.sync(61 * MS), Err(NotInSync::Late { .. })), "what is left is 41 ms old");
    ledger.acked(visit, Some(2), None, 54 * MS);
    assert_eq!(ledger.sync(54 * MS), Ok(()));
    assert_eq!(ledger.ahead(3, 54 * MS), Ahead::Wait { until: 30 * MS + TIMEOUT });
}

#[test]
fn a_follower_that_lags_is_not_in_sync_even_where_nothing_waits() {
    let (mut ledger, _) = followed();
    ledger.append(remembered(1), 1, 0);
    assert_eq!(ledger.sync(TIMEOUT), Ok(()));
    assert_eq!(ledger.sync(TIMEOUT + MS), Err(NotInSync::Late { lag_ms: 51 }));
    assert_eq!((ledger.view(2 * MS).lag_us, ledger.view(2 * MS).flows_at_risk), (2 * MS, 1));
}

#[test]
fn a_follower_behind_the_backlog_is_not_in_sync() {
    let mut ledger = Ledger::new(Limits { max_backlog: 1_000, ..limits() });
    ledger.lead(origin(1));
    ledger.follower_resumes(0);
    ledger.append(vec![Entry::Forgotten(vec![FlowKey::default(); 1_000])], 1, 0);
    assert_eq!(ledger.sync(TIMEOUT + 1), Err(NotInSync::Late { lag_ms: 50 }));
}

#[test]
fn nobody_waits_for_a_follower_that_is_absent_or_has_not_everything() {
    let mut ledger = leading();
    ledger.append(remembered(1), 1, 0);
    assert_eq!(ledger.ahead(1, 0), Ahead::Go);
    let visit = ledger.follower_refills();
    ledger.follower_progress(visit, Progress { done: 2, estimate: 5 });
    ledger.acked(visit, None, None, 0);
    assert_eq!(ledger.ahead(1, 0), Ahead::Go);
    assert_eq!(ledger.sync(0).unwrap_err().to_string(), "the standby is being sent everything: part 2 of about 5");
    ledger.acked(visit, Some(0), None, 0);
    assert_eq!((ledger.ahead(1, 0), ledger.sync(0)), (Ahead::Wait { until: TIMEOUT }, Ok(())));
    ledger.follower_gone(visit, "the connection was reset");
    assert_eq!(ledger.ahead(1, 0), Ahead::Go);
    assert_eq!(ledger.sync(0), Err(NotInSync::NoFollower("the connection was reset".to_owned())));
}

#[test]
fn who_came_before_counts_no_more() {
    let (mut ledger, first) = followed();
    ledger.append(remembered(1), 1, 0);
    let second = ledger.follower_resumes(0);
    ledger.acked(first, Some(1), Some(1), 0);
    ledger.follower_gone(first, "late news");
    assert_eq!(ledger.ahead(1, 0), Ahead::Wait { until: TIMEOUT });
    ledger.acked(second, Some(1), None, 0);
    assert_eq!(ledger.ahead(1, 0), Ahead::Go);
}

#[test]
fn an_ack_of_what_was_never_told_counts_as_one_of_everything() {
    let (mut ledger, visit) = followed();
    ledger.append(remembered(1), 1, 0);
    ledger.acked(visit, Some(900), Some(900), 0);
    ledger.append(remembered(2), 1, 0);
    assert_eq!(ledger.ahead(2, 0), Ahead::Wait { until: TIMEOUT });
}

#[test]
fn lost_flows_are_told_until_the_follower_has_all_again() {
    let (mut ledger, visit) = followed();
    ledger.flows_lost("3 events found no room");
    assert_eq!(ledger.sync(0), Err(NotInSync::FlowsLost("3 events found no room".to_owned())));
    ledger.append(remembered(1), 1, 0);
    ledger.flows_healed();
    assert_eq!(ledger.sync(0), Err(NotInSync::FlowsHealing));
    ledger.acked(visit, Some(1), None, 0);
    assert_eq!(ledger.sync(0), Ok(()));
}

#[test]
fn what_no_batch_can_tell_is_told_with_everything() {
    let (mut ledger, visit) = followed();
    ledger.append(remembered(1), 1, 0);
    ledger.committed(origin(1), 1);
    ledger.acked(visit, Some(1), Some(1), 0);
    ledger.tell_all_anew(0);
    assert_eq!((sequences(&ledger, 1), ledger.uncommitted().map(|_| ())), (Err(Gone), Err(Gone)));
    assert_eq!(ledger.sync(0), Err(NotInSync::FlowsHealing));
    let again = ledger.follower_refills();
    assert!(matches!(ledger.sync(0), Err(NotInSync::Refilling(_))));
    ledger.acked(again, Some(2), None, 0);
    assert_eq!(ledger.sync(0), Ok(()));
}

#[test]
fn a_follower_has_everything_first_and_then_batch_after_batch() {
    let mut ledger = Ledger::new(limits());
    assert_eq!((ledger.sync(0), ledger.owner_refills()), (Err(NotInSync::Rests), Err(Misfit::Duty)));
    ledger.follow();
    assert!(matches!(ledger.sync(0), Err(NotInSync::NoOwner(_))));
    assert_eq!(ledger.received(batch(1), 0), Err(Misfit::Duty));
    assert_eq!(ledger.refilled(origin(1), 5, 1), Err(Misfit::Duty));
    assert_eq!(ledger.owner_refills(), Ok(()));
    ledger.owner_progress(Progress { done: 1, estimate: 0 });
    assert_eq!(ledger.sync(0), Err(NotInSync::Filling(Progress { done: 1, estimate: 0 })));
    assert_eq!(ledger.view(0).full, Some(Progress { done: 1, estimate: 0 }));
    assert_eq!(ledger.refilled(origin(1), 5, 1), Ok(()));
    assert_eq!((ledger.sync(0), ledger.uncommitted().map(|_| ())), (Ok(()), Err(Gone)));
    assert_eq!(ledger.received(batch(7), 0), Err(Misfit::Sequence { wanted: 6, got: 7 }));
    assert_eq!(ledger.received(batch(6), 0), Ok(()));
    assert_eq!((ledger.held(), ledger.generation()), (Some((origin(1), 6)), 9));
    ledger.committed(origin(1), 6);
    assert_eq!((ledger.view(0).backlog_bytes, ledger.durable()), (0, Some(6)));
}

#[test]
fn a_follower_that_could_not_write_flows_is_not_in_sync_before_it_is_told_everything_anew() {
    let mut ledger = Ledger::new(limits());
    ledger.follow();
    _ = ledger.owner_refills();
    _ = ledger.refilled(origin(1), 5, 1);
    ledger.flows_unwritten("the flow table is full");
    _ = ledger.received(batch(6), 0);
    assert_eq!(ledger.sync(0), Err(NotInSync::FlowsUnwritten("the flow table is full".to_owned())));
    _ = ledger.owner_refills();
    _ = ledger.refilled(origin(1), 9, 1);
    assert_eq!(ledger.sync(0), Ok(()));
}

#[test]
fn what_nobody_has_heard_gets_older() {
    let (mut ledger, visit) = followed();
    ledger.append(remembered(1), 1, 0);
    ledger.follower_gone(visit, "the connection was reset");
    assert_eq!(ledger.view(7 * MS).lag_us, 7 * MS);
    let mut solo = Ledger::new(Limits { has_peer: false, ..limits() });
    solo.lead(origin(1));
    solo.append(remembered(1), 1, 0);
    assert_eq!(solo.view(7 * MS).lag_us, 0, "there is nobody to hear it");
}

#[test]
fn a_follower_that_was_cut_off_half_way_holds_nothing() {
    let mut ledger = Ledger::new(limits());
    ledger.follow();
    _ = ledger.owner_refills();
    ledger.owner_gone("no answer for 200 ms");
    assert_eq!(ledger.held(), None);
    assert_eq!(ledger.sync(0), Err(NotInSync::NoOwner("no answer for 200 ms".to_owned())));
    assert_eq!(ledger.refilled(origin(1), 5, 1), Err(Misfit::Duty));
}

#[test]
fn a_follower_goes_on_with_what_its_disk_had() {
    let mut ledger = Ledger::new(limits());
    ledger.restored(origin(1), 40, 3);
    ledger.restored(origin(1), 39, 3);
    ledger.follow();
    assert_eq!((ledger.held(), ledger.durable()), (Some((origin(1), 40)), Some(40)));
    assert_eq!(ledger.owner_resumes(origin(2), 40), Err(Misfit::Origin));
    assert_eq!(ledger.owner_resumes(origin(1), 41), Err(Misfit::Origin));
    assert_eq!(ledger.owner_resumes(origin(1), 40), Ok(()));
    assert_eq!((ledger.received(batch(41), 0), ledger.sync(0)), (Ok(()), Ok(())));
}

#[test]
fn who_takes_over_begins_anew() {
    let mut ledger = Ledger::new(limits());
    ledger.follow();
    _ = ledger.owner_refills();
    _ = ledger.refilled(origin(1), 5, 8);
    ledger.committed(origin(1), 5);
    ledger.flows_unwritten("the flow table is full");
    ledger.lead(origin(2));
    assert_eq!((ledger.held(), ledger.generation(), ledger.durable()), (Some((origin(2), 0)), 8, None));
    assert!(matches!(ledger.sync(0), Err(NotInSync::NoFollower(_))));
    ledger.follow();
    assert_eq!(ledger.held(), Some((origin(2), 0)), "kept, for the case that nobody else has led");
}
