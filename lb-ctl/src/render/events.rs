//! `lbctl events`: what has happened to the pair.

use lb_core::api::{Event, Events};
use time::OffsetDateTime;

use super::Style;

/// A line for each event, the newest last.
pub fn events(events: &Events, style: Style) -> String {
    if events.events.is_empty() {
        return "Nothing has happened yet.\n".to_owned();
    }
    let mut text: String = events.events.iter().map(|event| line(event, style)).collect();
    if events.truncated {
        let shown = events.events.len();
        text += &format!("{shown} events shown; there are older ones: --limit N shows up to N\n");
    }
    text
}

fn line(event: &Event, style: Style) -> String {
    let sentence = event.sentence();
    let sentence = if event.is_alarm() { style.bad(&sentence) } else { sentence };
    format!("{}  {sentence}\n", instant(event.unix_ms))
}

/// `2026-11-22 21:43:08.123Z`: UTC, so that the two nodes' lines can be put side by side.
fn instant(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return format!("{unix_ms} ms") };
    let (date, millisecond) = (time.date(), unix_ms % 1000);
    format!("{date} {:02}:{:02}:{:02}.{millisecond:03}Z", time.hour(), time.minute(), time.second())
}
