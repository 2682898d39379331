//! How each fault comes about.

use super::clock::Instant;
use super::host::fitness;
use super::network::{Line, Loss};
use super::schedule::{Fault, ROLES};
use super::watch::Violation;
use super::world::{Wish, World};
use crate::pair::{Facts, Input, PathId, Role};

impl World {
    pub(super) fn befall(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Cut { path, from } => self.network.line_mut(path, from).is_cut = true,
            Fault::Heal { path, from } => self.heal(path, from),
            Fault::Loss { path, from, loss } => self.network.line_mut(path, from).loss = loss,
            Fault::Jitter { path, from, jitter_us } => {
                let line = self.network.line_mut(path, from);
                line.jitter_us = jitter_us;
                line.reorders = true;
            }
            Fault::Doubles { path, from, share } => self.network.line_mut(path, from).doubles = share,
            Fault::Clean { path } => ROLES.into_iter().for_each(|from| self.clean(path, from)),
            Fault::Replay { path, from, frames } => self.replay(path, from, frames),
            Fault::Forge { path, to, frames } => self.forge(path, to, frames),
            Fault::Keys { role, ids } => self.codec.read_keys(role, ids),
            Fault::Skew { role, newer } => self.codec.skew(role, newer),
            Fault::WallClock { role, boots } => self.host(role).disk.boot += boots,
            Fault::Disk { role, write_us } => self.host(role).disk.write_us = write_us,
            Fault::Acquire { role, takes_us } => self.host(role).acquire_us = takes_us,
            fault => return self.befall_host(fault),
        }
        Ok(())
    }

    fn befall_host(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Pause(role) => self.pause(role),
            Fault::PauseAmid(role, actions) => self.pause_amid(role, actions),
            Fault::Resume(role) => return self.resume(role),
            Fault::Kill(role) => self.end_daemon(role),
            Fault::Start(role) => return self.start(role),
            Fault::PowerOff(role) => self.power_off(role),
            Fault::PowerOn(role) => return self.power_on(role),
            fault => return self.tell(fault),
        }
        Ok(())
    }

    /// What the daemon's own host or an operator says.
    fn tell(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Device { role, path, usable } => {
                self.host(role).unusable[usize::from(path)] = !usable;
                let now = self.now;
                ROLES.into_iter().for_each(|from| self.watch.swallowed(from, path, now));
                self.hear(role, Input::Device { path, usable })
            }
            Fault::Fitness { role, fitness: value } => {
                self.host(role).fitness = value;
                self.hear(role, fitness(value))
            }
            Fault::Forbid { role, forbid } => {
                self.host(role).forbidden = forbid;
                self.hear(role, Input::Forbid(forbid.then(|| "another host has the VIP".to_owned())))
            }
            Fault::Hold { role, hold } => {
                self.host(role).disk.memory.held = hold;
                self.hear(role, Input::Hold(hold))
            }
            Fault::Slots { role, digest } => {
                let facts = Facts { slots: digest, ..self.host(role).facts };
                self.host(role).facts = facts;
                self.hear(role, Input::Facts(facts))
            }
            Fault::Handover { role, force } => self.wish(role, Wish::Handover, Input::Handover { force }),
            Fault::Stop(role) => self.wish(role, Wish::Stop, Input::Stop),
            Fault::Restart { role, grace_us } => self.wish(role, Wish::Restart, Input::Restart { grace_us }),
            _ => Ok(()),
        }
    }

    fn heal(&mut self, path: PathId, from: Role) {
        self.network.line_mut(path, from).is_cut = false;
        let now = self.now;
        self.watch.swallowed(from, path, now);
    }

    fn clean(&mut self, path: PathId, from: Role) {
        let before = self.schedule.lines[usize::from(path)][from as usize].clone();
        let line: &mut Line = self.network.line_mut(path, from);
        line.loss = Loss::Random(0.0);
        line.jitter_us = before.jitter_us;
        line.reorders = false;
        line.doubles = 0.0;
        let settled = line.last_arrival().max(self.now);
        self.watch.swallowed(from, path, settled);
    }

    fn pause(&mut self, role: Role) {
        let now = self.now;
        if let Some(daemon) = self.host(role).running() {
            daemon.stopped_since = Some(now);
            self.watch.stopped(role, now);
        }
    }

    fn pause_amid(&mut self, role: Role, actions: u32) {
        if let Some(daemon) = self.host(role).running() {
            daemon.stop_after = Some(actions);
        }
    }

    /// The daemon goes on: with what it was about to do, with what has come in meanwhile, and then it looks at the clock.
    fn resume(&mut self, role: Role) -> Result<(), Violation> {
        let now = self.now;
        let shortest_death = super::schedule::shortest_death(self.host(role).options());
        let Some(daemon) = &mut self.host(role).daemon else { return Ok(()) };
        daemon.stop_after = None;
        let Some(since) = daemon.stopped_since.take() else { return Ok(()) };
        if now - since >= shortest_death {
            daemon.stopped_us += now - since;
        }
        self.watch.went_on(&self.hosts[role as usize], now - since, now);
        self.act(role)?;
        self.hear_inbox(role)
    }

    fn hear_inbox(&mut self, role: Role) -> Result<(), Violation> {
        while let Some(input) = self.host(role).running().and_then(|daemon| daemon.inbox.pop_front()) {
            if let Input::Frame { path, frame } = &input {
                let (path, frame, now) = (*path, *frame, self.now);
                self.watch.arrived(&self.hosts[role as usize], path, &frame, now);
            }
            self.hear(role, input)?;
        }
        self.hear(role, Input::Wake)
    }

    fn start(&mut self, role: Role) -> Result<(), Violation> {
        let (now, jiffy_us) = (self.now, self.schedule.jiffy_us);
        let host = self.host(role);
        if !host.is_on || host.daemon.is_some() {
            return Ok(());
        }
        let resumes = host.disk.memory.resume_until.is_some();
        host.start(now);
        host.tell_plane(jiffy_us);
        let state = host.node().map(crate::pair::Node::state);
        self.tally.resumed += u64::from(resumes && state == Some(crate::pair::State::Active));
        self.note(|| format!("{role:?} starts as {state:?}"));
        self.watch.started(&self.hosts[role as usize], now)?;
        self.act(role)?;
        self.hear_inbox(role)
    }

    fn power_off(&mut self, role: Role) {
        self.end_daemon(role);
        self.host(role).power_off();
    }

    fn power_on(&mut self, role: Role) -> Result<(), Violation> {
        let now = self.now;
        if !self.host(role).is_on {
            self.host(role).power_on(now);
        }
        self.start(role)
    }

    /// An operator asks a daemon that runs, for one thing after the other; a stop may come at any time.
    fn wish(&mut self, role: Role, wish: Wish, input: Input) -> Result<(), Violation> {
        let host = &self.hosts[role as usize];
        let wishes = &mut self.wishes[role as usize];
        let may_ask = host.is_running() && wishes.stop.is_none();
        let is_there = if wish == Wish::Stop { host.daemon.is_some() } else { may_ask };
        let place = if wish == Wish::Stop { &mut wishes.stop } else { &mut wishes.order };
        if !is_there || place.is_some() {
            return Ok(());
        }
        *place = Some(wish);
        wishes.giving = Some(wish);
        self.hear(role, input)?;
        self.wishes[role as usize].giving = None;
        Ok(())
    }

    /// A third host sends again what it has heard, one frame after the other.
    fn replay(&mut self, path: PathId, from: Role, frames: u32) {
        let heard: Vec<_> = self.overheard.iter().filter(|(on, by, _)| (*on, *by) == (path, from)).cloned().collect();
        for (number, (path, from, packet)) in heard.into_iter().take(frames as usize).enumerate() {
            let at = self.now + self.rng.u64(1..=2_000) * (number as Instant + 1);
            self.deliver(from.other(), path, packet, at);
        }
    }

    fn forge(&mut self, path: PathId, to: Role, frames: u32) {
        for number in 0..frames {
            let Some((_, _, packet)) = self.overheard.back().cloned() else { return };
            let packet = packet.forged(&mut self.rng);
            self.deliver(to, path, packet, self.now + Instant::from(number) * 100);
        }
    }
}
