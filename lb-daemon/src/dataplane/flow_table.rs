//! The flow table for a thread of its own: what a follower writes to it as it hears of flows, and what an owner reads of it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::resume_unwind,
    thread::{self, ScopedJoinHandle},
};

use lb_common::{FLOW_EVENT_FORGOTTEN, FLOW_EVENT_REMEMBERED, FlowEvent, FlowKey, FlowValue, HalfOpenValue, map};

use super::{
    Dataplane, DataplaneError,
    batch::update_batch,
    flows::{delete_all, each},
    sys,
};

/// Entries written by one kernel call.
const BATCH: usize = 4_096;
/// Flows that one thread writes; more are written by two.
const ALONE: usize = 2 * BATCH;

/// Descriptors of the flow table and of the half-open flows.
pub struct FlowTable {
    flows: OwnedFd,
    half_open: OwnedFd,
}

/// What came of writing entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// How many were written.
    pub written: usize,
    /// For these the full map has no room.
    pub refused: Vec<FlowKey>,
}

impl Dataplane {
    /// A handle on the flow table for another thread. It goes on being of use when the `Dataplane` has gone.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn flow_table(&self) -> Result<FlowTable, DataplaneError> {
        Ok(FlowTable {
            flows: own(&self.maps.fds.flows, map::FLOWS)?,
            half_open: own(&self.maps.fds.half_open, map::HALF_OPEN)?,
        })
    }
}

impl FlowTable {
    /// Calls `visit` with each flow of the flow table until it says no. One that is written or deleted meanwhile may be missed or seen
    /// twice.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn each(&self, visit: impl FnMut(&FlowKey, &FlowValue) -> bool) -> Result<(), DataplaneError> {
        each(self.flows.as_fd(), map::FLOWS, visit)
    }

    /// As [`FlowTable::each`], of the half-open flows.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn each_half_open(&self, visit: impl FnMut(&FlowKey, &HalfOpenValue) -> bool) -> Result<(), DataplaneError> {
        each(self.half_open.as_fd(), map::HALF_OPEN, visit)
    }

    /// The flow table's entry.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn get(&self, key: &FlowKey) -> Result<Option<FlowValue>, DataplaneError> {
        sys::lookup(self.flows.as_fd(), key).map_err(|source| DataplaneError::MapCall {
            action: "read",
            map: map::FLOWS,
            source,
        })
    }

    /// What is true of a flow now: remembered like this, or forgotten. Of several changes of one flow this is the one that counts,
    /// whatever order they are heard of in.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn as_it_is(&self, key: &FlowKey) -> Result<FlowEvent, DataplaneError> {
        let told = FlowEvent { key: *key, ..FlowEvent::default() };
        Ok(match self.get(key)? {
            Some(FlowValue { service, real, slot, .. }) => {
                FlowEvent { service, real, slot, kind: FLOW_EVENT_REMEMBERED, ..told }
            }
            None => FlowEvent { kind: FLOW_EVENT_FORGOTTEN, ..told },
        })
    }

    /// Writes flows to the flow table, over what is there of them.
    ///
    /// # Errors
    /// The kernel refuses for another reason than a full map. Those before the refused one are written.
    pub fn put_batch(&self, flows: &[(FlowKey, FlowValue)]) -> Result<Put, DataplaneError> {
        if flows.len() <= ALONE {
            return put(&self.flows, map::FLOWS, flows);
        }
        // A node that starts waits for a million of them.
        let (one, other) = flows.split_at(flows.len() / 2);
        thread::scope(|scope| {
            let helper = thread::Builder::new().spawn_scoped(scope, || put(&self.flows, map::FLOWS, other));
            let mut written = put(&self.flows, map::FLOWS, one)?;
            let rest = match helper.map(ScopedJoinHandle::join) {
                Ok(Ok(rest)) => rest?,
                Ok(Err(panic)) => resume_unwind(panic),
                // There is no thread for it.
                Err(_) => put(&self.flows, map::FLOWS, other)?,
            };
            written.written += rest.written;
            written.refused.extend(rest.refused);
            Ok(written)
        })
    }

    /// Writes flows of which the flow table has nothing. Returns those that were written.
    ///
    /// # Errors
    /// The map is full, or the kernel refuses. Those before the refused one are written.
    pub fn put_new(&self, flows: &[(FlowKey, FlowValue)]) -> Result<Vec<(FlowKey, FlowValue)>, DataplaneError> {
        put_new(&self.flows, map::FLOWS, flows)
    }

    /// As [`FlowTable::put_new`], of the half-open flows.
    ///
    /// # Errors
    /// As [`FlowTable::put_new`].
    pub fn put_new_half_open(
        &self,
        flows: &[(FlowKey, HalfOpenValue)],
    ) -> Result<Vec<(FlowKey, HalfOpenValue)>, DataplaneError> {
        put_new(&self.half_open, map::HALF_OPEN, flows)
    }

    /// Deletes flows from the half-open flows alone.
    ///
    /// # Errors
    /// The kernel refuses. Those before the refused one are deleted.
    pub fn end_half_open(&self, keys: &[FlowKey]) -> Result<(), DataplaneError> {
        delete_all(self.half_open.as_fd(), map::HALF_OPEN, keys).map(drop)
    }

    /// Writes half-open flows, over what is there of them. The oldest make room.
    ///
    /// # Errors
    /// As [`FlowTable::put_batch`].
    pub fn put_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> Result<Put, DataplaneError> {
        put(&self.half_open, map::HALF_OPEN, flows)
    }

    /// Deletes flows from the flow table, and from the half-open flows. Returns how many the flow table had.
    ///
    /// # Errors
    /// The kernel refuses. Those before the refused one are deleted.
    pub fn forget_batch(&self, keys: &[FlowKey]) -> Result<usize, DataplaneError> {
        delete_all(self.half_open.as_fd(), map::HALF_OPEN, keys)?;
        delete_all(self.flows.as_fd(), map::FLOWS, keys)
    }
}

