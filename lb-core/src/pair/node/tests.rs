//! Two nodes on one virtual clock, and a network that can be cut: what each rule of the protocol is for.

mod consent;
mod detection;
mod handover;
mod lease;
mod opinions;
mod restart;
mod takeover;

use super::*;
use crate::pair::{Frame, Input, PathKind, PathOptions, Peer, Service};

const MS: Micros = 1_000;
/// Of the two UDP paths.
const TB: Micros = 10 * MS;
/// Their ack timeout.
const W: Micros = 2_500;
const PATHS: usize = 3;
/// How long a frame travels, by path.
const DELAY: [Micros; PATHS] = [100, 120, 4 * MS];
/// Index of the primary in [`Lab::sides`].
const A: usize = 0;
/// And of the standby.
const B: usize = 1;

/// Two UDP paths and a serial line.
fn options(role: Role, boot: u32) -> Options {
    let udp =
        PathOptions { kind: PathKind::Udp, interval_us: TB, ack_timeout_us: W, missed_limit: 3, rise: 3, fall: 6 };
    let serial = PathOptions { kind: PathKind::Serial, interval_us: 20 * MS, ack_timeout_us: 10 * MS, ..udp };
    Options {
        role,
        boot,
        paths: vec![udp, udp, serial],
        preempt: false,
        failback_delay_us: 500 * MS,
        start_wait_us: 300 * MS,
        lease_us: 18 * MS,
        drain_us: 50 * MS,
        handover_timeout_us: 200 * MS,
    }
}

fn facts() -> Facts {
    Facts { program: [1, 0, 0], vips: 1, services: 2, slots: 3, interval_us: TB as u32, missed_limit: 3 }
}

/// One of the two hosts.
struct Side {
    node: Option<Node>,
    options: Options,
    /// The process is stopped: frames wait.
    is_stopped: bool,
    waiting: Vec<(PathId, Frame)>,
    /// Jobs are answered at once.
    answers_jobs: bool,
    acquired: Vec<(Epoch, bool)>,
    released: usize,
    reserved: Vec<Epoch>,
    answers: Vec<Answer>,
    events: Vec<Event>,
    sent: Vec<(Micros, PathId, Frame)>,
    /// What the data plane has been told last.
    lease: Lease,
}

struct Lab {
    now: Micros,
    sides: [Side; 2],
    flying: Vec<(Micros, usize, PathId, Frame)>,
    /// By sender and path.
    cut: [[bool; PATHS]; 2],
    /// For how long both served.
    overlap: Micros,
}

impl Lab {
    /// Both nodes are configured and off.
    fn new() -> Self {
        let side = |role| Side {
            node: None,
            options: options(role, 0),
            is_stopped: false,
            waiting: Vec::new(),
            answers_jobs: true,
            acquired: Vec::new(),
            released: 0,
            reserved: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            lease: Lease { service: Service::Silent, until: 0 },
        };
        let sides = [side(Role::Primary), side(Role::Standby)];
        Self { now: 1_000_000, sides, flying: Vec::new(), cut: [[false; PATHS]; 2], overlap: 0 }
    }

    /// The primary is active, the standby watches it.
    fn running() -> Self {
        let mut lab = Self::new();
        lab.start(A, Memory::default());
        lab.run(400 * MS);
        lab.start(B, Memory::default());
        lab.run(400 * MS);
        assert_eq!(lab.states(), (State::Active, State::Standby));
        for side in [A, B] {
            lab.tell(side, Input::Facts(facts()));
        }
        lab.run(100 * MS);
        lab
    }

    fn start(&mut self, side: usize, memory: Memory) {
        self.sides[side].options.boot += 1;
        let node = Node::new(self.sides[side].options.clone(), memory, self.now);
        self.sides[side].node = Some(node);
        self.sides[side].is_stopped = false;
        self.perform(side);
    }

    /// The daemon is gone at once; its data plane stays as it is.
    fn kill(&mut self, side: usize) {
        self.sides[side].node = None;
    }

    /// The whole host is gone.
    fn cut_power(&mut self, side: usize) {
        self.kill(side);
        self.sides[side].lease = Lease { service: Service::Silent, until: 0 };
    }

    fn tell(&mut self, side: usize, input: Input) {
        let now = self.now;
        self.node_mut(side).handle(input, now);
        self.perform(side);
    }

    fn node(&self, side: usize) -> &Node {
        self.sides[side].node.as_ref().unwrap()
    }

    fn node_mut(&mut self, side: usize) -> &mut Node {
        self.sides[side].node.as_mut().unwrap()
    }

