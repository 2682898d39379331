//! Rings: whose slot it is by a few bits each, and apart from that the slots that are not clean. A ring that is like one before it is
//! only named.

use std::{
    collections::{BTreeMap, HashMap},
    iter,
    ops::Range,
    sync::Arc,
};

use lb_common::{NO_REAL, RING_SLOTS, SLOT_CLEAN, SLOT_MARKED, SLOT_REMEMBERS, Slot};

use super::{
    Flaw, HEAD_SIZE, RING, SAME_RING,
    bytes::{Reader, put_number, put_u16},
    framed,
};
use crate::checkpoint::{RingEntry, SlotChange};

/// Bytes of a service's id, with which each of these entries begins.
const SERVICE_SIZE: usize = 2;
/// Bytes of the shortest exception: index and state, age.
const MIN_EXCEPTION_SIZE: usize = 2;
/// Bytes of the shortest change: index and state, real.
const MIN_CHANGE_SIZE: usize = 3;
/// Most reals that one ring can have: each id, and none.
const MAX_PALETTE: usize = 1 << 16;
/// The reals of slots are told with so many bits each at least. With none, a few bytes could ask for a whole ring.
const MIN_BITS: u32 = 1;
/// The lowest bits of an index are the slot's state.
const STATE_BITS: u32 = 2;
/// Stands for no state.
const NO_STATE: u16 = (1 << STATE_BITS) - 1;

/// The rings that have been written so far, for those that are like them.
#[derive(Default)]
pub(super) struct Written {
    /// Where in the bytes the ring of each service is; without the service.
    values: HashMap<u16, Range<usize>>,
    /// Services by the checksum of their rings' bytes.
    services: HashMap<u32, u16>,
}

/// The rings that have been read so far.
#[derive(Default)]
pub(super) struct Earlier(BTreeMap<u16, RingEntry>);

impl Written {
    /// Writes the ring, or the service that has one like it.
    pub(super) fn put(&mut self, ring: &RingEntry, out: &mut Vec<u8>) {
        let start = out.len();
        framed(RING, out, |out| {
            put_u16(ring.service, out);
            put_ring(ring, out);
        });
        let value = start + HEAD_SIZE + SERVICE_SIZE..out.len();
        let checksum = crc32c::crc32c(out.get(value.clone()).unwrap_or_default());
        match self.same(checksum, &value, out) {
            Some(like) => {
                out.truncate(start);
                framed(SAME_RING, out, |out| {
                    put_u16(ring.service, out);
                    put_u16(like, out);
                });
                if let Some(same) = self.values.get(&like).cloned() {
                    self.values.insert(ring.service, same);
                }
            }
            None => {
                self.values.insert(ring.service, value);
                self.services.insert(checksum, ring.service);
            }
        }
    }

    fn same(&self, checksum: u32, value: &Range<usize>, out: &[u8]) -> Option<u16> {
        let service = *self.services.get(&checksum)?;
        let earlier = self.values.get(&service)?;
        (out.get(earlier.clone()) == out.get(value.clone())).then_some(service)
    }
}

impl Earlier {
    pub(super) fn ring(&mut self, reader: &mut Reader<'_>) -> Result<RingEntry, Flaw> {
        let service = reader.u16()?;
        let ring = ring(service, reader)?;
        self.0.insert(service, ring.clone());
        Ok(ring)
    }

    pub(super) fn same(&mut self, reader: &mut Reader<'_>) -> Result<RingEntry, Flaw> {
        let (service, like) = (reader.u16()?, reader.u16()?);
        let like = self.0.get(&like).ok_or(Flaw::Reference)?;
        let ring = RingEntry { service, ..like.clone() };
        self.0.insert(service, ring.clone());
        Ok(ring)
    }
}

pub(super) fn put_changes(service: u16, changes: &[SlotChange], out: &mut Vec<u8>) {
    put_u16(service, out);
    put_number(changes.len() as u64, out);
    let mut next = 0;
    for &SlotChange { index, slot, age_ms } in changes {
        put_index(index, &mut next, slot.state, out);
        put_u16(slot.real, out);
        put_past(slot, age_ms, out);
    }
}

pub(super) fn changes(reader: &mut Reader<'_>) -> Result<(u16, Vec<SlotChange>), Flaw> {
    let service = reader.u16()?;
    let count = reader.count("slots", MIN_CHANGE_SIZE, RING_SLOTS as usize)?;
    let mut changes = Vec::with_capacity(count);
    let mut next = 0;
    for _ in 0..count {
        let (index, state) = index(&mut next, RING_SLOTS, reader)?;
        let real = reader.u16()?;
        let (previous, age_ms) = past(state, reader)?;
        changes.push(SlotChange { index, slot: Slot { real, previous, state, reserved: 0 }, age_ms });
    }
    Ok((service, changes))
}

fn put_ring(ring: &RingEntry, out: &mut Vec<u8>) {
    put_reals(&ring.slots, out);
    let exceptions = || (0..).zip(ring.slots.iter()).filter(|(_, slot)| slot.state != SLOT_CLEAN);
    put_number(exceptions().count() as u64, out);
    let mut ages = ring.ages_ms.iter().copied().peekable();
    let mut next = 0;
    for (index, &slot) in exceptions() {
        while ages.next_if(|&(of, _)| of < index).is_some() {}
        let age_ms = ages.next_if(|&(of, _)| of == index).map_or(0, |(_, age_ms)| age_ms);
        put_index(index, &mut next, slot.state, out);
        put_past(slot, age_ms, out);
    }
}

