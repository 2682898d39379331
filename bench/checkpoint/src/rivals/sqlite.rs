//! SQLite with a write-ahead log. Each commit waits for the disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_common::Slot;
use lb_core::checkpoint::FlowEntry;
use rusqlite::Connection;

use super::{Key, Rival, key_of, value_of, word_of};
use crate::owner::Change;

const SCHEMA: &str = "CREATE TABLE flows (key BLOB PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                      CREATE TABLE slots (slot INTEGER PRIMARY KEY, value INTEGER NOT NULL);";
const PUT_FLOW: &str = "INSERT OR REPLACE INTO flows VALUES (?1, ?2)";
const PUT_SLOT: &str = "INSERT OR REPLACE INTO slots VALUES (?1, ?2)";
const FORGET_FLOW: &str = "DELETE FROM flows WHERE key = ?1";
/// Memory for pages, in KiB, as SQLite wants it told: with less, a million flows in no order are written many times over.
const CACHE_KIB: i64 = -262_144;
/// The database, and the log and the index beside it.
const FILES: [&str; 3] = ["sqlite", "sqlite-wal", "sqlite-shm"];

/// A database in a file.
pub struct Sqlite {
    directory: PathBuf,
    connection: Option<Connection>,
}

impl Sqlite {
    /// Nothing yet.
    pub fn new(directory: &Path) -> Sqlite {
        Sqlite { directory: directory.to_owned(), connection: None }
    }

    fn open(&self) -> Result<Connection> {
        let connection = Connection::open(self.directory.join(FILES[0]))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        Ok(connection)
    }

    fn remove(&mut self) -> Result<()> {
        self.connection = None;
        for file in FILES {
            let path = self.directory.join(file);
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Rival for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn full(&mut self, flows: &[FlowEntry], slots: &[Slot]) -> Result<()> {
        self.remove()?;
        let mut connection = self.open()?;
        connection.execute_batch(SCHEMA)?;
        let write = connection.transaction()?;
        {
            let mut put = write.prepare(PUT_FLOW)?;
            for flow in flows {
                put.execute((key_of(&flow.key), value_of(flow)))?;
            }
            let mut put = write.prepare(PUT_SLOT)?;
            for (index, slot) in (0_u32..).zip(slots) {
                put.execute((index, word_of(slot)))?;
            }
        }
        write.commit()?;
        self.connection = Some(connection);
        Ok(())
    }

    fn delta(&mut self, change: &Change) -> Result<()> {
        let write = self.connection.as_mut().context("no full before a delta")?.transaction()?;
        {
            let mut put = write.prepare(PUT_FLOW)?;
            for flow in &change.remembered {
                put.execute((key_of(&flow.key), value_of(flow)))?;
            }
            let mut forget = write.prepare(FORGET_FLOW)?;
            for key in &change.forgotten {
                forget.execute((key_of(key),))?;
            }
            let mut put = write.prepare(PUT_SLOT)?;
            for index in &change.slots {
                put.execute((index, u32::MAX))?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, take: &mut dyn FnMut(Key, u32)) -> Result<u64> {
        self.connection = None;
        let connection = self.open()?;
        let mut count = 0;
        {
            let mut all = connection.prepare("SELECT key, value FROM flows")?;
            let mut rows = all.query(())?;
            while let Some(row) = rows.next()? {
                take(row.get(0)?, row.get(1)?);
                count += 1;
            }
        }
        self.connection = Some(connection);
        Ok(count)
    }
}
