//! The bytes of [`Entry`]s: what records on disk, export files and the messages between two nodes are made of.
//! docs/reference/checkpoint.md is the definition.
//!
//! Each entry is a kind, a length and a value, so that a reader skips kinds that it does not know.

mod bytes;
mod flows;
mod ring;
mod table;
#[cfg(test)]
pub(super) mod tests;

use super::Entry;
use bytes::{Reader, put_u32};
use ring::{Earlier, Written};

/// The version of the format that this program writes.
pub const FORMAT_VERSION: u16 = 2;
/// The oldest version that it reads, and writes for an older peer.
pub const OLDEST_VERSION: u16 = 1;
/// The first version with half-open flows and with the load of reals.
const WITH_LOAD: u16 = 2;

/// What decoding allocates is at most so many times its input. The worst are a ring of two reals, which has a bit for each slot of eight
/// bytes, and many entries that say next to nothing.
pub const MAX_EXPANSION: usize = 128;
/// Most flows of one entry's bytes: more are written as several entries.
pub const MAX_FLOWS: usize = 16_384;

/// Bytes before an entry's value: its kind, and the value's length.
const HEAD_SIZE: usize = 1 + size_of::<u32>();

const SERVICE: u8 = 1;
const SERVICE_GONE: u8 = 2;
const REAL: u8 = 3;
const REAL_GONE: u8 = 4;
const RING: u8 = 5;
const SAME_RING: u8 = 6;
const SLOTS: u8 = 7;
const REMEMBERED: u8 = 8;
const FORGOTTEN: u8 = 9;
const HALF_OPEN: u8 = 10;

/// What was found in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// How many more there were, of kinds that this program does not know.
    pub skipped: usize,
}

/// Why bytes are not taken for entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}, of kind {kind}, {flaw}")]
pub struct DecodeError {
    /// Which entry, from 1.
    pub entry: usize,
    /// Its kind, as a number; 0 where not even that is there.
    pub kind: u8,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with the bytes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// They end too early.
    #[error("ends before its last value")]
    Short,
    /// They go on after the last value.
    #[error("goes on after its last value")]
    Long,
    /// A number of variable length.
    #[error("has a number that is too great for its field, or not in its shortest form")]
    Number,
    /// Something is counted that is not there.
    #[error("counts more {0} than its bytes can hold, or than there can be")]
    Count(&'static str),
    /// A name.
    #[error("has a name that is none, or names that do not rise")]
    Name,
    /// A number stands for nothing.
    #[error("has a number for its {0} that stands for none")]
    Unknown(&'static str),
    /// A load.
    #[error("has a load that is no number, or less than nothing")]
    Load,
    /// A slot's index.
    #[error("has a slot beyond the end of its ring")]
    Slot,
    /// A reference.
    #[error("is like the ring of a service that no entry before it has")]
    Reference,
}

/// Appends the bytes of entries, in [`FORMAT_VERSION`]. Where an entry has more than [`MAX_FLOWS`] flows, it is written as several.
///
/// What no scheduling table has, such as a name that is none, is refused by who reads it.
pub fn encode_entries(entries: &[Entry], out: &mut Vec<u8>) {
    encode_entries_as(FORMAT_VERSION, entries, out);
}

/// As [`encode_entries`], for a reader of another version: what that one does not know is left out.
pub fn encode_entries_as(version: u16, entries: &[Entry], out: &mut Vec<u8>) {
    let mut written = Written::default();
    for entry in entries {
        match entry {
            Entry::Service(service) => framed(SERVICE, out, |out| table::put_service(service, out)),
            Entry::ServiceGone(id) => framed(SERVICE_GONE, out, |out| out.extend(id.to_be_bytes())),
            Entry::Real(real) => framed(REAL, out, |out| table::put_real(real, version >= WITH_LOAD, out)),
            Entry::RealGone(id) => framed(REAL_GONE, out, |out| out.extend(id.to_be_bytes())),
            Entry::Ring(ring) => written.put(ring, out),
            Entry::Slots { service, changes } => framed(SLOTS, out, |out| ring::put_changes(*service, changes, out)),
            Entry::Remembered(flows) => put_flows(REMEMBERED, flows, out),
            Entry::Forgotten(keys) => {
                for keys in keys.chunks(MAX_FLOWS) {
                    framed(FORGOTTEN, out, |out| flows::put_keys(keys, out));
                }
            }
            Entry::HalfOpen(flows) if version >= WITH_LOAD => put_flows(HALF_OPEN, flows, out),
            Entry::HalfOpen(_) => {}
        }
    }
}

/// The entries that these bytes of [`FORMAT_VERSION`] are. Those of unknown kinds are left out.
///
/// # Errors
///
/// They are none. Nothing of them is to be used.
pub fn decode_entries(bytes: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    decode_entries_as(FORMAT_VERSION, bytes).map(|found| found.entries)
}

/// As [`decode_entries`], of bytes of another version.
///
/// # Errors
///
/// They are none. Nothing of them is to be used.
pub fn decode_entries_as(version: u16, bytes: &[u8]) -> Result<Entries, DecodeError> {
    let mut found = Entries { entries: Vec::new(), skipped: 0 };
    let mut earlier = Earlier::default();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let entry = found.entries.len() + found.skipped + 1;
        let error = |kind, flaw| DecodeError { entry, kind, flaw };
        let kind = reader.u8().map_err(|flaw| error(0, flaw))?;
        let value = reader.u32().and_then(|length| reader.take(length as usize)).map_err(|flaw| error(kind, flaw))?;
        match decode(version, kind, value, &mut earlier).map_err(|flaw| error(kind, flaw))? {
            Some(entry) => found.entries.push(entry),
            None => found.skipped += 1,
        }
    }
    Ok(found)
}

/// The entry of this kind and value; nothing where the kind is not known.
fn decode(version: u16, kind: u8, value: &[u8], earlier: &mut Earlier) -> Result<Option<Entry>, Flaw> {
    let mut reader = Reader::new(value);
    let entry = match kind {
        SERVICE => Entry::Service(table::service(&mut reader)?),
        SERVICE_GONE => Entry::ServiceGone(reader.u16()?),
        REAL => Entry::Real(table::real(&mut reader, version >= WITH_LOAD)?),
        REAL_GONE => Entry::RealGone(reader.u16()?),
        RING => Entry::Ring(earlier.ring(&mut reader)?),
        SAME_RING => Entry::Ring(earlier.same(&mut reader)?),
        SLOTS => {
            let (service, changes) = ring::changes(&mut reader)?;
            Entry::Slots { service, changes }
        }
        REMEMBERED => Entry::Remembered(flows::flows(&mut reader)?),
        FORGOTTEN => Entry::Forgotten(flows::keys(&mut reader)?),
        HALF_OPEN if version >= WITH_LOAD => Entry::HalfOpen(flows::flows(&mut reader)?),
        _ => return Ok(None),
    };
    if reader.is_empty() { Ok(Some(entry)) } else { Err(Flaw::Long) }
}

fn put_flows(kind: u8, flows: &[super::FlowEntry], out: &mut Vec<u8>) {
    for flows in flows.chunks(MAX_FLOWS) {
        framed(kind, out, |out| flows::put_flows(flows, out));
    }
}

/// Writes an entry's kind and length around the value that `put` writes.
fn framed(kind: u8, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let length_at = out.len();
    put_u32(0, out);
    let value = out.len();
    put(out);
    // No value is longer: flows come in pieces, and all else is bounded by ids of 16 bits.
    let length = out.len().saturating_sub(value) as u32;
    if let Some(field) = out.get_mut(length_at..value) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}
