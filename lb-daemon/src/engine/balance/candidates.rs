//! Whom the scheduler decides about, and what it is told of each.

use std::collections::{HashMap, HashSet};

use lb_core::monitoring::Scheduling;
use lb_core::scheduler::Candidate;
use lb_core::service::Protocol;
use lb_core::table::{AdminState, RealView, SchedulingTable};

use super::Balance;
use crate::engine::Forwarder;

/// Every real. `new_flows` are per second, by id.
pub(super) fn candidates<'a>(
    table: &'a SchedulingTable,
    balance: &Balance,
    new_flows: &HashMap<u16, f64>,
) -> Vec<Candidate<'a>> {
    let mut services = services_by_load(table, balance);
    let candidate = |view: RealView<'a>| {
        let name = view.real.name.as_str();
        let services = services.remove(name).unwrap_or_default();
        Candidate {
            real: name,
            weight: view.weight_override.unwrap_or(view.real.weight),
            eligible: view.admin == AdminState::Enabled && balance.monitor.is_available(name),
            adaptive: view.weight_override.is_none() && !services.is_empty(),
            services,
            new_flows: new_flows.get(&view.id).copied(),
            asked: balance.monitor.agent(name).and_then(|agent| agent.asked()),
        }
    };
    table.reals().map(candidate).collect()
}

/// The services whose weights follow load, by real.
fn services_by_load<'a>(table: &'a SchedulingTable, balance: &Balance) -> HashMap<&'a str, Vec<&'a str>> {
    let mut services: HashMap<&str, Vec<&str>> = HashMap::new();
    for service in table.cluster().services() {
        let monitoring = balance.monitoring.services.get(&service.name);
        if monitoring.is_some_and(|own| own.scheduling == Scheduling::Static) {
            continue;
        }
        for member in &service.reals {
            services.entry(&member.real).or_default().push(&service.name);
        }
    }
    services
}

/// New flows that each real has been sent, by id: SYNs, or packets where it serves UDP alone, which has no better sign.
pub(super) fn sent(table: &SchedulingTable, forwarder: &dyn Forwarder) -> anyhow::Result<HashMap<u16, u64>> {
    let services = table.cluster().services().iter().filter(|service| service.protocol == Protocol::Tcp);
    let with_tcp: HashSet<&str> =
        services.flat_map(|service| &service.reals).map(|member| member.real.as_str()).collect();
    let count = |view: RealView<'_>| {
        let counters = forwarder.real_counters(view.id)?;
        let is_tcp = with_tcp.contains(view.real.name.as_str());
        Ok((view.id, if is_tcp { counters.syn } else { counters.packets }))
    };
    table.reals().map(count).collect()
}
