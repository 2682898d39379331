//! What the engine tells of the table for checkpoints, and who says what the table is: this node's own rules, or the owner of the
//! VIPs that it follows.

mod follow;
mod lead;
mod restore;
mod succeed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::{FlowKey, FlowValue, HalfOpenValue};
use lb_core::checkpoint::Entry;
use lb_core::table::{Learned, RealKnown, SchedulingTable};

use super::{ChangeError, Engine};
use crate::config::CheckpointSettings;
use crate::dataplane::FlowTable;

use follow::Following;
pub use follow::{Applied, NotApplied};
pub use restore::{Imported, Restored};
use succeed::Predecessor;

/// How long a node of a pair waits to hear what an owner has, before its own checks and reports rule its table.
pub const OWNER_PATIENCE: Duration = Duration::from_secs(10);

/// Those who carry what has changed to the peer and to the disk.
pub trait Checkpoints: Send {
    /// This node is the one who says what the table is, and somebody wants to know.
    fn is_wanted(&self) -> bool;
    /// Tells of a change that the maps do not have yet, and waits until the peer has it; for a bounded time.
    fn write_ahead(&mut self, entries: Vec<Entry>, generation: u64);
    /// Tells of what is so already. Does not wait.
    fn tell(&mut self, entries: Vec<Entry>, generation: u64);
    /// Flows are not remembered any more. Does not wait.
    fn forgotten(&mut self, flows: &[FlowKey]);
    /// Flows that the owner has told of cannot be written here, and why. Does not wait.
    fn unwritten(&mut self, why: &str);
    /// A reload has changed the settings.
    fn set(&mut self, settings: &CheckpointSettings);
    /// What the owner has told this node is not all there any more: it is to tell everything again. Does not wait.
    fn ask_for_all(&mut self);
}

