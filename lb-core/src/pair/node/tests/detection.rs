//! What counts as a sign of life, and what does not.

use super::*;

/// A node's next frame to the other one, as if it came by `path` just now.
fn frame_from(lab: &Lab, side: usize, path: PathId) -> Frame {
    lab.sides[side].sent.iter().rev().find(|(_, id, _)| *id == path).unwrap().2
}

#[test]
fn only_the_standby_asks() {
    let mut lab = Lab::running();
    let asks = |lab: &Lab, side: usize| lab.node(side).view(lab.now).paths[2].counters.asked;
    let (a, b) = (asks(&lab, A), asks(&lab, B));
    lab.run(1_000 * MS);
    assert_eq!((asks(&lab, A) - a, asks(&lab, B) - b), (0, 50), "one ask each Tb on the serial line, and one ack");
}

#[test]
fn the_active_node_asks_where_it_is_not_asked_any_more() {
    let mut lab = Lab::running();
    lab.cut[B][1] = true;
    lab.run(5 * TB);
    let asked = lab.node(A).view(lab.now).paths[1].counters.asked;
    lab.run(10 * TB);
    assert_eq!(lab.node(A).view(lab.now).paths[1].counters.asked - asked, 10);
}

#[test]
fn replayed_frames_move_nothing() {
    let mut lab = Lab::running();
    let old = frame_from(&lab, A, 0);
    lab.cut_power(A);
    let died = lab.now;
    while lab.node(B).state() == State::Standby {
        lab.run(MS);
        lab.tell(B, Input::Frame { path: 0, frame: old });
        assert!(lab.now < died + 75 * MS, "replays kept a dead node alive");
    }
    assert!(lab.node(B).view(lab.now).paths[0].counters.replayed > 10);
}

#[test]
fn frames_that_were_held_back_keep_nobody_alive_for_long() {
    let mut lab = Lab::running();
    let newest = frame_from(&lab, A, 0);
    lab.cut_power(A);
    let died = lab.now;
    // Frames that a third host held back: newer than all that was heard.
    let mut sequence = newest.sequence + 100;
    while lab.node(B).state() == State::Standby {
        lab.run(MS);
        sequence += 1;
        lab.tell(B, Input::Frame { path: 0, frame: Frame { sequence, ..newest } });
        assert!(lab.now < died + 620 * MS, "frames held back kept a dead node alive");
    }
}

#[test]
fn frames_of_an_older_start_move_nothing() {
    let mut lab = Lab::running();
    let boot = lab.sides[A].options.boot;
    let frame = Frame { boot: boot - 1, sequence: 1 << 20, epoch: 90, state: State::Active, ..frame_from(&lab, A, 0) };
    lab.tell(B, Input::Frame { path: 0, frame });
    assert_eq!(lab.node(B).epoch(), 1);
}

#[test]
fn a_peer_that_forgot_its_boot_generation_is_heard_again() {
    let mut lab = Lab::running();
    lab.sides[B].options.boot = 0;
    lab.cut_power(B);
    lab.run(200 * MS);
    // The same boot generation would be a lower one, had it started twice.
    lab.sides[A].options.boot = 9;
    lab.start(A, Memory { epoch: 1, ..Memory::default() });
    lab.sides[B].options.boot = 5;
    lab.start(B, Memory::default());
    lab.run(300 * MS);
    lab.cut_power(B);
    lab.sides[B].options.boot = 1;
    lab.run(500 * MS);
    lab.start(B, Memory::default());
    lab.run(500 * MS);
    assert_eq!(lab.states(), (State::Active, State::Standby));
}

#[test]
fn a_node_that_was_off_the_cpu_counts_no_misses_for_that_time() {
    let mut lab = Lab::running();
    for _ in 0..20 {
        lab.pause(B);
        lab.run(95 * MS);
        lab.go_on(B);
        lab.run(7 * MS);
    }
    assert_eq!(lab.states(), (State::Active, State::Standby));
    let view = lab.node(B).view(lab.now);
    assert_eq!(view.paths.iter().map(|path| path.counters.missed).sum::<u64>(), 0);
    assert_eq!(view.stalls.count, 20);
    assert!(view.stalls.longest_us > 80 * MS);
}

