//! Takes out of a draft what cannot be in one configuration together, and says so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_core::service::{self, Cluster, ClusterError, DEFAULT_WEIGHT, MAX_SERVICES, Mode, Subject};

use super::draft::{Draft, Service, real_name};
use super::remarks::Remarks;

/// Leaves services and reals that fit together.
pub(super) fn settle(draft: &mut Draft, remarks: &mut Remarks) {
    leave_out_repeated(&mut draft.services, remarks);
    leave_out_surplus(&mut draft.services, remarks);
    draft.services.iter_mut().for_each(|service| leave_out_what_cannot_be_carried(service, remarks));
    loop {
        leave_out_empty(&mut draft.services, remarks);
        let errors = errors(draft);
        // Each error takes a service or a real out, so this ends.
        if errors.is_empty() {
            break;
        }
        errors.iter().for_each(|error| leave_out(&mut draft.services, error, remarks));
    }
    settle_groups(draft, remarks);
}

fn leave_out_repeated(services: &mut Vec<Service>, remarks: &mut Remarks) {
    let mut known = BTreeSet::new();
    services.retain(|service| {
        let is_new = known.insert(service.name());
        if !is_new {
            remarks.add(service.line, "this service has been there before: left out");
        }
        is_new
    });
}

fn leave_out_surplus(services: &mut Vec<Service>, remarks: &mut Remarks) {
    if let Some(surplus) = services.get(MAX_SERVICES) {
        remarks
            .add(surplus.line, format!("lbd has {MAX_SERVICES} services at most: this one and all below are left out"));
        services.truncate(MAX_SERVICES);
    }
}

fn leave_out_what_cannot_be_carried(service: &mut Service, remarks: &mut Remarks) {
    let (vip, mode) = (service.vip, service.mode);
    remark_on_ports(service, remarks);
    let mut known = BTreeSet::new();
    service.reals.retain(|real| {
        if !known.insert(real.address) {
            remarks.add(
                real.line,
                format!(
                    "{} is in the service twice: left out. In mode nat a [[real]] of another name can have the address and its other port",
                    real.address
                ),
            );
            return false;
        }
        let carried = mode.carries(vip, real.address);
        if !carried {
            remarks.add(real.line, format!("mode {mode} cannot carry packets for {vip} to {}: left out", real.address));
        }
        carried
    });
}

fn remark_on_ports(service: &Service, remarks: &mut Remarks) {
    let elsewhere = service.reals.iter().filter(|real| service.mode != Mode::Nat && service.has_another(real));
    for real in elsewhere {
        remarks.add(
            real.line,
            format!("mode {} rewrites no ports: the real has to listen on the port of the service", service.mode),
        );
    }
}

fn leave_out_empty(services: &mut Vec<Service>, remarks: &mut Remarks) {
    services.retain(|service| {
        if service.reals.is_empty() {
            remarks.add(service.line, "no real is left in this service: left out");
        }
        !service.reals.is_empty()
    });
}

/// What `lbd` would say of the draft.
pub(super) fn errors(draft: &Draft) -> Vec<ClusterError> {
    let reals = draft.reals().into_iter().map(|address| service::Real {
        name: real_name(address),
        address,
        weight: DEFAULT_WEIGHT,
    });
    let services = draft.services.iter().map(|service| service::Service {
        name: service.name(),
        vip: service.vip,
        vip_prefix: None,
        protocol: service.protocol,
        ports: service.ports,
        mode: service.mode,
        reals: service
            .reals
            .iter()
            .map(|real| service::Member {
                real: real_name(real.address),
                weight: Some(real.weight),
                port: service.port_of(real),
                fallback: real.fallback,
                quic_server_ids: Vec::new(),
            })
            .collect(),
        one_packet: service.one_packet,
        affinity: service.affinity.clone(),
        guards: service::Guards::default(),
        quic: Vec::new(),
    });
    Cluster::new(services.collect(), reals.collect()).err().unwrap_or_default()
}

fn leave_out(services: &mut Vec<Service>, error: &ClusterError, remarks: &mut Remarks) {
    let text = error.problem.to_string();
    let why = text.split_once("; ").map_or(text.as_str(), |(problem, _)| problem);
    let mut without_real = |service: &mut Service, name: &str| {
        service.reals.retain(|real| {
            let stays = real_name(real.address) != name;
            if !stays {
                remarks.add(real.line, format!("{}: {why}: left out", real.address));
            }
            stays
        });
    };
    match &error.subject {
        Subject::Real(name) => services.iter_mut().for_each(|service| without_real(service, name)),
        Subject::Member { service, real } => {
            services
                .iter_mut()
                .filter(|other| other.name() == *service)
                .for_each(|service| without_real(service, real));
        }
        Subject::Service(name) => services.retain(|service| {
            let stays = service.name() != *name;
            if !stays {
                remarks.add(service.line, format!("{}: {why}: left out", service.vip));
            }
            stays
        }),
    }
}

/// Each VIP of a service is put on one interface, and nothing else is put anywhere.
fn settle_groups(draft: &mut Draft, remarks: &mut Remarks) {
    let has_nat = draft.services.iter().any(|service| service.mode == Mode::Nat);
    let reals = draft.reals();
    let Some(pair) = &mut draft.pair else { return };
    let vips: BTreeSet<_> = draft.services.iter().map(|service| service.vip).collect();
    let mut placed = BTreeSet::new();
    for (interface, addresses) in &mut pair.groups {
        addresses.retain(|address| {
            if has_nat && !vips.contains(address) && !reals.contains(address) {
                if placed.insert(*address) {
                    pair.gateways.push((interface.clone(), *address));
                }
            } else if !vips.contains(address) {
                remarks.in_general(format!("{address} on {interface} is no VIP of a service: lbd does not move it"));
            }
            vips.contains(address) && placed.insert(*address)
        });
    }
    let homeless: Vec<_> = vips.difference(&placed).copied().collect();
    if let Some((interface, addresses)) = pair.groups.first_mut() {
        for vip in homeless {
            remarks.in_general(format!("{vip} is in no vrrp_instance: the active node puts it on {interface}"));
            addresses.push(vip);
        }
    }
    let gateways = &pair.gateways;
    pair.groups.retain(|(name, addresses)| !addresses.is_empty() || gateways.iter().any(|(own, _)| own == name));
    if !pair.groups.is_empty() {
        draft.interfaces.retain(|name| pair.groups.iter().any(|(interface, _)| interface == name));
    }
    let moves = |address: &IpAddr| vips.contains(address) || gateways.iter().any(|(_, gateway)| gateway == address);
    pair.paths.retain(|path| !moves(&path.local) && !moves(&path.peer));
}
