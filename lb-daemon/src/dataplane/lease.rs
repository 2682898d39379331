//! The lease: what the program does with packets for the VIPs, and until when at most.
//!
//! It lies in a map that is mapped into memory. So a renewal is two stores, and no call that could be held up in the kernel. The same row
//! says whether the program tells of flows.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::{NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO, NODE_TELLS_FLOWS, NodeState, map};
use lb_core::pair::Service;

use super::{Dataplane, DataplaneError, sys::MappedArray};

/// The words of a [`NodeState`] in memory.
const WORDS: usize = size_of::<NodeState>() / size_of::<u64>();
const UNTIL: usize = 0;
/// The service, and the flags in the upper half.
const SERVICE: usize = 1;
const FLAGS_SHIFT: u32 = 32;
const FLAGS: u64 = (u32::MAX as u64) << FLAGS_SHIFT;

/// The row of `node`. Whoever has it decides alone about service and lease: it is for one thread. The flags are another's, and stay.
pub struct LeaseMap {
    row: MappedArray,
}

impl Dataplane {
    /// The lease, to be kept by one thread. A new map says that the node is solo; an adopted one, what it said.
    ///
    /// # Errors
    /// The map cannot be mapped into memory.
    pub fn lease_map(&self) -> Result<LeaseMap, DataplaneError> {
        Ok(LeaseMap { row: self.node_row()? })
    }

    /// Says whether the program writes flow events. What it does from a packet on whose look at the flow table comes after this returns,
    /// it tells; a read of the whole flow table that begins after this has returned sees all that is not told.
    ///
    /// # Errors
    /// The map cannot be mapped into memory.
    pub fn set_tells_flows(&self, tells: bool) -> Result<(), DataplaneError> {
        set_flag(&self.node_row()?, NODE_TELLS_FLOWS, tells);
        Ok(())
    }

    pub(super) fn node_row(&self) -> Result<MappedArray, DataplaneError> {
        MappedArray::new(self.maps.fds.node.as_fd(), WORDS).map_err(|source: io::Error| DataplaneError::MapCall {
            action: "map into memory",
            map: map::NODE,
            source,
        })
    }
}

/// Sets a flag of the row of `node`, or takes it back. The others stay.
pub(super) fn set_flag(row: &MappedArray, flag: u32, is_set: bool) {
    let word = &row.values()[SERVICE];
    let flag = u64::from(flag) << FLAGS_SHIFT;
    if is_set {
        word.fetch_or(flag, Ordering::SeqCst);
    } else {
        word.fetch_and(!flag, Ordering::SeqCst);
    }
}

impl LeaseMap {
    /// Says what the program does until `until`, in jiffies (see [`super::Jiffies`]), and that it is silent from then on. Silent is
    /// silent for good: its `until` is of no account.
    ///
    /// A thread that is held up between the two stores leaves nothing that is worth more than what was there or than what is stored.
    pub fn store(&self, service: Service, until: u64) {
        match service {
            Service::Serving => {
                self.word(UNTIL).store(until, Ordering::Release);
                self.set_service(NODE_SERVING);
            }
            Service::Draining => {
                self.set_service(NODE_DRAINING);
                self.word(UNTIL).store(until, Ordering::Release);
            }
            Service::Silent => {
                self.set_service(NODE_SILENT);
                self.word(UNTIL).store(0, Ordering::Release);
            }
        }
    }

    /// Says that the node has no peer: it serves, without a lease.
    pub fn store_solo(&self) {
        self.set_service(NODE_SOLO);
        self.word(UNTIL).store(0, Ordering::Release);
    }

    /// Stores a row as it is, whatever it says: for tests and benches.
    pub fn put(&self, row: NodeState) {
        self.word(UNTIL).store(row.lease_until, Ordering::Release);
        self.word(SERVICE).store(u64::from(row.service) | u64::from(row.flags) << FLAGS_SHIFT, Ordering::Release);
    }

    /// What the map says.
    #[must_use]
    pub fn load(&self) -> NodeState {
        let service = self.word(SERVICE).load(Ordering::Acquire);
        let lease_until = self.word(UNTIL).load(Ordering::Acquire);
        NodeState { lease_until, service: service as u32, flags: (service >> FLAGS_SHIFT) as u32 }
    }

    fn set_service(&self, service: u32) {
        // It always has an answer, so it cannot fail.
        let _ = self
            .word(SERVICE)
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| Some(word & FLAGS | u64::from(service)));
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.row.values()[at]
    }
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(NodeState, lease_until) == UNTIL * size_of::<u64>());
    assert!(offset_of!(NodeState, service) == SERVICE * size_of::<u64>());
    assert!(cfg!(target_endian = "little"), "the service is the lower half of its word");
};
