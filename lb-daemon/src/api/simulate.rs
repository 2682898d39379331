//! `GET /v1/simulate`: which real a packet would go to.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use lb_core::api::{NodeState, Simulation};
use lb_core::service::Protocol;
use serde::Deserialize;

use super::{Failure, Outcome, Served, words};
use crate::engine::Question;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulateQuery {
    from: SocketAddr,
    to: SocketAddr,
    protocol: Option<Protocol>,
    #[serde(default)]
    syn: bool,
}

pub(super) async fn show(
    State(served): State<Served>,
    query: Result<Query<SimulateQuery>, QueryRejection>,
) -> Outcome<Simulation> {
    let Query(SimulateQuery { from, to, protocol, syn }) = query?;
    let protocol = protocol.unwrap_or(Protocol::Tcp);
    let refused = |error: &str| Failure::new(StatusCode::BAD_REQUEST, error, Some("see docs/reference/api.md"));
    if from.is_ipv4() != to.is_ipv4() {
        return Err(refused("`from` and `to` are of different families"));
    }
    if syn && protocol != Protocol::Tcp {
        return Err(refused("`syn` is for TCP"));
    }
    let question = Question { from, to, protocol, syn };
    let mut simulation = served.engine.call(move |engine| engine.simulate(&question)).await??;
    simulation.lines.extend(silence(&served));
    Ok(Json(simulation))
}

/// What another node does instead, where this one does not serve.
fn silence(served: &Served) -> Option<String> {
    let state = words::state(served.pair.as_ref()?.view().pair.state);
    let is_silent = !matches!(state, NodeState::Active | NodeState::Yielding);
    is_silent.then(|| format!("but this node is {state}: it drops what comes for VIPs, and the active node answers"))
}
