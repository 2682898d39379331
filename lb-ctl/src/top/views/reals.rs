//! The view of the reals: state, utilisation and weight with bars, and traffic.

use std::collections::{HashMap, HashSet};

use lb_core::api::{AdminState, Health, TableReal};

use super::super::rows::{Cell, Column, Mood, Row, Rows, Width};
use super::super::screen::Screen;
use super::{UNKNOWN, per_second};
use crate::render::{Rate, scaled};

/// Width of a bar on a screen of 80 columns, without its brackets.
const BAR: u16 = 6;
/// Widest bar.
const WIDE_BAR: u16 = 24;

/// A row for each real.
pub fn rows(screen: &Screen, width: u16) -> Rows {
    let bar = BAR + (width.saturating_sub(80) / 4).min(WIDE_BAR - BAR);
    let columns = vec![
        Column::words("Real", Width::Rest(12)),
        Column::words("State", Width::Exactly(11)),
        Column::words("Utilisation", Width::Exactly(bar + 7)),
        Column::words("Weight", Width::Exactly(bar + 8)),
        Column::numbers("New/s", 6),
        Column::numbers("Packets/s", 9),
        Column::numbers("Bytes/s", 8),
    ];
    let sample = screen.sample();
    let rates = screen.rates();
    let rates: HashMap<&str, Rate> =
        rates.iter().flat_map(|rates| &rates.reals).map(|named| (named.name.as_str(), named.rate)).collect();
    let members = sample.services.services.iter().flat_map(|service| &service.reals);
    let lost: HashSet<&str> = members.filter(|real| !real.next_hop_resolved).map(|real| real.name.as_str()).collect();
    let most = sample.table.reals.iter().map(|real| real.weight).fold(0.0, f64::max);
    let row = |real: &TableReal| {
        let (state, mood) = state(real, lost.contains(real.name.as_str()));
        let rate = rates.get(real.name.as_str());
        let cells = vec![
            Cell::words(&real.name),
            Cell::words(state),
            utilisation(real.utilisation, bar),
            weight(real.weight, most, bar),
            per_second(rate.map(|rate| rate.syn)),
            per_second(rate.map(|rate| rate.packets)),
            per_second(rate.map(|rate| rate.bytes)),
        ];
        Row { cells, mood }
    };
    Rows { columns, rows: sample.table.reals.iter().map(row).collect(), empty: "No reals are configured." }
}

/// The one thing that matters most, in a word or two.
fn state(real: &TableReal, is_lost: bool) -> (&'static str, Mood) {
    match (real.admin, real.health) {
        (AdminState::Drained | AdminState::Disabled, _) => (real.admin.word(), Mood::Notable),
        (AdminState::Enabled, Health::Down) => (real.health.word(), Mood::Bad),
        (AdminState::Enabled, _) if is_lost => ("no next hop", Mood::Bad),
        (AdminState::Enabled, Health::Partly | Health::Joining) => (real.health.word(), Mood::Notable),
        (AdminState::Enabled, _) if real.hot => ("hot", Mood::Notable),
        (AdminState::Enabled, Health::Up | Health::Unchecked) => (real.health.word(), Mood::Fine),
    }
}

fn utilisation(share: Option<f64>, width: u16) -> Cell {
    let percent = share.map_or(format!("{UNKNOWN:>4}"), |share| format!("{:>3.0}%", 100.0 * share));
    Cell::number(share, format!("{} {percent}", bar(share.unwrap_or_default(), width)))
}

fn weight(weight: f64, most: f64, width: u16) -> Cell {
    let share = if most > 0.0 { weight / most } else { 0.0 };
    Cell::number(Some(weight), format!("{} {:>5}", bar(share, width), scaled(weight)))
}

/// `[###   ]`: marks and not colours, so that every terminal can show it. Something is never shown as nothing.
fn bar(share: f64, width: u16) -> String {
    let width = usize::from(width);
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    let full = if share > 0.0 { full.max(1) } else { full };
    format!("[{:<width$}]", "#".repeat(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_say_how_much() {
        let wanted = [(0.0, "[    ]"), (0.01, "[#   ]"), (0.5, "[##  ]"), (1.0, "[####]"), (1.7, "[####]")];
        for (share, text) in wanted {
            assert_eq!(bar(share, 4), text, "{share}");
        }
        assert_eq!(bar(f64::NAN, 4), "[    ]");
    }

    #[test]
    fn a_weight_is_measured_by_the_greatest() {
        assert_eq!(weight(50.0, 100.0, 4).text, "[##  ]    50");
        assert_eq!(weight(0.0, 0.0, 4).text, "[    ]     0");
    }
}
