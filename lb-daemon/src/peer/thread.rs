//! The heartbeat thread: polls the paths, asks the node what follows, and does it.
//!
//! Nothing in it waits but the poll: no disk, no log, no lock that others hold for long.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lb_core::auth::Keys;
use lb_core::pair::wire::{self, MAX_FRAME_SIZE, Refusal, table};
use lb_core::pair::{Action, Answer, Event, Frame, Happening, Input, Micros, Node, PathId, Role};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use tokio::sync::oneshot;

use super::commands::{Command, Inbox, Outcome};
use super::device::{Device, Heard};
use super::path::Path;
use super::serial::behind::Behind;
use super::view::{Shared, View};
use super::{Hands, clock, realtime};

/// Frames that are taken from one path before the next one has its turn.
const DRAIN: usize = 512;
/// How often the view is renewed, in microseconds.
const PUBLISH_US: Micros = 100_000;

/// What the thread works on.
pub(super) struct Thread {
    pub(super) node: Node,
    pub(super) role: Role,
    pub(super) keys: Keys,
    pub(super) paths: Vec<Path>,
    /// What goes behind the heartbeats of the serial line.
    pub(super) behind: Option<Behind>,
    pub(super) inbox: Inbox,
    pub(super) hands: Box<dyn Hands>,
    pub(super) shared: Arc<Shared>,
    /// Who waits for what comes of a command.
    pub(super) waiting: Option<oneshot::Sender<Outcome>>,
    pub(super) next_publish: Micros,
    pub(super) ended: bool,
}

