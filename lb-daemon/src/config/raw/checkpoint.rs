//! `[checkpoint]`.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use lb_config::{Problems, Spanned, Table, duration};

use super::super::{
    BACKLOG_RANGE, CHECKPOINT_INTERVAL_RANGE, CHECKPOINT_SIZE_RANGE, CheckpointInterval, FLOW_EVENTS_SIZE_RANGE,
    FLOW_WEIGHT_RANGE, GRACE_RANGE, MEAN_TIME_BETWEEN_FAILURES_RANGE, STREAM_INTERVAL_RANGE, WRITE_AHEAD_TIMEOUT_RANGE,
};

/// `[checkpoint]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawCheckpoint {
    /// Where to point when something is missing.
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) interval: Option<Spanned<CheckpointInterval>>,
    pub(in crate::config) max_interval: Option<Spanned<Duration>>,
    pub(in crate::config) stream_interval: Option<Duration>,
    pub(in crate::config) write_ahead_timeout: Option<Duration>,
    pub(in crate::config) grace: Option<Duration>,
    pub(in crate::config) directory: Option<Spanned<String>>,
    pub(in crate::config) shared: Option<Spanned<String>>,
    pub(in crate::config) cluster: Option<Spanned<String>>,
    pub(in crate::config) key_file: Option<Spanned<String>>,
    pub(in crate::config) max_size: Option<u64>,
    pub(in crate::config) max_backlog: Option<u64>,
    pub(in crate::config) flow_events_size: Option<Spanned<u64>>,
    pub(in crate::config) mean_time_between_failures: Option<Duration>,
    pub(in crate::config) flow_weight: Option<Duration>,
}

pub(super) fn checkpoint(table: &Table<'_, '_>, problems: &mut Problems) -> RawCheckpoint {
    let interval = interval(table, problems);
    let max_interval = table.duration("max_interval", CHECKPOINT_INTERVAL_RANGE, "\"1m\"", problems);
    let mut duration = |key, range: RangeInclusive<Duration>, example| {
        table.duration(key, range, example, problems).map(Spanned::into_inner)
    };
    let stream_interval = duration("stream_interval", STREAM_INTERVAL_RANGE, "\"2ms\"");
    let write_ahead_timeout = duration("write_ahead_timeout", WRITE_AHEAD_TIMEOUT_RANGE, "\"50ms\"");
    let grace = duration("grace", GRACE_RANGE, "\"3s\"");
    let mean_time = duration("mean_time_between_failures", MEAN_TIME_BETWEEN_FAILURES_RANGE, "\"30d\"");
    let flow_weight = duration("flow_weight", FLOW_WEIGHT_RANGE, "\"1s\"");
    let mut size = |key, range: RangeInclusive<u64>, example| table.size(key, range, example, problems);
    let max_size = size("max_size", CHECKPOINT_SIZE_RANGE, "\"1GiB\"");
    let max_backlog = size("max_backlog", BACKLOG_RANGE, "\"16MiB\"");
    let flow_events = u64::from(*FLOW_EVENTS_SIZE_RANGE.start())..=u64::from(*FLOW_EVENTS_SIZE_RANGE.end());
    let flow_events_size = size("flow_events_size", flow_events, "\"1MiB\"");
    RawCheckpoint {
        span: table.span(),
        interval,
        max_interval,
        stream_interval,
        write_ahead_timeout,
        grace,
        directory: table.string("directory", "\"/var/lib/understudy/checkpoint\"", problems),
        shared: table.string("shared", "\"/mnt/shared/understudy\"", problems),
        cluster: table.string("cluster", "\"understudy\"", problems),
        key_file: table.string("key_file", "\"/etc/understudy/keys\"", problems),
        max_size: max_size.map(Spanned::into_inner),
        max_backlog: max_backlog.map(Spanned::into_inner),
        flow_events_size,
        mean_time_between_failures: mean_time,
        flow_weight,
    }
}

/// `"auto"` or a duration.
fn interval(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Spanned<CheckpointInterval>> {
    let text = table.string("interval", "\"auto\"", problems)?;
    if text.get_ref() == "auto" {
        return Some(Spanned::new(text.span(), CheckpointInterval::Auto));
    }
    let example = "\"5s\"; or write interval = \"auto\"";
    let fixed = duration("interval", &text, CHECKPOINT_INTERVAL_RANGE, example, problems)?;
    Some(Spanned::new(fixed.span(), CheckpointInterval::Fixed(fixed.into_inner())))
}
