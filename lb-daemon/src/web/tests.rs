//! What is served over TCP, and what is not.

use std::net::Ipv4Addr;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use lb_core::api::{ErrorBody, Status, path};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::*;
use crate::api::tests::everything;

/// Answers of the router, without a network.
struct Web {
    router: Router,
}

impl Web {
    fn new() -> Self {
        Self { router: routes::router(everything().served) }
    }

    async fn request(&self, method: &str, path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn everything_that_is_public_can_be_read() {
    let web = Web::new();
    let public = [
        path::STATUS,
        path::SERVICES,
        path::REALS,
        path::STATS,
        path::DROPS,
        path::TABLE,
        &path::explain("web1"),
        path::REPORTS,
        path::PAIR,
        path::PATHS,
        path::EVENTS,
        path::CHECKPOINT,
        path::CHECKPOINT_ADVISE,
        path::HISTORY,
        path::METRICS,
        "/",
        "/status.css",
        "/status.js",
        "/icon.svg",
    ];
    for path in public {
        let (status, headers, body) = web.request("GET", path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
        assert_eq!(web.request("HEAD", path).await.0, StatusCode::OK, "{path}");
    }
}

/// Clients' addresses, files and all that changes something stay on the socket.
#[tokio::test]
async fn nothing_else_can_be_read_and_nothing_changed() {
    let web = Web::new();
    let private =
        [path::FLOWS, path::CHECKPOINT_LIST, path::CHECKPOINT_CONTENT, "/v1/doctor", "/v1/trace", path::RELOAD];
    for path in private {
        let (status, headers, body) = web.request("GET", path).await;
        let error: ErrorBody = serde_json::from_str(&body).unwrap();
        assert_eq!((status, error.error), (StatusCode::FORBIDDEN, format!("{path} is not served here")));
        assert_eq!(headers["x-frame-options"], "DENY");
    }
    let changes = [&path::admin("web1"), &path::weight("web1"), path::HANDOVER, path::RELOAD, path::STATUS, "/"];
    for (path, method) in
        changes.into_iter().flat_map(|path| ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"].map(|method| (path, method)))
    {
        assert_eq!(web.request(method, path).await.0, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    assert_eq!(web.request("GET", "/etc/passwd").await.0, StatusCode::NOT_FOUND);
}

/// An address of this host that nobody listens on.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The warnings about an address, once they are as they should be.
async fn wait_for_warnings(served: &Served, wanted: fn(&[String]) -> bool) -> Vec<String> {
    loop {
        let status: Status = served.engine.call(|engine| engine.status()).await.unwrap();
        let about = status.warnings.into_iter().filter(|warning| warning.subject.starts_with("http "));
        let messages: Vec<String> = about.map(|warning| warning.message).collect();
        if wanted(&messages) {
            return messages;
        }
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_port_is_a_warning_and_is_tried_again() {
    let api = everything();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(serve(vec![address], api.served.clone(), stopped));
    let warnings = wait_for_warnings(&api.served, |found| !found.is_empty()).await;
    assert!(warnings[0].starts_with(&format!("another program has port {}: stop it", address.port())), "{warnings:?}");
    drop(taken);
    wait_for_warnings(&api.served, <[String]>::is_empty).await;
    time::resume();
    let answer = get(address, "GET /v1/status HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.send(true).unwrap();
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let api = everything();
    let address = free_address();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(vec![address], api.served.clone(), stopped));
    while TcpStream::connect(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    let long = format!("GET / HTTP/1.1\r\nHost: lbd\r\nX: {}", "x".repeat(20 << 10));
    let answer = get(address, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// Both ends of a connection over the loopback.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn who_sends_no_request_is_sent_away() {
    let (_near, far) = connected().await;
    time::pause();
    let began = time::Instant::now();
    connection::serve(far, Router::new()).await;
    assert_eq!(began.elapsed().as_secs(), connection::HEAD_TIMEOUT.as_secs());
}

#[tokio::test]
async fn who_does_not_read_the_answer_is_sent_away() {
    let (mut near, far) = connected().await;
    let endless = || async {
        Body::from_stream(futures_util::stream::repeat(Ok::<_, std::convert::Infallible>("x".repeat(1 << 16))))
    };
    near.write_all(b"GET / HTTP/1.1\r\nHost: lbd\r\n\r\n").await.unwrap();
    time::pause();
    let began = time::Instant::now();
    connection::serve(far, Router::new().route("/", axum::routing::get(endless))).await;
    assert_eq!(began.elapsed().as_secs(), connection::LIFETIME.as_secs());
}
