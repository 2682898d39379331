//! The node: inputs go in, actions come out. It knows no clock, no socket, no disk; see docs/pair.md for what it does and why.
//!
//! Each input goes the same way: was this node off the CPU ([`time`]); what does the input say ([`hearing`], [`orders`]); what follows from
//! all that is known ([`claims`], [`handover`]); then the lease is renewed, and frames go out ([`speech`]).

mod claims;
mod handover;
mod hearing;
mod orders;
mod show;
mod speech;
mod time;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use handover::NEED;
use handover::{Errand, Want};
use orders::Restart;
use speech::Speech;

use super::{
    Action, Answer, Epoch, Event, FULLY_FIT, Facts, Fitness, Happening, Input, Lease, MAX_PATHS, Memory, Micros,
    Options, Path, PathId, Role, State,
    failover::{self, Cause},
    lease::Keeper,
    peer::Known,
    sync::Sync,
    view::StallsView,
};

/// Most actions that wait to be taken. Beyond, frames are left out: they would be lost frames. All is to be taken after each input.
const MAX_ACTIONS: usize = 256;
/// A restart may be announced for this long at most: what fits into a frame.
pub const MAX_GRACE_US: Micros = 200_000_000;

/// One of the two nodes of a pair.
#[derive(Debug)]
pub struct Node {
    options: Options,
    state: State,
    since: Micros,
    epoch: Epoch,
    /// No lower epoch is claimed: an earlier start may have claimed it.
    floor: Epoch,
    /// What the disk was asked to keep.
    reserved: Epoch,
    /// The epoch that it knew when it started.
    first_epoch: Epoch,
    fitness: Fitness,
    lacks: String,
    forbidden: Option<String>,
    held: bool,
    stop: Stop,
    facts: Option<Facts>,
    /// Some of its slots go by the flow table.
    remembers: bool,
    /// The standby has all that the active node has learned.
    carried: bool,
    paths: Vec<Path>,
    peer: Known,
    sync: Sync,
    keeper: Keeper,
    /// When this node no longer waits: for its peer at the start, for consent, for the end of its drain. By state.
    deadline: Option<Micros>,
    /// [`Action::Acquire`]s without an answer.
    acquiring: u32,
    /// The VIPs have to be acquired when the lease is confirmed: this node has resumed.
    acquires_when_confirmed: bool,
    errand: Option<Errand>,
    want: Option<Want>,
    restart: Option<Restart>,
    /// Since when the peer has been fitter than this active node; or this standby ready to be preferred.
    better_since: Option<Micros>,
    /// No handover without need before.
    no_offer_before: Micros,
    speech: Speech,
    stalls: StallsView,
    now: Micros,
    wake_at: Micros,
    actions: VecDeque<Action>,
    news: Vec<Event>,
}

/// Whether the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    Asked,
    Answered,
}

impl Node {
    /// A node that starts now. It is to be told how fit it is, and what forbids it to serve, before it is woken first.
    #[must_use]
    pub fn new(options: Options, memory: Memory, now: Micros) -> Self {
        let slowest = options.paths.iter().map(|path| path.ack_timeout_us).max().unwrap_or(0);
        let paths = options.paths.iter().take(MAX_PATHS).zip(0..);
        let paths = paths.map(|(path, id)| Path::new(id, *path, now + slowest - path.ack_timeout_us)).collect();
        let mut node = Self {
            state: State::Starting,
            since: now,
            epoch: memory.epoch,
            floor: memory.reserved,
            reserved: memory.reserved,
            first_epoch: memory.epoch,
            fitness: FULLY_FIT,
            lacks: String::new(),
            forbidden: None,
            held: memory.held,
            stop: Stop::No,
            facts: None,
            remembers: false,
            carried: false,
            paths,
            peer: Known::nothing(now),
            sync: Sync::Unknown,
            keeper: Keeper::silent(),
            deadline: None,
            acquiring: 0,
            acquires_when_confirmed: false,
            errand: None,
            want: None,
            restart: None,
            better_since: None,
            no_offer_before: 0,
            speech: Speech::default(),
            stalls: StallsView::default(),
            now,
            wake_at: now,
            actions: VecDeque::with_capacity(MAX_ACTIONS),
            news: Vec::new(),
            options,
        };
        node.deadline = Some(now + node.start_wait());
        node.reserve_ahead();
        if let Some(until) = memory.resume_until.filter(|until| (now..now + MAX_GRACE_US).contains(until)) {
            node.resume(until, now);
        }
        node
    }

    /// Takes in what has happened, at a time that never goes back. The actions that follow are to be taken out before the next input.
    pub fn handle(&mut self, input: Input, now: Micros) {
        let now = now.max(self.now);
        let looked_at = std::mem::replace(&mut self.now, now);
        self.notice_stall(looked_at, now);
        let reply = match input {
            Input::Wake => {
                self.settle(now);
                None
            }
            Input::Frame { path, frame } => self.hear(path, &frame, now),
            order => {
                self.obey(order, now);
                None
            }
        };
        self.decide(now);
        self.renew(now);
        if let Some(ask) = reply {
            self.ack(&ask, now);
        }
        self.speak(now);
        self.actions.extend(self.news.drain(..).map(Action::Tell));
        self.wake_at = self.plan(now);
    }

