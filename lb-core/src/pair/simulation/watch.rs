//! What must hold after each event. See the list in [`super`].

use super::clock::Instant;
use super::host::Host;
use super::network::Network;
use super::schedule::{ROLES, SERIAL_BYTES, slowest_detection};
use crate::pair::{Epoch, Frame, MAX_PATHS, Micros, PathId, PathOptions, Role};

/// Frames that a node remembers to have sent on a path.
const REMEMBERED: usize = 64;

pub(super) type Violation = String;

/// What the watch knows of one node.
struct Seen {
    boot: u32,
    sent: [[(u32, Instant); REMEMBERED]; MAX_PATHS],
    /// Boot and sequence of the newest frame heard.
    newest: [(u32, u32); MAX_PATHS],
    /// When a round trip ended last on each path, or the daemon began; by the clock, and by the time that the daemon had.
    round_trip: [(Instant, Instant); MAX_PATHS],
    /// When the newest of its own frames was sent of which it knows that they arrived.
    echoed_at: Instant,
    epoch: Epoch,
    claim: Epoch,
    /// Its disk did not have the claim yet when it went: the next claim may be the same.
    has_forgotten: bool,
    claimed_at: Instant,
    /// It went on when its lease had passed: since then, by its own time, and it has heard nothing since.
    unconfirmed: Option<(Instant, Instant)>,
    /// Its daemon has not run since then.
    off_since: Option<Instant>,
    serves: bool,
    /// Its daemon has announced that it comes back, and its lease runs meanwhile.
    announced: bool,
    /// It has come back so.
    resumes: bool,
    started_at: Instant,
    /// Its last claim was one of need.
    took: bool,
    /// It has offered the VIPs, and its last frame said so.
    offers: bool,
}

/// Two nodes serve.
struct Both {
    since: Instant,
}

pub(super) struct Watch {
    seen: [Seen; 2],
    /// Since when a line has lost nothing, by path and sender.
    clear_since: [[Instant; 2]; MAX_PATHS],
    both: Option<Both>,
    late_us: u64,
    pub(super) longest_both_us: u64,
    pub(super) both_count: u64,
    /// Times that a node began to serve with a new claim.
    pub(super) owners: u64,
    pub(super) by_need: u64,
    /// Somebody has forwarded without a gap until then.
    forwarded_until: Option<Instant>,
}

impl Watch {
    pub(super) fn new(late_us: u64) -> Self {
        let seen = || Seen {
            boot: 0,
            sent: [[(0, 0); REMEMBERED]; MAX_PATHS],
            newest: [(0, 0); MAX_PATHS],
            round_trip: [(0, 0); MAX_PATHS],
            echoed_at: 0,
            epoch: 0,
            claim: 0,
            has_forgotten: false,
            claimed_at: 0,
            unconfirmed: None,
            off_since: Some(0),
            serves: false,
            announced: false,
            resumes: false,
            started_at: 0,
            took: false,
            offers: false,
        };
        Self {
            seen: [seen(), seen()],
            clear_since: [[0; 2]; MAX_PATHS],
            both: None,
            late_us,
            longest_both_us: 0,
            both_count: 0,
            owners: 0,
            by_need: 0,
            forwarded_until: None,
        }
    }

