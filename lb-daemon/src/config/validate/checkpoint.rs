//! Checkpoints: whether intervals and places fit together, and what the file leaves to the defaults.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_config::{Diagnostic, Problems, Spanned, absolute_path, duration_text, size_text};
use lb_core::scheduler::SchedulerOptions;
use lb_core::service::{MAX_NAME_LENGTH, is_name};

use super::super::raw::{RawCheckpoint, RawConfig};
use super::super::{
    CHECKPOINT_DIRECTORY, CheckpointInterval, CheckpointPlace, CheckpointSettings, DEFAULT_BACKLOG,
    DEFAULT_CHECKPOINT_SIZE, DEFAULT_CLUSTER, DEFAULT_FLOW_EVENTS_SIZE, DEFAULT_FLOW_WEIGHT, DEFAULT_GRACE,
    DEFAULT_KEY_FILE, DEFAULT_MAX_CHECKPOINT_INTERVAL, DEFAULT_MEAN_TIME_BETWEEN_FAILURES, DEFAULT_STATE_DIR,
    DEFAULT_STREAM_INTERVAL, DEFAULT_WRITE_AHEAD_TIMEOUT, PairSettings,
};

/// The difference that makes an interval longer: the shortest time that a file can say.
const A_LITTLE: Duration = Duration::from_millis(1);

/// Checkpoints, unless something is wrong with them, which is then among the problems.
pub(super) fn checkpoint(
    raw: &RawConfig,
    pair: Option<&PairSettings>,
    problems: &mut Problems,
) -> Option<CheckpointSettings> {
    let nothing_said = RawCheckpoint::default();
    let checkpoint = match (&raw.checkpoint, &raw.pair) {
        (Some(checkpoint), _) => checkpoint,
        (None, Some(_)) => &nothing_said,
        (None, None) => return None,
    };
    if raw.pair.is_some() && pair.is_none() {
        return None;
    }
    let tm = tm(raw);
    if let Some(pair) = pair {
        refuse_slow_heartbeats(raw, pair, tm, problems);
    }
    let max_interval = max_interval(checkpoint, tm, problems);
    Some(CheckpointSettings {
        interval: interval(checkpoint, tm, max_interval, problems),
        least_interval: tm + A_LITTLE,
        max_interval,
        stream_interval: checkpoint.stream_interval.unwrap_or(DEFAULT_STREAM_INTERVAL),
        write_ahead_timeout: checkpoint.write_ahead_timeout.unwrap_or(DEFAULT_WRITE_AHEAD_TIMEOUT),
        grace: checkpoint.grace.unwrap_or(DEFAULT_GRACE),
        place: place(raw, checkpoint, problems),
        cluster: cluster(checkpoint, problems),
        key_file: key_file(checkpoint, pair, problems),
        max_size: checkpoint.max_size.unwrap_or(DEFAULT_CHECKPOINT_SIZE),
        max_backlog: checkpoint.max_backlog.unwrap_or(DEFAULT_BACKLOG),
        flow_events_size: flow_events_size(checkpoint, problems),
        mean_time_between_failures: checkpoint.mean_time_between_failures.unwrap_or(DEFAULT_MEAN_TIME_BETWEEN_FAILURES),
        flow_weight: checkpoint.flow_weight.unwrap_or(DEFAULT_FLOW_WEIGHT),
    })
}

/// Tm: how often weights are decided.
fn tm(raw: &RawConfig) -> Duration {
    let default = || Duration::from_millis(SchedulerOptions::default().interval_ms);
    raw.scheduler.interval.as_ref().map_or_else(default, |interval| *interval.get_ref())
}

/// Tb < Tm: the fastest path tells of the peer's death, and nothing that is decided goes to a peer that is gone unnoticed.
fn refuse_slow_heartbeats(raw: &RawConfig, pair: &PairSettings, tm: Duration, problems: &mut Problems) {
    let fastest = pair.paths.iter().map(|path| path.interval).min().unwrap_or_default();
    if fastest < tm {
        return;
    }
    let span = raw.scheduler.interval.as_ref().map(Spanned::span).or_else(|| {
        let timing = raw
            .pair
            .iter()
            .flat_map(|pair| [&pair.timing].into_iter().chain(pair.paths.iter().map(|path| &path.timing)));
        timing.filter_map(|timing| timing.heartbeat_interval.as_ref().map(Spanned::span)).next()
    });
    problems.add(Diagnostic::new(
        span.unwrap_or_default(),
        "`scheduler.interval` is not longer than the heartbeat_interval",
        format!("scheduler.interval {}, heartbeat_interval {}", duration_text(tm), duration_text(fastest)),
        "heartbeats come first (Tb), then decisions about weights (Tm), then checkpoints (Tc), each less often than the one before",
    ));
}

