//! What has changed about a real's health, in words for the log.

use lb_core::monitor::{Change, CheckHistory, Health, Member, Monitor};

/// One line.
pub(super) fn change(change: &Change, monitor: &Monitor) -> String {
    match change {
        Change::Health { service, real, health, .. } => {
            let why = monitor.member(service, real).and_then(|member| deciding(member, *health));
            let why = why.map(|check| format!(": {}", outcome(check))).unwrap_or_default();
            format!("real {real} is {health} in service {service}{why}")
        }
        other => other.to_string(),
    }
}

/// Whether somebody should look at it.
pub(super) fn is_bad(change: &Change) -> bool {
    matches!(change, Change::Health { health: Health::Down, .. })
}

/// Why a member is not up, where it is not.
pub(super) fn reason(member: &Member) -> Option<String> {
    deciding(member, Health::Down).map(outcome)
}

/// The check by which the member is so.
fn deciding(member: &Member, health: Health) -> Option<&CheckHistory> {
    member.checks().iter().find(|check| check.health() == health && check.last().is_some())
}

fn outcome(check: &CheckHistory) -> String {
    let (name, count) = (&check.check().name, check.in_a_row());
    match (check.passed(), check.reason()) {
        (Some(false), Some(reason)) => format!("{name}: {reason} ({count} in a row)"),
        (Some(true), _) => format!("{name} passed ({count} in a row)"),
        _ => format!("{name} says so"),
    }
}
