//! The messages after the handshake.

use super::{MAX_REASON_SIZE, SessionError};
use crate::checkpoint::{Sequence, ledger::Progress};

const FULL_BEGIN: u8 = 3;
const FULL_PART: u8 = 4;
const FULL_END: u8 = 5;
const BATCH: u8 = 6;
const ACK: u8 = 7;
const PING: u8 = 8;
const END: u8 = 9;

/// More of the batch follows.
const MORE: u8 = 1;
const APPLIED: u8 = 1;
const DURABLE: u8 = 1 << 1;

/// A message. Entries are bytes here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Everything follows.
    FullBegin,
    /// A part of everything.
    FullPart { progress: Progress, entries: &'a [u8] },
    /// That was everything, in so many parts: how things were after this batch, or later.
    FullEnd { parts: u32, sequence: Sequence, generation: u64 },
    /// What has changed; some of it where more is to follow.
    Batch { sequence: Sequence, generation: u64, more: bool, entries: &'a [u8] },
    /// How far the follower is, after so many beginnings of everything.
    Ack { fulls: u32, applied: Option<Sequence>, durable: Option<Sequence> },
    /// The sender lives.
    Ping,
    /// The sender ends the connection, and why.
    End(&'a str),
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::FullBegin => out.push(FULL_BEGIN),
            Self::FullPart { progress, entries } => {
                out.push(FULL_PART);
                out.extend(progress.done.to_be_bytes());
                out.extend(progress.estimate.to_be_bytes());
                out.extend_from_slice(entries);
            }
            Self::FullEnd { parts, sequence, generation } => {
                out.push(FULL_END);
                out.extend(parts.to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(generation.to_be_bytes());
            }
            Self::Batch { sequence, generation, more, entries } => {
                out.push(BATCH);
                out.push(if *more { MORE } else { 0 });
                out.extend(sequence.to_be_bytes());
                out.extend(generation.to_be_bytes());
                out.extend_from_slice(entries);
            }
            Self::Ack { fulls, applied, durable } => {
                out.push(ACK);
                out.push(if applied.is_some() { APPLIED } else { 0 } | if durable.is_some() { DURABLE } else { 0 });
                out.extend(fulls.to_be_bytes());
                out.extend(applied.unwrap_or(0).to_be_bytes());
                out.extend(durable.unwrap_or(0).to_be_bytes());
            }
            Self::Ping => out.push(PING),
            Self::End(why) => {
                out.push(END);
                out.extend_from_slice(within(why, MAX_REASON_SIZE).as_bytes());
            }
        }
        out
    }

    pub(super) fn decode(message: &'a [u8]) -> Result<Self, SessionError> {
        Self::read(message).ok_or(SessionError::Malformed("a message"))
    }

    fn read(message: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = message.split_first()?;
        let mut rest = Fields(rest);
        let message = match kind {
            FULL_BEGIN => Self::FullBegin,
            FULL_PART => {
                Self::FullPart { progress: Progress { done: rest.u32()?, estimate: rest.u32()? }, entries: rest.all() }
            }
            FULL_END => Self::FullEnd { parts: rest.u32()?, sequence: rest.u64()?, generation: rest.u64()? },
            BATCH => {
                let flags = rest.flags(MORE)?;
                let (sequence, generation) = (rest.u64()?, rest.u64()?);
                Self::Batch { sequence, generation, more: flags & MORE != 0, entries: rest.all() }
            }
            ACK => {
                let flags = rest.flags(APPLIED | DURABLE)?;
                let (fulls, applied, durable) = (rest.u32()?, rest.u64()?, rest.u64()?);
                Self::Ack {
                    fulls,
                    applied: (flags & APPLIED != 0).then_some(applied),
                    durable: (flags & DURABLE != 0).then_some(durable),
                }
            }
            PING => Self::Ping,
            END if rest.0.len() <= MAX_REASON_SIZE => Self::End(std::str::from_utf8(rest.all()).ok()?),
            _ => return None,
        };
        rest.0.is_empty().then_some(message)
    }
}

/// What is left to read of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte in which no other bits are set than these.
    fn flags(&mut self, known: u8) -> Option<u8> {
        let [flags] = self.array()?;
        (flags & !known == 0).then_some(flags)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

/// As much of a text as has room.
fn within(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}
