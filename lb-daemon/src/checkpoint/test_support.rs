//! What the tests of checkpoints share.

use std::time::Duration;

use crate::config::{CheckpointInterval, CheckpointPlace, CheckpointSettings};

/// Settings as a configuration without a word about checkpoints has them.
pub(crate) fn settings() -> CheckpointSettings {
    CheckpointSettings {
        interval: CheckpointInterval::Auto,
        least_interval: Duration::from_millis(1_001),
        max_interval: Duration::from_mins(1),
        stream_interval: Duration::from_millis(2),
        write_ahead_timeout: Duration::from_millis(50),
        grace: Duration::from_secs(3),
        place: CheckpointPlace::Own("/nonexistent".into()),
        cluster: "understudy".to_owned(),
        key_file: "/nonexistent/keys".into(),
        max_size: 1 << 30,
        max_backlog: 1 << 24,
        flow_events_size: 1 << 20,
        mean_time_between_failures: Duration::from_secs(30 * 86_400),
        flow_weight: Duration::from_secs(1),
    }
}