    /// What to do next, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Wake`] is due.
    #[must_use]
    pub fn next_wake(&self) -> Micros {
        self.wake_at
    }

    /// What the data plane is to be told.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.keeper.lease()
    }

    /// What this node is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The highest epoch that it knows.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes over what a reload may change: all but role, boot generation, number of paths, their kinds, intervals and ack timeouts.
    pub fn set_options(&mut self, options: &Options) {
        for (path, new) in self.paths.iter_mut().zip(&options.paths) {
            path.options.rise = new.rise;
            path.options.fall = new.fall;
        }
        self.options.preempt = options.preempt;
        self.options.failback_delay_us = options.failback_delay_us;
        self.options.start_wait_us = options.start_wait_us;
        self.options.lease_us = options.lease_us;
        self.options.drain_us = options.drain_us;
        self.options.handover_timeout_us = options.handover_timeout_us;
    }

    /// Becomes what the table of transitions says; false where the cause does not concern this state.
    fn turn(&mut self, cause: Cause, reason: &str, now: Micros) -> bool {
        let Some(to) = failover::next(self.state, cause) else { return false };
        let what = Happening::State { from: self.state, to, epoch: self.epoch };
        self.state = to;
        self.since = now;
        self.deadline = match to {
            State::TakingOver => Some(now + self.options.handover_timeout_us),
            State::Yielding => Some(now + self.options.drain_us),
            _ => None,
        };
        self.better_since = None;
        self.speech.at_once = true;
        self.tell(what, reason.to_owned(), now);
        true
    }

    fn tell(&mut self, what: Happening, reason: String, now: Micros) {
        self.news.push(Event { at: now, what, reason });
    }

    fn answer(&mut self, answer: Answer) {
        self.actions.push_back(Action::Answer(answer));
    }

    /// How long a starting node waits for its peer: longer than the lease of one that takes this node for dead.
    fn start_wait(&self) -> Micros {
        self.options.start_wait_us.max(self.long_lease() + 2 * self.slowest_ack())
    }

    /// The lease while the peer is dead: nobody is there to take over, so a stall need not silence this node.
    fn long_lease(&self) -> Micros {
        self.options.lease_us.max(self.options.start_wait_us / 2)
    }

    fn shortest_interval(&self) -> Micros {
        self.paths.iter().map(|path| path.options.interval_us).min().unwrap_or(0)
    }

    fn slowest_ack(&self) -> Micros {
        self.paths.iter().map(|path| path.options.ack_timeout_us).max().unwrap_or(0)
    }

    /// The longest time for which a frame is fresh.
    fn window(&self) -> Micros {
        self.paths.iter().map(Path::window).max().unwrap_or(0)
    }

    fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }
}

/// When the peer's death shows after its last sign of life, without loss, as least, mean and most: all paths have to be silent.
///
/// A path alone takes from (n-1) Tb + W to n Tb + W. Paths of the same interval ask so that their acks are due together; paths of
/// different intervals are independent, so the mean is that of the latest of independent times (found by numbers).
#[must_use]
pub fn detection_time(paths: &[super::PathOptions]) -> (Micros, Micros, Micros) {
    let most = |path: &super::PathOptions| Micros::from(path.missed_limit) * path.interval_us + path.ack_timeout_us;
    let least = |path: &super::PathOptions| most(path) - path.interval_us;
    let (min, max) = (paths.iter().map(least).max().unwrap_or(0), paths.iter().map(most).max().unwrap_or(0));
    (min, mean_of_latest(paths, min, max), max)
}

/// Steps of the sum in [`mean_of_latest`].
const MEAN_STEPS: u64 = 1_000;

/// The mean of the latest of all paths' times: `min` and the area above the distribution function from there on.
fn mean_of_latest(paths: &[super::PathOptions], min: Micros, max: Micros) -> Micros {
    let mut widest: Vec<(u64, u64, f64)> = Vec::new();
    for path in paths {
        let end = Micros::from(path.missed_limit) * path.interval_us + path.ack_timeout_us;
        match widest.iter_mut().find(|(interval, ..)| *interval == path.interval_us) {
            // Same interval, asked together: the later one decides alone.
            Some(known) => known.1 = known.1.max(end),
            None => widest.push((path.interval_us, end, path.interval_us as f64)),
        }
    }
    let step = (max - min) as f64 / MEAN_STEPS as f64;
    let share = |at: f64| -> f64 {
        widest.iter().map(|(_, end, interval)| ((at - *end as f64) / interval + 1.0).clamp(0.0, 1.0)).product()
    };
    let area: f64 = (0..MEAN_STEPS).map(|i| (1.0 - share(min as f64 + (i as f64 + 0.5) * step)) * step).sum();
    min + area.round() as Micros
}

/// The other node's role, in words of a sentence.
fn role_word(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Standby => "standby",
    }
}

/// A path's number is an index.
fn index(path: PathId) -> usize {
    usize::from(path)
}
