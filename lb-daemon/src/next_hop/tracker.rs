//! What is known of each real that is watched, when to look again, and what to report. Pure: time is an argument,
//! and what the kernel says comes in as a [`Snapshot`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::decide::{Ask, Decision, NeighbourKey, Snapshot, Watch, decide};
use super::monitor::Event;
use super::{NextHop, Timing, Update};

/// Requests to the kernel for ARP or ND, per second, over all neighbours.
const MAX_ASKS_PER_SECOND: u32 = 200;

/// The reals that are watched.
pub(super) struct Tracker {
    timing: Timing,
    reals: BTreeMap<String, Tracked>,
    /// Names of the reals that each neighbour leads to.
    behind: HashMap<NeighbourKey, BTreeSet<String>>,
    asked: HashMap<NeighbourKey, Asked>,
    budget: Budget,
    /// Reals whose news has not been reported yet.
    outbox: BTreeSet<String>,
    /// When everything is to be looked at because of an event, and when that last began.
    full_due: Option<Instant>,
    last_full: Option<Instant>,
}

struct Tracked {
    watch: Watch,
    next_hop: Option<NextHop>,
    note: String,
    neighbour: Option<NeighbourKey>,
    silent: bool,
    /// What was last put in the outbox.
    reported: Option<(Option<NextHop>, String)>,
    due: Instant,
}

/// How often a neighbour was asked for, and when last.
struct Asked {
    at: Instant,
    attempts: u32,
}

/// How many asks are left in the current second.
struct Budget {
    since: Instant,
    used: u32,
}

