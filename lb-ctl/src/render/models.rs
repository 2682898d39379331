//! `lbctl availability` and `lbctl checkpoint job`.

use lb_core::availability::minutes_a_year;

use super::table::{Side, Table};
use super::{Style, labelled, quantity, short_duration};
use crate::models::{Availability, JobAdvice, Unavailability};
use crate::plot;

/// The shares of the time, what they come to, and how they come about.
pub fn availability(availability: &Availability, style: Style) -> String {
    let chart = plot::text(&plot::of_availability(availability));
    format!("{}\n{}\n{chart}", states(availability, style), totals(availability, style))
}

fn states(availability: &Availability, style: Style) -> String {
    let steady = &availability.steady;
    let mut table = Table::new(&[
        ("State", Side::Left),
        ("Share", Side::Right),
        ("A year", Side::Right),
        ("What it is", Side::Left),
    ]);
    let states = [
        ("both", steady.both, "main and backup are there"),
        ("detecting", steady.detecting, "the main is dead, the backup does not know it yet"),
        ("restoring", steady.restoring, "a node is about to serve"),
        ("alone", steady.alone, "one serves, the other is repaired"),
        ("down", steady.down, "neither is there"),
    ];
    for (state, share, meaning) in states {
        table.row(vec![state.to_owned(), portion(share), a_year(minutes_a_year(share)), meaning.to_owned()]);
    }
    table.text(style)
}

fn totals(availability: &Availability, style: Style) -> String {
    let mut table = Table::new(&[("", Side::Left), ("Availability", Side::Right), ("Nobody serves", Side::Right)]);
    let rows = [("with the backup", availability.with_backup), ("without it", availability.without_backup)];
    for (name, Unavailability { share, minutes_a_year }) in rows {
        table.row(vec![name.to_owned(), percent(share), a_year(minutes_a_year) + " a year"]);
    }
    table.text(style)
}

/// A share of the time, as exactly as it needs.
fn portion(share: f64) -> String {
    if share >= 1e-3 { format!("{:.4}%", 100.0 * share) } else { format!("{share:.2e}") }
}

/// What is left of the whole, with two digits behind the nines.
fn percent(unavailability: f64) -> String {
    let nines = if unavailability > 0.0 { -unavailability.log10() } else { 15.0 };
    let decimals = (nines.floor() as usize).min(13);
    format!("{:.decimals$}%", 100.0 * (1.0 - unavailability))
}

fn a_year(minutes: f64) -> String {
    let seconds = 60.0 * minutes;
    if seconds < 1.0 { quantity(seconds, "s") } else { short_duration(seconds) }
}

/// What each rule says, and how much longer the job takes with it.
pub fn job(job: &JobAdvice, style: Style) -> String {
    let mut table = Table::new(&[("Rule", Side::Left), ("Interval", Side::Right), ("E[T]/work", Side::Right)]);
    for rule in &job.rules {
        let stretch = rule.stretch.map_or("never ends".to_owned(), |stretch| format!("{stretch:.5}"));
        table.row(vec![rule.name.to_owned(), interval(rule.interval), stretch]);
    }
    let end = "A job that makes a checkpoint after each interval of work takes E[T] in the mean. The interval does not count the checkpoint itself.";
    format!("{}\n{}", table.text(style), labelled("", end))
}

/// An interval to a tenth of its unit.
fn interval(seconds: f64) -> String {
    match seconds {
        ..60.0 => quantity(seconds, "s"),
        ..7_200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}
