//! What came of `lbctl checkpoint list`, `verify`, `now`, `export` and `import`.

use std::path::Path;

use lb_core::api::{
    CheckpointFile, CheckpointFiles, CheckpointImported, CheckpointTaken, CheckpointVerified, VerifiedFile,
};

use super::super::table::{Side, Table};
use super::super::{Style, bytes, count, instant, labelled, milliseconds};
use super::origin;

/// What stands for a value that is not known.
const UNKNOWN: &str = "-";

/// Each file in a line, the newest first.
pub fn checkpoint_files(files: &CheckpointFiles, style: Style) -> String {
    let shared = if files.shared { ", shared" } else { "" };
    if files.files.is_empty() {
        return format!("{}{shared}: no files yet\n", files.directory);
    }
    let mut table = Table::new(&[
        ("File", Side::Left),
        ("Owner", Side::Left),
        ("Epoch", Side::Right),
        ("Start", Side::Right),
        ("Size", Side::Right),
        ("Written", Side::Left),
        ("In use", Side::Left),
    ]);
    files.files.iter().for_each(|file| table.row(row(file)));
    format!("{}{shared}\n{}", files.directory, table.text(style))
}

fn row(file: &CheckpointFile) -> Vec<String> {
    let of_origin =
        |value: fn(&lb_core::api::CheckpointOrigin) -> String| file.origin.as_ref().map_or(UNKNOWN.to_owned(), value);
    vec![
        file.name.clone(),
        of_origin(|origin| origin.owner.to_string()),
        of_origin(|origin| origin.epoch.to_string()),
        of_origin(|origin| origin.boot.to_string()),
        bytes(file.bytes),
        file.unix_ms.map_or(UNKNOWN.to_owned(), instant),
        if file.in_use { "yes" } else { "no" }.to_owned(),
    ]
}

/// Each file in a paragraph.
pub fn checkpoint_verified(verified: &CheckpointVerified, style: Style) -> String {
    if verified.files.is_empty() {
        return "There is no file to verify.\n".to_owned();
    }
    verified.files.iter().map(|file| verified_file(file, style)).collect()
}

fn verified_file(file: &VerifiedFile, style: Style) -> String {
    let good = format!("{} records, {} entries, {}", count(file.records), count(file.entries), bytes(file.bytes));
    let batches = file.first.zip(file.last).map(|(first, last)| format!(", batches {first} to {last}"));
    let whose = file.origin.as_ref().map(|whose| format!(", {}", origin(whose)));
    let skipped = match file.skipped {
        0 => String::new(),
        skipped => format!(", {} entries of kinds that this version does not know", count(skipped)),
    };
    let good = format!("{good}{}{}{skipped}", batches.unwrap_or_default(), whose.unwrap_or_default());
    let Some(refused) = &file.refused else {
        return format!("{}: {}\n", file.file, style.good("ok")) + &labelled("      ", &good);
    };
    let reason = format!("at byte {}: {}", refused.offset, refused.reason);
    format!("{}: {}\n", file.file, style.bad("refused"))
        + &labelled("      ", &reason)
        + &labelled("      ", &format!("good before it: {good}"))
}

/// After `now`.
pub fn checkpoint_taken(taken: &CheckpointTaken) -> String {
    let peer = if taken.peer_durable { "; the peer has stored it, too" } else { "" };
    let what = match taken.bytes {
        0 => "nothing has changed since the last one".to_owned(),
        written => format!("{} entries, {} in {}", count(taken.entries), bytes(written), milliseconds(taken.took_ms)),
    };
    format!("Stored up to batch {}, generation {}: {what}{peer}\n", taken.sequence, taken.generation)
}

/// After `export`.
pub fn checkpoint_exported(file: &Path, size: u64) -> String {
    format!("Wrote {}: {}\n", file.display(), bytes(size))
}

/// After `import`.
pub fn checkpoint_imported(imported: &CheckpointImported) -> String {
    let CheckpointImported { generation, services, reals, slots, flows, strangers } = imported;
    let (slots, flows) = (count(*slots), count(*flows));
    let mut text = format!(
        "Took in {services} services, {reals} reals, {slots} slots that are not clean and {flows} flows (generation {generation})\n"
    );
    if !strangers.is_empty() {
        text += &labelled("Not configured here, and left out: ", &strangers.join(", "));
    }
    text
}
