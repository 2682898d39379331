//! What came of `lbctl add`, `remove` and `config diff`.

use lb_core::api::{ConfigChange, ConfigChanged, ConfigDiff};

use super::changes::warnings;
use super::{Style, labelled};

/// After `add` or `remove`.
pub fn config_changed(kind: &str, name: &str, what: &str, changed: &ConfigChanged) -> String {
    let verb = if changed.changed { "is now" } else { "was already" };
    let until = until(changed.persistent);
    let text = format!("{kind} {name} {verb} {what}, {until} (generation {})\n", changed.generation);
    text + &warnings(&changed.warnings)
}

/// Each service and real that differs, with its lines.
pub fn config_diff(diff: &ConfigDiff, style: Style) -> String {
    let mut text = match diff.changes.len() {
        0 => format!("{}: what is in use is what the file says\n", diff.file),
        1 => format!("{}: 1 difference\n", diff.file),
        count => format!("{}: {count} differences\n", diff.file),
    };
    text.extend(diff.changes.iter().map(|change| one(change, style)));
    if diff.file_edited {
        text += &labelled("note: ", "the file has been edited since it was taken over: `lbctl reload` takes it over");
    }
    if let Some(unfit) = &diff.unfit {
        text += &format!("{}\n{unfit}\n", style.bad("changes that should persist are not in use:"));
    }
    text
}

fn one(change: &ConfigChange, style: Style) -> String {
    let heading = format!("{} {}, {} {}", change.kind, change.name, change.change, until(change.persistent));
    let mut text = format!("\n{}\n", style.bold(&heading));
    let is_kept = |line: &&String| change.before.contains(line) && change.after.contains(line);
    text.extend(change.after.iter().filter(is_kept).map(|line| format!("    {line}\n")));
    let (gone, new) = (change.before.iter(), change.after.iter());
    text.extend(gone.filter(|line| !is_kept(line)).map(|line| format!("{}\n", style.bad(&format!("  - {line}")))));
    text.extend(new.filter(|line| !is_kept(line)).map(|line| format!("{}\n", style.good(&format!("  + {line}")))));
    text
}

fn until(persistent: bool) -> &'static str {
    if persistent { "for good" } else { "until a restart or reload" }
}
