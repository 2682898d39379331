//! A record: entries with where they belong, complete in itself, checksummed and signed. Logs, snapshots and export files are made of
//! records. docs/reference/checkpoint.md is the definition; [`Head`] is its table as a type.

mod parts;
#[cfg(test)]
mod tests;

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    Entry, Origin, Sequence,
    codec::{self, DecodeError, Entries, FORMAT_VERSION, OLDEST_VERSION},
};
use crate::{
    auth::{Keys, SHORT_TAG_SIZE},
    pair::Role,
};
pub use parts::{PART_SIZE, Parts, parts};

/// No record is longer, in bytes: room for the greatest entry that a scheduling table can have.
pub const MAX_RECORD_SIZE: usize = 8 << 20;
/// Bytes of a record's head, in every version. So many are enough for [`peek`].
pub const HEAD_SIZE: usize = size_of::<Head>();
/// Bytes of a record without entries.
pub const MIN_RECORD_SIZE: usize = HEAD_SIZE + CHECKSUM_SIZE + SHORT_TAG_SIZE;

const MAGIC: [u8; 4] = *b"UsCP";
const CHECKSUM_SIZE: usize = 4;

const FULL: u8 = 1;
const DELTA: u8 = 2;
const PRIMARY: u8 = 0;
const STANDBY: u8 = 1;

/// What a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A part of everything.
    Full,
    /// A part of what has changed.
    Delta,
}

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the format: [`OLDEST_VERSION`] to [`FORMAT_VERSION`].
    pub version: u16,
    /// What it has.
    pub kind: Kind,
    /// Which of its parts it is, from 0.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// Who tells it.
    pub origin: Origin,
    /// The first batch that is in it. In a full one the same as `last`.
    pub first: Sequence,
    /// The last batch that is in it.
    pub last: Sequence,
    /// The scheduling table's generation after it.
    pub generation: u64,
    /// When it was made, in milliseconds since 1970. Ages in it are of this instant.
    pub unix_ms: u64,
}

/// An authentic record.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Where it belongs.
    pub header: Header,
    /// What it says.
    pub entries: Vec<Entry>,
    /// Its length, in bytes: there the next one begins.
    pub size: usize,
    /// How many entries were left out, since this program does not know their kind.
    pub skipped: usize,
}

/// How every record begins, in every version.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 4],
    version: U16,
    key: U16,
    /// Of the whole record.
    size: U32,
    place: Place,
    /// CRC-32C of what is before it.
    checksum: U32,
}

/// Where a record belongs, in this version.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Place {
    kind: u8,
    owner: u8,
    reserved: U16,
    cluster: U64,
    boot: U32,
    epoch: U32,
    first: U64,
    last: U64,
    generation: U64,
    unix_ms: U64,
    part: U32,
    parts: U32,
}

const _: () = assert!(HEAD_SIZE == 76 && MIN_RECORD_SIZE == 96);

/// Why a record cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No key is good for it.
    #[error("no key is good for checkpoints; add a line `ID SECRET` without a real's name to the key file")]
    NoKey,
    /// There is no such version.
    #[error("checkpoints of version {0} cannot be written, only those of {OLDEST_VERSION} to {FORMAT_VERSION}")]
    Version(u16),
    /// The header contradicts itself.
    #[error("part {part} of {parts}, with batches {first} to {last}, is no record of a checkpoint")]
    Header {
        /// Which part.
        part: u32,
        /// Of how many.
        parts: u32,
        /// The first batch.
        first: Sequence,
        /// The last batch.
        last: Sequence,
    },
    /// The entries are too many.
    #[error("a record of {size} bytes is too long, {MAX_RECORD_SIZE} are the most; divide the entries into parts")]
    TooLong {
        /// How long it would be, in bytes.
        size: usize,
    },
}

