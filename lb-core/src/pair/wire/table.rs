//! Frames that carry the scheduling table over a serial line, behind the heartbeats. docs/reference/wire.md is the definition.
//!
//! They have the start and the tag of all frames. A node that does not know their kinds refuses them as malformed, and nothing else
//! comes of that.

#[cfg(test)]
pub(crate) mod tests;

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    EncodeError, FROM_STANDBY, KIND_BITS, MAX_FRAME_SIZE, MAX_PATHS, PathId, Refusal, Role, Start, VERSION,
    authenticate, signing_key,
};
use crate::auth::{Keys, SHORT_TAG_SIZE};
use crate::checkpoint::Sequence;
use crate::pair::Epoch;

const KIND_PART: u8 = 4;
const KIND_WANT: u8 = 5;

const LANE_RINGS: u8 = 1;
const LAST: u8 = 1 << 1;
const ALL_FLAGS: u8 = LANE_RINGS | LAST;
/// The lane in a want, beside the version of the entries.
const WANT_RINGS: u8 = 1 << 7;

/// Length of a want, in bytes.
pub const WANT_SIZE: usize = size_of::<WantBody>() + SHORT_TAG_SIZE;
/// What a part has beside its piece of the message, in bytes.
pub const PART_OVERHEAD: usize = size_of::<PartHead>() + SHORT_TAG_SIZE;
/// Most bytes of a message in one part.
pub const MAX_PART: usize = MAX_FRAME_SIZE - PART_OVERHEAD;

/// Two rows of messages, so that what is short does not wait for what is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Services and reals.
    Names,
    /// Rings and slots.
    Rings,
}

impl Lane {
    /// Both, the more urgent one first.
    pub const ALL: [Self; 2] = [Self::Names, Self::Rings];
}

/// A piece of a message, from the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The boot generation of the node that wants it.
    pub boot: u32,
    /// The session of that node in which it is.
    pub session: u32,
    /// Its lane.
    pub lane: Lane,
    /// Number of the message in its lane, from 1.
    pub message: u16,
    /// Where in the message it begins.
    pub offset: u32,
    /// The message ends with it.
    pub last: bool,
    /// The piece. Empty where there is nothing to tell now.
    pub bytes: Vec<u8>,
}

/// What a follower wants next, and with it an ack of everything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The sender's boot generation.
    pub boot: u32,
    /// Grows with each session of this boot.
    pub session: u32,
    /// Of which lane it speaks.
    pub lane: Lane,
    /// The message whose bytes it wants.
    pub message: u16,
    /// From where on.
    pub offset: u32,
    /// The newest version of the entries' format that it speaks: up to 127.
    pub version: u8,
    /// What it had when the session began: the owner's boot generation and epoch, and the last batch.
    pub has: Option<(u32, Epoch, Sequence)>,
}

/// A frame of the scheduling table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableFrame {
    /// From the owner.
    Part(Part),
    /// From who follows.
    Want(Want),
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PartHead {
    start: Start,
    boot: U32,
    session: U32,
    flags: u8,
    message: U16,
    offset: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WantBody {
    start: Start,
    boot: U32,
    session: U32,
    lane_and_version: u8,
    message: U16,
    offset: U32,
    has_boot: U32,
    has_epoch: U32,
    has_sequence: U64,
}

const _: () = assert!(WANT_SIZE == 51 && PART_OVERHEAD == 35);

/// Whether bytes are to be looked at as a frame of the table, by how they begin.
#[must_use]
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 4 == VERSION && [KIND_PART, KIND_WANT].contains(&(first & KIND_BITS)))
}

