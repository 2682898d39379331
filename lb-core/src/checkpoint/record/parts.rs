//! Entries divided into pieces that are records of a bounded size.

use std::{collections::VecDeque, iter::Fuse};

use lb_common::{FAMILY_V4, FlowKey};

use crate::checkpoint::{Entry, codec::MAX_FLOWS};

/// A part has about so many bytes at most, but where a single entry has more.
pub const PART_SIZE: usize = 1 << 20;

/// Most slots of a part's entry.
const MAX_SLOTS: usize = 16_384;
/// What most entries take, about, in bytes.
const SMALL: usize = 64;

/// Entries in parts. See [`parts`].
pub struct Parts<I: Iterator<Item = Entry>> {
    entries: Fuse<I>,
    pieces: VecDeque<Entry>,
}

/// Divides entries into parts, each of which is a record's worth: about [`PART_SIZE`]. The order stays. An entry with many flows or slots is divided, too.
pub fn parts<I: IntoIterator<Item = Entry>>(entries: I) -> Parts<I::IntoIter> {
    Parts { entries: entries.into_iter().fuse(), pieces: VecDeque::new() }
}

impl<I: Iterator<Item = Entry>> Iterator for Parts<I> {
    type Item = Vec<Entry>;

    fn next(&mut self) -> Option<Vec<Entry>> {
        let mut part = Vec::new();
        let mut size = 0;
        while let Some(piece) = self.pieces.pop_front().or_else(|| self.next_piece()) {
            size += size_of_entry(&piece);
            if size > PART_SIZE && !part.is_empty() {
                self.pieces.push_front(piece);
                break;
            }
            part.push(piece);
        }
        (!part.is_empty()).then_some(part)
    }
}

impl<I: Iterator<Item = Entry>> Parts<I> {
    /// The first piece of the next entry that has any. The others are kept.
    fn next_piece(&mut self) -> Option<Entry> {
        loop {
            self.pieces.extend(divided(self.entries.next()?));
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
        }
    }
}

fn divided(entry: Entry) -> Vec<Entry> {
    match entry {
        Entry::Slots { service, changes } => in_pieces(changes, MAX_SLOTS, |changes| Entry::Slots { service, changes }),
        Entry::Remembered(flows) => in_pieces(flows, MAX_FLOWS, Entry::Remembered),
        Entry::Forgotten(keys) => in_pieces(keys, MAX_FLOWS, Entry::Forgotten),
        Entry::HalfOpen(flows) => in_pieces(flows, MAX_FLOWS, Entry::HalfOpen),
        other => vec![other],
    }
}

fn in_pieces<T: Clone>(all: Vec<T>, size: usize, entry: impl Fn(Vec<T>) -> Entry) -> Vec<Entry> {
    if all.len() <= size {
        return vec![entry(all)];
    }
    all.chunks(size).map(|piece| entry(piece.to_vec())).collect()
}

/// About how many bytes an entry takes. Flows with many fronts take more, rings that are like others less.
fn size_of_entry(entry: &Entry) -> usize {
    let names = |names: usize| SMALL + names * SMALL;
    match entry {
        Entry::Service(service) => names(service.plan.without.len()),
        Entry::Real(real) => names(real.learned.down.len()),
        Entry::ServiceGone(_) | Entry::RealGone(_) => SMALL,
        Entry::Ring(ring) => SMALL + ring.slots.len() * 2 + ring.ages_ms.len() * 8,
        Entry::Slots { changes, .. } => SMALL + changes.len() * 10,
        Entry::Remembered(flows) | Entry::HalfOpen(flows) => {
            SMALL + flows.iter().map(|flow| size_of_flow(&flow.key)).sum::<usize>()
        }
        Entry::Forgotten(keys) => SMALL + keys.iter().map(size_of_flow).sum::<usize>(),
    }
}

fn size_of_flow(key: &FlowKey) -> usize {
    if key.service.family == FAMILY_V4 { 12 } else { 24 }
}
