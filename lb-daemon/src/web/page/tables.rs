//! What is known of services, reals, paths, drops and checkpoints, as tables.

use lb_core::api::{
    Checkpoint, Count, History, Path, PathState, Real, SeriesOf, Service, ServiceList, TableReal, Warning,
};

use super::format::{bytes, count, duration, known, percent};
use super::html::{Escaped, Html, data, element, facts, table};
use crate::api::snapshot::{PairSnapshot, Snapshot};

/// What should be looked at, the worst first.
pub(super) fn warnings(warnings: &[Warning]) -> Html {
    let mut sorted: Vec<&Warning> = warnings.iter().collect();
    sorted.sort_by_key(|warning| !warning.degraded);
    let item = |warning: &&Warning| {
        let (class, word) = if warning.degraded { ("bad", "degraded") } else { ("warn", "notice") };
        let parts = [mark(class, word), " ".into(), element("b", warning.subject.as_str()), ": ".into()];
        element("li", Html::from_iter(parts.into_iter().chain([Html::text(&warning.message)])))
    };
    let list = if sorted.is_empty() {
        element("p", Html::from_iter([mark("ok", "well"), " nothing needs attention".into()]))
    } else {
        element("ul class=\"warnings\"", sorted.iter().map(item).collect::<Html>())
    };
    element("div id=\"warnings\" data-live", list)
}

/// A word with its colour.
pub(super) fn mark(class: &str, word: &str) -> Html {
    element(&format!("span class=\"mark {class}\""), word)
}

pub(super) fn services(services: &[Service], history: &History) -> Html {
    let row = |service: &Service| {
        let serving = service.reals.iter().filter(|real| real.slots > 0).count();
        let rate = |measure| newest(history, SeriesOf::Service, &service.name, measure);
        vec![
            Html::text(&service.name),
            Html::text(format!("{} {} {}", service.vip_text(), service.protocol, service.ports)),
            Html::text(service.mode),
            Html::text(format!("{serving} of {}", service.reals.len())),
            Html::text(known(rate("packets_per_second"), count)),
            Html::text(known(rate("bytes_per_second"), bytes)),
            Html::text(known(rate("new_flows_per_second"), count)),
            data(service.counters.packets, count(service.counters.packets as f64)),
            data(service.counters.bytes, bytes(service.counters.bytes as f64)),
            Html::text(service.slots.remembering + service.slots.marked),
        ]
    };
    let columns = [
        "service",
        "VIP and port",
        "mode",
        "reals in use",
        "packets/s",
        "bytes/s",
        "new flows/s",
        "packets",
        "bytes",
        "slots not clean",
    ];
    table("services", "Services", &columns, services.iter().map(row))
}

pub(super) fn reals(snapshot: &Snapshot, history: &History) -> Html {
    let both = snapshot.reals.reals.iter().zip(&snapshot.table.reals);
    let rows = both.map(|(real, state)| real_row(real, state, history));
    let columns = [
        "real",
        "address",
        "health",
        "operator",
        "weight",
        "utilisation",
        "packets/s",
        "new flows/s",
        "packets",
        "bytes",
        "next hop",
        "why this weight",
    ];
    table("reals", "Real servers", &columns, rows)
}

fn real_row(real: &Real, state: &TableReal, history: &History) -> Vec<Html> {
    let rate = |measure| newest(history, SeriesOf::Real, &real.name, measure);
    let mut health = mark(health_class(real), real.health.word());
    if let Some(reason) = &real.health_reason {
        health.push(format!(" {reason}"));
    }
    let hop = real.next_hop.as_ref();
    let interface = hop.map(|hop| hop.interface.clone().unwrap_or_else(|| hop.ifindex.to_string()));
    vec![
        Html::text(&real.name),
        Html::text(real.address),
        health,
        Html::text(real.admin),
        weight(state),
        state.utilisation.map_or_else(|| "–".into(), |share| meter("utilisation", share, percent(share))),
        Html::text(known(rate("packets_per_second"), count)),
        Html::text(known(rate("new_flows_per_second"), count)),
        data(real.counters.packets, count(real.counters.packets as f64)),
        data(real.counters.bytes, bytes(real.counters.bytes as f64)),
        interface.map_or_else(|| mark("bad", "not known"), Html::text),
        Html::text(&state.why_text),
    ]
}

fn health_class(real: &Real) -> &'static str {
    use lb_core::api::Health;
    match real.health {
        Health::Up => "ok",
        Health::Down => "bad",
        Health::Partly => "warn",
        Health::Joining | Health::Unchecked => "off",
    }
}

/// The weight in use beside the configured one.
fn weight(real: &TableReal) -> Html {
    let share = if real.configured_weight == 0 { 0.0 } else { real.weight / f64::from(real.configured_weight) };
    meter("weight", share.min(2.0) / 2.0, format!("{} of {}", count(real.weight.round()), real.configured_weight))
}

/// A bar, and its value in words.
fn meter(name: &str, share: f64, text: String) -> Html {
    let value = share.clamp(0.0, 1.0);
    let label = Escaped(&format!("{name}: {text}")).to_string();
    let bar = Html::raw(format!("<meter min=\"0\" max=\"1\" value=\"{value:.3}\" aria-label=\"{label}\"></meter>"));
    Html::from_iter([bar, " ".into(), Html::text(text)])
}