impl Tracker {
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            reals: BTreeMap::new(),
            behind: HashMap::new(),
            asked: HashMap::new(),
            budget: Budget { since: now, used: 0 },
            outbox: BTreeSet::new(),
            full_due: None,
            last_full: None,
        }
    }

    /// Replaces the set of reals. What is known of a real whose address stays is kept.
    pub(super) fn watch(&mut self, watches: Vec<Watch>, now: Instant) {
        let mut old = std::mem::take(&mut self.reals);
        for watch in watches {
            let kept = old.remove(&watch.real).filter(|tracked| tracked.watch.address == watch.address);
            let tracked = match kept {
                Some(tracked) if tracked.watch.same_wish(&watch) => tracked,
                Some(tracked) => Tracked { watch, due: now, ..tracked },
                None => {
                    // News of the address that it had is none of this one.
                    self.outbox.remove(&watch.real);
                    Tracked::new(watch, now)
                }
            };
            self.reals.insert(tracked.watch.real.clone(), tracked);
        }
        let reals = &self.reals;
        self.outbox.retain(|name| reals.contains_key(name));
        self.behind.clear();
        for (name, tracked) in reals {
            if let Some(neighbour) = tracked.neighbour {
                self.behind.entry(neighbour).or_default().insert(name.clone());
            }
        }
        self.asked.retain(|key, _| self.behind.contains_key(key));
    }

    /// Takes note of a change in the kernel: the reals that it may concern are looked at again soon.
    pub(super) fn heard(&mut self, event: &Event, now: Instant) {
        match *event {
            Event::Neighbour(key) => self.look_again_behind(key, now),
            Event::Route { prefix, length } => {
                self.look_again(now, |tracked| covers(prefix, length, tracked.watch.address));
            }
            Event::Link(ifindex) => {
                self.asked.retain(|key, _| key.ifindex != ifindex);
                self.look_again(now, |tracked| tracked.leaves_by(ifindex));
            }
            // An address may be the first one of its interface: then nothing leads there yet.
            Event::Address(ifindex) => {
                self.look_again(now, |tracked| tracked.leaves_by(ifindex) || tracked.neighbour.is_none());
            }
            Event::Everything => {
                let earliest = self.last_full.map_or(now, |last| (last + self.timing.full_refresh_gap).max(now));
                self.full_due.get_or_insert(earliest + self.timing.settle);
            }
        }
    }

    fn look_again(&mut self, now: Instant, concerned: impl Fn(&Tracked) -> bool) {
        let due = now + self.timing.settle;
        for tracked in self.reals.values_mut().filter(|tracked| concerned(tracked)) {
            tracked.due = tracked.due.min(due);
        }
    }

    fn look_again_behind(&mut self, neighbour: NeighbourKey, now: Instant) {
        let due = now + self.timing.settle;
        for name in self.behind.get(&neighbour).into_iter().flatten() {
            if let Some(tracked) = self.reals.get_mut(name) {
                tracked.due = tracked.due.min(due);
            }
        }
    }

    /// When the next real is to be looked at.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.reals.values().map(|tracked| tracked.due).chain(self.full_due).min()
    }

    /// Up to `limit` reals that are to be looked at now, with their addresses: those that wait longest.
    pub(super) fn due(&mut self, now: Instant, limit: usize) -> Vec<(String, IpAddr)> {
        if self.full_due.take_if(|due| *due <= now).is_some() {
            self.last_full = Some(now);
            self.reals.values_mut().for_each(|tracked| tracked.due = tracked.due.min(now));
        }
        let mut due: Vec<&Tracked> = self.reals.values().filter(|tracked| tracked.due <= now).collect();
        due.sort_by_key(|tracked| tracked.due);
        due.iter().take(limit).map(|tracked| (tracked.watch.real.clone(), tracked.watch.address)).collect()
    }

    /// Takes in what the kernel says of the way to a real. Gives the neighbour that the kernel is now to be asked for.
    pub(super) fn observed(&mut self, real: &str, snapshot: &Snapshot, now: Instant) -> Option<NeighbourKey> {
        let tracked = self.reals.get_mut(real)?;
        let before = tracked.neighbour;
        let mut decision = decide(&tracked.watch, snapshot, tracked.silent);
        if tracked.silent && decision.neighbour != before {
            decision = decide(&tracked.watch, snapshot, false);
        }
        tracked.take_in(&decision);
        if tracked.has_news() {
            self.outbox.insert(real.to_owned());
        }
        if decision.neighbour != before {
            self.moved(real, before, decision.neighbour);
        }
        let (ask, due) = self.plan(real, &decision, now);
        if let Some(tracked) = self.reals.get_mut(real) {
            tracked.due = due;
        }
        ask
    }

    /// Another neighbour leads to a real. When one was asked for is forgotten with the last real behind it.
    fn moved(&mut self, real: &str, before: Option<NeighbourKey>, now: Option<NeighbourKey>) {
        if let Some(left) = before
            && let Some(names) = self.behind.get_mut(&left)
        {
            names.remove(real);
            if names.is_empty() {
                self.behind.remove(&left);
                self.asked.remove(&left);
            }
        }
        if let Some(neighbour) = now {
            self.behind.entry(neighbour).or_default().insert(real.to_owned());
        }
    }

    /// The kernel could not be asked about a real.
    pub(super) fn failed(&mut self, real: &str, error: &str, now: Instant) {
        let Some(tracked) = self.reals.get_mut(real) else { return };
        tracked.note = tracked.keeping(format!("the kernel could not be asked for the next hop: {error}"));
        tracked.due = now + self.timing.longest_retry;
        if tracked.has_news() {
            self.outbox.insert(real.to_owned());
        }
    }

    /// Whether there is something to report.
    pub(super) fn has_update(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next piece of news. News that cancelled itself out while it waited is none.
    pub(super) fn next_update(&mut self) -> Option<Update> {
        while let Some(real) = self.outbox.pop_first() {
            let Some(tracked) = self.reals.get_mut(&real) else { continue };
            if tracked.has_news() {
                tracked.reported = Some((tracked.next_hop, tracked.note.clone()));
                return Some(Update { real, next_hop: tracked.next_hop, note: tracked.note.clone() });
            }
        }
        None
    }

    /// Whom to ask for now, if anyone, and when to look again.
    fn plan(&mut self, real: &str, decision: &Decision, now: Instant) -> (Option<NeighbourKey>, Instant) {
        let refresh = now + spread(real, self.timing.refresh);
        let Some(key) = decision.neighbour else { return (None, refresh) };
        let (earliest, attempts) = match (decision.ask, self.asked.get(&key)) {
            (Ask::Nothing, _) => {
                if let Some(asked) = self.asked.get_mut(&key) {
                    asked.attempts = 0;
                }
                return (None, refresh);
            }
            (_, None) => (now, 0),
            (Ask::Confirm, Some(asked)) => (asked.at + self.timing.confirm, 0),
            (Ask::Resolve, Some(asked)) => (asked.at + self.timing.backoff(asked.attempts), asked.attempts),
        };
        if earliest > now {
            return (None, earliest.min(refresh));
        }
        if let Some(later) = self.budget.refusal(now) {
            return (None, later);
        }
        self.asked.insert(key, Asked { at: now, attempts: attempts.saturating_add(1) });
        let wait = match decision.ask {
            Ask::Resolve => self.timing.backoff(attempts.saturating_add(1)),
            _ => self.timing.confirm,
        };
        (Some(key), (now + wait).min(refresh))
    }
}

