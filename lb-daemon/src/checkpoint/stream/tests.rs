//! Two nodes with two cables between them in namespaces, each with a ledger, and real connections.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use lb_core::checkpoint::ledger::{Duty, NotInSync};
use lb_lab::{Namespace, Run, connect, wait_for};
use tokio::sync::oneshot;

use super::*;
use crate::checkpoint::hub::Teller;
use crate::checkpoint::test_support::settings;
use crate::config::CheckpointSettings;
use crate::engine::Checkpoints as _;

const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f";
const LIMIT: Duration = Duration::from_secs(60);
const PORT: u16 = 6_721;

/// A node of whose table nothing is known but which reals are gone.
struct Node {
    hub: Arc<Hub>,
    gone: Mutex<BTreeSet<u16>>,
    /// Refuses to apply this one.
    refuses: Mutex<Option<u16>>,
}

impl Node {
    fn new(max_backlog: usize) -> Arc<Self> {
        let write_ahead_timeout = LIMIT;
        let settings = CheckpointSettings { max_backlog: max_backlog as u64, write_ahead_timeout, ..settings() };
        Arc::new(Self { hub: Arc::new(Hub::new(settings, true)), gone: Mutex::default(), refuses: Mutex::default() })
    }

    fn gone(&self) -> BTreeSet<u16> {
        self.gone.lock().unwrap().clone()
    }

    fn take(&self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries {
            if let Entry::RealGone(id) = entry {
                if self.refuses.lock().unwrap().take_if(|refused| refused == id).is_some() {
                    return Err(format!("real {id} is refused"));
                }
                self.gone.lock().unwrap().insert(*id);
            }
        }
        Ok(())
    }

    /// As an engine that leads.
    fn tell(&self, ids: impl IntoIterator<Item = u16>) {
        for id in ids {
            self.gone.lock().unwrap().insert(id);
            self.hub.change(|ledger, now| ledger.append(vec![Entry::RealGone(id)], 7, now)).unwrap();
        }
    }

    fn lead(&self, owner: Role, epoch: u32) {
        self.hub.change(|ledger, _| ledger.lead(Origin { cluster: 1, owner, boot: 1, epoch }));
    }

    fn sync(&self) -> Result<(), NotInSync> {
        self.hub.look(|ledger, now| ledger.sync(now))
    }
}

impl Ledgers for Node {
    fn hub(&self) -> &Hub {
        &self.hub
    }

    fn full(&self) -> BoxFuture<'_, Result<Full, String>> {
        let (origin, sequence) = self.hub.look(|ledger, _| ledger.held().unwrap());
        let entries: Vec<Vec<Entry>> = self.gone().into_iter().map(|id| vec![Entry::RealGone(id)]).collect();
        let (sender, parts) = mpsc::channel(entries.len().max(1));
        let parts_estimate = entries.len() as u32;
        entries.into_iter().for_each(|part| sender.try_send(Ok(part)).unwrap());
        async move { Ok(Full { origin, sequence, generation: 7, parts_estimate, parts }) }.boxed()
    }

    fn begin_full(&self, _: Origin) -> BoxFuture<'_, Result<(), String>> {
        self.gone.lock().unwrap().clear();
        let begun = self.hub.change(|ledger, _| ledger.owner_refills());
        async move { begun.map_err(|misfit| misfit.to_string()) }.boxed()
    }

    fn full_part(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), String>> {
        let taken = self.take(&entries);
        async move { taken }.boxed()
    }

    fn end_full(&self, sequence: Sequence, generation: u64) -> BoxFuture<'_, Result<(), String>> {
        let peers = self.hub.look(|ledger, _| ledger.view(0).origin);
        assert_eq!(peers, None, "what it held counts no more");
        let owner = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 1 };
        let done = self.hub.change(|ledger, _| ledger.refilled(owner, sequence, generation));
        async move { done.map_err(|misfit| misfit.to_string()) }.boxed()
    }

    fn apply(&self, batches: Vec<Batch>) -> BoxFuture<'_, Result<(), String>> {
        let applied = batches.into_iter().try_for_each(|batch| {
            self.take(&batch.entries)?;
            if self.hub.look(|ledger, _| ledger.duty() == Duty::Leads) {
                return Ok(());
            }
            self.hub.change(|ledger, now| ledger.received(batch, now)).map_err(|misfit| misfit.to_string())
        });
        async move { applied }.boxed()
    }
}

