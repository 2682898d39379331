//! `lbctl checkpoint show` and `watch`, and its line of `lbctl status`.

mod advice;
mod files;

use lb_core::api::{
    Checkpoint, CheckpointOrigin, CheckpointStatus, CheckpointSync, Commit, FlowsKept, FullProgress, IntervalInUse,
    RestoredCheckpoint, StoreState, StreamState,
};

pub use advice::{advice, quantity};
pub use files::{checkpoint_exported, checkpoint_files, checkpoint_imported, checkpoint_taken, checkpoint_verified};

use super::{Style, bytes, count, instant, labelled, milliseconds, short_duration};

/// How the checkpoints are.
pub fn checkpoint(checkpoint: &Checkpoint, style: Style) -> String {
    let mut text = labelled("role        ", &role(checkpoint));
    text += &labelled("in sync     ", &sync(&checkpoint.sync, style));
    if let Some(full) = &checkpoint.full {
        text += &labelled("full        ", &progress(full));
    }
    text += &labelled("newest      ", &format!("batch {}, generation {}", checkpoint.sequence, checkpoint.generation));
    text += &labelled("stored      ", &checkpoint.commit.as_ref().map_or("nothing yet".to_owned(), commit));
    text += &labelled("interval    ", &interval(&checkpoint.interval));
    text += &store(&checkpoint.store, style);
    if let Some(state) = &checkpoint.stream {
        text += &stream(state, style);
    }
    text + &labelled("flows       ", &flows(&checkpoint.flows))
}

/// The checkpoints in `lbctl status`.
pub fn in_status(checkpoint: &CheckpointStatus, style: Style) -> String {
    let sync = &checkpoint.sync;
    let state = match (&sync.confirmed_ms, &sync.why) {
        (Some(ms), _) if sync.in_sync => format!("{}, {} ago", style.good("in sync"), milliseconds(*ms)),
        (None, _) if sync.in_sync => style.good("in sync"),
        (_, why) => out_of_sync(why.as_deref(), style),
    };
    let full = checkpoint.full.as_ref().map(|full| format!("; {}", progress(full))).unwrap_or_default();
    labelled("checkpoint  ", &format!("{}, {state}{full}", checkpoint.role))
}

/// What `watch` shows in a line, which is the same as long as nothing that matters has changed.
pub fn checkpoint_news(checkpoint: &Checkpoint, with_progress: bool, style: Style) -> String {
    let sync = &checkpoint.sync;
    let state = if sync.in_sync { style.good("in sync") } else { out_of_sync(sync.why.as_deref(), style) };
    let path = checkpoint.stream.as_ref().and_then(|stream| stream.path.as_ref());
    let path = path.map(|path| format!(", by {path}")).unwrap_or_default();
    let full = checkpoint.full.as_ref().filter(|_| with_progress);
    // In steps of ten, so that a log has not hundreds of lines.
    let full = full.map(|full| format!("; {} {:.0}%", direction(full), 10.0 * (full.share() * 10.0).floor()));
    let error = checkpoint.store.error.as_ref().map(|error| format!("; {}", style.bad(error)));
    format!("{}, {state}{path}{}{}", checkpoint.role, full.unwrap_or_default(), error.unwrap_or_default())
}

fn role(checkpoint: &Checkpoint) -> String {
    let origin = checkpoint.origin.as_ref().map(|whose| format!(", {}", origin(whose))).unwrap_or_default();
    format!("{}{origin}, cluster {}", checkpoint.role, checkpoint.cluster)
}

/// `epoch 7 of the primary (start 5)`; a solo node has no epoch.
fn origin(origin: &CheckpointOrigin) -> String {
    match origin.epoch {
        0 => format!("start {}", origin.boot),
        epoch => format!("epoch {epoch} of the {} (start {})", origin.owner, origin.boot),
    }
}

fn sync(sync: &CheckpointSync, style: Style) -> String {
    let confirmed = sync.confirmed_ms.map(|ms| format!("confirmed {} ago", milliseconds(ms)));
    match (sync.in_sync, confirmed) {
        (true, Some(confirmed)) => format!("{}, {confirmed}", style.good("yes")),
        (true, None) => style.good("yes"),
        (false, _) => format!("{}: {}", style.bad("no"), why(sync.why.as_deref())),
    }
}

fn out_of_sync(reason: Option<&str>, style: Style) -> String {
    format!("{}: {}", style.bad("not in sync"), why(reason))
}

