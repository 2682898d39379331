//! What the program tells of flows that are exceptions: read from its ring buffer by a thread of its own.
//!
//! The buffer is pinned, so what was told while no daemon ran is read by the next one.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use aya::maps::{Map, MapData, MapError, PerCpuArray, RingBuf};
use lb_common::{Event, FLOW_EVENT_FORGOTTEN, FLOW_EVENT_HALF_OPEN, FLOW_EVENT_REMEMBERED, FlowEvent, map};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{Dataplane, DataplaneError, FlowTable};

/// Events that one call reads at most, so that it ends however fast more come.
const MOST_AT_ONCE: usize = 16_384;

/// The reading end of `flow_events`. For one thread: of two, each would get what the other misses.
pub struct FlowEvents {
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    table: FlowTable,
}

impl Dataplane {
    /// The flow events, to be read by one thread. It goes on being of use when the `Dataplane` has gone.
    ///
    /// # Errors
    /// The process has no descriptors or no address space left.
    pub fn flow_events(&self) -> Result<FlowEvents, DataplaneError> {
        Ok(FlowEvents {
            ring: open(&self.maps.fds.flow_events, map::FLOW_EVENTS)?,
            counters: open(&self.maps.fds.events, map::EVENTS)?,
            table: self.flow_table()?,
        })
    }
}

impl FlowEvents {
    /// Waits until there is an event, `timeout` at most. Says whether there is one.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub fn wait(&self, timeout: Duration) -> Result<bool, DataplaneError> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(DataplaneError::MapCall {
                action: "wait for",
                map: map::FLOW_EVENTS,
                source: io::Error::from(errno),
            }),
        }
    }

    /// Reads events, and calls `told` with what is true now of each one's flow ([`FlowTable::as_it_is`]; half-open flows that are not
    /// remembered by now as they were told). Returns how many: there may be more when it is [`FlowEvents::MOST_AT_ONCE`].
    ///
    /// Two CPUs may tell of one flow in another order than they changed it in. But each tells after its change, so what the table says
    /// when the last event of a flow is read is how it ended.
    ///
    /// # Errors
    /// The kernel refuses to read the flow table. The event is lost then.
    pub fn drain(&mut self, mut told: impl FnMut(&FlowEvent)) -> Result<usize, DataplaneError> {
        let table = &self.table;
        read(&mut self.ring, |event| {
            told(&match event.kind {
                FLOW_EVENT_REMEMBERED | FLOW_EVENT_FORGOTTEN => table.as_it_is(&event.key)?,
                FLOW_EVENT_HALF_OPEN => match table.as_it_is(&event.key)? {
                    remembered if remembered.kind == FLOW_EVENT_REMEMBERED => remembered,
                    _ => *event,
                },
                _ => *event,
            });
            Ok(())
        })
    }

    /// As [`FlowEvents::drain`], but as the program has told it: for tests and benches.
    ///
    /// # Errors
    /// None so far.
    pub fn drain_as_told(&mut self, mut told: impl FnMut(&FlowEvent)) -> Result<usize, DataplaneError> {
        read(&mut self.ring, |event| {
            told(event);
            Ok(())
        })
    }

    /// How many flows, since the map was made, were remembered or forgotten without an event, as the buffer was full.
    ///
    /// # Errors
    /// The kernel refuses to read the counter.
    pub fn lost(&self) -> Result<u64, DataplaneError> {
        let counts = self.counters.get(&(Event::FlowEventLost as u32), 0).map_err(|source| DataplaneError::Map {
            action: "read",
            map: map::EVENTS,
            source,
        })?;
        Ok(counts.iter().sum())
    }

    /// Events that one call reads at most.
    pub const MOST_AT_ONCE: usize = MOST_AT_ONCE;
}

fn read(
    ring: &mut RingBuf<MapData>,
    mut told: impl FnMut(&FlowEvent) -> Result<(), DataplaneError>,
) -> Result<usize, DataplaneError> {
    let mut count = 0;
    while count < MOST_AT_ONCE {
        let Some(record) = ring.next() else { break };
        // What is of another length is of no program that this daemon knows.
        let event = event(&record);
        drop(record);
        count += 1;
        if let Some(event) = event {
            told(&event)?;
        }
    }
    Ok(count)
}

fn event(record: &[u8]) -> Option<FlowEvent> {
    if record.len() != size_of::<FlowEvent>() {
        return None;
    }
    // SAFETY: the record is as long, and any bytes are a value (`FlowEvent` is `Pod`). The read needs no alignment.
    Some(unsafe { record.as_ptr().cast::<FlowEvent>().read_unaligned() })
}

/// A map of aya's by a descriptor of its own.
pub(super) fn open<T: TryFrom<Map, Error = MapError>>(fd: &OwnedFd, map: &'static str) -> Result<T, DataplaneError> {
    let used = |source| DataplaneError::Map { action: "use", map, source };
    let fd = fd.try_clone().map_err(|source| DataplaneError::MapCall { action: "keep open", map, source })?;
    MapData::from_fd(fd).and_then(Map::from_map_data).and_then(T::try_from).map_err(used)
}