/// A node whose stream runs, until it is dropped.
struct Running {
    node: Arc<Node>,
    stream: Arc<Stream>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Running {
    fn wait(&self, what: &str, holds: impl Fn(&Node, &StreamView) -> bool) {
        let waited = wait_for(what, LIMIT, || Ok(holds(&self.node, &self.stream.view()).then_some(())));
        waited.unwrap_or_else(|error| panic!("{error:#}: {:?}, {:?}", self.stream.view(), self.node.gone()));
    }
}

/// Two hosts with two cables between them.
struct Stage {
    hosts: [Namespace; 2],
    _run: Run,
}

impl Stage {
    fn build() -> Self {
        let run = Run::start().unwrap();
        let hosts = ["a", "b"].map(|name| Namespace::new(&run, name).unwrap());
        for (cable, net) in [("eth1", "192.0.2"), ("eth2", "198.51.100")] {
            connect(&hosts[0], cable, &hosts[1], cable).unwrap();
            for (host, number) in hosts.iter().zip(1..) {
                host.add_address(cable, format!("{net}.{number}").parse().unwrap(), 24).unwrap();
                host.up(cable).unwrap();
            }
        }
        Self { hosts, _run: run }
    }

    fn set_cables(&self, state: &str) {
        for cable in ["eth1", "eth2"] {
            self.hosts[0].ip(&format!("link set {cable} {state}")).unwrap();
        }
    }

