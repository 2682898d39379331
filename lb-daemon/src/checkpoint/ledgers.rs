//! What the stream between the nodes gets of this node, and brings to it.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lb_core::checkpoint::{Batch, Entry, Origin, Sequence};

use super::commit::count;
use super::hub::Hub;
use super::keeper::Common;
use super::pieces::{self, PIECE};
use super::stream::{Full, Ledgers};
use crate::engine::{Applied, Engine, Snapshot};

impl Ledgers for Common {
    fn hub(&self) -> &Hub {
        &self.hub
    }

    fn full(&self) -> BoxFuture<'_, Result<Full, String>> {
        async {
            let taken = self.snapshot().await.map_err(|stopped| stopped.to_string())?;
            let (Snapshot { entries, generation, flows }, (origin, sequence)) =
                taken.ok_or("this node holds nothing yet")?;
            let parts_estimate = u32::try_from(2 + flows / PIECE as u64).unwrap_or(u32::MAX);
            let parts = pieces::all(entries, self.table.clone());
            Ok(Full { origin, sequence, generation, parts_estimate, parts })
        }
        .boxed()
    }

    fn begin_full(&self, origin: Origin) -> BoxFuture<'_, Result<(), String>> {
        let hub = self.hub.clone();
        let begin = move |engine: &mut Engine| {
            hub.change(|ledger, _| ledger.owner_refills()).map_err(|misfit| misfit.to_string())?;
            engine.begin_full(origin);
            Ok(())
        };
        async move {
            self.in_engine(begin).await?;
            *self.followed() = Some(origin);
            Ok(())
        }
        .boxed()
    }

    fn full_part(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let origin = self.owner()?;
            self.in_engine(move |engine| engine.full_part(origin, &entries).map_err(|error| error.to_string())).await
        }
        .boxed()
    }

    fn end_full(&self, sequence: Sequence, generation: u64) -> BoxFuture<'_, Result<(), String>> {
        let hub = self.hub.clone();
        async move {
            let origin = self.owner()?;
            let end = move |engine: &mut Engine| {
                let own = engine.end_full(origin, generation).map_err(|error| error.to_string())?;
                hub.change(|ledger, _| ledger.refilled(origin, sequence, own)).map_err(|misfit| misfit.to_string())
            };
            self.in_engine(end).await
        }
        .boxed()
    }

    fn apply(&self, batches: Vec<Batch>) -> BoxFuture<'_, Result<(), String>> {
        let hub = self.hub.clone();
        async move {
            let origin = self.owner()?;
            let apply =
                move |engine: &mut Engine| batches.iter().try_for_each(|batch| take(engine, &hub, origin, batch));
            self.in_engine(apply).await
        }
        .boxed()
    }
}

/// Applies a batch, and puts it into the ledger in this node's ids.
fn take(engine: &mut Engine, hub: &Hub, origin: Origin, batch: &Batch) -> Result<(), String> {
    if engine.has_succeeded(origin) {
        return take_last_words(engine, hub, origin, &batch.entries).map(drop);
    }
    let Applied { entries, generation } = engine.apply_batch(origin, batch).map_err(|error| error.to_string())?;
    let own = Batch { sequence: batch.sequence, generation, entries };
    hub.change(|ledger, now| ledger.received(own, now)).map_err(|misfit| misfit.to_string())
}

/// What the owner before this node remembered, and this node does not. Gives how many flows that are.
fn take_last_words(engine: &Engine, hub: &Hub, origin: Origin, entries: &[Entry]) -> Result<u64, String> {
    let new = engine.apply_last_words(origin, entries).map_err(|error| error.to_string())?;
    let flows = count(&new);
    hub.change(|ledger, now| ledger.append(new, ledger.generation(), now));
    Ok(flows)
}

impl Common {
    /// Takes in what the owner before this node remembered. Gives how many flows this node did not know.
    ///
    /// # Errors
    /// The engine has stopped, the kernel refuses, or this node does not lead any more.
    pub(super) async fn take_last_words(&self, origin: Origin, entries: Vec<Entry>) -> Result<u64, String> {
        let hub = self.hub.clone();
        self.in_engine(move |engine| take_last_words(engine, &hub, origin, &entries)).await
    }

    async fn in_engine<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Engine) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        self.engine.call(job).await.map_err(|stopped| stopped.to_string())?
    }

    fn owner(&self) -> Result<Origin, String> {
        (*self.followed()).ok_or_else(|| "this node has not been told everything yet".to_owned())
    }
}
