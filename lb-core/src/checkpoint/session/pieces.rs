//! Cuts entries into pieces that fit a message each.

use std::borrow::Cow;

use lb_common::Slot;

use crate::checkpoint::Entry;

/// Bytes of a piece, about: one more entry may follow what fills it.
const PIECE_SIZE: usize = 512 << 10;
/// Flows, keys or slots of one entry, at most: more are told as several entries.
const MAX_ITEMS: usize = 8_192;

/// Most bytes that a flow, a key or a changed slot takes.
const ITEM_SIZE: usize = 48;
/// Most bytes that a slot of a whole ring takes beside what is told of it where it is not clean.
const SLOT_SIZE: usize = size_of::<Slot>() / 4;
/// Most bytes that anything else takes.
const OTHER_SIZE: usize = 512;

/// The entries in pieces, in their order: none is empty.
pub(super) fn pieces(entries: &[Entry]) -> Vec<Vec<Entry>> {
    let mut pieces: Vec<Vec<Entry>> = Vec::new();
    let mut room = 0;
    for entry in entries.iter().flat_map(split) {
        if room == 0 {
            pieces.push(Vec::new());
            room = PIECE_SIZE;
        }
        room = room.saturating_sub(size(&entry));
        if let Some(piece) = pieces.last_mut() {
            piece.push(entry.into_owned());
        }
    }
    pieces
}

/// The entry as several of it, where it is long. (A ring cannot be cut, and need not be.)
fn split(entry: &Entry) -> Vec<Cow<'_, Entry>> {
    fn cut<T: Clone>(items: &[T], entry: impl Fn(Vec<T>) -> Entry) -> Vec<Cow<'static, Entry>> {
        items.chunks(MAX_ITEMS).map(|items| Cow::Owned(entry(items.to_vec()))).collect()
    }
    match entry {
        Entry::Slots { service, changes } if changes.len() > MAX_ITEMS => {
            cut(changes, |changes| Entry::Slots { service: *service, changes })
        }
        Entry::Remembered(flows) if flows.len() > MAX_ITEMS => cut(flows, Entry::Remembered),
        Entry::HalfOpen(flows) if flows.len() > MAX_ITEMS => cut(flows, Entry::HalfOpen),
        Entry::Forgotten(keys) if keys.len() > MAX_ITEMS => cut(keys, Entry::Forgotten),
        short => vec![Cow::Borrowed(short)],
    }
}

/// Bytes that an entry takes at most, about.
fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Ring(ring) => ring.slots.len() * SLOT_SIZE + ring.ages_ms.len() * ITEM_SIZE,
        Entry::Slots { changes, .. } => changes.len() * ITEM_SIZE,
        Entry::Remembered(flows) | Entry::HalfOpen(flows) => flows.len() * ITEM_SIZE,
        Entry::Forgotten(keys) => keys.len() * ITEM_SIZE,
        Entry::Service(_) | Entry::ServiceGone(_) | Entry::Real(_) | Entry::RealGone(_) => OTHER_SIZE,
    }
}
