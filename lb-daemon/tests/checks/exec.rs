//! Programs that are run.

use std::fs;
use std::path::Path;

use lb_core::check::{Kind, Outcome, Target, Via};
use lb_lab::wait_for;

use crate::stage::{LONG, PATIENCE, Stage, With as _, assert_failed, assert_passed, check, target};

fn exec(words: &[&str]) -> Target {
    target(Kind::Exec { command: words.iter().map(ToString::to_string).collect() })
}

fn shell(script: &str) -> Target {
    exec(&["sh", "-c", script])
}

#[test]
fn exit_code_decides_and_the_first_line_of_standard_error_says_why() {
    let stage = Stage::new();
    assert_passed(&stage.check(shell("exit 0")));
    assert_passed(&stage.check(shell("echo 'not a failure' >&2")));
    assert_failed(&stage.check(shell("exit 3")), "exit code 3");
    assert_failed(&stage.check(shell("echo out; (echo; echo 'disk full'; echo more) >&2; exit 1")), "disk full");
    assert_failed(&stage.check(shell("kill -9 $$")), "the program was killed by signal 9");
}

#[test]
fn program_is_told_what_it_checks_and_nothing_else() {
    let stage = Stage::new();
    let told = "test \"$UNDERSTUDY_SERVICE $UNDERSTUDY_REAL $UNDERSTUDY_ADDRESS $UNDERSTUDY_PORT $UNDERSTUDY_VIP\" \
                = 'web web1 192.0.2.21 80 192.0.2.101'";
    assert_passed(&stage.check(shell(told)));
    // cargo sets it for this test.
    assert_passed(&stage.check(shell("test -z \"$CARGO_MANIFEST_DIR\"")));
}

#[test]
fn there_is_no_shell() {
    let stage = Stage::new();
    assert_passed(&stage.check(exec(&["test", "$UNDERSTUDY_REAL", "=", "$UNDERSTUDY_REAL"])));
    assert_failed(&stage.check(exec(&["test", "$UNDERSTUDY_REAL", "=", "web1"])), "exit code 1");
}

#[test]
fn program_that_cannot_be_run_is_told() {
    let stage = Stage::new();
    let outcome = stage.check(exec(&["/nowhere/understudy-check"]));
    assert_failed(&outcome, "cannot run /nowhere/understudy-check: no such file or directory");
    let carried = shell("exit 0").with(|check| check.via = Via::Service);
    let reason = "a program cannot be sent by the service's way; give via = \"address\"";
    assert_failed(&stage.check(carried), reason);
}

#[test]
fn endless_words_are_read_away_and_one_line_is_kept() {
    let stage = Stage::new();
    let outcome = stage.check(shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1"));
    let Outcome::Failed { reason } = outcome else { panic!("it passed") };
    assert!(reason.len() < 200 && reason.starts_with("xxx"), "{reason}");
}

#[test]
fn program_that_leaves_another_behind_has_ended() {
    let stage = Stage::new();
    // The one that stays holds standard error open; it ends with its namespace.
    assert_failed(&stage.check(shell("echo 'no answer' >&2; sleep 600 & exit 1").within(LONG)), "no answer");
}

#[test]
fn all_of_a_program_is_killed_when_time_is_up() {
    let stage = Stage::new();
    let mark = stage.run.dir().join("child");
    let script = format!("sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", mark.display());
    let child = stage.block_on(async {
        loop {
            // On a slow machine time may be up before the program has written anything.
            assert_failed(&check(shell(&script).within(500)).await, "no end of the program in 500 ms");
            if let Ok(child) = fs::read_to_string(&mark) {
                return child.trim().to_string();
            }
        }
    });
    wait_for("the program's child to end", PATIENCE, || Ok(has_ended(&child).then_some(()))).unwrap();
}

/// A child that nobody waits for is a zombie: state Z in the third field.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    matches!(state, None | Some(Some('Z' | 'X')))
}