#[test]
fn a_stall_is_told_where_the_peer_took_over_for_it_and_else_now_and_then() {
    let mut lab = Lab::running();
    let told = |lab: &Lab, side: usize| {
        let stalls = |event: &&Event| matches!(event.what, Happening::Stalled { .. });
        lab.sides[side].events.iter().filter(stalls).count()
    };
    // Two periods of the serial line are 40 ms. Too short for n misses there; then three within a second, each too short by W.
    for (off, expected) in [(30, 0), (45, 1), (45, 1), (45, 1)] {
        lab.pause(A);
        lab.run(off * MS);
        lab.go_on(A);
        lab.run(20 * MS);
        assert_eq!((lab.states(), told(&lab, A)), ((State::Active, State::Standby), expected));
    }
    lab.pause(A);
    lab.run(100 * MS);
    lab.go_on(A);
    lab.run(20 * MS);
    assert_eq!((lab.states(), told(&lab, A)), ((State::Standby, State::Active), 2));
}

#[test]
fn a_late_ack_ends_a_run_of_misses() {
    let mut lab = Lab::running();
    // Every ack comes after its time: all asks are missed, and the peer lives.
    lab.sides[B].node.as_mut().unwrap().paths.iter_mut().for_each(|path| path.options.ack_timeout_us = 90);
    lab.run(1_000 * MS);
    let view = lab.node(B).view(lab.now);
    assert_eq!((view.state, view.peer.health), (State::Standby, Peer::Alive));
    assert!(view.paths[0].loss_permille > 100);
}

#[test]
fn paths_go_up_and_down_by_thresholds_of_their_own() {
    use crate::pair::view::Level;
    let mut lab = Lab::running();
    let level = |lab: &Lab| lab.node(B).view(lab.now).paths[0].level;
    assert_eq!(level(&lab), Level::Up);
    lab.cut(&[0], true);
    lab.run(5 * TB);
    assert_eq!(level(&lab), Level::Up, "silent after three misses, down after six");
    assert!(lab.node(B).view(lab.now).paths[0].silent);
    lab.run(2 * TB);
    assert_eq!(level(&lab), Level::Down);
    lab.cut(&[0], false);
    lab.run(TB + 2 * MS);
    assert_eq!(level(&lab), Level::Down, "up after three acks");
    lab.run(2 * TB);
    assert_eq!(level(&lab), Level::Up);
}

#[test]
fn a_verdict_that_was_wrong_is_counted() {
    let mut lab = Lab::running();
    lab.tell(B, Input::Hold(true));
    lab.cut(&[0, 1, 2], true);
    lab.run(200 * MS);
    lab.cut(&[0, 1, 2], false);
    lab.run(200 * MS);
    let quality = lab.node(B).view(lab.now).quality;
    assert_eq!(quality.mistakes, 1);
    assert!(quality.accuracy_permille < 900);
}

#[test]
fn the_time_to_detect_is_measured_at_takeovers() {
    let mut lab = Lab::running();
    lab.cut_power(A);
    lab.run(200 * MS);
    let quality = lab.node(B).view(lab.now).quality;
    assert_eq!((quality.detections, quality.mistakes), (1, 0));
    let (min, _, max) = lab.node(B).view(lab.now).detection_us;
    assert!((min..=max + TB).contains(&quality.detection_mean_us));
}

#[test]
fn a_peer_that_was_never_heard_is_no_detection() {
    let mut lab = Lab::new();
    lab.cut(&[0, 1, 2], true);
    lab.start(B, Memory::default());
    lab.run(1_000 * MS);
    let view = lab.node(B).view(lab.now);
    assert_eq!((view.state, view.quality.detections), (State::Active, 0), "it serves, and has measured nothing");
    assert!(view.paths.iter().all(|path| path.quality.detections == 0));
}

