//! What a daemon does: the actions of its node, in their order, and the jobs of its other threads.

use super::clock::Instant;
use super::codec::Packet;
use super::watch::Violation;
use super::world::{Event, Job, Wish, Wishes, World, short};
use crate::pair::{
    Action, Answer, Frame, Happening, Input, Kind, Node, PathId, Peer, Role, Service, State,
    wire::{FACTS_FRAME_SIZE, FRAME_SIZE},
};

/// Frames that a third host has heard.
const OVERHEARD: usize = 48;
const RELEASE_US: u64 = 300;

impl World {
    /// Does what the node wants done, in its order.
    pub(super) fn act(&mut self, role: Role) -> Result<(), Violation> {
        loop {
            let now = self.now;
            let Some(daemon) = self.host(role).running() else { return Ok(()) };
            if daemon.stop_after == Some(0) {
                daemon.stop_after = None;
                daemon.stopped_since = Some(now);
                self.stop_amid(role);
                return Ok(());
            }
            let Some(action) = daemon.node.poll_action() else { break };
            if let Some(left) = &mut daemon.stop_after {
                *left -= 1;
            }
            self.perform(role, action)?;
        }
        self.renew(role)?;
        self.set_alarm(role);
        Ok(())
    }

    /// A renewal that the data plane is told late is worth as much as one that it was told in time: it says the same instant.
    fn stop_amid(&mut self, role: Role) {
        let (now, jiffy_us) = (self.now, self.schedule.jiffy_us);
        self.note(|| format!("{role:?} stops amid its actions"));
        self.watch.stopped(role, now);
        let host = self.host(role);
        let service = host.node().map(|node| node.lease().service);
        if service == Some(Service::Serving) && host.plane.service == Service::Serving {
            host.tell_plane(jiffy_us);
        }
    }

    /// The data plane is told of each renewal; what it does changes by an action only.
    fn renew(&mut self, role: Role) -> Result<(), Violation> {
        let jiffy_us = self.schedule.jiffy_us;
        let host = self.host(role);
        let told = host.plane.service;
        host.tell_plane(jiffy_us);
        let service = host.plane.service;
        if service == told {
            return Ok(());
        }
        Err(format!("{role:?} is {service:?}, and its data plane was told {told:?}"))
    }

    fn set_alarm(&mut self, role: Role) {
        let late = self.rng.u64(0..=self.schedule.late_us);
        let now = self.now;
        let host = self.host(role);
        let clock = host.clock;
        if let Some(daemon) = &mut host.daemon {
            let wake = daemon.node.next_wake();
            daemon.due = clock.instant(wake).max(now + 1).saturating_add(late);
        }
    }

    fn perform(&mut self, role: Role, action: Action) -> Result<(), Violation> {
        let now = self.now;
        match action {
            Action::Send { path, frame } => self.send(role, path, frame),
            Action::Lease => {
                let jiffy_us = self.schedule.jiffy_us;
                let host = self.host(role);
                host.tell_plane(jiffy_us);
                let plane = host.plane;
                self.watch.told(&self.hosts, role, now)?;
                self.note(|| format!("{role:?} tells its data plane: {:?} until {}", plane.service, plane.until));
            }
            Action::Reserve(epoch) => {
                let known = self.host(role).node().map_or(0, Node::epoch);
                self.begin(role, Job::Reserve(epoch, known));
            }
            Action::Acquire { epoch, fence } => {
                self.note(|| format!("{role:?} acquires epoch {epoch}, fence {fence}"));
                self.tally.with_consent += u64::from(!fence);
                self.watch.claims(&self.hosts[role as usize], epoch, fence, now)?;
                self.begin(role, Job::Acquire);
            }
            Action::Release => self.begin(role, Job::Release),
            Action::Tell(event) => {
                self.count(&event.what);
                self.watch.tells(role, &event.reason);
                self.note(|| format!("{role:?}: {:?}: {}", event.what, event.reason));
            }
            Action::Answer(answer) => self.answer(role, answer)?,
        }
        Ok(())
    }

    fn count(&mut self, what: &Happening) {
        match what {
            Happening::Stalled { .. } => self.tally.stalls += 1,
            Happening::Peer(Peer::Dead) => self.tally.peer_deaths += 1,
            Happening::State { to: State::Fenced, .. } => self.tally.fenced += 1,
            _ => {}
        }
    }

