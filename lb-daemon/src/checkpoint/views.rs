//! The state of the checkpoints, as the API shows it.

use lb_core::api::{
    Checkpoint, CheckpointRole, CheckpointSync, Commit, FlowsKept, FullProgress, IntervalInUse, RestoredCheckpoint,
    StoreState, StreamState,
};
use lb_core::checkpoint::ledger::{Duty, NotInSync, Progress, View};
use lb_core::pair::Micros;

use super::commit::{self, Done};
use super::control::Control;
use super::files;
use super::stream::FullView;
use crate::config::{CheckpointInterval, CheckpointSettings};
use crate::peer::clock;

const US_PER_MS: f64 = 1_000.0;
const US_PER_SECOND: f64 = 1_000_000.0;
const MS_PER_SECOND: f64 = 1_000.0;

/// How the checkpoints are. It waits for neither disk nor peer.
pub(super) fn checkpoint(control: &Control) -> Checkpoint {
    let (view, sync) = control.common.hub.look(|ledger, now| (ledger.view(now), ledger.sync(now)));
    let progress = control.committer.progress();
    let (overruns, resyncs) = control.overruns();
    let settings = &control.settings();
    Checkpoint {
        role: role(&view, control.stream.is_none()),
        cluster: settings.cluster.clone(),
        origin: view.origin.as_ref().map(files::origin),
        sequence: view.sequence,
        generation: view.generation,
        sync: with_line(synced(sync, &progress, control.stream.is_none()), control.common.line.words()),
        full: full(control, &view),
        interval: IntervalInUse {
            seconds: progress.interval.as_secs_f64(),
            auto: settings.interval == CheckpointInterval::Auto,
            least_seconds: settings.least_interval.as_secs_f64(),
            max_seconds: settings.max_interval.as_secs_f64(),
        },
        commit: progress.last.as_ref().map(committed),
        store: store(control, settings, &progress),
        stream: stream(control, settings, &view),
        flows: FlowsKept { known: control.common.flows(), at_risk: view.flows_at_risk as u64, overruns, resyncs },
    }
}

fn role(view: &View, is_solo: bool) -> CheckpointRole {
    match view.duty {
        _ if is_solo => CheckpointRole::Alone,
        Duty::Leads => CheckpointRole::Leading,
        Duty::Follows if view.origin.is_some() || view.full.is_some() => CheckpointRole::Following,
        Duty::Follows | Duty::Rests => CheckpointRole::Waiting,
    }
}

fn full(control: &Control, view: &View) -> Option<FullProgress> {
    let Progress { done, estimate } = view.full?;
    let stream = control.stream.as_ref().map(|stream| stream.view()).unwrap_or_default();
    let FullView { since, entries, bytes_before } = stream.full;
    Some(FullProgress {
        incoming: view.duty == Duty::Follows,
        parts: done,
        parts_estimate: estimate,
        entries,
        bytes: stream.bytes.saturating_sub(bytes_before),
        seconds: seconds_since(since),
    })
}

fn seconds_since(since: Micros) -> f64 {
    clock::now().saturating_sub(since) as f64 / US_PER_SECOND
}

/// A node that is alone has nobody but its disk.
fn synced(sync: Result<(), NotInSync>, progress: &commit::Progress, is_solo: bool) -> CheckpointSync {
    let why = match sync {
        Err(why) => Some(why.to_string()),
        Ok(()) if is_solo => progress.error.clone(),
        Ok(()) => None,
    };
    let ago_ms = progress.last.map(|done| done.at.elapsed().as_secs_f64() * MS_PER_SECOND);
    CheckpointSync { in_sync: why.is_none(), why, confirmed_ms: ago_ms.filter(|_| is_solo) }
}

/// Says what the serial line brings, where it is all that does.
fn with_line(sync: CheckpointSync, line: Option<&str>) -> CheckpointSync {
    let said = |why| match line {
        Some(line) => format!("{why}; {line}"),
        None => why,
    };
    CheckpointSync { why: sync.why.map(said), ..sync }
}

