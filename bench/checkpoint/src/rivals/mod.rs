//! What others do with the same: databases that commit it durably, and the kernel's own tables, dumped and loaded.

pub mod kernel;
mod redb;
mod sqlite;

use std::path::Path;

use anyhow::Result;
use lb_common::{FlowKey, Slot};
use lb_core::checkpoint::FlowEntry;

use crate::owner::Change;

/// A flow's key in as few bytes as tell it: client, port, VIP's port, VIP.
type Key = [u8; 12];

/// A database that has flows and slots.
pub trait Rival {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Begins anew with these flows and slots. They are on the disk then.
    fn full(&mut self, flows: &[FlowEntry], slots: &[Slot]) -> Result<()>;
    /// Changes some. The changes are on the disk then.
    fn delta(&mut self, change: &Change) -> Result<()>;
    /// Opens it again and gives all that it has to somebody: how many flows that are.
    fn read(&mut self, take: &mut dyn FnMut(Key, u32)) -> Result<u64>;
}

/// All databases, in a directory.
pub fn all(directory: &Path) -> Vec<Box<dyn Rival>> {
    vec![Box::new(redb::Redb::new(directory)), Box::new(sqlite::Sqlite::new(directory))]
}

fn key_of(key: &FlowKey) -> Key {
    let ([a, b, c, d, ..], [e, f, g, h, ..]) = (key.client, key.service.vip);
    let ([i, j], [k, l]) = (key.client_port.to_be_bytes(), key.service.port.to_be_bytes());
    [a, b, c, d, i, j, k, l, e, f, g, h]
}

fn value_of(flow: &FlowEntry) -> u32 {
    u32::from(flow.service) << 16 | u32::from(flow.real)
}

fn word_of(slot: &Slot) -> u32 {
    u32::from(slot.state) << 16 | u32::from(slot.real)
}
