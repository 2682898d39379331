//! What the API shows of the pair: made from the heartbeat thread's newest view.

use lb_core::api::{
    Count, Detection, Lease, LeaseService, Pair, PairPeer, PairStatus, Path, PathCounters, PathState, Paths, PeerSays,
    Quality, Rtt, Stalls, Sync, Warning,
};
use lb_core::pair::view::{LeaseView, PairView, PeerView, QualityView};
use lb_core::pair::wire::Refusal;
use lb_core::pair::{self, Micros, Peer, State, view};

use super::warning;
use super::words::{self, ms};
use crate::peer::{DeviceView, View};

/// `GET /v1/pair`.
pub(super) fn pair(view: &View, handicaps: Vec<String>) -> Pair {
    let pair = &view.pair;
    Pair {
        role: words::role(pair.role),
        state: words::state(pair.state),
        state_seconds: pair.for_us as f64 / 1e6,
        epoch: pair.epoch,
        boot: pair.boot,
        fitness: pair.fitness,
        lacks: Some(pair.lacks.clone()).filter(|lacks| !lacks.is_empty()),
        held: pair.held,
        forbidden: pair.forbidden.clone(),
        moving: pair.moving.clone(),
        lease: lease(&pair.lease),
        peer: peer(&pair.peer),
        sync: in_sync(pair),
        detection: detection(pair),
        quality: quality(&pair.quality),
        stalls: Stalls {
            count: pair.stalls.count,
            longest_ms: ms(pair.stalls.longest_us),
            total_ms: ms(pair.stalls.total_us),
        },
        handicaps,
    }
}

/// `GET /v1/paths`.
pub(super) fn paths(view: &View) -> Paths {
    let both = view.pair.paths.iter().zip(&view.devices);
    Paths { paths: both.map(|(core, daemon)| path(core, daemon)).collect(), overall: quality(&view.pair.quality) }
}

/// The pair's part of `GET /v1/status`.
pub(super) fn status(view: &View) -> PairStatus {
    let pair = &view.pair;
    PairStatus {
        role: words::role(pair.role),
        state: words::state(pair.state),
        epoch: pair.epoch,
        held: pair.held,
        lease: lease(&pair.lease),
        peer: words::health(pair.peer.health),
        sync: in_sync(pair),
        detection: detection(pair),
    }
}

/// What an operator should know of the pair.
pub(super) fn warnings(view: &View, handicaps: &[String]) -> Vec<Warning> {
    let pair = &view.pair;
    let mut warnings = own_warnings(pair);
    warnings.extend(peer_warning(pair));
    let both = pair.paths.iter().zip(&view.devices);
    warnings.extend(both.filter_map(|(core, daemon)| path_warning(core, daemon)));
    if matches!(pair.sync, pair::Sync::VipsDiffer | pair::Sync::ServicesDiffer) {
        warnings.push(warning("pair", pair.sync.reason().to_owned(), true));
    }
    warnings.extend(handicaps.iter().map(|line| warning("heartbeats", line.clone(), false)));
    warnings
}

/// What is wrong with this node itself.
fn own_warnings(pair: &PairView) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(reason) = pair.forbidden.as_ref().filter(|_| pair.state == State::Active) {
        // It goes on: it has the VIPs, and nobody else does.
        warnings.push(warning("pair", reason.clone(), true));
    } else if let Some(reason) = &pair.forbidden {
        warnings.push(warning("pair", format!("this node must not serve: {reason}"), true));
    } else if pair.state == State::Fenced {
        warnings.push(warning("pair", "this node is fenced: `lbctl events` says why".to_owned(), true));
    }
    if lease(&pair.lease).expired {
        let message =
            "it has ended, and this node is silent for the VIPs until it hears its peer or knows that it is dead";
        warnings.push(warning("lease", message.to_owned(), true));
    }
    if !pair.lacks.is_empty() {
        warnings.push(warning("pair", format!("this node is fit by {} of 100: {}", pair.fitness, pair.lacks), true));
    }
    if pair.held {
        let message = "an operator holds this node back from becoming active; `lbctl hold off` lets go";
        warnings.push(warning("pair", message.to_owned(), false));
    }
    warnings
}

fn peer_warning(pair: &PairView) -> Option<Warning> {
    if pair.peer.health != Peer::Dead {
        return None;
    }
    let since = pair
        .peer
        .word
        .map_or("since this node started".to_owned(), |word| format!("for {:.1} s", word.heard_us as f64 / 1e6));
    let message = format!("it has not been heard on any path {since}: nobody would take over from this node");
    Some(warning("peer", message, true))
}

fn path_warning(core: &view::PathView, daemon: &DeviceView) -> Option<Warning> {
    let is_down = !core.usable || words::path_state(core.level, core.usable) == PathState::Down;
    let refusal = daemon.refused_lately.or(daemon.counters.last_refusal.filter(|_| core.heard_us.is_none()));
    let message = match (&daemon.unusable, refusal) {
        (Some(problem), _) if is_down => problem.clone(),
        (_, Some(refusal)) if is_down || daemon.refused_lately.is_some() => {
            format!("what comes in is refused: {refusal}")
        }
        _ if is_down => {
            format!("no ack to {} asks in a row: look at its cable, its switch, and the other end", core.run)
        }
        _ => return None,
    };
    Some(warning(&format!("path {}", daemon.name), message, is_down))
}

