//! From a QUIC connection id to the server id in it (docs/reference/forwarding.md section 14, steps 3 and 4).
//!
//! Bytes are kept in words, and moved by shifts: BPF reads no stack at a place that it does not know.

use crate::{
    abi::{
        AES_SCHEDULE, MAX_QUIC_SERVER_ID, QUIC_CID, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QuicServerKey,
        QuicValue,
    },
    aes,
};

/// Words of the bytes of a connection id that are looked at.
pub const CID_WORDS: usize = QUIC_CID / size_of::<u32>();
/// Bytes of an AES block: server id and nonce of [`QUIC_ONE_PASS`].
const BLOCK: u32 = 16;
/// Bytes of server id and nonce that [`QUIC_FOUR_PASSES`] can have: the draft's least of both, and what 20 bytes have room for.
const FOUR_PASSES: core::ops::RangeInclusive<u32> = 5..=QUIC_CID as u32 - 1;
/// Bits of a byte.
const BYTE: u32 = u8::BITS;

/// The key in `quic_servers` that a connection id of `service` names, or `None` where it names none.
///
/// `cid` is its first 20 bytes as they are in the packet, in words of the machine's order; `length` is its length as the packet says it.
#[inline(always)]
#[must_use]
pub fn server_key(service: u32, value: &QuicValue, cid: [u32; CID_WORDS], length: u32) -> Option<QuicServerKey> {
    let id_length = u32::from(value.server_id_length);
    let hidden = id_length + u32::from(value.nonce_length);
    let end = u32::from(value.offset) + hidden;
    if id_length == 0 || id_length > MAX_QUIC_SERVER_ID as u32 || end > QUIC_CID as u32 || end > length {
        return None;
    }
    let cid = Cid::new(cid);
    let id = if value.encoding == QUIC_CLEAR {
        cid.from(u32::from(value.offset))
    } else if value.encoding == QUIC_ONE_PASS && hidden == BLOCK {
        Bits::of(aes::decrypt(&value.schedule, cid.from(1).block()))
    } else if value.encoding == QUIC_FOUR_PASSES && FOUR_PASSES.contains(&hidden) {
        four_passes(&value.schedule, &cid, hidden, id_length)
    } else {
        return None;
    };
    Some(key(service, id_length, id.and(Bits::first(id_length * BYTE))))
}

/// Server id and nonce, `length` bytes together, out of the Feistel network (draft-ietf-quic-load-balancers-21 section 5.4.2). The nonce is
/// not always made out: that is of no use.
#[inline(always)]
fn four_passes(schedule: &[u32; AES_SCHEDULE], cid: &Cid, length: u32, id_length: u32) -> Bits {
    let half = length.div_ceil(2);
    // Of an odd length the byte in the middle is in both: its high bits in the left half, its low ones in the right half.
    let shared = (length & 1) * (BYTE / 2);
    let left_bits = half * BYTE - shared;
    // The half that is changed, and the other one, and which bits are theirs.
    let (mut in_this, mut in_other) = (Bits::first(left_bits), Bits::first(half * BYTE).and(Bits::first(shared).not()));
    let (mut this, mut other) = (cid.from(1).and(in_this), cid.from(length - half + 1).and(in_other));
    let last = if id_length * BYTE <= left_bits { 2 } else { 1 };
    let mut pass = 4;
    loop {
        this = this.xor(passed(schedule, other, length, pass).and(in_this));
        if pass == last {
            break;
        }
        (this, other, in_this, in_other) = (other, this, in_other, in_this);
        pass -= 1;
    }
    // Where the right half does not matter, the left one was changed last.
    if last == 2 { this } else { other.or(this.later((length - half) * BYTE)) }
}

/// What a half is xored with: the other one, encrypted.
#[inline(always)]
fn passed(schedule: &[u32; AES_SCHEDULE], half: Bits, length: u32, pass: u32) -> Bits {
    let block = half.or(Bits { high: 0, low: u64::from(length << BYTE | pass) });
    Bits::of(aes::encrypt(schedule, block.block()))
}

