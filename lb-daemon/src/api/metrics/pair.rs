//! The pair: this node, its peer, and the paths between them.

use lb_core::api::{LeaseService, NodeState, Pair, Path, PathState, PeerHealth, Role, SyncState};

use super::catalogue as metric;
use super::text::{Metric, Text, Value};
use super::{seconds, states};
use crate::api::snapshot::PairSnapshot;

pub(super) fn render(snapshot: &PairSnapshot, text: &mut Text) {
    own(snapshot, text);
    peer(&snapshot.pair, text);
    stalls(&snapshot.pair, text);
    paths(&snapshot.paths.paths, text);
}

fn own(PairSnapshot { pair, takeovers, .. }: &PairSnapshot, text: &mut Text) {
    text.family(&metric::PAIR_ROLE, states(Role::ALL, pair.role, Role::word));
    text.family(&metric::PAIR_STATE, states(NodeState::ALL, pair.state, NodeState::word));
    text.one(&metric::PAIR_EPOCH, pair.epoch);
    text.one(&metric::PAIR_TAKEOVERS, *takeovers);
    text.one(&metric::PAIR_FITNESS, f64::from(pair.fitness) / 100.0);
    text.one(&metric::PAIR_HELD, pair.held);
    // A silent node has no lease that could run out.
    let has_lease = pair.lease.service != LeaseService::Silent;
    text.known(&metric::PAIR_LEASE, has_lease.then(|| seconds(pair.lease.remaining_ms)));
    text.one(&metric::PAIR_LEASE_EXPIRED, pair.lease.expired);
}

fn peer(pair: &Pair, text: &mut Text) {
    text.family(&metric::PAIR_PEER, states(PeerHealth::ALL, pair.peer.health, PeerHealth::word));
    text.known(&metric::PAIR_HEARD, pair.peer.heard_ms.map(seconds));
    text.family(&metric::PAIR_SYNC, states(SyncState::ALL, pair.sync.state, SyncState::word));
    let detection = &pair.detection;
    let bounds = [("min", detection.min_ms), ("mean", detection.mean_ms), ("max", detection.max_ms)];
    text.family(&metric::PAIR_DETECTION, bounds.map(|(bound, ms)| ([bound], seconds(ms))));
    text.one(&metric::PAIR_DETECTIONS, pair.quality.detections);
    text.one(&metric::PAIR_MISTAKES, pair.quality.mistakes);
    text.one(&metric::PAIR_ACCURACY, pair.quality.accuracy);
}

fn stalls(pair: &Pair, text: &mut Text) {
    text.one(&metric::PAIR_STALLS, pair.stalls.count);
    text.one(&metric::PAIR_STALLED, seconds(pair.stalls.total_ms));
    text.one(&metric::PAIR_LONGEST_STALL, seconds(pair.stalls.longest_ms));
}

fn paths(paths: &[Path], text: &mut Text) {
    let up = |path: &Path| path.state == PathState::Up;
    text.family(&metric::PATH_UP, paths.iter().map(|path| ([path.name.as_str(), path.kind.word()], up(path))));
    each(paths, &metric::PATH_RTT, |path| Some(seconds(path.rtt.as_ref()?.smoothed_ms)), text);
    each(paths, &metric::PATH_LONGEST_RTT, |path| Some(seconds(path.rtt.as_ref()?.max_ms)), text);
    each(paths, &metric::PATH_LOSS, |path| Some(path.loss), text);
    each(paths, &metric::PATH_HEARD, |path| path.heard_ms.map(seconds), text);
    each(paths, &metric::PATH_SENT, |path| Some(path.counters.sent), text);
    each(paths, &metric::PATH_UNSENT, |path| Some(path.counters.unsent), text);
    each(paths, &metric::PATH_RECEIVED, |path| Some(path.counters.received), text);
    text.family(&metric::PATH_ASKS, paths.iter().flat_map(asks));
    let refused = paths
        .iter()
        .flat_map(|path| path.refused.iter().map(|count| ([path.name.as_str(), count.name.as_str()], count.count)));
    text.family(&metric::PATH_REFUSED, refused);
}

/// A sample for each path of which the value is known.
fn each<V: Into<Value>>(paths: &[Path], metric: &Metric<1>, value: fn(&Path) -> Option<V>, text: &mut Text) {
    text.family(metric, paths.iter().filter_map(|path| Some(([path.name.as_str()], value(path)?))));
}

fn asks(path: &Path) -> [([&str; 2], u64); 3] {
    let counters = &path.counters;
    let outcomes = [("acked", counters.acked), ("missed", counters.missed), ("void", counters.void)];
    outcomes.map(|(outcome, count)| ([path.name.as_str(), outcome], count))
}
