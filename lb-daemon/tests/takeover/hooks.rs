//! Programs that are run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lb_core::pair::{Event, Happening, State};
use lb_daemon::takeover::{Job, Settings};
use lb_lab::wait_for;

use crate::stage::{Node, PATIENCE, Stage, VIP, has, settings, wait_for_vips};

fn shell(script: &str) -> Option<Vec<String>> {
    Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
}

fn with_fence(script: &str, required: bool) -> Settings {
    let mut settings = settings();
    (settings.hooks.fence, settings.hooks.fence_required) = (shell(script), required);
    settings
}

fn change(from: State, to: State) -> Job {
    let what = Happening::State { from, to, epoch: 7 };
    Job::Tell(Event { at: 0, what, reason: "the peer is dead: udp eth1 silent".to_owned() })
}

fn wait_for_file(path: &Path) -> String {
    let read = || Ok(fs::read_to_string(path).ok().filter(|text| text.ends_with('\n')));
    wait_for(&format!("{}", path.display()), PATIENCE, read).unwrap()
}

#[test]
fn a_program_is_told_of_each_change_in_order_and_of_nothing_else() {
    let stage = Stage::new();
    let file = stage.run.dir().join("told");
    let script = format!(
        "echo \"$UNDERSTUDY_HOOK $UNDERSTUDY_FROM $UNDERSTUDY_STATE $UNDERSTUDY_EPOCH $UNDERSTUDY_ROLE \
         $UNDERSTUDY_REASON/$UNDERSTUDY_VIPS/$UNDERSTUDY_PEER/$CARGO_MANIFEST_DIR\" >> {}; test -n \"$UNDERSTUDY_NODE\"",
        file.display()
    );
    let mut settings = settings();
    (settings.hooks.notify, settings.hooks.timeout) = (shell(&script), PATIENCE);
    let node = Node::start(&stage, &stage.lb, settings);
    node.ask(change(State::Standby, State::TakingOver));
    node.ask(change(State::TakingOver, State::Active));
    let tail = "7 primary the peer is dead: udp eth1 silent/192.0.2.101 2001:db8::101/192.0.2.3/";
    let wanted = format!("notify standby taking-over {tail}\nnotify taking-over active {tail}\n");
    let all = || Ok(fs::read_to_string(&file).ok().filter(|told| told.lines().count() == 2));
    assert_eq!(wait_for("both changes", PATIENCE, all).unwrap(), wanted);
}

#[test]
fn a_program_that_hangs_delays_no_takeover_and_is_killed_with_its_children() {
    let stage = Stage::new();
    let child = stage.run.dir().join("child");
    let mut settings = settings();
    settings.hooks.notify = shell(&format!("sleep 600 & echo $! > {}; wait", child.display()));
    settings.hooks.timeout = Duration::from_secs(2);
    let node = Node::start(&stage, &stage.lb, settings);
    node.ask(change(State::Standby, State::TakingOver));
    let pid = wait_for_file(&child);
    node.acquire(false).unwrap();
    wait_for("the child's end", PATIENCE, || Ok(has_ended(pid.trim()).then_some(()))).unwrap();
}

#[test]
fn the_fence_has_ended_before_the_vips_are_added() {
    let stage = Stage::new();
    let (begun, go_on) = (stage.run.dir().join("begun"), stage.run.dir().join("go-on"));
    let script = format!(
        "echo \"$UNDERSTUDY_HOOK $UNDERSTUDY_STATE $UNDERSTUDY_PEER\" > {}; until test -e {}; do sleep 0.05; done",
        begun.display(),
        go_on.display()
    );
    let mut settings = with_fence(&script, true);
    settings.hooks.timeout = PATIENCE;
    let node = Node::start(&stage, &stage.lb, settings);
    node.ask(Job::Acquire { epoch: 1, fence: true });
    assert_eq!(wait_for_file(&begun), "fence taking-over 192.0.2.3\n");
    assert!(!has(&stage.lb, VIP));
    fs::write(&go_on, "").unwrap();
    node.acquired().unwrap();
    assert!(has(&stage.lb, VIP));
}

#[test]
fn a_takeover_with_consent_fences_nobody() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, with_fence("exit 1", true));
    node.acquire(false).unwrap();
}

#[test]
fn a_fence_that_fails_stops_the_takeover_only_where_it_is_required() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, with_fence("echo 'no power switch' >&2; exit 1", false));
    node.acquire(true).unwrap();
    node.ask(Job::Release);
    wait_for_vips(&stage.lb, false);
    node.end();
    let node = Node::start(&stage, &stage.lb, with_fence("echo 'no power switch' >&2; exit 1", true));
    let error = node.acquire(true).unwrap_err();
    assert!(error.starts_with("the fence has failed, and is required: no power switch"), "{error}");
    assert!(!has(&stage.lb, VIP));
}

#[test]
fn a_failed_fence_forbids_the_node_to_serve() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, with_fence("exit 3", true));
    node.ask(Job::Acquire { epoch: 1, fence: true });
    let reason = node.forbidden().unwrap();
    assert!(reason.starts_with("the fence has failed, and is required: exit code 3"), "{reason}");
}

#[test]
fn a_release_kills_the_fence_and_stops_the_takeover() {
    let stage = Stage::new();
    let child = stage.run.dir().join("child");
    let node = Node::start(&stage, &stage.lb, with_fence(&format!("echo $$ > {}; sleep 600", child.display()), false));
    node.ask(Job::Acquire { epoch: 1, fence: true });
    let pid = wait_for_file(&child);
    node.ask(Job::Release);
    wait_for("the fence's end", PATIENCE, || Ok(has_ended(pid.trim()).then_some(()))).unwrap();
    assert!(!has(&stage.lb, VIP));
}

/// A child that nobody waits for is a zombie: state Z in the third field.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    matches!(state, None | Some(Some('Z' | 'X')))
}
