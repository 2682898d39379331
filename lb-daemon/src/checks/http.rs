//! An HTTP request over a connection of any kind, and what its answer must be.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use lb_core::check::Http;

use super::probe::{Failure, Stream, TimeLimit};
use super::udp::contains;

/// The port that a Host header leaves out.
pub(super) const PORT: u16 = 80;
/// The port that a Host header leaves out over TLS.
pub(super) const TLS_PORT: u16 = 443;
/// Most bytes of an answer's head.
const MAX_HEAD: usize = 16 << 10;
/// Most bytes of a body that are looked at.
const MAX_BODY: usize = 64 << 10;
const AGENT: &str = concat!("understudy-check/", env!("CARGO_PKG_VERSION"));

/// Makes the request to `address`, and judges the answer.
pub(super) async fn ask(
    stream: impl Stream + 'static,
    http: &Http,
    address: SocketAddr,
    default_port: u16,
    limit: TimeLimit,
) -> Result<(), Failure> {
    let request = request(http, address, default_port)?;
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(failure)?;
    let exchange = async {
        let answer = async { sender.send_request(request).await.map_err(failure) };
        let answer = limit.bound("answer", answer).await?;
        judge_status(answer.status(), http)?;
        match &http.body {
            Some(wanted) => limit.bound("whole body", find(answer.into_body(), wanted)).await,
            None => Ok(()),
        }
    };
    drive(connection, exchange).await
}

/// Keeps the connection going until the exchange has ended. The exchange hears of what ends the connection early.
async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = connection => exchange.await,
    }
}

fn request(http: &Http, address: SocketAddr, default_port: u16) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = match &http.host {
        Some(host) => host.clone(),
        None if address.port() == default_port => match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        },
        None => address.to_string(),
    };
    let request = Request::builder().method(http.method.as_str()).uri(&http.path).header(HOST, host);
    let request = request.header(USER_AGENT, AGENT).header(ACCEPT, "*/*").header(CONNECTION, "close");
    request.body(Empty::new()).map_err(|error| Failure::new(format_args!("the request cannot be made: {error}")))
}

fn judge_status(status: StatusCode, http: &Http) -> Result<(), Failure> {
    let number = status.as_u16();
    if http.statuses.iter().any(|range| range.contains(&number)) {
        return Ok(());
    }
    Err(Failure::new(format_args!("status {number}")))
}

/// Reads the body until `wanted` has come.
async fn find(mut body: Incoming, wanted: &str) -> Result<(), Failure> {
    let mut read: Vec<u8> = Vec::new();
    loop {
        // What came before was looked through, but for a beginning of `wanted` at its end.
        if contains(&read, wanted.as_bytes()) {
            return Ok(());
        }
        if read.len() >= MAX_BODY {
            return Err(Failure::new(format_args!("the first {MAX_BODY} bytes of the body do not contain {wanted:?}")));
        }
        match body.frame().await {
            Some(frame) => {
                if let Ok(data) = frame.map_err(failure)?.into_data() {
                    let room = MAX_BODY - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            None => return Err(Failure::new(format_args!("the body does not contain {wanted:?}"))),
        }
    }
}

fn failure(error: hyper::Error) -> Failure {
    if error.is_incomplete_message() {
        return Failure::new("the connection was closed before the answer ended");
    }
    if error.is_parse_too_large() {
        return Failure::new(format_args!("the head of the answer has more than {MAX_HEAD} bytes or too many headers"));
    }
    if error.is_parse() {
        return Failure::new("the answer is not HTTP");
    }
    let cause = std::error::Error::source(&error);
    match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(cause) => Failure::io(cause),
        None => Failure::new(error),
    }
}