    pub(super) fn started(&mut self, host: &Host, now: Instant) -> Result<(), Violation> {
        let seen = &mut self.seen[host.role as usize];
        seen.boot = host.options().boot;
        seen.newest = [(0, 0); MAX_PATHS];
        seen.round_trip = [(now, now); MAX_PATHS];
        seen.unconfirmed = None;
        seen.off_since = None;
        seen.epoch = 0;
        seen.has_forgotten = host.disk.memory.epoch.max(host.disk.memory.reserved) < seen.claim;
        seen.started_at = now;
        seen.announced = false;
        seen.resumes = host.node().is_some_and(|node| node.state() == crate::pair::State::Active);
        self.cleared(now);
        let epoch = host.node().map_or(0, crate::pair::Node::epoch);
        if epoch < host.disk.memory.epoch {
            return Err(format!("{:?} begins at epoch {epoch}, below the one that it kept", host.role));
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, role: Role, now: Instant) {
        self.seen[role as usize].off_since.get_or_insert(now);
        self.seen[role as usize].unconfirmed = None;
    }

    /// A daemon has ended by itself, perhaps to come back.
    pub(super) fn announced(&mut self, role: Role, is_restart: bool) {
        self.seen[role as usize].announced = is_restart;
    }

    pub(super) fn stopped(&mut self, role: Role, now: Instant) {
        self.seen[role as usize].off_since.get_or_insert(now);
    }

    /// A daemon goes on after it has been stopped for so long.
    pub(super) fn went_on(&mut self, host: &Host, stopped_us: u64, now: Instant) {
        let lease = host.node().map(crate::pair::Node::lease);
        let expired = lease.is_some_and(|lease| {
            lease.service == crate::pair::Service::Serving && host.clock.instant(lease.until) <= now
        });
        let seen = &mut self.seen[host.role as usize];
        seen.off_since = None;
        let is_short = stopped_us < super::schedule::fastest(host.options());
        if expired && !is_short {
            seen.unconfirmed = Some((now, host.cpu_time(now)));
        }
        self.cleared(now);
    }

    /// A daemon begins or goes on: what was sent before says nothing about what is heard from now on.
    fn cleared(&mut self, now: Instant) {
        self.clear_since = [[now; 2]; MAX_PATHS];
    }

    pub(super) fn sent(&mut self, from: Role, path: PathId, frame: &Frame, now: Instant) {
        let slot = frame.sequence as usize % REMEMBERED;
        self.seen[from as usize].offers = frame.flags.offer;
        self.seen[from as usize].sent[usize::from(path)][slot] = (frame.sequence, now);
    }

    pub(super) fn swallowed(&mut self, from: Role, path: PathId, now: Instant) {
        self.clear_since[usize::from(path)][from as usize] = now;
    }

    /// A node has got a frame of its peer. Older ones than it has had already say nothing.
    pub(super) fn arrived(&mut self, host: &Host, path: PathId, frame: &Frame, now: Instant) {
        let options = &host.options().paths[usize::from(path)];
        let seen = &mut self.seen[host.role as usize];
        let newest = &mut seen.newest[usize::from(path)];
        if newest.0 == frame.boot && frame.sequence <= newest.1 {
            return;
        }
        *newest = (frame.boot, frame.sequence);
        let (sequence, sent) = seen.sent[usize::from(path)][frame.echo as usize % REMEMBERED];
        let window = u64::from(options.missed_limit) * options.interval_us + options.ack_timeout_us;
        let is_echo = frame.echo_boot == seen.boot && sequence == frame.echo && sent + window >= now;
        if !is_echo || frame.echo == 0 {
            return;
        }
        seen.round_trip[usize::from(path)] = (now, host.cpu_time(now));
        seen.echoed_at = seen.echoed_at.max(sent);
        if seen.unconfirmed.is_some_and(|(since, _)| sent >= since) {
            seen.unconfirmed = None;
        }
    }

    /// A node becomes the owner. When it did not ask its peer, then all its asks were in vain.
    pub(super) fn claims(&mut self, host: &Host, epoch: Epoch, fence: bool, now: Instant) -> Result<(), Violation> {
        let seen = &mut self.seen[host.role as usize];
        if std::mem::take(&mut seen.resumes) && epoch == seen.claim {
            return Ok(());
        }
        let is_new = epoch > seen.claim || std::mem::take(&mut seen.has_forgotten) && epoch == seen.claim;
        if !is_new {
            return Err(format!("{:?} claims epoch {epoch} and has claimed {} before", host.role, seen.claim));
        }
        seen.claim = epoch;
        seen.claimed_at = now;
        seen.took = fence;
        seen.unconfirmed = None;
        self.owners += 1;
        if !fence {
            return Ok(());
        }
        self.by_need += 1;
        match self.heard_too_lately(host, now) {
            Some(why) => Err(format!("{:?} takes over of need, and {why}", host.role)),
            None => Ok(()),
        }
    }

    /// A node that cannot send says by its journal alone that it offers the VIPs.
    pub(super) fn tells(&mut self, role: Role, reason: &str) {
        self.seen[role as usize].offers |= reason.starts_with("it offers");
    }

    /// A data plane is told what to do. A node that has been taken over from does not drain: two would forward.
    pub(super) fn told(&self, hosts: &[Host; 2], role: Role, now: Instant) -> Result<(), Violation> {
        let (mine, other) = (&self.seen[role as usize], &self.seen[role.other() as usize]);
        let is_draining = hosts[role as usize].plane.service == crate::pair::Service::Draining;
        let was_taken = other.took && other.claim > mine.claim && hosts[role.other() as usize].plane.serves(now);
        if is_draining && was_taken && !mine.offers {
            return Err(format!("{role:?} drains, and its peer has taken the VIPs without asking"));
        }
        Ok(())
    }

    /// The path by which this node has had an answer within the time that n asks in vain take, counted in time that its daemon had.
    fn heard_too_lately(&self, host: &Host, now: Instant) -> Option<String> {
        let seen = &self.seen[host.role as usize];
        host.options().paths.iter().enumerate().find_map(|(path, options)| {
            let since = host.cpu_time(now).saturating_sub(seen.round_trip[path].1);
            let least = shortest_silence(options);
            (!host.unusable[path] && since < least)
                .then(|| format!("path {path} carried both ways {since} us of its time ago (needed: {least})"))
        })
    }

    /// After an event.
    pub(super) fn check(&mut self, hosts: &[Host; 2], network: &Network, now: Instant) -> Result<(), Violation> {
        for host in hosts {
            self.check_epoch(host)?;
            self.check_confirmed(host, now)?;
        }
        let serves = [hosts[0].plane.serves(now), hosts[1].plane.serves(now)];
        if serves == [true, true] {
            self.check_both(hosts, network, now)?;
        } else {
            self.both = None;
        }
        for (seen, serves) in self.seen.iter_mut().zip(serves) {
            seen.serves = serves;
        }
        Ok(())
    }

    fn check_epoch(&mut self, host: &Host) -> Result<(), Violation> {
        let Some(node) = host.node() else { return Ok(()) };
        let seen = &mut self.seen[host.role as usize];
        if node.epoch() < seen.epoch {
            return Err(format!("the epoch of {:?} falls from {} to {}", host.role, seen.epoch, node.epoch()));
        }
        seen.epoch = node.epoch();
        Ok(())
    }

    fn check_confirmed(&mut self, host: &Host, now: Instant) -> Result<(), Violation> {
        let seen = &mut self.seen[host.role as usize];
        let Some((_, since)) = seen.unconfirmed else { return Ok(()) };
        let least = host.options().paths.iter().map(shortest_silence).min().unwrap_or_default();
        if host.cpu_time(now) >= since + least {
            seen.unconfirmed = None;
        } else if host.plane.serves(now) {
            return Err(format!("{:?} went on after its lease, and serves before it has heard its peer", host.role));
        }
        Ok(())
    }

    fn check_both(&mut self, hosts: &[Host; 2], network: &Network, now: Instant) -> Result<(), Violation> {
        if self.both.is_none() {
            self.both = Some(Both { since: now });
            self.both_count += 1;
            let late = ROLES.into_iter().find(|role| !self.seen[*role as usize].serves).unwrap_or(Role::Primary);
            self.check_excuse(&hosts[late as usize], &hosts[late.other() as usize], now)?;
        }
        let since = self.both.as_ref().map_or(now, |both| both.since);
        self.longest_both_us = self.longest_both_us.max(now - since);
        self.check_yields(hosts, network, since, now)
    }

    /// `late` begins to serve beside `early`.
    fn check_excuse(&self, late: &Host, early: &Host, now: Instant) -> Result<(), Violation> {
        if let Some(why) = self.heard_too_lately(late, now) {
            return Err(format!("{:?} serves beside {:?}, and {why}", late.role, early.role));
        }
        let Some(off_since) = self.seen[early.role as usize].off_since else { return Ok(()) };
        let has_not_been_told = self.seen[late.role as usize].started_at > off_since;
        if self.seen[early.role as usize].announced && has_not_been_told {
            return Ok(());
        }
        let heard = self.seen[late.role as usize].echoed_at;
        let fastest = super::schedule::fastest(late.options());
        let lost = |path: usize| self.clear_since[path].iter().any(|since| *since > heard);
        let is_lossless = (0..late.options().paths.len()).any(|path| !lost(path));
        if heard + fastest >= off_since && is_lossless && !late.unusable.iter().any(|unusable| *unusable) {
            return Err(format!(
                "{:?} serves while the lease of {:?} runs, whose daemon stopped at {off_since}; all was well until {heard}",
                late.role, early.role
            ));
        }
        Ok(())
    }

    /// The lower claim yields as soon as one frame of the higher one can have come.
    fn check_yields(
        &self,
        hosts: &[Host; 2],
        network: &Network,
        since: Instant,
        now: Instant,
    ) -> Result<(), Violation> {
        let claim = |role: Role| (self.seen[role as usize].claim, role == Role::Primary);
        let winner = if claim(Role::Primary) > claim(Role::Standby) { Role::Primary } else { Role::Standby };
        let loser = winner.other();
        if ROLES.iter().any(|role| !hosts[*role as usize].is_running()) {
            return Ok(());
        }
        // Of equal claims a frame that proves nothing may be an old one: the loser yields when it has no word of its peer that is newer.
        let are_equal = self.seen[0].claim == self.seen[1].claim;
        let doubt = if are_equal { slowest_detection(hosts[0].options()) } else { 0 };
        for (path, options) in hosts[winner as usize].options().paths.iter().enumerate() {
            let line = network.line(path as PathId, winner);
            let is_usable = ROLES.iter().all(|role| !hosts[*role as usize].unusable[path]);
            let claimed_at = self.seen[winner as usize].claimed_at;
            let clear = self.clear_since[path][winner as usize].max(since).max(claimed_at);
            let most = options.interval_us + line.longest_us(2 * SERIAL_BYTES) + self.late_us + options.interval_us / 4;
            let most = most + doubt;
            if is_usable && !line.is_cut && now > clear + most {
                return Err(format!(
                    "{loser:?} serves beside {winner:?} since {since}, and path {path} has lost no frame of {winner:?} since {clear}"
                ));
            }
        }
        Ok(())
    }

    /// Before an event: has somebody forwarded all the time since the last one? Asked while nothing is wrong.
    pub(super) fn check_gap(&mut self, is_sound: bool, now: Instant) -> Result<(), Violation> {
        if let Some(until) = self.forwarded_until
            && until < now
            && is_sound
        {
            return Err(format!("nobody has forwarded since {until}"));
        }
        if !is_sound {
            self.forwarded_until = None;
        }
        Ok(())
    }

    /// After an event.
    pub(super) fn note_forwarding(&mut self, hosts: &[Host; 2], is_sound: bool, now: Instant) {
        let until = hosts.iter().filter(|host| host.plane.forwards(now)).map(|host| host.plane.until).max();
        if is_sound && (until.is_some() || self.forwarded_until.is_some()) {
            self.forwarded_until = Some(until.unwrap_or(now));
        }
    }
}

/// The least time that n asks in vain take, from the last answer.
fn shortest_silence(options: &PathOptions) -> Micros {
    u64::from(options.missed_limit - 1) * options.interval_us * 95 / 100
}
