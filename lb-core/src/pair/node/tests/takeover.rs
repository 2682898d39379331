//! Who becomes active, and when.

use super::*;

#[test]
fn a_lone_node_serves_after_it_has_waited() {
    for role in [A, B] {
        let mut lab = Lab::new();
        lab.start(role, Memory::default());
        lab.run(299 * MS);
        assert_eq!(lab.node(role).state(), State::Starting);
        lab.run(5 * MS);
        assert_eq!(lab.node(role).state(), State::Active);
        assert_eq!(lab.sides[role].acquired, [(1, true)]);
    }
}

#[test]
fn of_two_that_start_together_the_primary_serves() {
    let mut lab = Lab::new();
    lab.start(B, Memory::default());
    lab.run(3 * MS);
    lab.start(A, Memory::default());
    lab.run(50 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
    assert_eq!(lab.sides[A].acquired, [(1, false)], "with consent, long before start_wait is over");
    lab.run(2_000 * MS);
    assert_eq!(lab.overlap, 0);
    assert_eq!(lab.turns(B).len(), 1);
}

#[test]
fn of_two_that_start_together_the_one_with_the_higher_epoch_serves() {
    let mut lab = Lab::new();
    lab.start(A, Memory { epoch: 4, ..Memory::default() });
    lab.start(B, Memory { epoch: 5, ..Memory::default() });
    lab.run(400 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn of_two_that_start_together_the_fitter_one_serves() {
    let mut lab = Lab::new();
    lab.start(A, Memory::default());
    lab.tell(A, Input::Fitness { fitness: 60, reason: "gateway 192.0.2.1 is silent".to_owned() });
    lab.start(B, Memory::default());
    lab.run(100 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
}

#[test]
fn a_node_that_starts_beside_an_active_one_is_its_standby() {
    let mut lab = Lab::new();
    lab.start(B, Memory::default());
    lab.run(400 * MS);
    lab.start(A, Memory { epoch: 0, ..Memory::default() });
    lab.run(3_000 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active), "and it does not preempt");
    assert_eq!(lab.turns(A), [(State::Starting, State::Standby)]);
}

#[test]
fn the_standby_takes_over_from_a_dead_node_in_the_time_that_theory_gives() {
    let (min, _, max) = detection_time(&options(Role::Standby, 1).paths);
    for phase in 0..20 {
        let mut lab = Lab::running();
        lab.run(phase * 1_009);
        lab.cut_power(A);
        let died = lab.now;
        lab.run_till(100 * MS, |lab| lab.node(B).state() == State::Active);
        let took = lab.now - died;
        // An ask under way may still have been heard, and the ack not.
        assert!((min - DELAY[2]..=max).contains(&took), "{took} is not from {min} to {max}");
        assert_eq!(lab.sides[B].acquired, [(2, true)]);
    }
}

#[test]
fn one_or_two_cut_paths_move_nothing() {
    for cut in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]] {
        let mut lab = Lab::running();
        lab.cut(cut, true);
        lab.run(2_000 * MS);
        assert_eq!(lab.states(), (State::Active, State::Standby), "{cut:?}");
        assert_eq!(lab.node(B).view(lab.now).peer.health, Peer::Degraded);
        assert_eq!(lab.node(A).view(lab.now).peer.health, Peer::Degraded);
        for path in cut {
            let down = Happening::Path { path: *path as PathId, up: false };
            assert!(lab.sides[B].events.iter().any(|event| event.what == down), "an alarm for path {path}");
            assert!(lab.sides[A].events.iter().any(|event| event.what == down), "an alarm for path {path}");
        }
    }
}

#[test]
fn with_all_paths_cut_both_serve_until_the_first_path_is_back() {
    let mut lab = Lab::running();
    lab.cut(&[0, 1, 2], true);
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Active, State::Active));
    lab.cut(&[1], false);
    lab.run(TB + W);
    assert_eq!(lab.states(), (State::Standby, State::Active), "the lower epoch yields within Tb");
    assert_eq!(lab.node(A).lease().service, Service::Silent, "and does not drain");
    assert!(!lab.serves(A) && lab.serves(B));
    lab.run(1_000 * MS);
    assert_eq!(lab.states(), (State::Standby, State::Active));
    assert_eq!(lab.sides[A].released, 1);
}

