//! The side of who follows.

use super::{index, message::MAX_MESSAGE_SIZE, pace::Timing, silence_us};
use crate::{
    checkpoint::{Sequence, codec::FORMAT_VERSION},
    pair::{
        Epoch, Micros,
        wire::table::{Lane, Part, Want},
    },
};

/// After how many intervals a want that nothing has come of is repeated.
const REPEAT_INTERVALS: Micros = 5;
/// The same, at least, in microseconds.
const LEAST_REPEAT_US: Micros = 500_000;

/// What a follower has when a session begins: the owner's boot generation and epoch, and the last batch.
pub type Has = Option<(u32, Epoch, Sequence)>;

/// Takes the table from the owner.
#[derive(Debug)]
pub struct Receiver {
    boot: u32,
    timing: Timing,
    /// Number of the last session.
    session: u32,
    open: Option<Open>,
}

/// A session.
#[derive(Debug)]
struct Open {
    has: Has,
    lanes: [In; 2],
    heard_at: Micros,
    /// Something has come in it.
    answered: bool,
    /// Nothing was left to tell when the owner was last heard.
    complete: bool,
    wanted_at: Option<Micros>,
    /// Of which lane the last want spoke: the other one is next, where it is due.
    wanted: Lane,
}

/// The message of a lane that is coming in.
#[derive(Debug)]
struct In {
    number: u16,
    bytes: Vec<u8>,
    /// The owner does not know yet how far it is.
    is_due: bool,
}

impl Receiver {
    /// One of this boot generation, which wants nothing.
    #[must_use]
    pub fn new(boot: u32, timing: Timing) -> Self {
        Self { boot, timing, session: 0, open: None }
    }

    /// Begins a session.
    pub fn begin(&mut self, has: Has, now: Micros) {
        self.session = self.session.wrapping_add(1);
        let lane = |is_due| In { number: 1, bytes: Vec::new(), is_due };
        let lanes = [lane(true), lane(false)];
        let (answered, complete, wanted_at, wanted) = (false, false, None, Lane::Rings);
        self.open = Some(Open { has, lanes, heard_at: now, answered, complete, wanted_at, wanted });
    }

    /// Wants nothing any more.
    pub fn end(&mut self) {
        self.open = None;
    }

    /// What the session began with, while there is one.
    #[must_use]
    pub fn begun(&self) -> Option<Has> {
        self.open.as_ref().map(|open| open.has)
    }

    /// Nothing comes any more: the owner does not know the session.
    #[must_use]
    pub fn is_lost(&self, now: Micros) -> bool {
        self.open.as_ref().is_some_and(|open| now >= open.heard_at + silence_us(self.timing.interval_us))
    }

    /// The owner has been heard in this session.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.answered)
    }

    /// Nothing was left to tell when the owner was last heard.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.complete)
    }

    /// A part has come. Gives the message that it ends. What is of another session, or not the next, moves nothing.
    pub fn heard(&mut self, part: &Part, now: Micros) -> Option<Vec<u8>> {
        let (boot, session) = (self.boot, self.session);
        let open = self.open.as_mut().filter(|_| (part.boot, part.session) == (boot, session))?;
        open.answered = true;
        let own = &mut open.lanes[index(part.lane)];
        if !own.is_next(part) {
            // The owner has not heard how far this is, or does not know the session: then only silence ends it.
            own.is_due = true;
            return None;
        }
        (open.heard_at, open.complete) = (now, part.bytes.is_empty());
        own.take(part)
    }

    /// The next want to be sent, if one is due.
    pub fn poll(&mut self, now: Micros) -> Option<Want> {
        if now < self.next_wake()? {
            return None;
        }
        let (boot, session) = (self.boot, self.session);
        let open = self.open.as_mut()?;
        let mut due = Lane::ALL.into_iter().filter(|lane| open.lanes[index(*lane)].is_due);
        let lane = due.clone().find(|lane| *lane != open.wanted).or_else(|| due.next()).unwrap_or(Lane::Names);
        let own = &mut open.lanes[index(lane)];
        own.is_due = false;
        (open.wanted_at, open.wanted) = (Some(now), lane);
        let (message, offset, version) = (own.number, own.bytes.len() as u32, FORMAT_VERSION as u8);
        Some(Want { boot, session, lane, message, offset, version, has: open.has })
    }

    /// When it has to be polled.
    #[must_use]
    pub fn next_wake(&self) -> Option<Micros> {
        let open = self.open.as_ref()?;
        let Some(wanted_at) = open.wanted_at else { return Some(0) };
        let is_due = open.lanes.iter().any(|lane| lane.is_due);
        let repeat = LEAST_REPEAT_US.max(REPEAT_INTERVALS * self.timing.interval_us);
        Some(wanted_at + if is_due { self.timing.interval_us } else { repeat })
    }
}

impl In {
    fn is_next(&self, part: &Part) -> bool {
        (part.message, part.offset as usize) == (self.number, self.bytes.len())
    }

    fn take(&mut self, part: &Part) -> Option<Vec<u8>> {
        if part.bytes.is_empty() || self.bytes.len() + part.bytes.len() > MAX_MESSAGE_SIZE {
            return None;
        }
        self.is_due = true;
        self.bytes.extend_from_slice(&part.bytes);
        if !part.last {
            return None;
        }
        self.number = self.number.checked_add(1)?;
        Some(std::mem::take(&mut self.bytes))
    }
}
