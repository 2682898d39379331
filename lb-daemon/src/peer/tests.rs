//! Two nodes in one process, each in a namespace of its own, with real sockets and a real line between them.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use lb_core::pair::{Happening, PathKind, PathOptions, Peer as Health, Role, Service, State};
use lb_lab::{Namespace, Run, connect, wait_for};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::*;
use crate::config::{SerialWay, UdpWay};

const INTERVAL_US: u64 = 50_000;
/// How long is waited for what must come.
const LIMIT: Duration = Duration::from_secs(30);
const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f\n";

/// What the node had done.
#[derive(Debug, PartialEq)]
enum Done {
    Lease(Service),
    Acquire(bool),
    Release,
    Told(Event),
}

/// Notes what the node wants done, and says that it is.
struct Notes {
    done: Sender<Done>,
    replies: Arc<std::sync::OnceLock<Peer>>,
    last: Option<Lease>,
}

impl Notes {
    fn note(&self, done: Done) {
        // The test may be over.
        let _ = self.done.send(done);
    }

    fn reply(&self, input: Input) {
        if let Some(peer) = self.replies.get() {
            peer.tell(input).unwrap();
        }
    }
}

impl Hands for Notes {
    fn lease(&mut self, lease: Lease) {
        if self.last.replace(lease).is_none_or(|last| last.service != lease.service) {
            self.note(Done::Lease(lease.service));
        }
    }

    fn reserve(&mut self, epoch: Epoch) {
        self.reply(Input::Reserved(epoch));
    }

    fn acquire(&mut self, _: Epoch, fence: bool) {
        self.note(Done::Acquire(fence));
        self.reply(Input::Acquired(Ok(())));
    }

    fn release(&mut self) {
        self.note(Done::Release);
    }

    fn tell(&mut self, event: Event) {
        self.note(Done::Told(event));
    }
}

/// One node.
struct Member {
    peer: Peer,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    fn start(place: &Namespace, role: Role, boot: u32, keys: &str, ways: Vec<Way>) -> Self {
        let (sender, done) = mpsc::channel();
        let replies = Arc::new(std::sync::OnceLock::new());
        let hands = Notes { done: sender, replies: replies.clone(), last: None };
        let parts = Parts {
            options: options(role, boot, &ways),
            memory: Memory::default(),
            keys: Keys::parse(keys).unwrap(),
            ways,
            first: Vec::new(),
            hands: Box::new(hands),
        };
        let (peer, thread) = place.run(|| Ok(start(parts)?)).unwrap();
        replies.set(peer.clone()).ok().unwrap();
        Self { peer, done, thread: Some(thread) }
    }

    /// Waits until the node shows this.
    fn wait_until(&self, what: &str, holds: impl Fn(&View) -> bool) {
        let waited = wait_for(what, LIMIT, || Ok(holds(&self.peer.view()).then_some(())));
        waited.unwrap_or_else(|error| panic!("{error:#}: {:#?}", self.peer.view()));
    }

    fn wait_for_state(&self, state: State) {
        self.wait_until(&format!("{state:?}"), |view| view.pair.state == state);
    }

    /// Everything that was done so far.
    fn done(&self) -> Vec<Done> {
        self.done.try_iter().filter(|done| !matches!(done, Done::Told(_))).collect()
    }

    /// The next notice that it has told, once there is one.
    fn notice(&self) -> String {
        self.told("a notice", |event| event.what == Happening::Notice)
    }

    /// What the next such event that it has told says, once there is one.
    fn told(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> String {
        let told = wait_for(what, LIMIT, || {
            Ok(self.done.try_iter().find_map(|done| match done {
                Done::Told(event) if is_it(&event) => Some(event.reason),
                _ => None,
            }))
        });
        told.unwrap()
    }

    /// Ends as if it had been killed: without a word.
    fn kill(&mut self) {
        self.peer.end().unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.kill();
        }
    }
}