/// Tm < Tc <= the limit.
fn interval(raw: &RawCheckpoint, tm: Duration, max: Duration, problems: &mut Problems) -> CheckpointInterval {
    let Some(interval) = &raw.interval else { return CheckpointInterval::Auto };
    let CheckpointInterval::Fixed(fixed) = *interval.get_ref() else { return CheckpointInterval::Auto };
    if fixed <= tm {
        problems.add(too_short("interval", interval.span(), fixed, tm));
    } else if fixed > max {
        problems.add(Diagnostic::new(
            interval.span(),
            "`interval` is longer than `max_interval`",
            format!("interval {}, max_interval {}", duration_text(fixed), duration_text(max)),
            format!("write interval = \"{}\" or less, or raise `max_interval`", duration_text(max)),
        ));
    }
    CheckpointInterval::Fixed(fixed)
}

fn max_interval(raw: &RawCheckpoint, tm: Duration, problems: &mut Problems) -> Duration {
    let Some(max) = &raw.max_interval else { return DEFAULT_MAX_CHECKPOINT_INTERVAL.max(2 * tm) };
    if *max.get_ref() <= tm {
        problems.add(too_short("max_interval", max.span(), *max.get_ref(), tm));
    }
    *max.get_ref()
}

fn too_short(key: &str, span: Range<usize>, given: Duration, tm: Duration) -> Diagnostic {
    let least = duration_text(tm + A_LITTLE);
    Diagnostic::new(
        span,
        format!("`{key}` is not longer than `scheduler.interval`"),
        format!("{key} {}, scheduler.interval {}", duration_text(given), duration_text(tm)),
        format!("write {key} = \"{least}\" or more, or a shorter `scheduler.interval`"),
    )
}

fn place(raw: &RawConfig, checkpoint: &RawCheckpoint, problems: &mut Problems) -> CheckpointPlace {
    let example = |path: &str| format!("{path:?}");
    match (&checkpoint.directory, &checkpoint.shared) {
        (directory, Some(shared)) => {
            if let Some(directory) = directory {
                let help = "keep `shared` for a disk that both nodes have, or `directory` for one of this node's own";
                let both = Diagnostic::new(shared.span(), "`directory` and `shared` together", "one too many", help);
                problems.add(both.with_context(directory.span(), "the other one"));
            }
            let path = absolute_path("shared", shared.clone(), &example("/mnt/shared/understudy"), problems);
            CheckpointPlace::Shared(path)
        }
        (Some(directory), None) => {
            let example = example("/var/lib/understudy/checkpoint");
            CheckpointPlace::Own(absolute_path("directory", directory.clone(), &example, problems))
        }
        (None, None) => {
            let state_dir = raw.state_dir.as_ref().map_or(DEFAULT_STATE_DIR, |path| path.get_ref());
            CheckpointPlace::Own(Path::new(state_dir).join(CHECKPOINT_DIRECTORY))
        }
    }
}

fn cluster(raw: &RawCheckpoint, problems: &mut Problems) -> String {
    let Some(name) = &raw.cluster else { return DEFAULT_CLUSTER.to_owned() };
    if !is_name(name.get_ref()) {
        problems.add(Diagnostic::new(
            name.span(),
            format!("not a name of a cluster: {:?}", name.get_ref()),
            "no cluster can have this name",
            format!("a name has 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens"),
        ));
    }
    name.get_ref().clone()
}

/// A pair has keys anyway. A solo node has none that it must have, so that it is asked for.
fn key_file(raw: &RawCheckpoint, pair: Option<&PairSettings>, problems: &mut Problems) -> PathBuf {
    match (&raw.key_file, pair) {
        (Some(path), _) => absolute_path("key_file", path.clone(), &format!("{DEFAULT_KEY_FILE:?}"), problems),
        (None, Some(pair)) => pair.key_file.clone(),
        (None, None) => {
            problems.add(Diagnostic::new(
                raw.span.clone(),
                "`key_file` is missing",
                "without `[pair]` there is no other key to authenticate checkpoints with",
                format!("add a line like this: key_file = {DEFAULT_KEY_FILE:?}"),
            ));
            PathBuf::from(DEFAULT_KEY_FILE)
        }
    }
}

/// The kernel takes powers of two only.
fn flow_events_size(raw: &RawCheckpoint, problems: &mut Problems) -> u32 {
    let Some(size) = &raw.flow_events_size else { return DEFAULT_FLOW_EVENTS_SIZE };
    let (bytes, span) = (*size.get_ref(), size.span());
    if !bytes.is_power_of_two() {
        problems.add(Diagnostic::new(
            span,
            "`flow_events_size` is no power of two",
            "the kernel cannot make such a ring buffer",
            format!("write flow_events_size = \"{}\"", size_text(bytes.next_power_of_two())),
        ));
    }
    u32::try_from(bytes).unwrap_or(DEFAULT_FLOW_EVENTS_SIZE)
}
