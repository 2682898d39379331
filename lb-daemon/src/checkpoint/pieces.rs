//! All flows of the flow table, in pieces: read by a thread of its own, no faster than they are taken.

use std::sync::Arc;
use std::thread;

use lb_core::checkpoint::{Entry, FlowEntry};
use tokio::sync::mpsc;

use crate::dataplane::FlowTable;

/// Flows of a piece.
pub const PIECE: usize = 8_192;
/// Pieces that wait to be taken.
const WAITING: usize = 2;

/// A piece, or why the table cannot be read to its end.
pub type Piece = Result<Vec<Entry>, String>;

/// The pieces: names of services and reals, then flows, then rings. A slot that has moved is told after the flows that it no longer sends
/// where they are.
pub fn all(entries: Vec<Entry>, table: Arc<FlowTable>) -> mpsc::Receiver<Piece> {
    around(entries, move |visit| {
        let read = table.each(|key, value| visit(FlowEntry { key: *key, service: value.service, real: value.real }));
        read.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    })
}

/// What names services and reals, and what tells of their slots.
pub(super) fn names_and_slots(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    entries.into_iter().partition(|entry| !matches!(entry, Entry::Ring(_) | Entry::Slots { .. }))
}

/// The pieces, with the flows that `each` visits.
fn around(
    entries: Vec<Entry>,
    each: impl FnOnce(&mut dyn FnMut(FlowEntry) -> bool) -> Result<(), String> + Send + 'static,
) -> mpsc::Receiver<Piece> {
    let (pieces, taken) = mpsc::channel(WAITING);
    let failed = pieces.clone();
    let read = move || {
        let (names, slots) = names_and_slots(entries);
        let send = |piece| pieces.blocking_send(piece).is_ok();
        // Who took the pieces may have gone away: then nobody wants the rest.
        if send(Ok(names)) {
            let last = flows(each, &send).map(|()| slots);
            send(last);
        }
    };
    if let Err(error) = thread::Builder::new().name("flow-table".to_owned()).spawn(read) {
        // There is room: nothing has been sent.
        let _ = failed.try_send(Err(error.to_string()));
    }
    taken
}

fn flows(
    each: impl FnOnce(&mut dyn FnMut(FlowEntry) -> bool) -> Result<(), String>,
    send: &dyn Fn(Piece) -> bool,
) -> Result<(), String> {
    let mut piece = Vec::with_capacity(PIECE);
    each(&mut |flow| {
        piece.push(flow);
        piece.len() < PIECE || {
            let flows = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            send(Ok(vec![Entry::Remembered(flows)]))
        }
    })?;
    if !piece.is_empty() {
        send(Ok(vec![Entry::Remembered(piece)]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_common::{FlowKey, Slot};
    use lb_core::checkpoint::RingEntry;

    use super::*;

    fn entries() -> [Entry; 3] {
        let ring = RingEntry { service: 1, slots: vec![Slot::default(); 4].into(), ages_ms: [].into() };
        [Entry::RealGone(1), Entry::Ring(ring), Entry::ServiceGone(2)]
    }

    fn taken(mut pieces: mpsc::Receiver<Piece>) -> Vec<Piece> {
        std::iter::from_fn(|| pieces.blocking_recv()).collect()
    }

    #[test]
    fn names_come_first_and_slots_after_all_flows() {
        let flow = FlowEntry { key: FlowKey::default(), service: 1, real: 1 };
        let pieces = taken(around(entries().to_vec(), move |visit| {
            (0..=PIECE).all(|_| visit(flow));
            Ok(())
        }));
        let [real, ring, service] = entries();
        let many = |count| Ok(vec![Entry::Remembered(vec![flow; count])]);
        assert_eq!(pieces, [Ok(vec![real, service]), many(PIECE), many(1), Ok(vec![ring])]);
    }

    #[test]
    fn a_table_that_cannot_be_read_to_its_end_has_no_last_piece() {
        let pieces = taken(around(entries().to_vec(), |_| Err("no".to_owned())));
        assert_eq!(pieces[1..], [Err("no".to_owned())]);
    }
}
