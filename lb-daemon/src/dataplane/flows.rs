//! The flow table: read, swept of what is over, and written to (by tests and restores).

use std::{
    collections::{BTreeMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd},
};

use aya::maps::MapError;
use lb_common::{FLOW_FIN, FLOW_RST, FlowKey, FlowValue, FragmentKey, FragmentValue, HalfOpenValue, map};

use super::{
    Dataplane, DataplaneError,
    batch::{delete_batch, lookup_batch},
    sys,
};

/// Entries read by one kernel call at first; more where a single bucket holds more.
const BATCH: usize = 1_024;
/// A bucket never holds more: the tables have more buckets than that fraction of their entries.
const BATCH_LIMIT: usize = 1 << 20;
/// Flows that a sweep looks at before others have their turn, roughly: as many as the table has room for by default, some tenths of a second.
const SWEPT_AT_ONCE: usize = 1 << 18;

/// After how long without a packet a flow is over, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTimeouts {
    /// A flow in use.
    pub open_ns: u64,
    /// The same of services that have a time of their own, by service id.
    pub open_of_service_ns: BTreeMap<u32, u64>,
    /// One whose client has sent a FIN.
    pub fin_ns: u64,
    /// One whose client has sent a RST.
    pub rst_ns: u64,
    /// One of which only the SYN has come.
    pub half_open_ns: u64,
    /// What was seen before counts as seen then: flows that a takeover has found are as old as the takeover.
    pub seen_floor_ns: u64,
}

impl FlowTimeouts {
    fn is_over(&self, flow: &FlowValue, now_ns: u64) -> bool {
        let timeout_ns = match flow.state {
            FLOW_FIN => self.fin_ns,
            FLOW_RST => self.rst_ns,
            _ => self.open_of_service_ns.get(&flow.service.into()).copied().unwrap_or(self.open_ns),
        };
        self.silent_ns(flow.last_seen_ns, now_ns) > timeout_ns
    }

    fn is_given_up(&self, half: &HalfOpenValue, now_ns: u64) -> bool {
        self.silent_ns(half.began_ns, now_ns) > self.half_open_ns
    }

    fn silent_ns(&self, seen_ns: u64, now_ns: u64) -> u64 {
        now_ns.saturating_sub(seen_ns.max(self.seen_floor_ns))
    }
}

/// What a sweep has found and done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// (service id, slot) of every flow that is left, half-open ones too.
    pub in_use: HashSet<(u16, u32)>,
    /// Flows that were over and are forgotten, without half-open ones. Any of them may be back by the time that this is told on: see
    /// [`super::FlowTable::as_it_is`].
    pub forgotten: Vec<FlowKey>,
    /// Flows that are left, without half-open ones.
    pub flows: u64,
    /// Where it goes on; none at the beginning and the end.
    position: Option<u32>,
    /// Flows of a portion, roughly.
    portion: usize,
}

/// One that has not begun.
impl Default for Sweep {
    fn default() -> Self {
        Self::in_portions(SWEPT_AT_ONCE)
    }
}

impl Sweep {
    /// One that has not begun and looks at so many flows at once, and at some more that the kernel gives together with them.
    #[must_use]
    pub fn in_portions(portion: usize) -> Self {
        Self { in_use: HashSet::new(), forgotten: Vec::new(), flows: 0, position: None, portion }
    }
}

impl Dataplane {
    /// The clock of the flow table: CLOCK_MONOTONIC_COARSE, in nanoseconds.
    #[must_use]
    pub fn now_ns() -> u64 {
        sys::monotonic_coarse_ns()
    }