/// The flow table, as who follows writes it.
pub trait Flows: Send {
    /// Writes flows, in place of what is known of them.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses.
    fn put(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<()>;
    /// Writes flows of which nothing is known. Gives those.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses.
    fn put_new(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<Vec<(FlowKey, FlowValue)>>;
    /// Writes half-open flows of which nothing is known.
    ///
    /// # Errors
    /// The kernel refuses.
    fn put_new_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()>;
    /// Flows are half-open no more. Those that are not are no error.
    ///
    /// # Errors
    /// The kernel refuses.
    fn end_half_open(&self, flows: &[FlowKey]) -> anyhow::Result<()>;
    /// Writes half-open flows.
    ///
    /// # Errors
    /// The kernel refuses.
    fn put_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()>;
    /// Forgets flows, half-open ones too. Those that are not there are no error.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget(&self, flows: &[FlowKey]) -> anyhow::Result<()>;
    /// Calls `visit` with each flow until it says no.
    ///
    /// # Errors
    /// The kernel refuses.
    fn each(&self, visit: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool) -> anyhow::Result<()>;
}

impl Flows for FlowTable {
    fn put(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<()> {
        let put = self.put_batch(flows)?;
        anyhow::ensure!(put.refused.is_empty(), "the flow table is full: raise limits.flows");
        Ok(())
    }

    fn put_new(&self, flows: &[(FlowKey, FlowValue)]) -> anyhow::Result<Vec<(FlowKey, FlowValue)>> {
        Ok(Self::put_new(self, flows)?)
    }

    fn put_new_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()> {
        Self::put_new_half_open(self, flows)?;
        Ok(())
    }

    fn end_half_open(&self, flows: &[FlowKey]) -> anyhow::Result<()> {
        Ok(Self::end_half_open(self, flows)?)
    }

    fn put_half_open(&self, flows: &[(FlowKey, HalfOpenValue)]) -> anyhow::Result<()> {
        Self::put_half_open(self, flows)?;
        Ok(())
    }

    fn forget(&self, flows: &[FlowKey]) -> anyhow::Result<()> {
        self.forget_batch(flows)?;
        Ok(())
    }

    fn each(&self, visit: &mut dyn FnMut(&FlowKey, &FlowValue) -> bool) -> anyhow::Result<()> {
        Ok(Self::each(self, visit)?)
    }
}

/// What an engine that keeps checkpoints has for it.
pub struct CheckpointParts {
    /// Who carries what has changed.
    pub checkpoints: Box<dyn Checkpoints>,
    /// The flow table.
    pub flows: Box<dyn Flows>,
    /// What the disk has of an earlier daemon's.
    pub restored: Option<Restored>,
}

/// The table and what is known of the reals, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// All but flows.
    pub entries: Vec<Entry>,
    /// The table's generation.
    pub generation: u64,
    /// About how many flows are remembered.
    pub flows: u64,
}

/// What the engine knows of checkpoints.
pub(super) struct Keeping {
    checkpoints: Box<dyn Checkpoints>,
    flows: Box<dyn Flows>,
    standing: Standing,
    /// Whom this node followed before it led.
    predecessor: Option<Predecessor>,
    /// What was told last of the reals, beside the table.
    known: BTreeMap<String, RealKnown>,
}

/// Who says what the table is.
enum Standing {
    /// This node's own checks, reports and operators.
    Own,
    /// It is not known yet whether there is an owner. Until that much time has passed everything stays as it is.
    Waiting {
        /// When patience ends.
        until_ns: u64,
    },
    /// The owner.
    Following(Box<Following>),
}

impl Keeping {
    fn new(checkpoints: Box<dyn Checkpoints>, flows: Box<dyn Flows>) -> Self {
        Self { checkpoints, flows, standing: Standing::Own, predecessor: None, known: BTreeMap::new() }
    }
}

impl Engine {
    /// The table, and what is known of the reals.
    pub fn checkpoint_all(&mut self) -> Snapshot {
        if !self.is_ruled_by_owner() {
            self.know();
        }
        let known = self.keeping.as_ref().map(|keeping| &keeping.known);
        let entries = self.table.checkpoint(known.unwrap_or(&BTreeMap::new()), self.now_ms());
        Snapshot { entries, generation: self.table.generation(), flows: self.flows }
    }

    /// Flows that the flow table remembers, as the last sweep counted them.
    #[must_use]
    pub fn flow_count(&self) -> u64 {
        self.flows
    }

    /// What is known of the reals is what this node knows of them.
    fn know(&mut self) {
        let known = self.known_now();
        if let Some(keeping) = &mut self.keeping {
            keeping.known = known;
        }
    }

    /// The owner says what the table is, or may say so in a moment.
    pub(super) fn is_ruled_by_owner(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !matches!(keeping.standing, Standing::Own))
    }

    /// Refuses what only the owner may change.
    pub(super) fn refuse_unless_owner(&self) -> Result<(), ChangeError> {
        match self.keeping.as_ref().map(|keeping| &keeping.standing) {
            None | Some(Standing::Own) => Ok(()),
            Some(Standing::Waiting { .. }) => Err(ChangeError::NotKnownYet),
            Some(Standing::Following(_)) => Err(ChangeError::Follows),
        }
    }

    /// Tells what `next` changes, before the maps have it. Returns whether there was anything to tell.
    pub(super) fn tell_ahead(&mut self, next: &SchedulingTable) -> bool {
        let now_ms = self.now_ms();
        let Some(keeping) = self.keeping.as_mut().filter(|keeping| keeping.checkpoints.is_wanted()) else {
            return false;
        };
        let entries = next.checkpoint_since(&self.table, &keeping.known, &keeping.known, now_ms);
        if entries.is_empty() {
            return false;
        }
        keeping.checkpoints.write_ahead(entries, next.generation());
        true
    }

    /// Tells that `next`, told ahead, does not come about.
    pub(super) fn tell_back(&mut self, next: &SchedulingTable) {
        let now_ms = self.now_ms();
        let Some(keeping) = &mut self.keeping else { return };
        let entries = self.table.checkpoint_since(next, &keeping.known, &keeping.known, now_ms);
        keeping.checkpoints.write_ahead(entries, self.table.generation());
    }

    /// Tells what has been learned of the reals since the last time.
    pub(super) fn tell_known(&mut self) {
        if !self.keeping.as_ref().is_some_and(|keeping| keeping.checkpoints.is_wanted()) {
            return;
        }
        let (known, now_ms) = (self.known_now(), self.now_ms());
        let Some(keeping) = &mut self.keeping else { return };
        let before = std::mem::replace(&mut keeping.known, known);
        let entries = self.table.checkpoint_since(&self.table, &keeping.known, &before, now_ms);
        if !entries.is_empty() {
            keeping.checkpoints.tell(entries, self.table.generation());
        }
    }

    /// Tells that the sweep has forgotten these flows.
    pub(super) fn tell_forgotten(&mut self, flows: &[FlowKey]) {
        if let Some(keeping) = self.keeping.as_mut().filter(|keeping| keeping.checkpoints.is_wanted())
            && !flows.is_empty()
        {
            keeping.checkpoints.forgotten(flows);
        }
    }

    /// Says which settings a reload has left.
    pub(super) fn tell_checkpoint_settings(&mut self) {
        if let (Some(keeping), Some(settings)) = (&mut self.keeping, &self.settings.checkpoint) {
            keeping.checkpoints.set(settings);
        }
    }

    /// What is known of the reals by now.
    fn known_now(&self) -> BTreeMap<String, RealKnown> {
        let mut learned: BTreeMap<String, Learned> = self.saved().learned;
        let known = |real: &lb_core::service::Real| {
            let learned = learned.remove(&real.name).unwrap_or_default();
            (real.name.clone(), RealKnown { learned, load: self.balance.load(&real.name) })
        };
        self.table.cluster().reals().iter().map(known).collect()
    }
}
