//! The requests about the pair: what is asked of whoever runs it, and what the answers become.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use lb_core::api::{
    DEFAULT_EVENT_LIMIT, Events, Handover, Hold, MAX_EVENT_LIMIT, MAX_RESTART_GRACE_MS, Pair, PairChanged, Paths,
    Restart,
};
use lb_core::pair::Answer;
use serde::Deserialize;

use super::{Failure, Outcome, Served, pair, words};
use crate::peer::{NotTaken, View};

/// Whoever runs the pair, as the API sees it.
pub trait PairControl: Send + Sync {
    /// How the pair is.
    fn view(&self) -> Arc<View>;
    /// What the host did not let the heartbeats have, each in one line.
    fn handicaps(&self) -> Vec<String>;
    /// The newest events, the oldest of them first.
    fn events(&self, limit: usize) -> Events;
    /// Moves the VIPs to the other node, or from it to this one, and says what came of it.
    fn handover(&self, force: bool) -> BoxFuture<'_, Result<Answer, NotTaken>>;
    /// Holds this node back from becoming active, or lets go. It stays so over restarts.
    ///
    /// # Errors
    /// The heartbeat thread takes no commands.
    fn hold(&self, held: bool) -> Result<(), NotTaken>;
    /// Ends the daemon; the data plane goes on for `grace`, for its successor.
    fn restart(&self, grace: Duration) -> BoxFuture<'_, Result<Answer, NotTaken>>;
}

impl From<NotTaken> for Failure {
    fn from(error: NotTaken) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, Some("try again; lbd's log may say more"))
    }
}

/// Whoever runs the pair. A solo node has nobody.
fn control(served: &Served) -> Result<&dyn PairControl, Failure> {
    served.pair.as_deref().ok_or_else(|| {
        let hint = "a pair is configured by `[pair]`: see docs/reference/config.md";
        Failure::new(StatusCode::NOT_FOUND, "this node is solo: it is in no pair", Some(hint))
    })
}

pub(super) async fn show_pair(State(served): State<Served>) -> Outcome<Pair> {
    let control = control(&served)?;
    Ok(Json(pair::pair(&control.view(), control.handicaps())))
}

pub(super) async fn show_paths(State(served): State<Served>) -> Outcome<Paths> {
    Ok(Json(pair::paths(&control(&served)?.view())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    limit: Option<u32>,
}

pub(super) async fn show_events(
    State(served): State<Served>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Outcome<Events> {
    let Query(EventsQuery { limit }) = query?;
    let limit = limit.unwrap_or(DEFAULT_EVENT_LIMIT);
    if limit > MAX_EVENT_LIMIT {
        let error = format!("limit {limit} is too great");
        return Err(Failure::new(StatusCode::BAD_REQUEST, error, Some(&format!("it can be 0 to {MAX_EVENT_LIMIT}"))));
    }
    Ok(Json(control(&served)?.events(limit as usize)))
}

pub(super) async fn handover(
    State(served): State<Served>,
    body: Result<Json<Handover>, JsonRejection>,
) -> Outcome<PairChanged> {
    let Json(Handover { force }) = body?;
    let control = control(&served)?;
    accepted(control.handover(force).await?)?;
    Ok(changed(control))
}

pub(super) async fn hold(
    State(served): State<Served>,
    body: Result<Json<Hold>, JsonRejection>,
) -> Outcome<PairChanged> {
    let Json(Hold { held }) = body?;
    let control = control(&served)?;
    control.hold(held)?;
    let Json(changed) = changed(control);
    // The heartbeat thread may not have shown it yet.
    Ok(Json(PairChanged { held, ..changed }))
}

pub(super) async fn restart(
    State(served): State<Served>,
    body: Result<Json<Restart>, JsonRejection>,
) -> Outcome<PairChanged> {
    let Json(Restart { grace_ms }) = body?;
    if !(1..=MAX_RESTART_GRACE_MS).contains(&grace_ms) {
        let error = format!("a grace of {grace_ms} ms cannot be");
        let hint = format!("it can be 1 to {MAX_RESTART_GRACE_MS} ms");
        return Err(Failure::new(StatusCode::BAD_REQUEST, error, Some(&hint)));
    }
    let control = control(&served)?;
    accepted(control.restart(Duration::from_millis(grace_ms)).await?)?;
    Ok(changed(control))
}

fn accepted(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Refused(reason) => Err(Failure::new(StatusCode::CONFLICT, reason, None)),
    }
}

fn changed(control: &dyn PairControl) -> Json<PairChanged> {
    let view = control.view();
    let pair = &view.pair;
    Json(PairChanged { state: words::state(pair.state), epoch: pair.epoch, held: pair.held })
}