fn options(role: Role, boot: u32, ways: &[Way]) -> Options {
    let path = |way: &Way| PathOptions {
        kind: match way {
            Way::Udp(_) => PathKind::Udp,
            Way::Serial(_) => PathKind::Serial,
        },
        interval_us: INTERVAL_US,
        ack_timeout_us: INTERVAL_US / 2,
        // A test on a busy machine is not about false alarms.
        missed_limit: 10,
        rise: 3,
        fall: 10,
    };
    Options {
        role,
        boot,
        paths: ways.iter().map(path).collect(),
        preempt: false,
        failback_delay_us: 30_000_000,
        start_wait_us: 1_000_000,
        lease_us: 8 * INTERVAL_US,
        drain_us: 2 * INTERVAL_US,
        handover_timeout_us: 5_000_000,
    }
}

/// Two hosts with a cable.
struct Stage {
    hosts: [Namespace; 2],
    _run: Run,
}

impl Stage {
    fn build() -> Self {
        let run = Run::start().unwrap();
        let hosts = ["a", "b"].map(|name| Namespace::new(&run, name).unwrap());
        connect(&hosts[0], "eth1", &hosts[1], "eth1").unwrap();
        for (host, number) in hosts.iter().zip(1..) {
            host.add_address("eth1", format!("192.0.2.{number}").parse().unwrap(), 24).unwrap();
            host.up("eth1").unwrap();
        }
        Self { hosts, _run: run }
    }

    fn start(&self, number: usize, boot: u32) -> Member {
        let role = [Role::Primary, Role::Standby][number];
        Member::start(&self.hosts[number], role, boot, KEYS, vec![udp(number)])
    }
}

fn udp(number: usize) -> Way {
    let address = |number| format!("192.0.2.{}:6721", number + 1).parse().unwrap();
    Way::Udp(UdpWay { interface: "eth1".to_owned(), local: address(number), peer: address(1 - number) })
}

#[test]
fn the_standby_takes_over_when_the_active_node_dies_and_an_old_node_comes_back_as_standby() {
    let stage = Stage::build();
    let mut members = [stage.start(0, 1), stage.start(1, 1)];
    members[0].wait_for_state(State::Active);
    members[1].wait_for_state(State::Standby);
    assert_eq!(members[0].done(), [Done::Lease(Service::Silent), Done::Lease(Service::Serving), Done::Acquire(false)]);
    assert_eq!(members[1].done(), [Done::Lease(Service::Silent)]);
    let epoch = members[0].peer.view().pair.epoch;
    members[0].kill();
    members[1].wait_for_state(State::Active);
    assert_eq!(members[1].done(), [Done::Lease(Service::Serving), Done::Acquire(true)]);
    assert!(members[1].peer.view().pair.epoch > epoch);
    members[0] = stage.start(0, 2);
    members[0].wait_for_state(State::Standby);
    members[1].wait_until("the peer is alive", |view| view.pair.peer.health == Health::Alive);
    assert_eq!(members[0].done(), [Done::Lease(Service::Silent)]);
}

#[test]
fn an_operator_moves_the_vips_and_hears_how_that_came_out() {
    let stage = Stage::build();
    let members = [stage.start(0, 1), stage.start(1, 1)];
    members[0].wait_for_state(State::Active);
    members[1].wait_for_state(State::Standby);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(members[0].peer.ask(Input::Handover { force: true })).unwrap();
    assert_eq!(outcome.answer, lb_core::pair::Answer::Done);
    members[1].wait_for_state(State::Active);
    members[0].wait_for_state(State::Standby);
    let [first, second] = members.each_ref().map(Member::done);
    assert_eq!(first.last(), Some(&Done::Lease(Service::Silent)));
    assert!(first.contains(&Done::Lease(Service::Draining)) && first.contains(&Done::Release), "{first:?}");
    assert_eq!(second.last(), Some(&Done::Acquire(false)));
}

