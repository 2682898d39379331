//! What the API shows of checkpoints, and what can be asked for. Whoever keeps them is played.

use std::path::PathBuf;
use std::sync::Mutex;

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use lb_core::api::{
    Advice, AdviceInput, AdvicePoint, Checkpoint, CheckpointFile, CheckpointFileKind, CheckpointFiles,
    CheckpointImported, CheckpointOrigin, CheckpointRole, CheckpointSync, CheckpointTaken, CheckpointVerified, Commit,
    FlowsKept, FullProgress, IntervalInUse, RefusedCheckpoint, RestoredCheckpoint, Role, Status, StoreState,
    StreamState, ValueOrigin, VerifiedFile,
};

use super::*;

/// Makes a view another one.
type Change = fn(&mut Checkpoint);

/// Somebody who keeps checkpoints, does what it is told, and remembers it.
#[derive(Default)]
pub(super) struct Keeper {
    change: Option<Change>,
    refusal: Option<&'static str>,
    told: Mutex<Vec<String>>,
}

impl Keeper {
    fn with(change: Change) -> Arc<Self> {
        Arc::new(Self { change: Some(change), ..Self::default() })
    }

    /// One whose view has every field.
    pub(super) fn with_everything() -> Self {
        let change: Change = |view| {
            view.sync.why = Some("a full checkpoint is on its way".to_owned());
            view.full = Some(progress());
            view.store.error = Some("the disk is full".to_owned());
            view.store.refused = vec![refused()];
            view.store.restored =
                Some(RestoredCheckpoint { origin: origin(), sequence: 1, unix_ms: 2, flows: 3, took_ms: 4.0 });
        };
        Self { change: Some(change), ..Self::default() }
    }

    fn tell<T: Send + 'static>(&self, what: String, answer: T) -> BoxFuture<'_, Result<T, ErrorBody>> {
        self.told.lock().unwrap().push(what);
        let refusal = self.refusal.map(|error| ErrorBody { error: error.to_owned(), hint: Some("wait".to_owned()) });
        Box::pin(async move { refusal.map_or(Ok(answer), Err) })
    }
}

fn origin() -> CheckpointOrigin {
    CheckpointOrigin { owner: Role::Primary, boot: 5, epoch: 7 }
}

fn progress() -> FullProgress {
    FullProgress { incoming: false, parts: 3, parts_estimate: 12, entries: 1_000, bytes: 64_000, seconds: 0.5 }
}

fn refused() -> RefusedCheckpoint {
    RefusedCheckpoint { file: "7-primary-5-1.log".to_owned(), offset: 80, reason: "torn".to_owned() }
}

/// A node that leads, and is in sync.
fn view() -> Checkpoint {
    Checkpoint {
        role: CheckpointRole::Leading,
        cluster: "understudy".to_owned(),
        origin: Some(origin()),
        sequence: 100,
        generation: 12,
        sync: CheckpointSync { in_sync: true, why: None, confirmed_ms: Some(12.0) },
        full: None,
        interval: IntervalInUse { seconds: 2.5, auto: true, least_seconds: 1.001, max_seconds: 60.0 },
        commit: Some(Commit { ago_seconds: 0.4, sequence: 99, took_ms: 3.1, bytes: 640, entries: 10, full: false }),
        store: StoreState {
            directory: "/var/lib/understudy/checkpoint".to_owned(),
            shared: false,
            bytes: 70_000,
            max_bytes: 1 << 30,
            commits: 3,
            failures: 0,
            error: None,
            restored: None,
            refused: Vec::new(),
        },
        stream: Some(StreamState {
            connected: true,
            path: Some("udp eth1".to_owned()),
            connected_seconds: Some(60.0),
            format_version: Some(2),
            applied: 100,
            durable: 99,
            lag_ms: 0.0,
            backlog_bytes: 0,
            max_backlog_bytes: 16 << 20,
            connections: 1,
            fulls: 1,
            bytes: 71_000,
            last_error: Some("the peer was silent".to_owned()),
        }),
        flows: FlowsKept { known: 40, at_risk: 0, overruns: 0, resyncs: 0 },
    }
}

