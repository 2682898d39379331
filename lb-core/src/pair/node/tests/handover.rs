//! Handovers: asked for, refused, by fitness, by preference, at a stop.

use super::*;

fn refusal(lab: &Lab, side: usize) -> String {
    match lab.sides[side].answers.as_slice() {
        [Answer::Refused(why)] => why.clone(),
        other => panic!("no refusal, but {other:?}"),
    }
}

#[test]
fn the_active_node_hands_over() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    assert_eq!(lab.sides[B].acquired, [(2, false)]);
    assert_eq!(lab.sides[A].released, 1);
}

#[test]
fn the_standby_takes_on_wish() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Handover { force: false });
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
    assert_eq!(lab.sides[B].answers, [Answer::Done]);
    lab.run(3_000 * MS);
    assert_eq!(lab.turns(A).len() + lab.turns(B).len(), 7, "and that is all that moves");
}

#[test]
fn a_standby_that_is_not_in_sync_gets_nothing_without_force() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Facts(Facts { slots: 9, ..facts() }));
    lab.run(50 * MS);
    for side in [A, B] {
        lab.tell(side, Input::Handover { force: false });
        assert!(refusal(&lab, side).contains("slots differ"));
    }
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
    lab.tell(A, Input::Handover { force: true });
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn a_carried_standby_is_handed_the_vips_while_weights_move() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Remembers(true));
    lab.tell(B, Input::Remembers(true));
    lab.tell(B, Input::Facts(Facts { slots: 9, ..facts() }));
    lab.run(50 * MS);
    lab.tell(A, Input::Carried(true));
    lab.tell(A, Input::Handover { force: false });
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby), "the standby does not know that it has everything");
    assert!(matches!(lab.sides[A].answers.pop(), Some(Answer::Refused(_))));
    lab.tell(B, Input::Carried(true));
    lab.tell(A, Input::Handover { force: false });
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn a_standby_that_is_carried_no_more_gets_nothing() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Remembers(true));
    lab.tell(A, Input::Carried(true));
    assert_eq!(lab.node(A).view(lab.now).sync, Sync::InSync);
    lab.tell(A, Input::Carried(false));
    lab.tell(A, Input::Handover { force: false });
    assert!(refusal(&lab, A).contains("no checkpoints carry them over"));
}

#[test]
fn being_carried_makes_no_unlike_configuration_alike() {
    for unlike in [Facts { vips: 9, ..facts() }, Facts { services: 9, ..facts() }] {
        let mut lab = Lab::running();
        lab.tell(B, Input::Facts(unlike));
        lab.run(50 * MS);
        lab.tell(A, Input::Carried(true));
        lab.tell(A, Input::Handover { force: false });
        assert!(refusal(&lab, A).contains("make their configurations alike"));
    }
}

#[test]
fn different_vips_move_of_need_only() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Facts(Facts { vips: 9, ..facts() }));
    lab.run(50 * MS);
    assert!(lab.has_told(A, "different VIPs") && lab.has_told(B, "different VIPs"));
    lab.tell(A, Input::Handover { force: true });
    assert!(refusal(&lab, A).contains("different VIPs"));
    lab.cut_power(A);
    lab.run(200 * MS);
    assert_eq!(lab.node(B).state(), State::Active);
}

#[test]
fn a_peer_that_cannot_serve_gets_nothing() {
    let causes = [
        (Input::Hold(true), "holds the peer back"),
        (Input::Fitness { fitness: 0, reason: "x".to_owned() }, "not fit"),
        (Input::Forbid(Some("x".to_owned())), "fenced"),
    ];
    for (cause, words) in causes {
        let mut lab = Lab::running();
        lab.tell(B, cause);
        lab.run(20 * MS);
        lab.tell(A, Input::Handover { force: true });
        assert!(refusal(&lab, A).contains(words), "{words}");
    }
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(200 * MS);
    lab.tell(A, Input::Handover { force: true });
    assert!(refusal(&lab, A).contains("not heard"));
}

#[test]
fn an_offer_that_nobody_takes_is_withdrawn() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.cut(&[0, 1, 2], true);
    lab.flying.clear();
    lab.run(300 * MS);
    assert!(matches!(&lab.sides[A].answers[..], [Answer::Refused(_)]));
    assert!(lab.node(A).view(lab.now).moving.is_none());
}

#[test]
fn a_second_handover_waits_for_the_first() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Handover { force: false });
    lab.tell(A, Input::Handover { force: false });
    assert!(refusal(&lab, A).contains("under way"));
}

