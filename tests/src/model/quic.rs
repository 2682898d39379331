//! Section 14: the real that a QUIC connection id names.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use lb_common::{
    Event, MAX_QUIC_SERVER_ID, QUIC_CID, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QUIC_PLAIN, QuicKey, QuicValue,
    SERVICE_QUIC, ServiceValue,
};

use super::parse::Packet;
use super::{Branch, State};
use crate::schedule;
use crate::world::quic_server_key;

const UDP_HEADER: usize = 8;
/// Of the first byte: a long header.
const LONG: u8 = 0x80;
/// Where a long header has the connection id's length.
const LENGTH_AT: usize = 5;
/// Bytes of an AES block.
const BLOCK: usize = 16;

/// A row of `quic`, with the key in place of its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuicRow {
    /// How the server id is hidden.
    pub encoding: u8,
    /// Bytes before the server id.
    pub offset: u8,
    /// Bytes of the server id.
    pub server_id_length: u8,
    /// Bytes of the nonce.
    pub nonce_length: u8,
    /// The AES-128 key.
    pub key: [u8; BLOCK],
}

impl QuicRow {
    /// The row as the map has it.
    #[must_use]
    pub fn value(&self) -> QuicValue {
        let Self { encoding, offset, server_id_length, nonce_length, key } = *self;
        let schedule = if encoding == QUIC_ONE_PASS { schedule::decrypting(&key) } else { schedule::encrypting(&key) };
        QuicValue { encoding, offset, server_id_length, nonce_length, schedule }
    }
}

impl State {
    /// The real that a packet's connection id names, where it names one that is alive.
    pub(super) fn quic_real(&mut self, packet: &Packet, service: ServiceValue) -> Option<u16> {
        if service.flags & SERVICE_QUIC == 0 {
            return None;
        }
        let real = self.named_real(packet, service.id);
        self.event(if real.is_some() { Event::QuicRouted } else { Event::QuicUnrouted });
        real
    }

    fn named_real(&mut self, packet: &Packet, service: u32) -> Option<u16> {
        let (cid, length) = self.connection_id(&packet.transport_bytes()[UDP_HEADER..])?;
        let row = self.quic_row(service, cid[0])?;
        let id = self.server_id(&row, &cid, length)?;
        let Some(real) = self.quic_servers.get(&quic_server_key(service, &id)).copied() else {
            self.saw(Branch::QuicServerUnknown);
            return None;
        };
        let real = u16::try_from(real).ok().filter(|real| self.alive(*real));
        self.saw(if real.is_some() { Branch::QuicRouted } else { Branch::QuicServerDead });
        real
    }

    /// Step 1: the bytes that are looked at, and the connection id's length.
    fn connection_id(&mut self, datagram: &[u8]) -> Option<([u8; QUIC_CID], usize)> {
        let is_long = datagram.first().is_some_and(|first| first & LONG != 0);
        let begin = if is_long { LENGTH_AT + 1 } else { 1 };
        let Some(cid) = datagram.get(begin..).and_then(|rest| rest.first_chunk()) else {
            self.saw(if is_long { Branch::QuicLongHeaderCut } else { Branch::QuicShortHeaderCut });
            return None;
        };
        self.saw(if is_long { Branch::QuicLongHeader } else { Branch::QuicShortHeader });
        Some((*cid, if is_long { datagram[LENGTH_AT].into() } else { 255 }))
    }

    /// Step 2.
    fn quic_row(&mut self, service: u32, first: u8) -> Option<QuicRow> {
        let configs = self.options(service).quic;
        let config = if configs & 1 << QUIC_PLAIN != 0 { QUIC_PLAIN } else { u32::from(first >> 5) };
        if configs & 1 << config == 0 {
            self.saw(Branch::QuicConfigUnknown);
            return None;
        }
        let row = self.quic.get(&QuicKey { service, config }).copied();
        self.saw(match (row, config) {
            (None, _) => Branch::QuicRowMissing,
            (_, QUIC_PLAIN) => Branch::QuicPlain,
            _ => Branch::QuicConfigKnown,
        });
        row
    }

