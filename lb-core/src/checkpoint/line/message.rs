//! A message: some entries, and whose they are.

use crate::{
    checkpoint::{
        Entry,
        codec::{Entries, FORMAT_VERSION, OLDEST_VERSION, decode_entries_as},
    },
    pair::Epoch,
};

/// Most bytes of a message: who follows keeps no more of one.
pub const MAX_MESSAGE_SIZE: usize = 128 << 10;
/// Bytes before the entries.
pub(super) const HEAD_SIZE: usize = 18;

const ALL: u8 = 1;

/// What the owner tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// It begins to tell everything anew: names from before count no more.
    pub all: bool,
    /// The generation of the owner's start.
    pub boot: u32,
    /// The epoch in which it owns the VIPs.
    pub epoch: Epoch,
    /// The scheduling table's generation, as far as it is told.
    pub generation: u64,
    /// What there is to know.
    pub entries: Vec<Entry>,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// It ends within its head, or has a flag that means nothing.
    #[error("it is no message")]
    Head,
    /// Its entries are of a version that this program does not speak.
    #[error("its entries are of version {0}, which this lbd does not speak")]
    Version(u8),
    /// Its entries are none.
    #[error(transparent)]
    Entries(#[from] crate::checkpoint::codec::DecodeError),
    /// It tells of flows, which this line does not carry.
    #[error("it tells of flows")]
    Flows,
}

impl Message {
    /// The message of these bytes.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoMessage> {
        let (head, entries) = bytes.split_first_chunk::<HEAD_SIZE>().ok_or(NoMessage::Head)?;
        let [flags, version, b0, b1, b2, b3, e0, e1, e2, e3, generation @ ..] = *head;
        if flags & !ALL != 0 {
            return Err(NoMessage::Head);
        }
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&u16::from(version)) {
            return Err(NoMessage::Version(version));
        }
        let Entries { entries, .. } = decode_entries_as(u16::from(version), entries)?;
        if entries.iter().any(is_about_flows) {
            return Err(NoMessage::Flows);
        }
        Ok(Self {
            all: flags & ALL != 0,
            boot: u32::from_be_bytes([b0, b1, b2, b3]),
            epoch: u32::from_be_bytes([e0, e1, e2, e3]),
            generation: u64::from_be_bytes(generation),
            entries,
        })
    }
}

/// The beginning of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) all: bool,
    pub(super) version: u8,
    pub(super) boot: u32,
    pub(super) epoch: Epoch,
    pub(super) generation: u64,
}

impl Head {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.push(if self.all { ALL } else { 0 });
        out.push(self.version);
        out.extend_from_slice(&self.boot.to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
    }
}

pub(super) fn is_about_flows(entry: &Entry) -> bool {
    matches!(entry, Entry::Remembered(_) | Entry::Forgotten(_) | Entry::HalfOpen(_))
}
