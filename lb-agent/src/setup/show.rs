//! What `lb-agent setup` prints: shell scripts whose comments say why.

use std::path::Path;

use super::Wish;
use super::change::typed;
use super::plan::{State, Step};

const LOST_AT_REBOOT: &str =
    "Nothing of this survives a reboot; `lb-agent setup --help` shows how to run it at each boot.";

/// The commands that applying would run.
pub(super) fn dry_run(wish: &Wish, steps: &[Step], state_dir: &Path) -> String {
    let vips: Vec<String> = wish.vips.iter().map(ToString::to_string).collect();
    let mut text =
        format!("# Real server for {} (mode {}). Nothing has been changed.\n", vips.join(", "), wish.mode.name());
    for step in steps {
        text += &shown(step);
    }
    text += "\n# --apply runs these commands. It records what was there before in\n";
    text += &format!("# {}, for --undo.\n# {LOST_AT_REBOOT}\n", state_dir.display());
    text
}

fn shown(step: &Step) -> String {
    match &step.state {
        State::So => format!("\n# {}: so already\n", step.what),
        State::Todo { now, change } => {
            let commands: Vec<String> = change.commands().iter().map(|command| typed(command)).collect();
            format!("\n# {}\n#   now: {now}\n#   why: {}\n{}\n", step.what, step.why, commands.join("\n"))
        }
        State::Blocked { .. } => format!("\n# In the way: {}\n", reason(step).replace('\n', "\n# ")),
    }
}

/// Why a step cannot be taken, and what to do.
pub(super) fn reason(step: &Step) -> String {
    let State::Blocked { now, fix } = &step.state else { return String::new() };
    let fixes: String = fix.iter().map(|fix| format!("\n  fix: {fix}")).collect();
    format!("{}\n  now: {now}\n  why: {}{fixes}", step.what, step.why)
}

/// How applying has ended.
pub(super) fn applied(steps: usize, record: &Path) -> String {
    let record = record.display();
    match steps {
        0 => "All is so already; nothing was changed.".to_owned(),
        steps => format!("Done in {steps} steps. {record} says what was there before, for --undo.\n{LOST_AT_REBOOT}"),
    }
}
