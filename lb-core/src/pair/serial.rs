//! Frames on a serial line: a stream of bytes that loses, doubles and mangles some.
//!
//! A frame is stuffed so that it has no zero in it (COBS: Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999), and stands
//! between zeros. So a zero is always the end of one frame, wherever a receiver comes in. docs/reference/wire.md has the rules.

#[cfg(test)]
mod tests;

use super::{Micros, wire::MAX_FRAME_SIZE};

/// Bits on the line for each byte: a start bit, eight data bits and a stop bit.
const BITS_PER_BYTE: u64 = 10;
/// Most bytes between two codes.
const MAX_RUN: usize = 254;
/// The longest frame as it stands between its zeros.
const MAX_STUFFED_SIZE: usize = MAX_FRAME_SIZE + 1;

const _: () = assert!(MAX_FRAME_SIZE < MAX_RUN, "a frame has one code more than bytes");

/// What a frame of so many bytes takes on the line, in bytes: a code and two zeros more. Up to [`MAX_FRAME_SIZE`].
#[must_use]
pub const fn stream_size(frame: usize) -> usize {
    frame + 3
}

/// How long so many bytes take on a line of so many bits a second (0 counts as 1), in microseconds, rounded up.
#[must_use]
pub fn serial_time_us(baud: u32, bytes: usize) -> Micros {
    let bits = (bytes as u64).saturating_mul(BITS_PER_BYTE);
    bits.saturating_mul(1_000_000).div_ceil(u64::from(baud.max(1)))
}

/// A frame as it goes over the line, with a zero before and one after: what was cut off before it cannot swallow it.
#[must_use]
pub fn encode_stream(frame: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(stream_size(frame.len()));
    stream.push(0);
    stuff(frame, &mut stream);
    stream.push(0);
    stream
}

/// Finds frames in what comes over the line. It holds at most one frame.
///
/// What it finds has the length of a frame at most, and may still be anything: [`super::wire::decode`] tells.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    stuffed: Vec<u8>,
    /// More came than a frame may have: nothing counts until the next zero.
    overrun: bool,
    discarded: u64,
}

impl Deframer {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The frames that these bytes end, in their order. Bytes after the last zero are kept for the next time.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes.iter().filter_map(|&byte| self.take(byte)).collect()
    }

    /// How often something stood between two zeros that cannot have been a frame.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte == 0 {
            return self.end();
        }
        if self.stuffed.len() < MAX_STUFFED_SIZE {
            self.stuffed.push(byte);
        } else {
            self.overrun = true;
        }
        None
    }

    /// What has come since the zero before this one, where it is a frame. Nothing is kept of it.
    fn end(&mut self) -> Option<Vec<u8>> {
        if self.stuffed.is_empty() {
            return None;
        }
        let frame = if self.overrun { None } else { unstuff(&self.stuffed) };
        self.stuffed.clear();
        self.overrun = false;
        self.discarded += u64::from(frame.is_none());
        frame
    }
}

/// Appends the bytes in groups: a code, then the bytes up to the next zero, which is left out. The code is the number of bytes in the
/// group with itself; the highest code stands for a full group, which no zero ends.
fn stuff(bytes: &[u8], stuffed: &mut Vec<u8>) {
    let mut groups = bytes.split(|byte| *byte == 0).peekable();
    while let Some(mut group) = groups.next() {
        let is_last = groups.peek().is_none();
        while group.len() >= MAX_RUN {
            let (full, rest) = group.split_at(MAX_RUN);
            append(full, stuffed);
            group = rest;
            if group.is_empty() && is_last {
                return;
            }
        }
        append(group, stuffed);
    }
}

fn append(group: &[u8], stuffed: &mut Vec<u8>) {
    stuffed.push(group.len() as u8 + 1);
    stuffed.extend_from_slice(group);
}

/// Undoes [`stuff`] for bytes without a zero; `None` where a code says more than there is.
fn unstuff(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(stuffed.len());
    let mut rest = stuffed;
    while let Some((&code, tail)) = rest.split_first() {
        let size = usize::from(code).checked_sub(1)?;
        let (group, after) = tail.split_at_checked(size)?;
        bytes.extend_from_slice(group);
        if size < MAX_RUN && !after.is_empty() {
            bytes.push(0);
        }
        rest = after;
    }
    Some(bytes)
}