fn ring(service: u16, reader: &mut Reader<'_>) -> Result<RingEntry, Flaw> {
    let mut shared = reals(reader)?;
    let slots = Arc::make_mut(&mut shared);
    // No ring is longer than RING_SLOTS, so its length fits.
    let length = slots.len() as u32;
    let count = reader.count("slots that are not clean", MIN_EXCEPTION_SIZE, slots.len())?;
    let mut ages_ms = Vec::with_capacity(count);
    let mut next = 0;
    for _ in 0..count {
        let (index, state) = index(&mut next, length, reader)?;
        let slot = slots.get_mut(index as usize).filter(|_| state != SLOT_CLEAN).ok_or(Flaw::Slot)?;
        let (previous, age_ms) = past(state, reader)?;
        *slot = Slot { state, previous, ..*slot };
        ages_ms.push((index, age_ms));
    }
    Ok(RingEntry { service, slots: shared, ages_ms: ages_ms.into() })
}

/// How many slots there are; their reals, by when they come first; and for each slot the place of its real among those.
fn put_reals(slots: &[Slot], out: &mut Vec<u8>) {
    let (palette, places) = palette(slots);
    put_number(slots.len() as u64, out);
    put_number(palette.len() as u64, out);
    palette.iter().for_each(|&real| put_u16(real, out));
    let bits = bits_for(palette.len());
    let (mut pending, mut filled) = (0u32, 0);
    for slot in slots {
        let place = places.get(usize::from(slot.real)).copied().flatten().unwrap_or_default();
        pending |= u32::from(place) << filled;
        filled += bits;
        while filled >= u8::BITS {
            out.push(pending as u8);
            pending >>= u8::BITS;
            filled -= u8::BITS;
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

fn reals(reader: &mut Reader<'_>) -> Result<Arc<[Slot]>, Flaw> {
    let length = reader.number()?;
    if length > u64::from(RING_SLOTS) {
        return Err(Flaw::Count("slots"));
    }
    let reals = reader.count("reals", size_of::<u16>(), MAX_PALETTE)?;
    let palette: Vec<u16> = (0..reals).map(|_| reader.u16()).collect::<Result<_, _>>()?;
    let bits = bits_for(palette.len());
    let packed = reader.take((length as usize * bits as usize).div_ceil(8))?;
    let mut slots: Arc<[Slot]> = iter::repeat_n(Slot::default(), length as usize).collect();
    let mut bytes = packed.iter();
    let (mut pending, mut filled) = (0u32, 0);
    for slot in Arc::make_mut(&mut slots) {
        while filled < bits {
            pending |= u32::from(*bytes.next().ok_or(Flaw::Short)?) << filled;
            filled += u8::BITS;
        }
        let place = pending & ((1 << bits) - 1);
        slot.real = *palette.get(place as usize).ok_or(Flaw::Unknown("slot's real"))?;
        pending >>= bits;
        filled -= bits;
    }
    if pending == 0 { Ok(slots) } else { Err(Flaw::Long) }
}

/// The reals of these slots, and the place of each among them by its id.
fn palette(slots: &[Slot]) -> (Vec<u16>, Vec<Option<u16>>) {
    let ids = slots.iter().map(|slot| usize::from(slot.real) + 1).max().unwrap_or_default();
    let (mut palette, mut places) = (Vec::new(), vec![None; ids]);
    for slot in slots {
        if let Some(place @ None) = places.get_mut(usize::from(slot.real)) {
            // No more places than ids, so it fits.
            *place = Some(palette.len() as u16);
            palette.push(slot.real);
        }
    }
    (palette, places)
}

/// How many bits name one of so many reals.
fn bits_for(reals: usize) -> u32 {
    (usize::BITS - reals.saturating_sub(1).leading_zeros()).max(MIN_BITS)
}

/// How far the slot is behind the one before it, and in which state it is.
fn put_index(index: u32, next: &mut u32, state: u16, out: &mut Vec<u8>) {
    let gap = u64::from(index.wrapping_sub(*next));
    put_number(gap << STATE_BITS | u64::from(state.min(NO_STATE)), out);
    *next = index.wrapping_add(1);
}

fn index(next: &mut u32, length: u32, reader: &mut Reader<'_>) -> Result<(u32, u16), Flaw> {
    let number = reader.number()?;
    let state = number as u16 & NO_STATE;
    if state == NO_STATE {
        return Err(Flaw::Unknown("slot's state"));
    }
    let gap = u32::try_from(number >> STATE_BITS).map_err(|_| Flaw::Slot)?;
    let index = next.checked_add(gap).filter(|index| *index < length).ok_or(Flaw::Slot)?;
    *next = index + 1;
    Ok((index, state))
}

/// What is known of a slot besides its real: where older flows go, and since when it is not clean.
fn put_past(slot: Slot, age_ms: u64, out: &mut Vec<u8>) {
    if slot.state == SLOT_REMEMBERS {
        put_u16(slot.previous, out);
    }
    if slot.state != SLOT_CLEAN {
        put_number(age_ms, out);
    }
}

fn past(state: u16, reader: &mut Reader<'_>) -> Result<(u16, u64), Flaw> {
    match state {
        SLOT_REMEMBERS => Ok((reader.u16()?, reader.number()?)),
        SLOT_MARKED => Ok((NO_REAL, reader.number()?)),
        _ => Ok((NO_REAL, 0)),
    }
}
