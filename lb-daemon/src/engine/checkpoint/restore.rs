//! A cold start: the maps are new, and the disk has what an earlier daemon knew.

use lb_core::checkpoint::{Dictionary, Entry, Origin};
use lb_core::table::SavedReal;
use tracing::{info, warn};

use super::Standing;
use super::follow::FlowWriter;
use crate::dataplane::Adoption;
use crate::engine::{ChangeError, Engine};

/// What the disk has of an earlier daemon's.
pub struct Restored {
    /// Whose it was.
    pub origin: Origin,
    /// The table's generation by then, of the daemon that wrote it.
    pub generation: u64,
    /// Names first, then flows in pieces, then slots.
    pub parts: Box<dyn Iterator<Item = Vec<Entry>> + Send>,
}

/// What was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The table's generation after it.
    pub generation: u64,
    /// Services that are configured here.
    pub services: u32,
    /// Reals that are.
    pub reals: u32,
    /// Flows that are remembered now.
    pub flows: u64,
    /// Names of what is not configured here.
    pub strangers: Vec<String>,
}

impl Engine {
    /// Takes in what an operator brings from elsewhere, over what is known here. Who keeps checkpoints has to tell everything anew
    /// after it.
    ///
    /// # Errors
    /// This node follows another, or the maps cannot be written. Some of it may be there then.
    pub fn import(&mut self, entries: Vec<Entry>) -> Result<Imported, ChangeError> {
        self.refuse_unless_owner()?;
        let mut dictionary = Dictionary::default();
        let is_slots = |entry: &Entry| matches!(entry, Entry::Ring(_) | Entry::Slots { .. });
        let (slots, entries): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_slots);
        self.take_table(&entries, &mut dictionary)?;
        let names = dictionary.translation(&self.table);
        let stamp_ns = self.forwarder.now_ns();
        let Some(keeping) = &mut self.keeping else { return Err(ChangeError::NoCheckpoints) };
        keeping.known = dictionary.known();
        let flows = FlowWriter { flows: &*keeping.flows, names, stamp_ns, is_news: false }
            .write(&entries)
            .map_err(ChangeError::Maps)?;
        // Flows that the slots no longer send where they are have been written by now.
        self.take_table(&slots, &mut dictionary)?;
        let strangers = dictionary.strangers(&self.table);
        let is_here = |name: &String| !strangers.contains(name);
        let imported = Imported {
            generation: self.table.generation(),
            services: dictionary.services.values().filter(|service| is_here(&service.name)).count() as u32,
            reals: dictionary.reals.values().filter(|real| is_here(&real.name)).count() as u32,
            flows: flows
                .iter()
                .map(|entry| if let Entry::Remembered(flows) = entry { flows.len() as u64 } else { 0 })
                .sum(),
            strangers,
        };
        self.succeed(imported.generation);
        Ok(imported)
    }

    fn take_table(&mut self, entries: &[Entry], dictionary: &mut Dictionary) -> Result<(), ChangeError> {
        self.change(|table, now_ms| {
            table.follow(entries, dictionary, now_ms);
            Ok(())
        })
        .map(drop)
    }

    /// Takes over what the disk has, where the maps have nothing. Maps that were adopted know better. `saved_generation` is of the state
    /// file.
    pub(in crate::engine) fn restore(&mut self, restored: Restored, saved_generation: u64) {
        let Restored { origin, generation, parts } = restored;
        if self.adoption == Adoption::Adopted {
            return self.recall_ages(parts);
        }
        // What operators set is in the state file at once, and may be newer there.
        let set_later = (saved_generation > generation).then(|| self.table.saved().reals);
        self.begin_full(origin);
        for part in parts {
            if let Err(error) = self.full_part(origin, &part) {
                warn!("what the disk has cannot be restored: {error}");
                break;
            }
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.standing = Standing::Own;
        }
        self.succeed(generation);
        self.set_again(set_later.unwrap_or_default());
        info!("restored what was known in epoch {} from the disk", origin.epoch);
    }

    /// The maps do not say since when slots have been what they are.
    fn recall_ages(&mut self, parts: impl Iterator<Item = Vec<Entry>>) {
        let is_about_flows = |entry: &Entry| matches!(entry, Entry::Remembered(_));
        let table: Vec<Entry> = parts.filter(|part| !part.iter().any(is_about_flows)).flatten().collect();
        let now_ms = self.now_ms();
        self.table.recall_ages(&table, now_ms);
    }

    fn set_again(&mut self, reals: Vec<SavedReal>) {
        let set = self.change(|table, now_ms| {
            for real in &reals {
                table.set_admin(&real.name, real.admin, now_ms)?;
                table.set_weight(&real.name, real.weight, now_ms)?;
            }
            Ok(())
        });
        if let Err(error) = set {
            warn!("what operators had set is not restored: {error}");
        }
    }
}
