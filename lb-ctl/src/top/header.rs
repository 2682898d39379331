//! The lines at the top: the daemon, traffic, the pair, its paths, and checkpoints.

use lb_core::api::{Checkpoint, NodeState, Pair, PathState, Paths, PeerHealth};

use super::rows::Mood;
use super::screen::Screen;
use crate::render::{count, duration, milliseconds, scaled, short_duration};

/// A line, and how well what it speaks of is.
pub type Line = (String, Mood);

/// One line for each part of the node that there is.
pub fn lines(screen: &Screen) -> Vec<Line> {
    let sample = screen.sample();
    let mut lines = vec![daemon(screen), traffic(screen)];
    lines.extend(sample.pair.as_ref().map(pair));
    lines.extend(sample.paths.as_ref().map(paths));
    lines.extend(sample.checkpoint.as_ref().map(checkpoint));
    lines
}

fn daemon(screen: &Screen) -> Line {
    let status = &screen.sample().status;
    let state = if status.degraded { "DEGRADED" } else { "ok" };
    let warnings = match status.warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    };
    let (version, up) = (&status.version, duration(status.uptime_seconds));
    let mood = if status.degraded { Mood::Bad } else { Mood::Fine };
    (format!("lbd {version}   {state}{warnings}, up {up}, generation {}", status.generation), mood)
}

fn traffic(screen: &Screen) -> Line {
    let flows = format!("{} flows kept", count(screen.sample().status.flows));
    let Some(rates) = screen.rates() else { return (format!("traffic     {flows}"), Mood::Fine) };
    let per_second = [
        (rates.total.packets, "packets/s"),
        (rates.total.bytes, "bytes/s"),
        (rates.total.syn, "new flows/s"),
        (rates.dropped, "drops/s"),
    ];
    let per_second = per_second.map(|(rate, what)| format!("{} {what}", scaled(rate.round())));
    let mood = if rates.dropped > 0.0 { Mood::Notable } else { Mood::Fine };
    (format!("traffic     {}, {flows}", per_second.join(", ")), mood)
}

fn pair(pair: &Pair) -> Line {
    let held = if pair.held { ", held" } else { "" };
    let line = format!(
        "pair        {}, {}{held}, epoch {}, peer {}, {}, {} stalls",
        pair.role,
        pair.state,
        pair.epoch,
        pair.peer.health,
        pair.sync.state.word(),
        pair.stalls.count
    );
    let is_settled = matches!(pair.state, NodeState::Active | NodeState::Standby);
    let mood = match pair.peer.health {
        _ if pair.is_degraded() => Mood::Bad,
        PeerHealth::Alive if is_settled && !pair.held => Mood::Fine,
        _ => Mood::Notable,
    };
    (line, mood)
}

fn paths(paths: &Paths) -> Line {
    let each = paths.paths.iter().map(|path| match (path.state, &path.rtt) {
        (PathState::Up, Some(rtt)) => format!("{} {}", path.name, milliseconds(rtt.smoothed_ms)),
        (PathState::Down, _) => format!("{} DOWN", path.name),
        (state, _) => format!("{} {state}", path.name),
    });
    let mood = if paths.is_degraded() { Mood::Bad } else { Mood::Fine };
    (format!("paths       {}", each.collect::<Vec<_>>().join(", ")), mood)
}

fn checkpoint(checkpoint: &Checkpoint) -> Line {
    let sync = if checkpoint.sync.in_sync { "in sync" } else { "NOT IN SYNC" };
    let stored = checkpoint
        .commit
        .as_ref()
        .map_or("nothing stored yet".to_owned(), |commit| format!("stored {} ago", short_duration(commit.ago_seconds)));
    let disk = if checkpoint.store.error.is_some() { ", DISK FAILS" } else { "" };
    let (role, every) = (checkpoint.role, short_duration(checkpoint.interval.seconds));
    let mood = if checkpoint.is_degraded() { Mood::Bad } else { Mood::Fine };
    let at_risk = checkpoint.flows.at_risk;
    (format!("checkpoint  {role}, {sync}, {stored}{disk}, every {every}, {at_risk} flows at risk"), mood)
}
