//! `lbctl checkpoint advise`: how often checkpoints pay.

use lb_core::api::{Advice, AdviceInput, AdvicePoint};

use super::super::table::{Side, Table};
use super::super::{Style, labelled};
use super::seconds;

/// What the advice follows from, and J at the intervals that matter.
pub fn advice(advice: &Advice, style: Style) -> String {
    format!("{}\n{}\n{}", inputs(&advice.inputs, style), points(advice, style), verdict(advice))
}

fn inputs(inputs: &[AdviceInput], style: Style) -> String {
    let mut table =
        Table::new(&[("Input", Side::Left), ("Value", Side::Right), ("From", Side::Left), ("What it is", Side::Left)]);
    for input in inputs {
        let value = quantity(input.value, &input.unit);
        table.row(vec![input.symbol.clone(), value, input.origin.to_string(), input.meaning.clone()]);
    }
    table.text(style)
}

fn points(advice: &Advice, style: Style) -> String {
    let mut table = Table::new(&[
        ("", Side::Left),
        ("Interval", Side::Right),
        ("Checkpoints", Side::Right),
        ("Losses", Side::Right),
        ("J", Side::Right),
    ]);
    let named = [("half", &advice.half), ("optimum", &advice.optimum), ("twice", &advice.twice)];
    let named = named.into_iter().filter_map(|(name, point)| Some((name, point.as_ref()?)));
    for (name, point) in named.chain([("in use", &advice.in_use)]) {
        let AdvicePoint { interval_seconds, cost, checkpoints, losses } = *point;
        let costs = [checkpoints, losses, cost].map(|cost| quantity(cost, "s") + "/s");
        table.row([vec![name.to_owned(), seconds(interval_seconds)], costs.to_vec()].concat());
    }
    table.text(style)
}

fn verdict(advice: &Advice) -> String {
    let how = if advice.auto { "worked out" } else { "configured" };
    let limits = format!("{} to {}", seconds(advice.least_seconds), seconds(advice.max_seconds));
    let optimum = match &advice.optimum {
        None => "Checkpoints cost more than they save, however seldom they are made: the fewer the better.".to_owned(),
        Some(point) if point.interval_seconds < advice.least_seconds => "The optimum is below the limit.".to_owned(),
        Some(point) if point.interval_seconds > advice.max_seconds => "The optimum is above the limit.".to_owned(),
        Some(_) => "The optimum is within the limits.".to_owned(),
    };
    labelled("", &format!("The interval in use is {how}, and can be {limits}. {optimum} J is CPU time a second."))
}

/// A value with its unit: seconds in what suits them, others with as many digits as they need.
pub fn quantity(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "s" => of_time(value),
        unit => (value, unit),
    };
    let number = match value.abs() {
        0.0 => "0".to_owned(),
        ..0.01 | 1e6.. => format!("{value:.2e}"),
        ..10.0 => format!("{value:.2}"),
        ..1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    format!("{number} {unit}").trim_end().to_owned()
}

fn of_time(seconds: f64) -> (f64, &'static str) {
    match seconds.abs() {
        0.0 => (0.0, "s"),
        ..1e-6 => (seconds * 1e9, "ns"),
        ..1e-3 => (seconds * 1e6, "µs"),
        ..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    }
}
