//! One connection: HTTP/1.1, within limits of size and time.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time;
use tracing::debug;

/// How long a request's head may take to come, and a connection may wait for the next one.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection lives, however busy it is: one that reads its answers slowly goes away, too.
pub(super) const LIFETIME: Duration = Duration::from_secs(120);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;

/// Answers what comes, until the other end or a limit ends it.
pub(super) async fn serve(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match time::timeout(LIFETIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("HTTP: a connection ended: {error}"),
        Err(_) => debug!("HTTP: a connection was open for {} seconds, and is closed", LIFETIME.as_secs()),
    }
}