fn committed(done: &Done) -> Commit {
    Commit {
        ago_seconds: done.at.elapsed().as_secs_f64(),
        sequence: done.sequence,
        took_ms: done.committed.took.as_secs_f64() * MS_PER_SECOND,
        bytes: done.committed.bytes,
        entries: done.entries,
        full: done.full,
    }
}

fn store(control: &Control, settings: &CheckpointSettings, progress: &commit::Progress) -> StoreState {
    let restored = control.found.newest.as_ref().map(|newest| RestoredCheckpoint {
        origin: files::origin(&newest.origin),
        sequence: newest.sequence,
        unix_ms: newest.unix_ms,
        flows: newest.flows,
        took_ms: newest.took_ms,
    });
    let first_trouble = || control.found.trouble.clone().filter(|_| progress.commits == 0);
    StoreState {
        directory: settings.place.path().display().to_string(),
        shared: settings.place.is_shared(),
        bytes: progress.bytes,
        max_bytes: settings.max_size,
        commits: progress.commits,
        failures: progress.failures,
        error: progress.error.clone().or_else(first_trouble),
        restored,
        refused: control.found.refused.iter().map(files::refused).collect(),
    }
}

fn stream(control: &Control, settings: &CheckpointSettings, view: &View) -> Option<StreamState> {
    let stream = control.stream.as_ref()?.view();
    let leads = view.duty == Duty::Leads;
    Some(StreamState {
        connected: stream.connected,
        path: stream.path,
        connected_seconds: stream.since.map(seconds_since),
        format_version: stream.version,
        applied: if leads { view.applied.unwrap_or(0) } else { view.sequence },
        durable: if leads { view.durable } else { view.committed }.unwrap_or(0),
        lag_ms: view.lag_us as f64 / US_PER_MS,
        backlog_bytes: view.backlog_bytes as u64,
        max_backlog_bytes: settings.max_backlog,
        connections: stream.connections,
        fulls: stream.fulls,
        bytes: stream.bytes,
        last_error: stream.trouble.or(stream.refused),
    })
}

#[cfg(test)]
mod tests {
    use lb_core::checkpoint::Origin;
    use lb_core::checkpoint::ledger::{Ledger, Limits};
    use lb_core::pair::Role;

    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(Limits { max_backlog: 1 << 20, write_ahead_timeout_us: 1, has_peer: true, has_store: true })
    }

    #[test]
    fn a_node_is_what_its_ledger_does() {
        let mut ledger = ledger();
        assert_eq!(role(&ledger.view(0), true), CheckpointRole::Alone);
        assert_eq!(role(&ledger.view(0), false), CheckpointRole::Waiting);
        ledger.follow();
        assert_eq!(role(&ledger.view(0), false), CheckpointRole::Waiting, "nobody has told it anything");
        ledger.owner_refills().unwrap();
        assert_eq!(role(&ledger.view(0), false), CheckpointRole::Following);
        ledger.lead(Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 });
        assert_eq!(role(&ledger.view(0), false), CheckpointRole::Leading);
    }

    #[test]
    fn a_bad_disk_matters_to_a_node_that_is_alone() {
        let progress = commit::Progress { error: Some("the disk is full".to_owned()), ..commit::Progress::default() };
        let alone = synced(Ok(()), &progress, true);
        assert_eq!((alone.in_sync, alone.why.as_deref()), (false, Some("the disk is full")));
        assert!(synced(Ok(()), &progress, false).in_sync, "its peer has everything");
        let line = Some("only the scheduling table comes, over the serial line");
        let said = with_line(synced(Ok(()), &progress, true), line).why.unwrap();
        assert_eq!(said, "the disk is full; only the scheduling table comes, over the serial line");
        assert_eq!(with_line(synced(Ok(()), &progress, false), line).why, None, "nothing is missing");
        let why = synced(Err(NotInSync::FlowsHealing), &progress, true).why.unwrap();
        assert!(why.starts_with("all flows are being sent"), "{why}");
    }
}