fn lease(lease: &LeaseView) -> Lease {
    let service = words::service(lease.service);
    Lease {
        service,
        remaining_ms: ms(lease.remaining_us),
        expired: service != LeaseService::Silent && lease.remaining_us == 0,
        reconfirming: lease.reconfirming,
    }
}

fn peer(peer: &PeerView) -> PairPeer {
    PairPeer {
        health: words::health(peer.health),
        heard_ms: peer.word.map(|word| ms(word.heard_us)),
        says: peer.word.map(|word| PeerSays {
            state: words::state(word.state),
            epoch: word.epoch,
            boot: word.boot,
            fitness: word.fitness,
            held: word.flags.held,
            in_sync: word.flags.in_sync,
            unable: word.flags.unable,
            lease_ms: ms(word.lease_us),
        }),
        version: peer.facts.map(|facts| facts.program.map(|part| part.to_string()).join(".")),
        same_role_frames: peer.same_role_frames,
    }
}

fn in_sync(pair: &PairView) -> Sync {
    Sync { state: words::sync(pair.sync), reason: pair.sync.reason().to_owned() }
}

fn detection(pair: &PairView) -> Detection {
    let (min, mean, max) = pair.detection_us;
    Detection { min_ms: ms(min), mean_ms: ms(mean), max_ms: ms(max) }
}

fn quality(quality: &QualityView) -> Quality {
    let measured = |us: Micros| (quality.detections > 0).then(|| ms(us));
    Quality {
        detections: quality.detections,
        detection_mean_ms: measured(quality.detection_mean_us),
        detection_max_ms: measured(quality.detection_max_us),
        mistakes: quality.mistakes,
        accuracy: f64::from(quality.accuracy_permille) / 1e3,
    }
}

fn path(core: &view::PathView, daemon: &DeviceView) -> Path {
    let DeviceView { name, unusable, counters, .. } = daemon;
    Path {
        id: core.id,
        name: name.clone(),
        kind: words::path_kind(core.kind),
        state: words::path_state(core.level, core.usable),
        silent: core.silent,
        problem: unusable.clone(),
        interval_ms: ms(core.interval_us),
        rtt: rtt(&core.rtt),
        loss: f64::from(core.loss_permille) / 1e3,
        missed_in_a_row: core.run,
        heard_ms: core.heard_us.map(ms),
        counters: PathCounters {
            sent: core.counters.sent,
            unsent: counters.unsent,
            received: core.counters.received,
            asked: core.counters.asked,
            acked: core.counters.acked,
            missed: core.counters.missed,
            void: core.counters.void,
            unanswered: core.counters.unanswered,
        },
        refused: refused(core, daemon),
        quality: quality(&core.quality),
    }
}

fn rtt(rtt: &view::Rtt) -> Option<Rtt> {
    let ms = |us: u32| ms(us.into());
    (rtt.max_us > 0).then(|| Rtt {
        last_ms: ms(rtt.last_us),
        smoothed_ms: ms(rtt.smoothed_us),
        min_ms: ms(rtt.min_us),
        max_ms: ms(rtt.max_us),
    })
}

/// What was not taken for a fresh frame of the peer, by reason.
fn refused(core: &view::PathView, daemon: &DeviceView) -> Vec<Count> {
    let count = |name: &str, count, explanation: &str| Count {
        name: name.to_owned(),
        count,
        explanation: explanation.to_owned(),
    };
    let by_codec = Refusal::NAMES.into_iter().zip(daemon.counters.refused);
    let mut counts: Vec<Count> = by_codec.map(|(name, number)| count(name, number, explanation(name))).collect();
    counts.push(count(
        "replayed",
        core.counters.replayed,
        "not newer than a frame that came before: replayed or doubled",
    ));
    counts.push(count("stale", core.counters.stale, "echoes nothing that this node has sent lately"));
    counts.push(count("forwarded", daemon.counters.forwarded, "came from beyond the link"));
    counts.push(count("garbage", daemon.counters.garbage, "too long or too short for any frame"));
    counts
}

fn explanation(refusal: &str) -> &'static str {
    match refusal {
        "malformed" => "not a frame, or damaged on the way",
        "unknown_key" => "names a key that is not in the key file: the key files of the two nodes differ",
        "wrong_key" => "signed with a key that is bound to a real",
        "bad_tag" => "not signed with the key that it names: forged, damaged, or the secrets differ",
        "version" => "of another version of the frames: bring both nodes to the same version",
        "own_direction" => "from a node of this node's own role, or sent back by the network",
        "wrong_path" => "of another path: the nodes list their paths in different order, or cables are swapped",
        _ => "",
    }
}
