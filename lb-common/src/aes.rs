//! AES-128 (FIPS 197), one block at a time: for the connection ids of QUIC services, and nothing else.
//!
//! By tables, since BPF has no instructions for it: one word a byte and direction, rotated for the other rows of a column. So how long a block takes depends
//! on which lines of the tables are in the CPU's cache, and who shares the CPU and measures it can learn about the key (Bernstein, "Cache-timing
//! attacks on AES", 2005). Here the key hides from those who watch connection ids which of them lead to the same real; it protects no data and
//! proves nothing. Who runs programs on a load balancer, or measures what a block adds to a packet's way of microseconds, can learn that more easily
//! otherwise. Do not use this where a key protects more.

use crate::abi::AES_SCHEDULE;

/// Rounds of AES-128 (FIPS 197 section 5).
const ROUNDS: usize = 10;
/// Words of a block, and of a round's key.
const WORDS: usize = 4;

/// The S-box (FIPS 197 section 5.1.1).
static SBOX: [u8; 256] = sbox();
/// Its inverse (section 5.3.2).
static INVERSE_SBOX: [u8; 256] = inverse_sbox();
/// What a byte of a column's first row adds to the column in a round: SubBytes and MixColumns.
static ROUND: [u32; 256] = columns(&sbox(), [2, 1, 1, 3]);
/// The same in a round of the inverse cipher.
static INVERSE_ROUND: [u32; 256] = columns(&inverse_sbox(), [14, 9, 13, 11]);

/// A block: sixteen bytes, each word's first one in its highest bits.
pub type Block = [u32; WORDS];

