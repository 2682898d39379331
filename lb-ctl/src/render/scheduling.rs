//! `lbctl table` and `lbctl explain`: the scheduling table, and why a real has its weight.

use lb_core::api::{AdminState, Availability, Explanation, Health, TableReal, TableReport, Why};

use super::table::{Side, Table};
use super::{Style, WIDTH, labelled, scaled, short_duration, wrap};

/// What stands for a value that is not known.
const UNKNOWN: &str = "-";

/// The scheduling table: a line for each real, and below it what its words leave out.
pub fn table(report: &TableReport, style: Style) -> String {
    if report.reals.is_empty() {
        return "No reals are configured.\n".to_owned();
    }
    let mut table = Table::new(&[
        ("Real", Side::Left),
        ("Health", Side::Left),
        ("Report", Side::Right),
        ("CPU", Side::Right),
        ("Net", Side::Right),
        ("Util", Side::Right),
        ("Hits/s", Side::Right),
        ("Capacity", Side::Right),
        ("Weight", Side::Right),
        ("Admin", Side::Left),
        ("Why", Side::Left),
    ]);
    for real in &report.reals {
        table.row(row(real));
    }
    let mut lines = table.lines().into_iter();
    let mut text = format!("{}\n", style.bold(&lines.next().unwrap_or_default()));
    for (real, line) in report.reals.iter().zip(lines) {
        text += &format!("{}\n", coloured(real, &line, style));
        text += &notes(real).iter().map(|note| labelled("      ", note)).collect::<String>();
    }
    text
}

/// Why a real has its weight: one fact a line.
pub fn explanation(explanation: &Explanation, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&explanation.real));
    for line in &explanation.lines {
        text += &format!("  {}\n", wrap(line, WIDTH - 4).join("\n    "));
    }
    text
}

fn row(real: &TableReal) -> Vec<String> {
    vec![
        real.name.clone(),
        real.health.to_string(),
        real.report_age_seconds.map_or(UNKNOWN.to_owned(), short_duration),
        percent(real.cpu),
        percent(busier(real.network_in, real.network_out)),
        percent(real.utilisation),
        real.hits.map_or(UNKNOWN.to_owned(), scaled),
        real.capacity.map_or(UNKNOWN.to_owned(), scaled),
        weight(real),
        real.admin.to_string(),
        if real.hot { format!("{}, hot", real.why) } else { real.why.to_string() },
    ]
}

fn percent(share: Option<f64>) -> String {
    share.map_or(UNKNOWN.to_owned(), |share| format!("{:.0}%", 100.0 * share))
}

fn busier(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// The weight in use, and the one that it is on its way to where that is another.
fn weight(real: &TableReal) -> String {
    let (now, next) = (scaled(real.weight), scaled(real.next_weight));
    if now == next { now } else { format!("{now} -> {next}") }
}

fn notes(real: &TableReal) -> Vec<String> {
    let availability = match real.availability {
        Some(Availability::Drain) => Some("it reports that it wants no new flows".to_owned()),
        Some(Availability::Stop) => Some("it reports that it is about to stop".to_owned()),
        Some(Availability::Alive) | None => None,
    };
    let why = says_more(real.why).then(|| real.why_text.clone());
    let services = real.services.is_empty().then(|| "in no service".to_owned());
    let health = real.health_reason.clone().or(availability);
    [health, why, services].into_iter().flatten().collect()
}

/// Whether the text has something to tell that the word leaves out.
fn says_more(why: Why) -> bool {
    matches!(why, Why::Held | Why::Expired | Why::SlowStart | Why::Asked)
}

fn coloured(real: &TableReal, line: &str, style: Style) -> String {
    let is_steered = real.admin != AdminState::Enabled;
    let is_unsure = real.hot || matches!(real.why, Why::Held | Why::Expired);
    match real.health {
        _ if is_steered => style.notable(line),
        Health::Down => style.bad(line),
        Health::Partly | Health::Joining => style.notable(line),
        Health::Up | Health::Unchecked if is_unsure => style.notable(line),
        Health::Up | Health::Unchecked => line.to_owned(),
    }
}
