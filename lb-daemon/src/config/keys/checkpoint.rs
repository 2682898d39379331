//! The keys of `[checkpoint]`.

use lb_config::TableKeys;

use super::super::{
    BACKLOG_RANGE, CHECKPOINT_INTERVAL_RANGE, CHECKPOINT_SIZE_RANGE, DEFAULT_BACKLOG, DEFAULT_CHECKPOINT_SIZE,
    DEFAULT_CLUSTER, DEFAULT_FLOW_EVENTS_SIZE, DEFAULT_FLOW_WEIGHT, DEFAULT_GRACE, DEFAULT_MAX_CHECKPOINT_INTERVAL,
    DEFAULT_MEAN_TIME_BETWEEN_FAILURES, DEFAULT_STREAM_INTERVAL, DEFAULT_WRITE_AHEAD_TIMEOUT, FLOW_EVENTS_SIZE_RANGE,
    FLOW_WEIGHT_RANGE, GRACE_RANGE, MEAN_TIME_BETWEEN_FAILURES_RANGE, STREAM_INTERVAL_RANGE, WRITE_AHEAD_TIMEOUT_RANGE,
};
use super::balance::KEY_FILE;
use super::{Absent, Key, Value, duration, names, size, text};

pub(super) const CHECKPOINT_KEYS: [Key; 14] = [
    Key::new("interval", INTERVAL, text("auto")),
    Key::new("max_interval", Value::Duration(CHECKPOINT_INTERVAL_RANGE), duration(DEFAULT_MAX_CHECKPOINT_INTERVAL)),
    Key::new("stream_interval", Value::Duration(STREAM_INTERVAL_RANGE), duration(DEFAULT_STREAM_INTERVAL)),
    Key::new("write_ahead_timeout", Value::Duration(WRITE_AHEAD_TIMEOUT_RANGE), duration(DEFAULT_WRITE_AHEAD_TIMEOUT)),
    Key::new("grace", Value::Duration(GRACE_RANGE), duration(DEFAULT_GRACE)),
    Key::restart(
        "directory",
        Value::Path { example: "/srv/understudy/checkpoint" },
        Absent::Derived("`checkpoint` in `state_dir`"),
    ),
    Key::restart("shared", Value::Path { example: "/mnt/shared/understudy" }, Absent::None),
    Key::restart("cluster", Value::Name, text(DEFAULT_CLUSTER)),
    Key::new("key_file", KEY_FILE, Absent::Derived("`pair.key_file`")),
    Key::new("max_size", Value::Size(CHECKPOINT_SIZE_RANGE), size(DEFAULT_CHECKPOINT_SIZE)),
    Key::new("max_backlog", Value::Size(BACKLOG_RANGE), size(DEFAULT_BACKLOG)),
    Key::restart(
        "flow_events_size",
        Value::Size(*FLOW_EVENTS_SIZE_RANGE.start() as u64..=*FLOW_EVENTS_SIZE_RANGE.end() as u64),
        size(DEFAULT_FLOW_EVENTS_SIZE as u64),
    ),
    Key::new(
        "mean_time_between_failures",
        Value::Duration(MEAN_TIME_BETWEEN_FAILURES_RANGE),
        duration(DEFAULT_MEAN_TIME_BETWEEN_FAILURES),
    ),
    Key::new("flow_weight", Value::Duration(FLOW_WEIGHT_RANGE), duration(DEFAULT_FLOW_WEIGHT)),
];

const INTERVAL: Value = Value::Either(&[Value::Words(&["auto"]), Value::Duration(CHECKPOINT_INTERVAL_RANGE)]);

/// Keys of `[checkpoint]`.
pub const CHECKPOINT: TableKeys =
    TableKeys { title: "`[checkpoint]`", prefix: "checkpoint.", keys: &names(&CHECKPOINT_KEYS) };
