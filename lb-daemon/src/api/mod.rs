//! The HTTP API on a unix socket, the only way to talk to `lbd`. It turns requests into calls of the engine and outcomes into
//! JSON, and decides nothing. The JSON is defined in [`lb_core::api`] and described in docs/reference/api.md.

mod checkpoint;
mod config;
mod doctor;
mod history;
mod listener;
mod metrics;
mod pair;
mod simulate;
pub(crate) mod snapshot;
mod steer;
#[cfg(test)]
pub(crate) mod tests;
mod trace;
pub(crate) mod words;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{self, ConnectInfo, DefaultBodyLimit, FromRef, Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use lb_core::api::{
    DEFAULT_FLOW_LIMIT, ErrorBody, MAX_CHECKPOINT_CONTENT, MAX_FLOW_LIMIT, SetAdmin, SetWeight, Warning, path,
};
use lb_core::table::TableError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::engine::{ChangeError, Engine, FlowQuery, Handle, Stopped};

pub use checkpoint::CheckpointControl;
pub use history::Recording;
pub use listener::{Access, Socket};
use listener::{Peer, Right};
pub use steer::PairControl;
pub use trace::Tracing;

/// The largest request body, in bytes.
const MAX_BODY: usize = 16 << 10;
/// The largest service that a request can have, in bytes: one with some ten thousand reals.
const MAX_ITEM: usize = 1 << 20;

/// What requests are about.
#[derive(Clone)]
pub struct Served {
    /// The engine.
    pub engine: Handle,
    /// Whoever runs the pair; `None`: the node is solo.
    pub pair: Option<Arc<dyn PairControl>>,
    /// Shows packets; `None`: there is no program that could.
    pub trace: Option<Tracing>,
    /// Whoever keeps the checkpoints; `None`: none are kept.
    pub checkpoint: Option<Arc<dyn CheckpointControl>>,
    /// How it was over the last minutes.
    pub history: Recording,
}

impl FromRef<Served> for Handle {
    fn from_ref(served: &Served) -> Self {
        served.engine.clone()
    }
}

/// Serves requests until `stop` changes, and then those that have begun.
///
/// # Errors
/// The socket cannot be used any more.
pub async fn serve(socket: Socket, served: Served, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let access = socket.access();
    let service = router(served, access).into_make_service_with_connect_info::<Peer>();
    let stopped = async move {
        // An error means that nobody can ask for a stop any more, which is one.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(socket, service).with_graceful_shutdown(stopped).await
}

/// Makes the socket at `path`: for root, and for the groups where there are some.
///
/// # Errors
/// The socket cannot be made there.
pub fn bind(path: &Path, access: Access) -> io::Result<Socket> {
    Socket::bind(path, access)
}

/// What may be read from the network, too: how the cluster is; nothing of its clients, and nothing that costs much.
pub(crate) fn public() -> Router<Served> {
    Router::new()
        .route(path::STATUS, get(status))
        .route(path::SERVICES, get(services))
        .route(path::REALS, get(reals))
        .route(path::STATS, get(stats))
        .route(path::DROPS, get(drops))
        .route(path::TABLE, get(table))
        .route(&path::explain("{real}"), get(explain))
        .route(path::REPORTS, get(reports))
        .route(path::PAIR, get(steer::show_pair))
        .route(path::PATHS, get(steer::show_paths))
        .route(path::EVENTS, get(steer::show_events))
        .route(path::CHECKPOINT, get(checkpoint::show))
        .route(path::CHECKPOINT_ADVISE, get(checkpoint::advise))
        .route(path::HISTORY, get(history::show))
        .route(path::METRICS, get(metrics::show))
}

fn router(served: Served, access: Access) -> Router {
    let import = post(checkpoint::import).layer(DefaultBodyLimit::max(MAX_CHECKPOINT_CONTENT));
    public()
        .route(path::FLOWS, get(flows))
        .route(path::SIMULATE, get(simulate::show))
        .route(path::TRACE, get(trace::show))
        .route(path::DOCTOR, get(doctor::show))
        .route(path::CHECKPOINT_LIST, get(checkpoint::list))
        .route(path::CHECKPOINT_CONTENT, get(checkpoint::content))
        .route(&path::admin("{real}"), post(set_admin))
        .route(&path::weight("{real}"), post(set_weight))
        .route(path::CONFIG, get(config::show))
        .route(path::CONFIG_DIFF, get(config::diff))
        .route(path::SERVICES, post(config::put_service).layer(DefaultBodyLimit::max(MAX_ITEM)))
        .route(path::REALS, post(config::put_real))
        .route(&path::service("{service}"), delete(config::remove_service))
        .route(&path::real("{real}"), delete(config::remove_real))
        .route(path::HANDOVER, post(steer::handover))
        .route(path::HOLD, post(steer::hold))
        .route(path::RESTART, post(steer::restart))
        .route(path::CHECKPOINT_NOW, post(checkpoint::now))
        .route(path::CHECKPOINT_VERIFY, post(checkpoint::verify))
        .route(path::CHECKPOINT_IMPORT, import)
        .route(path::RELOAD, post(reload))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(access, check_peer))
        .with_state(served)
}

/// What a request came to.
type Outcome<T> = Result<Json<T>, Failure>;

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    body: ErrorBody,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, error: impl ToString, hint: Option<&str>) -> Self {
        Self { status, body: ErrorBody { error: error.to_string(), hint: hint.map(str::to_owned) } }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped, Some("try again when it has started again"))
    }
}