/// The bytes of a frame of this role's node that goes by this path, signed as heartbeats are. Of a part no more than [`MAX_PART`] bytes
/// are to be sent: a longer one is refused by who reads it.
///
/// # Errors
///
/// There is no such path or no such key, or the frame has no boot generation.
pub fn encode(frame: &TableFrame, from: Role, path: PathId, keys: &Keys) -> Result<Vec<u8>, EncodeError> {
    if usize::from(path) >= MAX_PATHS {
        return Err(EncodeError::Path(path));
    }
    if frame.boot() == 0 {
        return Err(EncodeError::Boot);
    }
    let key = signing_key(keys)?;
    let direction = if from == Role::Standby { FROM_STANDBY } else { 0 };
    let start = |kind| Start {
        version_and_kind: VERSION << 4 | kind,
        direction_and_path: direction | path,
        key: key.id().into(),
    };
    let mut bytes = Vec::with_capacity(MAX_FRAME_SIZE);
    match frame {
        TableFrame::Part(part) => {
            bytes.extend_from_slice(PartHead::of(part, start(KIND_PART)).as_bytes());
            bytes.extend_from_slice(&part.bytes);
        }
        TableFrame::Want(want) => bytes.extend_from_slice(WantBody::of(want, start(KIND_WANT)).as_bytes()),
    }
    let tag = key.short_tag(&[&bytes]);
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

/// The peer's frame that these bytes are, where they came in by this path. Whether it is of this session is not looked at.
///
/// # Errors
///
/// They are no such frame. It is looked at in the order of [`super::decode`].
pub fn decode(bytes: &[u8], path: PathId, my_role: Role, keys: &Keys) -> Result<TableFrame, Refusal> {
    if bytes.len() > MAX_FRAME_SIZE {
        return Err(Refusal::Malformed);
    }
    let (signed, tag) = bytes.split_last_chunk().ok_or(Refusal::Malformed)?;
    let (start, _) = Start::ref_from_prefix(signed).map_err(|_| Refusal::Malformed)?;
    let frame = parse(signed, *start).ok_or(Refusal::Malformed)?;
    authenticate(start.key.get(), signed, tag, keys)?;
    if start.from() == my_role {
        return Err(Refusal::OwnDirection { boot: frame.boot() });
    }
    if start.path() != path {
        return Err(Refusal::WrongPath(start.path()));
    }
    Ok(frame)
}

/// Reads what stands before the tag. Each frame has one form only.
fn parse(signed: &[u8], start: Start) -> Option<TableFrame> {
    if start.version() != VERSION || usize::from(start.path()) >= MAX_PATHS {
        return None;
    }
    let frame = match start.kind() {
        KIND_PART => {
            let (head, piece) = PartHead::ref_from_prefix(signed).ok()?;
            TableFrame::Part(head.part(piece)?)
        }
        KIND_WANT => TableFrame::Want(WantBody::ref_from_bytes(signed).ok()?.want()?),
        _ => return None,
    };
    (frame.boot() != 0).then_some(frame)
}

impl TableFrame {
    /// Its length as it is sent, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Part(part) => PART_OVERHEAD + part.bytes.len(),
            Self::Want(_) => WANT_SIZE,
        }
    }

    fn boot(&self) -> u32 {
        match self {
            Self::Part(part) => part.boot,
            Self::Want(want) => want.boot,
        }
    }
}

impl PartHead {
    fn of(part: &Part, start: Start) -> Self {
        let lane = if part.lane == Lane::Rings { LANE_RINGS } else { 0 };
        let last = if part.last { LAST } else { 0 };
        Self {
            start,
            boot: part.boot.into(),
            session: part.session.into(),
            flags: lane | last,
            message: part.message.into(),
            offset: part.offset.into(),
        }
    }

    /// The part, where it is one: only nothing at all is said without bytes.
    fn part(&self, piece: &[u8]) -> Option<Part> {
        let (offset, last) = (self.offset.get(), self.flags & LAST != 0);
        let says_something = !piece.is_empty() || (offset == 0 && last);
        if self.flags & !ALL_FLAGS != 0 || self.message.get() == 0 || !says_something {
            return None;
        }
        Some(Part {
            boot: self.boot.get(),
            session: self.session.get(),
            lane: if self.flags & LANE_RINGS != 0 { Lane::Rings } else { Lane::Names },
            message: self.message.get(),
            offset,
            last,
            bytes: piece.to_vec(),
        })
    }
}

impl WantBody {
    fn of(want: &Want, start: Start) -> Self {
        let (has_boot, has_epoch, has_sequence) = want.has.unwrap_or_default();
        let lane = if want.lane == Lane::Rings { WANT_RINGS } else { 0 };
        Self {
            start,
            boot: want.boot.into(),
            session: want.session.into(),
            lane_and_version: lane | (want.version & !WANT_RINGS),
            message: want.message.into(),
            offset: want.offset.into(),
            has_boot: has_boot.into(),
            has_epoch: has_epoch.into(),
            has_sequence: has_sequence.into(),
        }
    }

    /// The want, where it is one: a boot generation of 0 stands for having nothing.
    fn want(&self) -> Option<Want> {
        let has = (self.has_boot.get(), self.has_epoch.get(), self.has_sequence.get());
        if self.message.get() == 0 || (has.0 == 0 && has != (0, 0, 0)) {
            return None;
        }
        Some(Want {
            boot: self.boot.get(),
            session: self.session.get(),
            lane: if self.lane_and_version & WANT_RINGS != 0 { Lane::Rings } else { Lane::Names },
            message: self.message.get(),
            offset: self.offset.get(),
            version: self.lane_and_version & !WANT_RINGS,
            has: (has.0 != 0).then_some(has),
        })
    }
}
