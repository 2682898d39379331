//! The node that keeps checkpoints: the daemon's own ledger and store, over a flow table in the kernel.

use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use lb_common::{FLOW_OPEN, FlowKey, FlowValue, Slot};
use lb_core::checkpoint::{Entry, FlowEntry, Origin};
use lb_daemon::checkpoint::hub::Hub;
use lb_daemon::checkpoint::pieces;
use lb_daemon::config::Config;
use lb_daemon::dataplane::{Dataplane, FlowTable};
use lb_daemon::peer;
use lb_lab::interrupt;
use lb_store::{Committed, HostFiles, Options, Recovery, Store};
use lb_tests::world::index_of;

use crate::case::Case;
use crate::node::{self, milliseconds};
use crate::world::{World, origin};

/// What a delta has: flows that are remembered, flows that are forgotten, slots.
pub const REMEMBERED: u32 = 400;
const FORGOTTEN: u32 = REMEMBERED;
pub const SLOTS: u32 = 200;
/// All together.
pub const CHANGES: u32 = REMEMBERED + FORGOTTEN + SLOTS;

/// The owner.
pub struct Owner {
    /// Its ledger.
    pub hub: Arc<Hub>,
    origin: Origin,
    store: Store,
    world: World,
    flow_table: Arc<FlowTable>,
    /// The flows that the last delta has remembered, and the next forgets.
    newest: Vec<FlowEntry>,
    next: u32,
    next_slot: u32,
    // The maps are there as long as it.
    _dataplane: Dataplane,
}

/// What a commit took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From the change to the disk, in milliseconds.
    pub ms: f64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// What has changed between two commits.
pub struct Change {
    /// Flows newly remembered.
    pub remembered: Vec<FlowEntry>,
    /// Flows forgotten.
    pub forgotten: Vec<FlowKey>,
    /// Slots that are other than before.
    pub slots: Vec<u32>,
}

impl Owner {
    /// An owner that has its flows in the kernel, and nothing on the disk yet.
    pub fn start(config: &Config, world: World, case: Case) -> Result<Owner> {
        let settings = config.settings.checkpoint.clone().context("the configuration keeps no checkpoints")?;
        let (dataplane, _) = node::open(&config.settings)?;
        let flow_table = Arc::new(dataplane.flow_table()?);
        put(&flow_table, &world.remembered)?;
        let hub = Arc::new(Hub::new(settings, false));
        let origin = origin(config)?;
        hub.change(|ledger, _| ledger.lead(origin));
        let (store, _) = store(config)?;
        let (next, next_slot, newest) = (case.flows, 0, Vec::new());
        Ok(Owner { hub, origin, store, world, flow_table, newest, next, next_slot, _dataplane: dataplane })
    }

    /// Writes everything.
    pub fn full(&mut self) -> Result<Cost> {
        interrupt::check()?;
        let began = Instant::now();
        self.hub.change(|ledger, now| ledger.tell_all_anew(now));
        let committed = self.snapshot()?;
        Ok(Cost { ms: milliseconds(began), bytes: committed.bytes })
    }

    /// Changes something, and writes what has changed. Gives that, for others to write it as well.
    pub fn delta(&mut self) -> Result<(Cost, Change)> {
        interrupt::check()?;
        let change = self.change()?;
        let before = self.world.table.clone();
        self.world.toggle_slots(change.slots.iter().copied())?;
        let flows = [Entry::Remembered(change.remembered.clone()), Entry::Forgotten(change.forgotten.clone())];
        let began = Instant::now();
        let mut entries = self.world.table.checkpoint_since(&before, &BTreeMap::new(), &BTreeMap::new(), 0);
        entries.extend(flows);
        self.hub.change(|ledger, now| ledger.append(entries, ledger.generation(), now));
        let committed = self.append()?.context("nothing has changed")?;
        Ok((Cost { ms: milliseconds(began), bytes: committed.bytes }, change))
    }