/// Counters that cannot be read.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"), Some("lbd's log may say more"))
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match &error {
            ChangeError::Refused(TableError::UnknownReal { .. }) => {
                Self::new(StatusCode::NOT_FOUND, error, Some("`lbctl reals` lists the reals"))
            }
            ChangeError::Refused(_) => Self::new(StatusCode::BAD_REQUEST, error, None),
            ChangeError::Follows | ChangeError::NotKnownYet | ChangeError::NoCheckpoints => {
                Self::new(StatusCode::CONFLICT, error, Some("`lbctl pair` says which node is active"))
            }
            ChangeError::Maps(_) | ChangeError::Unseen(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error, Some("lbd's log may say more"))
            }
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        ChangeError::from(error).into()
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), None)
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), None)
    }
}

/// Refuses whoever may not do this. Only reading is done by GET.
async fn check_peer(
    State(access): State<Access>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { Right::Read } else { Right::Change };
    let right = peer.right(access);
    if right >= needed {
        return next.run(request).await;
    }
    let (what, hint) = if right == Right::Read {
        ("change anything by", "do it as root, or as a member of the group that `api.group` names")
    } else {
        ("use", "use it as root, or as a member of the groups that `api.group` and `api.readers` name")
    };
    let error = format!("user {} may not {what} lbd's API", peer.uid());
    Failure::new(StatusCode::FORBIDDEN, error, Some(hint)).into_response()
}

/// Asks the engine something that can fail.
async fn ask<T: Serialize + Send + 'static, E: Into<Failure> + Send + 'static>(
    engine: &Handle,
    question: impl FnOnce(&mut Engine) -> Result<T, E> + Send + 'static,
) -> Outcome<T> {
    engine.call(question).await?.map(Json).map_err(Into::into)
}

fn warning(subject: &str, message: String, degraded: bool) -> Warning {
    Warning { subject: subject.to_owned(), message, degraded }
}

async fn status(State(served): State<Served>) -> Outcome<lb_core::api::Status> {
    let mut status = served.engine.call(|engine| engine.status()).await?;
    served.complete(&mut status);
    Ok(Json(status))
}

async fn services(State(engine): State<Handle>) -> Outcome<lb_core::api::ServiceList> {
    ask(&engine, |engine| engine.services()).await
}

async fn reals(State(engine): State<Handle>) -> Outcome<lb_core::api::RealList> {
    ask(&engine, |engine| engine.reals()).await
}

async fn stats(State(engine): State<Handle>) -> Outcome<lb_core::api::Stats> {
    ask(&engine, |engine| engine.stats()).await
}

async fn drops(State(engine): State<Handle>) -> Outcome<lb_core::api::Drops> {
    ask(&engine, |engine| engine.drops()).await
}

async fn table(State(engine): State<Handle>) -> Outcome<lb_core::api::TableReport> {
    Ok(Json(engine.call(|engine| engine.table_report()).await?))
}

async fn explain(
    State(engine): State<Handle>,
    extract::Path(real): extract::Path<String>,
) -> Outcome<lb_core::api::Explanation> {
    ask(&engine, move |engine| engine.explain(&real).ok_or(TableError::UnknownReal { name: real })).await
}

async fn reports(State(engine): State<Handle>) -> Outcome<lb_core::api::Reports> {
    Ok(Json(engine.call(|engine| engine.reports()).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowsQuery {
    vip: Option<IpAddr>,
    limit: Option<u32>,
}

async fn flows(
    State(engine): State<Handle>,
    query: Result<Query<FlowsQuery>, QueryRejection>,
) -> Outcome<lb_core::api::FlowList> {
    let Query(FlowsQuery { vip, limit }) = query?;
    let limit = limit.unwrap_or(DEFAULT_FLOW_LIMIT);
    if limit > MAX_FLOW_LIMIT {
        let error = format!("limit {limit} is too great");
        return Err(Failure::new(StatusCode::BAD_REQUEST, error, Some(&format!("it can be 0 to {MAX_FLOW_LIMIT}"))));
    }
    ask(&engine, move |engine| engine.flows(&FlowQuery { vip, limit })).await
}

async fn set_admin(
    State(engine): State<Handle>,
    extract::Path(real): extract::Path<String>,
    body: Result<Json<SetAdmin>, JsonRejection>,
) -> Outcome<lb_core::api::RealChanged> {
    let Json(SetAdmin { state }) = body?;
    ask(&engine, move |engine| engine.set_admin(&real, state)).await
}

async fn set_weight(
    State(engine): State<Handle>,
    extract::Path(real): extract::Path<String>,
    body: Result<Json<SetWeight>, JsonRejection>,
) -> Outcome<lb_core::api::RealChanged> {
    let Json(SetWeight { weight }) = body?;
    ask(&engine, move |engine| engine.set_weight(&real, weight)).await
}

async fn reload(State(engine): State<Handle>) -> Outcome<lb_core::api::Reloaded> {
    let reloaded = engine.call(Engine::reload).await?;
    reloaded.map(Json).map_err(|body| Failure { status: StatusCode::UNPROCESSABLE_ENTITY, body })
}

async fn unknown_path(request: Request) -> Failure {
    let error = format!("there is no {}", request.uri().path());
    Failure::new(
        StatusCode::NOT_FOUND,
        error,
        Some("every path of this API begins with /v1/; see docs/reference/api.md"),
    )
}

async fn wrong_method(request: Request) -> Failure {
    let error = format!("{} cannot be used with {}", request.method(), request.uri().path());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, error, Some("see docs/reference/api.md"))
}
