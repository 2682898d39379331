//! Keeps a connection to the peer while this node follows: by whichever path works, and by another at once when that one dies.

use std::sync::Arc;
use std::time::Duration;

use lb_core::checkpoint::ledger::Duty;
use lb_core::checkpoint::session::Has;
use lb_core::pair::Epoch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::Common;
use super::follower::{self, Opened};
use crate::config::UdpWay;

/// How much later each further path is tried than the one before.
const STAGGER: Duration = Duration::from_millis(20);
/// How long is waited after all paths have failed, or after a connection that did not last.
const RETRY: Duration = Duration::from_millis(100);
/// A connection that was there for so long has lasted.
const LASTS: Duration = Duration::from_secs(1);

/// Follows for ever, whenever this node is to.
pub(super) async fn follow(common: Arc<Common>, paths: Vec<UdpWay>) {
    let mut client = Client { common, paths, has_from_stream: None, epoch: 0 };
    while client.is_to_follow().await {
        client.connect_once().await;
    }
}

struct Client {
    common: Arc<Common>,
    /// The one to try first is first.
    paths: Vec<UdpWay>,
    /// What was told by the stream since this daemon has started: only that can be gone on with, since the owner's names for things came with it.
    has_from_stream: Has,
    /// The highest epoch of an owner that this node knows of.
    epoch: Epoch,
}

impl Client {
    /// Waits until this node follows; false where it will never be.
    async fn is_to_follow(&self) -> bool {
        let mut changes = self.common.ledgers.hub().changes();
        let follows = || self.common.ledgers.hub().look(|ledger, _| ledger.duty() == Duty::Follows);
        while !follows() {
            if changes.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Connects, and follows to the end of the connection.
    async fn connect_once(&mut self) {
        let held = self.common.ledgers.hub().look(|ledger, _| ledger.held());
        self.epoch = self.epoch.max(held.map_or(0, |(origin, _)| origin.epoch));
        let has = held.filter(|(origin, _)| self.has_from_stream.is_some_and(|(from, _)| from == *origin));
        match self.race(has).await {
            Ok((index, opened)) => {
                let began = Instant::now();
                self.follow_to_the_end(index, opened).await;
                if began.elapsed() < LASTS {
                    sleep(RETRY).await;
                }
            }
            Err(why) => {
                if self.common.note_trouble(&why) {
                    info!("checkpoint stream: {why}; it is tried again");
                }
                self.common.ledgers.hub().change(|ledger, _| ledger.owner_gone(&why));
                sleep(RETRY).await;
            }
        }
    }

    /// Tries all paths, one a moment after the other: the first on which the peer proves itself, or why none does.
    async fn race(&self, has: Has) -> Result<(usize, Opened), String> {
        let mut tries = JoinSet::new();
        for (index, way) in self.paths.iter().cloned().enumerate() {
            let common = self.common.clone();
            let epoch = self.epoch;
            tries.spawn(async move {
                sleep(STAGGER * u32::try_from(index).unwrap_or(u32::MAX)).await;
                follower::open(&common, &way, has, epoch).await.map(|opened| (index, opened))
            });
        }
        let mut troubles = Vec::new();
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(why)) => troubles.push(why),
                Err(error) => troubles.push(error.to_string()),
            }
        }
        // In the order of the paths and not of the time, so that the same is said each time.
        troubles.sort();
        Err(troubles.join("; "))
    }

    async fn follow_to_the_end(&mut self, index: usize, opened: Opened) {
        let (path, peer) = (self.paths[index].interface.clone(), self.paths[index].peer);
        self.paths[..=index].rotate_right(1);
        let outcome = follower::follow(&self.common, &path, peer, opened).await;
        self.has_from_stream = outcome.has;
        self.epoch = self.epoch.max(outcome.epoch);
        let why = format!("{path}: {peer}: {:#}", outcome.error);
        if self.common.ledgers.hub().look(|ledger, _| ledger.duty() == Duty::Follows) {
            warn!("checkpoint stream: {why}; the next path is tried");
        } else {
            debug!("checkpoint stream: {why}");
        }
        self.common.ledgers.hub().change(|ledger, _| ledger.owner_gone(&why));
        // What has just died is tried last.
        self.paths.rotate_left(1);
    }
}
