//! `lbctl drops`.

use lb_core::api::Drops;

use super::Style;
use super::counts::section;

/// Drop reasons and events, each with its count and what it means.
pub fn drops(drops: &Drops, style: Style) -> String {
    let name_width = drops.drops.iter().chain(&drops.events).map(|entry| entry.name.len()).max().unwrap_or_default();
    let mut text = section("Dropped", "Packets", &drops.drops, name_width, style, Style::bad);
    text.push('\n');
    text += &section("Events", "Packets", &drops.events, name_width, style, Style::bold);
    text
}