#[test]
fn a_node_that_cannot_serve_hands_over_at_once() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Facts(Facts { slots: 9, ..facts() }));
    lab.cut(&[0, 1], true);
    lab.run(100 * MS);
    lab.tell(A, Input::Fitness { fitness: 0, reason: "eth2 has no carrier".to_owned() });
    lab.run(60 * MS);
    assert_eq!(lab.node(B).state(), State::Active, "by the serial line alone");
    assert_eq!(lab.overlap, 0);
}

#[test]
fn a_less_fit_node_hands_over_after_a_while() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Fitness { fitness: 60, reason: "gateway".to_owned() });
    lab.run(450 * MS);
    assert_eq!(lab.node(A).state(), State::Active);
    lab.run(150 * MS);
    assert_eq!(lab.states().1, State::Active);
    lab.tell(A, Input::Fitness { fitness: 100, reason: String::new() });
    lab.run(3_000 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active), "and it does not come back");
}

#[test]
fn what_one_node_alone_reaches_moves_the_vips_of_need() {
    let mut lab = Lab::running();
    lab.sides[A].options.failback_delay_us = 60_000 * MS;
    let options = lab.sides[A].options.clone();
    lab.sides[A].node.as_mut().unwrap().set_options(&options);
    lab.tell(A, Input::Fitness { fitness: 61, reason: "few reals".to_owned() });
    lab.run(5_000 * MS);
    assert_eq!(lab.node(A).state(), State::Active, "not of need");
    lab.tell(A, Input::Fitness { fitness: 100, reason: String::new() });
    lab.run(100 * MS);
    lab.tell(A, Input::Fitness { fitness: 60, reason: "gateway".to_owned() });
    lab.run(1_500 * MS);
    assert_eq!(lab.node(A).state(), State::Active, "the other may lose it, too");
    lab.run(1_000 * MS);
    assert_eq!(lab.states().1, State::Active);
}

#[test]
fn fitness_that_comes_and_goes_moves_nothing() {
    let mut lab = Lab::running();
    for _ in 0..10 {
        for fitness in [60, 100] {
            lab.tell(A, Input::Fitness { fitness, reason: String::new() });
            lab.run(300 * MS);
        }
    }
    assert_eq!(lab.turns(A).len(), 2);
}

#[test]
fn a_primary_that_preempts_comes_back_when_it_is_in_sync() {
    let mut lab = Lab::running();
    lab.sides[A].options.preempt = true;
    lab.cut_power(A);
    lab.run(200 * MS);
    lab.start(A, Memory { epoch: 1, ..Memory::default() });
    lab.run(1_500 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active), "it has no facts yet");
    lab.tell(A, Input::Facts(facts()));
    lab.run(300 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
    assert_eq!(lab.overlap, 0);
}

#[test]
fn an_active_node_that_is_forbidden_to_serve_hands_over_or_falls_silent() {
    for has_peer in [true, false] {
        let mut lab = Lab::running();
        if !has_peer {
            lab.cut_power(B);
            lab.run(200 * MS);
        }
        lab.tell(A, Input::Forbid(Some("198.51.100.1 is in use".to_owned())));
        lab.run(300 * MS);
        assert_eq!(lab.node(A).state(), State::Fenced);
        assert_eq!(lab.sides[A].released, 1);
        assert_eq!(lab.sides[B].acquired.len(), usize::from(has_peer));
        assert_eq!(lab.overlap, 0);
    }
}

#[test]
fn a_clean_stop_is_a_handover() {
    let mut lab = Lab::running();
    lab.tell(A, Input::Stop);
    lab.run_till(100 * MS, |lab| lab.node(B).state() == State::Active);
    assert_eq!(lab.sides[A].answers, [], "it still forwards what comes");
    lab.run(100 * MS);
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn a_clean_stop_of_a_lone_node_ends_its_service() {
    let mut lab = Lab::running();
    lab.cut_power(B);
    lab.run(200 * MS);
    lab.tell(A, Input::Stop);
    assert_eq!(lab.sides[A].answers, [Answer::Done]);
    assert_eq!((lab.sides[A].released, lab.serves(A)), (1, false));
}

#[test]
fn a_standby_that_ends_is_not_offered_the_vips() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Stop);
    assert_eq!(lab.sides[B].answers, [Answer::Done]);
    lab.run(20 * MS);
    lab.tell(A, Input::Handover { force: true });
    assert!(refusal(&lab, A).contains("its daemon ends"));
}
