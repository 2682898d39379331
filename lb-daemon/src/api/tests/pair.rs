//! What the API shows of a pair, and how it is steered. Whoever runs the pair is played.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lb_core::api::{self, Events, Happening, LeaseService, NodeState, PairChanged, PathState, PeerHealth, Status};
use lb_core::pair::view::{LeaseView, Level, PairView};
use lb_core::pair::wire::Refusal;
use lb_core::pair::{
    self as core, Answer, Memory, Node, Options, PathKind, PathOptions, Peer as Health, Service, State,
};

use super::*;
use crate::peer::{DeviceCounters, DeviceView, NotTaken, View};

/// Makes a view another one.
type Change = fn(&mut View);

/// A pair that does what it is told, and remembers it.
#[derive(Default)]
pub(super) struct Steered {
    change: Option<Change>,
    refusal: Option<&'static str>,
    told: Mutex<Vec<String>>,
}

impl Steered {
    fn with(change: Change) -> Arc<Self> {
        Arc::new(Self { change: Some(change), ..Self::default() })
    }

    fn tell(&self, what: String) -> BoxFuture<'_, Result<Answer, NotTaken>> {
        self.told.lock().unwrap().push(what);
        let answer = self.refusal.map_or(Answer::Done, |reason| Answer::Refused(reason.to_owned()));
        Box::pin(async move { Ok(answer) })
    }
}

/// An active node that hears its peer on both paths.
fn view() -> View {
    let path = PathOptions {
        kind: PathKind::Udp,
        interval_us: 10_000,
        ack_timeout_us: 2_500,
        missed_limit: 3,
        rise: 3,
        fall: 6,
    };
    let options = Options {
        role: core::Role::Primary,
        boot: 5,
        paths: vec![path, path],
        preempt: false,
        failback_delay_us: 1,
        start_wait_us: 3_000_000,
        lease_us: 20_000,
        drain_us: 1,
        handover_timeout_us: 1,
    };
    let mut pair: PairView = Node::new(options, Memory::default(), 0).view(0);
    pair.state = State::Active;
    pair.epoch = 7;
    pair.peer.health = Health::Alive;
    pair.lease = LeaseView { service: Service::Serving, remaining_us: 18_400, reconfirming: false };
    pair.lacks.clear();
    for path in &mut pair.paths {
        path.level = Level::Up;
        path.usable = true;
    }
    let device = |name: &str| DeviceView {
        name: name.to_owned(),
        unusable: None,
        refused_lately: None,
        counters: DeviceCounters::default(),
    };
    View { pair, devices: vec![device("udp eth1"), device("udp eth2")] }
}

impl PairControl for Steered {
    fn view(&self) -> Arc<View> {
        let mut view = view();
        if let Some(change) = self.change {
            change(&mut view);
        }
        Arc::new(view)
    }

    fn handicaps(&self) -> Vec<String> {
        Vec::new()
    }

    fn events(&self, limit: usize) -> Events {
        let event =
            api::Event { sequence: 1, unix_ms: 2, boot: 3, what: Happening::Notice, reason: format!("{limit}") };
        Events { events: vec![event], truncated: true }
    }

    fn handover(&self, force: bool) -> BoxFuture<'_, Result<Answer, NotTaken>> {
        self.tell(format!("handover {force}"))
    }

    fn hold(&self, held: bool) -> Result<(), NotTaken> {
        self.told.lock().unwrap().push(format!("hold {held}"));
        Ok(())
    }

    fn restart(&self, grace: Duration) -> BoxFuture<'_, Result<Answer, NotTaken>> {
        self.tell(format!("restart {}", grace.as_millis()))
    }
}

#[tokio::test]
async fn a_solo_node_has_no_pair() {
    let api = Api::start();
    let requests = [
        ("GET", path::PAIR, ""),
        ("GET", path::PATHS, ""),
        ("GET", path::EVENTS, ""),
        ("POST", path::HANDOVER, "{}"),
        ("POST", path::HOLD, "{\"held\": true}"),
        ("POST", path::RESTART, "{\"grace_ms\": 5}"),
    ];
    for (method, path, body) in requests {
        let (status, error) = api.error(method, path, body).await;
        assert_eq!((status, error.error.as_str()), (404, "this node is solo: it is in no pair"), "{path}");
    }
    assert_eq!(api.get::<Status>(path::STATUS).await.pair, None);
}

#[tokio::test]
async fn a_pair_that_is_well_is_shown_so() {
    let api = Api::in_pair(Arc::new(Steered::default()));
    let pair: api::Pair = api.get(path::PAIR).await;
    assert_eq!((pair.role, pair.state, pair.epoch, pair.boot), (api::Role::Primary, NodeState::Active, 7, 5));
    assert_eq!((pair.lease.service, pair.lease.remaining_ms), (LeaseService::Serving, 18.4));
    assert!(!pair.is_degraded());
    let paths: api::Paths = api.get(path::PATHS).await;
    assert_eq!((paths.paths[1].name.as_str(), paths.paths[1].state), ("udp eth2", PathState::Up));
    let before = Api::start().get::<Status>(path::STATUS).await;
    let status: Status = api.get(path::STATUS).await;
    assert_eq!((status.degraded, status.warnings), (before.degraded, before.warnings));
    assert_eq!(status.pair.unwrap().peer, PeerHealth::Alive);
}

