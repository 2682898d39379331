//! The status page. The daemon renders all of it, plots and picture too, so that it works without JavaScript; the script only fetches the
//! page again every two seconds, takes over what has changed, and shows values under a pointer. It needs nothing from anywhere else.

mod format;
mod html;
mod picture;
mod plot;
mod plots;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html as HtmlResponse, IntoResponse};
use lb_core::api::{Event, History};

use crate::api::snapshot::Snapshot;
use crate::api::{Failure, Served};
use format::{duration, instant};
use html::{Html, element};

const STYLE: &str = include_str!("assets/status.css");
const SCRIPT: &str = include_str!("assets/status.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Events that the page shows.
const EVENTS: usize = 30;

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub(super) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON)
}

pub(super) async fn show(State(served): State<Served>) -> Result<HtmlResponse<String>, Failure> {
    let snapshot = served.snapshot().await?;
    let events = served.events(EVENTS).map(|events| events.events);
    Ok(HtmlResponse(render(&snapshot, &served.history.since(0), events.as_deref())))
}

/// The page. `events`: the oldest first; none of a solo node.
fn render(snapshot: &Snapshot, history: &History, events: Option<&[Event]>) -> String {
    let state = state(snapshot);
    let title = Html::text(format!("{state} · Understudy"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/status.css\">\
         <script src=\"/status.js\" defer></script>\
         <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript></head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>"
    );
    let _ = write!(page, "{}<main id=\"main\">", header_of(snapshot, &state));
    sections(snapshot, history, events).into_iter().for_each(|section| page.push_str(&section.to_string()));
    let _ = writeln!(page, "</main>{}</body></html>", footer());
    page
}

/// What the node is, in a word or two.
fn state(snapshot: &Snapshot) -> String {
    let what = snapshot.pair.as_ref().map_or_else(|| "solo".to_owned(), |pair| pair.pair.state.to_string());
    if snapshot.status.degraded { format!("{what}, degraded") } else { what }
}

fn header_of(snapshot: &Snapshot, state: &str) -> Html {
    let status = &snapshot.status;
    let class = if status.degraded { "bad" } else { "ok" };
    let about = format!(
        " lbd {}, up for {}, generation {}, services: {}, reals: {}, flows in the table: {} of {}",
        status.version,
        duration(status.uptime_seconds as f64),
        status.generation,
        status.services,
        status.reals,
        status.flows,
        status.flow_limit
    );
    let summary = element("p id=\"summary\" data-live", Html::from_iter([tables::mark(class, state), about.into()]));
    let clock = element("p id=\"clock\" role=\"status\"", "as of when the page was loaded");
    let links = [
        ("#cluster", "Cluster"),
        ("#traffic", "Traffic"),
        ("#load", "Load"),
        ("#kept", "Pair and checkpoints"),
        ("#log", "Journal"),
    ];
    let links = links.map(|(target, name)| element(&format!("a href=\"{target}\""), name));
    let nav = element("nav aria-label=\"Sections\"", Html::from_iter(links));
    element("header", Html::from_iter([element("h1", "Understudy"), summary, clock, nav]))
}

fn sections(snapshot: &Snapshot, history: &History, events: Option<&[Event]>) -> Vec<Html> {
    let cluster = Html::from_iter([
        element("div class=\"picture\"", picture::picture(snapshot)),
        element(
            "div class=\"beside\"",
            Html::from_iter([element("h3", "Attention"), tables::warnings(&snapshot.status.warnings)]),
        ),
    ]);
    let traffic = [
        plots::traffic(history),
        tables::services(&snapshot.services.services, history),
        tables::drops(&snapshot.drops.drops, &snapshot.drops.events),
    ];
    let load = [plots::load(history), tables::reals(snapshot, history), tables::shares(&snapshot.services)];
    let mut sections = vec![
        section("cluster", "The cluster now", element("div class=\"columns\"", cluster)),
        section("traffic", "Traffic", Html::from_iter(traffic)),
        section("load", "Load and weights", Html::from_iter(load)),
        section("kept", "Pair and checkpoints", kept(snapshot, history)),
    ];
    sections.push(section("log", "Journal", journal(events)));
    sections
}

fn section(id: &str, title: &str, content: Html) -> Html {
    let heading = element(&format!("h2 id=\"{id}-title\""), title);
    let start = format!("section id=\"{id}\" aria-labelledby=\"{id}-title\"");
    element(&start, Html::from_iter([heading, content]))
}

fn kept(snapshot: &Snapshot, history: &History) -> Html {
    let mut content = plots::kept(history);
    match &snapshot.pair {
        Some(pair) => {
            content.push(element("h3", "Pair"));
            content.push(tables::pair(pair));
            content.push(tables::paths(&pair.paths.paths));
        }
        None => content.push(element("p class=\"none\"", "This node is solo: it is in no pair.")),
    }
    match &snapshot.checkpoint {
        Some(checkpoint) => {
            content.push(element("h3", "Checkpoints"));
            content.push(tables::checkpoint(checkpoint));
        }
        None => content.push(element("p class=\"none\"", "This node keeps no checkpoints.")),
    }
    content
}

/// The newest first.
fn journal(events: Option<&[Event]>) -> Html {
    let Some(events) = events else { return element("p class=\"none\"", "A solo node keeps no journal.") };
    let item = |event: &Event| {
        let mark = if event.is_alarm() { tables::mark("warn", "alarm") } else { Html::default() };
        let at = instant(event.unix_ms);
        let machine = at.replacen(' ', "T", 1);
        let time = element(&format!("time datetime=\"{machine}Z\""), format!("{at} UTC"));
        element("li", Html::from_iter([time, " ".into(), mark, " ".into(), Html::text(event.sentence())]))
    };
    let list = if events.is_empty() {
        element("p class=\"none\"", "Nothing has happened yet.")
    } else {
        element("ol class=\"journal\"", events.iter().rev().map(item).collect::<Html>())
    };
    element("div id=\"journal\" data-live", list)
}

fn footer() -> Html {
    let metrics = element("a href=\"/metrics\"", "Metrics");
    let history = element("a href=\"/v1/history\"", "history");
    let parts = [metrics, " for Prometheus, and the last 15 minutes as JSON: ".into(), history, ".".into()];
    element("footer", element("p", Html::from_iter(parts)))
}