    /// Up to `limit` flows of the flow table for which `keep` says yes.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn flows(
        &self,
        limit: usize,
        mut keep: impl FnMut(&FlowKey, &FlowValue) -> bool,
    ) -> Result<Vec<(FlowKey, FlowValue)>, DataplaneError> {
        let mut found = Vec::new();
        each(self.maps.fds.flows.as_fd(), map::FLOWS, |key: &FlowKey, value: &FlowValue| {
            if found.len() < limit && keep(key, value) {
                found.push((*key, *value));
            }
            found.len() < limit
        })?;
        Ok(found)
    }

    /// Forgets the flows that are over, and says which slots still have flows.
    ///
    /// A packet that comes between the look and the removal is lost to the table; a flow that has been silent for its whole
    /// timeout has no claim to better.
    ///
    /// # Errors
    /// The kernel refuses to read or write a map.
    pub fn sweep(&mut self, now_ns: u64, timeouts: &FlowTimeouts) -> Result<Sweep, DataplaneError> {
        let mut sweep = Sweep::default();
        while self.sweep_on(&mut sweep, now_ns, timeouts)? {}
        Ok(sweep)
    }

    /// Goes on with a sweep, by a portion of the flow table. Returns whether there is more of it; else the sweep is whole.
    ///
    /// # Errors
    /// As those of [`sweep`](Self::sweep). The sweep is of no use then.
    pub fn sweep_on(
        &mut self,
        sweep: &mut Sweep,
        now_ns: u64,
        timeouts: &FlowTimeouts,
    ) -> Result<bool, DataplaneError> {
        let flows = self.maps.fds.flows.as_fd();
        let (mut position, mut looked_at) = (sweep.position, 0);
        let mut over = Vec::new();
        each_from(flows, map::FLOWS, &mut position, |key: &FlowKey, flow: &FlowValue| {
            looked_at += 1;
            if timeouts.is_over(flow, now_ns) {
                over.push(*key);
            } else {
                sweep.flows += 1;
                sweep.in_use.insert((flow.service, flow.slot));
            }
            looked_at < sweep.portion
        })?;
        delete_all(flows, map::FLOWS, &over)?;
        sweep.forgotten.append(&mut over);
        sweep.position = position;
        if position.is_none() {
            self.sweep_half_open(sweep, now_ns, timeouts)?;
        }
        Ok(position.is_some())
    }

    fn sweep_half_open(&self, sweep: &mut Sweep, now_ns: u64, timeouts: &FlowTimeouts) -> Result<(), DataplaneError> {
        let mut over = Vec::new();
        each(self.maps.fds.half_open.as_fd(), map::HALF_OPEN, |key: &FlowKey, half: &HalfOpenValue| {
            if timeouts.is_given_up(half, now_ns) {
                over.push(*key);
            } else {
                sweep.in_use.insert((half.service, half.slot));
            }
            true
        })?;
        delete_all(self.maps.fds.half_open.as_fd(), map::HALF_OPEN, &over)?;
        Ok(())
    }

    /// Forgets the flows of services whose rings are gone: later services with their ports must not be given them.
    pub(super) fn forget_services(&mut self, services: &HashSet<u32>) -> Result<(), DataplaneError> {
        let mut over = Vec::new();
        each(self.maps.fds.flows.as_fd(), map::FLOWS, |key: &FlowKey, flow: &FlowValue| {
            over.extend(services.contains(&flow.service.into()).then_some(*key));
            true
        })?;
        delete_all(self.maps.fds.flows.as_fd(), map::FLOWS, &over)?;
        over.clear();
        each(self.maps.fds.half_open.as_fd(), map::HALF_OPEN, |key: &FlowKey, half: &HalfOpenValue| {
            over.extend(services.contains(&half.service.into()).then_some(*key));
            true
        })?;
        delete_all(self.maps.fds.half_open.as_fd(), map::HALF_OPEN, &over)?;
        Ok(())
    }

    /// Writes a flow to the flow table.
    ///
    /// # Errors
    /// The table is full.
    pub fn put_flow(&mut self, key: &FlowKey, value: &FlowValue) -> Result<(), DataplaneError> {
        self.maps.flows.insert(key, value, 0).map_err(|error| write_error(map::FLOWS, error))
    }

    /// Writes a half-open flow.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn put_half_open(&mut self, key: &FlowKey, value: &HalfOpenValue) -> Result<(), DataplaneError> {
        self.maps.half_open.insert(key, value, 0).map_err(|error| write_error(map::HALF_OPEN, error))
    }

    /// Writes where a packet's first fragment went.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn put_fragment(&mut self, key: &FragmentKey, value: &FragmentValue) -> Result<(), DataplaneError> {
        self.maps.fragments.insert(key, value, 0).map_err(|error| write_error(map::FRAGMENTS, error))
    }

    /// The flow table's entry.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn get_flow(&self, key: &FlowKey) -> Result<Option<FlowValue>, DataplaneError> {
        found(self.maps.flows.get(key, 0), map::FLOWS)
    }

    /// The half-open flow's entry.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn get_half_open(&self, key: &FlowKey) -> Result<Option<HalfOpenValue>, DataplaneError> {
        found(self.maps.half_open.get(key, 0), map::HALF_OPEN)
    }

    /// Where a packet's first fragment went.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn get_fragment(&self, key: &FragmentKey) -> Result<Option<FragmentValue>, DataplaneError> {
        found(self.maps.fragments.get(key, 0), map::FRAGMENTS)
    }

    /// Forgets every flow, half-open flow and fragment.
    ///
    /// # Errors
    /// The kernel refuses to read or write a map.
    pub fn clear_tables(&mut self) -> Result<(), DataplaneError> {
        let unreadable = |map| move |source| DataplaneError::Map { action: "read", map, source };
        let flows: Vec<_> = self.maps.flows.keys().collect::<Result<_, _>>().map_err(unreadable(map::FLOWS))?;
        delete_all(self.maps.fds.flows.as_fd(), map::FLOWS, &flows)?;
        let half: Vec<_> = self.maps.half_open.keys().collect::<Result<_, _>>().map_err(unreadable(map::HALF_OPEN))?;
        delete_all(self.maps.fds.half_open.as_fd(), map::HALF_OPEN, &half)?;
        let fragments: Vec<FragmentKey> =
            self.maps.fragments.keys().collect::<Result<_, _>>().map_err(unreadable(map::FRAGMENTS))?;
        for key in fragments {
            match self.maps.fragments.remove(&key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => {
                    return Err(DataplaneError::Map { action: "delete from", map: map::FRAGMENTS, source });
                }
            }
        }
        Ok(())
    }
}

