//! redb: a key-value store in Rust. Each commit waits for the disk, as it does by default.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_common::Slot;
use lb_core::checkpoint::FlowEntry;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Key, Rival, key_of, value_of, word_of};
use crate::owner::Change;

const FLOWS: TableDefinition<'_, &Key, u32> = TableDefinition::new("flows");
const SLOTS: TableDefinition<'_, u32, u32> = TableDefinition::new("slots");

/// A database in a file.
pub struct Redb {
    path: PathBuf,
    database: Option<Database>,
}

impl Redb {
    /// Nothing yet.
    pub fn new(directory: &Path) -> Redb {
        Redb { path: directory.join("redb"), database: None }
    }
}

impl Rival for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn full(&mut self, flows: &[FlowEntry], slots: &[Slot]) -> Result<()> {
        self.database = None;
        if self.path.exists() {
            fs::remove_file(&self.path)?;
        }
        let database = Database::create(&self.path)?;
        let write = database.begin_write()?;
        {
            let mut table = write.open_table(FLOWS)?;
            for flow in flows {
                table.insert(&key_of(&flow.key), value_of(flow))?;
            }
            let mut table = write.open_table(SLOTS)?;
            for (index, slot) in (0..).zip(slots) {
                table.insert(index, word_of(slot))?;
            }
        }
        write.commit()?;
        self.database = Some(database);
        Ok(())
    }

    fn delta(&mut self, change: &Change) -> Result<()> {
        let write = self.database.as_ref().context("no full before a delta")?.begin_write()?;
        {
            let mut table = write.open_table(FLOWS)?;
            for flow in &change.remembered {
                table.insert(&key_of(&flow.key), value_of(flow))?;
            }
            for key in &change.forgotten {
                table.remove(&key_of(key))?;
            }
            let mut table = write.open_table(SLOTS)?;
            for index in &change.slots {
                table.insert(index, u32::MAX)?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, take: &mut dyn FnMut(Key, u32)) -> Result<u64> {
        self.database = None;
        let database = Database::open(&self.path)?;
        let mut count = 0;
        for row in database.begin_read()?.open_table(FLOWS)?.iter()? {
            let (key, value) = row?;
            take(*key.value(), value.value());
            count += 1;
        }
        self.database = Some(database);
        Ok(count)
    }
}