#[test]
fn frames_of_other_keys_move_nothing_until_the_keys_are_the_same() {
    let stage = Stage::build();
    let first = stage.start(0, 1);
    let other = "1 ffffffffffffffffffffffffffffffff\n";
    let second = Member::start(&stage.hosts[1], Role::Standby, 1, other, vec![udp(1)]);
    second.wait_until("frames are refused", |view| view.devices[0].counters.refused("bad_tag") > 3);
    assert!(second.notice().starts_with("path udp eth1: what comes in is refused: not signed with the key"));
    second.wait_until("that is shown", |view| view.devices[0].refused_lately.is_some());
    assert_eq!(second.peer.view().pair.peer.word, None);
    let both = Keys::parse(&format!("{KEYS}2 {}\n3 {} web1\n", "0b".repeat(16), "0c".repeat(16))).unwrap();
    second.peer.set_keys(both.clone()).unwrap();
    assert_eq!(second.notice(), "the keys have changed: key 1 signs; keys that verify: 2");
    second.wait_until("the peer is heard", |view| view.pair.peer.word.is_some());
    second.peer.set_keys(both).unwrap();
    second.peer.set_keys(Keys::parse(KEYS).unwrap()).unwrap();
    assert_eq!(second.notice(), "the keys have changed: key 1 signs; keys that verify: 1", "the same are no news");
    drop(first);
}

#[test]
fn two_nodes_of_one_role_say_so() {
    let stage = Stage::build();
    let members = [0, 1].map(|n| Member::start(&stage.hosts[n], Role::Primary, 1 + n as u32, KEYS, vec![udp(n)]));
    for member in &members {
        member.wait_until("the role is noticed", |view| view.pair.peer.same_role_frames > 0);
        member.told("the role", |event| event.reason.contains("another node has the role primary"));
    }
}

#[test]
fn a_device_that_goes_and_comes_back_is_used_again() {
    let stage = Stage::build();
    let members = [stage.start(0, 1), stage.start(1, 1)];
    members[0].wait_for_state(State::Active);
    members[1].wait_for_state(State::Standby);
    let host = &stage.hosts[1];
    host.ip("link set dev eth1 down").unwrap();
    host.ip("link set dev eth1 name other").unwrap();
    members[1].wait_until("the interface is missed", |view| {
        view.devices[0].unusable.as_deref().is_some_and(|why| why.contains("eth1")) && !view.pair.paths[0].usable
    });
    let notice = members[1].notice();
    assert!(notice.starts_with("path udp eth1: there is no interface eth1, or it has another name"), "{notice}");
    host.ip("link set dev other name eth1").unwrap();
    host.up("eth1").unwrap();
    members[1].wait_until("the path is used again", |view| {
        view.devices[0].unusable.is_none() && view.pair.peer.health == Health::Alive
    });
}

#[test]
fn a_blocked_line_delays_no_other_path() {
    let stage = Stage::build();
    let pair = nix::pty::openpty(None, None).unwrap();
    let device: PathBuf = nix::unistd::ttyname(&pair.slave).unwrap();
    let serial = Way::Serial(SerialWay { device, baud: 115_200 });
    let first = Member::start(&stage.hosts[0], Role::Primary, 1, KEYS, vec![udp(0), serial]);
    let second = stage.start(1, 1);
    first.wait_for_state(State::Active);
    second.wait_for_state(State::Standby);
    first.wait_until("the line is open", |view| view.devices[1].unusable.is_none());
    // Nobody reads what is written to this line.
    fill(&pair.slave);
    let lost = |view: &View| view.devices[1].counters.unsent;
    let before = first.peer.view();
    first.wait_until("it goes on", |view| {
        lost(view) >= lost(&before) + 20 && view.pair.paths[0].counters.sent >= before.pair.paths[0].counters.sent + 20
    });
    assert_eq!(first.peer.view().pair.paths[0].run, 0, "the other path misses nothing");
}

/// Writes to a terminal until it takes no more.
fn fill(terminal: &OwnedFd) {
    // The other description of the terminal is left as it is.
    let flags = OFlag::from_bits_retain(fcntl(terminal, FcntlArg::F_GETFL).unwrap());
    fcntl(terminal, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    while nix::unistd::write(terminal, &[0; 64]).is_ok() {}
}
