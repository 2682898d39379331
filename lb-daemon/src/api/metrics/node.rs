//! The node itself: the daemon, its interfaces, the flow table, what was dropped, and the reports that came in.

use lb_common::ABI_VERSION;
use lb_core::api::{AttachMode, Count, Interface};

use super::catalogue as metric;
use super::text::Text;
use crate::api::snapshot::Snapshot;

/// The mode of an interface that the program is not attached to.
const NOT_ATTACHED: &str = "none";

pub(super) fn render(snapshot: &Snapshot, text: &mut Text) {
    let status = &snapshot.status;
    text.family(&metric::BUILD_INFO, [([status.version.as_str(), &ABI_VERSION.to_string()], true)]);
    text.one(&metric::UPTIME, status.uptime_seconds);
    text.one(&metric::DEGRADED, status.degraded);
    text.one(&metric::WARNINGS, status.warnings.len() as u64);
    text.one(&metric::GENERATION, status.generation);
    text.one(&metric::CONFIG_AGE, status.config_age_seconds);
    text.one(&metric::STATE_SAVED, status.state.saved);
    text.family(&metric::INTERFACE_ATTACHED, status.interfaces.iter().map(attached));
    text.one(&metric::FLOWS, status.flows);
    text.one(&metric::FLOW_LIMIT, status.flow_limit);
    text.family(&metric::DROPPED, snapshot.drops.drops.iter().map(named));
    text.family(&metric::EVENTS, snapshot.drops.events.iter().map(named));
    text.one(&metric::REPORTS_ACCEPTED, snapshot.reports.accepted);
    text.family(&metric::REPORTS_REFUSED, snapshot.reports.refused.iter().map(named));
    let agents = snapshot.reports.agent_checks.iter();
    text.family(&metric::AGENT_FAILURES, agents.map(|agent| ([agent.real.as_str()], agent.failures)));
}

fn attached(interface: &Interface) -> ([&str; 2], bool) {
    let mode = interface.mode.map_or(NOT_ATTACHED, AttachMode::word);
    ([interface.name.as_str(), mode], interface.mode.is_some())
}

fn named(count: &Count) -> ([&str; 1], u64) {
    ([count.name.as_str()], count.count)
}
