//! The owner's end of a connection.

use std::collections::VecDeque;

use super::{
    Has, MAX_HANDSHAKE_SIZE, MAX_MESSAGE_SIZE, Me, Nonce, SessionError,
    messages::Message,
    pieces::pieces,
    pulse::Pulse,
    seal::{Channel, Direction, Inbox, open_frame, put_frame, unopened},
    wire::{Hello, Welcome},
};
use crate::{
    auth::{Key, Keys},
    checkpoint::{Batch, Entry, Origin, Sequence, codec::encode_entries_as, ledger::Progress},
    pair::{Epoch, Micros},
};

/// What a follower asks for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The generation of its start.
    pub boot: u32,
    /// What it has.
    pub has: Has,
    /// The version of the format in which it is told.
    pub version: u16,
}

/// What has come from the follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It asks: to be answered by [`Owner::welcome`] or [`Owner::refuse`].
    Asked(Asked),
    /// Up to where it has applied everything, and has it on disk: nothing while it does not have everything. The first proves that it is
    /// there now: before it nothing is to be sent.
    Acked {
        /// In its maps.
        applied: Option<Sequence>,
        /// On its disk.
        durable: Option<Sequence>,
    },
}

/// The owner's end.
#[derive(Debug)]
pub struct Owner {
    me: Me,
    keys: Keys,
    nonce: Nonce,
    stage: Stage,
    inbox: Inbox,
    output: Vec<u8>,
    heard: VecDeque<Heard>,
    pulse: Pulse,
    /// How often everything was begun.
    fulls: u32,
    parts: u32,
    version: u16,
}

#[derive(Debug)]
enum Stage {
    Waits,
    Asked { key: Key, hello: Vec<u8>, epoch: Epoch },
    Open(Channel),
    Over,
}

impl Owner {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(me: Me, keys: Keys, nonce: Nonce, now: Micros) -> Self {
        Self {
            version: *me.versions.end(),
            me,
            keys,
            nonce,
            stage: Stage::Waits,
            inbox: Inbox::default(),
            output: Vec::new(),
            heard: VecDeque::new(),
            pulse: Pulse::new(now),
            fulls: 0,
            parts: 0,
        }
    }

    /// Takes in what has come.
    ///
    /// # Errors
    ///
    /// The connection has to end.
    pub fn input(&mut self, bytes: &[u8], now: Micros) -> Result<(), SessionError> {
        self.inbox.push(bytes);
        loop {
            let is_open = matches!(self.stage, Stage::Open(_));
            let max = if is_open { MAX_MESSAGE_SIZE } else { MAX_HANDSHAKE_SIZE };
            let Some(frame) = self.inbox.take(max)? else { return Ok(()) };
            self.hear(&frame)?;
            self.pulse.heard(now);
        }
    }

    /// The follower has closed the connection.
    #[must_use]
    pub fn closed(&self) -> SessionError {
        SessionError::Closed(if self.inbox.is_within_a_frame() { " in the middle of a message" } else { "" })
    }

    fn hear(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        match &mut self.stage {
            Stage::Waits => self.hear_hello(frame),
            Stage::Asked { .. } => Err(SessionError::Order("a message before the answer to the first")),
            Stage::Open(channel) => {
                let heard = match Message::decode(channel.open(frame)?)? {
                    Message::Ack { fulls, applied, durable } => {
                        // What was said before everything was begun anew says nothing of now.
                        let is_current = fulls == self.fulls;
                        let [applied, durable] = [applied, durable].map(|at| at.filter(|_| is_current));
                        Heard::Acked { applied, durable }
                    }
                    Message::Ping => return Ok(()),
                    Message::End(why) => return Err(SessionError::Refused(why.to_owned())),
                    _ => return Err(SessionError::Order("an owner's message from a follower")),
                };
                self.heard.push_back(heard);
                Ok(())
            }
            Stage::Over => Ok(()),
        }
    }

    fn hear_hello(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        let message = unopened(frame).ok_or(SessionError::Malformed("the first message"))?;
        let hello = Hello::decode(message)?;
        let key = self.keys.get(hello.key).filter(|key| key.real().is_none());
        let key = key.ok_or(SessionError::UnknownKey(hello.key))?.clone();
        open_frame(&key, &[], frame).ok_or(SessionError::Forged)?;
        let (message, epoch) = (message.to_vec(), hello.epoch);
        self.stage = Stage::Asked { key, hello: message, epoch };
        match self.agree(&hello) {
            Ok(version) => {
                self.version = version;
                self.heard.push_back(Heard::Asked(Asked { boot: hello.me.boot, has: hello.has, version }));
                Ok(())
            }
            Err(error) => {
                self.refuse(&error.to_string());
                Err(error)
            }
        }
    }

