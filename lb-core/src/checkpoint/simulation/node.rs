//! A node of the simulation: its table, maps and ledger, and what it makes of the owner's entries.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use lb_common::{FlowKey, FlowValue, HalfOpenValue, NO_REAL, REAL_ALIVE};

use crate::{
    checkpoint::{
        Dictionary, Entry, FlowEntry,
        ledger::{Ledger, Limits},
    },
    rows::{address_of, diff},
    service::Cluster,
    table::{
        SchedulingTable,
        simulation::{
            SLOTS,
            config::{Config, REALS, real_name},
            forward::{Maps, Told},
            hop, options,
        },
    },
    testing::steps,
};

/// Bytes of backlog: little, so that it overflows.
const MAX_BACKLOG: usize = 24_000;
/// Waited for the follower's ack of a change, in microseconds.
const WRITE_AHEAD_TIMEOUT_US: u64 = 10_000;

pub(super) struct Node {
    pub(super) config: Config,
    pub(super) table: SchedulingTable,
    pub(super) maps: Maps,
    pub(super) ledger: Ledger,
    pub(super) dictionary: Dictionary,
    /// Its clock is ahead of the other's.
    pub(super) ahead_ms: u64,
    /// Which state of the owner's table it has.
    pub(super) version: u64,
    /// It has had everything of this owner, and configures itself as it did then.
    pub(super) whole: bool,
    /// What it remembers and has not been told yet, while it is told everything.
    unnamed: HashSet<FlowKey>,
    /// What the sweep has removed and the ledger has not been told.
    pub(super) swept: Vec<FlowKey>,
}

impl Node {
    /// With a clock of its own. `room` is how many events its ring buffer holds.
    pub(super) fn new(ahead_ms: u64, room: usize) -> Self {
        let limits = Limits {
            max_backlog: MAX_BACKLOG,
            write_ahead_timeout_us: WRITE_AHEAD_TIMEOUT_US,
            has_peer: true,
            has_store: false,
        };
        let mut node = Self {
            config: Config::default(),
            table: SchedulingTable::with_ring_slots(options(), SLOTS),
            maps: Maps::default(),
            ledger: Ledger::new(limits),
            dictionary: Dictionary::default(),
            ahead_ms,
            version: 0,
            whole: false,
            unnamed: HashSet::new(),
            swept: Vec::new(),
        };
        node.maps.events.room = room;
        node
    }

    /// The table with another configuration.
    pub(super) fn configured(table: &SchedulingTable, cluster: Cluster, now_ms: u64) -> SchedulingTable {
        let mut next = table.clone();
        next.replace(cluster, now_ms).unwrap();
        for real in 0..REALS {
            drop(next.set_next_hop(&real_name(real), hop(1)));
        }
        next
    }

    /// Writes the maps all at once.
    pub(super) fn adopt(&mut self, next: SchedulingTable) {
        for write in steps(&diff(&self.maps.rows, &next.rows())) {
            self.maps.apply(&write);
        }
        self.table = next;
    }

    /// The daemon is started again; its maps outlive it, but its memory does not.
    pub(super) fn restart(&mut self, now_ms: u64) {
        let empty = SchedulingTable::with_ring_slots(options(), SLOTS);
        let past = empty.with_past(self.table.saved(), &self.maps.rows, now_ms);
        self.adopt(Self::configured(&past, self.config.cluster(), now_ms));
        self.dictionary = Dictionary::default();
        self.whole = false;
    }

    /// The owner begins to tell everything.
    pub(super) fn begin(&mut self) {
        self.dictionary = Dictionary::default();
        self.unnamed = self.maps.flows.keys().chain(self.maps.half_open.keys()).copied().collect();
    }

    /// That was everything.
    pub(super) fn end(&mut self) {
        for key in std::mem::take(&mut self.unnamed) {
            self.forget(&key);
        }
        self.whole = true;
    }

    /// Takes over what the owner tells.
    pub(super) fn take(&mut self, entries: &[Entry], generation: u64, now_ms: u64) {
        let mut next = self.table.clone();
        let followed = next.follow(entries, &mut self.dictionary, now_ms);
        next.raise_generation(generation);
        assert!(!next.clone().follow(entries, &mut self.dictionary.clone(), now_ms).changed, "the same told twice");
        self.adopt(next);
        let is_over = |service: u16| followed.without_flows.contains(&service);
        self.maps.flows.retain(|_, flow| !is_over(flow.service));
        self.maps.half_open.retain(|_, flow| !is_over(flow.service));
        for entry in entries {
            match entry {
                Entry::Remembered(flows) => flows.iter().for_each(|flow| self.remember(flow, now_ms)),
                Entry::HalfOpen(flows) => flows.iter().for_each(|flow| self.half_open(flow, now_ms)),
                Entry::Forgotten(keys) => keys.iter().for_each(|key| self.forget(key)),
                _ => {}
            }
        }
    }

