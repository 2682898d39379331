//! What has to be there before the engine takes the data plane: the ledger, the store with what it has of an earlier daemon, and ways to
//! the flow table.

use std::iter;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context as _, bail};
use lb_common::FlowKey;
use lb_core::auth::Keys;
use lb_core::checkpoint::Entry;
use lb_core::pair::Role;
use lb_store::{HostFiles, Options, Recovery, Refused, Store};
use tracing::{info, warn};

use super::commit::unix_ms;
use super::hub::{Hub, Teller};
use super::pieces;
use crate::config::{CheckpointSettings, Settings};
use crate::dataplane::{Dataplane, FlowEvents, FlowTable};
use crate::engine::{CheckpointParts, Restored};
use crate::peer;

/// Everything that the keeper of the checkpoints begins with.
pub struct Prepared {
    pub(super) settings: CheckpointSettings,
    pub(super) keys: Keys,
    pub(super) hub: Arc<Hub>,
    pub(super) store: Store,
    pub(super) events: FlowEvents,
    pub(super) table: Arc<FlowTable>,
    pub(super) found: Found,
    restored: Option<Restored>,
    engine_table: Option<FlowTable>,
}

/// What the disk had.
pub(super) struct Found {
    pub(super) newest: Option<Newest>,
    pub(super) refused: Vec<Refused>,
    pub(super) trouble: Option<String>,
}

/// The newest good checkpoint of the disk.
pub(super) struct Newest {
    pub(super) origin: lb_core::checkpoint::Origin,
    pub(super) sequence: u64,
    pub(super) unix_ms: u64,
    pub(super) flows: u64,
    pub(super) took_ms: f64,
}

/// The disk, while it is being read on a thread of its own: the kernel takes as long to verify the program.
pub struct Reading {
    settings: CheckpointSettings,
    keys: Keys,
    thread: JoinHandle<(Store, Found, Option<Restored>)>,
}

/// Begins to read the disk; nothing where no checkpoints are kept.
///
/// # Errors
/// The keys cannot be used, or there is no thread. A bad disk is no error.
pub fn read(settings: &Settings) -> anyhow::Result<Option<Reading>> {
    let Some(checkpoint) = settings.checkpoint.clone() else { return Ok(None) };
    let keys = peer::read_keys(&checkpoint.key_file)?;
    let (place, used, role) = (checkpoint.clone(), keys.clone(), role(settings));
    let thread = thread::Builder::new().name("restore".to_owned()).spawn(move || open_store(&place, used, role));
    let thread = thread.context("cannot start the thread that reads the checkpoints")?;
    Ok(Some(Reading { settings: checkpoint, keys, thread }))
}

/// Opens what checkpoints need beside the disk, and waits until that has been read.
///
/// # Errors
/// The kernel refuses.
pub fn prepare(
    settings: &Settings,
    reading: Option<Reading>,
    dataplane: &mut Dataplane,
) -> anyhow::Result<Option<Prepared>> {
    let told = |tells| dataplane.set_tells_flows(tells).context("cannot say whether flows are told");
    let Some(Reading { settings: checkpoint, keys, thread }) = reading else {
        told(false)?;
        return Ok(None);
    };
    told(true)?;
    let events = dataplane.flow_events().context("cannot read the flow events")?;
    let table = || dataplane.flow_table().context("cannot have the flow table");
    let (table, engine_table) = (Arc::new(table()?), Some(table()?));
    let hub = Arc::new(Hub::new(checkpoint.clone(), settings.pair.is_some()));
    let Ok((store, found, restored)) = thread.join() else {
        bail!("the thread that reads the checkpoints has failed; the log above says where");
    };
    Ok(Some(Prepared { settings: checkpoint, keys, hub, store, events, table, found, restored, engine_table }))
}

/// A solo node is its own primary.
pub(super) fn role(settings: &Settings) -> Role {
    settings.pair.as_ref().map_or(Role::Primary, |pair| pair.role)
}

impl Prepared {
    /// What the engine gets of it, once.
    pub fn engine_parts(&mut self) -> Option<CheckpointParts> {
        let flows = Box::new(self.engine_table.take()?);
        let table = self.table.clone();
        // What cannot be looked up is taken to be there: it is told once more when it is over.
        let is_gone = move |key: &FlowKey| matches!(table.get(key), Ok(None));
        let checkpoints = Box::new(Teller::new(self.hub.clone(), Box::new(is_gone)));
        Some(CheckpointParts { checkpoints, flows, restored: self.restored.take() })
    }
}

fn open_store(settings: &CheckpointSettings, keys: Keys, owner: Role) -> (Store, Found, Option<Restored>) {
    let began = Instant::now();
    let shared = settings.place.is_shared();
    let options = Options { cluster: settings.cluster_id(), keys, max_size: settings.max_size, owner, shared };
    let (store, recovery) = Store::open(Arc::new(HostFiles), settings.place.path(), options);
    let Recovery { newest, refused, trouble } = recovery;
    for refused in &refused {
        warn!("checkpoints: not used: {refused}");
    }
    if let Some(trouble) = &trouble {
        warn!("checkpoints: {trouble}");
    }
    let (newest, restored) = newest.map(|newest| restored(newest, began)).unzip();
    let trouble = trouble.map(|trouble| trouble.to_string());
    (store, Found { newest, refused, trouble }, restored)
}

fn restored(found: lb_store::Restored, began: Instant) -> (Newest, Restored) {
    let lb_store::Restored { origin, sequence, generation, unix_ms: made_ms, mut image } = found;
    let now_ms = unix_ms();
    image.at(now_ms);
    let (flows, table): (Vec<Entry>, Vec<Entry>) =
        image.entries().partition(|entry| matches!(entry, Entry::Remembered(_)));
    let count = |entry: &Entry| if let Entry::Remembered(flows) = entry { flows.len() as u64 } else { 0 };
    let newest = Newest {
        origin,
        sequence,
        unix_ms: made_ms,
        flows: flows.iter().map(count).sum(),
        took_ms: began.elapsed().as_secs_f64() * 1_000.0,
    };
    info!("checkpoints: the disk has one of {} flows, {} s old", newest.flows, now_ms.saturating_sub(made_ms) / 1_000);
    let (names, slots) = pieces::names_and_slots(table);
    let parts = iter::once(names).chain(flows.into_iter().map(|flows| vec![flows])).chain(iter::once(slots));
    (newest, Restored { origin, generation, parts: Box::new(parts) })
}
