//! The views: what each of them says of a sample.

mod reals;
mod services;

use lb_core::api::{Count, PathState};

use super::rows::{Cell, Column, Mood, Row, Rows, Sort, Width};
use super::screen::Screen;
use crate::render::{count, milliseconds, scaled, wrap};

/// What stands for a value that is not known.
pub(super) const UNKNOWN: &str = "-";

/// What is shown below the head of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The reals.
    Reals,
    /// The services.
    Services,
    /// Drop reasons and events.
    Drops,
    /// The heartbeat paths.
    Paths,
    /// What an operator should know.
    Warnings,
}

impl View {
    /// Every view, by the keys that they have.
    pub const ALL: [Self; 5] = [Self::Reals, Self::Services, Self::Drops, Self::Paths, Self::Warnings];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Reals => "Reals",
            Self::Services => "Services",
            Self::Drops => "Drops",
            Self::Paths => "Paths",
            Self::Warnings => "Warnings",
        }
    }

    /// How it is sorted at first: what was dropped most is what one looks for.
    pub fn sort(self) -> Option<Sort> {
        (self == Self::Drops).then_some(Sort { column: 1, reversed: false })
    }

    /// The one that is so many behind it.
    pub fn next(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// The rows of a view, in the order of the configuration.
pub fn rows(screen: &Screen, view: View, width: u16) -> Rows {
    match view {
        View::Reals => reals::rows(screen, width),
        View::Services => services::rows(screen),
        View::Drops => drops(screen, width),
        View::Paths => paths(screen),
        View::Warnings => warnings(screen, width),
    }
}

fn drops(screen: &Screen, width: u16) -> Rows {
    let columns = vec![
        Column::words("Name", Width::Exactly(20)),
        Column::numbers("Packets", 10),
        Column::numbers("Packets/s", 9),
        Column::words("Meaning", Width::Rest(20)),
    ];
    let meaning = rest(&columns, width);
    let (now, before) = (&screen.sample().drops, screen.before().map(|before| &before.drops));
    let seconds = before.map(|before| now.at_ns.saturating_sub(before.at_ns) as f64 / 1e9);
    let row = |entry: &Count, old: Option<&Vec<Count>>, mood: Mood| {
        let old = old.and_then(|old| old.iter().find(|old| old.name == entry.name)).map(|old| old.count);
        let rate = old.zip(seconds).filter(|(_, seconds)| *seconds > 0.0);
        let rate = rate.map(|(old, seconds)| entry.count.saturating_sub(old) as f64 / seconds);
        let cells = vec![
            Cell::words(&entry.name),
            Cell::number(Some(entry.count as f64), count(entry.count)),
            per_second(rate),
            Cell::words(wrap(&entry.explanation, meaning).join("\n")),
        ];
        Row { cells, mood: if rate.is_some_and(|rate| rate > 0.0) { mood } else { Mood::Fine } }
    };
    let dropped = now.drops.iter().map(|entry| row(entry, before.map(|before| &before.drops), Mood::Bad));
    let events = now.events.iter().map(|entry| row(entry, before.map(|before| &before.events), Mood::Fine));
    let rows = dropped.chain(events).collect();
    Rows { columns, rows, empty: "Nothing is counted." }
}

fn paths(screen: &Screen) -> Rows {
    let columns = vec![
        Column::words("Path", Width::Rest(18)),
        Column::words("State", Width::Exactly(13)),
        Column::numbers("Tb", 8),
        Column::numbers("RTT", 8),
        Column::numbers("Loss", 6),
        Column::numbers("Heard", 8),
        Column::numbers("Misses", 8),
    ];
    let row = |path: &lb_core::api::Path| {
        let rtt = path.rtt.as_ref().map(|rtt| rtt.smoothed_ms);
        let cells = vec![
            Cell::words(&path.name),
            Cell::words(if path.silent { format!("{}, silent", path.state) } else { path.state.to_string() }),
            Cell::number(Some(path.interval_ms), milliseconds(path.interval_ms)),
            Cell::number(rtt, rtt.map_or(UNKNOWN.to_owned(), milliseconds)),
            Cell::number(Some(path.loss), format!("{:.1}%", 100.0 * path.loss)),
            Cell::number(path.heard_ms, path.heard_ms.map_or(UNKNOWN.to_owned(), milliseconds)),
            Cell::number(Some(path.counters.missed as f64), count(path.counters.missed)),
        ];
        let mood = match path.state {
            PathState::Up if !path.silent => Mood::Fine,
            PathState::Unknown => Mood::Notable,
            PathState::Up | PathState::Down => Mood::Bad,
        };
        Row { cells, mood }
    };
    let rows = screen.sample().paths.iter().flat_map(|paths| &paths.paths).map(row).collect();
    Rows { columns, rows, empty: "This node is solo: it has no peer, and no path to one." }
}

fn warnings(screen: &Screen, width: u16) -> Rows {
    let columns = vec![Column::words("Subject", Width::Exactly(20)), Column::words("Warning", Width::Rest(30))];
    let message = rest(&columns, width);
    let row = |warning: &lb_core::api::Warning| Row {
        cells: vec![Cell::words(&warning.subject), Cell::words(wrap(&warning.message, message).join("\n"))],
        mood: if warning.degraded { Mood::Bad } else { Mood::Notable },
    };
    let rows = screen.sample().status.warnings.iter().map(row).collect();
    Rows { columns, rows, empty: "There is nothing to warn of." }
}

/// What the column that takes the rest gets of `width`, in characters.
fn rest(columns: &[Column], width: u16) -> usize {
    // One for the mark of the selected row, and one between columns.
    let between = u16::try_from(columns.len()).unwrap_or(u16::MAX);
    let others = columns.iter().map(|column| match column.width {
        Width::Exactly(width) => width,
        Width::Rest(_) => 0,
    });
    let least = columns.iter().find_map(|column| match column.width {
        Width::Exactly(_) => None,
        Width::Rest(least) => Some(least),
    });
    let rest = width.saturating_sub(others.fold(between, u16::saturating_add));
    usize::from(rest.max(least.unwrap_or_default()))
}

/// A rate; unknown before the second sample.
fn per_second(rate: Option<f64>) -> Cell {
    Cell::number(rate, rate.map_or(UNKNOWN.to_owned(), |rate| scaled(rate.round())))
}
