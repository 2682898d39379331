//! The last words of the owner before this one: after a handover it still forwards what comes to it, and remembers flows that this node
//! is to have when their packets come here.

use lb_common::{FlowValue, HalfOpenValue};
use lb_core::checkpoint::{Dictionary, Entry, Origin};

use super::follow::{NotApplied, own_entry};
use crate::engine::{ChangeError, Engine};

/// Whom this node followed before it led.
pub(super) struct Predecessor {
    pub(super) origin: Origin,
    /// What its ids stand for.
    pub(super) dictionary: Dictionary,
}

impl Engine {
    /// This node leads, and followed this owner before.
    #[must_use]
    pub fn has_succeeded(&self, origin: Origin) -> bool {
        !self.is_ruled_by_owner() && self.predecessor().is_some_and(|before| before.origin == origin)
    }

    /// What the owner before this one remembers now. Of a flow that this node knows its own word counts; what is said of the table, and
    /// what is forgotten, does not. Gives what is new in this node's ids.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub fn apply_last_words(&self, origin: Origin, entries: &[Entry]) -> Result<Vec<Entry>, NotApplied> {
        let before = self.predecessor().filter(|_| self.has_succeeded(origin)).ok_or(NotApplied::NotFollowed)?;
        let Some(keeping) = &self.keeping else { return Err(NotApplied::NotFollowed) };
        let names = before.dictionary.translation(&self.table);
        let now_ns = self.forwarder.now_ns();
        let mut new = Vec::new();
        for entry in entries {
            match entry {
                Entry::Remembered(list) => {
                    let rows = list.iter().filter_map(|flow| names.flow(flow));
                    let rows: Vec<_> =
                        rows.map(|(key, value)| (key, FlowValue { last_seen_ns: now_ns, ..value })).collect();
                    let written = keeping.flows.put_new(&rows).map_err(ChangeError::Maps)?;
                    new.extend(written.iter().map(own_entry));
                }
                Entry::HalfOpen(list) => {
                    let rows = list.iter().filter_map(|flow| names.half_open(flow));
                    let rows: Vec<_> =
                        rows.map(|(key, value)| (key, HalfOpenValue { began_ns: now_ns, ..value })).collect();
                    keeping.flows.put_new_half_open(&rows).map_err(ChangeError::Maps)?;
                }
                _ => {}
            }
        }
        Ok(if new.is_empty() { Vec::new() } else { vec![Entry::Remembered(new)] })
    }

    fn predecessor(&self) -> Option<&Predecessor> {
        self.keeping.as_ref()?.predecessor.as_ref()
    }
}