/// The newest value of a series.
fn newest(history: &History, of: SeriesOf, name: &str, measure: &str) -> Option<f64> {
    history.series(of, name, measure)?.values.last().copied().flatten().map(f64::from)
}

/// Who gets which part of a service's new flows.
pub(super) fn shares(list: &ServiceList) -> Html {
    let rows = list.services.iter().flat_map(|service| {
        let all: u32 = service.reals.iter().map(|real| real.slots).sum();
        service.reals.iter().map(move |real| {
            let share = if all == 0 { 0.0 } else { f64::from(real.slots) / f64::from(all) };
            vec![
                Html::text(format!("{} → {}", service.name, real.name)),
                Html::text(real.health),
                meter("share of new flows", share, percent(share)),
                data(real.slots, real.slots),
            ]
        })
    });
    table("shares", "Shares of new flows", &["service and real", "health", "share", "slots"], rows)
}

pub(super) fn drops(drops: &[Count], events: &[Count]) -> Html {
    let seen = drops.iter().map(|drop| ("dropped", drop)).chain(events.iter().map(|event| ("event", event)));
    let rows = seen.filter(|(_, counted)| counted.count > 0).map(|(kind, counted)| {
        vec![
            Html::text(&counted.name),
            Html::text(kind),
            data(counted.count, count(counted.count as f64)),
            Html::text(&counted.explanation),
        ]
    });
    table("drops", "Packets that were dropped, and what else happened", &["reason", "kind", "packets", "meaning"], rows)
}

pub(super) fn pair(snapshot: &PairSnapshot) -> Html {
    let pair = &snapshot.pair;
    let lease = format!("{}, {} left", pair.lease.service, duration(pair.lease.remaining_ms / 1e3));
    let detection = [pair.detection.min_ms, pair.detection.mean_ms, pair.detection.max_ms].map(|ms| duration(ms / 1e3));
    let stalls = format!("{}, the longest {}", pair.stalls.count, duration(pair.stalls.longest_ms / 1e3));
    facts(
        "pair",
        [
            ("role", Html::text(pair.role)),
            ("state", Html::text(format!("{} for {}", pair.state, duration(pair.state_seconds)))),
            ("epoch", Html::text(pair.epoch)),
            ("takeovers since the start", Html::text(snapshot.takeovers)),
            ("fitness", Html::text(format!("{} of 100 {}", pair.fitness, pair.lacks.as_deref().unwrap_or("")))),
            ("lease", Html::text(lease)),
            ("peer", Html::text(pair.peer.health)),
            ("in sync", Html::text(&pair.sync.reason)),
            (
                "a dead peer shows after",
                Html::text(format!("{} to {}, {} in the mean", detection[0], detection[2], detection[1])),
            ),
            ("mistakes of the detector", Html::text(pair.quality.mistakes)),
            ("stalls of the heartbeats", Html::text(stalls)),
        ],
    )
}

pub(super) fn paths(paths: &[Path]) -> Html {
    let row = |path: &Path| {
        let class = match path.state {
            PathState::Up => "ok",
            PathState::Down => "bad",
            PathState::Unknown => "off",
        };
        let refused: u64 = path.refused.iter().map(|count| count.count).sum();
        vec![
            Html::text(&path.name),
            mark(class, path.state.word()),
            Html::text(known(path.rtt.as_ref(), |rtt| duration(rtt.smoothed_ms / 1e3))),
            Html::text(percent(path.loss)),
            Html::text(known(path.heard_ms, |ms| duration(ms / 1e3))),
            data(path.counters.missed, count(path.counters.missed as f64)),
            data(refused, count(refused as f64)),
            Html::text(path.problem.as_deref().unwrap_or("")),
        ]
    };
    let columns = ["path", "state", "round trip", "loss", "heard ago", "missed", "refused", "problem"];
    table("paths", "Paths to the peer", &columns, paths.iter().map(row))
}

pub(super) fn checkpoint(checkpoint: &Checkpoint) -> Html {
    let commit = checkpoint.commit.as_ref();
    let in_sync = match (&checkpoint.sync.why, checkpoint.sync.in_sync) {
        (_, true) => mark("ok", "in sync"),
        (why, false) => {
            Html::from_iter([mark("bad", "not in sync"), format!(" {}", why.as_deref().unwrap_or("")).into()])
        }
    };
    let store = &checkpoint.store;
    let used = format!("{} of {}", bytes(store.bytes as f64), bytes(store.max_bytes as f64));
    let stream = checkpoint.stream.as_ref();
    facts(
        "checkpoint",
        [
            ("this node", Html::text(checkpoint.role)),
            ("what is known", in_sync),
            ("newest on disk", Html::text(known(commit, |commit| format!("{} ago", duration(commit.ago_seconds))))),
            (
                "its size",
                Html::text(known(commit, |commit| {
                    format!("{}, {} entries", bytes(commit.bytes as f64), commit.entries)
                })),
            ),
            ("it took", Html::text(known(commit, |commit| duration(commit.took_ms / 1e3)))),
            ("interval", Html::text(duration(checkpoint.interval.seconds))),
            ("files", Html::text(used)),
            ("disk", store.error.as_deref().map_or_else(|| "well".into(), Html::text)),
            ("flows at risk", Html::text(format!("{} of {}", checkpoint.flows.at_risk, checkpoint.flows.known))),
            ("the peer lags by", Html::text(known(stream, |stream| duration(stream.lag_ms / 1e3)))),
        ],
    )
}