    /// Steps 3 and 4.
    fn server_id(&mut self, row: &QuicRow, cid: &[u8; QUIC_CID], length: usize) -> Option<Vec<u8>> {
        let [offset, server_id, nonce] = [row.offset, row.server_id_length, row.nonce_length].map(usize::from);
        let (end, both) = (offset + server_id + nonce, server_id + nonce);
        if end > QUIC_CID || server_id == 0 || server_id > MAX_QUIC_SERVER_ID {
            self.saw(Branch::QuicRowBroken);
            return None;
        }
        if end > length {
            self.saw(Branch::QuicLengthShort);
            return None;
        }
        let (branch, bytes) = match row.encoding {
            QUIC_CLEAR => (Branch::QuicClear, Some(cid[offset..].to_vec())),
            QUIC_ONE_PASS if both == BLOCK => (Branch::QuicOnePass, Some(one_pass(&row.key, cid))),
            QUIC_ONE_PASS => (Branch::QuicOnePassLength, None),
            QUIC_FOUR_PASSES if !(5..=19).contains(&both) => (Branch::QuicFourPassesLength, None),
            QUIC_FOUR_PASSES => {
                let parity = if both % 2 == 0 { Branch::QuicFourPassesEven } else { Branch::QuicFourPassesOdd };
                (parity, Some(four_passes(&row.key, &cid[1..=both])))
            }
            _ => (Branch::QuicEncodingUnknown, None),
        };
        self.saw(branch);
        Some(bytes?[..server_id].to_vec())
    }
}

fn one_pass(key: &[u8; BLOCK], cid: &[u8; QUIC_CID]) -> Vec<u8> {
    let mut block = Block::default();
    block.copy_from_slice(&cid[1..=BLOCK]);
    Aes128::new(&(*key).into()).decrypt_block(&mut block);
    block.to_vec()
}

/// Server id and nonce, from so many bytes as they have.
fn four_passes(key: &[u8; BLOCK], hidden: &[u8]) -> Vec<u8> {
    let n = hidden.len();
    let half = n.div_ceil(2);
    let is_odd = !n.is_multiple_of(2);
    let (mut left, mut right) = (hidden[..half].to_vec(), hidden[n - half..].to_vec());
    let trim = |left: &mut [u8], right: &mut [u8]| {
        if is_odd {
            left[half - 1] &= 0xf0;
            right[0] &= 0x0f;
        }
    };
    trim(&mut left, &mut right);
    for pass in [4, 3, 2, 1] {
        let (changed, from) = if pass % 2 == 0 { (&mut left, &right) } else { (&mut right, &left) };
        let mask = expanded(key, n, pass, from);
        changed.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        trim(&mut left, &mut right);
    }
    if is_odd {
        left[half - 1] |= right[0];
        right.remove(0);
    }
    [left, right].concat()
}

/// E(pass, half).
fn expanded(key: &[u8; BLOCK], n: usize, pass: u8, half: &[u8]) -> Vec<u8> {
    let mut block = Block::default();
    block[..half.len()].copy_from_slice(half);
    (block[14], block[15]) = (n as u8, pass);
    Aes128::new(&(*key).into()).encrypt_block(&mut block);
    block[..half.len()].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] =
        [0x8f, 0x95, 0xf0, 0x92, 0x45, 0x76, 0x5f, 0x80, 0x25, 0x69, 0x34, 0xe5, 0x0c, 0x66, 0x20, 0x7f];
    const OTHER: [u8; 16] =
        [0xfd, 0xf7, 0x26, 0xa9, 0x89, 0x3e, 0xc0, 0x5c, 0x06, 0x32, 0xd3, 0x95, 0x66, 0x80, 0xba, 0xf0];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// The table of the page.
    #[test]
    fn connection_ids_of_the_page() {
        for (key, server_id, nonce, hidden) in [
            (KEY, "ed793a", "ee080dbf", "20b1d07b359d3c"),
            (KEY, "ed793a51d49b8f5fab65", "ee080dbf48", "cc381bc74cb4fbad2823a3d1f8fed2"),
            (KEY, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "5779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
            (OTHER, "31441a", "9c69c275", "67947d29be054a"),
        ] {
            assert_eq!(four_passes(&key, &bytes(hidden)), bytes(&[server_id, nonce].concat()), "{hidden}");
        }
        let mut cid = [0; QUIC_CID];
        cid[..17].copy_from_slice(&bytes("504dd2d05a7b0de9b2b9907afb5ecf8cc3"));
        assert_eq!(one_pass(&KEY, &cid), bytes("ed793a51d49b8f5fee080dbf48c0d1e5"));
    }
}