fn own(fd: &OwnedFd, map: &'static str) -> Result<OwnedFd, DataplaneError> {
    fd.try_clone().map_err(|source| DataplaneError::MapCall { action: "keep open", map, source })
}

fn put_new<V: aya::Pod>(
    fd: &OwnedFd,
    map: &'static str,
    entries: &[(FlowKey, V)],
) -> Result<Vec<(FlowKey, V)>, DataplaneError> {
    let mut written = Vec::new();
    for (key, value) in entries {
        let insert = sys::insert(fd.as_fd(), key, value);
        let is_new = insert.map_err(|source| DataplaneError::MapCall { action: "write", map, source })?;
        written.extend(is_new.then_some((*key, *value)));
    }
    Ok(written)
}

fn put<V: aya::Pod>(fd: &OwnedFd, map: &'static str, entries: &[(FlowKey, V)]) -> Result<Put, DataplaneError> {
    let mut put = Put::default();
    let (mut keys, mut values) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    for chunk in entries.chunks(BATCH) {
        keys.clear();
        values.clear();
        keys.extend(chunk.iter().map(|(key, _)| *key));
        values.extend(chunk.iter().map(|(_, value)| *value));
        put_chunk(fd, &keys, &values, &mut put).map_err(|source| DataplaneError::MapCall {
            action: "write",
            map,
            source,
        })?;
    }
    Ok(put)
}

fn put_chunk<V: aya::Pod>(fd: &OwnedFd, keys: &[FlowKey], values: &[V], put: &mut Put) -> io::Result<()> {
    let mut at = 0;
    while at < keys.len() {
        let (done, result) = update_batch(fd.as_fd(), &keys[at..], &values[at..]);
        put.written += done;
        at += done;
        match result {
            Ok(()) => {}
            // Full; but what comes after it may be in the map already.
            Err(error) if matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM)) => {
                put.refused.push(keys[at]);
                at += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
