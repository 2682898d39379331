//! `lbctl drops`.

use lb_core::api::{Count, Drops};

use super::{Style, WIDTH, count, wrap};

/// Drop reasons and events, each with its count and what it means.
pub fn drops(drops: &Drops, style: Style) -> String {
    let name_width = drops.drops.iter().chain(&drops.events).map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut text = section("Dropped", &drops.drops, name_width, style, Style::bad);
    text.push('\n');
    text += &section("Events", &drops.events, name_width, style, Style::bold);
    text
}

/// `mark` is for counts that are not 0.
fn section(title: &str, entries: &[Count], name_width: usize, style: Style, mark: fn(Style, &str) -> String) -> String {
    let heading = format!("{title:<name_width$}  {:>8}  Meaning", "Packets");
    let mut text = format!("{}\n", style.bold(&heading));
    let indent = name_width.max(title.len()) + 12;
    for entry in entries {
        let label = format!("{:<name_width$}  {:>8}", entry.name, count(entry.count));
        let label = if entry.count > 0 { mark(style, &label) } else { label };
        let meaning = wrap(&entry.explanation, WIDTH.saturating_sub(indent).max(20));
        text += &format!("{label}  {}\n", meaning.join(&format!("\n{:indent$}", "")));
    }
    text
}