/// Why bytes are not taken for a record. Nothing of them is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They end too early.
    #[error("torn: {have} bytes of {want} are there; a write was cut short, and what came before it counts")]
    Torn {
        /// How many bytes there are.
        have: usize,
        /// How many there should be, as far as can be told.
        want: usize,
    },
    /// They do not begin as a record does.
    #[error("not a checkpoint: it does not begin with {:?}; is it the right file?", "UsCP")]
    NoRecord,
    /// A checksum is wrong.
    #[error("damaged: a checksum is wrong; look after the disk, and use another copy")]
    Checksum,
    /// The length is none that a record can have.
    #[error(
        "says that it is {0} bytes long, and records have {MIN_RECORD_SIZE} to {MAX_RECORD_SIZE}; use another copy"
    )]
    Length(usize),
    /// They name a key that is not in the key file.
    #[error("signed with key {0}, which is not in the key file; add that key while its checkpoints are to be read")]
    UnknownKey(u16),
    /// The key is bound to a real.
    #[error("signed with key {0}, which is bound to a real in the key file; such a key is for reports only")]
    WrongKey(u16),
    /// They were not signed with the key that they name.
    #[error("forged: not signed with key {0}, which it names, or the secrets of that id differ; compare the key files")]
    Forged(u16),
    /// An authentic record of another version.
    #[error("of version {0}, and this program reads {OLDEST_VERSION} to {FORMAT_VERSION}; use a program that fits")]
    Version(u16),
    /// An authentic record of another cluster.
    #[error(
        "of cluster {found:016x}, and this one is {own:016x}; compare `cluster` in [checkpoint], or use another file"
    )]
    Foreign {
        /// Its cluster.
        found: u64,
        /// The one that was asked for.
        own: u64,
    },
    /// An authentic record whose head says what cannot be.
    #[error(
        "its head contradicts itself, although it is authentic; report it as a defect of the program that wrote it"
    )]
    Header,
    /// An authentic record with entries that are none.
    #[error("{0}, although the record is authentic; report it as a defect of the program that wrote it")]
    Entries(DecodeError),
}

/// The bytes of a record, signed with the first key that is bound to no real. The header says in which version.
///
/// # Errors
///
/// There is no such key or version, the header contradicts itself, or the record would be longer than [`MAX_RECORD_SIZE`].
pub fn encode(header: &Header, entries: &[Entry], keys: &Keys) -> Result<Vec<u8>, EncodeError> {
    header.check()?;
    let key = keys.signing(None).ok_or(EncodeError::NoKey)?;
    let mut bytes = vec![0; HEAD_SIZE];
    codec::encode_entries_as(header.version, entries, &mut bytes);
    let size = bytes.len() + CHECKSUM_SIZE + SHORT_TAG_SIZE;
    let length = u32::try_from(size).ok().filter(|_| size <= MAX_RECORD_SIZE).ok_or(EncodeError::TooLong { size })?;
    if let Some(head) = bytes.first_chunk_mut::<HEAD_SIZE>() {
        head.copy_from_slice(Head::of(header, key.id(), length).as_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes.extend(key.short_tag(&[&bytes]));
    Ok(bytes)
}

/// The record of this cluster that the bytes begin with. There may be more behind it.
///
/// # Errors
///
/// There is none. What is damaged is told first, then what is not authentic; what is told of an authentic record comes last.
pub fn decode(bytes: &[u8], keys: &Keys, cluster: u64) -> Result<Decoded, Refusal> {
    let (head, body) = authentic(bytes, keys)?;
    let version = head.version.get();
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
        return Err(Refusal::Version(version));
    }
    let header = head.header()?;
    if header.origin.cluster != cluster {
        return Err(Refusal::Foreign { found: header.origin.cluster, own: cluster });
    }
    let Entries { entries, skipped } = codec::decode_entries_as(version, body).map_err(Refusal::Entries)?;
    Ok(Decoded { header, entries, size: head.size.get() as usize, skipped })
}

/// What the record that the bytes begin with says of itself, and how long it is, in bytes. [`HEAD_SIZE`] bytes are enough. **Anybody can
/// have written it**: nothing is authenticated.
///
/// # Errors
///
/// There is no head that can be read.
pub fn peek(bytes: &[u8]) -> Result<(Header, usize), Refusal> {
    let head = whole_head(bytes)?;
    let version = head.version.get();
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
        return Err(Refusal::Version(version));
    }
    Ok((head.header()?, head.size.get() as usize))
}

