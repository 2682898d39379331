//! Nobody watches the bench's reals: they are alive, and their next hops are given.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_core::auth::Keys;
use lb_core::check::Target;
use lb_core::report::Mark;
use lb_daemon::config::PairSettings;
use lb_daemon::engine::{Senders, Watchers};
use lb_daemon::next_hop::Watch;
use lb_daemon::reports::Counters;

/// Watches nothing and has heard nothing.
pub struct Nobody;

impl Watchers for Nobody {
    fn watch_next_hops(&self, _: Vec<Watch>) {}

    fn watch_checks(&self, _: Vec<Target>) {}

    fn watch_reports(&self, _: Senders) {}

    fn set_report_keys(&self, _: Keys, _: u32) {}

    fn set_pair(&self, _: &PairSettings, _: Keys) {}

    fn report_marks(&self) -> BTreeMap<String, Mark> {
        BTreeMap::new()
    }

    fn report_counters(&self) -> (Counters, Vec<SocketAddr>) {
        (Counters::default(), Vec::new())
    }
}
