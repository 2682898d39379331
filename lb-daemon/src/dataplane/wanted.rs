//! Neighbours that replies were for and whose MAC addresses the kernel does not know: read from the program's ring buffer.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};
use lb_common::{WANTED_NEIGHBOURS_SIZE, WantedNeighbour, map};

use super::{Dataplane, DataplaneError, flow_events::open};

/// Bytes that a record takes: the kernel puts a header before each.
const RECORD: u32 = 8 + size_of::<WantedNeighbour>() as u32;
/// Records that one call reads at most: as many as the buffer holds.
const MOST_AT_ONCE: u32 = WANTED_NEIGHBOURS_SIZE / RECORD;

/// The reading end of `wanted_neighbours`; readable where there is one. For one task.
pub struct WantedNeighbours {
    ring: RingBuf<MapData>,
}

impl Dataplane {
    /// The neighbours that replies want, to be read by one task. It goes on being of use when the `Dataplane` has gone.
    ///
    /// # Errors
    /// The process has no descriptors or no address space left.
    pub fn wanted_neighbours(&self) -> Result<WantedNeighbours, DataplaneError> {
        Ok(WantedNeighbours { ring: open(&self.maps.fds.wanted_neighbours, map::WANTED_NEIGHBOURS)? })
    }
}

impl WantedNeighbours {
    /// Reads what has been written: a record for each packet, so many may be the same. Returns whether there may be more: then nobody is
    /// woken for it.
    pub fn drain(&mut self, mut wanted: impl FnMut(&WantedNeighbour)) -> bool {
        for _ in 0..MOST_AT_ONCE {
            let Some(record) = self.ring.next() else { return false };
            // What is of another length is of no program that this daemon knows.
            if record.len() != size_of::<WantedNeighbour>() {
                continue;
            }
            // SAFETY: the record is as long, and any bytes are a value (`WantedNeighbour` is `Pod`). The read needs no alignment.
            let neighbour = unsafe { record.as_ptr().cast::<WantedNeighbour>().read_unaligned() };
            drop(record);
            wanted(&neighbour);
        }
        true
    }
}

impl AsRawFd for WantedNeighbours {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
