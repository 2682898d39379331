//! Weighted Maglev (Eisenbud et al., NSDI 2016, section 3.4) for a ring's first filling.
//!
//! Each real has a permutation of the slots, made from its name, and takes the first free slot of it in its turn. The
//! turns come in proportion to weight, until the real has the slots that [`apportion`](crate::ring::apportion) gives
//! it, so that an edit with the same weights right after the filling moves nothing. Names and weights alone decide:
//! two nodes with the same configuration fill the same ring, whatever ids they use.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use crate::ring::apportion;

const OFFSET_SEED: u64 = 0x6f66_6673_6574_0001;
const SKIP_SEED: u64 = 0x736b_6970_0000_0001;

/// Fills a ring of `slots` slots, which must be a prime: for each slot the index in `reals` (name, weight) of the one
/// that gets it. Empty when all weights are 0, or when there are fewer than two slots.
#[must_use]
pub fn fill(reals: &[(&str, u32)], slots: u32) -> Vec<usize> {
    let mut by_name: Vec<usize> = (0..reals.len()).collect();
    by_name.sort_unstable_by_key(|&i| reals[i].0);
    let weights: Vec<u32> = by_name.iter().map(|&i| reals[i].1).collect();
    let quotas = apportion(&weights, slots);
    if slots < 2 || quotas.iter().all(|&quota| quota == 0) {
        return Vec::new();
    }
    let mut permutations: Vec<Permutation> = by_name.iter().map(|&i| Permutation::of(reals[i].0, slots)).collect();
    let mut turns: BinaryHeap<Reverse<Turn>> = weights
        .iter()
        .zip(0..)
        .filter(|&(_, rank)| quotas[rank] > 0)
        .map(|(&weight, rank)| Reverse(Turn { taken: 0, weight, rank }))
        .collect();
    let mut ring = vec![0; slots as usize];
    let mut taken = Taken::none(slots);
    while let Some(mut first) = turns.peek_mut() {
        let turn = &mut first.0;
        ring[permutations[turn.rank].take_next_free(&mut taken)] = by_name[turn.rank];
        turn.taken += 1;
        if turn.taken == quotas[turn.rank] {
            PeekMut::pop(first);
        }
    }
    ring
}

/// Which slots are taken, a bit each: all of them fit into the CPU's nearest cache, and a filling looks at them ten times as often as there
/// are slots.
struct Taken(Vec<u64>);

impl Taken {
    fn none(slots: u32) -> Self {
        Self(vec![0; slots.div_ceil(u64::BITS) as usize])
    }

    /// Takes a slot; false where it has been taken.
    fn take(&mut self, slot: u32) -> bool {
        let (word, bit) = (&mut self.0[(slot / u64::BITS) as usize], 1 << (slot % u64::BITS));
        let was_free = *word & bit == 0;
        *word |= bit;
        was_free
    }
}

/// A real's preference list: every slot once, since the ring's size is a prime and `skip` below it.
struct Permutation {
    next: u32,
    skip: u32,
    slots: u32,
}

impl Permutation {
    fn of(name: &str, slots: u32) -> Self {
        // Both are less than `slots`.
        let next = (name_hash(name, OFFSET_SEED) % u64::from(slots)) as u32;
        let skip = (name_hash(name, SKIP_SEED) % u64::from(slots - 1) + 1) as u32;
        Self { next, skip, slots }
    }

    /// Takes the first free slot from where the last call stopped. The quotas sum to the slots, so there is one.
    fn take_next_free(&mut self, taken: &mut Taken) -> usize {
        loop {
            let slot = self.next;
            let left = self.slots - slot;
            self.next = if self.skip < left { slot + self.skip } else { self.skip - left };
            if taken.take(slot) {
                return slot as usize;
            }
        }
    }
}

/// The turn in which the real at `rank` (by name) takes its slot number `taken`. It comes at the time
/// (taken + 1/2) / weight, and at equal times by name.
struct Turn {
    taken: u32,
    weight: u32,
    rank: usize,
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let time = |own: &Self, by: &Self| (2 * u64::from(own.taken) + 1) * u64::from(by.weight);
        time(self, other).cmp(&time(other, self)).then(self.rank.cmp(&other.rank))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

/// FNV-1a over the seed and the name, then a finalizer, since FNV alone leaves the last bytes in the low bits.
pub(crate) fn name_hash(name: &str, seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    for multiplier in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(multiplier);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
