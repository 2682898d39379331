//! What one sample has: rates since the sample before, and what is so just now.

use std::collections::HashMap;

use lb_core::api::{Checkpoint, Counters, SeriesOf, TableReal};

use super::ring::Key;
use super::{MAX_REALS, MAX_SERVICES};
use crate::api::snapshot::Snapshot;

const NS_PER_SECOND: f64 = 1e9;

/// What the next sample needs of this one.
#[derive(Debug, Default)]
pub(super) struct Before {
    at_ns: u64,
    counts: HashMap<Key, u64>,
}

/// The values of a sample, and what the next one needs.
pub(super) fn sample(snapshot: &Snapshot, before: &Before) -> (Vec<(Key, Option<f32>)>, Before) {
    let at_ns = snapshot.drops.at_ns;
    let counts = counts(snapshot);
    let seconds = at_ns.saturating_sub(before.at_ns) as f64 / NS_PER_SECOND;
    // Counters begin at zero again with new maps, and with a new owner of an id: there is no rate then.
    let rate = |key: &Key, count: u64| {
        let grown = count.checked_sub(*before.counts.get(key)?)?;
        (seconds > 0.0).then(|| (grown as f64 / seconds) as f32)
    };
    let mut values: Vec<_> = counts.iter().map(|(key, count)| (key.clone(), rate(key, *count))).collect();
    values.extend(levels(snapshot));
    (values, Before { at_ns, counts: counts.into_iter().collect() })
}

/// What is counted.
fn counts(snapshot: &Snapshot) -> Vec<(Key, u64)> {
    let dropped = snapshot.drops.drops.iter().map(|drop| drop.count).sum();
    let mut counts = vec![(key(SeriesOf::Node, "", "dropped_packets_per_second"), dropped)];
    for service in snapshot.services.services.iter().take(MAX_SERVICES) {
        counts.extend(traffic(SeriesOf::Service, &service.name, &service.counters));
    }
    for real in snapshot.reals.reals.iter().take(MAX_REALS) {
        counts.extend(traffic(SeriesOf::Real, &real.name, &real.counters));
    }
    counts
}

fn traffic(of: SeriesOf, name: &str, counters: &Counters) -> [(Key, u64); 3] {
    [
        (key(of, name, "packets_per_second"), counters.packets),
        (key(of, name, "bytes_per_second"), counters.bytes),
        (key(of, name, "new_flows_per_second"), counters.syn),
    ]
}

/// What is so just now.
fn levels(snapshot: &Snapshot) -> Vec<(Key, Option<f32>)> {
    let mut levels = vec![(key(SeriesOf::Node, "", "flows"), Some(snapshot.status.flows as f32))];
    for real in snapshot.table.reals.iter().take(MAX_REALS) {
        levels.push((key(SeriesOf::Real, &real.name, "utilisation_ratio"), real.utilisation.map(|share| share as f32)));
        levels.push((key(SeriesOf::Real, &real.name, "weight_ratio"), weight_ratio(real)));
    }
    for path in snapshot.pair.iter().flat_map(|pair| &pair.paths.paths) {
        let rtt = path.rtt.as_ref().map(|rtt| (rtt.smoothed_ms / 1e3) as f32);
        levels.push((key(SeriesOf::Path, &path.name, "rtt_seconds"), rtt));
        levels.push((key(SeriesOf::Path, &path.name, "loss_ratio"), Some(path.loss as f32)));
    }
    levels.extend(snapshot.checkpoint.iter().flat_map(checkpoint));
    levels
}

/// The weight in use, as a share of the configured one.
fn weight_ratio(real: &TableReal) -> Option<f32> {
    (real.configured_weight > 0).then(|| (real.weight / f64::from(real.configured_weight)) as f32)
}

fn checkpoint(checkpoint: &Checkpoint) -> [(Key, Option<f32>); 3] {
    let commit = checkpoint.commit.as_ref();
    let of = |measure| key(SeriesOf::Checkpoint, "", measure);
    [
        (of("age_seconds"), commit.map(|commit| commit.ago_seconds as f32)),
        (of("bytes"), commit.map(|commit| commit.bytes as f32)),
        (of("flows_at_risk"), Some(checkpoint.flows.at_risk as f32)),
    ]
}

fn key(of: SeriesOf, name: &str, measure: &'static str) -> Key {
    (of, name.to_owned(), measure)
}
