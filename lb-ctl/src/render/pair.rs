//! `lbctl pair`, and what came of requests that steer it.

use std::time::Duration;

use lb_core::api::{
    Detection, Lease, LeaseService, NodeState, Pair, PairChanged, PairPeer, PairStatus, PeerHealth, Quality, Sync,
    SyncState,
};

use super::{Style, duration, labelled, milliseconds};

/// How the pair is, as the node sees it.
pub fn pair(pair: &Pair, style: Style) -> String {
    let since = duration(pair.state_seconds as u64);
    let node = format!(
        "{}, {} for {since}, epoch {}, fitness {} of 100",
        pair.role,
        state(pair.state, style),
        pair.epoch,
        pair.fitness
    );
    let mut text = labelled("node        ", &node);
    text += &labelled("lease       ", &lease(&pair.lease, style));
    text += &labelled("peer        ", &peer(&pair.peer, style));
    text += &labelled("in sync     ", &sync(&pair.sync, style));
    text += &labelled("detection   ", &detection(&pair.detection));
    text += &labelled("so far      ", &quality(&pair.quality));
    if pair.stalls.count > 0 {
        let (longest, total) = (milliseconds(pair.stalls.longest_ms), milliseconds(pair.stalls.total_ms));
        let stalls = format!("off the CPU {} times, {longest} at most, {total} together", pair.stalls.count);
        text += &labelled("stalls      ", &stalls);
    }
    text + &notes(pair, style)
}

fn notes(pair: &Pair, style: Style) -> String {
    let held = pair.held.then(|| "an operator holds this node back; `lbctl hold off` lets go".to_owned());
    let notes = [
        ("moving      ", pair.moving.clone(), Style::notable as fn(Style, &str) -> String),
        ("held        ", held, Style::notable),
        ("lacks       ", pair.lacks.clone(), Style::bad),
        ("forbidden   ", pair.forbidden.clone(), Style::bad),
    ];
    let mut text = String::new();
    for (label, note, colour) in notes {
        text += &note.map(|note| coloured(label, &note, |label| colour(style, label))).unwrap_or_default();
    }
    for line in &pair.handicaps {
        text += &coloured("warning     ", line, |label| style.notable(label));
    }
    text
}

fn coloured(label: &str, text: &str, colour: impl Fn(&str) -> String) -> String {
    labelled(label, text).replacen(label, &colour(label), 1)
}

/// The pair in `lbctl status`.
pub fn in_status(pair: &PairStatus, style: Style) -> String {
    let held = if pair.held { ", held" } else { "" };
    let node = format!(
        "{}, {}{held}, epoch {}; the peer is {}; {}",
        pair.role,
        state(pair.state, style),
        pair.epoch,
        health(pair.peer, style),
        pair.sync.reason
    );
    let mut text = labelled("pair        ", &node);
    text += &labelled("lease       ", &lease(&pair.lease, style));
    text + &labelled("detection   ", &detection(&pair.detection))
}

fn state(state: NodeState, style: Style) -> String {
    let word = state.word();
    match state {
        NodeState::Active => style.good(word),
        NodeState::Standby => word.to_owned(),
        NodeState::Starting | NodeState::TakingOver | NodeState::Yielding => style.notable(word),
        NodeState::Fenced => style.bad(word),
    }
}

fn health(health: PeerHealth, style: Style) -> String {
    let word = health.word();
    match health {
        PeerHealth::Alive => style.good(word),
        PeerHealth::Unknown | PeerHealth::Degraded => style.notable(word),
        PeerHealth::Dead => style.bad(word),
    }
}

fn lease(lease: &Lease, style: Style) -> String {
    let service = match lease.service {
        LeaseService::Silent => return "none: this node is silent for the VIPs".to_owned(),
        LeaseService::Serving => "serving",
        LeaseService::Draining => "draining",
    };
    let reconfirming = if lease.reconfirming { ", to be confirmed by the peer" } else { "" };
    if lease.expired {
        return style.bad("expired: this node is silent for the VIPs") + reconfirming;
    }
    format!("{service}, {} left{reconfirming}", milliseconds(lease.remaining_ms))
}

fn peer(peer: &PairPeer, style: Style) -> String {
    let mut parts = vec![health(peer.health, style)];
    if let Some(says) = &peer.says {
        parts.push(format!("{}, epoch {}, fitness {} of 100", says.state, says.epoch, says.fitness));
        let flags = [(says.held, "held"), (says.unable, "not able to serve")];
        parts.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
    }
    parts.extend(peer.heard_ms.map(|ms| format!("heard {} ago", milliseconds(ms))));
    parts.extend(peer.version.as_ref().map(|version| format!("lbd {version}")));
    if peer.same_role_frames > 0 {
        parts.push(format!("{} frames came from a node of the same role", peer.same_role_frames));
    }
    parts.join(", ")
}

fn sync(sync: &Sync, style: Style) -> String {
    let word = match sync.state {
        SyncState::InSync => style.good("yes"),
        SyncState::Unknown | SyncState::SlotsDiffer | SyncState::FlowsApart => style.notable("no"),
        SyncState::VipsDiffer | SyncState::ServicesDiffer => style.bad("no"),
    };
    format!("{word}: {}", sync.reason)
}

fn detection(detection: &Detection) -> String {
    let Detection { min_ms, mean_ms, max_ms } = *detection;
    let (min, mean, max) = (milliseconds(min_ms), milliseconds(mean_ms), milliseconds(max_ms));
    format!("a dead peer is found out in {min} to {max}, in the mean {mean}")
}

/// T_D, mistakes and P_A in words.
fn quality(quality: &Quality) -> String {
    let detections = match (quality.detection_mean_ms, quality.detection_max_ms) {
        (Some(mean), Some(max)) => {
            format!("T_D {} ({} times, {} at most)", milliseconds(mean), quality.detections, milliseconds(max))
        }
        _ => "no death of the peer".to_owned(),
    };
    format!("{detections}, {} mistakes, P_A {:.1}%", quality.mistakes, 100.0 * quality.accuracy)
}

/// After `handover`.
pub fn handed_over(changed: &PairChanged) -> String {
    format!("Handed over: this node is now {} (epoch {})\n", changed.state, changed.epoch)
}

/// After `hold`.
pub fn held(changed: &PairChanged) -> String {
    let what = if changed.held {
        "held back: it does not become active, until `lbctl hold off`"
    } else {
        "not held back: it may become active"
    };
    format!("This node is {}, and {what}\n", changed.state)
}

/// After `restart`.
pub fn restarting(changed: &PairChanged, grace: Duration) -> String {
    let grace = milliseconds(grace.as_secs_f64() * 1000.0);
    format!("lbd ends; this node stays {} if lbd is back within {grace}\n", changed.state)
}
