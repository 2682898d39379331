//! Tasks that carry news between the engine and the pair.

use std::sync::Arc;
use std::time::Duration;

use lb_core::auth::Keys;
use lb_core::pair::{Facts, Input, PathOptions};
use tokio::sync::{mpsc, watch};
use tokio::time;
use tracing::warn;

use super::Change;
use crate::config::PairSettings;
use crate::engine::{Digests, Engine, Handle};
use crate::peer::Peer;
use crate::takeover::{self, Job, Jobs, Trouble};
use crate::tracking::{self, Tracking};

/// How often it is looked whether the facts have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Carries troubles to the engine, which shows them.
pub(super) async fn troubles(engine: Handle, mut troubles: mpsc::Receiver<Trouble>) {
    while let Some(trouble) = troubles.recv().await {
        if engine.call(move |engine: &mut Engine| engine.note_trouble(trouble)).await.is_err() {
            return;
        }
    }
}

/// Tells the node what has to be the same on both, when it has changed.
pub(super) async fn facts(engine: Handle, peer: Peer, paths: Vec<PathOptions>) {
    let mut generation = None;
    loop {
        let Ok(digests) = engine.call(move |engine| engine.digests_after(generation)).await else { return };
        if let Some(digests) = digests
            && peer.tell(Input::Remembers(digests.remembers)).is_ok()
            && peer.tell(Input::Facts(facts_of(&digests, &paths))).is_ok()
        {
            generation = Some(digests.generation);
        }
        time::sleep(LOOK).await;
    }
}

fn facts_of(digests: &Digests, paths: &[PathOptions]) -> Facts {
    let shortest = paths.iter().map(|path| path.interval_us).min().unwrap_or(0);
    let missed_limit = paths.first().map_or(0, |path| path.missed_limit);
    Facts {
        program: program(),
        vips: digests.vips,
        services: digests.services,
        slots: digests.slots,
        interval_us: u32::try_from(shortest).unwrap_or(u32::MAX),
        missed_limit: u8::try_from(missed_limit).unwrap_or(u8::MAX),
    }
}

/// Version of this program.
fn program() -> [u8; 3] {
    let mut parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap_or(u8::MAX));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Tells the node how able it is, whenever that changes.
pub(super) async fn fitness(peer: Peer, mut fitness: watch::Receiver<Option<Input>>) {
    while fitness.changed().await.is_ok() {
        let Some(input) = fitness.borrow_and_update().clone() else { continue };
        while let Err(error) = peer.tell(input.clone()) {
            warn!("pair: this node's fitness is told again: {error}");
            time::sleep(LOOK).await;
        }
    }
}

/// Tells the tracking how many reals are healthy.
pub(super) async fn health(engine: Handle, tracking: Arc<Tracking>) {
    while let Ok(healthy) = engine.call(|engine| engine.healthy_reals()).await {
        tracking.set_healthy_reals(healthy);
        time::sleep(LOOK).await;
    }
}

/// Who uses the pair's settings.
pub(super) struct Users {
    pub(super) peer: Peer,
    pub(super) jobs: Jobs,
    pub(super) tracking: Arc<Tracking>,
    /// This start's generation.
    pub(super) boot: u32,
    /// Id of this daemon's XDP program.
    pub(super) program: Option<u32>,
}

/// Takes over what a reload has changed.
pub(super) async fn changes(users: Users, mut changes: watch::Receiver<Change>) {
    while changes.changed().await.is_ok() {
        let Some((settings, keys)) = changes.borrow_and_update().clone() else { continue };
        if let Err(error) = users.take(&settings, keys) {
            warn!("pair: the reload is not taken over: {error:#}; reload again");
        }
    }
}

impl Users {
    fn take(&self, settings: &PairSettings, keys: Keys) -> anyhow::Result<()> {
        self.tracking.set(tracking::Settings::of(settings, self.program));
        self.peer.set_keys(keys)?;
        self.peer.set_options(settings.options(self.boot))?;
        self.jobs.send(Job::Settings(Box::new(takeover::Settings::of(settings, self.program))))?;
        Ok(())
    }
}
