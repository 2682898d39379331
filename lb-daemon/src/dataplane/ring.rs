//! Rings: an array map of slots for each service, made anew, read and written through mmap.
//!
//! Each stays in memory for as long as it is in use: the kernel gives a map by its id only to who may administer everything
//! (CAP_SYS_ADMIN), which the daemon is no more once it has started.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{MapData, MapError};
use lb_common::{MAX_SERVICES, RING_SLOTS, Slot, map};

use super::{DataplaneError, Maps, sys::MappedArray};

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_MMAPABLE: u32 = 1 << 10;

impl Maps {
    /// Puts a new ring in place. The kernel waits until no packet uses the one it replaces.
    pub(super) fn new_ring(&mut self, service: u32, slots: &[Slot]) -> Result<(), DataplaneError> {
        check_service(service)?;
        let shape = aya_obj::Map::new_from_params(
            BPF_MAP_TYPE_ARRAY,
            size_of::<u32>() as u32,
            size_of::<Slot>() as u32,
            RING_SLOTS,
            BPF_F_MMAPABLE,
        );
        let ring = MapData::create(shape, "ring", None).map_err(|source| error("make a ring for", source))?;
        let mapped = mapped(&ring)?;
        for (cell, slot) in mapped.values().iter().zip(slots) {
            cell.store(word(*slot), Ordering::Relaxed);
        }
        self.rings.set(service, &ring, 0).map_err(|source| error("put a ring into", source))?;
        self.mapped.insert(service, mapped);
        Ok(())
    }

    /// Maps the rings into memory that an earlier lbd has left to these services.
    pub(super) fn map_rings(&mut self, services: &[u32]) -> Result<(), DataplaneError> {
        for service in services.iter().filter(|service| **service < MAX_SERVICES) {
            match self.rings.get(service, 0) {
                Ok(ring) => _ = self.mapped.insert(*service, mapped(&ring)?),
                Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(error("find a ring in", source)),
            }
        }
        Ok(())
    }

    /// Writes single slots, each by one store.
    pub(super) fn write_slots(&mut self, service: u32, changes: &[(u32, Slot)]) -> Result<(), DataplaneError> {
        check_service(service)?;
        let mapped = self.mapped.get(&service).ok_or_else(|| error("find a ring in", MapError::KeyNotFound))?;
        let cells = mapped.values();
        for (index, slot) in changes {
            let cell: &AtomicU64 = cells.get(*index as usize).ok_or(DataplaneError::OutOfBounds {
                what: "slot",
                id: *index,
                map: map::RINGS,
                size: RING_SLOTS,
            })?;
            cell.store(word(*slot), Ordering::Release);
        }
        Ok(())
    }

    /// The slots of a service's ring, or `None` where there is none.
    pub(super) fn read_ring(&self, service: u32) -> Option<Vec<Slot>> {
        let mapped = self.mapped.get(&service)?;
        Some(mapped.values().iter().map(|cell| slot(cell.load(Ordering::Acquire))).collect())
    }

    /// Takes a service's ring away. There being none is no error.
    pub(super) fn remove_ring(&mut self, service: u32) -> Result<(), DataplaneError> {
        check_service(service)?;
        super::sys::delete(self.fds.rings.as_fd(), &service)
            .or_else(|source| if source.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(source) })
            .map_err(|source| DataplaneError::MapCall { action: "take a ring from", map: map::RINGS, source })?;
        self.mapped.remove(&service);
        Ok(())
    }
}

fn mapped(ring: &MapData) -> Result<MappedArray, DataplaneError> {
    MappedArray::new(ring.fd().as_fd(), RING_SLOTS as usize).map_err(|source: io::Error| DataplaneError::MapCall {
        action: "map into memory a ring of",
        map: map::RINGS,
        source,
    })
}

fn check_service(service: u32) -> Result<(), DataplaneError> {
    if service < MAX_SERVICES {
        return Ok(());
    }
    Err(DataplaneError::OutOfBounds { what: "service", id: service, map: map::RINGS, size: MAX_SERVICES })
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
