//! The lease: what the program does with packets for the VIPs, and until when at most.
//!
//! It lies in a map that is mapped into memory. So a renewal is two stores, and no call that could be held up in the kernel.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::{NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO, NodeState, map};
use lb_core::pair::Service;

use super::{Dataplane, DataplaneError, sys::MappedArray};

/// The words of a [`NodeState`] in memory.
const WORDS: usize = size_of::<NodeState>() / size_of::<u64>();
const UNTIL: usize = 0;
const SERVICE: usize = 1;

/// The row of `node`. Whoever has it decides alone what it says: it is for one thread.
pub struct LeaseMap {
    row: MappedArray,
}

impl Dataplane {
    /// The lease, to be kept by one thread. A new map says that the node is solo; an adopted one, what it said.
    ///
    /// # Errors
    /// The map cannot be mapped into memory.
    pub fn lease_map(&self) -> Result<LeaseMap, DataplaneError> {
        let row = MappedArray::new(self.maps.fds.node.as_fd(), WORDS).map_err(|source: io::Error| {
            DataplaneError::MapCall { action: "map into memory", map: map::NODE, source }
        })?;
        Ok(LeaseMap { row })
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
                self.word(SERVICE).store(NODE_SERVING.into(), Ordering::Release);
            }
            Service::Draining => {
                self.word(SERVICE).store(NODE_DRAINING.into(), Ordering::Release);
                self.word(UNTIL).store(until, Ordering::Release);
            }
            Service::Silent => {
                self.word(SERVICE).store(NODE_SILENT.into(), Ordering::Release);
                self.word(UNTIL).store(0, Ordering::Release);
            }
        }
    }

    /// Says that the node has no peer: it serves, without a lease.
    pub fn store_solo(&self) {
        self.word(SERVICE).store(NODE_SOLO.into(), Ordering::Release);
        self.word(UNTIL).store(0, Ordering::Release);
    }

    /// Stores a row as it is, whatever it says: for tests and benches.
    pub fn put(&self, row: NodeState) {
        self.word(UNTIL).store(row.lease_until, Ordering::Release);
        self.word(SERVICE).store(u64::from(row.service) | u64::from(row.reserved) << 32, Ordering::Release);
    }

    /// What the map says.
    #[must_use]
    pub fn load(&self) -> NodeState {
        let service = self.word(SERVICE).load(Ordering::Acquire);
        let lease_until = self.word(UNTIL).load(Ordering::Acquire);
        NodeState { lease_until, service: service as u32, reserved: (service >> 32) as u32 }
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
