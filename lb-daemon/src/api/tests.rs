//! The API over a real unix socket, in front of an engine without a kernel.

mod checkpoint;
mod config;
mod fuzz;
mod pair;

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;

use lb_core::api::{AdminState, RealChanged, RealList, Reloaded, Status};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::*;
use crate::engine::test_support::{Bench, CONFIG};

/// A served API. The engine ends with it.
pub(crate) struct Api {
    pub(crate) bench: Bench,
    pub(crate) served: Served,
    socket: PathBuf,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::serving(None, None)
    }

    fn in_pair(control: Arc<dyn PairControl>) -> Self {
        Self::serving(Some(control), None)
    }

    fn with_checkpoints(control: Arc<dyn CheckpointControl>) -> Self {
        Self::serving(None, Some(control))
    }

    fn serving(pair: Option<Arc<dyn PairControl>>, checkpoint: Option<Arc<dyn CheckpointControl>>) -> Self {
        let bench = Bench::new();
        let (engine, _thread) = Handle::spawn(bench.start().unwrap()).unwrap();
        let socket = bench.directory.path().join("lbd.sock");
        let bound = bind(&socket, Access::default()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = Served { engine, pair, trace: None, checkpoint, history: Recording::default() };
        let server = tokio::spawn(serve(bound, served.clone(), stopped));
        Self { bench, served, socket, stop, server }
    }

    /// One request on a connection of its own: the status and the body.
    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.request("GET", path, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn error(&self, method: &str, path: &str, body: &str) -> (u16, ErrorBody) {
        let (status, body) = self.request(method, path, body).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

/// A node in a pair that keeps checkpoints.
pub(crate) fn everything() -> Api {
    Api::serving(Some(Arc::new(pair::Steered::default())), Some(Arc::new(checkpoint::Keeper::with_everything())))
}

#[tokio::test]
async fn every_get_answers_with_its_type() {
    let api = Api::start();
    let status: Status = api.get(path::STATUS).await;
    assert_eq!((status.services, status.reals, status.pid), (1, 2, std::process::id()));
    let services: lb_core::api::ServiceList = api.get(path::SERVICES).await;
    assert_eq!(services.services[0].name, "web");
    let reals: RealList = api.get(path::REALS).await;
    assert_eq!(reals.reals[1].name, "web2");
    let _: lb_core::api::FlowList = api.get(path::FLOWS).await;
    let _: lb_core::api::FlowList = api.get("/v1/flows?vip=2001:db8::1&limit=5").await;
    let _: lb_core::api::Stats = api.get(path::STATS).await;
    let _: lb_core::api::Drops = api.get(path::DROPS).await;
    let table: lb_core::api::TableReport = api.get(path::TABLE).await;
    assert_eq!((table.reals[0].name.as_str(), table.reals[0].weight), ("web1", 100.0));
    let explanation: lb_core::api::Explanation = api.get(&path::explain("web2")).await;
    assert_eq!(explanation.real, "web2");
    let reports: lb_core::api::Reports = api.get(path::REPORTS).await;
    assert_eq!(reports.refused.len(), lb_core::report::Refusal::ALL.len());
}

/// The reference has each path, and each field of the answers that have the most.
#[tokio::test]
async fn the_reference_has_every_path_and_field() {
    let page = include_str!("../../../docs/reference/api.md");
    let gets = [
        path::STATUS,
        path::SERVICES,
        path::REALS,
        path::FLOWS,
        path::STATS,
        path::DROPS,
        path::TABLE,
        &path::explain("NAME"),
        path::REPORTS,
        path::PAIR,
        path::PATHS,
        path::EVENTS,
        path::DOCTOR,
        path::CHECKPOINT,
        path::CHECKPOINT_LIST,
        path::CHECKPOINT_CONTENT,
        path::CHECKPOINT_ADVISE,
        path::CONFIG,
        path::CONFIG_DIFF,
        path::HISTORY,
        path::METRICS,
        path::SIMULATE,
        path::TRACE,
    ];
    let steering = [
        path::HANDOVER,
        path::HOLD,
        path::RESTART,
        path::CHECKPOINT_NOW,
        path::CHECKPOINT_VERIFY,
        path::CHECKPOINT_IMPORT,
        path::SERVICES,
        path::REALS,
        path::RELOAD,
    ];
    let steering = steering.map(str::to_owned);
    let posts = [vec![path::admin("NAME"), path::weight("NAME")], steering.to_vec()].concat();
    let mut headings: Vec<String> = gets.iter().map(|path| format!("## `GET {path}`")).collect();
    headings.extend(posts.iter().map(|path| format!("## `POST {path}`")));
    let deletes = [path::service("NAME"), path::real("NAME")];
    headings.extend(deletes.iter().map(|path| format!("## `DELETE {path}`")));
    let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("## `")).collect();
    assert_eq!(documented, headings);
    let api = everything();
    let gets = [
        path::STATUS,
        path::SERVICES,
        path::REALS,
        path::STATS,
        path::DROPS,
        path::TABLE,
        path::REPORTS,
        path::PAIR,
        path::PATHS,
        path::EVENTS,
        path::CHECKPOINT,
        path::CHECKPOINT_LIST,
        path::CHECKPOINT_ADVISE,
        path::CONFIG,
        path::CONFIG_DIFF,
        path::HISTORY,
    ];
    let posts = [(path::CHECKPOINT_NOW, ""), (path::CHECKPOINT_VERIFY, "{}"), (path::CHECKPOINT_IMPORT, "{}")];
    let mut answers: Vec<(&str, Value)> = Vec::new();
    for path in gets {
        answers.push((path, api.get(path).await));
    }
    for (path, body) in posts {
        let (_, answer) = api.request("POST", path, body).await;
        answers.push((path, serde_json::from_str(&answer).unwrap()));
    }
    for (path, answer) in answers {
        for key in keys(&answer) {
            let word = |c: char| !c.is_alphanumeric() && c != '_';
            assert!(page.split(word).any(|found| found == key), "{key} of {path} is not in the reference");
        }
    }
}

/// The keys of all objects in a value.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| [vec![key.clone()], keys(value)].concat()).collect()
        }
        Value::Array(values) => values.iter().flat_map(keys).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn admin_and_weight_change_the_real() {
    let api = Api::start();
    let (status, body) = api.request("POST", &path::admin("web1"), r#"{"state":"drained"}"#).await;
    let changed: RealChanged = serde_json::from_str(&body).unwrap();
    assert_eq!((status, changed.changed, changed.real.admin), (200, true, AdminState::Drained));
    let (status, body) = api.request("POST", &path::weight("web2"), r#"{"weight":7}"#).await;
    let changed: RealChanged = serde_json::from_str(&body).unwrap();
    assert_eq!((status, changed.real.weight_override), (200, Some(7)));
    let (_, body) = api.request("POST", &path::weight("web2"), r#"{"weight":null}"#).await;
    assert!(body.contains(r#""weight_override":null"#), "{body}");
}

#[tokio::test]
async fn a_reload_answers_with_what_is_wrong() {
    let api = Api::start();
    let (status, body) = api.request("POST", path::RELOAD, "").await;
    let reloaded: Reloaded = serde_json::from_str(&body).unwrap();
    assert_eq!((status, reloaded.changed), (200, false));
    api.bench.write_config(&CONFIG.replace("port = 80", "prot = 80"));
    let (status, error) = api.error("POST", path::RELOAD, "").await;
    assert_eq!(status, 422);
    assert!(error.error.contains("did you mean `port`?"), "{}", error.error);
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn wrong_requests_get_an_error_that_says_so() {
    let api = Api::start();
    let cases = [
        ("GET", "/", "", 404, "there is no /"),
        ("GET", "/v2/status", "", 404, "there is no /v2/status"),
        ("POST", path::STATUS, "", 405, "POST cannot be used with /v1/status"),
        ("GET", path::RELOAD, "", 405, "GET cannot be used with /v1/reload"),
        ("GET", "/v1/reals/web9/explain", "", 404, "there is no real \"web9\""),
        ("POST", "/v1/reals/web9/admin", r#"{"state":"drained"}"#, 404, "there is no real \"web9\""),
        ("POST", "/v1/reals/web1/weight", r#"{"weight":65536}"#, 400, "weight 65536 for real \"web1\" is too great"),
        ("POST", "/v1/reals/web1/admin", r#"{"state":"gone"}"#, 422, "unknown variant `gone`"),
        ("POST", "/v1/reals/web1/admin", r#"{"state":"drained","now":1}"#, 422, "unknown field `now`"),
        ("POST", "/v1/reals/web1/admin", r#"{"state""#, 400, "EOF while parsing"),
        ("POST", "/v1/reals/web1/admin", "", 415, "Content-Type: application/json"),
        ("GET", "/v1/flows?vip=web", "", 400, "invalid IP address syntax"),
        ("GET", "/v1/flows?limit=100001", "", 400, "limit 100001 is too great"),
        ("GET", "/v1/flows?client=1", "", 400, "unknown field `client`"),
    ];
    for (method, path, body, status, text) in cases {
        let (found, error) = api.error(method, path, body).await;
        assert_eq!(found, status, "{method} {path}");
        assert!(error.error.contains(text), "{method} {path}: {}", error.error);
    }
    let large = format!(r#"{{"state":"{}"}}"#, "x".repeat(MAX_BODY));
    assert_eq!(api.error("POST", "/v1/reals/web1/admin", &large).await.0, 413);
}

#[tokio::test]
async fn the_socket_is_for_root_and_the_group_and_replaces_a_stale_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = bind(&path, Access::default()).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    UnixStream::connect(&path).await.unwrap();
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stranger_is_refused() {
    let bench = Bench::new();
    let (engine, _thread) = Handle::spawn(bench.start().unwrap()).unwrap();
    let app = router(
        Served { engine, pair: None, trace: None, checkpoint: None, history: Recording::default() },
        Access { group: Some(4), readers: None },
    )
    .layer(axum::Extension(ConnectInfo(Peer::default())));
    let request = Request::builder().uri(path::STATUS).body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(app, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"], "user unknown may not use lbd's API");
}

#[tokio::test]
async fn a_stop_ends_the_server_and_removes_the_socket() {
    let api = Api::start();
    let _: Status = api.get(path::STATUS).await;
    api.stop.send(true).unwrap();
    api.server.await.unwrap().unwrap();
    assert!(!api.socket.exists());
}
