//! All flows of the flow table, in pieces: read by a thread of its own, no faster than they are taken.

use std::sync::Arc;
use std::thread;

use lb_core::checkpoint::{Entry, FlowEntry};
use tokio::sync::mpsc;

use crate::dataplane::FlowTable;

/// Flows of a piece.
pub(super) const PIECE: usize = 8_192;
/// Pieces that wait to be taken.
const WAITING: usize = 2;

/// A piece, or why the table cannot be read to its end.
pub(super) type Piece = Result<Vec<Entry>, String>;

/// The pieces, after the `first` one.
pub(super) fn all(first: Vec<Entry>, table: Arc<FlowTable>) -> mpsc::Receiver<Piece> {
    let (pieces, taken) = mpsc::channel(WAITING);
    let failed = pieces.clone();
    let read = move || {
        // Who took the pieces may have gone away: then nobody wants the rest.
        if pieces.blocking_send(Ok(first)).is_ok()
            && let Err(error) = flows(&table, &pieces)
        {
            let _ = pieces.blocking_send(Err(error));
        }
    };
    if let Err(error) = thread::Builder::new().name("flow-table".to_owned()).spawn(read) {
        // There is room: nothing has been sent.
        let _ = failed.try_send(Err(error.to_string()));
    }
    taken
}

fn flows(table: &FlowTable, pieces: &mpsc::Sender<Piece>) -> Result<(), String> {
    let mut piece = Vec::with_capacity(PIECE);
    let send = |piece: &mut Vec<FlowEntry>| {
        let flows = std::mem::replace(piece, Vec::with_capacity(PIECE));
        pieces.blocking_send(Ok(vec![Entry::Remembered(flows)])).is_ok()
    };
    let read = table.each(|key, value| {
        piece.push(FlowEntry { key: *key, service: value.service, real: value.real });
        piece.len() < PIECE || send(&mut piece)
    });
    read.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
    if !piece.is_empty() {
        send(&mut piece);
    }
    Ok(())
}
