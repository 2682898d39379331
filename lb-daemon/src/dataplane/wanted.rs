//! Next hops of replies whose MAC address the kernel does not know: read from the ring buffer that the program names them in.

use aya::maps::{MapData, RingBuf};
use lb_common::{WantedNeighbour, map};

use super::{Dataplane, DataplaneError, flow_events::open};

/// Records that one call reads at most. The buffer holds no more.
const MOST_AT_ONCE: usize = 1_024;

/// The reading end of `wanted_neighbours`. For one at a time.
pub struct WantedNeighbours {
    ring: RingBuf<MapData>,
}

impl Dataplane {
    /// The neighbours that replies wait for. It goes on being of use when the `Dataplane` has gone.
    ///
    /// # Errors
    /// The process has no descriptors or no address space left.
    pub fn wanted_neighbours(&self) -> Result<WantedNeighbours, DataplaneError> {
        Ok(WantedNeighbours { ring: open(&self.maps.fds.wanted_neighbours, map::WANTED_NEIGHBOURS)? })
    }
}

impl WantedNeighbours {
    /// Reads what has been written: one record for each packet, so many may be the same.
    pub fn drain(&mut self, mut wanted: impl FnMut(&WantedNeighbour)) {
        for _ in 0..MOST_AT_ONCE {
            let Some(record) = self.ring.next() else { break };
            // What is of another length is of no program that this daemon knows.
            if record.len() != size_of::<WantedNeighbour>() {
                continue;
            }
            // SAFETY: the record is as long, and any bytes are a value (`WantedNeighbour` is `Pod`). The read needs no alignment.
            let neighbour = unsafe { record.as_ptr().cast::<WantedNeighbour>().read_unaligned() };
            drop(record);
            wanted(&neighbour);
        }
    }
}
