//! The lease: what keeps a node that was off the CPU from serving beside the new owner.

use super::*;

#[test]
fn a_stopped_node_falls_silent_before_its_peer_takes_over() {
    for phase in 0..20 {
        let mut lab = Lab::running();
        lab.run(phase * 1_009);
        lab.pause(A);
        lab.run_till(100 * MS, |lab| lab.serves(B));
        assert!(!lab.serves(A));
        lab.run(1_000 * MS);
        assert_eq!(lab.overlap, 0);
    }
}

#[test]
fn a_resumed_node_yields_and_never_serves_again() {
    for stopped in [25, 49, 55, 70, 100, 1_000, 100_000] {
        let mut lab = Lab::running();
        lab.pause(A);
        lab.run(stopped * MS);
        lab.go_on(A);
        lab.run(300 * MS);
        assert_eq!(lab.overlap, 0, "after {stopped} ms");
        let owners = [A, B].into_iter().filter(|side| lab.serves(*side)).count();
        assert_eq!(owners, 1, "after {stopped} ms");
    }
}

#[test]
fn a_node_that_stalled_for_a_moment_serves_on_when_it_has_heard_its_peer() {
    let mut lab = Lab::running();
    lab.pause(A);
    lab.run(30 * MS);
    assert!(!lab.serves(A), "its lease has ended");
    lab.go_on(A);
    assert!(!lab.serves(A), "and it has asked only");
    assert!(lab.node(A).view(lab.now).lease.reconfirming);
    lab.run(MS);
    assert!(lab.serves(A), "one answer on the fastest path");
}

#[test]
fn what_waited_in_the_sockets_renews_nothing() {
    let mut lab = Lab::running();
    lab.pause(A);
    lab.run(25 * MS);
    lab.cut(&[0, 1, 2], true);
    assert!(!lab.sides[A].waiting.is_empty(), "asks from while it was stopped, and their echo is not old");
    lab.go_on(A);
    assert!(!lab.serves(A));
}

#[test]
fn a_short_stall_within_the_lease_leaves_no_gap() {
    let mut lab = Lab::running();
    lab.pause(A);
    lab.run(11 * MS);
    lab.go_on(A);
    assert!(lab.serves(A), "its lease has not ended");
    assert!(lab.node(A).view(lab.now).lease.reconfirming, "and is not renewed before the peer is heard");
    lab.run(MS);
    assert!(lab.serves(A) && !lab.node(A).view(lab.now).lease.reconfirming);
}

#[test]
fn a_resumed_node_whose_peer_has_died_serves_again_when_the_detector_says_so() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Hold(true));
    lab.pause(A);
    lab.run(100 * MS);
    lab.cut_power(B);
    lab.go_on(A);
    lab.run(20 * MS);
    assert!(!lab.serves(A));
    lab.run_till(100 * MS, |lab| lab.serves(A));
}

#[test]
fn misses_from_before_a_stall_do_not_confirm_the_lease() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(500 * MS);
    assert_eq!(lab.node(A).view(lab.now).peer.health, Peer::Dead);
    lab.pause(A);
    lab.run(1_000 * MS);
    lab.go_on(A);
    lab.run(5 * MS);
    assert!(!lab.serves(A), "somebody may have taken over: the old verdict says nothing");
    lab.run_till(100 * MS, |lab| lab.serves(A));
}

#[test]
fn the_lease_is_long_while_the_peer_is_dead_and_short_when_it_is_back() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(500 * MS);
    assert!(lab.node(A).view(lab.now).lease.remaining_us > 100 * MS);
    lab.pause(A);
    lab.run(100 * MS);
    assert!(lab.serves(A), "nobody could take over");
    lab.go_on(A);
    lab.start(B, Memory { epoch: 1, ..Memory::default() });
    lab.run(100 * MS);
    assert!(lab.node(A).view(lab.now).lease.remaining_us <= 18 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
}

#[test]
fn a_standby_that_was_stopped_reckons_with_the_long_lease() {
    let mut lab = Lab::running();
    lab.pause(B);
    lab.run(1_000 * MS);
    assert_eq!(lab.node(A).view(lab.now).peer.health, Peer::Dead);
    lab.sides[B].waiting.clear();
    lab.go_on(B);
    // The active node stops before it hears the standby again, with its long lease.
    lab.pause(A);
    lab.run(1_000 * MS);
    assert!(lab.serves(B));
    assert_eq!(lab.overlap, 0);
}

#[test]
fn an_acquire_that_takes_long_serves_meanwhile() {
    let mut lab = Lab::running();
    lab.sides[B].answers_jobs = false;
    lab.cut_power(A);
    lab.run(200 * MS);
    assert_eq!(lab.node(B).state(), State::TakingOver);
    assert!(lab.serves(B));
    lab.tell(B, Input::Acquired(Err("fence hook: time limit".to_owned())));
    assert_eq!(lab.node(B).state(), State::Active);
    assert!(lab.has_told(B, "fence hook"));
}

#[test]
fn a_node_that_is_alone_serves_on_however_often_it_stalls() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(500 * MS);
    for stall in 0..1_000 {
        lab.pause(A);
        lab.run(15 * MS);
        lab.go_on(A);
        lab.run(12 * MS);
        assert!(lab.serves(A), "stall {stall}: nobody else is there");
    }
}

#[test]
fn a_node_that_stalls_when_its_peer_has_just_left_leaves_no_gap() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Hold(true));
    lab.tell(B, Input::Stop);
    lab.run(MS);
    lab.cut_power(B);
    for stall in 0..10 {
        lab.pause(A);
        for _ in 0..15 {
            lab.run(MS);
            assert!(lab.serves(A), "stall {stall}");
        }
        lab.go_on(A);
        lab.run(12 * MS);
    }
}

#[test]
fn the_lease_is_short_again_when_a_peer_that_had_left_is_back() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Stop);
    lab.run(MS);
    assert!(lab.node(A).view(lab.now).lease.remaining_us > 100 * MS);
    lab.cut_power(B);
    lab.start(B, Memory { epoch: 1, ..Memory::default() });
    lab.run(20 * MS);
    assert!(lab.node(A).view(lab.now).lease.remaining_us <= 18 * MS);
    lab.pause(A);
    lab.run_till(100 * MS, |lab| lab.serves(B));
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_standby_that_stalls_again_and_again_takes_over_from_a_dead_node_all_the_same() {
    let mut lab = Lab::running();
    lab.cut_power(A);
    for _ in 0..20 {
        lab.pause(B);
        lab.run(50 * MS);
        lab.go_on(B);
        lab.run(90 * MS);
        if lab.serves(B) {
            return;
        }
    }
    panic!("nobody serves");
}
