//! A host: its clock, its disk, its data plane, and the daemon that runs on it or does not.
//!
//! The daemon is a process: it can be stopped and go on, between two of its actions too, be killed, and be started again. The data plane is
//! not: it does what it was last told, and falls silent when the lease has passed.

use std::collections::VecDeque;

use super::clock::{HostClock, Instant};
use crate::pair::{FULLY_FIT, Facts, Fitness, Input, Memory, Micros, Node, Options, PathId, Role, Service, State};

/// So many frames wait for a daemon that is stopped; later ones are lost, as with sockets.
const INBOX_FRAMES: usize = 64;

pub(super) struct Host {
    pub(super) role: Role,
    pub(super) clock: HostClock,
    pub(super) is_on: bool,
    pub(super) daemon: Option<Daemon>,
    pub(super) plane: Plane,
    pub(super) disk: Disk,
    /// The VIPs are on its interfaces.
    pub(super) has_addresses: bool,
    /// How long it takes to become the owner.
    pub(super) acquire_us: u64,
    /// What an operator and the tracking have said last; a daemon that starts hears it again.
    pub(super) fitness: Fitness,
    pub(super) forbidden: bool,
    pub(super) unusable: [bool; crate::pair::MAX_PATHS],
    pub(super) facts: Facts,
    options: Options,
    /// Daemons so far: what was begun by an earlier one comes to nothing.
    lives: u32,
}

/// The daemon's process.
pub(super) struct Daemon {
    pub(super) node: Node,
    /// Which of the host's daemons it is.
    pub(super) life: u32,
    /// It is stopped since then (SIGSTOP, or no CPU).
    pub(super) stopped_since: Option<Instant>,
    /// It is to be stopped after so many more actions.
    pub(super) stop_after: Option<u32>,
    /// How long it has been stopped in all, times shorter than a death not counted: what came in them was read before anything was decided.
    pub(super) stopped_us: u64,
    /// What has come in while it was stopped.
    pub(super) inbox: VecDeque<Input>,
    /// When it wants to be woken, and will be.
    pub(super) due: Instant,
    pub(super) addresses_free_at: Instant,
    pub(super) disk_free_at: Instant,
}

/// What the data plane was last told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plane {
    pub(super) service: Service,
    pub(super) until: Instant,
}

impl Plane {
    const SILENT: Self = Self { service: Service::Silent, until: 0 };

    pub(super) fn serves(&self, at: Instant) -> bool {
        self.service == Service::Serving && at < self.until
    }

    pub(super) fn forwards(&self, at: Instant) -> bool {
        self.service != Service::Silent && at < self.until
    }
}

/// What a daemon finds when it starts.
pub(super) struct Disk {
    pub(super) memory: Memory,
    pub(super) boot: u32,
    /// How long a write takes.
    pub(super) write_us: u64,
}

impl Host {
    pub(super) fn new(options: Options, clock: HostClock) -> Self {
        Self {
            role: options.role,
            clock,
            is_on: true,
            daemon: None,
            plane: Plane::SILENT,
            disk: Disk { memory: Memory::default(), boot: options.boot, write_us: 2_000 },
            has_addresses: false,
            acquire_us: 500,
            fitness: FULLY_FIT,
            forbidden: false,
            unusable: [false; crate::pair::MAX_PATHS],
            facts: Facts::default(),
            options,
            lives: 0,
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.daemon.as_ref().map(|daemon| &daemon.node)
    }

    /// The daemon, when it has the CPU.
    pub(super) fn running(&mut self) -> Option<&mut Daemon> {
        self.daemon.as_mut().filter(|daemon| daemon.stopped_since.is_none())
    }

    pub(super) fn is_running(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.stopped_since.is_none())
    }

    /// The time that the daemon has had so far. Meaningless across daemons.
    pub(super) fn cpu_time(&self, now: Instant) -> Instant {
        let Some(daemon) = &self.daemon else { return now };
        let stopped = daemon.stopped_since.map_or(0, |since| now.saturating_sub(since));
        now - daemon.stopped_us - stopped
    }

    /// Starts a daemon with what is on the disk. The caller has it act.
    pub(super) fn start(&mut self, now: Instant) {
        self.lives += 1;
        self.disk.boot += 1;
        self.options.boot = self.disk.boot;
        let node = Node::new(self.options.clone(), self.disk.memory, self.clock.shows(now));
        self.disk.memory.resume_until = None;
        self.has_addresses &= node.state() == State::Active;
        self.daemon = Some(Daemon {
            node,
            life: self.lives,
            stopped_since: None,
            stop_after: None,
            stopped_us: 0,
            inbox: self.first_words(),
            due: now,
            addresses_free_at: now,
            disk_free_at: now,
        });
    }

    /// What a daemon hears of its own host when it starts.
    fn first_words(&self) -> VecDeque<Input> {
        let mut words = VecDeque::from([Input::Facts(self.facts), fitness(self.fitness)]);
        if self.forbidden {
            words.push_back(Input::Forbid(Some("another host has the VIP".to_owned())));
        }
        let unusable = self.unusable.iter().enumerate().filter(|(_, unusable)| **unusable);
        words.extend(unusable.map(|(path, _)| Input::Device { path: path as PathId, usable: false }));
        words
    }

    pub(super) fn power_off(&mut self) {
        self.is_on = false;
        self.daemon = None;
        self.plane = Plane::SILENT;
        self.has_addresses = false;
        self.disk.memory.resume_until = None;
    }

    pub(super) fn power_on(&mut self, now: Instant) {
        self.is_on = true;
        self.clock = HostClock { on_since: now, offset: 3_000_000, ..self.clock };
    }

    /// Tells the data plane what the node's lease is.
    pub(super) fn tell_plane(&mut self, jiffy_us: Micros) {
        let Some(daemon) = &self.daemon else { return };
        let lease = daemon.node.lease();
        let until = lease.until.checked_div(jiffy_us).map_or(lease.until, |jiffies| jiffies * jiffy_us);
        let until = if until > Micros::MAX / 4 { Instant::MAX } else { self.clock.instant(until) };
        self.plane = Plane { service: lease.service, until };
    }

    pub(super) fn is_able(&self) -> bool {
        self.is_running() && !self.forbidden && self.fitness > 0 && !self.disk.memory.held
    }
}

impl Daemon {
    /// Keeps what comes in for when it goes on.
    pub(super) fn keep(&mut self, input: Input) {
        if self.inbox.len() < INBOX_FRAMES || !matches!(input, Input::Frame { .. }) {
            self.inbox.push_back(input);
        }
    }
}

pub(super) fn fitness(fitness: Fitness) -> Input {
    let reason = if fitness == FULLY_FIT { String::new() } else { "the gateway is silent".to_owned() };
    Input::Fitness { fitness, reason }
}