impl Tracked {
    fn new(mut watch: Watch, now: Instant) -> Self {
        let next_hop = watch.known.take();
        Self { watch, next_hop, note: String::new(), neighbour: None, silent: false, reported: None, due: now }
    }

    fn leaves_by(&self, ifindex: u32) -> bool {
        self.neighbour.is_some_and(|key| key.ifindex == ifindex)
    }

    fn take_in(&mut self, decision: &Decision) {
        if decision.forget {
            self.next_hop = None;
        }
        self.neighbour = decision.neighbour;
        self.silent = decision.silent;
        match decision.next_hop {
            Some(next_hop) => {
                self.next_hop = Some(next_hop);
                self.note.clone_from(&decision.note);
            }
            None => self.note = self.keeping(decision.note.clone()),
        }
    }

    /// The note about a way that is not there now, with what is done meanwhile.
    fn keeping(&self, note: String) -> String {
        if self.next_hop.is_some() { format!("{note}; the last known next hop stays in use") } else { note }
    }

    fn has_news(&self) -> bool {
        match &self.reported {
            None => true,
            Some((next_hop, note)) => *next_hop != self.next_hop || *note != self.note,
        }
    }
}

impl Watch {
    /// Whether the same thing is wanted, whatever is known already.
    fn same_wish(&self, other: &Self) -> bool {
        (&self.real, self.address, self.needs_tunnel, self.needs_same_link)
            == (&other.real, other.address, other.needs_tunnel, other.needs_same_link)
    }
}

impl Timing {
    /// How long to wait for an answer after so many attempts (at least one): doubles up to a limit.
    fn backoff(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        self.first_retry.saturating_mul(1 << doublings).min(self.longest_retry)
    }
}

impl Budget {
    /// Uses one ask, or says when there will be one again.
    fn refusal(&mut self, now: Instant) -> Option<Instant> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, used: 0 };
        }
        if self.used >= MAX_ASKS_PER_SECOND {
            return Some(self.since + Duration::from_secs(1));
        }
        self.used += 1;
        None
    }
}

/// Between three and five quarters of an interval, by name, so that reals are not all looked at in the same instant.
fn spread(real: &str, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    real.hash(&mut hasher);
    let share = (hasher.finish() % 512) as u32;
    interval * 3 / 4 + interval * share / 1024
}

/// Whether the prefix covers the address.
fn covers(prefix: IpAddr, length: u8, address: IpAddr) -> bool {
    match (prefix, address) {
        (IpAddr::V4(prefix), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(u32::from(length));
            (u32::from(prefix) ^ u32::from(address)).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(prefix), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(u32::from(length));
            (u128::from(prefix) ^ u128::from(address)).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
