//! `lbctl stats`, and its rates.

use std::collections::HashMap;

use lb_core::api::{Counters, NamedCounters, Stats};
use serde::Serialize;

use super::table::{Side, Table};
use super::{Style, count, scaled};

/// What was counted between two samples, per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds between the samples, by the daemon's clock.
    pub seconds: f64,
    /// Sum over all services.
    pub total: Rate,
    /// Each service of the second sample.
    pub services: Vec<NamedRate>,
    /// Each real of the second sample.
    pub reals: Vec<NamedRate>,
    /// Packets dropped.
    pub dropped: f64,
}

/// What one service or real was sent, per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedRate {
    /// Name of the service or the real.
    pub name: String,
    /// Its rates.
    pub rate: Rate,
}

/// Counters, per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Packets.
    pub packets: f64,
    /// Bytes.
    pub bytes: f64,
    /// TCP packets that ask for a connection.
    pub syn: f64,
    /// TCP packets with FIN.
    pub fin: f64,
    /// TCP packets with RST.
    pub rst: f64,
}

impl Rates {
    /// The rates between two samples of one daemon. What is not in the first one counts from zero, and a counter that
    /// went back (the maps were replaced) as no change.
    pub fn between(before: &Stats, after: &Stats) -> Self {
        let seconds = after.at_ns.saturating_sub(before.at_ns) as f64 / 1e9;
        let per_second = |before: u64, after: u64| {
            if seconds > 0.0 { after.saturating_sub(before) as f64 / seconds } else { 0.0 }
        };
        let rate = |before: &Counters, after: &Counters| Rate {
            packets: per_second(before.packets, after.packets),
            bytes: per_second(before.bytes, after.bytes),
            syn: per_second(before.syn, after.syn),
            fin: per_second(before.fin, after.fin),
            rst: per_second(before.rst, after.rst),
        };
        let each = |before: &[NamedCounters], after: &[NamedCounters]| {
            let before: HashMap<&str, Counters> =
                before.iter().map(|named| (named.name.as_str(), named.counters)).collect();
            let named = |named: &NamedCounters| NamedRate {
                name: named.name.clone(),
                rate: rate(&before.get(named.name.as_str()).copied().unwrap_or_default(), &named.counters),
            };
            after.iter().map(named).collect()
        };
        Self {
            seconds,
            total: rate(&before.total, &after.total),
            services: each(&before.services, &after.services),
            reals: each(&before.reals, &after.reals),
            dropped: per_second(before.dropped, after.dropped),
        }
    }
}

/// Counters since the maps were made.
pub fn stats(stats: &Stats, style: Style) -> String {
    let cells =
        |counters: &Counters| [counters.packets, counters.bytes, counters.syn, counters.fin, counters.rst].map(count);
    let services = stats.services.iter().map(|named| (named.name.as_str(), cells(&named.counters)));
    let reals = stats.reals.iter().map(|named| (named.name.as_str(), cells(&named.counters)));
    let text = tables(["Packets", "Bytes", "SYN", "FIN", "RST"], services, cells(&stats.total), reals, style);
    format!("{text}\nDropped: {} packets (lbctl drops says why)\n", count(stats.dropped))
}

/// Counters per second.
pub fn rates(rates: &Rates, style: Style) -> String {
    let cells = |rate: &Rate| [rate.packets, rate.bytes, rate.syn, rate.fin, rate.rst].map(scaled);
    let services = rates.services.iter().map(|named| (named.name.as_str(), cells(&named.rate)));
    let reals = rates.reals.iter().map(|named| (named.name.as_str(), cells(&named.rate)));
    let headings = ["Packets/s", "Bytes/s", "SYN/s", "FIN/s", "RST/s"];
    let text = tables(headings, services, cells(&rates.total), reals, style);
    format!("{text}\nDropped: {} packets/s, over {:.1} seconds\n", scaled(rates.dropped), rates.seconds)
}

fn tables<'a>(
    headings: [&str; 5],
    services: impl Iterator<Item = (&'a str, [String; 5])>,
    total: [String; 5],
    reals: impl Iterator<Item = (&'a str, [String; 5])>,
    style: Style,
) -> String {
    let table = |what: &str| {
        let mut columns = vec![(what.to_owned(), Side::Left)];
        columns.extend(headings.iter().map(|heading| ((*heading).to_owned(), Side::Right)));
        let columns: Vec<(&str, Side)> = columns.iter().map(|(name, side)| (name.as_str(), *side)).collect();
        Table::new(&columns)
    };
    let row = |name: &str, cells: [String; 5]| [vec![name.to_owned()], cells.to_vec()].concat();
    let mut of_services = table("Service");
    services.for_each(|(name, cells)| of_services.row(row(name, cells)));
    of_services.row(row("(all)", total));
    let mut of_reals = table("Real");
    reals.for_each(|(name, cells)| of_reals.row(row(name, cells)));
    format!("{}\n{}", of_services.text(style), of_reals.text(style))
}