/// What the status says of a pair that is changed so: subjects, and whether it is degraded by that.
async fn troubles(change: Change) -> Vec<(String, String, bool)> {
    let before = Api::start().get::<Status>(path::STATUS).await.warnings.len();
    let status: Status = Api::in_pair(Steered::with(change)).get(path::STATUS).await;
    let warnings = &status.warnings[before..];
    assert!(status.degraded || warnings.iter().all(|warning| !warning.degraded));
    warnings.iter().map(|warning| (warning.subject.clone(), warning.message.clone(), warning.degraded)).collect()
}

#[tokio::test]
async fn what_is_wrong_with_a_pair_makes_the_daemon_degraded() {
    let cases: [(Change, &str, &str); 8] = [
        (|view| view.pair.peer.health = Health::Dead, "peer", "it has not been heard on any path"),
        (|view| view.pair.state = State::Fenced, "pair", "this node is fenced"),
        (
            |view| {
                view.pair.state = State::Fenced;
                view.pair.forbidden = Some("taken".to_owned());
            },
            "pair",
            "this node must not serve: taken",
        ),
        (
            |view| view.pair.forbidden = Some("another node has the role".to_owned()),
            "pair",
            "another node has the role",
        ),
        (|view| view.pair.lease.remaining_us = 0, "lease", "it has ended"),
        (|view| view.pair.paths[1].level = Level::Down, "path udp eth2", "no ack to 0 asks in a row"),
        (|view| view.pair.sync = core::Sync::VipsDiffer, "pair", "the nodes have different VIPs"),
        (|view| view.pair.lacks = "a gateway".to_owned(), "pair", "this node is fit by"),
    ];
    for (change, subject, message) in cases {
        let found = troubles(change).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].0 == subject && found[0].1.starts_with(message) && found[0].2, "{found:#?}");
    }
    let held = troubles(|view| view.pair.held = true).await;
    assert!(held.len() == 1 && !held[0].2, "a held node is as it was wished: {held:#?}");
    assert!(
        troubles(|view| view.pair.lease = LeaseView { service: Service::Silent, remaining_us: 0, reconfirming: false })
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_path_that_is_down_says_why_where_that_is_known() {
    let unusable = troubles(|view| {
        view.pair.paths[0].usable = false;
        view.pair.paths[0].level = Level::Unknown;
        view.devices[0].unusable = Some("there is no interface eth1".to_owned());
    });
    assert_eq!(unusable.await[0].1, "there is no interface eth1");
    let refused = troubles(|view| {
        view.pair.paths[0].level = Level::Down;
        view.pair.paths[0].heard_us = None;
        view.devices[0].counters.last_refusal = Some(Refusal::BadTag);
    });
    assert!(refused.await[0].1.starts_with("what comes in is refused: not signed with the key"));
    let keys_differ_now = troubles(|view| {
        view.pair.paths[0].level = Level::Down;
        view.pair.paths[0].heard_us = Some(1);
        view.devices[0].refused_lately = Some(Refusal::UnknownKey);
    });
    assert!(keys_differ_now.await[0].1.starts_with("what comes in is refused: names a key"));
}

#[tokio::test]
async fn what_is_refused_on_a_path_that_is_up_is_shown_and_degrades_nothing() {
    let found = troubles(|view| view.devices[1].refused_lately = Some(Refusal::Version(2))).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let (subject, message, degraded) = &found[0];
    assert_eq!((subject.as_str(), *degraded), ("path udp eth2", false));
    assert!(message.starts_with("what comes in is refused: of version 2 of the frames"), "{message}");
}

#[tokio::test]
async fn a_pair_is_steered_and_may_refuse() {
    let control = Arc::new(Steered::default());
    let api = Api::in_pair(control.clone());
    for (path, body) in [
        (path::HANDOVER, "{}"),
        (path::HANDOVER, "{\"force\": true}"),
        (path::HOLD, "{\"held\": true}"),
        (path::RESTART, "{\"grace_ms\": 5000}"),
    ] {
        let (status, body) = api.request("POST", path, body).await;
        assert_eq!(status, 200, "{body}");
        let changed: PairChanged = serde_json::from_str(&body).unwrap();
        assert_eq!((changed.state, changed.epoch, changed.held), (NodeState::Active, 7, path == path::HOLD));
    }
    let told = ["handover false", "handover true", "hold true", "restart 5000"];
    assert_eq!(*control.told.lock().unwrap(), told);
    let refusing = Steered { refusal: Some("the standby is not in sync"), ..Steered::default() };
    let api = Api::in_pair(Arc::new(refusing));
    for (path, body) in [(path::HANDOVER, "{}"), (path::RESTART, "{\"grace_ms\": 1}")] {
        let (status, error) = api.error("POST", path, body).await;
        assert_eq!((status, error.error.as_str()), (409, "the standby is not in sync"));
    }
    for grace in ["0", "60001"] {
        let (status, error) = api.error("POST", path::RESTART, &format!("{{\"grace_ms\": {grace}}}")).await;
        assert_eq!((status, error.hint.as_deref()), (400, Some("it can be 1 to 60000 ms")));
    }
}

#[tokio::test]
async fn events_are_limited() {
    let api = Api::in_pair(Arc::new(Steered::default()));
    let reasons = async |path: &str| api.get::<Events>(path).await.events[0].reason.clone();
    assert_eq!(reasons(path::EVENTS).await, "50");
    assert_eq!(reasons("/v1/events?limit=1000").await, "1000");
    let (status, error) = api.error("GET", "/v1/events?limit=1001", "").await;
    assert_eq!((status, error.hint.as_deref()), (400, Some("it can be 0 to 1000")));
}