#[test]
fn a_path_says_why_it_is_up_or_down() {
    let mut lab = Lab::running();
    lab.cut(&[1], true);
    lab.run(200 * MS);
    lab.cut(&[1], false);
    lab.run(200 * MS);
    let told = |event: &Event| match event.what {
        Happening::Path { path: 1, up } => Some((up, event.reason.clone())),
        _ => None,
    };
    let told: Vec<(bool, String)> = lab.sides[B].events.iter().filter_map(told).collect();
    let options = options(Role::Primary, 1).paths[1];
    let reasons =
        [(false, format!("{} misses in a row", options.fall)), (true, format!("{} acks in a row", options.rise))];
    assert_eq!(told[told.len() - 2..], reasons);
}

#[test]
fn detection_time_is_that_of_the_slowest_path() {
    let path = options(Role::Primary, 1).paths[0];
    assert_eq!(detection_time(&[path]), (22_500, 27_500, 32_500));
    assert_eq!(detection_time(&[path, path]), (22_500, 27_500, 32_500), "paths of one interval ask together");
    let slow = PathOptions { ack_timeout_us: 6 * MS, ..path };
    assert_eq!(detection_time(&[path, slow]), (26_000, 31_000, 36_000));
    let (min, mean, max) = detection_time(&options(Role::Primary, 1).paths);
    assert_eq!((min, max), (50_000, 70_000));
    assert!((59_900..60_100).contains(&mean), "{mean}");
}

#[test]
fn asks_of_paths_with_one_interval_are_due_together() {
    let mut options = options(Role::Primary, 1);
    options.paths[1].ack_timeout_us = 6 * MS;
    options.paths.truncate(2);
    let mut node = Node::new(options, Memory::default(), 0);
    let mut sent = Vec::new();
    for _ in 0..4 {
        let now = node.next_wake();
        node.handle(Input::Wake, now);
        while let Some(action) = node.poll_action() {
            if let Action::Send { path, .. } = action {
                sent.push((path, now));
            }
        }
    }
    assert_eq!(sent[..2], [(1, 0), (0, 3_500)], "the slower path goes out earlier");
}

#[test]
fn a_flood_of_old_frames_is_not_answered_for_ever() {
    let mut lab = Lab::running();
    let newest = frame_from(&lab, B, 0);
    for sequence in 1..1_000 {
        let frame = Frame { boot: newest.boot + 1, sequence, echo_boot: 1, ..newest };
        lab.tell(A, Input::Frame { path: 0, frame });
    }
    assert!(lab.node(A).view(lab.now).paths[0].counters.unanswered > 900);
}

#[test]
fn an_ask_out_of_turn_is_no_miss() {
    let mut lab = Lab::running();
    lab.cut(&[0, 1, 2], true);
    let missed = |lab: &Lab| lab.node(B).view(lab.now).paths[0].counters.missed;
    let before = missed(&lab);
    for fitness in 50..55 {
        lab.run(5 * MS);
        lab.tell(B, Input::Fitness { fitness, reason: "a real is gone".to_owned() });
    }
    assert!(missed(&lab) - before <= 3, "one ask in Tb counts");
}

#[test]
fn an_echo_of_an_earlier_start_proves_nothing() {
    let mut lab = Lab::running();
    let stale = |lab: &Lab| lab.node(A).view(lab.now).paths[0].counters.stale;
    let before = stale(&lab);
    let echo = lab.fresh(A, 10);
    lab.tell(A, Input::Frame { path: 0, frame: echo });
    assert_eq!(stale(&lab), before);
    let old = Frame { echo_boot: echo.echo_boot - 1, ..lab.fresh(A, 11) };
    lab.tell(A, Input::Frame { path: 0, frame: old });
    assert_eq!(stale(&lab), before + 1);
}

#[test]
fn a_miss_of_an_ask_from_before_the_last_word_is_in_no_run() {
    let mut lab = Lab::running();
    let path = |lab: &Lab| lab.node(B).view(lab.now).paths[0].clone();
    let before = path(&lab).counters;
    lab.cut[A][0] = true;
    lab.run_till(2 * TB, |lab| path(lab).counters.asked > before.asked);
    lab.run(300);
    lab.cut[A][0] = false;
    // Its ack is lost; but the peer says something of its own before that ack is due.
    lab.tell(A, Input::Hold(true));
    lab.run(W);
    let after = path(&lab);
    assert_eq!((after.counters.missed - before.missed, after.run), (1, 0));
}
