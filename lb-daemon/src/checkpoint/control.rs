//! What operators ask of the checkpoints by the API.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lb_core::api::{
    Advice, Checkpoint, CheckpointFiles, CheckpointImported, CheckpointTaken, CheckpointVerified, ErrorBody,
};
use lb_core::auth::Keys;
use lb_core::checkpoint::image::Image;
use lb_core::interval::advice;
use tokio::task;

use super::commit::{Committer, Done, unix_ms};
use super::flows::Counts;
use super::keeper::{Common, lock};
use super::pieces;
use super::prepare::Found;
use super::stream::Stream;
use super::{files, pace, views};
use crate::api::CheckpointControl;
use crate::config::{CheckpointInterval, CheckpointSettings};
use crate::engine::{Imported, Snapshot};

/// The API's side of the keeper.
pub(super) struct Control {
    pub(super) common: Arc<Common>,
    /// Of the last reload.
    pub(super) keys: Arc<Mutex<Arc<Keys>>>,
    pub(super) committer: Arc<Committer>,
    pub(super) counts: Arc<Counts>,
    /// None for a solo node.
    pub(super) stream: Option<Arc<Stream>>,
    pub(super) found: Found,
}

impl Control {
    async fn take_now(&self) -> Result<CheckpointTaken, ErrorBody> {
        let before = self.committer.progress().commits;
        let done = self.committer.now().await.map_err(refused)?;
        let Some(Done { sequence, committed, entries, .. }) = done else {
            return Err(refused("this node holds nothing yet: in a pair, wait for the active node"));
        };
        let is_new = self.committer.progress().commits > before;
        let (generation, durable) = self.common.hub.look(|ledger, now| (ledger.generation(), ledger.view(now).durable));
        Ok(CheckpointTaken {
            sequence,
            generation,
            took_ms: if is_new { committed.took.as_secs_f64() * 1_000.0 } else { 0.0 },
            bytes: if is_new { committed.bytes } else { 0 },
            entries: if is_new { entries } else { 0 },
            peer_durable: durable.is_some_and(|durable| durable >= sequence),
        })
    }

    async fn read_content(&self) -> Result<String, ErrorBody> {
        let taken = self.common.snapshot().await.map_err(refused)?;
        let (Snapshot { entries, .. }, _) =
            taken.ok_or_else(|| refused("this node holds nothing yet: in a pair, wait for the active node"))?;
        let mut pieces = pieces::all(entries, self.common.table.clone());
        let mut image = Image::default();
        image.at(unix_ms());
        while let Some(piece) = pieces.recv().await {
            piece.map_err(refused)?.iter().for_each(|entry| image.apply(entry));
        }
        let write = move || serde_json::to_string_pretty(&image.to_json());
        task::spawn_blocking(write).await.map_err(refused)?.map_err(refused)
    }

    async fn take_content(&self, content: Bytes) -> Result<CheckpointImported, ErrorBody> {
        let read = move || {
            let content = serde_json::from_slice(&content).map_err(refused)?;
            let mut image = Image::from_json(&content).map_err(refused)?;
            image.at(unix_ms());
            Ok((image.summary(), image.entries().collect::<Vec<_>>()))
        };
        let (summary, entries) = task::spawn_blocking(read).await.map_err(refused)??;
        let hub = self.common.hub.clone();
        let import = move |engine: &mut crate::engine::Engine| {
            let imported = engine.import(entries)?;
            hub.change(|ledger, now| ledger.tell_all_anew(now));
            Ok::<_, crate::engine::ChangeError>(imported)
        };
        let imported = self.common.engine.call(import).await.map_err(refused)?;
        let Imported { generation, services, reals, flows, strangers } = imported.map_err(refused)?;
        Ok(CheckpointImported { generation, services, reals, slots: summary.slots_not_clean, flows, strangers })
    }
}

impl CheckpointControl for Control {
    fn view(&self) -> Checkpoint {
        views::checkpoint(self)
    }

    fn list(&self) -> BoxFuture<'_, Result<CheckpointFiles, ErrorBody>> {
        let settings = self.settings();
        async move {
            let list = move || files::list(&settings.place);
            task::spawn_blocking(list).await.map_err(refused)?.map_err(refused)
        }
        .boxed()
    }

    fn verify(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<CheckpointVerified, ErrorBody>> {
        let (settings, keys) = (self.settings(), lock(&self.keys).clone());
        async move {
            let verify = move || files::verify(path, &settings, &keys);
            task::spawn_blocking(verify).await.map_err(refused)?.map_err(refused)
        }
        .boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<CheckpointTaken, ErrorBody>> {
        self.take_now().boxed()
    }

    fn content(&self) -> BoxFuture<'_, Result<String, ErrorBody>> {
        self.read_content().boxed()
    }

    fn import(&self, content: Bytes) -> BoxFuture<'_, Result<CheckpointImported, ErrorBody>> {
        self.take_content(content).boxed()
    }

    fn advise(&self) -> BoxFuture<'_, Result<Advice, ErrorBody>> {
        let (progress, settings) = (self.committer.progress(), self.settings());
        let auto = settings.interval == CheckpointInterval::Auto;
        let told = |estimate| advice(&estimate, &pace::limits(&settings), progress.interval.as_secs_f64(), auto);
        let advice = progress.estimate.map(told);
        let not_yet = || refused("nothing has been measured yet: ask again in a second");
        async move { advice.ok_or_else(not_yet) }.boxed()
    }
}

impl Control {
    /// As they are after the last reload.
    pub(super) fn settings(&self) -> CheckpointSettings {
        self.common.hub.settings().borrow().clone()
    }

    pub(super) fn overruns(&self) -> (u64, u64) {
        (self.counts.overruns.load(Ordering::Relaxed), self.counts.resyncs.load(Ordering::Relaxed))
    }
}

fn refused(error: impl std::fmt::Display) -> ErrorBody {
    ErrorBody { error: format!("{error:#}"), hint: None }
}