impl CheckpointControl for Keeper {
    fn view(&self) -> Checkpoint {
        let mut view = view();
        if let Some(change) = self.change {
            change(&mut view);
        }
        view
    }

    fn list(&self) -> BoxFuture<'_, Result<CheckpointFiles, ErrorBody>> {
        let file = CheckpointFile {
            name: "7-primary-5-1.snapshot".to_owned(),
            kind: CheckpointFileKind::Snapshot,
            origin: Some(origin()),
            bytes: 70_000,
            unix_ms: Some(1),
            in_use: true,
        };
        let list = CheckpointFiles { directory: "/a".to_owned(), shared: false, files: vec![file] };
        self.tell("list".to_owned(), list)
    }

    fn verify(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<CheckpointVerified, ErrorBody>> {
        let file = VerifiedFile {
            file: "/a/b".to_owned(),
            origin: Some(origin()),
            records: 2,
            bytes: 3,
            entries: 4,
            skipped: 0,
            first: Some(1),
            last: Some(9),
            refused: Some(refused()),
        };
        self.tell(format!("verify {path:?}"), CheckpointVerified { ok: false, files: vec![file] })
    }

    fn now(&self) -> BoxFuture<'_, Result<CheckpointTaken, ErrorBody>> {
        let taken =
            CheckpointTaken { sequence: 100, generation: 12, took_ms: 3.2, bytes: 64, entries: 1, peer_durable: false };
        self.tell("now".to_owned(), taken)
    }

    fn content(&self) -> BoxFuture<'_, Result<String, ErrorBody>> {
        self.tell("content".to_owned(), r#"{"flows":[]}"#.to_owned())
    }

    fn import(&self, content: Bytes) -> BoxFuture<'_, Result<CheckpointImported, ErrorBody>> {
        let imported = CheckpointImported {
            generation: 13,
            services: 1,
            reals: 2,
            slots: 3,
            flows: 4,
            strangers: vec!["web9".to_owned()],
        };
        self.tell(format!("import {}", content.len()), imported)
    }

    fn advise(&self) -> BoxFuture<'_, Result<Advice, ErrorBody>> {
        let input = AdviceInput {
            symbol: "c0".to_owned(),
            meaning: "a checkpoint".to_owned(),
            value: 0.001,
            unit: "s".to_owned(),
            origin: ValueOrigin::Measured,
        };
        let point = AdvicePoint { interval_seconds: 1.0, cost: 3.0, checkpoints: 1.0, losses: 2.0 };
        let advice = Advice {
            inputs: vec![input],
            optimum: Some(point),
            half: None,
            twice: None,
            in_use: point,
            auto: true,
            least_seconds: 1.001,
            max_seconds: 60.0,
            curve: vec![point],
        };
        self.tell("advise".to_owned(), advice)
    }
}

