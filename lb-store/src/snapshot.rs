//! A snapshot: all that was known at an instant, in one file of many records.

use std::path::Path;

use lb_core::checkpoint::{
    Entry, Origin, Sequence,
    codec::FORMAT_VERSION,
    image::Image,
    record::{self, Decoded, Header, Kind},
};

use crate::{
    directory::Directory,
    error::{Reason, Refused, StoreError},
    name::Name,
    reader::{Records, Source},
};

/// Which state of whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) origin: Origin,
    pub(crate) sequence: Sequence,
    pub(crate) generation: u64,
    pub(crate) unix_ms: u64,
}

impl Stamp {
    pub(crate) fn header(&self, kind: Kind, first: Sequence) -> Header {
        Header {
            version: FORMAT_VERSION,
            kind,
            part: 0,
            parts: 1,
            origin: self.origin,
            first,
            last: self.sequence,
            generation: self.generation,
            unix_ms: self.unix_ms,
        }
    }
}

impl From<&Header> for Stamp {
    fn from(header: &Header) -> Self {
        let Header { origin, last, generation, unix_ms, .. } = *header;
        Self { origin, sequence: last, generation, unix_ms }
    }
}

/// Writes a snapshot of at most `room` bytes to a new file and waits until the disk has it. Says how large it is, in bytes.
///
/// How many parts there will be is not known while they are written: each says that there is one more, and the last does not.
pub(crate) fn write(
    directory: &Directory,
    name: Name,
    stamp: &Stamp,
    entries: impl Iterator<Item = Entry>,
    room: u64,
) -> Result<u64, StoreError> {
    let path = directory.path_of(name);
    let mut output = directory.create(name)?;
    let mut header = stamp.header(Kind::Full, stamp.sequence);
    let mut size = 0;
    let mut parts = record::parts(entries).peekable();
    loop {
        let entries = parts.next().unwrap_or_default();
        let is_last = parts.peek().is_none();
        header.parts = header.part + if is_last { 1 } else { 2 };
        let record = record::encode(&header, &entries, &directory.options.keys)?;
        size += record.len() as u64;
        if size > room {
            return Err(directory.too_large(size - room));
        }
        output.write_all(&record).map_err(StoreError::disk("write to", &path))?;
        if is_last {
            break;
        }
        header.part += 1;
    }
    output.sync().map_err(StoreError::disk("flush", &path))?;
    Ok(size)
}

/// Reads a snapshot, all of it.
pub(crate) fn read(directory: &Directory, name: Name) -> Result<(Stamp, Image), Refused> {
    let mut image = Image::default();
    let mut take = |decoded: &Decoded| apply(&mut image, decoded);
    let stamp = read_parts(directory.source(), &directory.path_of(name), Some(name), &mut take)?;
    Ok((stamp, image))
}

/// Takes over what a record says.
pub(crate) fn apply(image: &mut Image, decoded: &Decoded) {
    image.at(decoded.header.unix_ms);
    decoded.entries.iter().for_each(|entry| image.apply(entry));
}

/// Gives the records of a snapshot. None of them counts unless all of them are good.
pub(crate) fn read_parts(
    source: Source<'_>,
    path: &Path,
    name: Option<Name>,
    take: &mut dyn FnMut(&Decoded),
) -> Result<Stamp, Refused> {
    let mut records = source.open(path)?;
    let mut stamp: Option<Stamp> = None;
    let mut parts = 0;
    while let Some(read) = records.next() {
        let (offset, decoded) = read?;
        let header = decoded.header;
        check(&header, parts, stamp.as_ref(), name).map_err(|reason| records.refused(offset, reason))?;
        take(&decoded);
        parts += 1;
        stamp = Some(Stamp::from(&header));
        if header.parts == parts {
            return whole(&mut records, Stamp::from(&header));
        }
    }
    Err(records.refused(records.offset(), Reason::Incomplete { parts }))
}

fn check(header: &Header, part: u32, stamp: Option<&Stamp>, name: Option<Name>) -> Result<(), Reason> {
    if header.kind != Kind::Full {
        return Err(Reason::OtherKind);
    }
    if name.is_some_and(|name| !name.is_of(&header.origin)) || stamp.is_some_and(|stamp| *stamp != Stamp::from(header))
    {
        return Err(Reason::OtherOrigin);
    }
    if header.part != part {
        return Err(Reason::PartMissing { expected: part, found: header.part });
    }
    Ok(())
}

/// Sees that nothing follows the last part.
fn whole(records: &mut Records<'_>, stamp: Stamp) -> Result<Stamp, Refused> {
    match records.next() {
        None => Ok(stamp),
        Some(Ok((offset, _))) => Err(records.refused(offset, Reason::OtherKind)),
        Some(Err(refused)) => Err(refused),
    }
}
