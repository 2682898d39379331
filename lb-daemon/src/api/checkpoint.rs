//! The requests about checkpoints: what is asked of whoever keeps them, and what the answers become.

use std::path::PathBuf;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use lb_core::api::{
    Advice, Checkpoint, CheckpointFiles, CheckpointImported, CheckpointRole, CheckpointTaken, CheckpointVerified,
    ErrorBody, VerifyCheckpoint, Warning,
};

use super::{Failure, Outcome, Served, warning};

/// Whoever keeps the checkpoints, as the API sees it. An error says why something cannot be done, and what to do.
pub trait CheckpointControl: Send + Sync {
    /// How the checkpoints are. It waits for neither disk nor peer.
    fn view(&self) -> Checkpoint;
    /// The files of the store.
    fn list(&self) -> BoxFuture<'_, Result<CheckpointFiles, ErrorBody>>;
    /// Looks at every record of a file of this host, or of all files of the store.
    fn verify(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<CheckpointVerified, ErrorBody>>;
    /// Makes a checkpoint now, and says what of it is durable.
    fn now(&self) -> BoxFuture<'_, Result<CheckpointTaken, ErrorBody>>;
    /// All that a checkpoint of this instant says, as JSON.
    fn content(&self) -> BoxFuture<'_, Result<String, ErrorBody>>;
    /// Takes in what [`CheckpointControl::content`] gave, here or on another node.
    fn import(&self, content: Bytes) -> BoxFuture<'_, Result<CheckpointImported, ErrorBody>>;
    /// How often checkpoints pay.
    fn advise(&self) -> BoxFuture<'_, Result<Advice, ErrorBody>>;
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), None)
    }
}

/// Whoever keeps the checkpoints. A solo node may have nobody.
fn control(served: &Served) -> Result<&dyn CheckpointControl, Failure> {
    served.checkpoint.as_deref().ok_or_else(|| {
        let hint = "a solo node keeps them with `[checkpoint]`: see docs/reference/config.md";
        Failure::new(StatusCode::NOT_FOUND, "this node keeps no checkpoints", Some(hint))
    })
}

fn answer<T>(result: Result<T, ErrorBody>) -> Result<T, Failure> {
    result.map_err(|body| Failure { status: StatusCode::CONFLICT, body })
}

pub(super) async fn show(State(served): State<Served>) -> Outcome<Checkpoint> {
    Ok(Json(control(&served)?.view()))
}

pub(super) async fn list(State(served): State<Served>) -> Outcome<CheckpointFiles> {
    answer(control(&served)?.list().await).map(Json)
}

pub(super) async fn verify(
    State(served): State<Served>,
    body: Result<Json<VerifyCheckpoint>, JsonRejection>,
) -> Outcome<CheckpointVerified> {
    let Json(VerifyCheckpoint { path }) = body?;
    let path = path.map(PathBuf::from);
    if let Some(path) = path.as_ref().filter(|path| !path.is_absolute()) {
        let error = format!("{} is no absolute path", path.display());
        return Err(Failure::new(StatusCode::BAD_REQUEST, error, Some("name the file from the root on")));
    }
    answer(control(&served)?.verify(path).await).map(Json)
}

pub(super) async fn now(State(served): State<Served>) -> Outcome<CheckpointTaken> {
    answer(control(&served)?.now().await).map(Json)
}

pub(super) async fn content(State(served): State<Served>) -> Result<Response, Failure> {
    let content = answer(control(&served)?.content().await)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], content).into_response())
}

pub(super) async fn import(
    State(served): State<Served>,
    content: Result<Bytes, BytesRejection>,
) -> Outcome<CheckpointImported> {
    answer(control(&served)?.import(content?).await).map(Json)
}

pub(super) async fn advise(State(served): State<Served>) -> Outcome<Advice> {
    answer(control(&served)?.advise().await).map(Json)
}

/// What an operator should know of the checkpoints.
pub(super) fn warnings(checkpoint: &Checkpoint) -> Vec<Warning> {
    let sync = &checkpoint.sync;
    // A node that has just come is told all: that takes its time, and needs nobody.
    let comes_by_itself = checkpoint.full.is_some() || checkpoint.role == CheckpointRole::Waiting;
    let out = (!sync.in_sync).then(|| {
        let why = sync.why.as_deref().unwrap_or("it is not known why");
        warning("checkpoint", format!("not in sync: {why}"), !comes_by_itself)
    });
    let store = checkpoint.store.error.clone().map(|error| warning("checkpoint", error, true));
    out.into_iter().chain(store).collect()
}