/// Head and entries' bytes of the record of whatever version that the bytes begin with.
fn authentic<'a>(bytes: &'a [u8], keys: &Keys) -> Result<(&'a Head, &'a [u8]), Refusal> {
    let head = whole_head(bytes)?;
    let want = head.size.get() as usize;
    let record = bytes.get(..want).ok_or(Refusal::Torn { have: bytes.len(), want })?;
    let too_short = Refusal::Length(want);
    let (signed, tag) = record.split_last_chunk().ok_or(too_short)?;
    let (summed, checksum) = signed.split_last_chunk().ok_or(too_short)?;
    if crc32c::crc32c(summed) != u32::from_be_bytes(*checksum) {
        return Err(Refusal::Checksum);
    }
    let id = head.key.get();
    let key = keys.get(id).ok_or(Refusal::UnknownKey(id))?;
    if key.real().is_some() {
        return Err(Refusal::WrongKey(id));
    }
    if !key.verify_short(&[signed], tag) {
        return Err(Refusal::Forged(id));
    }
    Ok((head, summed.get(HEAD_SIZE..).unwrap_or_default()))
}

/// The head of a record of whatever version, undamaged.
fn whole_head(bytes: &[u8]) -> Result<&Head, Refusal> {
    if !bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) {
        return Err(Refusal::NoRecord);
    }
    let torn = Refusal::Torn { have: bytes.len(), want: MIN_RECORD_SIZE };
    let (head, _) = Head::ref_from_prefix(bytes).map_err(|_| torn)?;
    if head.checksum_of_rest() != head.checksum.get() {
        return Err(Refusal::Checksum);
    }
    let size = head.size.get() as usize;
    if (MIN_RECORD_SIZE..=MAX_RECORD_SIZE).contains(&size) { Ok(head) } else { Err(Refusal::Length(size)) }
}

impl Header {
    fn check(&self) -> Result<(), EncodeError> {
        let &Self { version, part, parts, first, last, .. } = self;
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return Err(EncodeError::Version(version));
        }
        if self.is_sound() { Ok(()) } else { Err(EncodeError::Header { part, parts, first, last }) }
    }

    fn is_sound(&self) -> bool {
        let has_order = match self.kind {
            Kind::Full => self.first == self.last,
            Kind::Delta => self.first <= self.last,
        };
        self.part < self.parts && has_order
    }
}

impl Head {
    fn of(header: &Header, key: u16, size: u32) -> Self {
        let mut head = Self {
            magic: MAGIC,
            version: header.version.into(),
            key: key.into(),
            size: size.into(),
            place: Place::of(header),
            checksum: 0.into(),
        };
        head.checksum = head.checksum_of_rest().into();
        head
    }

    fn checksum_of_rest(&self) -> u32 {
        let rest = self.as_bytes().split_last_chunk::<CHECKSUM_SIZE>().map(|(rest, _)| rest);
        crc32c::crc32c(rest.unwrap_or_default())
    }

    fn header(&self) -> Result<Header, Refusal> {
        self.place.header(self.version.get()).filter(Header::is_sound).ok_or(Refusal::Header)
    }
}

impl Place {
    fn of(header: &Header) -> Self {
        let &Header { version: _, kind, part, parts, origin, first, last, generation, unix_ms } = header;
        Self {
            kind: match kind {
                Kind::Full => FULL,
                Kind::Delta => DELTA,
            },
            owner: match origin.owner {
                Role::Primary => PRIMARY,
                Role::Standby => STANDBY,
            },
            reserved: 0.into(),
            cluster: origin.cluster.into(),
            boot: origin.boot.into(),
            epoch: origin.epoch.into(),
            first: first.into(),
            last: last.into(),
            generation: generation.into(),
            unix_ms: unix_ms.into(),
            part: part.into(),
            parts: parts.into(),
        }
    }

    /// The header, where all numbers stand for something.
    fn header(&self, version: u16) -> Option<Header> {
        let kind = match self.kind {
            FULL => Kind::Full,
            DELTA => Kind::Delta,
            _ => return None,
        };
        let owner = match self.owner {
            PRIMARY => Role::Primary,
            STANDBY => Role::Standby,
            _ => return None,
        };
        if self.reserved.get() != 0 {
            return None;
        }
        let origin = Origin { cluster: self.cluster.get(), owner, boot: self.boot.get(), epoch: self.epoch.get() };
        Some(Header {
            version,
            kind,
            part: self.part.get(),
            parts: self.parts.get(),
            origin,
            first: self.first.get(),
            last: self.last.get(),
            generation: self.generation.get(),
            unix_ms: self.unix_ms.get(),
        })
    }
}
