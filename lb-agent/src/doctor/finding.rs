//! How a real server's findings are put: each subject is what shall be, and the finding is whether it is so.

use lb_core::api::{Finding, Severity};

use crate::setup::change::typed;
use crate::setup::plan::{State, Step};

/// The check that a step of `lb-agent setup` comes under.
const SETUP: &str = "setup";
/// What is found where all is well.
const YES: &str = "yes";

/// It is so.
pub(super) fn ok(check: &str, what: String) -> Finding {
    Finding::ok(check, what, YES)
}

/// It is not so, but something else is.
pub(super) fn bad(severity: Severity, check: &str, what: String, now: &str, why: &str, fix: String) -> Finding {
    Finding::of(severity, check, what, no(now)).because(why).fix(fix)
}

/// A step of `lb-agent setup`.
pub(super) fn of_step(step: Step) -> Finding {
    let (now, fixes) = match step.state {
        State::So => return ok(SETUP, step.what),
        State::Todo { now, change } => (now, change.commands().iter().map(|command| typed(command)).collect()),
        State::Blocked { now, fix } => (now, fix),
    };
    let finding = Finding::of(Severity::Error, SETUP, step.what, no(&now)).because(step.why);
    fixes.into_iter().fold(finding, Finding::fix)
}

fn no(now: &str) -> String {
    format!("no: {now}")
}