    fn states(&self) -> (State, State) {
        (self.node(A).state(), self.node(B).state())
    }

    fn serves(&self, side: usize) -> bool {
        let lease = self.sides[side].lease;
        lease.service == Service::Serving && self.now < lease.until
    }

    /// Cuts a path both ways, or mends it.
    fn cut(&mut self, paths: &[usize], cut: bool) {
        for &path in paths {
            self.cut[A][path] = cut;
            self.cut[B][path] = cut;
        }
    }

    /// The process is stopped.
    fn pause(&mut self, side: usize) {
        self.sides[side].is_stopped = true;
    }

    /// It goes on: first it reads what has come in meanwhile.
    fn go_on(&mut self, side: usize) {
        self.sides[side].is_stopped = false;
        for (path, frame) in std::mem::take(&mut self.sides[side].waiting) {
            self.tell(side, Input::Frame { path, frame });
        }
        self.tell(side, Input::Wake);
    }

    fn run(&mut self, time: Micros) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until something holds; fails where it takes longer than `time`.
    fn run_till(&mut self, time: Micros, done: impl Fn(&Self) -> bool) {
        let end = self.now + time;
        assert!(self.run_until(end, done), "it has not come about: {:?}", self.states());
    }

    fn run_until(&mut self, end: Micros, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            let frame = self.flying.iter().map(|(at, ..)| *at).min();
            let awake = self.sides.iter().filter(|side| !side.is_stopped).filter_map(|side| side.node.as_ref());
            let next = awake.map(Node::next_wake).chain(frame).min().unwrap_or(end).min(end);
            self.pass(next.max(self.now));
            if self.now >= end {
                return done(self);
            }
            self.deliver();
            for side in [A, B] {
                let is_due = |node: &Node| node.next_wake() <= self.now;
                if !self.sides[side].is_stopped && self.sides[side].node.as_ref().is_some_and(is_due) {
                    self.tell(side, Input::Wake);
                }
            }
        }
        true
    }

    fn pass(&mut self, next: Micros) {
        let ends = [A, B].map(|side| if self.serves(side) { self.sides[side].lease.until.min(next) } else { 0 });
        self.overlap += ends[A].min(ends[B]).saturating_sub(self.now);
        self.now = next;
    }

    fn deliver(&mut self) {
        while let Some(at) = self.flying.iter().position(|(at, ..)| *at <= self.now) {
            let (_, to, path, frame) = self.flying.remove(at);
            if self.sides[to].is_stopped {
                self.sides[to].waiting.push((path, frame));
            } else if self.sides[to].node.is_some() {
                self.tell(to, Input::Frame { path, frame });
            }
        }
    }

    fn perform(&mut self, side: usize) {
        while let Some(action) = self.node_mut(side).poll_action() {
            let it = &mut self.sides[side];
            match action {
                Action::Send { path, frame } => {
                    it.sent.push((self.now, path, frame));
                    if !self.cut[side][usize::from(path)] {
                        self.flying.push((self.now + DELAY[usize::from(path)], 1 - side, path, frame));
                    }
                }
                Action::Lease => {}
                Action::Reserve(epoch) => it.reserved.push(epoch),
                Action::Acquire { epoch, fence } => {
                    it.acquired.push((epoch, fence));
                    if it.answers_jobs {
                        self.tell(side, Input::Acquired(Ok(())));
                    }
                }
                Action::Release => it.released += 1,
                Action::Tell(event) => it.events.push(event),
                Action::Answer(answer) => it.answers.push(answer),
            }
        }
        self.sides[side].lease = self.node(side).lease();
    }

    /// A frame that the other side could send by path 0 now, so many `ahead` of its last, and that echoes what this side has sent last.
    fn fresh(&self, to: usize, ahead: u32) -> Frame {
        let last = |side: usize| self.sides[side].sent.iter().rev().find(|(_, path, _)| *path == 0).unwrap().2;
        let (mine, theirs) = (last(to), last(1 - to));
        Frame { sequence: theirs.sequence + ahead, echo: mine.sequence, echo_boot: mine.boot, held: 0, ..theirs }
    }

    /// Transitions of a node, in order.
    fn turns(&self, side: usize) -> Vec<(State, State)> {
        let turn = |event: &Event| match event.what {
            Happening::State { from, to, .. } => Some((from, to)),
            _ => None,
        };
        self.sides[side].events.iter().filter_map(turn).collect()
    }

    fn has_told(&self, side: usize, words: &str) -> bool {
        self.sides[side].events.iter().any(|event| event.reason.contains(words))
    }
}
