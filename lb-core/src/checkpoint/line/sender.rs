//! The owner's side.

use super::{
    index,
    message::Head,
    pace::{Timing, WINDOW},
    pending::Pending,
    silence_us,
};
use crate::{
    checkpoint::{Batch, Entry, Origin, Sequence, codec::FORMAT_VERSION, codec::OLDEST_VERSION},
    pair::{
        Micros,
        wire::table::{Lane, Part, Want},
    },
};

/// What a sender has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: nobody wants anything.
    Nothing,
    /// The batches after this one, by [`Sender::take`]; or that they are gone, by [`Sender::lost`].
    After(Sequence),
    /// All that there is, by [`Sender::take_everything`].
    Everything,
}

/// Sends the table to one follower, as long as that wants it.
#[derive(Debug)]
pub struct Sender {
    origin: Origin,
    timing: Timing,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    boot: u32,
    number: u32,
    version: u16,
    /// Up to which batch `pending` has everything; nothing where it lacks a beginning.
    absorbed: Option<Sequence>,
    generation: u64,
    pending: Pending,
    /// The next message is the first one of everything.
    begins_all: bool,
    lanes: [Out; 2],
    /// Who wants something is to hear that there is nothing.
    answers: bool,
    heard_at: Micros,
    messages: u64,
}

/// The message of a lane that is under way.
#[derive(Debug)]
struct Out {
    number: u16,
    /// Empty where there is none.
    message: Vec<u8>,
    acked: usize,
    sent: usize,
    /// When something was acked last, or the message begun, or begun anew.
    moved_at: Micros,
}

impl Sender {
    /// One that sends what this owner has.
    #[must_use]
    pub fn new(origin: Origin, timing: Timing) -> Self {
        Self { origin, timing, session: None }
    }

    /// Whose table it is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Somebody has wanted something just now.
    #[must_use]
    pub fn is_wanted(&self, now: Micros) -> bool {
        self.live(now).is_some()
    }

    /// Messages that have been acked in this session, and rings and services that are too long to be told.
    #[must_use]
    pub fn told(&self) -> (u64, u64) {
        self.session.as_ref().map_or((0, 0), |session| (session.messages, session.pending.left_out))
    }

    /// What it has to be given.
    #[must_use]
    pub fn needs(&self, now: Micros) -> Needs {
        match self.live(now) {
            None => Needs::Nothing,
            Some(session) => session.absorbed.map_or(Needs::Everything, Needs::After),
        }
    }

    /// A want has come. One of an earlier session is old, and moves nothing.
    pub fn heard(&mut self, want: &Want, now: Micros) {
        let session = (want.boot, want.session);
        let known = self.session.as_ref().map(|session| (session.boot, session.number));
        if known.is_none_or(|known| session > known) && want.message == 1 && want.offset == 0 {
            self.session = Some(Session::new(want, self.origin, now));
        }
        if let Some(own) = self.session.as_mut().filter(|own| (own.boot, own.number) == session) {
            own.heard(want, now);
        }
    }

    /// A batch, the next one. Those that it has already are left out.
    pub fn take(&mut self, batch: &Batch) {
        let Some(session) = &mut self.session else { return };
        if session.absorbed.is_none_or(|absorbed| absorbed + 1 != batch.sequence) {
            return;
        }
        batch.entries.iter().for_each(|entry| session.pending.put(entry));
        session.generation = batch.generation;
        // Else all rings take the place of single slots.
        session.absorbed = (!session.pending.is_too_much()).then_some(batch.sequence);
    }

    /// All that there is, as it was after this batch.
    pub fn take_everything(&mut self, entries: &[Entry], sequence: Sequence, generation: u64) {
        let Some(session) = &mut self.session else { return };
        entries.iter().for_each(|entry| session.pending.put(entry));
        session.generation = generation;
        session.absorbed = Some(sequence);
    }

    /// The batches that it needs are not kept any more: the follower cannot go on from where it was.
    pub fn lost(&mut self) {
        if let Some(session) = &mut self.session {
            // What was told before counts no more, and is told again.
            session.pending = Pending::default();
            session.begins_all = true;
            session.absorbed = None;
        }
    }

    /// The next part to be sent, if there is one.
    pub fn poll(&mut self, now: Micros) -> Option<Part> {
        let (timing, origin) = (self.timing, self.origin);
        let session = self.session.as_mut().filter(|session| session.is_live(now, &timing))?;
        session.absorbed?;
        Lane::ALL.into_iter().find_map(|lane| session.part(lane, &origin, &timing, now)).or_else(|| session.idle())
    }

    /// When it has to be polled again at the latest, if nothing happens.
    #[must_use]
    pub fn next_wake(&self, now: Micros) -> Option<Micros> {
        let under_way = self.live(now)?.lanes.iter().filter(|lane| lane.sent > lane.acked);
        under_way.map(|lane| lane.moved_at + self.timing.round_us).min()
    }

