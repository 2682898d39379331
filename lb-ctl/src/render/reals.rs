//! `lbctl reals`.

use lb_core::api::{AdminState, Health, NextHop, Real, RealList};

use super::table::{Side, Table};
use super::{Style, labelled, state};

/// Every real, with a note below it where there is something to say.
pub fn reals(list: &RealList, style: Style) -> String {
    if list.reals.is_empty() {
        return "No reals are configured.\n".to_owned();
    }
    let mut table = Table::new(&[
        ("Real", Side::Left),
        ("Address", Side::Left),
        ("State", Side::Left),
        ("Weight", Side::Right),
        ("Slots", Side::Right),
        ("Next hop", Side::Left),
    ]);
    for real in &list.reals {
        table.row(row(real));
    }
    let mut lines = table.lines().into_iter();
    let mut text = format!("{}\n", style.bold(&lines.next().unwrap_or_default()));
    for (real, line) in list.reals.iter().zip(lines) {
        text += &format!("{}\n", coloured(real, &line, style));
        if let Some(reason) = &real.health_reason {
            text += &labelled("      ", reason);
        }
        if let Some(note) = real.next_hop_note.as_deref().filter(|note| !note.is_empty()) {
            text += &labelled("      ", note);
        }
        if real.services.is_empty() {
            text += "      in no service\n";
        }
    }
    text
}

fn row(real: &Real) -> Vec<String> {
    vec![
        real.name.clone(),
        real.address.to_string(),
        state(real.admin, real.health),
        weight(real),
        real.slots.to_string(),
        next_hop(real.next_hop.as_ref()),
    ]
}

/// The operator's weight, with the configured one in brackets.
fn weight(real: &Real) -> String {
    match real.weight_override {
        Some(weight) => format!("{weight} ({})", real.weight),
        None => real.weight.to_string(),
    }
}

fn next_hop(next_hop: Option<&NextHop>) -> String {
    match next_hop {
        None => "none".to_owned(),
        Some(NextHop { interface: Some(interface), mac, .. }) => format!("{mac} {interface}"),
        Some(NextHop { interface: None, ifindex, mac, .. }) => format!("{mac} ({ifindex}, gone)"),
    }
}

fn coloured(real: &Real, line: &str, style: Style) -> String {
    match (real.admin, real.health) {
        (AdminState::Drained | AdminState::Disabled, _) => style.notable(line),
        (AdminState::Enabled, Health::Down) => style.bad(line),
        (AdminState::Enabled, _) if real.next_hop.is_none() => style.bad(line),
        (AdminState::Enabled, Health::Partly | Health::Joining) => style.notable(line),
        (AdminState::Enabled, Health::Up | Health::Unchecked) => line.to_owned(),
    }
}
