//! `lbctl events`: what has happened to the pair.

use lb_core::api::{Event, Events};

use super::{Style, instant};

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
