//! Rings: array maps of slots, made anew, read and written through mmap.
//!
//! Services whose rings are equal share one map, under the id of each in `rings`. A change that all of them get in one step is made once,
//! in place; where only some get it, these are given a map of their own first. A caller sees nothing of this but the ring of each service.
//!
//! Each stays in memory for as long as it is in use: the kernel gives a map by its id only to who may administer everything
//! (CAP_SYS_ADMIN), which the daemon is no more once it has started. To give a map to one more service takes its descriptor, so these are
//! kept, too; where there are too many rings for that, services that come later have rings of their own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use aya::maps::{MapData, MapError};
use lb_common::{MAX_SERVICES, RING_SLOTS, Slot, map};

use super::{
    DataplaneError, Maps,
    batch::update_batch,
    sys::{self, MappedArray},
};

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_MMAPABLE: u32 = 1 << 10;
/// Rings whose descriptors are kept, at most, and as many more while they are put in place: a process has 1,024 descriptors unless
/// somebody gives it more.
const MAX_OPEN_RINGS: usize = 256;
/// Threads that put rings in place, or take them away. The kernel waits until no packet uses what was there, older ones once for each ring;
/// those who wait at once wait together.
const SWAP_THREADS: usize = 256;

/// A ring for a service, in place of the one that it may have.
#[derive(Clone, Copy)]
pub(super) struct NewRing<'a> {
    pub(super) service: u32,
    pub(super) slots: &'a Arc<[Slot]>,
    /// A service that may have it already.
    pub(super) like: Option<u32>,
}

/// Slots of a service's ring that change: index and new value.
#[derive(Clone, Copy)]
pub(super) struct ChangedSlots<'a> {
    pub(super) service: u32,
    pub(super) changes: &'a Arc<[(u32, Slot)]>,
}

/// A ring in the kernel.
struct RingMap {
    mapped: MappedArray,
    /// None where it has been closed.
    open: Option<MapData>,
    /// How many services have it.
    services: usize,
}

/// The rings of all services.
#[derive(Default)]
pub(super) struct Rings {
    by_service: BTreeMap<u32, Number>,
    maps: BTreeMap<Number, RingMap>,
    next: Number,
}

/// Of a map, in the order in which they were made or found.
type Number = u64;

/// A change, and the services that get it.
type Alike<'a> = (&'a [(u32, Slot)], Vec<u32>);