#[test]
fn nobody_takes_over_in_the_instant_in_which_the_peer_is_back() {
    // The verdict falls while the first frames after a restart are under way.
    for phase in 0..60 {
        let mut lab = Lab::running();
        lab.tell(A, Input::Restart { grace_us: 200 * MS });
        lab.run(2 * MS);
        let (epoch, until) = (lab.node(A).epoch(), lab.node(A).lease().until);
        lab.kill(A);
        lab.run(194 * MS + phase * 97);
        lab.start(A, Memory { epoch, resume_until: Some(until), ..Memory::default() });
        lab.run(200 * MS);
        assert_eq!(lab.overlap, 0, "phase {phase}");
    }
}

#[test]
fn crossed_one_way_cuts_do_not_make_the_vips_wander() {
    let mut lab = Lab::running();
    lab.cut(&[2], true);
    (lab.cut[A][0], lab.cut[B][1]) = (true, true);
    lab.run(5_000 * MS);
    assert!(
        lab.node(A).epoch().max(lab.node(B).epoch()) < 20,
        "once in failback_delay at most, not ten times a second"
    );
}

#[test]
fn of_equal_epochs_the_primary_stays() {
    let mut lab = Lab::new();
    lab.cut(&[0, 1, 2], true);
    lab.start(A, Memory::default());
    lab.start(B, Memory::default());
    lab.run(400 * MS);
    assert_eq!(lab.states(), (State::Active, State::Active));
    assert_eq!((lab.node(A).epoch(), lab.node(B).epoch()), (1, 1));
    lab.cut(&[0, 1, 2], false);
    lab.run(200 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
}

#[test]
fn a_restarted_node_claims_no_epoch_again() {
    let mut lab = Lab::new();
    lab.start(A, Memory { epoch: 3, reserved: 7, ..Memory::default() });
    assert_eq!(lab.node(A).epoch(), 3, "what it may have claimed is not announced");
    assert_eq!(lab.sides[A].reserved, [8], "and the next is put on disk ahead");
    lab.run(400 * MS);
    assert_eq!(lab.node(A).epoch(), 8);
    assert_eq!(lab.sides[A].reserved, [8, 9]);
}

#[test]
fn a_higher_epoch_is_taken_over_and_reserved_ahead() {
    let lab = Lab::running();
    assert_eq!(lab.node(B).epoch(), 1);
    assert_eq!(lab.sides[B].reserved.last(), Some(&2));
}

#[test]
fn a_held_node_takes_nothing_over() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Hold(true));
    lab.cut_power(A);
    lab.run(2_000 * MS);
    assert_eq!(lab.node(B).state(), State::Standby);
    lab.tell(B, Input::Hold(false));
    lab.run(5 * MS);
    assert_eq!(lab.node(B).state(), State::Active);
}

#[test]
fn an_unfit_node_takes_nothing_over_until_it_is_fit() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Fitness { fitness: 0, reason: "eth2 has no carrier".to_owned() });
    lab.cut_power(A);
    lab.run(2_000 * MS);
    assert_eq!(lab.node(B).state(), State::Standby);
    lab.tell(B, Input::Fitness { fitness: 100, reason: String::new() });
    assert_eq!(lab.node(B).state(), State::Active);
}

#[test]
fn a_standby_whose_devices_are_gone_for_a_moment_takes_nothing_over() {
    let mut lab = Lab::running();
    for usable in [false, true] {
        for path in 0..3 {
            lab.tell(B, Input::Device { path, usable });
        }
        lab.run(15 * MS);
    }
    lab.run(200 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
}

#[test]
fn a_node_that_never_had_a_device_does_not_know_that_it_is_alone() {
    let mut lab = Lab::new();
    lab.start(A, Memory::default());
    for path in 0..3 {
        lab.tell(A, Input::Device { path, usable: false });
    }
    lab.run(3_000 * MS);
    assert_eq!(lab.node(A).state(), State::Standby);
}
