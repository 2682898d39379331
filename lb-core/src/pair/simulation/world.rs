//! Two hosts, the network between them, and what happens next.

use std::collections::VecDeque;

use fastrand::Rng;

use super::clock::{Instant, Queue};
use super::codec::{Codec, Packet};
use super::host::Host;
use super::network::Network;
use super::schedule::{ROLES, Schedule};
use super::watch::{Violation, Watch};
use crate::pair::{Epoch, Frame, Input, Kind, PathId, PathKind, Role};

/// A node that wants more than this of one scenario turns in circles.
const MOST_EVENTS: u64 = 2_000_000;
/// Lines of the trace that are kept.
const TRACE_LINES: usize = 400;

pub(super) enum Event {
    Arrive { to: Role, path: PathId, packet: Packet },
    Done { of: Role, life: u32, job: Job },
    Fault(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    Reserve(Epoch, Epoch),
    Acquire,
    Release,
}

/// What an operator waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    Handover,
    Stop,
    Restart,
}

/// What operators wait for at one node: one thing at a time, and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wishes {
    pub(super) order: Option<Wish>,
    pub(super) stop: Option<Wish>,
    /// This is being said just now.
    pub(super) giving: Option<Wish>,
}

impl Wishes {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_none() && self.stop.is_none()
    }

    fn ends(&self) -> bool {
        self.stop.is_some() || self.order == Some(Wish::Restart)
    }
}

/// What has happened in a scenario, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) by_need: u64,
    pub(super) with_consent: u64,
    pub(super) both: u64,
    pub(super) longest_both_us: u64,
    pub(super) handed_over: u64,
    pub(super) refused: u64,
    pub(super) resumed: u64,
    pub(super) stalls: u64,
    pub(super) fenced: u64,
    pub(super) peer_deaths: u64,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) hosts: [Host; 2],
    pub(super) network: Network,
    pub(super) watch: Watch,
    pub(super) tally: Tally,
    pub(super) schedule: Schedule,
    /// When the last fault was.
    pub(super) last_fault: Instant,
    pub(super) faults_left: usize,
    /// What operators wait for, by node.
    pub(super) wishes: [Wishes; 2],
    /// Since when nothing has been wrong.
    sound_since: Option<Instant>,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) codec: Codec,
    pub(super) overheard: VecDeque<(PathId, Role, Packet)>,
    trace: Option<VecDeque<String>>,
}

impl World {
    pub(super) fn new(schedule: Schedule, traced: bool) -> Self {
        let mut queue = Queue::new();
        for (index, (at, _)) in schedule.faults.iter().enumerate() {
            queue.push(*at, Event::Fault(index));
        }
        let mut hosts = [0, 1].map(|i| Host::new(schedule.options[i].clone(), schedule.clocks[i]));
        for (host, memory) in hosts.iter_mut().zip(schedule.memories) {
            host.disk.memory = memory;
        }
        Self {
            now: 0,
            hosts,
            network: Network::new(schedule.lines.clone()),
            watch: Watch::new(schedule.late_us),
            tally: Tally::default(),
            last_fault: 0,
            faults_left: schedule.faults.len(),
            wishes: [Wishes::default(); 2],
            sound_since: None,
            rng: Rng::with_seed(schedule.seed ^ 0x5eed),
            queue,
            codec: Codec::new(schedule.encoded),
            overheard: VecDeque::new(),
            trace: traced.then(VecDeque::new),
            schedule,
        }
    }

    pub(super) fn host(&mut self, role: Role) -> &mut Host {
        &mut self.hosts[role as usize]
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE_LINES {
            trace.pop_front();
        }
        let line = format!("{:>9} {}", self.now, line());
        trace.push_back(line);
    }

    pub(super) fn trace(&self) -> impl Iterator<Item = &String> {
        self.trace.iter().flatten()
    }

    /// When something happens next.
    fn next_at(&self) -> Instant {
        let wakes = self.hosts.iter().filter(|host| host.is_running());
        let due = wakes.filter_map(|host| host.daemon.as_ref()).map(|daemon| daemon.due).min();
        due.into_iter().chain(self.queue.next_at()).min().unwrap_or(Instant::MAX)
    }

    /// One event, or the end of the time when none comes before it.
    pub(super) fn step_until(&mut self, end: Instant) -> Result<(), Violation> {
        if self.next_at() <= end {
            return self.step();
        }
        self.now = end;
        Ok(())
    }