    /// Puts what the disk does not have yet on it, if there is any.
    pub fn append(&mut self) -> Result<Option<Committed>> {
        let Some(news) = self.hub.look(|ledger, _| ledger.uncommitted()).map_err(|_| anyhow!("a full is needed"))?
        else {
            return Ok(None);
        };
        let committed = self.store.append(news.last(), news.generation(), unix_ms(), &news.entries())?;
        self.hub.change(|ledger, _| ledger.committed(news.origin, news.last()));
        Ok(Some(committed))
    }

    /// Puts everything on the disk: the flows as another thread reads them.
    fn snapshot(&mut self) -> Result<Committed> {
        let (_, sequence) = self.hub.look(|ledger, _| ledger.held()).context("the ledger holds nothing")?;
        let entries = self.world.table.checkpoint(&BTreeMap::new(), 0);
        let mut pieces = pieces::all(entries, self.flow_table.clone());
        let parts = iter::from_fn(|| pieces.blocking_recv());
        let committed = self.store.begin(self.origin, sequence, self.world.table.generation(), unix_ms(), parts)?;
        self.hub.change(|ledger, _| ledger.committed(self.origin, sequence));
        Ok(committed)
    }

    /// The flow table changes as the program changes it; slots do when they have been chosen.
    fn change(&mut self) -> Result<Change> {
        let remembered = self.world.more(self.next, REMEMBERED)?;
        self.next += REMEMBERED;
        put(&self.flow_table, &remembered)?;
        let forgotten: Vec<FlowKey> = self.newest.iter().map(|flow| flow.key).collect();
        self.flow_table.forget_batch(&forgotten)?;
        self.newest.clone_from(&remembered);
        let slots = self.next_slot..self.next_slot + SLOTS;
        self.next_slot = slots.end;
        Ok(Change { remembered, forgotten, slots: slots.collect() })
    }

    /// The slots as they are now.
    pub fn ring(&self) -> Result<Arc<[Slot]>> {
        self.world.ring()
    }

    /// The flows that are remembered now, in the order in which the kernel gives them.
    pub fn flows(&self) -> Result<Vec<FlowEntry>> {
        let mut flows = Vec::new();
        self.flow_table.each(|key, value| {
            flows.push(FlowEntry { key: *key, service: value.service, real: value.real });
            true
        })?;
        Ok(flows)
    }

    /// How many of the flows that are remembered now the disk does not have as they are.
    pub fn missing_on_disk(&self, config: &Config) -> Result<u64> {
        let (_, recovery) = store(config)?;
        let image = recovery.newest.context("the disk has nothing that can be used")?.image;
        let on_disk: HashSet<FlowEntry> = image.flows().collect();
        Ok(self.flows()?.iter().filter(|flow| !on_disk.contains(flow)).count() as u64)
    }
}

/// The store of a configuration, and what it has.
pub fn store(config: &Config) -> Result<(Store, Recovery)> {
    let settings = config.settings.checkpoint.as_ref().context("the configuration keeps no checkpoints")?;
    let options = Options {
        cluster: settings.cluster_id(),
        keys: peer::read_keys(&settings.key_file)?,
        max_size: settings.max_size,
        owner: origin(config)?.owner,
        shared: false,
    };
    Ok(Store::open(Arc::new(HostFiles), settings.place.path(), options))
}

fn put(table: &FlowTable, flows: &[FlowEntry]) -> Result<()> {
    let row = |flow: &FlowEntry| {
        let FlowEntry { key, service, real } = *flow;
        let slot = index_of(&key);
        let last_seen_ns = Dataplane::now_ns();
        (key, FlowValue { last_seen_ns, slot, real, service, state: FLOW_OPEN, ..FlowValue::default() })
    };
    let rows: Vec<(FlowKey, FlowValue)> = flows.iter().map(row).collect();
    let put = table.put_batch(&rows)?;
    ensure!(put.refused.is_empty(), "the flow table has no room for {} flows", put.refused.len());
    Ok(())
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
