//! What the daemon answers at one instant.

use lb_core::api::{Checkpoint, Drops, Pair, Paths, ServiceList, Stats, Status, TableReport, path};
use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientError};

/// The answers that the screen is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The daemon.
    pub status: Status,
    /// Services and their reals.
    pub services: ServiceList,
    /// Health, load and weight of the reals.
    pub table: TableReport,
    /// Counters of services and reals.
    pub stats: Stats,
    /// Drop reasons and events.
    pub drops: Drops,
    /// The pair; none where the node is solo.
    pub pair: Option<Pair>,
    /// The heartbeat paths; none where the node is solo.
    pub paths: Option<Paths>,
    /// Checkpoints; none where none are kept.
    pub checkpoint: Option<Checkpoint>,
}

impl Sample {
    /// Asks for all of it. What the status does not speak of is not asked for.
    pub async fn take(client: &Client<'_>) -> Result<Self, ClientError> {
        let status: Status = client.get(path::STATUS).await?.value;
        let (mut pair, mut paths, mut checkpoint) = (None, None, None);
        if status.pair.is_some() {
            pair = Some(client.get(path::PAIR).await?.value);
            paths = Some(client.get(path::PATHS).await?.value);
        }
        if status.checkpoint.is_some() {
            checkpoint = Some(client.get(path::CHECKPOINT).await?.value);
        }
        Ok(Self {
            status,
            services: client.get(path::SERVICES).await?.value,
            table: client.get(path::TABLE).await?.value,
            stats: client.get(path::STATS).await?.value,
            drops: client.get(path::DROPS).await?.value,
            pair,
            paths,
            checkpoint,
        })
    }
}
