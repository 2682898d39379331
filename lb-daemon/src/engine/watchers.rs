//! Those who watch the reals for the engine, and whom it tells what to watch. What they find comes back as calls of the
//! engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_core::auth::Keys;
use lb_core::check::Target;
use lb_core::monitoring::AgentCheck;
use lb_core::report::Mark;

use crate::config::PairSettings;
use crate::next_hop::Watch;
use crate::reports::Counters;

/// The search for next hops, the health checks, and those who take in what the reals say of themselves. No call waits for
/// anything.
pub trait Watchers: Send {
    /// Replaces the set of reals whose next hops are looked for.
    fn watch_next_hops(&self, watches: Vec<Watch>);
    /// Replaces the set of checks.
    fn watch_checks(&self, targets: Vec<Target>);
    /// Replaces the set of reals that may report, and of agents that are asked.
    fn watch_reports(&self, senders: Senders);
    /// Takes reports with other keys and another limit per real and second.
    fn set_report_keys(&self, keys: Keys, rate_limit: u32);
    /// Takes the pair's settings over, as far as they may change, and its keys.
    fn set_pair(&self, settings: &PairSettings, keys: Keys);
    /// The newest report of each real that has reported.
    fn report_marks(&self) -> BTreeMap<String, Mark>;
    /// What has come in since the start, and where it is waited for.
    fn report_counters(&self) -> (Counters, Vec<SocketAddr>);
}

/// Who says something of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    /// Reals that may report.
    pub reals: Vec<String>,
    /// The newest reports that an earlier daemon has taken: those and older ones are not taken again.
    pub marks: BTreeMap<String, Mark>,
    /// Agents that are asked, by real.
    pub agents: BTreeMap<String, AgentCheck>,
}
