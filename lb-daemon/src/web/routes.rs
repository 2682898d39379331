//! Which path answers what, and the headers that go with every answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::page;
use crate::api::{self, Failure, Served};

/// Most requests that are worked on at once; further ones wait. So a flood of them leaves the engine to others.
const MAX_AT_ONCE: usize = 4;
/// Where to look for what is not served here.
const HINT: &str =
    "only what docs/status-page.md lists can be read here: use lbctl, or the unix socket, on the node itself";

/// With every answer: nothing is kept, nothing is guessed, and a page loads nothing from elsewhere and shows up in no frame.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Everything that is served over TCP.
pub(super) fn router(served: Served) -> Router {
    api::public()
        .route("/", get(page::show))
        .route("/status.css", get(page::style))
        .route("/status.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .fallback(elsewhere)
        .with_state(served)
        .layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(MAX_AT_ONCE)), only_read))
        .layer(middleware::map_response(with_headers))
}

/// Refuses what is no reading, and lets only so many requests through at once.
async fn only_read(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = format!("{} is not served here: this address is for reading only", request.method());
        return Failure::new(StatusCode::METHOD_NOT_ALLOWED, error, Some(HINT)).into_response();
    }
    // The semaphore is never closed.
    let _place = places.acquire_owned().await;
    next.run(request).await
}

async fn with_headers(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS.clone());
    response
}

async fn elsewhere(request: Request) -> Failure {
    let path = request.uri().path();
    if path.starts_with("/v1/") {
        return Failure::new(StatusCode::FORBIDDEN, format!("{path} is not served here"), Some(HINT));
    }
    Failure::new(StatusCode::NOT_FOUND, format!("there is no {path}"), Some(HINT))
}
