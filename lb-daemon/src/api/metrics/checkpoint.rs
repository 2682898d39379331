//! Checkpoints: how what the node has learned is kept, and who else knows it.

use lb_core::api::{Checkpoint, CheckpointRole, StreamState};

use super::catalogue as metric;
use super::text::Text;
use super::{seconds, states};

pub(super) fn render(checkpoint: &Checkpoint, text: &mut Text) {
    text.family(&metric::CHECKPOINT_ROLE, states(CheckpointRole::ALL, checkpoint.role, CheckpointRole::word));
    text.one(&metric::CHECKPOINT_IN_SYNC, checkpoint.sync.in_sync);
    text.one(&metric::CHECKPOINT_SEQUENCE, checkpoint.sequence);
    text.one(&metric::CHECKPOINT_INTERVAL, checkpoint.interval.seconds);
    newest(checkpoint, text);
    store(checkpoint, text);
    flows(checkpoint, text);
    if let Some(state) = &checkpoint.stream {
        stream(state, text);
    }
}

fn newest(checkpoint: &Checkpoint, text: &mut Text) {
    let Some(commit) = &checkpoint.commit else { return };
    text.one(&metric::CHECKPOINT_AGE, commit.ago_seconds);
    text.one(&metric::CHECKPOINT_BYTES, commit.bytes);
    text.one(&metric::CHECKPOINT_ENTRIES, commit.entries);
    text.one(&metric::CHECKPOINT_COMMIT, seconds(commit.took_ms));
}

fn store(checkpoint: &Checkpoint, text: &mut Text) {
    let store = &checkpoint.store;
    text.one(&metric::CHECKPOINT_COMMITS, store.commits);
    text.one(&metric::CHECKPOINT_FAILURES, store.failures);
    text.one(&metric::CHECKPOINT_STORE, store.bytes);
    text.one(&metric::CHECKPOINT_STORE_LIMIT, store.max_bytes);
}

fn flows(checkpoint: &Checkpoint, text: &mut Text) {
    let flows = &checkpoint.flows;
    text.one(&metric::CHECKPOINT_FLOWS, flows.known);
    text.one(&metric::CHECKPOINT_AT_RISK, flows.at_risk);
    text.one(&metric::CHECKPOINT_OVERRUNS, flows.overruns);
    text.one(&metric::CHECKPOINT_RESYNCS, flows.resyncs);
}

fn stream(stream: &StreamState, text: &mut Text) {
    text.one(&metric::STREAM_CONNECTED, stream.connected);
    text.one(&metric::STREAM_LAG, seconds(stream.lag_ms));
    text.one(&metric::STREAM_BACKLOG, stream.backlog_bytes);
    text.one(&metric::STREAM_BACKLOG_LIMIT, stream.max_backlog_bytes);
    text.one(&metric::STREAM_CONNECTIONS, stream.connections);
    text.one(&metric::STREAM_FULLS, stream.fulls);
    text.one(&metric::STREAM_BYTES, stream.bytes);
}