/// The key schedule for [`encrypt`] (FIPS 197 section 5.2).
#[must_use]
pub fn encryption_schedule(key: &[u8; 16]) -> [u32; AES_SCHEDULE] {
    let mut schedule = [0; AES_SCHEDULE];
    for (word, bytes) in schedule.iter_mut().zip(key.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    let mut round_constant = 1;
    for at in WORDS..AES_SCHEDULE {
        let mut word = schedule[at - 1];
        if at % WORDS == 0 {
            word = substituted(word.rotate_left(8)) ^ u32::from(round_constant) << 24;
            round_constant = doubled(round_constant);
        }
        schedule[at] = schedule[at - WORDS] ^ word;
    }
    schedule
}

/// The key schedule for [`decrypt`]: that of the equivalent inverse cipher (FIPS 197 section 5.3.5), in the order in which it is used.
#[must_use]
pub fn decryption_schedule(key: &[u8; 16]) -> [u32; AES_SCHEDULE] {
    let forward = encryption_schedule(key);
    let mut schedule = [0; AES_SCHEDULE];
    for (at, word) in schedule.iter_mut().enumerate() {
        let (round, column) = (at / WORDS, at % WORDS);
        let word_there = forward[(ROUNDS - round) * WORDS + column];
        *word = if round == 0 || round == ROUNDS { word_there } else { unmixed(word_there) };
    }
    schedule
}

/// One block encrypted, with a schedule of [`encryption_schedule`].
#[inline(always)]
#[must_use]
pub fn encrypt(schedule: &[u32; AES_SCHEDULE], block: Block) -> Block {
    let [mut a, mut b, mut c, mut d] = with_key(schedule, 0, block);
    for round in 1..ROUNDS {
        let mixed = [
            column(&ROUND, [a, b, c, d]),
            column(&ROUND, [b, c, d, a]),
            column(&ROUND, [c, d, a, b]),
            column(&ROUND, [d, a, b, c]),
        ];
        [a, b, c, d] = with_key(schedule, round, mixed);
    }
    let last = [last([a, b, c, d]), last([b, c, d, a]), last([c, d, a, b]), last([d, a, b, c])];
    with_key(schedule, ROUNDS, last)
}

/// One block decrypted, with a schedule of [`decryption_schedule`].
#[inline(always)]
#[must_use]
pub fn decrypt(schedule: &[u32; AES_SCHEDULE], block: Block) -> Block {
    let [mut a, mut b, mut c, mut d] = with_key(schedule, 0, block);
    for round in 1..ROUNDS {
        let mixed = [
            column(&INVERSE_ROUND, [a, d, c, b]),
            column(&INVERSE_ROUND, [b, a, d, c]),
            column(&INVERSE_ROUND, [c, b, a, d]),
            column(&INVERSE_ROUND, [d, c, b, a]),
        ];
        [a, b, c, d] = with_key(schedule, round, mixed);
    }
    let last = [
        inverse_last([a, d, c, b]),
        inverse_last([b, a, d, c]),
        inverse_last([c, b, a, d]),
        inverse_last([d, c, b, a]),
    ];
    with_key(schedule, ROUNDS, last)
}

/// AddRoundKey (FIPS 197 section 5.1.4).
#[inline(always)]
fn with_key(schedule: &[u32; AES_SCHEDULE], round: usize, [a, b, c, d]: Block) -> Block {
    // SAFETY: a word of the schedule. Volatile: LLVM would else read the first and the last round's words before a loop around a block, and
    // keep them on BPF's stack, which has no room for them.
    let word = |at: usize| unsafe { (&raw const schedule[round * WORDS + at]).read_volatile() };
    [a ^ word(0), b ^ word(1), c ^ word(2), d ^ word(3)]
}

/// A column after a round, before its key: its rows come from the columns of these words.
#[inline(always)]
fn column(table: &[u32; 256], [first, second, third, fourth]: Block) -> u32 {
    let row = |word: u32, shift: u32| table[usize::from((word >> shift) as u8)];
    row(first, 24) ^ row(second, 16).rotate_right(8) ^ row(third, 8).rotate_right(16) ^ row(fourth, 0).rotate_right(24)
}

/// A column after the last round, which mixes no columns: the table's second byte is the S-box's.
#[inline(always)]
fn last([first, second, third, fourth]: Block) -> u32 {
    let row = |word: u32, shift: u32| ROUND[usize::from((word >> shift) as u8)] >> 8 & 0xff;
    row(first, 24) << 24 | row(second, 16) << 16 | row(third, 8) << 8 | row(fourth, 0)
}

/// The same of the inverse cipher.
#[inline(always)]
fn inverse_last([first, second, third, fourth]: Block) -> u32 {
    let row = |word: u32, shift: u32| u32::from(INVERSE_SBOX[usize::from((word >> shift) as u8)]);
    row(first, 24) << 24 | row(second, 16) << 16 | row(third, 8) << 8 | row(fourth, 0)
}

/// SubWord (FIPS 197 section 5.2).
fn substituted(word: u32) -> u32 {
    u32::from_be_bytes(word.to_be_bytes().map(|byte| SBOX[usize::from(byte)]))
}

/// InvMixColumns of a column: the table's, of bytes that its S-box undoes.
fn unmixed(word: u32) -> u32 {
    let word = substituted(word);
    column(&INVERSE_ROUND, [word; WORDS])
}

/// The S-box: the inverse in the field of 256 elements, and an affine map.
const fn sbox() -> [u8; 256] {
    let mut table = [0; 256];
    // 3 generates the field; 0xf6 is its inverse.
    let (mut power, mut inverse) = (1_u8, 1_u8);
    let mut at = 0;
    while at < 255 {
        let affine = inverse
            ^ inverse.rotate_left(1)
            ^ inverse.rotate_left(2)
            ^ inverse.rotate_left(3)
            ^ inverse.rotate_left(4)
            ^ 0x63;
        table[power as usize] = affine;
        power = product(power, 3);
        inverse = product(inverse, 0xf6);
        at += 1;
    }
    table[0] = 0x63;
    table
}

const fn inverse_sbox() -> [u8; 256] {
    let table = sbox();
    let mut inverse = [0; 256];
    let mut at = 0;
    while at < 256 {
        inverse[table[at] as usize] = at as u8;
        at += 1;
    }
    inverse
}

/// The columns that each byte becomes: its substitute times each factor.
const fn columns(substitutes: &[u8; 256], factors: [u8; 4]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = substitutes[at];
        let [a, b, c, d] = factors;
        table[at] = u32::from_be_bytes([product(byte, a), product(byte, b), product(byte, c), product(byte, d)]);
        at += 1;
    }
    table
}

/// The product in the field (FIPS 197 section 4.2).
const fn product(mut one: u8, mut other: u8) -> u8 {
    let mut product = 0;
    while other != 0 {
        if other & 1 != 0 {
            product ^= one;
        }
        one = doubled(one);
        other >>= 1;
    }
    product
}

const fn doubled(byte: u8) -> u8 {
    byte << 1 ^ if byte & 0x80 != 0 { 0x1b } else { 0 }
}

#[cfg(test)]
mod tests;
