//! `GET /v1/doctor`: gathers what the parts of the daemon know, and has it judged.

use axum::Json;
use axum::extract::State;
use lb_core::api::Diagnosis;

use super::{Outcome, Served, pair};
use crate::doctor;

pub(super) async fn show(State(served): State<Served>) -> Outcome<Diagnosis> {
    let Json(status) = super::status(State(served.clone())).await?;
    let inside = served.engine.call(|engine| engine.inside()).await??;
    let of_pair = served.pair.as_ref().map(|control| {
        let view = control.view();
        (pair::pair(&view, control.handicaps()), pair::paths(&view))
    });
    let checkpoint = served.checkpoint.as_ref().map(|control| control.view());
    Ok(Json(doctor::diagnose(inside, status, of_pair, checkpoint).await))
}
