//! Everything that is shown of a node, read at one instant: what `/metrics`, the history and the status page are made of.

use lb_core::api::{
    Checkpoint, Drops, Events, MAX_EVENT_LIMIT, Pair, Paths, RealList, Reports, ServiceList, Status, TableReport,
};

use super::{Failure, Served, checkpoint, pair};
use crate::engine::Engine;

/// A node at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) status: Status,
    pub(crate) services: ServiceList,
    pub(crate) reals: RealList,
    pub(crate) drops: Drops,
    pub(crate) table: TableReport,
    pub(crate) reports: Reports,
    /// None: the node is solo.
    pub(crate) pair: Option<PairSnapshot>,
    /// None: no checkpoints are kept.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// The pair at one instant.
#[derive(Clone, Debug)]
pub(crate) struct PairSnapshot {
    pub(crate) pair: Pair,
    pub(crate) paths: Paths,
    /// Takeovers of this start.
    pub(crate) takeovers: u64,
}

/// The engine's part of it.
struct Told {
    status: Status,
    services: ServiceList,
    reals: RealList,
    drops: Drops,
    table: TableReport,
    reports: Reports,
}

impl Served {
    /// Reads everything.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let Told { mut status, services, reals, drops, table, reports } = self.engine.call(read).await??;
        self.complete(&mut status);
        Ok(Snapshot {
            status,
            services,
            reals,
            drops,
            table,
            reports,
            pair: self.pair_snapshot(),
            checkpoint: self.checkpoint.as_ref().map(|control| control.view()),
        })
    }

    /// Adds what the engine does not know.
    pub(super) fn complete(&self, status: &mut Status) {
        if let Some(control) = &self.pair {
            let view = control.view();
            status.pair = Some(pair::status(&view));
            status.warnings.extend(pair::warnings(&view, &control.handicaps()));
        }
        if let Some(control) = &self.checkpoint {
            let view = control.view();
            status.warnings.extend(checkpoint::warnings(&view));
            status.checkpoint = Some(view.status());
        }
        status.degraded |= status.warnings.iter().any(|warning| warning.degraded);
    }

    /// The newest events, the oldest of them first; none of a solo node.
    pub(crate) fn events(&self, limit: usize) -> Option<Events> {
        Some(self.pair.as_ref()?.events(limit))
    }

    fn pair_snapshot(&self) -> Option<PairSnapshot> {
        let control = self.pair.as_ref()?;
        let view = control.view();
        let pair = pair::pair(&view, control.handicaps());
        let takeovers = self.history.takeovers(pair.boot, &control.events(MAX_EVENT_LIMIT as usize).events);
        Some(PairSnapshot { pair, paths: pair::paths(&view), takeovers })
    }
}

fn read(engine: &mut Engine) -> anyhow::Result<Told> {
    Ok(Told {
        status: engine.status(),
        services: engine.services()?,
        reals: engine.reals()?,
        drops: engine.drops()?,
        table: engine.table_report(),
        reports: engine.reports(),
    })
}