    fn remember(&mut self, flow: &FlowEntry, now_ms: u64) {
        self.forget(&flow.key);
        if let Some((key, value)) = self.dictionary.flow(flow, &self.table) {
            self.maps.flows.insert(key, FlowValue { last_seen_ns: now_ms, ..value });
        }
    }

    fn half_open(&mut self, flow: &FlowEntry, now_ms: u64) {
        self.forget(&flow.key);
        if let Some((key, FlowValue { slot, real, service, .. })) = self.dictionary.flow(flow, &self.table) {
            self.maps.half_open.insert(key, HalfOpenValue { began_ns: now_ms, slot, real, service });
        }
    }

    /// A flow is in one of the tables at most.
    fn forget(&mut self, key: &FlowKey) {
        self.unnamed.remove(key);
        self.maps.flows.remove(key);
        self.maps.half_open.remove(key);
    }

    /// What the program has told, and what the sweep has found: in this order, and only what is still so. A flow that has come back since
    /// it was swept tells so itself.
    pub(super) fn news(&mut self) -> Vec<Entry> {
        let mut entries = told(self.maps.events.waiting.drain(..));
        let is_back = |key: &FlowKey| self.maps.flows.contains_key(key) || self.maps.half_open.contains_key(key);
        let gone: Vec<FlowKey> = self.swept.drain(..).filter(|key| !is_back(key)).collect();
        if !gone.is_empty() {
            entries.push(Entry::Forgotten(gone));
        }
        entries
    }

    /// The flow as the tables have it now.
    pub(super) fn flow(&self, key: &FlowKey) -> Option<Entry> {
        let entry = |service, real| vec![FlowEntry { key: *key, service, real }];
        let flow = self.maps.flows.get(key).map(|flow| Entry::Remembered(entry(flow.service, flow.real)));
        flow.or_else(|| self.maps.half_open.get(key).map(|flow| Entry::HalfOpen(entry(flow.service, flow.real))))
    }

    /// All that the flow tables have, in an order that follows from the keys.
    pub(super) fn keys(&self) -> Vec<FlowKey> {
        let mut keys: Vec<FlowKey> = self.maps.flows.keys().chain(self.maps.half_open.keys()).copied().collect();
        keys.sort_unstable_by_key(|key| (key.client, key.service.port, key.service.protocol));
        keys
    }

    /// Which server the id stands for.
    pub(super) fn server(&self, real: u16) -> Option<IpAddr> {
        let row = self.maps.rows.reals.get(&real).filter(|_| real != NO_REAL)?;
        address_of(&row.address, row.family)
    }

    /// Its maps send packets to this server.
    pub(super) fn has_alive(&self, server: IpAddr) -> bool {
        let mut rows = self.maps.rows.reals.values();
        rows.any(|row| row.flags & REAL_ALIVE != 0 && address_of(&row.address, row.family) == Some(server))
    }

    /// Which server the flow tables name for the flow.
    pub(super) fn remembered(&self, key: &FlowKey) -> Option<IpAddr> {
        let flow = self.maps.flows.get(key).map(|flow| flow.real);
        self.server(flow.or_else(|| self.maps.half_open.get(key).map(|flow| flow.real))?)
    }

    /// All that there is to tell of the table.
    pub(super) fn everything(&self, now_ms: u64) -> Vec<Entry> {
        self.table.checkpoint(&BTreeMap::new(), now_ms)
    }
}

fn told(events: impl Iterator<Item = Told>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for event in events {
        match (event, entries.last_mut()) {
            (Told::Remembered(flow), Some(Entry::Remembered(flows)))
            | (Told::HalfOpen(flow), Some(Entry::HalfOpen(flows))) => flows.push(flow),
            (Told::Forgotten(key), Some(Entry::Forgotten(keys))) => keys.push(key),
            (Told::Remembered(flow), _) => entries.push(Entry::Remembered(vec![flow])),
            (Told::HalfOpen(flow), _) => entries.push(Entry::HalfOpen(vec![flow])),
            (Told::Forgotten(key), _) => entries.push(Entry::Forgotten(vec![key])),
        }
    }
    entries
}
