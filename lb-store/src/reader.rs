//! Reads the records of a file one after the other, with little more than one of them in memory.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use lb_core::{
    auth::Keys,
    checkpoint::record::{self, Decoded, HEAD_SIZE},
};

use crate::{
    error::{Reason, Refused},
    files::Files,
};

/// How much is read at a time, in bytes.
const CHUNK_SIZE: usize = 1 << 20;

/// Where records are read from, and which are taken.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) keys: &'a Keys,
    pub(crate) cluster: u64,
    /// Most bytes of a file: more are not read.
    pub(crate) max_size: u64,
}

impl<'a> Source<'a> {
    /// The records of a file.
    pub(crate) fn open(&self, path: &Path) -> Result<Records<'a>, Refused> {
        let file = self.files.open(path).map_err(|error| Refused {
            path: path.to_owned(),
            offset: 0,
            reason: Reason::Unreadable(error.to_string()),
        })?;
        let path = path.to_owned();
        Ok(Records {
            path,
            file,
            source: *self,
            buffer: Vec::new(),
            decoded: 0,
            offset: 0,
            left: self.max_size,
            is_over: false,
        })
    }
}

/// The records of a file, up to the first that is refused.
pub(crate) struct Records<'a> {
    path: PathBuf,
    file: Box<dyn Read + Send>,
    source: Source<'a>,
    /// What was read of the file from `offset` on.
    buffer: Vec<u8>,
    /// How much of the buffer has been decoded.
    decoded: usize,
    /// Where in the file the buffer begins.
    offset: u64,
    /// Bytes that may still be read.
    left: u64,
    is_over: bool,
}

impl Records<'_> {
    /// Where the next record begins, or would.
    pub(crate) fn offset(&self) -> u64 {
        self.offset + self.decoded as u64
    }

    /// Refuses what begins at an offset.
    pub(crate) fn refused(&self, offset: u64, reason: impl Into<Reason>) -> Refused {
        Refused { path: self.path.clone(), offset, reason: reason.into() }
    }

    fn decode(&mut self) -> Result<Option<Decoded>, Reason> {
        self.fill().map_err(|error| Reason::Unreadable(error.to_string()))?;
        if self.rest().is_empty() {
            return Ok(None);
        }
        let decoded = record::decode(self.rest(), self.source.keys, self.source.cluster)?;
        self.decoded += decoded.size;
        Ok(Some(decoded))
    }

    /// Sees that a whole record is in the buffer, or all that is left of the file. How long a record is says its head, which has a checksum.
    fn fill(&mut self) -> io::Result<()> {
        self.fill_to(HEAD_SIZE)?;
        match record::peek(self.rest()) {
            Ok((_, size)) => self.fill_to(size),
            Err(_) => Ok(()),
        }
    }

    fn fill_to(&mut self, size: usize) -> io::Result<()> {
        if self.rest().len() >= size || self.left == 0 {
            return Ok(());
        }
        self.buffer.drain(..self.decoded);
        self.offset += self.decoded as u64;
        self.decoded = 0;
        let wanted = size.max(CHUNK_SIZE).saturating_sub(self.buffer.len()) as u64;
        let wanted = wanted.min(self.left);
        let read = self.file.by_ref().take(wanted).read_to_end(&mut self.buffer)? as u64;
        self.left = if read < wanted { 0 } else { self.left - read };
        Ok(())
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.decoded..).unwrap_or_default()
    }
}

impl Iterator for Records<'_> {
    /// Where the record begins, and what is in it.
    type Item = Result<(u64, Decoded), Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let offset = self.offset();
        let decoded = self.decode();
        self.is_over = !matches!(decoded, Ok(Some(_)));
        match decoded {
            Ok(decoded) => decoded.map(|decoded| Ok((offset, decoded))),
            Err(reason) => Some(Err(self.refused(offset, reason))),
        }
    }
}
