//! The bytes of a [`Frame`], the same on every path. docs/reference/wire.md is the definition; [`Head`] and [`Body`] are its tables
//! as types. [`table`] has the frames of the scheduling table.

pub mod table;
#[cfg(test)]
pub(super) mod tests;

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Facts, Flags, Frame, Kind, MAX_PATHS, PathId, Role, State};
use crate::auth::{Key, Keys, SHORT_TAG_SIZE};

/// The version of the format: 1 to 15.
pub const VERSION: u8 = 1;
/// Length of an ask and of an ack, in bytes.
pub const FRAME_SIZE: usize = size_of::<Head>() + SHORT_TAG_SIZE;
/// Length of a frame with facts, in bytes.
pub const FACTS_FRAME_SIZE: usize = size_of::<Head>() + size_of::<Body>() + SHORT_TAG_SIZE;
/// No frame of any version is longer, in bytes: so long is a receiver's buffer.
pub const MAX_FRAME_SIZE: usize = 128;

const KIND_ASK: u8 = 1;
const KIND_ACK: u8 = 2;
const KIND_FACTS: u8 = 3;
const KIND_BITS: u8 = 0x0f;

const FROM_STANDBY: u8 = 1 << 7;

const STATES: [State; 6] =
    [State::Starting, State::Standby, State::TakingOver, State::Active, State::Yielding, State::Fenced];

const OFFER: u8 = 1;
const WANT: u8 = 1 << 1;
const FORCE: u8 = 1 << 2;
const HELD: u8 = 1 << 3;
const IN_SYNC: u8 = 1 << 4;
const UNABLE: u8 = 1 << 5;
const ALL_FLAGS: u8 = OFFER | WANT | FORCE | HELD | IN_SYNC | UNABLE;

/// How a frame of every version begins.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Start {
    version_and_kind: u8,
    direction_and_path: u8,
    key: U16,
}

/// What every frame of this version has.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    start: Start,
    boot: U32,
    sequence: U32,
    echo_boot: U32,
    echo: U32,
    epoch: U32,
    state: u8,
    flags: u8,
    fitness: u8,
    held: u8,
    lease: U16,
}

/// The facts, between the head and the tag.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Body {
    program: [u8; 3],
    missed_limit: u8,
    vips: U64,
    services: U64,
    slots: U64,
    interval_us: U32,
}

const _: () = assert!(FRAME_SIZE == 46 && FACTS_FRAME_SIZE == 78 && FACTS_FRAME_SIZE <= MAX_FRAME_SIZE);
const _: () = assert!(MAX_PATHS <= FROM_STANDBY as usize);

/// Why a frame cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// There is no such path.
    #[error("path {0} cannot be: a pair has at most {MAX_PATHS} paths, numbered from 0")]
    Path(PathId),
    /// Boot generation 0, which stands for "nothing heard".
    #[error("boot generations are numbered from 1")]
    Boot,
    /// No key is good for the pair.
    #[error("no key is good for the pair; add a line `ID SECRET` without a real's name to the key file")]
    NoKey,
}

/// Why bytes are not taken for a frame of the peer. What is refused moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// They have not the form of a frame.
    #[error("not a frame, or damaged on the way")]
    Malformed,
    /// They name a key that is not in the key file.
    #[error("names a key that is not in the key file; the key files of the two nodes differ")]
    UnknownKey,
    /// The key is bound to a real.
    #[error("signed with a key that is bound to a real in the key file; such a key is for reports only")]
    WrongKey,
    /// They were not signed with the key that they name.
    #[error("not signed with the key that it names: forged, damaged, or the secrets of that key id differ")]
    BadTag,
    /// An authentic frame of another version of the format: this one.
    #[error(
        "of version {0} of the frames, and this lbd speaks {VERSION}; bring lbd on both nodes to versions that fit"
    )]
    Version(u8),
    /// An authentic frame of this node's own configured role.
    #[error("from a node of this node's own role: sent back by the network, or both nodes have the same `role`")]
    OwnDirection {
        /// The boot generation in it. This node's own: it was sent back. Another: see docs/reference/wire.md.
        boot: u32,
    },
    /// An authentic frame of another path.
    #[error(
        "of path {0}, and came by another; the two nodes list their paths in different order, or cables are swapped"
    )]
    WrongPath(PathId),
}