/// By words, as the bytes lie there: length, and fifteen bytes of the server id.
#[inline(always)]
fn key(service: u32, length: u32, Bits { high, low }: Bits) -> QuicServerKey {
    let words = [
        length << 24 | (high >> 40) as u32,
        (high >> 8) as u32,
        (high << 24) as u32 | (low >> 40) as u32,
        (low >> 8) as u32,
    ];
    let [a, b, c, d] = words.map(u32::to_be);
    // SAFETY: as many bytes of the same alignment without padding (asserted below), and any bytes are a key.
    unsafe { core::mem::transmute::<[u32; 5], QuicServerKey>([service, a, b, c, d]) }
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(QuicServerKey, service) == 0 && offset_of!(QuicServerKey, length) == 4);
    assert!(offset_of!(QuicServerKey, id) == 5 && size_of::<QuicServerKey>() == 20);
    assert!(size_of::<[u32; CID_WORDS]>() == QUIC_CID && MAX_QUIC_SERVER_ID == 15);
};

/// The bytes of a connection id, and zeros: the first in the first word's highest bits.
struct Cid([u64; 3]);

impl Cid {
    #[inline(always)]
    fn new(words: [u32; CID_WORDS]) -> Self {
        let [a, b, c, d, e] = words.map(|word| u64::from(u32::from_be(word)));
        Self([a << 32 | b, c << 32 | d, e << 32])
    }

    /// Sixteen bytes of it, and of zeros behind it; `from` is below [`QUIC_CID`].
    #[inline(always)]
    fn from(&self, from: u32) -> Bits {
        let [a, b, c] = self.0;
        let (a, b, c) = match from / 8 {
            0 => (a, b, c),
            1 => (b, c, 0),
            _ => (c, 0, 0),
        };
        let bits = from % 8 * BYTE;
        Bits { high: earlier(a, b, bits), low: earlier(b, c, bits) }
    }
}

/// Sixteen bytes: the first in the highest bits.
#[derive(Clone, Copy)]
struct Bits {
    high: u64,
    low: u64,
}

impl Bits {
    /// The first so many bits are set.
    #[inline(always)]
    fn first(bits: u32) -> Self {
        let mask = |bits: u32| if bits >= u64::BITS { u64::MAX } else { !(u64::MAX >> bits) };
        Self { high: mask(bits), low: mask(bits.saturating_sub(u64::BITS)) }
    }

    #[inline(always)]
    fn of([a, b, c, d]: aes::Block) -> Self {
        Self { high: u64::from(a) << 32 | u64::from(b), low: u64::from(c) << 32 | u64::from(d) }
    }

    #[inline(always)]
    fn block(self) -> aes::Block {
        [(self.high >> 32) as u32, self.high as u32, (self.low >> 32) as u32, self.low as u32]
    }

    /// So many zero bits before it, 127 at most; what has no room is lost.
    #[inline(always)]
    fn later(self, bits: u32) -> Self {
        let (high, low) = if bits >= u64::BITS { (0, self.high) } else { (self.high, self.low) };
        let bits = bits % u64::BITS;
        Self { high: high >> bits, low: low >> bits | (high << 1) << (u64::BITS - 1 - bits) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self { high: self.high & other.high, low: self.low & other.low }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self { high: self.high | other.high, low: self.low | other.low }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self { high: self.high ^ other.high, low: self.low ^ other.low }
    }

    #[inline(always)]
    fn not(self) -> Self {
        Self { high: !self.high, low: !self.low }
    }
}

/// A word of which the first bits, 63 at most, have gone, and the next word's come in.
#[inline(always)]
fn earlier(word: u64, next: u64, bits: u32) -> u64 {
    word << bits | (next >> 1) >> (u64::BITS - 1 - bits)
}

#[cfg(test)]
mod tests;