    fn start(&self, number: usize, node: Arc<Node>, keys: &str) -> Running {
        let role = [Role::Primary, Role::Standby][number];
        let keys = Arc::new(Keys::parse(keys).unwrap());
        let options = Options { me: Me { cluster: 1, role, boot: 1 }, keys, paths: paths(number) };
        let (host, ledgers) = (self.hosts[number].handle(), node.clone());
        let ((stop, stopped), (give, take)) = (oneshot::channel::<()>(), std::sync::mpsc::channel());
        let thread = thread::spawn(move || {
            host.enter().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                give.send(Arc::new(spawn(options, ledgers))).unwrap();
                let _ = stopped.await;
            });
        });
        Running { node, stream: take.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// The first leads and the second follows, and has everything.
    fn running(&self, max_backlog: usize) -> [Running; 2] {
        let nodes = [max_backlog, 1 << 20].map(Node::new);
        nodes[0].lead(Role::Primary, 1);
        nodes[0].tell(1..=20);
        nodes[1].hub.change(|ledger, _| ledger.follow());
        let [first, second] = nodes;
        let running = [self.start(0, first, KEYS), self.start(1, second, KEYS)];
        running[1].wait("everything to have come", |node, _| node.gone().len() == 20 && node.sync().is_ok());
        running[0].wait("that to be acked", |node, _| node.sync().is_ok());
        running
    }
}

fn paths(number: usize) -> Vec<UdpWay> {
    let way = |(interface, net): (&str, &str)| {
        let address = |number: usize| SocketAddr::new(format!("{net}.{}", number + 1).parse().unwrap(), PORT);
        UdpWay { interface: interface.to_owned(), local: address(number), peer: address(1 - number) }
    };
    [("eth1", "192.0.2"), ("eth2", "198.51.100")].map(way).to_vec()
}

#[test]
fn a_follower_gets_everything_and_then_what_is_new() {
    let stage = Stage::build();
    let [owner, follower] = stage.running(1 << 20);
    owner.node.tell(21..=40);
    follower.wait("what is new", |node, _| node.gone() == (1..=40).collect());
    owner.wait("its ack", |node, _| node.hub.look(|ledger, now| ledger.view(now).applied) == Some(40));
    for view in [owner.stream.view(), follower.stream.view()] {
        assert_eq!((view.connected, view.connections, view.fulls, view.trouble), (true, 1, 1, None));
        assert!(view.bytes > 0 && view.version.is_some());
    }
}

#[test]
fn when_a_path_dies_another_goes_on_where_it_was() {
    let stage = Stage::build();
    let [owner, follower] = stage.running(1 << 20);
    let first = follower.stream.view().path.unwrap();
    stage.hosts[0].ip(&format!("link set {first} down")).unwrap();
    owner.node.tell(21..=40);
    follower.wait("what is new, by the other path", |node, _| node.gone() == (1..=40).collect());
    owner.wait("its ack", |node, _| node.sync().is_ok());
    let view = follower.stream.view();
    assert_ne!(view.path.as_deref(), Some(first.as_str()));
    assert_eq!((view.connections, view.fulls), (2, 1), "nothing was fetched twice");
}

#[test]
fn who_was_away_for_too_long_gets_everything_anew() {
    let stage = Stage::build();
    let [owner, follower] = stage.running(1_000);
    stage.set_cables("down");
    owner.wait("the follower to be missed", |node, _| matches!(node.sync(), Err(NotInSync::NoFollower(_))));
    follower.wait("the owner to be missed", |node, _| matches!(node.sync(), Err(NotInSync::NoOwner(_))));
    owner.node.tell(21..=400);
    stage.set_cables("up");
    follower.wait("everything", |node, _| node.gone() == (1..=400).collect() && node.sync().is_ok());
    assert_eq!(follower.stream.view().fulls, 2);
}

#[test]
fn who_could_not_apply_something_gets_everything_anew() {
    let stage = Stage::build();
    let [owner, follower] = stage.running(1 << 20);
    *follower.node.refuses.lock().unwrap() = Some(25);
    owner.node.tell(21..=40);
    follower.wait("everything", |node, view| node.gone() == (1..=40).collect() && view.fulls == 2);
    owner.wait("its ack", |node, _| node.sync().is_ok());
}

#[test]
fn a_wish_for_everything_is_granted() {
    let stage = Stage::build();
    let [_owner, follower] = stage.running(1 << 20);
    Teller::new(follower.node.hub.clone(), Box::new(|_| true)).ask_for_all();
    follower.wait("everything again", |node, view| view.fulls == 2 && node.gone().len() == 20 && node.sync().is_ok());
}

#[test]
fn what_no_batch_tells_is_told_with_everything() {
    let stage = Stage::build();
    let [owner, follower] = stage.running(1 << 20);
    owner.node.gone.lock().unwrap().insert(99);
    owner.node.hub.change(|ledger, now| ledger.tell_all_anew(now));
    follower.wait("everything again", |node, view| node.gone().contains(&99) && view.fulls == 2);
    owner.wait("its ack", |node, _| node.sync().is_ok());
    assert_eq!(follower.stream.view().connections, 1, "by the connection that was there");
}

#[test]
fn a_node_that_does_not_lead_tells_nothing_and_says_so() {
    let stage = Stage::build();
    let nodes = [1 << 20, 1 << 20].map(Node::new);
    nodes.iter().for_each(|node| node.hub.change(|ledger, _| ledger.follow()));
    let [first, second] = nodes;
    let running = [stage.start(0, first, KEYS), stage.start(1, second, KEYS)];
    running[1].wait("the refusal", |_, view| view.trouble.as_ref().is_some_and(|why| why.contains("does not own")));
    running[0].node.lead(Role::Primary, 1);
    running[0].node.tell(1..=3);
    running[1].wait("what it tells then", |node, _| node.gone().len() == 3);
    running[0].node.hub.change(|ledger, _| ledger.rest());
    running[1].wait("the end", |node, _| matches!(node.sync(), Err(NotInSync::NoOwner(_))));
}

#[test]
fn the_last_words_of_the_owner_before_are_heard_until_it_follows() {
    let stage = Stage::build();
    let [owner, heir] = stage.running(1 << 20);
    heir.node.lead(Role::Standby, 2);
    owner.node.tell([900]);
    heir.wait("the last words", |node, _| node.gone().contains(&900));
    heir.node.tell([901]);
    owner.node.hub.change(|ledger, _| ledger.follow());
    owner.wait("what the heir has", |node, _| node.gone().contains(&901) && node.sync().is_ok());
}

#[test]
fn a_node_with_other_keys_is_told_nothing() {
    let stage = Stage::build();
    let nodes = [1 << 20, 1 << 20].map(Node::new);
    nodes[0].lead(Role::Primary, 1);
    nodes[1].hub.change(|ledger, _| ledger.follow());
    let [first, second] = nodes;
    let _owner = stage.start(0, first, KEYS);
    let follower = stage.start(1, second, "1 ff0102030405060708090a0b0c0d0e0f");
    follower.wait("the reason", |_, view| view.trouble.as_ref().is_some_and(|why| why.contains("key files")));
    follower.stream.set_keys(Arc::new(Keys::parse(KEYS).unwrap()));
    follower.wait("a connection with the right ones", |node, view| view.connected && node.sync().is_ok());
}

#[test]
fn no_more_connections_than_the_limit_are_served() {
    let stage = Stage::build();
    let node = Node::new(1 << 20);
    let _owner = stage.start(0, node, KEYS);
    stage.hosts[1]
        .run(|| {
            let address = paths(1)[0].peer;
            let connect = || wait_for("the listener", LIMIT, || Ok(TcpStream::connect(address).ok()));
            let silent: Vec<_> = (0..MAX_CONNECTIONS).map(|_| connect()).collect::<Result<_, _>>()?;
            // The one too many is closed at once; the others when their handshake has taken too long.
            let ended = |mut socket: &TcpStream| socket.read(&mut [0; 8]).unwrap_or(0);
            let extra = connect()?;
            assert_eq!(ended(&extra), 0);
            silent.iter().for_each(|socket| assert_eq!(ended(socket), 0));
            connect().map(|_| ())
        })
        .unwrap();
}

/// `cargo test -p lb-daemon checkpoint::stream -- --ignored --nocapture` prints it.
#[test]
#[ignore = "a measurement"]
fn how_long_from_append_to_ack() {
    let stage = Stage::build();
    let [owner, _follower] = stage.running(1 << 20);
    let mut engine = Teller::new(owner.node.hub.clone(), Box::new(|_| true));
    let mut times: Vec<Duration> = (100..1_100)
        .map(|id| {
            let began = std::time::Instant::now();
            engine.write_ahead(vec![Entry::RealGone(id)], 7);
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("median {:?}, 99% {:?}, most {:?}", times[500], times[990], times[999]);
}
