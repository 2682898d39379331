//! Turns the API's answers into text. Pure: the same answer gives the same text.

mod changes;
mod checkpoint;
mod config;
mod counts;
mod doctor;
mod drops;
mod events;
mod flows;
mod models;
mod pair;
mod paths;
mod reals;
mod reports;
mod scheduling;
mod services;
mod simulate;
mod stats;
mod status;
pub mod table;
#[cfg(test)]
mod tests;
mod trace;

use std::ffi::OsStr;
use std::net::IpAddr;

use lb_core::api::{AdminState, Health};
use time::OffsetDateTime;

pub use changes::{admin, reload, weight};
pub use checkpoint::{
    advice, checkpoint, checkpoint_exported, checkpoint_files, checkpoint_imported, checkpoint_news, checkpoint_taken,
    checkpoint_verified, quantity, seconds,
};
pub use config::{config_changed, config_diff};
pub use doctor::diagnosis;
pub use drops::drops;
pub use events::events;
pub use flows::flows;
pub use models::{availability, job};
pub use pair::{handed_over, held, pair, restarting};
pub use paths::paths;
pub use reals::reals;
pub use reports::reports;
pub use scheduling::{explanation, table};
pub use services::services;
pub use simulate::simulation;
pub use stats::{Rate, Rates, rates, stats};
pub use status::status;
pub use trace::{TRACE_HEADING, trace_line};

/// Columns that text is made to fit in, where it can be.
const WIDTH: usize = 80;

/// With colours or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Style {
    /// Colours are for people at a terminal who have not asked for none: with a `NO_COLOR` that is not empty
    /// (no-color.org), or with a `TERM` that has none.
    pub fn for_output(is_terminal: bool, no_color: &OsStr, term: &OsStr) -> Self {
        if is_terminal && no_color.is_empty() && term != "dumb" { Self::Colour } else { Self::Plain }
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// All is well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Worth a look.
    pub fn notable(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Something is broken.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// What the operator says of a real, unless only its health keeps new flows away from it: then that.
fn state(admin: AdminState, health: Health) -> String {
    match (admin, health) {
        (_, Health::Up | Health::Unchecked) => admin.to_string(),
        (AdminState::Enabled, _) => health.to_string(),
        (AdminState::Drained | AdminState::Disabled, _) => format!("{admin}, {health}"),
    }
}

/// `192.0.2.80:80`, `[2001:db8::80]:443`, `192.0.2.80:any`.
pub fn endpoint(address: IpAddr, ports: &impl ToString) -> String {
    let ports = ports.to_string();
    match address {
        IpAddr::V4(address) => format!("{address}:{ports}"),
        IpAddr::V6(address) => format!("[{address}]:{ports}"),
    }
}

/// A duration in the two largest units: `3d 4h`, `5m 6s`, `7s`.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A duration that may be shorter than a minute by far: `0.4s`, `12s`, and from then on as [`duration`].
pub fn short_duration(seconds: f64) -> String {
    if seconds < 9.95 { format!("{seconds:.1}s") } else { duration(seconds.round() as u64) }
}

/// A duration far below a second, as a rule: `0.31 ms`, `38.2 ms`, and from a second on as [`short_duration`].
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ..9.995 => format!("{ms:.2} ms"),
        ..999.95 => format!("{ms:.1} ms"),
        _ => short_duration(ms / 1000.0),
    }
}

/// `2026-11-22 21:43:08.123Z`: UTC, so that the two nodes' lines can be put side by side.
fn instant(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return format!("{unix_ms} ms") };
    let (date, millisecond) = (time.date(), unix_ms % 1000);
    format!("{date} {:02}:{:02}:{:02}.{millisecond:03}Z", time.hour(), time.minute(), time.second())
}

/// A size: exact below 1 KiB, then with a binary unit.
fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for greater in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = greater;
    }
    let decimals = if unit == "B" || value.fract() == 0.0 { 0 } else { 1 };
    format!("{value:.decimals$} {unit}")
}

/// A count: exact while it is short, then with a decimal unit (k is 1000).
pub fn count(value: u64) -> String {
    if value < 10_000_000 { value.to_string() } else { scaled(value as f64) }
}

/// A number below 10,000 as it is, a greater one with a decimal unit.
pub fn scaled(value: f64) -> String {
    if value < 9_999.5 {
        let decimals = if value < 100.0 && value.fract() != 0.0 { 1 } else { 0 };
        return format!("{value:.decimals$}");
    }
    let mut value = value / 1000.0;
    let mut unit = 'k';
    for greater in ['M', 'G', 'T', 'P', 'E'] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = greater;
    }
    format!("{value:.1}{unit}")
}

/// Words of `text` in lines of at most `width` characters (a longer word has a line of its own).
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How wide a text is: colours take no room.
fn columns(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let before = parts.next().unwrap_or_default().chars().count();
    let after = |part: &str| part.split_once('m').map_or(0, |(_, text)| text.chars().count());
    before + parts.map(after).sum::<usize>()
}

/// `text`, wrapped, after a label; further lines are indented as wide as the label.
fn labelled(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let lines = wrap(text, WIDTH.saturating_sub(indent).max(20));
    format!("{label}{}\n", lines.join(&format!("\n{:indent$}", "")))
}
