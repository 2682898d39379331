//! What the tests of the store share: a disk in memory, and a small cluster whose checkpoints are kept on it.

// Each test uses a part of it.
#![allow(dead_code)]

pub mod disk;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use lb_common::FlowKey;
use lb_core::{
    auth::Keys,
    checkpoint::{Entry, FlowEntry, Origin, RealEntry, Sequence, image::Image},
    pair::{Epoch, Role},
    table::{AdminState, Learned, RealPlan},
};
use lb_store::{Files, Options, Recovery, Restored, Store};

pub const CLUSTER: u64 = 0x1122_3344_5566_7788;
pub const KEY: &str = "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// More than the tests write.
pub const MAX_SIZE: u64 = 1 << 30;

pub fn keys() -> Keys {
    Keys::parse(KEY).expect("a good key")
}

pub fn options(owner: Role, shared: bool) -> Options {
    Options { cluster: CLUSTER, keys: keys(), max_size: MAX_SIZE, owner, shared }
}

pub fn directory() -> PathBuf {
    PathBuf::from("/checkpoints")
}

pub fn open(files: impl Files + 'static, options: Options) -> (Store, Recovery) {
    Store::open(Arc::new(files), &directory(), options)
}

pub fn origin(owner: Role, boot: u32, epoch: Epoch) -> Origin {
    Origin { cluster: CLUSTER, owner, boot, epoch }
}

/// What is known, in short: where flows go, by the client's port, and reals' weights, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub flows: BTreeMap<u16, u16>,
    pub weights: BTreeMap<u16, Option<u32>>,
}

impl Known {
    pub fn of(image: &Image) -> Self {
        let mut known = Self::default();
        image.entries().for_each(|entry| known.apply(&entry));
        known
    }

    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Real(real) => {
                self.weights.insert(real.id, real.weight);
            }
            Entry::Remembered(flows) => {
                self.flows.extend(flows.iter().map(|flow| (flow.key.client_port, flow.real)));
            }
            Entry::Forgotten(keys) => keys.iter().for_each(|key| {
                self.flows.remove(&key.client_port);
            }),
            _ => {}
        }
    }

    /// It as it would be after these entries.
    pub fn with(&self, entries: &[Entry]) -> Self {
        let mut known = self.clone();
        entries.iter().for_each(|entry| known.apply(entry));
        known
    }

    /// All of it, in parts.
    pub fn parts(&self) -> Vec<Vec<Entry>> {
        let reals = self.weights.iter().map(|(id, weight)| real(*id, *weight)).collect();
        let flows = self.flows.iter().map(|(port, real)| flow(*port, *real)).collect();
        vec![reals, vec![Entry::Remembered(flows)]]
    }

    /// Some change: flows come and go, and now and then a weight changes.
    pub fn some_change(&self, rng: &mut fastrand::Rng) -> Vec<Entry> {
        let come = (0..rng.usize(1..8)).map(|_| flow(rng.u16(1..200), rng.u16(1..9))).collect();
        let gone = self.flows.keys().filter(|_| rng.u8(..10) == 0).map(|port| key(*port)).collect();
        let mut entries = vec![Entry::Forgotten(gone), Entry::Remembered(come)];
        if rng.u8(..4) == 0 {
            entries.push(real(rng.u16(1..9), rng.bool().then(|| rng.u32(1..100))));
        }
        entries
    }
}

/// A state with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub origin: Origin,
    pub sequence: Sequence,
    pub known: Known,
}

impl Placed {
    pub fn of(restored: &Restored) -> Self {
        let Restored { origin, sequence, image, .. } = restored;
        Self { origin: *origin, sequence: *sequence, known: Known::of(image) }
    }
}

pub fn key(port: u16) -> FlowKey {
    let mut key = FlowKey { client_port: port, ..FlowKey::default() };
    key.client[..4].copy_from_slice(&[192, 0, 2, 1]);
    key.service.vip[..4].copy_from_slice(&[198, 51, 100, 1]);
    key.service.port = 443;
    key.service.protocol = 6;
    key.service.family = lb_common::FAMILY_V4;
    key
}

pub fn flow(port: u16, real: u16) -> FlowEntry {
    FlowEntry { key: key(port), service: 1, real }
}

pub fn real(id: u16, weight: Option<u32>) -> Entry {
    Entry::Real(RealEntry {
        id,
        name: format!("real-{id}"),
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        admin: AdminState::Enabled,
        weight,
        plan: RealPlan::default(),
        learned: Learned::default(),
        load: None,
    })
}

/// Begins a snapshot of a state.
pub fn begin(store: &mut Store, placed: &Placed) -> Result<lb_store::Committed, lb_store::StoreError> {
    store.begin(placed.origin, placed.sequence, placed.sequence, 0, placed.known.parts().into_iter().map(Ok))
}

/// The path of a file in the tests' directory.
pub fn path(name: &str) -> PathBuf {
    Path::new("/checkpoints").join(name)
}