/// Calls `visit` with each entry of a hash map until it says no. An entry written or deleted meanwhile may be missed or seen twice.
pub(super) fn each<K: aya::Pod + Default, V: aya::Pod + Default>(
    fd: BorrowedFd<'_>,
    map: &'static str,
    mut visit: impl FnMut(&K, &V) -> bool,
) -> Result<(), DataplaneError> {
    let mut goes_on = true;
    each_from(fd, map, &mut None, |key, value| {
        goes_on = goes_on && visit(key, value);
        goes_on
    })
}

/// As [`each`], from where an earlier look has ended: `position` is `None` at the map's beginning, and is again at its end. Once `visit`
/// has said no it is called until the entries that were read together with that one are through.
fn each_from<K: aya::Pod + Default, V: aya::Pod + Default>(
    fd: BorrowedFd<'_>,
    map: &'static str,
    position: &mut Option<u32>,
    mut visit: impl FnMut(&K, &V) -> bool,
) -> Result<(), DataplaneError> {
    let mut size = BATCH;
    let mut keys = vec![K::default(); size];
    let mut values = vec![V::default(); size];
    loop {
        let read = match lookup_batch(fd, position, &mut keys, &mut values) {
            Ok(read) => read,
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && size < BATCH_LIMIT => {
                size *= 2;
                keys.resize(size, K::default());
                values.resize(size, V::default());
                continue;
            }
            Err(source) => return Err(DataplaneError::MapCall { action: "read", map, source }),
        };
        let mut goes_on = true;
        for (key, value) in keys.iter().zip(&values).take(read) {
            goes_on &= visit(key, value);
        }
        if position.is_none() || !goes_on {
            return Ok(());
        }
    }
}

/// Deletes the entries of these keys, where there are such. Returns how many there were.
pub(super) fn delete_all<K: aya::Pod>(
    fd: BorrowedFd<'_>,
    map: &'static str,
    keys: &[K],
) -> Result<usize, DataplaneError> {
    let (mut deleted, mut rest) = (0, keys);
    while !rest.is_empty() {
        let (done, result) = delete_batch(fd, &rest[..rest.len().min(BATCH)]);
        deleted += done;
        rest = match result {
            Ok(()) => &rest[done..],
            // The program has deleted or evicted the next one meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => &rest[done + 1..],
            Err(source) => return Err(DataplaneError::MapCall { action: "delete from", map, source }),
        };
    }
    Ok(deleted)
}

pub(super) fn found<T>(result: Result<T, MapError>, map: &'static str) -> Result<Option<T>, DataplaneError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(source) => Err(DataplaneError::Map { action: "read", map, source }),
    }
}

fn write_error(map: &'static str, source: MapError) -> DataplaneError {
    DataplaneError::Map { action: "write", map, source }
}