const GETS: [&str; 4] = [path::CHECKPOINT, path::CHECKPOINT_LIST, path::CHECKPOINT_CONTENT, path::CHECKPOINT_ADVISE];
const POSTS: [(&str, &str); 4] = [
    (path::CHECKPOINT_NOW, ""),
    (path::CHECKPOINT_VERIFY, "{}"),
    (path::CHECKPOINT_VERIFY, r#"{"path": "/a/b"}"#),
    (path::CHECKPOINT_IMPORT, r#"{"flows":[]}"#),
];

#[tokio::test]
async fn a_node_without_checkpoints_says_so() {
    let api = Api::start();
    let gets = GETS.map(|path| ("GET", path, ""));
    let posts = POSTS.map(|(path, body)| ("POST", path, body));
    for (method, path, body) in gets.into_iter().chain(posts) {
        let (status, error) = api.error(method, path, body).await;
        assert_eq!((status, error.error.as_str()), (404, "this node keeps no checkpoints"), "{path}");
    }
    assert_eq!(api.get::<Status>(path::STATUS).await.checkpoint, None);
}

#[tokio::test]
async fn whoever_keeps_checkpoints_is_asked() {
    let keeper = Arc::new(Keeper::default());
    let api = Api::with_checkpoints(keeper.clone());
    let checkpoint: Checkpoint = api.get(path::CHECKPOINT).await;
    assert_eq!(checkpoint, view());
    for path in GETS {
        let (status, body) = api.request("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    for (path, body) in POSTS {
        let (status, answer) = api.request("POST", path, body).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
    }
    let (_, content) = api.request("GET", path::CHECKPOINT_CONTENT, "").await;
    assert_eq!(content, r#"{"flows":[]}"#, "as it was given");
    let told = ["list", "content", "advise", "now", "verify None", "verify Some(\"/a/b\")", "import 12", "content"];
    assert_eq!(*keeper.told.lock().unwrap(), told);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let api = Api::with_checkpoints(Arc::new(Keeper { refusal: Some("the disk is full"), ..Keeper::default() }));
    let gets = GETS[1..].iter().map(|path| ("GET", *path, ""));
    let posts = POSTS.map(|(path, body)| ("POST", path, body));
    for (method, path, body) in gets.chain(posts) {
        let (status, error) = api.error(method, path, body).await;
        assert_eq!((status, error.error.as_str(), error.hint.as_deref()), (409, "the disk is full", Some("wait")));
    }
    let (status, error) = api.error("POST", path::CHECKPOINT_VERIFY, r#"{"path": "a/b"}"#).await;
    assert_eq!((status, error.error.as_str()), (400, "a/b is no absolute path"));
}

/// A checkpoint is larger than any other body may be.
#[tokio::test]
async fn a_large_checkpoint_is_taken_in() {
    let keeper = Arc::new(Keeper::default());
    let api = Api::with_checkpoints(keeper.clone());
    // Beyond the limit of other bodies, and of the framework.
    let size = 3 << 20;
    let (status, _) = api.request("POST", path::CHECKPOINT_IMPORT, &" ".repeat(size)).await;
    assert_eq!(status, 200);
    assert_eq!(*keeper.told.lock().unwrap(), [format!("import {size}")]);
    let large = format!(r#"{{"path": "{}"}}"#, "a".repeat(MAX_BODY));
    assert_eq!(api.error("POST", path::CHECKPOINT_VERIFY, &large).await.0, 413);
}

#[tokio::test]
async fn the_status_says_whether_all_is_where_it_should_be() {
    let before = Api::start().get::<Status>(path::STATUS).await;
    let status: Status = Api::with_checkpoints(Arc::new(Keeper::default())).get(path::STATUS).await;
    assert_eq!((status.degraded, status.warnings), (before.degraded, before.warnings.clone()));
    assert_eq!(status.checkpoint, Some(view().status()));
    let cases: [(Change, &str, bool); 4] = [
        (|view| out(view, "the peer is slow"), "not in sync: the peer is slow", true),
        (|view| view.store.error = Some("the disk is full".to_owned()), "the disk is full", true),
        (
            |view| {
                out(view, "the peer is told all");
                view.full = Some(progress());
            },
            "not in sync: the peer is told all",
            false,
        ),
        (
            |view| {
                out(view, "no node serves");
                view.role = CheckpointRole::Waiting;
            },
            "not in sync: no node serves",
            false,
        ),
    ];
    for (change, message, degraded) in cases {
        let status: Status = Api::with_checkpoints(Keeper::with(change)).get(path::STATUS).await;
        let warnings = &status.warnings[before.warnings.len()..];
        let [warning] = warnings else { panic!("{warnings:#?}") };
        assert_eq!((warning.subject.as_str(), warning.message.as_str()), ("checkpoint", message));
        assert_eq!((warning.degraded, status.degraded), (degraded, degraded || before.degraded));
    }
}

fn out(view: &mut Checkpoint, why: &str) {
    view.sync.in_sync = false;
    view.sync.why = Some(why.to_owned());
}