impl Maps {
    /// Puts new rings in place. The kernel waits until no packet uses those that they replace.
    pub(super) fn new_rings(&mut self, news: &[NewRing<'_>]) -> Result<(), DataplaneError> {
        news.iter().try_for_each(|new| check_service(new.service))?;
        let mut groups: Vec<(NewRing<'_>, Vec<u32>)> = Vec::new();
        let mut by_slots: HashMap<*const Slot, usize> = HashMap::new();
        for new in news {
            let group = *by_slots.entry(new.slots.as_ptr()).or_insert(groups.len());
            match groups.get_mut(group) {
                Some((_, services)) => services.push(new.service),
                None => groups.push((*new, vec![new.service])),
            }
        }
        for portion in groups.chunks(MAX_OPEN_RINGS) {
            let mut places = Vec::new();
            for (new, services) in portion {
                let number = match self.ring_maps.like(new) {
                    Some(number) => number,
                    None => self.ring_maps.make(new.slots.iter().map(|slot| word(*slot)))?,
                };
                places.extend(services.iter().map(|service| (*service, number)));
            }
            self.put(&places)?;
        }
        Ok(())
    }

    /// Finds the rings that an earlier lbd has left to these services, and which of them share one.
    pub(super) fn find_rings(&mut self, services: &[u32]) -> Result<(), DataplaneError> {
        let mut known: HashMap<u32, Number> = HashMap::new();
        for &service in services.iter().filter(|service| **service < MAX_SERVICES) {
            let id: Option<u32> =
                sys::lookup(self.fds.rings.as_fd(), &service).map_err(|source| call_error("find a ring in", source))?;
            let Some(id) = id else { continue };
            let number = match known.get(&id) {
                Some(number) => *number,
                None => self.ring_maps.add(MapData::from_id(id).map_err(|source| error("find a ring in", source))?)?,
            };
            known.insert(id, number);
            self.ring_maps.give(service, number);
            self.ring_maps.close_surplus();
        }
        Ok(())
    }

    /// Changes slots, each by one store; of several changes of one service's slot the last one counts.
    pub(super) fn write_slots(&mut self, changed: &[ChangedSlots<'_>]) -> Result<(), DataplaneError> {
        changed.iter().try_for_each(check_slots)?;
        let mut rest = changed;
        while !rest.is_empty() {
            // What comes twice for one service is two steps.
            let mut seen = BTreeSet::new();
            let end = rest.iter().position(|one| !seen.insert(one.service)).unwrap_or(rest.len());
            let (step, later) = rest.split_at(end);
            self.write_step(step)?;
            rest = later;
        }
        Ok(())
    }

    /// Of each service there is one change. Who shares a map and gets another change than the others, or one that the others do not get,
    /// is given a map first.
    fn write_step(&mut self, step: &[ChangedSlots<'_>]) -> Result<(), DataplaneError> {
        let mut by_map: BTreeMap<Number, Vec<Alike<'_>>> = BTreeMap::new();
        for ChangedSlots { service, changes } in step {
            let number = self.ring_maps.by_service.get(service);
            let number = number.ok_or_else(|| error("find a ring in", MapError::KeyNotFound))?;
            let groups = by_map.entry(*number).or_default();
            match groups.iter_mut().find(|(same, _)| std::ptr::eq(*same, &***changes) || **same == ***changes) {
                Some((_, services)) => services.push(*service),
                None => groups.push((changes, vec![*service])),
            }
        }
        let mut leaving = Vec::new();
        let mut in_place = Vec::new();
        for (number, mut groups) in by_map {
            let changing: usize = groups.iter().map(|(_, services)| services.len()).sum();
            let sharers = self.ring_maps.maps.get(&number).map_or(0, |ring| ring.services);
            if changing == sharers {
                groups.sort_by_key(|(_, services)| services.len());
                in_place.extend(groups.pop().map(|(changes, _)| (number, changes)));
            }
            leaving.extend(groups.into_iter().map(|(changes, services)| (number, changes, services)));
        }
        for portion in leaving.chunks(MAX_OPEN_RINGS) {
            let mut places = Vec::new();
            for (shared, changes, services) in portion {
                let own = self.ring_maps.copy(*shared, changes)?;
                places.extend(services.iter().map(|service| (*service, own)));
            }
            self.put(&places)?;
        }
        for (number, changes) in in_place {
            if let Some(ring) = self.ring_maps.maps.get(&number) {
                ring.write(changes);
            }
        }
        Ok(())
    }

    /// The rings of these services; those that share one have the same allocation.
    pub(super) fn read_rings(&self, services: impl Iterator<Item = u32>) -> BTreeMap<u32, Arc<[Slot]>> {
        let mut known: HashMap<Number, Arc<[Slot]>> = HashMap::new();
        let mut rings = BTreeMap::new();
        for service in services {
            let Some(number) = self.ring_maps.by_service.get(&service) else { continue };
            let Some(ring) = self.ring_maps.maps.get(number) else { continue };
            let slots = known.entry(*number).or_insert_with(|| ring.words().map(slot).collect());
            rings.insert(service, slots.clone());
        }
        rings
    }

    /// How many maps the rings of all services take.
    pub(super) fn count_rings(&self) -> usize {
        self.ring_maps.maps.len()
    }

    /// Takes the rings of services away. There being none is no error.
    pub(super) fn remove_rings(&mut self, services: &[u32]) -> Result<(), DataplaneError> {
        services.iter().try_for_each(|service| check_service(*service))?;
        let rings = self.fds.rings.as_fd();
        let removed = at_once(services, |portion| {
            for (done, service) in portion.iter().enumerate() {
                match sys::delete(rings, service) {
                    Err(source) if source.raw_os_error() != Some(libc::ENOENT) => return (done, Err(source)),
                    Ok(()) | Err(_) => {}
                }
            }
            (portion.len(), Ok(()))
        });
        self.settle(removed, |rings, service| rings.take(*service), "take a ring from")
    }

    fn put(&mut self, places: &[(u32, Number)]) -> Result<(), DataplaneError> {
        let descriptor = |&(service, number): &(u32, Number)| {
            let open = self.ring_maps.maps.get(&number).and_then(|ring| ring.open.as_ref());
            let open = open.ok_or_else(|| error("put a ring into", MapError::KeyNotFound))?;
            Ok((service, open.fd().as_fd().as_raw_fd() as u32))
        };
        let entries: Vec<(u32, u32)> = places.iter().map(descriptor).collect::<Result<_, DataplaneError>>()?;
        let rings = self.fds.rings.as_fd();
        let put = at_once(&entries, |portion| put_some(rings, portion));
        let numbers: BTreeMap<u32, Number> = places.iter().copied().collect();
        let give = |rings: &mut Rings, (service, _): &(u32, u32)| {
            if let Some(number) = numbers.get(service) {
                rings.give(*service, *number);
            }
        };
        self.settle(put, give, "put a ring into")
    }

    /// Takes note of what is done, and of what is not.
    fn settle<T>(
        &mut self,
        outcomes: Vec<(&[T], io::Result<()>)>,
        done: impl Fn(&mut Rings, &T),
        action: &'static str,
    ) -> Result<(), DataplaneError> {
        let mut result = Ok(());
        for (entries, outcome) in outcomes {
            entries.iter().for_each(|entry| done(&mut self.ring_maps, entry));
            result = result.and(outcome);
        }
        self.ring_maps.forget_unused();
        self.ring_maps.close_surplus();
        result.map_err(|source| call_error(action, source))
    }
}

fn put_some(rings: BorrowedFd<'_>, entries: &[(u32, u32)]) -> (usize, io::Result<()>) {
    let (keys, descriptors): (Vec<u32>, Vec<u32>) = entries.iter().copied().unzip();
    update_batch(rings, &keys, &descriptors)
}

/// Has threads do something with the entries, in portions; one does it by itself. Gives the entries that are done, and what came of the others.
fn at_once<T: Sync>(
    entries: &[T],
    work: impl Fn(&[T]) -> (usize, io::Result<()>) + Sync,
) -> Vec<(&[T], io::Result<()>)> {
    let portions: Vec<&[T]> = entries.chunks(entries.len().div_ceil(SWAP_THREADS).max(1)).collect();
    let [first, others @ ..] = &portions[..] else { return Vec::new() };
    let outcomes = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = others
            .iter()
            .map(|&portion| thread::Builder::new().name("rings".to_owned()).spawn_scoped(scope, move || work(portion)))
            .collect();
        let mut outcomes = vec![work(first)];
        for (thread, portion) in threads.into_iter().zip(others) {
            outcomes.push(match thread {
                Ok(thread) => thread.join().unwrap_or_else(|_| (0, Err(io::Error::other("a thread has failed")))),
                // The host has no thread to give.
                Err(_) => work(portion),
            });
        }
        outcomes
    });
    portions
        .iter()
        .zip(outcomes)
        .map(|(portion, (done, result))| (&portion[..done.min(portion.len())], result))
        .collect()
}

impl Rings {
    /// The ring of the service that the new one is like, where that is so and one more service can have it.
    fn like(&self, new: &NewRing<'_>) -> Option<Number> {
        let number = *self.by_service.get(&new.like?)?;
        let ring = self.maps.get(&number)?;
        (ring.open.is_some() && ring.holds(new.slots)).then_some(number)
    }

    /// A new map with these slots, which no service has yet.
    fn make(&mut self, words: impl Iterator<Item = u64>) -> Result<Number, DataplaneError> {
        let shape = aya_obj::Map::new_from_params(
            BPF_MAP_TYPE_ARRAY,
            size_of::<u32>() as u32,
            size_of::<Slot>() as u32,
            RING_SLOTS,
            BPF_F_MMAPABLE,
        );
        let map = MapData::create(shape, "ring", None).map_err(|source| error("make a ring for", source))?;
        let number = self.add(map)?;
        if let Some(ring) = self.maps.get(&number) {
            ring.mapped.values().iter().zip(words).for_each(|(cell, word)| cell.store(word, Ordering::Relaxed));
        }
        Ok(number)
    }

    /// A new map with the slots of another and these changes, which no service has yet.
    fn copy(&mut self, shared: Number, changes: &[(u32, Slot)]) -> Result<Number, DataplaneError> {
        let ring = self.maps.get(&shared).ok_or_else(|| error("find a ring in", MapError::KeyNotFound))?;
        let words: Vec<u64> = ring.words().collect();
        let number = self.make(words.into_iter())?;
        if let Some(ring) = self.maps.get(&number) {
            ring.write(changes);
        }
        Ok(number)
    }

    fn add(&mut self, map: MapData) -> Result<Number, DataplaneError> {
        let (number, mapped) = (self.next, mapped(&map)?);
        self.next += 1;
        self.maps.insert(number, RingMap { mapped, open: Some(map), services: 0 });
        Ok(number)
    }

    /// A service has this map from now on.
    fn give(&mut self, service: u32, number: Number) {
        self.take(service);
        if let Some(ring) = self.maps.get_mut(&number) {
            ring.services += 1;
            self.by_service.insert(service, number);
        }
    }

    /// A service has no ring any more.
    fn take(&mut self, service: u32) {
        let before = self.by_service.remove(&service).and_then(|number| self.maps.get_mut(&number));
        if let Some(ring) = before {
            ring.services -= 1;
        }
    }

    fn forget_unused(&mut self) {
        self.maps.retain(|_, ring| ring.services > 0);
    }

    fn close_surplus(&mut self) {
        let open = self.maps.values_mut().filter(|ring| ring.open.is_some());
        open.skip(MAX_OPEN_RINGS).for_each(|ring| ring.open = None);
    }
}

impl RingMap {
    fn words(&self) -> impl Iterator<Item = u64> {
        self.mapped.values().iter().map(|cell| cell.load(Ordering::Acquire))
    }

    fn holds(&self, slots: &[Slot]) -> bool {
        self.words().eq(slots.iter().map(|slot| word(*slot)))
    }

    fn write(&self, changes: &[(u32, Slot)]) {
        for (index, slot) in changes {
            // `check_slots` has looked that there is one.
            if let Some(cell) = self.mapped.values().get(*index as usize) {
                let cell: &AtomicU64 = cell;
                cell.store(word(*slot), Ordering::Release);
            }
        }
    }
}

fn mapped(ring: &MapData) -> Result<MappedArray, DataplaneError> {
    MappedArray::new(ring.fd().as_fd(), RING_SLOTS as usize)
        .map_err(|source| call_error("map into memory a ring of", source))
}

fn check_slots(changed: &ChangedSlots<'_>) -> Result<(), DataplaneError> {
    check_service(changed.service)?;
    match changed.changes.iter().find(|(index, _)| *index >= RING_SLOTS) {
        Some(&(id, _)) => Err(DataplaneError::OutOfBounds { what: "slot", id, map: map::RINGS, size: RING_SLOTS }),
        None => Ok(()),
    }
}

fn check_service(service: u32) -> Result<(), DataplaneError> {
    if service < MAX_SERVICES {
        return Ok(());
    }
    Err(DataplaneError::OutOfBounds { what: "service", id: service, map: map::RINGS, size: MAX_SERVICES })
}

fn call_error(action: &'static str, source: io::Error) -> DataplaneError {
    DataplaneError::MapCall { action, map: map::RINGS, source }
}

fn error(action: &'static str, source: MapError) -> DataplaneError {
    DataplaneError::Map { action, map: map::RINGS, source }
}

/// A slot as the one word that is stored: its fields in the order of memory.
fn word(slot: Slot) -> u64 {
    u64::from(slot.real) | u64::from(slot.previous) << 16 | u64::from(slot.state) << 32 | u64::from(slot.reserved) << 48
}

fn slot(word: u64) -> Slot {
    Slot { real: word as u16, previous: (word >> 16) as u16, state: (word >> 32) as u16, reserved: (word >> 48) as u16 }
}

const _: () = assert!(cfg!(target_endian = "little"), "`word` lays a slot out for a little-endian host");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_and_its_word_have_the_same_bytes() {
        let wanted = Slot { real: 0x0102, previous: 0x0304, state: 2, reserved: 0 };
        assert_eq!(word(wanted).to_le_bytes(), [0x02, 0x01, 0x04, 0x03, 2, 0, 0, 0]);
        assert_eq!(slot(word(wanted)), wanted);
    }
}
