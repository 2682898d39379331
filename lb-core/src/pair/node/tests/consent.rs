//! Takeovers from a peer that lives.

use super::*;

#[test]
fn nobody_serves_before_the_other_has_stopped() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.serves(B));
    assert_eq!(lab.node(A).state(), State::Yielding);
    assert_eq!(lab.node(A).lease().service, Service::Draining);
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_claim_without_consent_is_taken_back() {
    let mut lab = Lab::running();
    lab.sides[A].node.as_mut().unwrap().options.handover_timeout_us = 1_000 * MS;
    lab.tell(A, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.node(B).state() == State::TakingOver);
    // The claim does not get through, the active node's frames do: they are fresh for a while, and then the peer is dead.
    lab.tell(B, Input::Fitness { fitness: 0, reason: "eth2 has no carrier".to_owned() });
    assert_eq!(lab.node(B).state(), State::Standby);
    assert!(!lab.serves(B));
}

#[test]
fn when_the_peer_dies_before_it_consents_the_claim_becomes_one_of_need() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.node(B).state() == State::TakingOver);
    lab.cut_power(A);
    lab.flying.clear();
    lab.run(200 * MS);
    assert_eq!(lab.node(B).state(), State::Active);
    assert_eq!(lab.sides[B].acquired, [(2, true)]);
}

#[test]
fn a_node_without_a_leader_beside_it_takes_over() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Forbid(Some("198.51.100.1 is in use by 02:00:00:00:00:01".to_owned())));
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Fenced, State::Active));
    lab.tell(B, Input::Forbid(Some("too".to_owned())));
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Fenced, State::Fenced));
    lab.tell(A, Input::Forbid(None));
    lab.run(100 * MS);
    assert_eq!(lab.states(), (State::Active, State::Fenced));
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_peer_that_is_taking_over_does_not_consent_although_its_claim_loses() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.run(300 * MS);
    lab.tell(B, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.node(A).state() == State::TakingOver);
    let claim = Frame { state: State::TakingOver, epoch: lab.node(A).epoch(), ..lab.fresh(A, 1) };
    lab.tell(A, Input::Frame { path: 0, frame: claim });
    assert!(!lab.serves(A), "it may serve already");
    let consent = Frame { state: State::Yielding, sequence: claim.sequence + 1, ..claim };
    lab.tell(A, Input::Frame { path: 0, frame: consent });
    assert!(lab.serves(A));
}

#[test]
fn what_the_peer_said_before_it_heard_of_the_claim_is_no_consent() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.run(300 * MS);
    lab.tell(B, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.node(A).state() == State::TakingOver);
    let early = Frame { state: State::Standby, epoch: lab.node(A).epoch() - 1, ..lab.fresh(A, 1) };
    lab.tell(A, Input::Frame { path: 0, frame: early });
    assert!(!lab.serves(A), "it may have claimed since");
}

#[test]
fn a_claim_whose_peer_dies_waits_for_the_end_of_its_lease() {
    let mut lab = Lab::running();
    let longer = Options { lease_us: 500 * MS, ..lab.sides[A].options.clone() };
    lab.node_mut(A).set_options(&longer);
    lab.run(50 * MS);
    lab.tell(A, Input::Handover { force: false });
    lab.run_till(50 * MS, |lab| lab.node(B).state() == State::TakingOver);
    lab.pause(A);
    lab.run(150 * MS);
    assert_eq!(lab.node(B).view(lab.now).peer.health, Peer::Dead);
    assert!(lab.serves(A) && !lab.serves(B), "the lease of the stopped node still runs");
}
