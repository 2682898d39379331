//! A log: what changed since a snapshot, a commit after the other. A commit is one record, or several parts that count together.

use std::path::Path;

use lb_core::checkpoint::{
    Entry, Sequence,
    record::{self, Decoded, Header, Kind},
};

use crate::{
    directory::Directory,
    error::{Reason, Refused, StoreError},
    files::Output,
    name::Name,
    reader::Source,
    snapshot::Stamp,
};

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) name: Name,
    output: Box<dyn Output>,
}

impl Log {
    /// Makes an empty log. Its name is on the disk when the directory is.
    pub(crate) fn create(directory: &Directory, name: Name) -> Result<Self, StoreError> {
        Ok(Self { name, output: directory.create(name)? })
    }

    /// Writes a commit and waits until the disk has it. After an error nothing may be added any more: the disk may have any part of it.
    pub(crate) fn append(&mut self, directory: &Directory, commit: &[u8]) -> Result<(), StoreError> {
        let path = directory.path_of(self.name);
        self.output.write_all(commit).map_err(StoreError::disk("write to", &path))?;
        self.output.sync().map_err(StoreError::disk("flush", &path))
    }
}

/// The bytes of a commit.
pub(crate) fn encode(
    directory: &Directory,
    stamp: &Stamp,
    first: Sequence,
    entries: Vec<Entry>,
) -> Result<Vec<u8>, StoreError> {
    let mut header = stamp.header(Kind::Delta, first);
    let mut parts: Vec<Vec<Entry>> = record::parts(entries).collect();
    if parts.is_empty() {
        parts.push(Vec::new());
    }
    header.parts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut commit = Vec::new();
    for entries in parts {
        commit.extend(record::encode(&header, &entries, &directory.options.keys)?);
        header.part += 1;
    }
    Ok(commit)
}

/// What a log continues, and how far it was read.
pub(crate) struct Replay<'a> {
    /// The state after what was read. None where the log is looked at alone: it may begin anywhere.
    pub(crate) stamp: Option<Stamp>,
    /// Whom the file is of by its name.
    pub(crate) name: Option<Name>,
    /// Is given the records of whole commits.
    pub(crate) take: &'a mut dyn FnMut(&Decoded),
}

impl Replay<'_> {
    /// Reads a log up to its end, or to the first commit that is not good. What was read until then counts.
    pub(crate) fn read(&mut self, source: Source<'_>, path: &Path) -> Result<(), Refused> {
        let mut records = source.open(path)?;
        let mut commit = Commit::default();
        while let Some(read) = records.next() {
            let (offset, decoded) =
                read.map_err(|refused| Refused { offset: commit.begins_at(refused.offset), ..refused })?;
            let header = decoded.header;
            self.check(&header, &commit).map_err(|reason| records.refused(commit.begins_at(offset), reason))?;
            commit.add(offset, decoded);
            if commit.parts() == header.parts {
                self.stamp = Some(Stamp::from(&header));
                commit.records.iter().for_each(&mut self.take);
                commit = Commit::default();
            }
        }
        match commit.begins_at {
            None => Ok(()),
            Some(offset) => Err(records.refused(offset, Reason::Incomplete { parts: commit.parts() })),
        }
    }

    fn check(&self, header: &Header, commit: &Commit) -> Result<(), Reason> {
        if header.kind != Kind::Delta {
            return Err(Reason::OtherKind);
        }
        let is_other = |stamp: Stamp| stamp.origin != header.origin;
        if self.name.is_some_and(|name| !name.is_of(&header.origin)) || self.stamp.is_some_and(is_other) {
            return Err(Reason::OtherOrigin);
        }
        let expected = self.stamp.map_or(header.first, |stamp| stamp.sequence.saturating_add(1));
        if header.first != expected {
            return Err(Reason::Gap { expected, found: header.first });
        }
        if !commit.continues_with(header) {
            return Err(Reason::PartMissing { expected: commit.parts(), found: header.part });
        }
        Ok(())
    }
}

/// The records of a commit that were read.
#[derive(Default)]
struct Commit {
    begins_at: Option<u64>,
    records: Vec<Decoded>,
}

impl Commit {
    fn parts(&self) -> u32 {
        self.records.len() as u32
    }

    fn add(&mut self, offset: u64, record: Decoded) {
        self.begins_at.get_or_insert(offset);
        self.records.push(record);
    }

    /// Where the commit of a record begins.
    fn begins_at(&self, record: u64) -> u64 {
        self.begins_at.unwrap_or(record)
    }

    /// The record of this header is the next part, and of the same commit.
    fn continues_with(&self, header: &Header) -> bool {
        let is_same = |part: &Decoded| Header { part: header.part, ..part.header } == *header;
        header.part == self.parts() && self.records.last().is_none_or(is_same)
    }
}
