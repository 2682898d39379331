//! Restarts of the daemon while the data plane goes on.

use super::*;

#[test]
fn a_restart_within_its_grace_moves_nothing() {
    let mut lab = Lab::running();
    let announced = lab.now;
    lab.tell(A, Input::Restart { grace_us: 500 * MS });
    lab.run(2 * MS);
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    let until = lab.node(A).lease().until;
    assert_eq!(until, announced + 500 * MS, "from when it was said, not from when the echo came");
    let epoch = lab.node(A).epoch();
    lab.kill(A);
    lab.run(400 * MS);
    assert!(lab.serves(A));
    assert_eq!(lab.node(B).state(), State::Standby);
    lab.start(A, Memory { epoch, resume_until: Some(until), ..Memory::default() });
    assert_eq!(lab.node(A).state(), State::Active);
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
    assert!(lab.serves(A));
    assert_eq!(lab.overlap, 0);
    assert_eq!(lab.sides[A].acquired.len(), 2, "the VIPs are verified");
}

#[test]
fn a_restart_that_takes_longer_than_its_grace_is_a_takeover() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Restart { grace_us: 500 * MS });
    lab.run(2 * MS);
    lab.kill(A);
    lab.run_till(600 * MS, |lab| lab.serves(B));
    assert!(!lab.serves(A));
    assert_eq!(lab.overlap, 0);
    lab.start(A, Memory { epoch: 1, resume_until: Some(lab.now - 1), ..Memory::default() });
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn a_peer_that_has_not_heard_of_it_delays_a_restart() {
    let mut lab = Lab::running();
    lab.cut[A] = [true; PATHS];
    lab.tell(A, Input::Restart { grace_us: 500 * MS });
    lab.run(15 * MS);
    assert_eq!(lab.sides[A].answers, []);
    assert!(lab.node(A).view(lab.now).lease.remaining_us <= 18 * MS);
    lab.cut[A] = [false; PATHS];
    lab.run(30 * MS);
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
}

#[test]
fn a_restart_that_the_peer_never_confirms_is_refused() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Hold(true));
    lab.cut[A] = [true; PATHS];
    lab.tell(A, Input::Restart { grace_us: 500 * MS });
    lab.run(250 * MS);
    assert!(matches!(&lab.sides[A].answers[..], [Answer::Refused(_)]));
}

#[test]
fn a_lone_node_restarts_for_no_longer_than_a_new_peer_waits() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(200 * MS);
    lab.tell(A, Input::Restart { grace_us: 5_000 * MS });
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    lab.start(B, Memory { epoch: 1, ..Memory::default() });
    lab.flying.clear();
    lab.kill(A);
    lab.run(1_000 * MS);
    assert!(lab.serves(B));
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_peer_that_is_just_coming_back_is_told_of_a_restart_first() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(200 * MS);
    lab.flying.clear();
    lab.start(B, Memory { epoch: 1, ..Memory::default() });
    // Its first frame proves nothing here; what it is answered with proves all to it.
    lab.run_till(20 * MS, |lab| !lab.node(A).is_alone(lab.now));
    assert_eq!(lab.node(A).view(lab.now).peer.health, Peer::Dead);
    lab.tell(A, Input::Restart { grace_us: 500 * MS });
    assert_eq!(lab.sides[A].answers, []);
    lab.run_till(200 * MS, |lab| !lab.sides[A].answers.is_empty());
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    lab.kill(A);
    lab.run(300 * MS);
    assert!(!lab.serves(B), "it has been told");
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_resumed_node_that_finds_its_peer_serving_yields() {
    let mut lab = Lab::running();
    lab.kill(A);
    lab.run(200 * MS);
    assert!(lab.serves(B));
    lab.start(A, Memory { epoch: 1, resume_until: Some(lab.now + 1), ..Memory::default() });
    lab.run(200 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
    assert_eq!(lab.sides[A].acquired.len(), 1, "nothing is announced");
}

#[test]
fn a_grace_that_no_frame_can_tell_is_refused() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Restart { grace_us: MAX_GRACE_US + 1 });
    assert!(matches!(&lab.sides[A].answers[..], [Answer::Refused(_)]));
}

#[test]
fn a_restart_of_a_standby_needs_nothing() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Restart { grace_us: 500 * MS });
    assert_eq!(lab.sides[B].answers, [Answer::Done]);
}
