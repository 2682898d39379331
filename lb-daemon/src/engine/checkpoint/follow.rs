//! On a node that follows: what the owner of the VIPs tells becomes this node's table and flow table. Its own checks and reports go
//! on, but they move nothing.

use lb_common::{FlowKey, FlowValue, HalfOpenValue};
use lb_core::checkpoint::{Batch, Dictionary, Entry, FlowEntry, Origin};
use lb_core::table::Translation;
use tracing::info;

use super::{Flows, Keeping, Standing};
use crate::engine::{ChangeError, Engine};

/// The subject of what is said of names that only the owner knows.
pub(super) const STRANGERS: &str = "checkpoint names";
/// The subject of what is said of flows that cannot be written.
pub(super) const FLOWS: &str = "checkpoint flows";
/// Most names that a trouble lists.
const NAMES_TOLD: usize = 8;

/// Whom this node follows.
pub(super) struct Following {
    pub(super) origin: Origin,
    /// What the owner's ids stand for.
    pub(super) dictionary: Dictionary,
    /// The owner's table's generation, as far as it has been told.
    pub(super) generation: u64,
    /// When flows were last seen, for all that is written from now on. Greater with each full.
    stamp_ns: u64,
}

/// What a batch has become here.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The same, in this node's ids.
    pub entries: Vec<Entry>,
    /// This table's generation after it.
    pub generation: u64,
}

/// Why what the owner told could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
    /// This node does not follow this owner.
    #[error("this node does not follow that owner (any more)")]
    NotFollowed,
    /// The maps did not take it.
    #[error("{0}")]
    Change(#[from] ChangeError),
}

impl Engine {
    /// An owner begins to tell everything: from now on it says what the table is.
    pub fn begin_full(&mut self, origin: Origin) {
        let now_ns = self.forwarder.now_ns();
        let Some(keeping) = &mut self.keeping else { return };
        let stamp_ns = match &keeping.standing {
            Standing::Following(before) => now_ns.max(before.stamp_ns + 1),
            Standing::Own | Standing::Waiting { .. } => now_ns,
        };
        if !matches!(&keeping.standing, Standing::Following(before) if before.origin == origin) {
            info!("checkpoints: follows what the active node has (epoch {})", origin.epoch);
        }
        let following = Following { origin, dictionary: Dictionary::default(), generation: 0, stamp_ns };
        keeping.standing = Standing::Following(Box::new(following));
        keeping.predecessor = None;
        self.troubles.clear(STRANGERS);
        self.troubles.clear(FLOWS);
    }

    /// A part of everything. The table comes first.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub fn full_part(&mut self, origin: Origin, entries: &[Entry]) -> Result<(), NotApplied> {
        self.apply(origin, entries, false).map(drop)
    }

    /// That was everything, of this generation of the owner's table: flows that were not named are over. Gives the generation of this
    /// node's own.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub fn end_full(&mut self, origin: Origin, generation: u64) -> Result<u64, NotApplied> {
        let keeping = followed(&mut self.keeping, origin)?;
        let Standing::Following(following) = &mut keeping.standing else { return Err(NotApplied::NotFollowed) };
        following.generation = generation;
        let stamp_ns = following.stamp_ns;
        if let Err(error) = forget_flows(&*keeping.flows, |value| value.last_seen_ns < stamp_ns) {
            self.say_unwritten(&error);
        }
        Ok(self.table.generation())
    }

    /// What has changed at the owner.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub fn apply_batch(&mut self, origin: Origin, batch: &Batch) -> Result<Applied, NotApplied> {
        let entries = self.apply(origin, &batch.entries, true)?;
        if let Standing::Following(following) = &mut followed(&mut self.keeping, origin)?.standing {
            following.generation = batch.generation;
        }
        Ok(Applied { entries, generation: self.table.generation() })
    }

    /// Takes entries over; gives them back in this node's ids where `is_wanted`.
    fn apply(&mut self, origin: Origin, entries: &[Entry], is_wanted: bool) -> Result<Vec<Entry>, NotApplied> {
        followed(&mut self.keeping, origin)?;
        let mut own = Vec::new();
        if entries.iter().any(|entry| !is_about_flows(entry)) {
            own = self.apply_to_table(entries, is_wanted)?;
        }
        match self.write_flows(origin, entries, is_wanted)? {
            Ok(flows) if is_wanted => own.extend(flows),
            Ok(_) => {}
            Err(error) => self.say_unwritten(&error),
        }
        Ok(own)
    }

    fn write_flows(
        &mut self,
        origin: Origin,
        entries: &[Entry],
        is_news: bool,
    ) -> Result<anyhow::Result<Vec<Entry>>, NotApplied> {
        let keeping = followed(&mut self.keeping, origin)?;
        let Standing::Following(following) = &keeping.standing else { return Err(NotApplied::NotFollowed) };
        if !entries.iter().any(is_about_flows) {
            return Ok(Ok(Vec::new()));
        }
        let names = following.dictionary.translation(&self.table);
        let stamp_ns = self.forwarder.now_ns().max(following.stamp_ns);
        Ok(FlowWriter { flows: &*keeping.flows, names, stamp_ns, is_news }.write(entries))
    }

    fn apply_to_table(&mut self, entries: &[Entry], is_wanted: bool) -> Result<Vec<Entry>, ChangeError> {
        let Some(Standing::Following(following)) = self.keeping.as_mut().map(|keeping| &mut keeping.standing) else {
            return Ok(Vec::new());
        };
        let mut dictionary = std::mem::take(&mut following.dictionary);
        let before = is_wanted.then(|| self.table.clone());
        let mut without_flows = Vec::new();
        let changed = self.change(|table, now_ms| {
            without_flows = table.follow(entries, &mut dictionary, now_ms).without_flows;
            Ok(())
        });
        self.say_strangers(&dictionary.strangers(&self.table));
        let now_ms = self.now_ms();
        let Some(keeping) = &mut self.keeping else { return Ok(Vec::new()) };
        let known_before = std::mem::replace(&mut keeping.known, dictionary.known());
        if let Standing::Following(following) = &mut keeping.standing {
            following.dictionary = dictionary;
        }
        changed?;
        let own = |before| self.table.checkpoint_since(&before, &keeping.known, &known_before, now_ms);
        let own = before.map(own).unwrap_or_default();
        if !without_flows.is_empty()
            && let Err(error) = forget_flows(&*keeping.flows, |value| without_flows.contains(&value.service))
        {
            self.say_unwritten(&error);
        }
        Ok(own)
    }

    /// A reload may have added what the owner has told of before.
    pub(in crate::engine) fn ask_for_all_when_following(&mut self) {
        if let Some(keeping) = &mut self.keeping
            && matches!(keeping.standing, Standing::Following(_))
        {
            keeping.checkpoints.ask_for_all();
        }
    }

    fn say_strangers(&mut self, strangers: &[String]) {
        if strangers.is_empty() {
            self.troubles.clear(STRANGERS);
            return;
        }
        let mut names = strangers.iter().take(NAMES_TOLD).cloned().collect::<Vec<_>>().join(", ");
        if strangers.len() > NAMES_TOLD {
            names.push_str(", ...");
        }
        let message = format!(
            "the active node has what is not configured here: {names}; flows to it would break at a takeover: make the \
             configurations alike and reload"
        );
        self.troubles.warning(STRANGERS, message);
    }

    fn say_unwritten(&mut self, error: &anyhow::Error) {
        if let Some(keeping) = &mut self.keeping {
            keeping.checkpoints.unwritten(&format!("{error:#}"));
        }
        let message = format!(
            "flows that the active node remembers cannot be written here, and would break at a takeover: {error:#}"
        );
        self.troubles.degraded(FLOWS, message);
    }
}