    /// One event, and what must hold before and after it.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        let at = self.next_at();
        let is_sound = self.is_long_sound();
        self.watch.check_gap(is_sound, at)?;
        self.now = at;
        if self.queue.next_at() == Some(at) {
            self.take_event()?;
        } else {
            self.wake()?;
        }
        self.tally.events += 1;
        if self.tally.events > MOST_EVENTS {
            return Err("the nodes turn in circles".to_owned());
        }
        let is_sound = self.is_long_sound();
        self.watch.note_forwarding(&self.hosts, is_sound, self.now);
        self.watch.check(&self.hosts, &self.network, self.now)
    }

    fn take_event(&mut self) -> Result<(), Violation> {
        match self.queue.pop() {
            Some((_, Event::Arrive { to, path, packet })) => self.arrive(to, path, &packet),
            Some((_, Event::Done { of, life, job })) => self.done(of, life, job),
            Some((_, Event::Fault(index))) => {
                self.last_fault = self.now;
                self.faults_left -= 1;
                let (_, fault) = self.schedule.faults[index].clone();
                self.note(|| format!("*** {fault:?}"));
                let is_gentle = fault.is_gentle();
                self.befall(fault)?;
                self.note_soundness(is_gentle);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn wake(&mut self) -> Result<(), Violation> {
        let now = self.now;
        let due = |host: &&Host| host.is_running() && host.daemon.as_ref().is_some_and(|daemon| daemon.due <= now);
        let Some(role) = self.hosts.iter().find(due).map(|host| host.role) else { return Ok(()) };
        self.hear(role, Input::Wake)
    }

    fn arrive(&mut self, to: Role, path: PathId, packet: &Packet) -> Result<(), Violation> {
        let host = &self.hosts[to as usize];
        let is_read = host.is_on && !host.unusable[usize::from(path)];
        let Some(frame) = self.codec.decode(packet, path, to).filter(|_| is_read) else {
            let now = self.now;
            self.note(|| format!("{to:?} refuses what comes by path {path}, or cannot hear it"));
            self.watch.swallowed(to.other(), path, now);
            return Ok(());
        };
        self.note(|| format!("{to:?} <- path {path}: {}", short(&frame)));
        if self.hosts[to as usize].is_running() {
            self.watch.arrived(&self.hosts[to as usize], path, &frame, self.now);
        }
        self.hear(to, Input::Frame { path, frame })
    }

    /// The daemon hears something, now or when it goes on.
    pub(super) fn hear(&mut self, role: Role, input: Input) -> Result<(), Violation> {
        let now = self.now;
        let host = self.host(role);
        let shown = host.clock.shows(now);
        match &mut host.daemon {
            Some(daemon) if daemon.stopped_since.is_none() => daemon.node.handle(input, shown),
            Some(daemon) => {
                daemon.keep(input);
                return Ok(());
            }
            None => return Ok(()),
        }
        self.act(role)
    }
}

impl World {
    /// Nothing is wrong, and has not been for so long that all is as it should be.
    fn is_long_sound(&self) -> bool {
        let options = &self.schedule.options[0];
        let settles = 3 * super::schedule::slowest_detection(options)
            + options.start_wait_us
            + options.handover_timeout_us
            + options.drain_us;
        self.sound_since.is_some_and(|since| self.now > since + settles)
    }

    pub(super) fn note_soundness(&mut self, is_gentle: bool) {
        let is_sound = ROLES.iter().all(|role| {
            let host = &self.hosts[*role as usize];
            host.is_running() && !host.forbidden && !self.wishes[*role as usize].ends()
        }) && self.is_connected();
        match self.sound_since {
            Some(_) if is_sound && is_gentle => {}
            _ => self.sound_since = is_sound.then_some(self.now),
        }
    }

    /// A path carries every frame both ways, and neither early nor late.
    pub(super) fn is_connected(&self) -> bool {
        (0..self.schedule.lines.len()).any(|path| self.is_clean(path))
    }

    pub(super) fn is_connected_by_datagrams(&self) -> bool {
        let paths = self.schedule.options[0].paths.iter().enumerate();
        paths.into_iter().any(|(path, options)| options.kind == PathKind::Udp && self.is_clean(path))
    }

    fn is_clean(&self, path: usize) -> bool {
        let before = &self.schedule.lines[path];
        let is_clean = |role: Role| {
            let line = self.network.line(path as PathId, role);
            let is_usable = !self.hosts[role as usize].unusable[path];
            line.loses_nothing() && !line.reorders && line.jitter_us == before[role as usize].jitter_us && is_usable
        };
        ROLES.into_iter().all(is_clean) && !self.codec.is_skewed()
    }
}

pub(super) fn short(frame: &Frame) -> String {
    let kind = match frame.kind {
        Kind::Ask => "ask",
        Kind::Ack => "ack",
        Kind::Facts(_) => "facts",
    };
    let flags = frame.flags;
    let names = [
        (flags.offer, " offer"),
        (flags.want, " want"),
        (flags.force, " force"),
        (flags.held, " held"),
        (flags.in_sync, " sync"),
        (flags.unable, " unable"),
    ];
    let flags: String = names.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    format!(
        "{kind} {} of boot {}, echo {} of {}, {:?} {}{flags} fit {} lease {}",
        frame.sequence, frame.boot, frame.echo, frame.echo_boot, frame.state, frame.epoch, frame.fitness, frame.lease
    )
}
