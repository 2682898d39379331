//! Takes back what the record says was changed, the last change first.

use anyhow::bail;

use super::change::{Change, Undo, typed};
use super::host::Host;
use super::record::Keeper;

/// Restores what was there before. What has gone or was changed by others since is left alone.
pub(super) fn undo(host: &mut impl Host, keeper: &Keeper, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let Some(mut record) = keeper.load()? else {
        say("Nothing to undo: there is no record of a setup.");
        return Ok(());
    };
    if record.boot != host.facts()?.boot {
        say("Nothing to undo: the setup was before the last reboot, and did not survive it.");
        return keeper.remove();
    }
    let (failed, errors) = take_back(host, &record.changes, say);
    if failed.is_empty() {
        say("Undone.");
        return keeper.remove();
    }
    record.changes = failed;
    keeper.save(&record)?;
    bail!("not all could be undone; the rest stays in the record:\n{}", errors.join("\n"));
}

/// The changes that are still there, and why.
fn take_back(host: &mut impl Host, changes: &[Change], say: &mut dyn FnMut(&str)) -> (Vec<Change>, Vec<String>) {
    let mut failed = Vec::new();
    let mut errors = Vec::new();
    for change in changes.iter().rev() {
        if let Err(error) = take_back_one(host, change, say) {
            failed.insert(0, change.clone());
            errors.push(format!("{error:#}"));
        }
    }
    (failed, errors)
}

fn take_back_one(host: &mut impl Host, change: &Change, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    match change.undo(&host.facts()?) {
        Undo::Nothing => Ok(()),
        Undo::Leave(reason) => {
            say(&format!("# {reason}"));
            Ok(())
        }
        Undo::Run(command) => {
            say(&typed(&command));
            host.run(&command)
        }
    }
}
