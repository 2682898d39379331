//! The follower's end of a connection.

use std::collections::VecDeque;

use super::{
    Has, MAX_BATCH_SIZE, MAX_HANDSHAKE_SIZE, MAX_MESSAGE_SIZE, Me, Nonce, SessionError,
    messages::Message,
    pulse::Pulse,
    seal::{Channel, Direction, Inbox, open_frame, put_frame},
    wire::{Hello, Welcome},
};
use crate::{
    auth::{Key, Keys},
    checkpoint::{Batch, Entry, Origin, Sequence, codec::decode_entries_as, ledger::Progress},
    pair::{Epoch, Micros},
};

/// What the owner tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Whose batches come, in which version, and after which; everything comes first where nothing is said.
    Welcomed {
        /// The owner.
        origin: Origin,
        /// The version of the format.
        version: u16,
        /// What the follower has, and the owner goes on with.
        resume: Option<Sequence>,
    },
    /// Everything follows: what the follower has counts no more.
    FullBegins(Origin),
    /// A part of it.
    FullPart {
        /// What it says.
        entries: Vec<Entry>,
        /// Which part, of about how many.
        progress: Progress,
    },
    /// That was everything: how things were after this batch. To be answered by [`Follower::applied`].
    FullEnds {
        /// The batch.
        sequence: Sequence,
        /// The scheduling table's generation then.
        generation: u64,
    },
    /// What has changed. To be answered by [`Follower::applied`].
    Batch(Batch),
}

/// The follower's end.
#[derive(Debug)]
pub struct Follower {
    me: Me,
    key: Key,
    hello: Vec<u8>,
    has: Has,
    /// The highest epoch of which this node knows.
    epoch: Epoch,
    stage: Stage,
    inbox: Inbox,
    output: Vec<u8>,
    told: VecDeque<Told>,
    pulse: Pulse,
    flow: Flow,
    /// The last ack: what it said is not said again.
    acked: Option<(Option<Sequence>, Option<Sequence>)>,
    applied: Option<Sequence>,
    /// How often everything was begun, as far as [`Follower::poll`] has told.
    fulls: u32,
    /// Entries that this program does not know, and left out.
    skipped: usize,
}

#[derive(Debug)]
enum Stage {
    Waits,
    Open { channel: Box<Channel>, origin: Origin, version: u16 },
    Over,
}

/// What is due next.
#[derive(Debug)]
enum Flow {
    /// The beginning of everything.
    Nothing,
    /// A part of everything, after so many.
    Full { parts: u32 },
    /// The batch after this one.
    Batches { last: Sequence },
    /// The rest of the batch after this one.
    Within { last: Sequence, entries: Vec<Entry>, size: usize },
}

impl Follower {
    /// A connection that has just been made, by a node that has this. `epoch` is the highest of an owner of which it knows, itself counted.
    ///
    /// # Errors
    ///
    /// No key is good for the pair.
    pub fn new(me: Me, keys: &Keys, nonce: Nonce, has: Has, epoch: Epoch, now: Micros) -> Result<Self, SessionError> {
        let key = keys.signing(None).ok_or(SessionError::NoKey)?.clone();
        let hello = Hello { key: key.id(), me: me.clone(), epoch, nonce, has }.encode();
        let mut output = Vec::new();
        put_frame(&key, &[], &hello, &mut output);
        Ok(Self {
            me,
            key,
            hello,
            has,
            epoch,
            stage: Stage::Waits,
            inbox: Inbox::default(),
            output,
            told: VecDeque::new(),
            pulse: Pulse::new(now),
            flow: Flow::Nothing,
            acked: None,
            applied: None,
            fulls: 0,
            skipped: 0,
        })
    }

    /// Takes in what has come.
    ///
    /// # Errors
    ///
    /// The connection has to end.
    pub fn input(&mut self, bytes: &[u8], now: Micros) -> Result<(), SessionError> {
        self.inbox.push(bytes);
        loop {
            let is_open = matches!(self.stage, Stage::Open { .. });
            let max = if is_open { MAX_MESSAGE_SIZE } else { MAX_HANDSHAKE_SIZE };
            let Some(frame) = self.inbox.take(max)? else { return Ok(()) };
            self.hear(&frame)?;
            self.pulse.heard(now);
        }
    }

    /// The owner has closed the connection.
    #[must_use]
    pub fn closed(&self) -> SessionError {
        SessionError::Closed(match self.stage {
            Stage::Waits => " without an answer: it takes no connections now, or the key files of the nodes differ",
            _ if self.inbox.is_within_a_frame() => " in the middle of a message",
            _ => "",
        })
    }

    fn hear(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        match &mut self.stage {
            Stage::Waits => self.hear_answer(frame),
            Stage::Open { channel, origin, version } => {
                let (origin, version) = (*origin, *version);
                let message = channel.open(frame)?.to_vec();
                self.hear_message(&Message::decode(&message)?, origin, version)
            }
            Stage::Over => Ok(()),
        }
    }

    fn hear_answer(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        let message = open_frame(&self.key, &[&self.hello], frame).ok_or(SessionError::Forged)?;
        if let Ok(Message::End(why)) = Message::decode(message) {
            return Err(SessionError::Refused(why.to_owned()));
        }
        let Welcome { version, origin, resume, .. } = Welcome::decode(message)?;
        self.agree(origin, version, resume)?;
        let channel = Channel::new(self.key.clone(), &self.hello, message, Direction::ToOwner);
        self.stage = Stage::Open { channel: Box::new(channel), origin, version };
        self.applied = resume;
        self.flow = resume.map_or(Flow::Nothing, |last| Flow::Batches { last });
        self.told.push_back(Told::Welcomed { origin, version, resume });
        Ok(())
    }