impl Refusal {
    /// The names that the API, the CLI and the metrics use, in the order in which refusals are looked for.
    pub const NAMES: [&'static str; 7] =
        ["malformed", "unknown_key", "wrong_key", "bad_tag", "version", "own_direction", "wrong_path"];

    /// Its place in [`Refusal::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::UnknownKey => 1,
            Self::WrongKey => 2,
            Self::BadTag => 3,
            Self::Version(_) => 4,
            Self::OwnDirection { .. } => 5,
            Self::WrongPath(_) => 6,
        }
    }

    /// The name of its counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

/// The bytes of a frame that goes by this path, signed with [`signing_key`].
///
/// # Errors
///
/// There is no such path or no such key, or the frame has no boot generation.
pub fn encode(frame: &Frame, path: PathId, keys: &Keys) -> Result<Vec<u8>, EncodeError> {
    if usize::from(path) >= MAX_PATHS {
        return Err(EncodeError::Path(path));
    }
    if frame.boot == 0 {
        return Err(EncodeError::Boot);
    }
    let key = signing_key(keys)?;
    let mut bytes = Vec::with_capacity(FACTS_FRAME_SIZE);
    bytes.extend_from_slice(Head::of(frame, path, key.id()).as_bytes());
    if let Kind::Facts(facts) = &frame.kind {
        bytes.extend_from_slice(Body::of(facts).as_bytes());
    }
    let tag = key.short_tag(&[&bytes]);
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

/// The key that frames are signed with: the first of the key file that is bound to no real.
///
/// # Errors
///
/// [`EncodeError::NoKey`]: with these keys no frame can be sent.
pub fn signing_key(keys: &Keys) -> Result<&Key, EncodeError> {
    keys.signing(None).ok_or(EncodeError::NoKey)
}

/// The peer's frame that these bytes are, where they came in by this path. It may be old: whether it is fresh is not looked at.
///
/// # Errors
///
/// They are no such frame. The form is looked at first, then the tag, and what is told of the sender comes last: so only who has a key
/// can make a node speak of versions, roles or paths.
pub fn decode(bytes: &[u8], path: PathId, my_role: Role, keys: &Keys) -> Result<Frame, Refusal> {
    if bytes.len() > MAX_FRAME_SIZE {
        return Err(Refusal::Malformed);
    }
    let (signed, tag) = bytes.split_last_chunk().ok_or(Refusal::Malformed)?;
    let (start, _) = Start::ref_from_prefix(signed).map_err(|_| Refusal::Malformed)?;
    let parsed = if start.version() == VERSION { Some(parse(signed)?) } else { None };
    authenticate(start.key.get(), signed, tag, keys)?;
    let frame = parsed.ok_or(Refusal::Version(start.version()))?;
    if frame.from == my_role {
        return Err(Refusal::OwnDirection { boot: frame.boot });
    }
    if start.path() != path {
        return Err(Refusal::WrongPath(start.path()));
    }
    Ok(frame)
}

/// Whether the bytes were signed with the key of this id, and that key may speak for the pair.
fn authenticate(key: u16, signed: &[u8], tag: &[u8; SHORT_TAG_SIZE], keys: &Keys) -> Result<(), Refusal> {
    let key = keys.get(key).ok_or(Refusal::UnknownKey)?;
    if key.real().is_some() {
        return Err(Refusal::WrongKey);
    }
    if !key.verify_short(&[signed], tag) {
        return Err(Refusal::BadTag);
    }
    Ok(())
}

/// Reads what stands before the tag of a frame of this version. Each frame has one form only, so nothing can be changed that does not
/// change the frame.
fn parse(signed: &[u8]) -> Result<Frame, Refusal> {
    let (head, rest) = Head::ref_from_prefix(signed).map_err(|_| Refusal::Malformed)?;
    let kind = match (head.start.kind(), rest) {
        (KIND_ASK, []) => Kind::Ask,
        (KIND_ACK, []) => Kind::Ack,
        (KIND_FACTS, body) => Kind::Facts(Body::ref_from_bytes(body).map_err(|_| Refusal::Malformed)?.facts()),
        _ => return Err(Refusal::Malformed),
    };
    head.frame(kind).ok_or(Refusal::Malformed)
}

impl Start {
    fn version(self) -> u8 {
        self.version_and_kind >> 4
    }

    fn kind(self) -> u8 {
        self.version_and_kind & KIND_BITS
    }

    fn path(self) -> PathId {
        self.direction_and_path & !FROM_STANDBY
    }

    fn from(self) -> Role {
        if self.direction_and_path & FROM_STANDBY == 0 { Role::Primary } else { Role::Standby }
    }
}

impl Head {
    fn of(frame: &Frame, path: PathId, key: u16) -> Self {
        let kind = match frame.kind {
            Kind::Ask => KIND_ASK,
            Kind::Ack => KIND_ACK,
            Kind::Facts(_) => KIND_FACTS,
        };
        let direction = match frame.from {
            Role::Primary => 0,
            Role::Standby => FROM_STANDBY,
        };
        Self {
            start: Start {
                version_and_kind: VERSION << 4 | kind,
                direction_and_path: direction | path,
                key: key.into(),
            },
            boot: frame.boot.into(),
            sequence: frame.sequence.into(),
            echo_boot: frame.echo_boot.into(),
            echo: frame.echo.into(),
            epoch: frame.epoch.into(),
            state: number(frame.state),
            flags: bits(frame.flags),
            fitness: frame.fitness,
            held: frame.held,
            lease: frame.lease.into(),
        }
    }

    /// The frame, where all numbers are such that a frame can have them.
    fn frame(&self, kind: Kind) -> Option<Frame> {
        let state = STATES.into_iter().find(|state| number(*state) == self.state)?;
        if usize::from(self.start.path()) >= MAX_PATHS || self.boot.get() == 0 || self.flags & !ALL_FLAGS != 0 {
            return None;
        }
        Some(Frame {
            kind,
            from: self.start.from(),
            boot: self.boot.get(),
            sequence: self.sequence.get(),
            echo_boot: self.echo_boot.get(),
            echo: self.echo.get(),
            held: self.held,
            epoch: self.epoch.get(),
            state,
            flags: flags(self.flags),
            fitness: self.fitness,
            lease: self.lease.get(),
        })
    }
}

impl Body {
    fn of(facts: &Facts) -> Self {
        Self {
            program: facts.program,
            missed_limit: facts.missed_limit,
            vips: facts.vips.into(),
            services: facts.services.into(),
            slots: facts.slots.into(),
            interval_us: facts.interval_us.into(),
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            program: self.program,
            vips: self.vips.get(),
            services: self.services.get(),
            slots: self.slots.get(),
            interval_us: self.interval_us.get(),
            missed_limit: self.missed_limit,
        }
    }
}

/// The number that stands for a state.
fn number(state: State) -> u8 {
    match state {
        State::Starting => 0,
        State::Standby => 1,
        State::TakingOver => 2,
        State::Active => 3,
        State::Yielding => 4,
        State::Fenced => 5,
    }
}

fn bits(flags: Flags) -> u8 {
    let Flags { offer, want, force, held, in_sync, unable } = flags;
    [(offer, OFFER), (want, WANT), (force, FORCE), (held, HELD), (in_sync, IN_SYNC), (unable, UNABLE)]
        .into_iter()
        .filter(|(is, _)| *is)
        .fold(0, |bits, (_, bit)| bits | bit)
}

fn flags(bits: u8) -> Flags {
    let has = |bit| bits & bit != 0;
    Flags {
        offer: has(OFFER),
        want: has(WANT),
        force: has(FORCE),
        held: has(HELD),
        in_sync: has(IN_SYNC),
        unable: has(UNABLE),
    }
}