    fn live(&self, now: Micros) -> Option<&Session> {
        self.session.as_ref().filter(|session| session.is_live(now, &self.timing))
    }
}

impl Session {
    fn new(want: &Want, origin: Origin, now: Micros) -> Self {
        let has = want.has.filter(|(boot, epoch, _)| (*boot, *epoch) == (origin.boot, origin.epoch));
        Self {
            boot: want.boot,
            number: want.session,
            version: u16::from(want.version).clamp(OLDEST_VERSION, FORMAT_VERSION),
            absorbed: has.map(|(_, _, sequence)| sequence),
            generation: 0,
            pending: Pending::default(),
            begins_all: has.is_none(),
            lanes: [Out::new(now), Out::new(now)],
            answers: false,
            heard_at: now,
            messages: 0,
        }
    }

    fn is_live(&self, now: Micros, timing: &Timing) -> bool {
        now < self.heard_at + silence_us(timing.interval_us)
    }

    fn heard(&mut self, want: &Want, now: Micros) {
        self.heard_at = now;
        let is_done = self.lanes[index(want.lane)].acked(want, now);
        self.messages += u64::from(is_done);
        self.answers = true;
    }

    fn part(&mut self, lane: Lane, origin: &Origin, timing: &Timing, now: Micros) -> Option<Part> {
        if self.lanes[index(lane)].message.is_empty() {
            self.begin(lane, origin, now)?;
        }
        let (boot, session) = (self.boot, self.number);
        let out = &mut self.lanes[index(lane)];
        let (offset, bytes) = out.next(timing, now)?;
        let last = offset + bytes.len() == out.message.len();
        self.answers = false;
        Some(Part { boot, session, lane, message: out.number, offset: offset as u32, last, bytes })
    }

    /// Begins the next message of a lane. Rings refer to names: so they wait until all names are told, and who tells all names anew waits
    /// for the ring that is under way.
    fn begin(&mut self, lane: Lane, origin: &Origin, now: Micros) -> Option<()> {
        let [names, rings] = self.lanes.each_ref().map(|lane| !lane.message.is_empty());
        let waits = match lane {
            Lane::Names => self.begins_all && rings,
            Lane::Rings => names || self.begins_all,
        };
        if waits {
            return None;
        }
        let head = Head {
            all: self.begins_all,
            version: self.version as u8,
            boot: origin.boot,
            epoch: origin.epoch,
            generation: self.generation,
        };
        let mut message = Vec::new();
        head.put(&mut message);
        let begin = message.len();
        self.pending.take(lane, self.version, &mut message);
        let out = &mut self.lanes[index(lane)];
        // A session that has come to the last number of a lane goes on no more, and the follower begins another one.
        if (message.len() == begin && !self.begins_all) || out.number == u16::MAX {
            return None;
        }
        self.begins_all = false;
        (out.message, out.acked, out.sent, out.moved_at) = (message, 0, 0, now);
        Some(())
    }

    /// Says that there is nothing to tell now, to who asks.
    fn idle(&mut self) -> Option<Part> {
        let is_idle = self.lanes.iter().all(|lane| lane.message.is_empty());
        if !std::mem::take(&mut self.answers) || !is_idle {
            return None;
        }
        let message = self.lanes[index(Lane::Names)].number;
        let (boot, session, lane) = (self.boot, self.number, Lane::Names);
        Some(Part { boot, session, lane, message, offset: 0, last: true, bytes: Vec::new() })
    }
}

impl Out {
    fn new(now: Micros) -> Self {
        Self { number: 1, message: Vec::new(), acked: 0, sent: 0, moved_at: now }
    }

    /// Takes an ack. Whether the message is done by it.
    fn acked(&mut self, want: &Want, now: Micros) -> bool {
        let offset = want.offset as usize;
        if want.message == self.number && (self.acked + 1..self.message.len()).contains(&offset) {
            (self.acked, self.sent, self.moved_at) = (offset, self.sent.max(offset), now);
        }
        let is_done = !self.message.is_empty() && want.offset == 0 && self.number.checked_add(1) == Some(want.message);
        if is_done {
            *self = Self { number: want.message, ..Self::new(now) };
        }
        is_done
    }

    /// The next bytes, and where they are in the message.
    fn next(&mut self, timing: &Timing, now: Micros) -> Option<(usize, Vec<u8>)> {
        if self.sent > self.acked && now >= self.moved_at + timing.round_us {
            (self.sent, self.moved_at) = (self.acked, now);
        }
        let ahead = (self.acked + WINDOW * timing.part).min(self.message.len());
        let end = (self.sent + timing.part).min(ahead);
        let bytes = self.message.get(self.sent..end).filter(|bytes| !bytes.is_empty())?.to_vec();
        Some((std::mem::replace(&mut self.sent, end), bytes))
    }
}