impl Thread {
    pub(super) fn spawn(self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("heartbeat".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        let host = [realtime::schedule(realtime::HEARTBEAT_PRIORITY), realtime::lock_memory()];
        self.shared.set_handicaps(host.into_iter().filter_map(Result::err).collect());
        self.perform();
        while !self.ended {
            self.wait();
            self.round();
        }
        self.publish();
        self.paths.iter_mut().for_each(Path::close);
    }

    /// Waits for a frame, a command or the time that the node wants to be woken at.
    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.inbox.bell().as_fd(), PollFlags::POLLIN)];
        fds.extend(self.paths.iter().filter_map(Path::poll_fd));
        let now = clock::now();
        let behind = self.behind.as_ref().and_then(|behind| behind.next_wake(now)).unwrap_or(Micros::MAX);
        let left = self.node.next_wake().min(self.next_publish).min(behind).saturating_sub(now);
        let timeout = TimeSpec::from_duration(Duration::from_micros(left));
        // What it says is of no account: whatever there is to do is looked for, and a signal is only an early wake.
        let _ = ppoll(&mut fds, Some(timeout), None);
    }

    /// Takes all that has come in, and only then lets time pass: what is there is not missing.
    fn round(&mut self) {
        self.take_commands();
        for path in 0..self.paths.len() {
            self.drain(path);
        }
        self.step(Input::Wake);
        self.send_behind();
        self.shared.turn(clock::now());
        if clock::now() >= self.next_publish {
            self.publish();
        }
    }

    fn take_commands(&mut self) {
        self.inbox.quiet();
        while let Some(command) = self.inbox.next() {
            self.obey(command);
            self.next_publish = 0;
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Input(input, answer) => {
                if let Some(answer) = answer {
                    self.wait_for_answer(answer);
                }
                self.step(input);
            }
            Command::Device(path, device) => self.set_device(path, device),
            Command::Keys(keys) => self.set_keys(keys),
            Command::Options(options) => {
                self.node.set_options(&options);
                self.perform();
            }
            Command::End => self.ended = true,
        }
    }

    /// The node answers one after the other: who waited before is not answered any more.
    fn wait_for_answer(&mut self, waiting: oneshot::Sender<Outcome>) {
        if let Some(earlier) = self.waiting.replace(waiting) {
            let answer = Answer::Refused("something else has been asked for meanwhile".to_owned());
            let _ = earlier.send(Outcome { answer, state: self.node.state(), lease: self.node.lease() });
        }
    }

    fn set_device(&mut self, path: PathId, device: Result<Box<dyn Device>, String>) {
        if let Some(known) = self.paths.get_mut(usize::from(path)) {
            let usable = device.is_ok();
            known.set_device(device);
            if let Some(problem) = known.problem(clock::now()) {
                self.notice(problem);
            }
            self.step(Input::Device { path, usable });
        }
    }

    /// Takes other keys over, and says so: who replaces a key must know when this node knows it.
    fn set_keys(&mut self, keys: Keys) {
        if keys.is_same(&self.keys) {
            return;
        }
        self.keys = keys;
        let verifying = self.keys.iter().filter(|key| key.real().is_none()).count();
        if let Ok(signing) = wire::signing_key(&self.keys) {
            self.notice(format!("the keys have changed: key {} signs; keys that verify: {verifying}", signing.id()));
        }
    }

    /// Takes what has come in by a path.
    fn drain(&mut self, index: usize) {
        let mut buffer = [0; MAX_FRAME_SIZE + 1];
        for _ in 0..DRAIN {
            let Some(path) = self.paths.get_mut(index) else { return };
            match path.receive(&mut buffer) {
                Ok(Heard::Frame(size)) => self.take_in(index, &buffer[..size]),
                Ok(Heard::Again | Heard::Garbage | Heard::Forwarded) => {}
                Ok(Heard::Nothing) => return,
                Err(why) => return self.set_device(index as PathId, Err(why)),
            }
        }
    }

    fn take_in(&mut self, index: usize, bytes: &[u8]) {
        let path = index as PathId;
        if let Some(behind) = self.behind.as_ref().filter(|behind| behind.path() == path && table::is_one(bytes)) {
            return match table::decode(bytes, path, self.role, &self.keys) {
                Ok(frame) => behind.give(frame),
                Err(refusal) => self.refuse(index, refusal),
            };
        }
        match wire::decode(bytes, path, self.role, &self.keys) {
            Ok(frame) => {
                self.paths[index].take();
                self.step(Input::Frame { path, frame });
            }
            Err(refusal) => {
                self.refuse(index, refusal);
                if let Refusal::OwnDirection { boot } = refusal {
                    self.step(Input::SameRole { boot });
                }
            }
        }
    }

    fn refuse(&mut self, index: usize, refusal: Refusal) {
        if let Some(remark) = self.paths[index].refuse(refusal, clock::now()) {
            self.notice(remark);
        }
    }

    /// One thing happens to the node, and what follows from it is done.
    fn step(&mut self, input: Input) {
        self.node.handle(input, clock::now());
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Send { path, frame } => self.send(path, &frame),
                Action::Lease => self.hands.lease(self.node.lease()),
                Action::Reserve(epoch) => self.hands.reserve(epoch),
                Action::Acquire { epoch, fence } => {
                    // Who takes the VIPs looks at what is known of the peer now.
                    self.publish();
                    self.hands.acquire(epoch, fence);
                }
                Action::Release => self.hands.release(),
                Action::Tell(event) => self.tell(event),
                Action::Answer(answer) => self.answer(answer),
            }
        }
        self.hands.lease(self.node.lease());
    }

    fn send(&mut self, path: PathId, frame: &Frame) {
        let Some(known) = self.paths.get_mut(usize::from(path)) else { return };
        let Ok(bytes) = wire::encode(frame, path, &self.keys) else {
            known.counters.unsent += 1;
            return;
        };
        if let Some(behind) = &mut self.behind {
            behind.heartbeat(path, bytes.len(), clock::now());
        }
        if let Err(why) = known.send(&bytes) {
            self.set_device(path, Err(why));
        }
    }

    /// Sends what may go behind the heartbeats by now.
    fn send_behind(&mut self) {
        while let Some(behind) = &mut self.behind
            && let Some(frame) = behind.due(clock::now())
        {
            let path = behind.path();
            let Some(known) = self.paths.get_mut(usize::from(path)) else { return };
            // What cannot be sent is wanted again.
            let Ok(bytes) = table::encode(&frame, self.role, path, &self.keys) else { continue };
            if let Err(why) = known.send(&bytes) {
                return self.set_device(path, Err(why));
            }
        }
    }

    /// Has something told that the node does not know.
    fn notice(&mut self, reason: String) {
        self.tell(Event { at: clock::now(), what: Happening::Notice, reason });
    }

    fn tell(&mut self, event: Event) {
        self.next_publish = 0;
        self.hands.tell(event);
    }

    fn answer(&mut self, answer: Answer) {
        if let Some(waiting) = self.waiting.take() {
            // Who asked may have gone away.
            let _ = waiting.send(Outcome { answer, state: self.node.state(), lease: self.node.lease() });
        }
    }

    fn publish(&mut self) {
        let now = clock::now();
        let view = View { pair: self.node.view(now), devices: self.paths.iter().map(|path| path.view(now)).collect() };
        self.shared.publish(view);
        self.next_publish = now + PUBLISH_US;
    }
}
