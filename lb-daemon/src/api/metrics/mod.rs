//! `GET /metrics`: what is counted and measured, in the text format of Prometheus.

mod catalogue;
mod checkpoint;
mod node;
mod pair;
mod reals;
mod services;
#[cfg(test)]
mod tests;
mod text;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::snapshot::Snapshot;
use super::{Failure, Served};
use text::Text;

/// What Prometheus calls the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn show(State(served): State<Served>) -> Result<Response, Failure> {
    let text = render(&served.snapshot().await?);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// A node's metrics.
pub(crate) fn render(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    node::render(snapshot, &mut text);
    services::render(&snapshot.services.services, &mut text);
    reals::render(snapshot, &mut text);
    if let Some(pair) = &snapshot.pair {
        pair::render(pair, &mut text);
    }
    if let Some(checkpoint) = &snapshot.checkpoint {
        checkpoint::render(checkpoint, &mut text);
    }
    text.into_string()
}

/// One sample for each value that something can have: 1 for the one that it has.
fn states<T: Copy + PartialEq>(
    all: &'static [T],
    now: T,
    word: impl Fn(T) -> &'static str,
) -> impl Iterator<Item = ([&'static str; 1], bool)> {
    all.iter().map(move |state| ([word(*state)], *state == now))
}

/// Seconds of so many milliseconds.
fn seconds(ms: f64) -> f64 {
    ms / 1e3
}