    fn send(&mut self, role: Role, path: PathId, frame: Frame) {
        let now = self.now;
        self.watch.sent(role, path, &frame, now);
        self.note(|| format!("{role:?} -> path {path}: {}", short(&frame)));
        if self.hosts[role as usize].unusable[usize::from(path)] {
            return self.watch.swallowed(role, path, now);
        }
        let packet = self.codec.encode(frame, path, role);
        let bytes = if matches!(frame.kind, Kind::Facts(_)) { FACTS_FRAME_SIZE } else { FRAME_SIZE };
        let [first, second] = self.network.carry(path, role, bytes, now, &mut self.rng);
        let Some(first) = first else {
            self.note(|| format!("    lost on path {path}"));
            return self.watch.swallowed(role, path, now);
        };
        if let Some(at) = second {
            self.deliver(role.other(), path, packet.clone(), at);
        }
        if self.schedule.is_overheard {
            self.overheard.push_back((path, role, packet.clone()));
            if self.overheard.len() > OVERHEARD {
                self.overheard.pop_front();
            }
        }
        self.deliver(role.other(), path, packet, first);
    }

    pub(super) fn deliver(&mut self, to: Role, path: PathId, packet: Packet, at: Instant) {
        self.queue.push(at, Event::Arrive { to, path, packet });
    }

    /// Gives a job to one of the daemon's threads. What changes addresses is done in order, and so is what is written.
    fn begin(&mut self, of: Role, job: Job) {
        let now = self.now;
        let host = self.host(of);
        let (acquire_us, write_us) = (host.acquire_us, host.disk.write_us);
        let Some(daemon) = &mut host.daemon else { return };
        let (free_at, takes) = match job {
            Job::Reserve(..) => (&mut daemon.disk_free_at, write_us),
            Job::Acquire => (&mut daemon.addresses_free_at, acquire_us),
            Job::Release => (&mut daemon.addresses_free_at, RELEASE_US),
        };
        *free_at = (*free_at).max(now) + takes;
        let (at, life) = (*free_at, daemon.life);
        self.queue.push(at, Event::Done { of, life, job });
    }

    pub(super) fn done(&mut self, of: Role, life: u32, job: Job) -> Result<(), Violation> {
        let host = self.host(of);
        if host.daemon.as_ref().is_none_or(|daemon| daemon.life != life) {
            return Ok(());
        }
        let word = match job {
            Job::Reserve(epoch, known) => {
                let memory = &mut host.disk.memory;
                memory.reserved = memory.reserved.max(epoch);
                memory.epoch = memory.epoch.max(known);
                Input::Reserved(epoch)
            }
            Job::Acquire => {
                host.has_addresses = true;
                Input::Acquired(Ok(()))
            }
            Job::Release => {
                host.has_addresses = false;
                return Ok(());
            }
        };
        self.note(|| format!("{of:?}: done: {job:?}"));
        self.hear(of, word)
    }

    /// An answer that comes while an order is given is to that order, but a stop refuses what was asked for before it.
    fn answer(&mut self, role: Role, answer: Answer) -> Result<(), Violation> {
        self.note(|| format!("{role:?} answers {answer:?}"));
        let is_done = answer == Answer::Done;
        let wishes = &mut self.wishes[role as usize];
        let wish = match wishes.giving {
            Some(Wish::Stop) if is_done => wishes.stop.take(),
            _ => wishes.order.take().or_else(|| wishes.stop.take()),
        };
        match wish {
            None => return Err(format!("{role:?} answers {answer:?}, and nobody has asked")),
            Some(Wish::Stop) if !is_done => return Err(format!("{role:?} answers a stop: {answer:?}")),
            Some(_) if !is_done => self.tally.refused += 1,
            Some(Wish::Handover) => self.tally.handed_over += 1,
            Some(wish) => self.end(role, wish),
        }
        Ok(())
    }

    /// The daemon ends by itself.
    fn end(&mut self, role: Role, wish: Wish) {
        let host = self.host(role);
        if wish == Wish::Restart {
            let active = host.node().filter(|node| node.state() == State::Active);
            host.disk.memory.resume_until = active.map(|node| node.lease().until);
        } else {
            host.has_addresses = false;
        }
        let is_restart = wish == Wish::Restart;
        self.end_daemon(role);
        self.watch.announced(role, is_restart);
        self.note_soundness(false);
    }

    pub(super) fn end_daemon(&mut self, role: Role) {
        let now = self.now;
        self.host(role).daemon = None;
        self.wishes[role as usize] = Wishes::default();
        self.watch.ended(role, now);
    }
}
