//! What findings are made of: the configuration, the host, and what a running daemon knows.

use std::collections::BTreeMap;

use lb_core::api::{Checkpoint, Drops, Pair, Paths, Reports, Status, Warning};
use lb_core::service::Mode;
use lb_core::table::NextHop;

use super::delivery::Delivery;
use super::facts::Facts;
use crate::config::Config;

/// All that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) config: Config,
    /// What is wrong with the files that the configuration names, a line each.
    pub(super) unfit_files: Vec<String>,
    pub(super) facts: Facts,
    /// The ways to the reals, by name.
    pub(super) ways: BTreeMap<String, Way>,
    /// None where no daemon was asked.
    pub(super) running: Option<Running>,
    /// What came of packets that were sent as clients' are; empty where none were.
    pub(super) deliveries: Vec<Delivery>,
    /// Another process runs with this configuration.
    pub(super) runs_elsewhere: bool,
}

/// The way to a real.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// None while it is not known.
    pub(super) next_hop: Option<NextHop>,
    /// Name of the interface that it leaves by, where it is known.
    pub(super) interface: Option<String>,
    /// What the search for it says; empty when all is well.
    pub(super) note: String,
}

/// What a running daemon knows.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) status: Status,
    pub(super) reports: Reports,
    pub(super) drops: Drops,
    /// None on a solo node.
    pub(super) pair: Option<(Pair, Paths)>,
    /// None where no checkpoints are kept.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Case {
    /// The daemon's own warnings about subjects that begin so.
    pub(super) fn warnings(&self, prefix: &str) -> impl Iterator<Item = &Warning> {
        let all = self.running.iter().flat_map(|running| &running.status.warnings);
        all.filter(move |warning| warning.subject.starts_with(prefix))
    }

    /// The modes in which services send to a real, and whether a VIP of theirs is IPv6.
    pub(super) fn uses(&self, real: &str) -> impl Iterator<Item = Mode> {
        let services = self.config.cluster.services().iter();
        services
            .filter(move |service| service.reals.iter().any(|member| member.real == real))
            .map(|service| service.mode)
    }

    /// How often something happened to packets, by the name of the event or drop reason.
    pub(super) fn count(&self, name: &str) -> u64 {
        let all = self.running.iter().flat_map(|running| running.drops.drops.iter().chain(&running.drops.events));
        all.filter(|count| count.name == name).map(|count| count.count).sum()
    }
}