    fn agree(&self, hello: &Hello) -> Result<u16, SessionError> {
        if hello.me.cluster != self.me.cluster {
            return Err(SessionError::Cluster);
        }
        if hello.me.role == self.me.role {
            return Err(SessionError::OwnRole);
        }
        let (theirs, mine) = (hello.me.versions.clone(), self.me.versions.clone());
        let version = *theirs.end().min(mine.end());
        if theirs.contains(&version) && mine.contains(&version) {
            Ok(version)
        } else {
            Err(SessionError::Version { theirs, mine })
        }
    }

    /// Answers a follower: batches of this origin come. Those after `resume`, or everything first.
    ///
    /// # Errors
    ///
    /// The follower knows of a newer owner, or has not asked.
    pub fn welcome(&mut self, origin: Origin, resume: Option<Sequence>) -> Result<(), SessionError> {
        let Stage::Asked { key, hello, epoch } = &self.stage else {
            return Err(SessionError::Order("an answer without a question"));
        };
        if *epoch > origin.epoch {
            let error = SessionError::Stale { owner: origin.epoch, known: *epoch };
            self.refuse(&error.to_string());
            return Err(error);
        }
        let welcome = Welcome { version: self.version, origin, nonce: self.nonce, resume }.encode();
        put_frame(key, &[hello], &welcome, &mut self.output);
        self.stage = Stage::Open(Channel::new(key.clone(), hello, &welcome, Direction::ToFollower));
        Ok(())
    }

    /// Ends the connection, and says why.
    pub fn refuse(&mut self, why: &str) {
        let end = Message::End(why).encode();
        match &mut self.stage {
            Stage::Waits | Stage::Over => {}
            Stage::Asked { key, hello, .. } => put_frame(key, &[hello], &end, &mut self.output),
            Stage::Open(channel) => channel.put(&end, &mut self.output),
        }
        self.stage = Stage::Over;
    }

    /// What has come, in its order.
    pub fn poll(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Everything follows.
    pub fn begin_full(&mut self) {
        self.fulls += 1;
        self.parts = 0;
        self.put(&Message::FullBegin);
    }

    /// A part of it, of about so many in all.
    pub fn full_part(&mut self, entries: &[Entry], estimate: u32) {
        for piece in pieces(entries) {
            self.parts += 1;
            let mut bytes = Vec::new();
            encode_entries_as(self.version, &piece, &mut bytes);
            let progress = Progress { done: self.parts, estimate: estimate.max(self.parts) };
            self.put(&Message::FullPart { progress, entries: &bytes });
        }
    }

    /// That was everything: how things were after this batch.
    pub fn end_full(&mut self, sequence: Sequence, generation: u64) {
        self.put(&Message::FullEnd { parts: self.parts, sequence, generation });
    }

    /// What has changed.
    pub fn batch(&mut self, batch: &Batch) {
        let Batch { sequence, generation, ref entries } = *batch;
        let mut pieces = pieces(entries).into_iter().peekable();
        loop {
            let mut bytes = Vec::new();
            encode_entries_as(self.version, &pieces.next().unwrap_or_default(), &mut bytes);
            let more = pieces.peek().is_some();
            self.put(&Message::Batch { sequence, generation, more, entries: &bytes });
            if !more {
                return;
            }
        }
    }

    /// Sends a ping where one is due.
    ///
    /// # Errors
    ///
    /// The follower has been silent for too long, or the handshake has lasted too long.
    pub fn tick(&mut self, now: Micros) -> Result<(), SessionError> {
        let is_open = matches!(self.stage, Stage::Open(_));
        if self.pulse.tick(is_open, now)? {
            self.put(&Message::Ping);
        }
        Ok(())
    }

    /// When [`Owner::tick`] is due.
    #[must_use]
    pub fn next_tick(&self) -> Micros {
        self.pulse.next(matches!(self.stage, Stage::Open(_)))
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

    fn put(&mut self, message: &Message<'_>) {
        if let Stage::Open(channel) = &mut self.stage {
            channel.put(&message.encode(), &mut self.output);
        }
    }
}
