//! Two nodes that are configured for different things.

use super::*;

fn hear_same_role(lab: &mut Lab, side: usize) {
    for _ in 0..3 {
        lab.tell(side, Input::SameRole { boot: 77 });
        lab.run(TB);
    }
}

#[test]
fn of_two_nodes_of_the_same_role_one_that_is_not_active_keeps_out() {
    let mut lab = Lab::new();
    lab.start(A, Memory::default());
    hear_same_role(&mut lab, A);
    assert_eq!(lab.node(A).state(), State::Fenced);
    let told = |event: &&Event| event.reason.contains("another node has the role primary");
    assert_eq!(lab.sides[A].events.iter().filter(told).count(), 1, "once");
    lab.tell(A, Input::Forbid(Some("another host has a VIP".to_owned())));
    let shown = lab.node(A).view(lab.now).forbidden.unwrap();
    assert!(shown.contains("the role primary"), "what has to be mended first: {shown}");
    lab.tell(A, Input::Forbid(None));
    lab.run(2_500 * MS);
    assert_eq!(lab.node(A).state(), State::Fenced);
    lab.run(1_000 * MS);
    assert_eq!(lab.node(A).state(), State::Active, "when it is heard no more");
}

#[test]
fn of_two_nodes_of_the_same_role_an_active_one_goes_on() {
    let mut lab = Lab::new();
    lab.start(A, Memory::default());
    lab.run(400 * MS);
    hear_same_role(&mut lab, A);
    assert_eq!(lab.node(A).state(), State::Active);
    assert!(lab.has_told(A, "another node has the role primary"));
}

#[test]
fn old_frames_of_this_node_keep_nobody_out() {
    let mut lab = Lab::running();
    hear_same_role(&mut lab, B);
    assert_eq!(lab.node(B).state(), State::Standby, "its true peer is heard");
    let mut lab = Lab::new();
    lab.start(A, Memory::default());
    for _ in 0..10 {
        lab.tell(A, Input::SameRole { boot: 1 });
        lab.run(TB);
    }
    assert_eq!(lab.node(A).state(), State::Starting, "its own frames, thrown back");
}

#[test]
fn a_different_pace_is_told_once() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Facts(Facts { interval_us: 50_000, ..facts() }));
    lab.run(3_000 * MS);
    let told = |event: &&Event| event.reason.contains("heartbeat_interval");
    assert_eq!(lab.sides[A].events.iter().filter(told).count(), 1);
}