fn why(why: Option<&str>) -> &str {
    why.unwrap_or("it is not known why")
}

fn direction(full: &FullProgress) -> &'static str {
    if full.incoming { "a full checkpoint is coming:" } else { "a full checkpoint is going:" }
}

fn progress(full: &FullProgress) -> String {
    let FullProgress { parts, parts_estimate, entries, seconds, .. } = full;
    format!(
        "{} {:.0}% ({parts} of about {parts_estimate} pieces, {} entries, {} in {})",
        direction(full),
        100.0 * full.share(),
        count(*entries),
        bytes(full.bytes),
        short_duration(*seconds)
    )
}

fn commit(commit: &Commit) -> String {
    format!(
        "batch {}, {} ago: a {} of {} entries, {} in {}",
        commit.sequence,
        short_duration(commit.ago_seconds),
        if commit.full { "snapshot" } else { "delta" },
        count(commit.entries),
        bytes(commit.bytes),
        milliseconds(commit.took_ms)
    )
}

fn interval(interval: &IntervalInUse) -> String {
    let how = if interval.auto { "worked out" } else { "configured" };
    let (least, most) = (seconds(interval.least_seconds), seconds(interval.max_seconds));
    format!("{}, {how}; it can be {least} to {most}", seconds(interval.seconds))
}

/// An interval as exactly as one is configured.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    let text = format!("{seconds:.3}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn store(store: &StoreState, style: Style) -> String {
    let shared = if store.shared { ", shared" } else { "" };
    let size = format!("{} of at most {}", bytes(store.bytes), bytes(store.max_bytes));
    let failures = if store.failures > 0 { format!(", {} failed", count(store.failures)) } else { String::new() };
    let state = format!("{}{shared}: {size}, {} commits{failures}", store.directory, count(store.commits));
    let mut text = labelled("store       ", &state);
    if let Some(error) = &store.error {
        text += &coloured("            ", error, |error| style.bad(error));
    }
    if let Some(found) = &store.restored {
        text += &labelled("restored    ", &restored(found));
    }
    for refused in &store.refused {
        let reason = format!("{} at byte {}: {}", refused.file, refused.offset, refused.reason);
        text += &coloured("refused     ", &reason, |label| style.notable(label));
    }
    text
}

/// The first word of a line in a colour.
fn coloured(label: &str, text: &str, colour: impl Fn(&str) -> String) -> String {
    let line = labelled(label, text);
    let word = if label.trim().is_empty() { text.split(' ').next().unwrap_or_default() } else { label };
    line.replacen(word, &colour(word), 1)
}

fn restored(restored: &RestoredCheckpoint) -> String {
    format!(
        "batch {} of {}, made {}: {} flows in {}",
        restored.sequence,
        origin(&restored.origin),
        instant(restored.unix_ms),
        count(restored.flows),
        milliseconds(restored.took_ms)
    )
}

fn stream(stream: &StreamState, style: Style) -> String {
    let mut text = labelled("peer        ", &connection(stream, style));
    let backlog = format!("{} of at most {}", bytes(stream.backlog_bytes), bytes(stream.max_backlog_bytes));
    let lag =
        if stream.lag_ms > 0.0 { format!(", the oldest for {}", milliseconds(stream.lag_ms)) } else { String::new() };
    text += &labelled("waiting     ", &format!("{backlog}{lag}"));
    let (connections, fulls) = (count(stream.connections), count(stream.fulls));
    text + &labelled("so far      ", &format!("{connections} connections, {fulls} full, {}", bytes(stream.bytes)))
}

fn connection(stream: &StreamState, style: Style) -> String {
    let reached = format!("batch {} applied, {} stored", stream.applied, stream.durable);
    if !stream.connected {
        let error = stream.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        return format!("{}{error}; {reached}", style.bad("not connected"));
    }
    let path = stream.path.as_ref().map(|path| format!(" by {path}")).unwrap_or_default();
    let since = stream.connected_seconds.map(|time| format!(" for {}", short_duration(time))).unwrap_or_default();
    let format = stream.format_version.map(|version| format!(", format {version}")).unwrap_or_default();
    format!("connected{path}{since}{format}: {reached}")
}

fn flows(flows: &FlowsKept) -> String {
    let mut text = format!("{} known, {} at risk", count(flows.known), count(flows.at_risk));
    if flows.overruns > 0 {
        text += &format!(", told again {} times after {} overruns", count(flows.resyncs), count(flows.overruns));
    }
    text
}
