//! The requests about the configuration: what is in use, what differs from the file, and changes of services and reals.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use lb_core::api::{ConfigChanged, ConfigDiff, ConfigInUse, ConfigItemKind};
use serde::Deserialize;
use toml::{Table, Value};

use super::{Failure, Outcome};
use crate::config::live::{Fate, Item};
use crate::engine::{Handle, LiveError};

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        let (status, hint) = match &error {
            LiveError::Unknown { .. } => (StatusCode::NOT_FOUND, "`lbctl config show` shows what there is"),
            LiveError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "the configuration in use serves on"),
            LiveError::Unsaved { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "make room, or do it with persist=false"),
        };
        Self::new(status, error, Some(hint))
    }
}

pub(super) async fn show(State(engine): State<Handle>) -> Outcome<ConfigInUse> {
    Ok(Json(engine.call(|engine| engine.config_in_use()).await?))
}

pub(super) async fn diff(State(engine): State<Handle>) -> Outcome<ConfigDiff> {
    Ok(Json(engine.call(|engine| engine.config_diff()).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeQuery {
    #[serde(default)]
    persist: bool,
}

type Body = Result<Json<Table>, JsonRejection>;
type Wanted = Result<Query<ChangeQuery>, QueryRejection>;

pub(super) async fn put_service(State(engine): State<Handle>, wanted: Wanted, body: Body) -> Outcome<ConfigChanged> {
    put(&engine, ConfigItemKind::Service, wanted, body).await
}

pub(super) async fn put_real(State(engine): State<Handle>, wanted: Wanted, body: Body) -> Outcome<ConfigChanged> {
    put(&engine, ConfigItemKind::Real, wanted, body).await
}

pub(super) async fn remove_service(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    wanted: Wanted,
) -> Outcome<ConfigChanged> {
    change(&engine, Item { kind: ConfigItemKind::Service, name }, Fate::Removed, wanted).await
}

pub(super) async fn remove_real(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    wanted: Wanted,
) -> Outcome<ConfigChanged> {
    change(&engine, Item { kind: ConfigItemKind::Real, name }, Fate::Removed, wanted).await
}

async fn put(engine: &Handle, kind: ConfigItemKind, wanted: Wanted, body: Body) -> Outcome<ConfigChanged> {
    let Json(table) = body?;
    let Some(name) = table.get("name").and_then(Value::as_str).map(str::to_owned) else {
        let error = format!("the {kind} has no `name`");
        return Err(Failure::new(StatusCode::BAD_REQUEST, error, Some("see docs/reference/config.md for its keys")));
    };
    change(engine, Item { kind, name }, Fate::Put(table), wanted).await
}

async fn change(engine: &Handle, item: Item, fate: Fate, wanted: Wanted) -> Outcome<ConfigChanged> {
    let Query(ChangeQuery { persist }) = wanted?;
    super::ask(engine, move |engine| engine.change_live(item, fate, persist)).await
}