    fn agree(&self, origin: Origin, version: u16, resume: Option<Sequence>) -> Result<(), SessionError> {
        if origin.cluster != self.me.cluster {
            return Err(SessionError::Cluster);
        }
        if origin.owner == self.me.role {
            return Err(SessionError::OwnRole);
        }
        if origin.epoch < self.epoch {
            return Err(SessionError::Stale { owner: origin.epoch, known: self.epoch });
        }
        if !self.me.versions.contains(&version) {
            return Err(SessionError::Version { theirs: version..=version, mine: self.me.versions.clone() });
        }
        if resume.is_some_and(|at| self.has != Some((origin, at))) {
            return Err(SessionError::Resume);
        }
        Ok(())
    }

    fn hear_message(&mut self, message: &Message<'_>, origin: Origin, version: u16) -> Result<(), SessionError> {
        match *message {
            Message::FullBegin => {
                self.flow = Flow::Full { parts: 0 };
                self.told.push_back(Told::FullBegins(origin));
            }
            Message::FullPart { progress, entries } => {
                let entries = self.decode(version, entries)?;
                match &mut self.flow {
                    Flow::Full { parts } if parts.checked_add(1) == Some(progress.done) => *parts = progress.done,
                    _ => return Err(SessionError::Order("a part of everything")),
                }
                self.told.push_back(Told::FullPart { entries, progress });
            }
            Message::FullEnd { parts: all, sequence, generation } => {
                if !matches!(self.flow, Flow::Full { parts } if parts == all) {
                    return Err(SessionError::Order("the end of everything"));
                }
                self.flow = Flow::Batches { last: sequence };
                self.told.push_back(Told::FullEnds { sequence, generation });
            }
            Message::Batch { sequence, generation, more, entries } => {
                let decoded = self.decode(version, entries)?;
                let (entries, size) = self.gather(sequence, decoded, entries.len())?;
                if more {
                    self.flow = Flow::Within { last: sequence.saturating_sub(1), entries, size };
                } else {
                    self.flow = Flow::Batches { last: sequence };
                    self.told.push_back(Told::Batch(Batch { sequence, generation, entries }));
                }
            }
            Message::Ping => {}
            Message::End(why) => return Err(SessionError::Refused(why.to_owned())),
            Message::Ack { .. } => return Err(SessionError::Order("a follower's message from an owner")),
        }
        Ok(())
    }

    /// The entries of a batch so far, and their bytes, with those that have come now.
    fn gather(
        &mut self,
        got: Sequence,
        mut new: Vec<Entry>,
        new_size: usize,
    ) -> Result<(Vec<Entry>, usize), SessionError> {
        let (last, mut entries, size) = match std::mem::replace(&mut self.flow, Flow::Nothing) {
            Flow::Batches { last } => (last, Vec::new(), 0),
            Flow::Within { last, entries, size } => (last, entries, size),
            Flow::Nothing | Flow::Full { .. } => return Err(SessionError::Order("a batch")),
        };
        let wanted = last.saturating_add(1);
        if got != wanted {
            return Err(SessionError::Gap { wanted, got });
        }
        let size = size + new_size;
        if size > MAX_BATCH_SIZE {
            return Err(SessionError::BatchTooLong);
        }
        entries.append(&mut new);
        Ok((entries, size))
    }

    fn decode(&mut self, version: u16, bytes: &[u8]) -> Result<Vec<Entry>, SessionError> {
        let found = decode_entries_as(version, bytes)?;
        self.skipped += found.skipped;
        Ok(found.entries)
    }

    /// What the owner has told, in its order.
    pub fn poll(&mut self) -> Option<Told> {
        let told = self.told.pop_front()?;
        if matches!(told, Told::FullBegins(_)) {
            self.fulls += 1;
            self.applied = None;
        }
        Some(told)
    }

    /// How many entries were left out so far because this program does not know their kind.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Everything up to this batch is in the maps.
    pub fn applied(&mut self, sequence: Sequence) {
        self.applied = Some(sequence);
    }

    /// Says how far this node is, where that has changed. `durable` is up to where its disk has everything of this owner.
    pub fn ack(&mut self, durable: Option<Sequence>) {
        let state = (self.applied, durable.filter(|_| self.applied.is_some()));
        if self.acked != Some(state) {
            let (applied, durable) = state;
            if self.put(&Message::Ack { fulls: self.fulls, applied, durable }) {
                self.acked = Some(state);
            }
        }
    }

    /// Ends the connection, and says why.
    pub fn end(&mut self, why: &str) {
        self.put(&Message::End(why));
        self.stage = Stage::Over;
    }

    /// Sends a ping where one is due.
    ///
    /// # Errors
    ///
    /// The owner has been silent for too long, or the handshake has lasted too long.
    pub fn tick(&mut self, now: Micros) -> Result<(), SessionError> {
        let is_open = matches!(self.stage, Stage::Open { .. });
        if self.pulse.tick(is_open, now)? {
            self.put(&Message::Ping);
        }
        Ok(())
    }

    /// When [`Follower::tick`] is due.
    #[must_use]
    pub fn next_tick(&self) -> Micros {
        self.pulse.next(matches!(self.stage, Stage::Open { .. }))
    }

    /// Nothing could have been heard so far, since nobody listened: the silence begins now.
    pub fn listens_again(&mut self, now: Micros) {
        self.pulse.heard(now);
    }

    /// Bytes to be sent. What has been sent is to be taken from their beginning.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Something was sent.
    pub fn sent(&mut self, now: Micros) {
        self.pulse.sent(now);
    }

    /// Whether it could be said.
    fn put(&mut self, message: &Message<'_>) -> bool {
        let Stage::Open { channel, .. } = &mut self.stage else { return false };
        channel.put(&message.encode(), &mut self.output);
        true
    }
}
