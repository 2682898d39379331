//! Checkpoints: what a node has learned, so that its successor knows it: the paper's checkpoint, and its recovery cache.
//!
//! An owner tells what changes as a sequence of [`Batch`]es of [`Entry`]s. All ids in them are the owner's; names come with them, and who follows
//! translates by a [`Dictionary`]. docs/checkpoints.md says how batches travel and where they are kept.

pub mod codec;
pub mod image;
pub mod ledger;
pub mod line;
pub mod record;
pub mod session;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use lb_common::{FlowKey, Slot};
use sha2::{Digest, Sha256};

use crate::{
    pair::{Epoch, Role},
    service::{Ports, Protocol},
    table::{AdminState, Learned, RealPlan, ServicePlan},
};

/// Number of a batch. Grows by one with each, and begins anew with each [`Origin`].
pub type Sequence = u64;

/// The number that a cluster's name stands for in [`Origin::cluster`]: the first eight bytes of its SHA-256, big-endian.
#[must_use]
pub fn cluster_id(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

/// Whose batches they are. Of two origins of a cluster the one of the higher epoch is newer; of equal epochs, the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Which cluster: nodes of another one have nothing to say here.
    pub cluster: u64,
    /// The owner's configured role; a solo node's is primary.
    pub owner: Role,
    /// The generation of the owner's start.
    pub boot: u32,
    /// The epoch in which it owned the VIPs; 0 for a solo node.
    pub epoch: Epoch,
}

/// What has changed at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number.
    pub sequence: Sequence,
    /// The scheduling table's generation after it.
    pub generation: u64,
    /// To be applied in this order.
    pub entries: Vec<Entry>,
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A service is there, like this.
    Service(ServiceEntry),
    /// A service is gone, and with it its flows.
    ServiceGone(u16),
    /// A real is there, like this.
    Real(RealEntry),
    /// A real is gone.
    RealGone(u16),
    /// All slots of a service.
    Ring(RingEntry),
    /// Some slots of a service.
    Slots {
        /// The service's id.
        service: u16,
        /// By rising index.
        changes: Vec<SlotChange>,
    },
    /// Flows that the flow table remembers.
    Remembered(Vec<FlowEntry>),
    /// Flows that it remembers no more.
    Forgotten(Vec<FlowKey>),
    /// Flows of which only the SYN has come, in slots that remember. Told to a peer, never kept on disk.
    HalfOpen(Vec<FlowEntry>),
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Its id.
    pub id: u16,
    /// Its name, by which another node knows it.
    pub name: String,
    /// Its VIP.
    pub vip: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its ports.
    pub ports: Ports,
    /// What is planned of it.
    pub plan: ServicePlan,
}

/// A real, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RealEntry {
    /// Its id.
    pub id: u16,
    /// Its name, by which another node knows it.
    pub name: String,
    /// Its address. A real of this name with another address is another server.
    pub address: IpAddr,
    /// What the operator wants of it.
    pub admin: AdminState,
    /// The operator's weight for it.
    pub weight: Option<u32>,
    /// What is planned of it.
    pub plan: RealPlan,
    /// What was learned of it by watching.
    pub learned: Learned,
    /// Its smoothed load, where it is known.
    pub load: Option<Load>,
}

/// How loaded a real is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Smoothed utilisation: 1 is all that it can do.
    pub utilisation: f32,
    /// Hits a second, where they are reported.
    pub hits: Option<f32>,
}

/// The whole ring of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingEntry {
    /// The service's id.
    pub service: u16,
    /// All its slots, by real ids of the owner.
    pub slots: Arc<[Slot]>,
    /// By rising index, for each slot that is not clean: how long it has been what it is, in milliseconds.
    pub ages_ms: Arc<[(u32, u64)]>,
}

/// A slot as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Its index in the ring.
    pub index: u32,
    /// What it holds, by real ids of the owner.
    pub slot: Slot,
    /// How long it has been so, in milliseconds; 0 for a clean one.
    pub age_ms: u64,
}

/// A flow that is an exception. Its slot follows from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowEntry {
    /// Client, VIP, ports, protocol.
    pub key: FlowKey,
    /// The service's id.
    pub service: u16,
    /// Where its packets go.
    pub real: u16,
}

/// Whom the owner's ids stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dictionary {
    /// Services by id.
    pub services: BTreeMap<u16, ServiceEntry>,
    /// Reals by id.
    pub reals: BTreeMap<u16, RealEntry>,
}

impl Dictionary {
    /// Takes over what an entry says of services and reals.
    pub fn learn(&mut self, entry: &Entry) {
        match entry {
            Entry::Service(service) => {
                self.services.insert(service.id, service.clone());
            }
            Entry::ServiceGone(id) => {
                self.services.remove(id);
            }
            Entry::Real(real) => {
                self.reals.insert(real.id, real.clone());
            }
            Entry::RealGone(id) => {
                self.reals.remove(id);
            }
            Entry::Ring(_) | Entry::Slots { .. } | Entry::Remembered(_) | Entry::Forgotten(_) | Entry::HalfOpen(_) => {}
        }
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf understudy | sha256sum`.
    #[test]
    fn a_cluster_has_the_number_of_its_name() {
        assert_eq!(cluster_id("understudy"), 0x1aae809381b4d2e5);
        assert_ne!(cluster_id("understudy"), cluster_id("Understudy"));
    }
}
