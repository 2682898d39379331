//! What goes over the lines: frames as they are in most scenarios, in the others the bytes that the wire makes of them, with keys that are
//! rotated, newer versions, and bytes that a third host made up.

use fastrand::Rng;

use crate::auth::Keys;
use crate::pair::wire::{VERSION, decode, encode};
use crate::pair::{Frame, PathId, Role};

/// What is on its way.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Plain(Frame),
    Bytes(Vec<u8>),
}

pub(super) struct Codec {
    /// Each node's keys; none where frames go as they are.
    keys: Option<[Keys; 2]>,
    newer: [bool; 2],
}

impl Codec {
    pub(super) fn new(is_encoded: bool) -> Self {
        Self { keys: is_encoded.then(|| [keys(&[1]), keys(&[1])]), newer: [false; 2] }
    }

    /// A node reads its key file again.
    pub(super) fn read_keys(&mut self, role: Role, ids: &[u16]) {
        if let Some(all) = &mut self.keys {
            all[role as usize] = keys(ids);
        }
    }

    /// What this node sends is of a newer version, or is not.
    pub(super) fn skew(&mut self, role: Role, newer: bool) {
        self.newer[role as usize] = newer;
    }

    pub(super) fn is_skewed(&self) -> bool {
        self.newer != [false; 2]
    }

    pub(super) fn encode(&self, frame: Frame, path: PathId, from: Role) -> Packet {
        let Some(keys) = &self.keys else { return Packet::Plain(frame) };
        let mut bytes = encode(&frame, path, &keys[from as usize]).expect("a node makes frames that can be sent");
        if self.newer[from as usize] {
            bytes[0] = (VERSION + 1) << 4 | bytes[0] & 0x0f;
        }
        Packet::Bytes(bytes)
    }

    pub(super) fn decode(&self, packet: &Packet, path: PathId, to: Role) -> Option<Frame> {
        match (packet, &self.keys) {
            (Packet::Plain(frame), _) => Some(*frame),
            (Packet::Bytes(bytes), Some(keys)) => decode(bytes, path, to, &keys[to as usize]).ok(),
            (Packet::Bytes(_), None) => None,
        }
    }
}

impl Packet {
    /// What a third host without a key can make of what it has heard: noise, a changed frame, a frame of another key.
    pub(super) fn forged(&self, rng: &mut Rng) -> Self {
        let Self::Bytes(bytes) = self else { return self.clone() };
        let mut bytes = bytes.clone();
        match rng.u32(0..3) {
            0 => bytes = (0..rng.usize(0..100)).map(|_| rng.u8(..)).collect(),
            1 => {
                let at = rng.usize(0..bytes.len());
                bytes[at] ^= 1 << rng.u32(0..8);
            }
            _ => bytes.truncate(rng.usize(0..bytes.len())),
        }
        Self::Bytes(bytes)
    }
}

fn keys(ids: &[u16]) -> Keys {
    let lines: String =
        ids.iter().map(|id| format!("{id} {:032x}\n", u128::from(*id) * 0x1234_5678_9abc_def1)).collect();
    Keys::parse(&lines).expect("a key file that can be used")
}
