//! Which plots the page has, in groups.

use lb_core::api::{History, Series, SeriesOf};

use super::format::{bytes, count, duration, percent};
use super::html::{Html, element};
use super::plot::{Line, Plot};

/// Most reals that have a plot of their own.
const MAX_REAL_PLOTS: usize = 12;

/// What the services and the node do.
pub(super) fn traffic(history: &History) -> Html {
    group([
        each(history, SeriesOf::Service, "packets_per_second", "Packets a second", count),
        each(history, SeriesOf::Service, "bytes_per_second", "Bytes a second", bytes),
        each(history, SeriesOf::Service, "new_flows_per_second", "New flows a second", count),
        each(history, SeriesOf::Node, "dropped_packets_per_second", "Dropped packets a second", count),
    ])
}

/// Utilisation against weight: a plot for each real, with one scale, so that they compare.
pub(super) fn load(history: &History) -> Html {
    let is_weight = |series: &&Series| series.of == SeriesOf::Real && series.measure == "weight_ratio";
    let reals: Vec<&Series> = history.series.iter().filter(is_weight).collect();
    let top = highest(history);
    let plots = reals.iter().take(MAX_REAL_PLOTS).map(|weight| {
        let utilisation = history.series(SeriesOf::Real, &weight.name, "utilisation_ratio");
        let used = utilisation.map(|series| Line { name: "utilisation", values: &series.values });
        let weighed = Line { name: "weight, of the configured one", values: &weight.values };
        Plot {
            id: format!("plot-load-{}", weight.name),
            title: weight.name.clone(),
            times: &history.unix_ms,
            lines: used.into_iter().chain([weighed]).collect(),
            show: percent,
            least_top: top,
        }
        .render()
    });
    let mut group = group(plots);
    if reals.len() > MAX_REAL_PLOTS {
        let more = reals.len() - MAX_REAL_PLOTS;
        group.push(element("p class=\"none\"", format!("{more} more reals are in /v1/history and in the table.")));
    }
    group
}

/// The highest share of any real, and one at least.
fn highest(history: &History) -> f64 {
    let shares =
        history.series.iter().filter(|series| series.of == SeriesOf::Real && series.measure.ends_with("_ratio"));
    shares.flat_map(|series| &series.values).flatten().map(|share| f64::from(*share)).fold(1.0, f64::max)
}

/// Heartbeats and checkpoints.
pub(super) fn kept(history: &History) -> Html {
    group([
        each(history, SeriesOf::Path, "rtt_seconds", "Round trip of heartbeats", duration),
        each(history, SeriesOf::Checkpoint, "bytes", "Size of the newest checkpoint", bytes),
        each(history, SeriesOf::Checkpoint, "age_seconds", "Age of the newest checkpoint", duration),
        each(history, SeriesOf::Checkpoint, "flows_at_risk", "Flows at risk", count),
    ])
}

fn group(plots: impl IntoIterator<Item = Html>) -> Html {
    element("div class=\"plots\"", plots.into_iter().collect::<Html>())
}

/// A line for each that has this measure; no plot where nothing has.
fn each(history: &History, of: SeriesOf, measure: &str, title: &str, show: fn(f64) -> String) -> Html {
    let found = history.series.iter().filter(|series| series.of == of && series.measure == measure);
    let lines: Vec<Line<'_>> = found.map(Line::of).collect();
    if lines.is_empty() {
        return Html::default();
    }
    let id = format!("plot-{of}-{measure}");
    Plot { id, title: title.to_owned(), times: &history.unix_ms, lines, show, least_top: 0.0 }.render()
}
