//! Messages on a stream of bytes: where each ends, and that it is the one that the peer has sent as its n-th of this session.

use super::{MAX_MESSAGE_SIZE, SessionError};
use crate::auth::{Key, SHORT_TAG_SIZE};

/// Bytes before a message: its length.
const LENGTH_SIZE: usize = size_of::<u32>();
/// Said before what a session's id is made of, so that no other tag is one.
const SESSION_LABEL: &[u8] = b"understudy checkpoint session";

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Direction {
    ToFollower = 1,
    ToOwner = 2,
}

/// Appends a message with the tag of `context` and itself.
pub(super) fn put_frame(key: &Key, context: &[&[u8]], message: &[u8], out: &mut Vec<u8>) {
    let tag = key.short_tag(&[context, &[message]].concat());
    // Every caller bounds its message: MAX_MESSAGE_SIZE is far below what a length can tell.
    let length = u32::try_from(message.len() + SHORT_TAG_SIZE).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    out.extend_from_slice(&tag);
}

/// The message of a frame without its length, if its tag is that of `context` and itself.
pub(super) fn open_frame<'a>(key: &Key, context: &[&[u8]], frame: &'a [u8]) -> Option<&'a [u8]> {
    let (message, tag) = frame.split_last_chunk::<SHORT_TAG_SIZE>()?;
    key.verify_short(&[context, &[message]].concat(), tag).then_some(message)
}

/// The message of a frame, its tag not looked at.
pub(super) fn unopened(frame: &[u8]) -> Option<&[u8]> {
    frame.split_last_chunk::<SHORT_TAG_SIZE>().map(|(message, _)| message)
}

/// Both ways of a session after its handshake.
#[derive(Debug)]
pub(super) struct Channel {
    key: Key,
    session: [u8; SHORT_TAG_SIZE],
    out: Direction,
    sent: u64,
    received: u64,
}

impl Channel {
    /// The session that these two messages have begun.
    pub(super) fn new(key: Key, hello: &[u8], welcome: &[u8], out: Direction) -> Self {
        let session = key.short_tag(&[SESSION_LABEL, hello, welcome]);
        Self { key, session, out, sent: 0, received: 0 }
    }

    /// Appends the next message.
    pub(super) fn put(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let counter = self.sent.to_be_bytes();
        put_frame(&self.key, &[&self.session, &[self.out as u8], &counter], message, out);
        self.sent += 1;
    }

    /// The message of the next frame.
    pub(super) fn open<'a>(&mut self, frame: &'a [u8]) -> Result<&'a [u8], SessionError> {
        let counter = self.received.to_be_bytes();
        let direction = match self.out {
            Direction::ToFollower => Direction::ToOwner,
            Direction::ToOwner => Direction::ToFollower,
        };
        let message = open_frame(&self.key, &[&self.session, &[direction as u8], &counter], frame);
        let message = message.ok_or(SessionError::BadTag(self.received))?;
        self.received += 1;
        Ok(message)
    }
}

/// Bytes that have come in, and are not a whole frame yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where the first frame begins that has not been taken.
    at: usize,
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame without its length. A length beyond the limit is refused before its bytes are waited for.
    pub(super) fn take(&mut self, max: usize) -> Result<Option<Vec<u8>>, SessionError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
        let size = u32::from_be_bytes(*length) as usize;
        if size > max {
            return Err(SessionError::TooLong { size, max });
        }
        let Some(frame) = rest.get(..size) else { return Ok(None) };
        self.at += LENGTH_SIZE + size;
        Ok(Some(frame.to_vec()))
    }

    /// Whether a frame has begun that has not ended.
    pub(super) fn is_within_a_frame(&self) -> bool {
        self.at < self.bytes.len()
    }
}

const _: () = assert!(MAX_MESSAGE_SIZE < u32::MAX as usize);
