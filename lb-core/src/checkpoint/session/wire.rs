//! The bytes of the handshake. docs/reference/checkpoint-stream.md is the definition; the types here are its tables.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Has, Me, Nonce, SessionError};
use crate::{
    checkpoint::{Origin, Sequence},
    pair::{Epoch, Role},
};

/// How each of the two begins.
const MAGIC: [u8; 4] = *b"USCP";
pub(super) const HELLO: u8 = 1;
pub(super) const WELCOME: u8 = 2;

const FROM_STANDBY: u8 = 1;
/// Hello: something is held. Welcome: it is gone on with.
const HAS: u8 = 1 << 1;
/// Hello: what is held is of an owner whose role is standby.
const HAS_OF_STANDBY: u8 = 1 << 2;

/// What a follower says first.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct HelloBytes {
    kind: u8,
    magic: [u8; 4],
    flags: u8,
    key: U16,
    oldest: U16,
    newest: U16,
    cluster: U64,
    boot: U32,
    epoch: U32,
    nonce: Nonce,
    held_boot: U32,
    held_epoch: U32,
    held_sequence: U64,
}

/// What the owner answers.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct WelcomeBytes {
    kind: u8,
    magic: [u8; 4],
    flags: u8,
    version: U16,
    cluster: U64,
    boot: U32,
    epoch: U32,
    nonce: Nonce,
    sequence: U64,
}

const _: () = assert!(size_of::<HelloBytes>() == 60 && size_of::<WelcomeBytes>() == 48);

/// A follower's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub key: u16,
    pub me: Me,
    /// The highest epoch of an owner of which it knows.
    pub epoch: Epoch,
    pub nonce: Nonce,
    pub has: Has,
}

/// The owner's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub version: u16,
    /// Whose batches come: the sender's.
    pub origin: Origin,
    pub nonce: Nonce,
    /// Those after this one come, if there is one; else everything does.
    pub resume: Option<Sequence>,
}

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let held = self.has.map(|(origin, sequence)| (origin.boot, origin.epoch, sequence)).unwrap_or_default();
        let bits = [
            (self.me.role == Role::Standby, FROM_STANDBY),
            (self.has.is_some(), HAS),
            (self.has.is_some_and(|(origin, _)| origin.owner == Role::Standby), HAS_OF_STANDBY),
        ];
        let bytes = HelloBytes {
            kind: HELLO,
            magic: MAGIC,
            flags: bits.iter().filter(|(is, _)| *is).fold(0, |flags, (_, bit)| flags | bit),
            key: self.key.into(),
            oldest: (*self.me.versions.start()).into(),
            newest: (*self.me.versions.end()).into(),
            cluster: self.me.cluster.into(),
            boot: self.me.boot.into(),
            epoch: self.epoch.into(),
            nonce: self.nonce,
            held_boot: held.0.into(),
            held_epoch: held.1.into(),
            held_sequence: held.2.into(),
        };
        bytes.as_bytes().to_vec()
    }

    /// Whether the sender may say so is not looked at.
    pub(super) fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let malformed = SessionError::Malformed("the first message");
        let bytes = HelloBytes::ref_from_bytes(message).map_err(|_| malformed.clone())?;
        let known = FROM_STANDBY | HAS | HAS_OF_STANDBY;
        if bytes.kind != HELLO || bytes.magic != MAGIC || bytes.flags & !known != 0 {
            return Err(malformed);
        }
        let cluster = bytes.cluster.get();
        let held = Origin {
            cluster,
            owner: role(bytes.flags & HAS_OF_STANDBY != 0),
            boot: bytes.held_boot.get(),
            epoch: bytes.held_epoch.get(),
        };
        Ok(Self {
            key: bytes.key.get(),
            me: Me {
                cluster,
                role: role(bytes.flags & FROM_STANDBY != 0),
                boot: bytes.boot.get(),
                versions: bytes.oldest.get()..=bytes.newest.get(),
            },
            epoch: bytes.epoch.get(),
            nonce: bytes.nonce,
            has: (bytes.flags & HAS != 0).then_some((held, bytes.held_sequence.get())),
        })
    }
}

impl Welcome {
    pub(super) fn encode(&self) -> Vec<u8> {
        let from = if self.origin.owner == Role::Standby { FROM_STANDBY } else { 0 };
        let bytes = WelcomeBytes {
            kind: WELCOME,
            magic: MAGIC,
            flags: from | if self.resume.is_some() { HAS } else { 0 },
            version: self.version.into(),
            cluster: self.origin.cluster.into(),
            boot: self.origin.boot.into(),
            epoch: self.origin.epoch.into(),
            nonce: self.nonce,
            sequence: self.resume.unwrap_or(0).into(),
        };
        bytes.as_bytes().to_vec()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let malformed = SessionError::Malformed("the answer to the first message");
        let bytes = WelcomeBytes::ref_from_bytes(message).map_err(|_| malformed.clone())?;
        if bytes.kind != WELCOME || bytes.magic != MAGIC || bytes.flags & !(FROM_STANDBY | HAS) != 0 {
            return Err(malformed);
        }
        Ok(Self {
            version: bytes.version.get(),
            origin: Origin {
                cluster: bytes.cluster.get(),
                owner: role(bytes.flags & FROM_STANDBY != 0),
                boot: bytes.boot.get(),
                epoch: bytes.epoch.get(),
            },
            nonce: bytes.nonce,
            resume: (bytes.flags & HAS != 0).then_some(bytes.sequence.get()),
        })
    }
}

fn role(is_standby: bool) -> Role {
    if is_standby { Role::Standby } else { Role::Primary }
}