/// Who keeps what the owner tells, if it is this one.
fn followed(keeping: &mut Option<Keeping>, origin: Origin) -> Result<&mut Keeping, NotApplied> {
    let is_followed = |keeping: &&mut Keeping| matches!(&keeping.standing, Standing::Following(following) if following.origin == origin);
    keeping.as_mut().filter(is_followed).ok_or(NotApplied::NotFollowed)
}

fn is_about_flows(entry: &Entry) -> bool {
    matches!(entry, Entry::Remembered(_) | Entry::Forgotten(_) | Entry::HalfOpen(_))
}

/// Forgets the flows for which `is_over` says so.
fn forget_flows(flows: &dyn Flows, is_over: impl Fn(&FlowValue) -> bool) -> anyhow::Result<()> {
    let mut over = Vec::new();
    flows.each(&mut |key, value| {
        over.extend(is_over(value).then_some(*key));
        true
    })?;
    flows.forget(&over)
}

/// Writes flows in this node's ids.
pub(super) struct FlowWriter<'a> {
    pub(super) flows: &'a dyn Flows,
    pub(super) names: Translation,
    /// When they were seen last.
    pub(super) stamp_ns: u64,
    /// They tell what has changed: a flow that is remembered was half-open before. Of everything there is nobody says so, which saves a
    /// call of the kernel for each flow; a half-open flow that is left ends by itself, and the flow table comes first.
    pub(super) is_news: bool,
}

impl FlowWriter<'_> {
    /// In the order in which they come. Gives them back in this node's ids.
    pub(super) fn write(&self, entries: &[Entry]) -> anyhow::Result<Vec<Entry>> {
        let mut own = Vec::new();
        for entry in entries {
            match entry {
                Entry::Remembered(list) => own.extend(self.remember(list)?),
                Entry::Forgotten(keys) => {
                    self.flows.forget(keys)?;
                    own.push(entry.clone());
                }
                Entry::HalfOpen(list) => self.half_open(list)?,
                _ => {}
            }
        }
        Ok(own)
    }

    fn remember(&self, list: &[FlowEntry]) -> anyhow::Result<Vec<Entry>> {
        let (mut rows, mut strange) = (Vec::with_capacity(list.len()), Vec::new());
        for flow in list {
            match self.names.flow(flow) {
                Some((key, value)) => rows.push((key, FlowValue { last_seen_ns: self.stamp_ns, ..value })),
                None => strange.push(flow.key),
            }
        }
        self.flows.put(&rows)?;
        if self.is_news {
            self.flows.end_half_open(&rows.iter().map(|(key, _)| *key).collect::<Vec<_>>())?;
        }
        self.flows.forget(&strange)?;
        let mut own = vec![Entry::Remembered(rows.iter().map(own_entry).collect())];
        own.extend((!strange.is_empty()).then_some(Entry::Forgotten(strange)));
        Ok(own)
    }

    /// One that is half-open is not remembered, also where nobody here knows its real.
    fn half_open(&self, list: &[FlowEntry]) -> anyhow::Result<()> {
        self.flows.forget(&list.iter().map(|flow| flow.key).collect::<Vec<_>>())?;
        let row = |flow: &FlowEntry| {
            let (key, value) = self.names.half_open(flow)?;
            Some((key, HalfOpenValue { began_ns: self.stamp_ns, ..value }))
        };
        self.flows.put_half_open(&list.iter().filter_map(row).collect::<Vec<_>>())
    }
}

pub(super) fn own_entry((key, value): &(FlowKey, FlowValue)) -> FlowEntry {
    FlowEntry { key: *key, service: value.service, real: value.real }
}
