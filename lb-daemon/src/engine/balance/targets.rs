//! Which checks are to be made: each check of a service, of each of its reals.

use std::collections::HashMap;
use std::sync::Arc;

use lb_core::check::{Check, Target};
use lb_core::monitoring::Monitoring;
use lb_core::service::{Ports, Service, Tunnel};
use lb_core::table::{MemberView, NextHop, SchedulingTable};

/// Every check that the configuration asks for, with the next hops that are known. Drained and disabled reals are
/// checked too, so that their health is known when they are enabled.
pub(super) fn targets(table: &SchedulingTable, monitoring: &Monitoring) -> Vec<Target> {
    let next_hops: HashMap<u16, NextHop> = table.reals().filter_map(|real| Some((real.id, *real.next_hop?))).collect();
    let mut targets = Vec::new();
    for view in table.services() {
        let Some(configured) = monitoring.services.get(&view.service.name) else { continue };
        for check in &configured.checks {
            let target =
                |member: &MemberView<'_>| target(check, view.service, member, &next_hops, *table.cluster().tunnel());
            targets.extend(view.members.iter().map(target));
        }
    }
    targets
}

fn target(
    check: &Arc<Check>,
    service: &Service,
    member: &MemberView<'_>,
    next_hops: &HashMap<u16, NextHop>,
    tunnel: Tunnel,
) -> Target {
    Target {
        check: check.clone(),
        service: service.name.clone(),
        real: member.real.name.clone(),
        address: member.real.address,
        vip: service.vip,
        port: check.port.or(member.port).unwrap_or_else(|| first_port(service.ports)),
        protocol: service.protocol,
        mode: service.mode,
        next_hop: next_hops.get(&member.id).copied(),
        tunnel,
    }
}

/// 0 where a service has every port: then a check that needs a port has one of its own.
fn first_port(ports: Ports) -> u16 {
    match ports {
        Ports::Single(port) | Ports::Range(port, _) => port,
        Ports::Any => 0,
    }
}
